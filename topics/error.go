package topics

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Error is a refusal for the client.
type Error struct {
	Code    *kerr.Error
	Message string // Apache's text; empty where Apache sends none
}

// Error is the text for the client.
func (e *Error) Error() string { return e.Message }

// Unwrap is the kerr value.
func (e *Error) Unwrap() error { return e.Code }

func refuse(code *kerr.Error, format string, args ...any) error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}
