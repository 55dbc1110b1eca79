//go:build !unix

package server

import "io"

// readRaw reads as any connection does where raw reads are not to be had.
func (c *conn) readRaw() error {
	c.takeBuffer()
	n, err := c.nc.Read(c.buf[c.w:])
	c.w += n
	if n > 0 {
		return nil
	}
	if err == nil {
		return io.ErrNoProgress
	}
	return err
}
