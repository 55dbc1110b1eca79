//go:build !windows

package suspicion

import (
	"errors"
	"syscall"
)

func isReset(err error) bool   { return errors.Is(err, syscall.ECONNRESET) }
func isRefused(err error) bool { return errors.Is(err, syscall.ECONNREFUSED) }
