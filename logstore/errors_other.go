//go:build !unix

package logstore

import "errors"

var (
	errQuota        = errors.New("disk quota exceeded")
	errProcessFiles = errors.New("too many open files")
	errSystemFiles  = errors.New("too many open files in system")
)
