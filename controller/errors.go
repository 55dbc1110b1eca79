package controller

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/coordination"
	"gokafka/coordination/znode"
	"gokafka/metadata"
)

var (
	// ErrNotActive answers whoever asks a broker that is not, or no longer, the controller.
	ErrNotActive = fmt.Errorf("not the active controller: %w", kerr.NotController)

	// errMoved says that an epoch-checked write failed its check: another controller was elected.
	errMoved = znode.ErrControllerMoved
	// errNoLeader says that an election found nobody who may lead.
	errNoLeader = errors.New("no eligible leader")
	// errStateChange says that a partition's stored state does not allow the change.
	errStateChange = errors.New("state change refused")
	// errStopped ends waits when the controller stops or its session is over.
	errStopped = fmt.Errorf("controller stopped: %w", kerr.NotController)
)

// isOver says whether err means that the session, or the controller, has ended: the outcome of a write is then unknown.
func isOver(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, coordination.ErrSessionExpired) || errors.Is(err, coordination.ErrClosed)
}

// kerrOf is the Kafka code that err carries, nil if none.
func kerrOf(err error) *kerr.Error {
	var k *kerr.Error
	errors.As(err, &k)
	return k
}

// Error is a refusal for the client.
type Error struct {
	Partition metadata.TopicPartition
	Code      *kerr.Error
	Message   string // Apache's text
}

// Error names the partition and the text for the client.
func (e *Error) Error() string { return e.Partition.String() + ": " + e.Message }

// Unwrap is the kerr value.
func (e *Error) Unwrap() error { return e.Code }

func refused(tp metadata.TopicPartition, code *kerr.Error, format string, args ...any) error {
	return &Error{Partition: tp, Code: code, Message: fmt.Sprintf(format, args...)}
}

// scalaList shows ids as Scala's collections show themselves, which is how Apache's texts have them.
func scalaList(kind string, ids []int32) string {
	s := make([]string, len(ids))
	for i, id := range ids {
		s[i] = strconv.Itoa(int(id))
	}
	return kind + "(" + strings.Join(s, ", ") + ")"
}
