package zktest

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"gokafka/coordination"
)

// Operation codes of the client protocol, for DropReply.
const (
	OpCreate   int32 = 1
	OpDelete   int32 = 2
	OpExists   int32 = 3
	OpGet      int32 = 4
	OpSet      int32 = 5
	OpChildren int32 = 12
	OpMulti    int32 = 14
	opClose    int32 = -11
)

var errCut = errors.New("zktest: the line is cut")

// Link is the line of one Session. Its Dial goes into coordination.Options.
type Link struct {
	dial coordination.Dialer

	mu       sync.Mutex
	cut      bool
	current  *lineConn
	dials    int
	requests map[int32]int // sent, by operation code
	largest  int           // bytes of the largest request
	watches  int           // reads that set a watch
	drop     func(opcode int32, frame []byte) bool
	dropped  chan struct{}
	session  int64
	password []byte
}

// NewLink makes a line over dial.
func NewLink(dial coordination.Dialer) *Link {
	return &Link{dial: dial, requests: make(map[int32]int)}
}

// Dial is a coordination.Dialer.
func (l *Link) Dial(ctx context.Context, address string) (net.Conn, error) {
	l.mu.Lock()
	l.dials++
	cut := l.cut
	l.mu.Unlock()
	if cut {
		return nil, errCut
	}
	nc, err := l.dial(ctx, address)
	if err != nil {
		return nil, err
	}
	c := &lineConn{Conn: nc, l: l}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.cut {
		_ = nc.Close()
		return nil, errCut
	}
	l.current = c
	return c, nil
}

// Cut breaks the connection and refuses new ones until Restore.
func (l *Link) Cut() {
	l.mu.Lock()
	l.cut = true
	c := l.current
	l.mu.Unlock()
	if c != nil {
		_ = c.Close()
	}
}

// Restore lets connections through again.
func (l *Link) Restore() {
	l.mu.Lock()
	l.cut = false
	l.mu.Unlock()
}

// Break cuts the connection once; the next dial succeeds.
func (l *Link) Break() {
	l.Cut()
	l.Restore()
}

// Dials is how many connections were asked for.
func (l *Link) Dials() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.dials
}

// Requests is how many requests with that operation code were sent.
func (l *Link) Requests(opcode int32) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.requests[opcode]
}

// LargestRequest is the size of the largest request sent, in bytes, without the length before it.
func (l *Link) LargestRequest() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.largest
}

// Watches is how many reads set a watch.
func (l *Link) Watches() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.watches
}

// DropReply lets the next request with that operation code reach the server, waits for the reply, and breaks the
// connection instead of delivering it. The channel is closed when that has happened.
func (l *Link) DropReply(opcode int32) <-chan struct{} {
	return l.DropReplyIf(func(op int32, _ []byte) bool { return op == opcode })
}

// DropReplyIf is DropReply for the first request that match picks by its operation code and body.
func (l *Link) DropReplyIf(match func(opcode int32, body []byte) bool) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop, l.dropped = match, make(chan struct{})
	return l.dropped
}

// Expire closes the session on the server behind its owner's back and breaks the connection. The owner learns it when
// it connects again.
func (l *Link) Expire(ctx context.Context) error {
	l.CutAndExpire(ctx)
	l.Restore()
	return nil
}

// CutAndExpire is Expire, but the line stays cut.
func (l *Link) CutAndExpire(ctx context.Context) {
	l.Cut()
	l.mu.Lock()
	session, password := l.session, l.password
	l.mu.Unlock()
	if err := closeSession(ctx, l.dial, session, password); err != nil {
		panic(fmt.Sprintf("zktest: expire: %v", err))
	}
}

// closeSession takes over the session and closes it.
func closeSession(ctx context.Context, dial coordination.Dialer, session int64, password []byte) error {
	nc, err := dial(ctx, "zktest:0")
	if err != nil {
		return err
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(10 * time.Second))
	b := binary.BigEndian.AppendUint32(nil, uint32(28+len(password)))
	b = binary.BigEndian.AppendUint32(b, 0)               // protocol version
	b = binary.BigEndian.AppendUint64(b, 0)               // last zxid seen
	b = binary.BigEndian.AppendUint32(b, 10000)           // timeout, ms
	b = binary.BigEndian.AppendUint64(b, uint64(session)) // session
	b = binary.BigEndian.AppendUint32(b, uint32(len(password)))
	b = append(b, password...)
	if _, err := nc.Write(b); err != nil {
		return err
	}
	f, err := readFrame(nc)
	if err != nil {
		return err
	}
	if got := int64(binary.BigEndian.Uint64(f[12:])); got != session {
		return fmt.Errorf("session 0x%x answered as 0x%x", session, got)
	}
	op := opClose
	b = binary.BigEndian.AppendUint32(nil, 8)
	b = binary.BigEndian.AppendUint32(b, 1)
	b = binary.BigEndian.AppendUint32(b, uint32(op))
	if _, err := nc.Write(b); err != nil {
		return err
	}
	_, err = readFrame(nc)
	return err
}

// readFrame returns a frame with its length.
func readFrame(r io.Reader) ([]byte, error) {
	f := make([]byte, 4, 64)
	if _, err := io.ReadFull(r, f); err != nil {
		return nil, err
	}
	f = append(f, make([]byte, binary.BigEndian.Uint32(f))...)
	_, err := io.ReadFull(r, f[4:])
	return f, err
}

// lineConn sees frames: the client library writes one at a time.
type lineConn struct {
	net.Conn
	l *Link

	wrote bool // sender only
	read  bool // receiver only
	buf   []byte

	mu      sync.Mutex
	swallow int32 // xid whose reply is dropped; 0 = none
	dropped chan struct{}
}

func (c *lineConn) Write(b []byte) (int, error) {
	if !c.wrote {
		c.wrote = true
		return c.Conn.Write(b)
	}
	xid, op := int32(binary.BigEndian.Uint32(b[4:])), int32(binary.BigEndian.Uint32(b[8:]))
	c.l.mu.Lock()
	c.l.requests[op]++
	c.l.largest = max(c.l.largest, len(b)-4)
	if (op == OpGet || op == OpExists || op == OpChildren) && b[len(b)-1] == 1 {
		c.l.watches++
	}
	if c.l.drop != nil && c.l.drop(op, b[12:]) {
		c.mu.Lock()
		c.swallow, c.dropped = xid, c.l.dropped
		c.mu.Unlock()
		c.l.drop = nil
	}
	c.l.mu.Unlock()
	return c.Conn.Write(b)
}

func (c *lineConn) Read(p []byte) (int, error) {
	if len(c.buf) == 0 {
		f, err := readFrame(c.Conn)
		if err != nil {
			return 0, err
		}
		if !c.read {
			c.read = true
			c.l.mu.Lock()
			c.l.session = int64(binary.BigEndian.Uint64(f[12:]))
			c.l.password = append([]byte(nil), f[24:40]...)
			c.l.mu.Unlock()
		} else if c.swallowed(int32(binary.BigEndian.Uint32(f[4:]))) {
			return 0, errCut
		}
		c.buf = f
	}
	n := copy(p, c.buf)
	c.buf = c.buf[n:]
	return n, nil
}

func (c *lineConn) swallowed(xid int32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.swallow == 0 || xid != c.swallow {
		return false
	}
	close(c.dropped)
	c.swallow = 0
	_ = c.Close()
	return true
}
