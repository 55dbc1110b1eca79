//go:build unix

package harness

import (
	"os"
	"syscall"
)

// lockFile waits for the exclusive lock on f; closing f frees it, so does the end of the process.
func lockFile(f *os.File) error { return syscall.Flock(int(f.Fd()), syscall.LOCK_EX) }
