package server

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"syscall"
	"time"

	"gokafka/handlers"
	"gokafka/protocol"
)

// Bounds of the answers of one connection that wait for an earlier one.
const (
	maxWaiting      = 64
	maxWaitingBytes = 8 << 20
)

// growTimeout is how long a connection waits for room for a large frame before it is closed.
const growTimeout = 30 * time.Second

// conn is one connection. Fields without a word belong to its goroutine (run).
type conn struct {
	s    *Server
	nc   net.Conn
	raw  syscall.RawConn // nil unless a plain socket
	info *handlers.Conn
	req  handlers.Request

	// buf[r:w] are bytes received and not yet served. nil while nothing is held.
	buf    []byte
	r, w   int
	pooled *[]byte // what buf came from; nil when buf is a grown one
	grown  int64   // bytes taken from the frame budget

	clientID string // of the last request, kept as long as it does not change
	serving  *slot  // whose answer is not known yet; nil between requests
	spare    *slot  // a slot to be used again

	// writing has capacity 1 and serialises writes to nc. Taken before mu. A channel, as whoever waits for a slow peer waits for the network.
	writing chan struct{}
	cuts    []protocol.Cut // guarded by writing

	mu      sync.Mutex // guards what follows
	out     []byte     // answers in order, ready to be written
	queue   []*slot    // answers that wait: the first one is pending, or queue is empty
	queued  int        // bytes of ready answers in queue
	room    *sync.Cond // signalled when queue gets shorter or the connection fails
	failed  bool       // no more writes
	flusher chan struct{}
	done    sync.WaitGroup // the flusher
}

// slot is the place of one answer in the order. It is the Transport of its request.
type slot struct {
	c     *conn
	key   int16
	corr  int32
	ready bool
	frame []byte // nil when nothing is to be sent
	close bool
}

func newConn(s *Server, nc net.Conn, info *handlers.Conn) *conn {
	c := &conn{s: s, nc: nc, info: info, writing: make(chan struct{}, 1)}
	c.room = sync.NewCond(&c.mu)
	if t, ok := nc.(*net.TCPConn); ok {
		// No delay is Go's default. Errors leave raw nil, and the connection works by plain reads and writes.
		if raw, err := t.SyscallConn(); err == nil {
			c.raw = raw
		}
	}
	return c
}

// Flush implements handlers.Transport.
func (sl *slot) Flush() { sl.c.flushQuietly() }

// Complete implements handlers.Transport.
func (sl *slot) Complete(a handlers.Answer) { sl.c.complete(sl, a) }

// stopReading makes run return once the request it serves is answered. Called from another goroutine.
func (c *conn) stopReading() { c.nc.SetReadDeadline(c.s.Clock.Deadline(-time.Second)) }

// stop ends a connection of a closing server, whatever it waits for. Called from another goroutine.
func (c *conn) stop() {
	c.stopReading()
	c.nc.SetWriteDeadline(c.s.Clock.Deadline(closingWriteTimeout))
	c.mu.Lock()
	c.room.Broadcast()
	c.mu.Unlock()
}

func (c *conn) run() {
	defer func() {
		if p := recover(); p != nil {
			// A bug of ours, not the peer's doing alone: say where, and let the broker live.
			c.s.Logger.Error("Panic while serving a request", "connection", c.info.ID, "key", c.req.Key, "version", c.req.Version,
				"panic", p, "stack", string(debug.Stack()))
		}
		c.finish()
	}()
	for {
		if err := c.fill(protocol.SizeBytes); err != nil {
			c.logReadError(err)
			return
		}
		size := int32(binary.BigEndian.Uint32(c.buf[c.r:]))
		if size <= 0 || size > c.s.MaxFrameBytes {
			c.s.Logger.Warn("Closing connection: invalid request size", "remote", c.info.Host, "sizeBytes", size, "maxBytes", c.s.MaxFrameBytes)
			return
		}
		if err := c.fill(protocol.SizeBytes + int(size)); err != nil {
			c.logReadError(err)
			return
		}
		frame := c.buf[c.r+protocol.SizeBytes : c.r+protocol.SizeBytes+int(size)]
		c.r += protocol.SizeBytes + int(size)
		if !c.serve(frame) {
			return
		}
		if c.r == c.w && c.grown > 0 {
			c.dropBuffer() // a large frame is done; do not keep its memory
		}
	}
}

func (c *conn) logReadError(err error) {
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.Is(err, syscall.ECONNRESET) || c.s.ctx.Err() != nil {
		return
	}
	c.s.Logger.Info("Closing connection", "remote", c.info.Host, "error", err)
}

// finish ends the connection: waits until late answers are out or can no longer be, and gives all memory back.
func (c *conn) finish() {
	if c.serving != nil { // a request that could not be served: earlier answers still go out, then the connection ends
		c.answer(c.serving, handlers.Answer{Close: true})
	}
	c.flush()
	c.mu.Lock()
	// Late answers of a connection whose peer half-closed are still wanted; Complete comes at their deadline at the latest.
	for len(c.queue) > 0 && !c.failed && c.s.ctx.Err() == nil {
		c.room.Wait()
	}
	c.failed = true
	c.queue = nil
	if c.flusher != nil {
		close(c.flusher)
		c.flusher = nil
	}
	c.mu.Unlock()
	c.done.Wait() // its last write ends by the write deadline
	c.nc.Close()
	c.dropBuffer()
}

// fill makes buf[r:w] at least n bytes long. Before it waits for the peer it sends what is ready.
func (c *conn) fill(n int) error {
	for c.w-c.r < n {
		if c.r == c.w {
			c.r, c.w = 0, 0
		}
		if c.buf != nil && len(c.buf)-c.r < n {
			if err := c.makeRoom(n); err != nil {
				return err
			}
		}
		if err := c.flush(); err != nil {
			return err
		}
		if err := c.read(); err != nil {
			if errors.Is(err, io.EOF) && c.w > c.r {
				return io.ErrUnexpectedEOF
			}
			return err
		}
	}
	return nil
}

// makeRoom moves the partial frame to the front of the buffer, and grows the buffer when it is full: to twice the bytes
// received, but never beyond the n bytes that the frame needs.
func (c *conn) makeRoom(n int) error {
	if c.r > 0 {
		copy(c.buf, c.buf[c.r:c.w])
		c.w -= c.r
		c.r = 0
	}
	if c.w < len(c.buf) {
		return nil
	}
	size := min(n, 2*len(c.buf))
	ctx, cancel := context.WithTimeout(c.s.ctx, growTimeout)
	defer cancel()
	if err := c.s.frames.acquire(ctx, int64(size)); err != nil {
		return errors.New("no memory for a large request: " + err.Error())
	}
	grown := make([]byte, size)
	copy(grown, c.buf[:c.w])
	w := c.w
	c.dropBuffer()
	c.buf, c.w, c.grown = grown, w, int64(size)
	return nil
}

func (c *conn) dropBuffer() {
	if c.pooled != nil {
		c.s.buffers.Put(c.pooled)
	}
	if c.grown > 0 {
		c.s.frames.release(c.grown)
	}
	c.pooled, c.buf, c.grown, c.r, c.w = nil, nil, 0, 0, 0
}

func (c *conn) takeBuffer() {
	if c.buf == nil {
		c.pooled = c.s.buffers.Get().(*[]byte)
		c.buf, c.r, c.w = *c.pooled, 0, 0
	}
}

// read appends at least one byte to buf.
func (c *conn) read() error {
	if c.s.MaxIdle > 0 && c.s.ctx.Err() == nil {
		c.nc.SetReadDeadline(c.s.Clock.Deadline(c.s.MaxIdle))
	}
	if c.s.ctx.Err() != nil {
		return net.ErrClosed
	}
	if c.raw != nil {
		return c.readRaw()
	}
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

// serve serves one frame. False ends the connection.
func (c *conn) serve(frame []byte) bool {
	h, rest, err := protocol.ParseHeader(frame)
	if err != nil {
		c.s.Logger.Info("Closing connection", "remote", c.info.Host, "error", err)
		return false
	}
	if string(h.ClientID) != c.clientID { // no allocation as long as it stays the same
		c.clientID = string(h.ClientID)
	}
	sl := c.spare
	if c.spare = nil; sl == nil {
		sl = new(slot)
	}
	*sl = slot{c: c, key: h.Key, corr: h.CorrelationID}
	c.req = handlers.Request{
		Key: h.Key, Version: h.Version, CorrelationID: h.CorrelationID, ClientID: c.clientID, Conn: c.info, Body: rest,
		Start: c.s.Clock.Mono(), Transport: sl,
	}
	if !c.reserve(sl) {
		return false
	}
	c.serving = sl
	a, err := c.s.Options.Serve(c.s.ctx, &c.req)
	if err != nil {
		c.s.Logger.Info("Closing connection", "remote", c.info.Host, "clientId", c.clientID, "error", err)
		return false
	}
	c.serving = nil
	if a.Pending {
		return true
	}
	if a.Fetch != nil {
		return c.sendFetch(sl, a.Fetch)
	}
	return c.answer(sl, a)
}

// reserve waits until the queue of waiting answers has room.
func (c *conn) reserve(sl *slot) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for (len(c.queue) >= maxWaiting || c.queued > maxWaitingBytes) && !c.failed && c.s.ctx.Err() == nil {
		c.room.Wait()
	}
	if c.failed {
		return false
	}
	// Every request takes its place before it is served: a late answer may come while the next requests are served.
	c.queue = append(c.queue, sl)
	return true
}

// answer fills sl's place with an answer given by the connection's own goroutine. False: the connection is to be closed.
func (c *conn) answer(sl *slot, a handlers.Answer) bool {
	if a.Close {
		c.mu.Lock()
		sl.ready, sl.close = true, true
		c.advance()
		c.mu.Unlock()
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	sl.ready = true
	if len(c.queue) > 0 && c.queue[0] == sl { // nothing waits before it: encode in place
		if a.Body != nil {
			c.out = protocol.AppendResponse(c.out, sl.key, sl.corr, a.Body)
		}
		c.spare = sl // advance lets go of it
	} else if a.Body != nil {
		sl.frame = protocol.AppendResponse(nil, sl.key, sl.corr, a.Body)
		c.queued += len(sl.frame)
	}
	c.advance()
	return !c.failed
}

// complete fills sl's place from another goroutine and has the flusher send what became ready.
func (c *conn) complete(sl *slot, a handlers.Answer) {
	var frame []byte
	if a.Body != nil && !a.Close {
		frame = protocol.AppendResponse(nil, sl.key, sl.corr, a.Body)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed {
		return
	}
	sl.ready, sl.frame, sl.close = true, frame, a.Close
	c.queued += len(frame)
	c.advance()
	if len(c.out) == 0 {
		return
	}
	if c.flusher == nil {
		c.flusher = make(chan struct{}, 1)
		ch := c.flusher
		c.done.Go(func() {
			for range ch {
				if c.flush() != nil {
					c.stopReading()
				}
			}
		})
	}
	select {
	case c.flusher <- struct{}{}:
	default: // it has a signal already and will see this answer too
	}
}

// advance moves the answers that are ready from the front of the queue to out. Called with mu held.
func (c *conn) advance() {
	n := 0
	for n < len(c.queue) && c.queue[n].ready {
		sl := c.queue[n]
		c.queued -= len(sl.frame)
		c.out = append(c.out, sl.frame...)
		if sl.close {
			c.queue = c.queue[:0]
			c.failed = true
			c.room.Broadcast()
			return
		}
		n++
	}
	if n > 0 {
		rest := copy(c.queue, c.queue[n:])
		clear(c.queue[rest:])
		c.queue = c.queue[:rest]
		c.room.Broadcast()
	}
}

// waitTurn waits until nothing waits before sl, and leaves the queue to it.
func (c *conn) waitTurn(sl *slot) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for !c.failed && len(c.queue) > 0 && c.queue[0] != sl {
		if c.s.ctx.Err() != nil {
			return false
		}
		c.room.Wait()
	}
	return !c.failed
}

func (c *conn) flushQuietly() {
	if err := c.flush(); err != nil {
		c.stopReading() // noticed by run at its next read
	}
}

// flush writes the answers that are ready. After an error nothing more is written.
func (c *conn) flush() error {
	c.writing <- struct{}{}
	defer func() { <-c.writing }()
	c.mu.Lock()
	out := c.out
	if len(out) == 0 {
		c.mu.Unlock()
		return nil
	}
	c.out = nil
	c.mu.Unlock()
	err := c.write(out)
	c.mu.Lock()
	if c.out == nil && cap(out) <= bufferBytes {
		c.out = out[:0] // keep the memory
	}
	if err != nil {
		c.failed = true
		c.room.Broadcast()
	}
	c.mu.Unlock()
	return err
}

// write is called with writing held.
func (c *conn) write(b []byte) error {
	c.limitWrite()
	_, err := c.nc.Write(b)
	return err
}

// closingWriteTimeout bounds the writes of a server that is closing.
const closingWriteTimeout = time.Second

// limitWrite sets the deadline of the next write: a peer that takes nothing must not hold a goroutine and a segment for ever.
func (c *conn) limitWrite() {
	switch {
	case c.s.ctx.Err() != nil:
		c.nc.SetWriteDeadline(c.s.Clock.Deadline(closingWriteTimeout))
	case c.s.WriteTimeout > 0:
		c.nc.SetWriteDeadline(c.s.Clock.Deadline(c.s.WriteTimeout))
	}
}
