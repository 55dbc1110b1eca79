package server

import (
	"io"
	"syscall"

	"golang.org/x/sys/unix"
)

const canSendfile = true

// sendfile sends n bytes at pos of src to dst without copying them through user space. The position is explicit: the descriptor is shared.
// Fewer bytes than promised break the connection.
func sendfile(dst, src syscall.RawConn, pos int64, n int) error {
	var serr error
	cerr := src.Control(func(sfd uintptr) {
		werr := dst.Write(func(dfd uintptr) bool {
			for n > 0 {
				k, err := unix.Sendfile(int(dfd), int(sfd), &pos, n)
				switch {
				case err == unix.EINTR:
					continue
				case err == unix.EAGAIN:
					return false
				case err != nil:
					serr = err
					return true
				case k == 0:
					serr = io.ErrUnexpectedEOF
					return true
				}
				n -= k
			}
			return true
		})
		if serr == nil {
			serr = werr
		}
	})
	if serr == nil {
		serr = cerr
	}
	return serr
}
