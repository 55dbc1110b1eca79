//go:build !linux

package server

import (
	"errors"
	"syscall"
)

const canSendfile = false

func sendfile(dst, src syscall.RawConn, pos int64, n int) error { return errors.ErrUnsupported }
