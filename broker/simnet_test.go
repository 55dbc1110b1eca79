package broker

import (
	"context"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	"gokafka/coordination"
	"gokafka/coordination/embedded"
	"gokafka/coordination/zktest"
)

// zkAddr is where a simNet has ZooKeeper.
const zkAddr = "10.0.0.100:2181"

// simNet is a network in memory: hosts listen and dial, hosts go down, and pairs of hosts lose each other. Pairs that are cut reset what is open and leave new
// connections without an answer; pairs that are stalled keep each other waiting; a host that is up refuses what it does not listen to.
type simNet struct {
	zk *embedded.Server
	// lines makes a host's line to ZooKeeper, over which it is dialled; nil = a plain one.
	lines func(host string, dial coordination.Dialer) *zktest.Link

	mu        sync.Mutex
	listeners map[string]*simListener
	links     map[string]*zktest.Link
	conns     map[*simConn]struct{}
	written   func(local, remote string, b []byte) // told of what a host wrote and the other side has read; nil = nobody is
	down      map[string]bool
	cut       map[[2]string]bool
	stalled   map[[2]string]chan struct{} // closed when bytes flow again
}

func newSimNet(zk *embedded.Server) *simNet {
	return &simNet{zk: zk, listeners: map[string]*simListener{}, links: map[string]*zktest.Link{}, conns: map[*simConn]struct{}{}, down: map[string]bool{}, cut: map[[2]string]bool{}, stalled: map[[2]string]chan struct{}{}}
}

// simHost is the network as one host sees it.
type simHost struct {
	n    *simNet
	host string
}

type simAddr string

func (a simAddr) Network() string { return "sim" }
func (a simAddr) String() string  { return string(a) }

type simConn struct {
	net.Conn
	n             *simNet
	local, remote string // hosts
	addr          simAddr
	once          sync.Once
	closed        chan struct{}

	mu       sync.Mutex
	deadline time.Time // of writes
}

// Write waits while the pair is stalled.
func (c *simConn) Write(b []byte) (int, error) {
	for {
		c.n.mu.Lock()
		stalled := c.n.stalled[pair(c.local, c.remote)]
		c.n.mu.Unlock()
		if stalled == nil {
			n, err := c.Conn.Write(b)
			if c.n.written != nil && err == nil {
				c.n.written(c.local, c.remote, b)
			}
			return n, asSocket(err)
		}
		c.mu.Lock()
		deadline := c.deadline
		c.mu.Unlock()
		var late <-chan time.Time
		if !deadline.IsZero() {
			late = time.After(time.Until(deadline))
		}
		select {
		case <-stalled:
		case <-c.closed:
			return 0, net.ErrClosed
		case <-late:
			return 0, os.ErrDeadlineExceeded
		}
	}
}

func (c *simConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	return n, asSocket(err)
}

// asSocket is the error that a socket would give.
func asSocket(err error) error {
	if errors.Is(err, io.ErrClosedPipe) {
		return &net.OpError{Op: "read or write", Err: os.NewSyscallError("read or write", syscall.ECONNRESET)}
	}
	return err
}

func (c *simConn) SetDeadline(t time.Time) error {
	c.note(t)
	return c.Conn.SetDeadline(t)
}

func (c *simConn) SetWriteDeadline(t time.Time) error {
	c.note(t)
	return c.Conn.SetWriteDeadline(t)
}

func (c *simConn) note(t time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = t
}

func (c *simConn) RemoteAddr() net.Addr { return c.addr }

func (c *simConn) Close() error {
	c.once.Do(func() {
		c.n.mu.Lock()
		delete(c.n.conns, c)
		c.n.mu.Unlock()
		close(c.closed)
	})
	return c.Conn.Close()
}

type simListener struct {
	n      *simNet
	addr   string
	accept chan net.Conn
	closed chan struct{}
	once   sync.Once
}

func (l *simListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.accept:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *simListener) Close() error {
	l.once.Do(func() {
		l.n.mu.Lock()
		if l.n.listeners[l.addr] == l {
			delete(l.n.listeners, l.addr)
		}
		l.n.mu.Unlock()
		close(l.closed)
	})
	return nil
}

func (l *simListener) Addr() net.Addr { return simAddr(l.addr) }

func (h simHost) Listen(addr string) (net.Listener, error) {
	h.n.mu.Lock()
	defer h.n.mu.Unlock()
	if h.n.listeners[addr] != nil {
		return nil, &net.OpError{Op: "listen", Err: syscall.EADDRINUSE}
	}
	l := &simListener{n: h.n, addr: addr, accept: make(chan net.Conn), closed: make(chan struct{})}
	h.n.listeners[addr] = l
	return l, nil
}

func pair(a, b string) [2]string { return [2]string{min(a, b), max(a, b)} }

// dialTimeout is when a machine gives up a connection that nobody answers.
const dialTimeout = time.Minute

func (h simHost) Dial(ctx context.Context, addr string) (net.Conn, error) {
	to, _, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	n := h.n
	n.mu.Lock()
	down, cut, l := n.down[h.host], n.cut[pair(h.host, to)], n.listeners[addr]
	n.mu.Unlock()
	fail := func(err error) (net.Conn, error) { return nil, &net.OpError{Op: "dial", Err: err} }
	switch {
	case down:
		return fail(syscall.ENETDOWN)
	case cut:
		select {
		case <-ctx.Done():
			return fail(context.Cause(ctx))
		case <-time.After(dialTimeout):
			return fail(syscall.ETIMEDOUT)
		}
	case addr == zkAddr:
		return h.dialZooKeeper(ctx, addr)
	case l == nil:
		return fail(syscall.ECONNREFUSED)
	}
	near, far := net.Pipe()
	c, f := n.track(near, h.host, to, addr), n.track(far, to, h.host, h.host+":40000")
	select {
	case l.accept <- f:
		return c, nil
	case <-l.closed:
		err = syscall.ECONNREFUSED
	case <-ctx.Done():
		err = context.Cause(ctx)
	}
	c.Close()
	f.Close()
	return fail(err)
}

func (h simHost) dialZooKeeper(ctx context.Context, addr string) (net.Conn, error) {
	n := h.n
	dial := func(ctx context.Context, addr string) (net.Conn, error) {
		c, err := n.zk.DialContext(ctx)
		if err != nil {
			return nil, err
		}
		to, _, _ := net.SplitHostPort(addr)
		return n.track(c, h.host, to, addr), nil
	}
	n.mu.Lock()
	link := n.links[h.host]
	if link == nil && n.lines != nil && h.host != simClients {
		link = n.lines(h.host, dial)
		n.links[h.host] = link
	}
	n.mu.Unlock()
	if link != nil {
		return link.Dial(ctx, addr)
	}
	return dial(ctx, addr)
}

func (n *simNet) track(c net.Conn, local, remote, addr string) *simConn {
	s := &simConn{Conn: c, n: n, local: local, remote: remote, addr: simAddr(addr), closed: make(chan struct{})}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.conns[s] = struct{}{}
	return s
}

// end closes the connections for which gone holds.
func (n *simNet) end(gone func(*simConn) bool) {
	n.mu.Lock()
	var list []*simConn
	for c := range n.conns {
		if gone(c) {
			list = append(list, c)
		}
	}
	n.mu.Unlock()
	for _, c := range list {
		c.Close()
	}
}

// setDown ends all that a host listens to and is connected with, or lets it begin again.
func (n *simNet) setDown(host string, down bool) {
	n.mu.Lock()
	n.down[host] = down
	var ls []*simListener
	for _, l := range n.listeners {
		if h, _, _ := net.SplitHostPort(l.addr); down && h == host {
			ls = append(ls, l)
		}
	}
	n.mu.Unlock()
	for _, l := range ls {
		l.Close()
	}
	if down {
		n.end(func(c *simConn) bool { return c.local == host }) // the others read an end
	}
}

func (n *simNet) isCut(a, b string) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.cut[pair(a, b)]
}

// setStalled keeps what two hosts send each other on its way, or lets it arrive. Nothing is lost by it, but those who wait may give up.
func (n *simNet) setStalled(a, b string, stalled bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	ch := n.stalled[pair(a, b)]
	switch {
	case stalled && ch == nil:
		n.stalled[pair(a, b)] = make(chan struct{})
	case !stalled && ch != nil:
		close(ch)
		delete(n.stalled, pair(a, b))
	}
}

// setCut lets two hosts lose each other, or find each other again.
func (n *simNet) setCut(a, b string, cut bool) {
	n.mu.Lock()
	n.cut[pair(a, b)] = cut
	n.mu.Unlock()
	if cut {
		n.end(func(c *simConn) bool { return pair(c.local, c.remote) == pair(a, b) })
	}
}
