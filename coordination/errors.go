package coordination

import (
	"errors"
	"fmt"

	"github.com/go-zookeeper/zk"
)

// Answers of ZooKeeper that callers tell apart, with errors.Is.
var (
	ErrNoNode     = zk.ErrNoNode
	ErrNodeExists = zk.ErrNodeExists
	ErrBadVersion = zk.ErrBadVersion
	ErrNotEmpty   = zk.ErrNotEmpty
	ErrNoAuth     = zk.ErrNoAuth
	// ErrSessionExpired is returned by every call on a Generation that ended, whatever ended it but Close.
	ErrSessionExpired = zk.ErrSessionExpired
	// ErrClosed is returned after Session.Close.
	ErrClosed = zk.ErrClosing
	// ErrTooLarge refuses a request that the server would answer by dropping the connection. It is never sent.
	ErrTooLarge = errors.New("request is larger than ZooKeeper's jute.maxbuffer")
)

// Error is a failed request.
type Error struct {
	Op   string // "create", "set", "multi", ...
	Path string
	// Index is the first failed operation of a multi, -1 elsewhere.
	Index int
	// Lost says that the request was sent at least once without an answer before Err came: it may have been applied.
	Lost bool
	Err  error
}

func (e *Error) Error() string {
	lost := ""
	if e.Lost {
		lost = " (an earlier attempt got no answer)"
	}
	if e.Index >= 0 {
		return fmt.Sprintf("zookeeper %s, operation %d on %s: %v%s", e.Op, e.Index, e.Path, e.Err, lost)
	}
	return fmt.Sprintf("zookeeper %s %s: %v%s", e.Op, e.Path, e.Err, lost)
}

// Unwrap returns ZooKeeper's answer or the reason why there is none.
func (e *Error) Unwrap() error { return e.Err }

// MaybeApplied says whether the write that failed with err may have been carried out: its answer was lost, or the
// caller stopped waiting for it. NodeExists, BadVersion and NoNode then prove nothing until the node is read back.
func MaybeApplied(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.Lost
}

// FailedOp returns the index of the operation that failed a multi, or -1.
func FailedOp(err error) int {
	var e *Error
	if errors.As(err, &e) {
		return e.Index
	}
	return -1
}

// lossError marks an I/O error of the connection, so that it can be told from an answer.
type lossError struct{ err error }

func (e *lossError) Error() string { return e.err.Error() }
func (e *lossError) Unwrap() error { return e.err }

// isLoss says whether err means "no answer" rather than an answer.
func isLoss(err error) bool {
	var l *lossError
	return errors.Is(err, zk.ErrConnectionClosed) || errors.Is(err, zk.ErrNoServer) ||
		errors.Is(err, zk.ErrSessionMoved) || errors.As(err, &l)
}
