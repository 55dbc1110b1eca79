package embedded

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"gokafka/internal/clock"
)

// conn is one client connection: a reader that decodes frames into the inbox and a writer that sends what the loop
// made. Both end when the network connection is closed.
type conn struct {
	s    *Server
	id   uint64
	nc   net.Conn
	host string // of the peer, an IP address
	addr string
	// counted: it stands in Server.perHost. Set before the goroutines start.
	counted bool

	flow   *budget      // request bytes read and not yet answered
	unsent atomic.Int64 // reply and event bytes made and not yet written
	parked atomic.Bool  // the writer is to send an itemUnpark

	mu    sync.Mutex
	queue [][]byte      // to be written; bounded by what unsent bounds
	last  bool          // close when the queue is written
	dead  bool          // write nothing any more
	wake  chan struct{} // capacity 1

	killed     sync.Once
	closed     chan struct{} // closed by kill
	readerGone atomic.Bool

	loop connState
}

// connState is the loop's part of a connection. Nobody else touches it.
type connState struct {
	connected   bool
	closing     bool // ignore what still comes
	gone        bool
	session     int64
	ids         []authID
	pend        []byte // output of the current batch
	last        bool   // close after it
	cost        int64  // to be released with it
	dirty       bool   // in batch.conns
	waiting     []item // requests held back while too much is unsent; bounded by flow
	eventUnsent int64
	stats       connStats
}

// connStats are for the four-letter words.
type connStats struct {
	received, sent       int64
	lastOp, lastXid      int32
	lastZxid             int64
	established          int64 // wall ms
	lastAt               time.Duration
	lastMs, minMs, maxMs int64
	sumMs, count         int64
	timeoutMs            int32
}

func (c *conn) run() {
	c.s.wg.Add(2)
	go func() {
		defer c.s.wg.Done()
		c.read()
		c.readerGone.Store(true)
		c.s.inbox.put(item{kind: itemGone, conn: c})
	}()
	go func() {
		defer c.s.wg.Done()
		c.write()
	}()
}

// read ends on an error of the connection, an impossible frame, or when the connection is closed by the server.
func (c *conn) read() {
	deadline := c.s.clock.AfterFunc(firstRequestTimeout, c.kill)
	defer deadline.Stop()
	r := bufio.NewReaderSize(c.nc, 16<<10)
	var frame []byte
	for first := true; ; first = false {
		var head [4]byte
		if _, err := io.ReadFull(r, head[:]); err != nil {
			return
		}
		if first && isWord(string(head[:])) {
			deadline.Stop()
			c.s.inbox.put(item{kind: itemWord, conn: c, word: string(head[:]), at: c.s.clock.Mono()})
			io.Copy(io.Discard, r) // the peer may go on; the writer closes
			return
		}
		size := int(int32(binary.BigEndian.Uint32(head[:])))
		if size < 0 || size > c.s.opts.JuteMaxBytes {
			c.s.logger.Warn("coordination: frame length out of bounds", "client", c.addr, "bytes", size)
			return
		}
		var err error
		if frame, err = readFrame(r, frame, size); err != nil {
			return
		}
		if ok, err := c.submit(frame, first); err != nil {
			c.s.logger.Warn("coordination: malformed request", "client", c.addr, "err", err)
			return
		} else if !ok {
			io.Copy(io.Discard, r) // closing: see finish
			return
		}
		if first {
			deadline.Stop()
		}
		if cap(frame) > 64<<10 {
			frame = nil
		}
	}
}

// readFrame reads size bytes into buf. Memory grows with what arrives, not with what was declared.
func readFrame(r io.Reader, buf []byte, size int) ([]byte, error) {
	buf = buf[:0]
	for len(buf) < size {
		if len(buf) == cap(buf) {
			grown := make([]byte, len(buf), min(size, max(4<<10, 4*cap(buf))))
			copy(grown, buf)
			buf = grown
		}
		n, err := io.ReadFull(r, buf[len(buf):min(size, cap(buf))])
		buf = buf[:len(buf)+n]
		if err != nil {
			return buf, err
		}
	}
	return buf, nil
}

var errNoHeader = errors.New("frame is too short for its header")

// submit decodes a frame and puts it into the inbox, once both budgets have room. false: the connection is closing.
func (c *conn) submit(frame []byte, first bool) (bool, error) {
	it := item{kind: itemRequest, conn: c, cost: int64(len(frame)) + requestCost}
	var ok bool
	if first {
		it.kind = itemConnect
		it.connect, ok = decodeConnect(frame)
	} else if it.req, ok = decodeRequest(frame); ok {
		it.cost += int64(len(it.req.ops)) * requestCost
	}
	if !ok {
		return false, errNoHeader
	}
	if !c.flow.acquire(it.cost) {
		return false, nil
	}
	if !c.s.flow.acquire(it.cost) {
		c.flow.release(it.cost)
		return false, nil
	}
	it.at = c.s.clock.Mono()
	c.s.inbox.put(it)
	return true, nil
}

// push hands output to the writer; with last the connection is closed behind it.
func (c *conn) push(b []byte, last bool) {
	c.mu.Lock()
	dead := c.dead
	if !dead {
		if len(b) > 0 {
			c.queue = append(c.queue, b)
		}
		c.last = c.last || last
	}
	c.mu.Unlock()
	if dead {
		c.sent(len(b))
		return
	}
	c.signal()
}

func (c *conn) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// kill closes the connection at once, with whatever is unsent.
func (c *conn) kill() {
	c.mu.Lock()
	c.dead = true
	c.mu.Unlock()
	c.flow.close()
	c.nc.Close() // the error says nothing: the connection is gone either way
	c.killed.Do(func() { close(c.closed) })
	c.signal()
}

func newConn(s *Server, id uint64, nc net.Conn) *conn {
	c := &conn{s: s, id: id, nc: nc, flow: newBudget(connRequestBytes), wake: make(chan struct{}, 1), closed: make(chan struct{})}
	// A pipe has no address. It is this process, which ACLs of scheme ip know as loopback.
	c.host, c.addr = "127.0.0.1", "127.0.0.1:0"
	if tcp, ok := nc.RemoteAddr().(*net.TCPAddr); ok {
		c.host, c.addr = tcp.AddrPort().Addr().Unmap().WithZone("").String(), tcp.String()
	}
	c.loop.ids = []authID{{"ip", c.host}}
	c.loop.stats.established = s.clock.NowMs()
	return c
}

// write sends the queue until the connection is closed.
func (c *conn) write() {
	// A peer that takes nothing for the longest session timeout is not there.
	stuck := c.s.clock.AfterFunc(c.s.opts.MaxSessionTimeout, c.kill)
	stuck.Stop()
	defer c.dropQueue()
	for range c.wake {
		c.mu.Lock()
		queue, last, dead := c.queue, c.last, c.dead
		c.queue = nil
		c.mu.Unlock()
		for _, b := range queue {
			if !dead && !c.send(b, stuck) {
				c.kill()
				dead = true
			}
			c.sent(len(b))
			c.s.recycle(b)
		}
		if dead {
			return
		}
		if last {
			c.finish()
			return
		}
	}
}

func (c *conn) send(b []byte, stuck *clock.Timer) bool {
	for len(b) > 0 {
		chunk := b[:min(len(b), writeChunkBytes)]
		b = b[len(chunk):]
		stuck.Reset(c.s.opts.MaxSessionTimeout)
		_, err := c.nc.Write(chunk)
		stuck.Stop()
		if err != nil {
			return false
		}
	}
	return true
}

// finish closes a connection whose last output is written. Closing a TCP socket with unread input would reset it, and
// the peer might lose that output: so the reader drains it for a while.
func (c *conn) finish() {
	c.mu.Lock()
	c.dead = true
	c.mu.Unlock()
	c.flow.close()
	half, ok := c.nc.(interface{ CloseWrite() error })
	if ok && !c.readerGone.Load() && half.CloseWrite() == nil {
		t := c.s.clock.NewTimer(lingerTimeout)
		select {
		case <-t.C:
		case <-c.closed:
		}
		t.Stop()
	}
	c.kill()
}

// dropQueue accounts for what came in after the last look at the queue. dead is set: nothing more comes.
func (c *conn) dropQueue() {
	c.mu.Lock()
	queue := c.queue
	c.queue = nil
	c.mu.Unlock()
	for _, b := range queue {
		c.sent(len(b))
	}
}

// sent accounts for written or dropped output and tells the loop when a parked connection has caught up.
func (c *conn) sent(n int) {
	left := c.unsent.Add(-int64(n))
	c.s.unsent.Add(-int64(n))
	if left <= connOutputShare/2 && c.parked.CompareAndSwap(true, false) {
		c.s.inbox.put(item{kind: itemUnpark, conn: c})
	}
}
