//go:build !windows

package embedded

import (
	"errors"
	"syscall"
)

// diskFull says whether err is a lack of space, which may pass, rather than a failing disk.
func diskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}
