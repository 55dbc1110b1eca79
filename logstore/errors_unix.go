//go:build unix

package logstore

import "syscall"

var (
	errQuota        error = syscall.EDQUOT
	errProcessFiles error = syscall.EMFILE
	errSystemFiles  error = syscall.ENFILE
)
