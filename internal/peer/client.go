package peer

import (
	"context"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Client keeps a connection to one broker: opened by the first request, closed by any error, reopened by the next
// request after a pause. Requests of several goroutines go one at a time. Its own lock is held over the network.
type Client struct {
	opt  Options
	addr func() (string, error)

	// sem (capacity 1) makes requests one at a time and, unlike a mutex, can be waited for with a context.
	sem       chan struct{}
	connAddr  string        // guarded by sem
	failedAt  time.Duration // guarded by sem: monotonic time of the last failure
	hasFailed bool          // guarded by sem

	mu     sync.Mutex
	conn   *Conn
	closed bool
}

// NewClient returns a client of the broker at addr, which is asked before each connection: it may move, or be unknown yet.
func NewClient(addr func() (string, error), opt Options) *Client {
	return &Client{opt: opt.withDefaults(), addr: addr, sem: make(chan struct{}, 1)}
}

// Fixed is an address that never moves.
func Fixed(addr string) func() (string, error) { return func() (string, error) { return addr, nil } }

// Request sends req in the version set in it.
func (c *Client) Request(ctx context.Context, req kmsg.Request) (kmsg.Response, error) {
	return c.do(ctx, func(conn *Conn) (kmsg.Response, error) { return conn.Request(ctx, req) })
}

// Negotiated sends req in the highest version between minVersion and the one set in it that the broker serves.
func (c *Client) Negotiated(ctx context.Context, req kmsg.Request, minVersion int16) (kmsg.Response, error) {
	highest := req.GetVersion()
	return c.do(ctx, func(conn *Conn) (kmsg.Response, error) {
		req.SetVersion(highest)
		if err := conn.negotiate(ctx, req, minVersion); err != nil {
			return nil, err
		}
		return conn.Request(ctx, req)
	})
}

func (c *Client) do(ctx context.Context, f func(*Conn) (kmsg.Response, error)) (kmsg.Response, error) {
	select {
	case c.sem <- struct{}{}:
		defer func() { <-c.sem }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	conn, err := c.connection(ctx)
	if err != nil {
		return nil, err
	}
	resp, err := f(conn)
	if err != nil {
		c.drop(conn)
		return nil, err
	}
	c.hasFailed = false
	return resp, nil
}

// connection returns the open connection or makes one. The caller holds sem.
func (c *Client) connection(ctx context.Context) (*Conn, error) {
	addr, err := c.addr()
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	conn, closed := c.conn, c.closed
	c.mu.Unlock()
	switch {
	case closed:
		return nil, ErrClosed
	case conn != nil && c.connAddr == addr:
		return conn, nil
	case conn != nil:
		conn.Close()
	}
	if c.hasFailed {
		if err := c.opt.Clock.Sleep(ctx, c.failedAt+c.opt.ReconnectBackoff-c.opt.Clock.Mono()); err != nil {
			return nil, err
		}
	}
	conn, err = Dial(ctx, addr, c.opt)
	if err != nil {
		c.hasFailed, c.failedAt = true, c.opt.Clock.Mono()
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		conn.Close()
		return nil, ErrClosed
	}
	c.conn, c.connAddr = conn, addr
	return conn, nil
}

// drop forgets a connection after an error. The caller holds sem.
func (c *Client) drop(conn *Conn) {
	conn.Close()
	c.mu.Lock()
	if c.conn == conn {
		c.conn = nil
	}
	c.mu.Unlock()
	c.hasFailed, c.failedAt = true, c.opt.Clock.Mono()
}

// Disconnect closes the connection; the next request makes another. A request in flight fails.
func (c *Client) Disconnect() {
	c.mu.Lock()
	conn := c.conn
	c.conn = nil
	c.mu.Unlock()
	if conn != nil {
		conn.Close()
	}
}

// Close fails the request in flight and all later ones.
func (c *Client) Close() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.Disconnect()
}
