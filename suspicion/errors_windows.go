package suspicion

import (
	"errors"
	"syscall"
)

// Winsock's own numbers, which Go does not take for the errors of the same names.
const (
	wsaConnReset   = syscall.Errno(10054)
	wsaConnRefused = syscall.Errno(10061)
)

func isReset(err error) bool   { return errors.Is(err, wsaConnReset) }
func isRefused(err error) bool { return errors.Is(err, wsaConnRefused) }
