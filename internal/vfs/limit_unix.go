//go:build unix

package vfs

import (
	"math"

	"golang.org/x/sys/unix"
)

// OpenFileLimit is how many files and sockets the process may have open.
func OpenFileLimit() int {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &l); err != nil {
		return 1024 // what a process has at least, where nobody changed it
	}
	return int(min(uint64(l.Cur), math.MaxInt32))
}
