//go:build unix

package logstore

import "syscall"

var errQuota error = syscall.EDQUOT
