package logstore

import (
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/twmb/franz-go/pkg/kerr"
)

// ioError marks an error of the file system, so that the outermost call can tell it from a rejected request and
// take the log offline where it must.
type ioError struct {
	op  string
	err error
}

func (e *ioError) Error() string { return e.op + ": " + e.err.Error() }
func (e *ioError) Unwrap() error { return e.err }

func ioErr(op string, err error) error {
	if err == nil {
		return nil
	}
	return &ioError{op: op, err: err}
}

// IsShortage says that an error is only want of space or of file descriptors: what failed was undone and may be tried again later.
func IsShortage(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, errQuota) || isTooManyFiles(err)
}

// fatalError is a file system error after which the log's files are in an unknown state: not even a shortage excuses it.
type fatalError struct{ err error }

func (e *fatalError) Error() string { return e.err.Error() }
func (e *fatalError) Unwrap() error { return e.err }

// settle turns an error of the file system into what callers see, and takes the log offline unless it was a mere shortage.
// Call it without locks: it reports to OnIOError. Other errors pass unchanged.
func (l *Log) settle(err error) error {
	if err == nil {
		return nil
	}
	var io *ioError
	if !errors.As(err, &io) {
		return err
	}
	gone := errors.Is(err, errRetired) || l.state.Load() == int32(stateDeleted) // a reader came late: no fault of the disk
	if !gone && (asFatalError(err) || !IsShortage(err)) {
		l.goOffline(err)
	}
	return fmt.Errorf("%s in %s: %w: %w", l.tp, l.dir.get(), kerr.KafkaStorageError, err)
}

// goOffline stops all further use of the log, and tells the owner once.
func (l *Log) goOffline(err error) {
	if l.state.CompareAndSwap(int32(stateOpen), int32(stateOffline)) {
		l.logger.Error("log goes offline", "topic", l.tp.Topic, "partition", l.tp.Partition, "dir", l.dir.get(), "err", err)
	}
	if l.reported.CompareAndSwap(false, true) && l.onIOError != nil {
		l.onIOError(fmt.Errorf("%s in %s: %w", l.tp, l.dir.get(), err))
	}
}

// MarkOffline stops all further use of the log without telling OnIOError: the owner of the directory found it failed.
func (l *Log) MarkOffline() {
	l.reported.Store(true)
	l.state.CompareAndSwap(int32(stateOpen), int32(stateOffline))
}

// usable returns the error of a log that is closed, deleted or offline.
func (l *Log) usable() error {
	s := logState(l.state.Load())
	if s == stateOpen {
		return nil
	}
	return fmt.Errorf("log of %s is %s: %w", l.tp, s, kerr.KafkaStorageError)
}

type logState int32

const (
	stateOpen logState = iota
	stateClosed
	stateDeleted
	stateOffline
)

func (s logState) String() string {
	return [...]string{"open", "closed", "deleted", "offline"}[s]
}

func notExist(err error) bool { return errors.Is(err, fs.ErrNotExist) }

func asFatalError(err error) bool {
	var fatal *fatalError
	return errors.As(err, &fatal)
}

// IsIOError says that an error comes from the file system, not from a request or from bytes that do not fit.
func IsIOError(err error) bool {
	var io *ioError
	return errors.As(err, &io)
}
