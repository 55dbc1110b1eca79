//go:build unix

package server

import (
	"io"
	"syscall"
)

// readRaw waits for the peer without holding a buffer: it takes one only when there are bytes, or to learn that there are
// none, and gives it back in that case if it holds no partial frame.
func (c *conn) readRaw() error {
	var n int
	var rerr error
	err := c.raw.Read(func(fd uintptr) bool {
		c.takeBuffer()
		for {
			n, rerr = syscall.Read(int(fd), c.buf[c.w:])
			if rerr != syscall.EINTR {
				break
			}
		}
		if rerr == syscall.EAGAIN {
			if c.w == c.r {
				c.dropBuffer()
			}
			return false
		}
		return true
	})
	switch {
	case err != nil:
		return err
	case rerr != nil:
		return rerr
	case n == 0:
		return io.EOF
	}
	c.w += n
	return nil
}
