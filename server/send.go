package server

import (
	"errors"
	"io"
	"syscall"

	"gokafka/protocol"
)

// copyBytes is the size up to which records are copied into the answer: one write then, where sendfile would be a second call.
const copyBytes = 16 << 10

// chunkBytes is the size of a piece on the copy path, where sendfile cannot be used.
const chunkBytes = 256 << 10

// fileRange is records that lie in a file whose descriptor can be handed to the kernel.
type fileRange interface {
	// RawFile returns the descriptor and the records' position; ok is false when there is none.
	RawFile() (raw syscall.RawConn, pos int64, ok bool)
}

// sendFetch sends a Fetch answer in its turn. It does not go through the queue: its records stay in their files until they are sent.
func (c *conn) sendFetch(sl *slot, f *protocol.FetchResponse) bool {
	defer f.Release()
	if !c.waitTurn(sl) {
		return false
	}
	err := c.writeFetch(sl.corr, f)
	c.mu.Lock()
	defer c.mu.Unlock()
	sl.ready = true
	if err != nil {
		c.failed = true
		c.room.Broadcast()
		c.s.Logger.Info("Closing connection: a fetch answer could not be sent", "remote", c.info.Host, "clientId", c.clientID, "error", err)
		return false
	}
	c.advance()
	return true
}

func (c *conn) writeFetch(corr int32, f *protocol.FetchResponse) error {
	c.writing <- struct{}{}
	defer func() { <-c.writing }()
	c.mu.Lock()
	out := c.out
	c.out = nil
	c.mu.Unlock()
	out, c.cuts = f.AppendFrame(out, c.cuts[:0], corr)
	err := c.writeChunks(out, c.cuts)
	c.mu.Lock()
	if c.out == nil && cap(out) <= bufferBytes {
		c.out = out[:0]
	}
	c.mu.Unlock()
	return err
}

// writeChunks writes frame with the records of cuts in their places.
func (c *conn) writeChunks(frame []byte, cuts []protocol.Cut) error {
	if len(cuts) == 0 {
		return c.write(frame)
	}
	pending := c.takeScratch()
	defer func() { c.s.buffers.Put(pending) }()
	p := (*pending)[:0] // bytes not yet written
	at := 0
	for _, cut := range cuts {
		var err error
		if p, err = c.gather(p, frame[at:cut.At]); err != nil {
			return err
		}
		at = cut.At
		if p, err = c.sendRecords(p, cut.Records); err != nil {
			return err
		}
	}
	p, err := c.gather(p, frame[at:])
	if err != nil || len(p) == 0 {
		return err
	}
	return c.write(p)
}

func (c *conn) takeScratch() *[]byte { return c.s.buffers.Get().(*[]byte) }

// gather appends b to the unwritten bytes p, writing when they do not fit.
func (c *conn) gather(p, b []byte) ([]byte, error) {
	if len(p)+len(b) <= cap(p) {
		return append(p, b...), nil
	}
	if len(p) > 0 {
		if err := c.write(p); err != nil {
			return p, err
		}
		p = p[:0]
	}
	if len(b) > cap(p) {
		return p, c.write(b)
	}
	return append(p, b...), nil
}

// sendRecords sends p and then r, or leaves both in the returned unwritten bytes when they are few.
func (c *conn) sendRecords(p []byte, r protocol.Records) ([]byte, error) {
	n := r.Len()
	if n <= copyBytes && n <= cap(p)-len(p) {
		end := len(p) + n
		if _, err := readFull(r, p[len(p):end], 0); err != nil {
			return p, err
		}
		return p[:end], stillThere(r)
	}
	if fr, ok := r.(fileRange); ok && c.raw != nil {
		if src, pos, ok := fr.RawFile(); ok && canSendfile {
			if len(p) > 0 {
				if err := c.write(p); err != nil {
					return p, err
				}
			}
			c.limitWrite()
			if err := sendfile(c.raw, src, pos, n); err != nil {
				return p[:0], err
			}
			return p[:0], stillThere(r)
		}
	}
	for off := 0; off < n; {
		if len(p) == cap(p) {
			if err := c.write(p); err != nil {
				return p, err
			}
			p = p[:0]
		}
		k := min(n-off, cap(p)-len(p), chunkBytes)
		end := len(p) + k
		if _, err := readFull(r, p[len(p):end], int64(off)); err != nil {
			return p, err
		}
		p = p[:end]
		off += k
	}
	return p, stillThere(r)
}

// errTruncated says that records were cut off the log while they were sent: what the peer got may be wrong, and the answer cannot be taken back.
var errTruncated = errors.New("the log was truncated below the records that were sent")

// stillThere says whether r was not truncated while it was read.
func stillThere(r protocol.Records) error {
	if t, ok := r.(interface{ Truncated() bool }); ok && t.Truncated() {
		return errTruncated
	}
	return nil
}

func readFull(r protocol.Records, p []byte, off int64) (int, error) {
	n, err := r.ReadAt(p, off)
	if n == len(p) {
		return n, nil
	}
	if err == nil || err == io.EOF {
		err = io.ErrUnexpectedEOF // shorter than promised: the answer cannot be repaired
	}
	return n, err
}
