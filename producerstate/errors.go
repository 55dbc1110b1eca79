package producerstate

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Error is why a batch was refused. It wraps the Kafka error.
type Error struct {
	Kind *kerr.Error
	Text string
}

func (e *Error) Error() string { return e.Text }

// Unwrap gives the Kafka error.
func (e *Error) Unwrap() error { return e.Kind }

func refuse(kind *kerr.Error, format string, args ...any) *Error {
	return &Error{Kind: kind, Text: fmt.Sprintf(format, args...)}
}
