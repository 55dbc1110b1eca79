package coordination

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
)

// Generation is one ZooKeeper session: what was begun under it ends with it. A holder of one (an elected controller, a
// registration) therefore needs no further check that "its" session still is the current one. Safe for concurrent use.
type Generation struct {
	s      *Session
	number int64
	conn   *zk.Conn
	events <-chan zk.Event // closed by the library when its goroutines have ended
	dialer *dialer
	slots  chan struct{} // one token for each request in flight
	watch  *watchTable
	log    *slog.Logger

	ctx   context.Context // ends, with its cause, when the Generation is over
	endIt context.CancelCauseFunc

	// Both are set before anybody but the Session has the Generation.
	id    int64
	creds Credentials

	mu    sync.Mutex     // guards over, up, wasUp and calls.Add
	over  bool           // no further call may start
	up    chan struct{}  // closed while connected
	isUp  bool           // up is closed
	wasUp bool           // it was connected before
	calls sync.WaitGroup // requests in flight, also those whose caller has gone
}

// newGeneration starts to connect; it does not wait.
func newGeneration(s *Session, number int64) (*Generation, error) {
	g := &Generation{
		s: s, number: number,
		slots: make(chan struct{}, s.opts.MaxInFlight),
		watch: &watchTable{entries: make(map[watchKey]*watchEntry)},
		log:   s.log.With("generation", number),
		up:    make(chan struct{}),
	}
	g.ctx, g.endIt = context.WithCancelCause(context.Background())
	h := &hosts{over: func() bool { return g.ctx.Err() != nil }}
	g.dialer = &dialer{
		ctx: g.ctx, dialf: s.opts.Dial, hosts: h, clock: s.opts.Clock, armed: g.watch.any,
		handshake: max(s.opts.SessionTimeout/time.Duration(len(s.opts.Servers)), 100*time.Millisecond),
	}
	conn, events, err := zk.Connect(s.opts.Servers, s.opts.SessionTimeout,
		zk.WithHostProvider(h),
		zk.WithDialer(g.dialer.dial),
		zk.WithEventCallback(g.onEvent),
		zk.WithMaxConnBufferSize(sendBuffer(s.opts.MaxRequestBytes)),
		zk.WithMaxBufferSize(maxAnswerBytes),
		zk.WithLogger(libLogger{g.log}),
		zk.WithLogInfo(false),
	)
	if err != nil {
		g.endIt(err)
		return nil, fmt.Errorf("zookeeper %s: %w", strings.Join(s.opts.Servers, ","), err)
	}
	g.conn, g.events = conn, events
	return g, nil
}

// sendBuffer is the size of the library's send buffer: a request of the largest size, its length, and what its encoder
// wants in reserve. It is also used for pings and watches (128 KiB at a time).
func sendBuffer(maxRequestBytes int) int { return max(maxRequestBytes, 256<<10) + 64 }

// libLogger takes the library's chatter at debug level; what matters is logged by Generation.
type libLogger struct{ log *slog.Logger }

func (l libLogger) Printf(format string, args ...any) {
	l.log.Debug(fmt.Sprintf(format, args...))
}

// onEvent is called in the library's connection goroutine, before it goes on. It must not block nor call the Conn's
// requests.
func (g *Generation) onEvent(ev zk.Event) {
	if ev.Type != zk.EventSession {
		path, ok := strings.CutPrefix(ev.Path, g.s.opts.Chroot)
		if !ok {
			return
		}
		if path == "" {
			path = "/"
		}
		for _, k := range firedKeys(ev.Type, path) {
			g.watch.fire(k)
			g.s.dispatcher.mark(k)
		}
		return
	}
	switch ev.State {
	case zk.StateHasSession:
		g.dialer.established()
		g.dialer.noteCredentials()
		g.setUp(true)
	case zk.StateDisconnected:
		g.setUp(false)
	case zk.StateExpired:
		g.dialer.established()
		g.end(ErrSessionExpired)
	}
}

func (g *Generation) setUp(up bool) {
	g.mu.Lock()
	changed, again := up != g.isUp, g.wasUp
	g.isUp, g.wasUp = up, g.wasUp || up
	switch {
	case changed && up:
		close(g.up)
	case changed:
		g.up = make(chan struct{})
	}
	g.mu.Unlock()
	switch {
	case !changed || !again || g.ctx.Err() != nil:
	case up:
		g.log.Info("zookeeper connection restored, the session lives on")
	default:
		g.log.Warn("zookeeper connection lost, connecting again")
	}
}

// awaitUp waits until the Generation is connected, over, or ctx ends.
func (g *Generation) awaitUp(ctx context.Context) error {
	g.mu.Lock()
	up := g.up
	g.mu.Unlock()
	select {
	case <-up:
		return nil
	case <-g.ctx.Done():
		return context.Cause(g.ctx)
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// end makes the Generation over: no request starts, all callers are let go, the dialer refuses. It does not block.
func (g *Generation) end(cause error) {
	g.endIt(cause) // first: who sees over finds the cause
	g.mu.Lock()
	g.over = true
	g.mu.Unlock()
}

// close ends the Generation and waits for all its goroutines. A live session is closed on the server, so that its
// ephemeral nodes go at once.
func (g *Generation) close() {
	g.end(ErrClosed) // a no-op for the cause if it is over already
	closed := make(chan struct{})
	go func() {
		g.conn.Close() // up to a second without an answer, two more if the send queue is full
		close(closed)
	}()
	t := g.s.opts.Clock.NewTimer(time.Second)
	select {
	case <-closed:
	case <-t.C:
	}
	t.Stop()
	// With the close request answered the library hangs up by itself; without, it would wait for a read timeout.
	t = g.s.opts.Clock.NewTimer(100 * time.Millisecond)
	for open := true; open; {
		select {
		case _, open = <-g.events:
		case <-t.C:
			g.dialer.closeLast()
		}
	}
	t.Stop()
	<-closed
	g.dialer.closeLast() // the library forgets to close the connection on which it learnt of an expiry
	g.calls.Wait()
}

// ID is ZooKeeper's id of the session, the owner of its ephemeral nodes.
func (g *Generation) ID() int64 { return g.id }

// Number counts the Generations of a Session from 1.
func (g *Generation) Number() int64 { return g.number }

// Done is closed when the Generation is over.
func (g *Generation) Done() <-chan struct{} { return g.ctx.Done() }

// Err says why the Generation is over: ErrSessionExpired or ErrClosed; nil while it lives.
func (g *Generation) Err() error { return context.Cause(g.ctx) }

// Connected says whether there is a connection now. Calls wait while there is none.
func (g *Generation) Connected() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.isUp && !g.over
}

// Context returns a context that ends with parent or with the Generation, then with Err as its cause.
func (g *Generation) Context(parent context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(parent)
	stop := context.AfterFunc(g.ctx, func() { cancel(context.Cause(g.ctx)) })
	return ctx, func() { stop(); cancel(context.Canceled) }
}
