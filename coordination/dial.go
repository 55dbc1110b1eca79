package coordination

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"gokafka/internal/clock"
)

const (
	minDialPause = 20 * time.Millisecond // between two dials, also after a success: bounds a server that hangs up at once
	maxDialPause = time.Second           // between two rounds over the servers
	opSetWatches = 101
	// setWatchesWait is how long answers are held back after a reconnect until the library has re-sent its watches.
	setWatchesWait = time.Second
)

// dialer opens the connections of one Generation, one at a time, and none once it is over.
type dialer struct {
	ctx   context.Context // ends with the Generation
	dialf Dialer
	hosts *hosts
	clock *clock.Clock
	// handshake bounds dial plus answer to the connect request. Java's client allows session timeout / servers.
	handshake time.Duration
	armed     func() bool // whether watches are to be re-sent

	heard atomic.Int64 // clock.Mono of the last bytes from a server; 0 = none

	mu    sync.Mutex // guards the rest
	last  *conn
	creds Credentials
	at    time.Duration // clock.Mono of the last dial
}

// dial has the signature that the library wants; its own timeout of one second is ignored.
func (d *dialer) dial(_, address string, _ time.Duration) (net.Conn, error) {
	if err := d.pause(); err != nil {
		return nil, fmt.Errorf("no further connection: %w", err)
	}
	ctx, cancel := context.WithTimeout(d.ctx, d.handshake)
	defer cancel()
	nc, err := d.dialf(ctx, address)
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: nc, armed: d.armed, heard: &d.heard, clock: d.clock, watchesSent: make(chan struct{})}
	c.timer = d.clock.AfterFunc(d.handshake, func() { _ = nc.Close() })
	d.mu.Lock()
	d.last = c
	d.mu.Unlock()
	if d.ctx.Err() != nil { // the Generation ended meanwhile, perhaps before closeLast could see this connection
		_ = c.Close()
		return nil, context.Cause(d.ctx)
	}
	return c, nil
}

// pause waits as long as is due before the next dial, less when the Generation ends.
func (d *dialer) pause() error {
	d.mu.Lock()
	since, first := d.clock.Mono()-d.at, d.at == 0
	d.mu.Unlock()
	wait := minDialPause
	if r := d.hosts.rounds(); r > 0 {
		wait = min(minDialPause<<min(r, 6), maxDialPause)
	}
	if !first && since < wait {
		if err := d.clock.Sleep(d.ctx, wait-since); err != nil {
			return context.Cause(d.ctx)
		}
	}
	d.mu.Lock()
	d.at = max(d.clock.Mono(), 1)
	d.mu.Unlock()
	if d.ctx.Err() != nil {
		return context.Cause(d.ctx)
	}
	return nil
}

// established stops the clock on the handshake of the newest connection.
func (d *dialer) established() {
	d.mu.Lock()
	c := d.last
	d.mu.Unlock()
	if c != nil {
		c.timer.Stop()
	}
}

// noteCredentials keeps what the newest connection's handshake gave. It is called in the goroutine of the handshake: at
// any other time a new connection may be making the next one.
func (d *dialer) noteCredentials() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c := d.last; c != nil {
		d.creds = Credentials{ID: int64(binary.BigEndian.Uint64(c.head[12:20])), Password: bytes.Clone(c.head[24:40])}
	}
}

// credentials are those of the session, once it is established.
func (d *dialer) credentials() Credentials {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.creds
}

// closeLast breaks the newest connection.
func (d *dialer) closeLast() {
	d.mu.Lock()
	c := d.last
	d.mu.Unlock()
	if c != nil {
		_ = c.Close()
	}
}

// conn is a connection that mends three faults of the library and marks I/O errors.
//
// The first fault: after a reconnect the library re-sends its watches with the newest zxid it has seen as "changes up
// to here are known", but reads that number after requests may already have been answered on the new connection. A
// change made while it was away would then never be reported. The number is replaced by the one that the connect
// request carried, which was read before.
//
// The second: it reads that number without a lock while the receiver may write it. Answers are held back until the
// watches are on their way (or a short time has passed, as there may be none).
//
// The third: a request that cannot be written is answered when it fails, again when the connection ends, and, if it was asked for while the library was being
// closed, once more at that moment. There is room for two answers; where the asker has gone, the third waits for ever, and with it the end of the Generation. So a write
// that fails ends the connection and counts as done: the reader, who notices, has all requests answered.
type conn struct {
	net.Conn
	armed func() bool
	heard *atomic.Int64 // of the dialer
	clock *clock.Clock
	timer *clock.Timer // closes the connection unless the handshake ends in time

	// Written by the goroutine that writes requests only (the handshake's, then the send loop's).
	wrote    bool
	lastZxid [8]byte

	// Used by the goroutine that reads only.
	read int64 // bytes
	head [connectResponseBytes]byte

	resumed     bool // set by the handshake's goroutine before the reader starts: there may be watches to re-send
	sentOnce    sync.Once
	watchesSent chan struct{}
}

// Write gets exactly one frame: length, then the connect request, or xid, opcode and body.
func (c *conn) Write(b []byte) (int, error) {
	handshake := !c.wrote // nobody reads beside it
	switch {
	case handshake:
		c.wrote = true
		if len(b) >= 16 { // length 4, protocol version 4, last zxid seen 8
			copy(c.lastZxid[:], b[8:16])
			c.resumed = c.lastZxid != [8]byte{} && c.armed()
		}
	case len(b) >= 20 && binary.BigEndian.Uint32(b[8:12]) == opSetWatches:
		b = append([]byte(nil), b...)
		copy(b[12:20], c.lastZxid[:])
		c.sentOnce.Do(func() { close(c.watchesSent) })
	}
	n, err := c.Conn.Write(b)
	switch {
	case err == nil:
	case handshake:
		err = &lossError{err}
	default:
		_ = c.Conn.Close()
		return len(b), nil
	}
	return n, err
}

func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if n > 0 {
		c.heard.Store(int64(max(c.clock.Mono(), 1)))
	}
	// The answer to the connect request is at most 45 bytes; what comes after belongs to requests.
	if c.resumed && c.read > 0 && len(b) == 4 && c.handshakeOver() {
		c.resumed = false
		t := c.clock.NewTimer(setWatchesWait)
		select {
		case <-c.watchesSent:
		case <-t.C:
		}
		t.Stop()
	}
	if c.read < connectResponseBytes {
		copy(c.head[c.read:], b[:n])
	}
	c.read += int64(n)
	if err != nil {
		err = &lossError{err}
	}
	return n, err
}

// connectResponseBytes is the connect response without its optional last byte: length 4, protocol version 4, timeout 4, session id 8, password 4 + 16.
const connectResponseBytes = 40

// handshakeOver says whether the connect response was read.
func (c *conn) handshakeOver() bool { return c.read >= connectResponseBytes }
