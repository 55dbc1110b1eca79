//go:build freebsd || netbsd || openbsd || dragonfly

package vfs

import "errors"

func space(string) (total, usable uint64, err error) { return 0, 0, errors.ErrUnsupported }
