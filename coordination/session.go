package coordination

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// Hook is told of an expired session. Hooks run in the order in which they were added, one at a time, on the Session's
// own goroutine. They are not called for the first Generation, nor because of Close.
type Hook struct {
	Name string
	// Before runs when the old Generation is over and no new one exists. The new one is not begun before it returns.
	Before func()
	// After runs when the new Generation g is established; g may be over again before it returns. ctx ends with Close.
	After func(ctx context.Context, g *Generation)
}

// Session is a succession of ZooKeeper sessions. Safe for concurrent use.
type Session struct {
	opts       Options
	log        *slog.Logger
	dispatcher *dispatcher

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	loops  sync.WaitGroup

	mu      sync.Mutex // guards the rest
	current *Generation
	changed chan struct{} // closed and replaced when current changes
	hooks   []*Hook
}

// Open connects, creates the chroot if it is missing, and returns when the first Generation is established; ctx bounds
// the wait (zookeeper.connection.timeout.ms) and nothing else.
func Open(ctx context.Context, opts Options) (*Session, error) {
	if err := opts.setDefaults(); err != nil {
		return nil, err
	}
	s := &Session{opts: opts, log: opts.Logger, dispatcher: newDispatcher(), changed: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	g, err := s.establish(ctx, 1)
	if err == nil {
		if err = g.createChroot(ctx); err != nil {
			g.close()
		}
	}
	if err != nil {
		s.cancel()
		return nil, fmt.Errorf("connect to zookeeper %s: %w", strings.Join(opts.Servers, ","), err)
	}
	s.current = g
	s.loops.Go(func() { s.dispatcher.run(s.ctx) })
	s.loops.Go(s.run)
	return s, nil
}

// establish makes Generations until one gets its session.
func (s *Session) establish(ctx context.Context, number int64) (*Generation, error) {
	for {
		g, err := newGeneration(s, number)
		if err != nil {
			return nil, err
		}
		err = g.awaitUp(ctx)
		if err == nil {
			g.id = g.conn.SessionID()
			g.creds = g.dialer.credentials()
			s.log.Info("zookeeper session established", "generation", number, "session", fmt.Sprintf("0x%x", g.id))
			return g, nil
		}
		g.close()
		if ctx.Err() != nil || !errors.Is(err, ErrSessionExpired) {
			return nil, err
		}
		if err := s.opts.Clock.Sleep(ctx, minDialPause); err != nil {
			return nil, err
		}
	}
}

// run replaces Generations as they expire, until Close.
func (s *Session) run() {
	g := s.Current()
	for {
		select {
		case <-s.ctx.Done():
			g.close()
			return
		case <-g.Done():
		}
		if s.ctx.Err() != nil {
			g.close()
			return
		}
		s.log.Warn("zookeeper session expired", "generation", g.number, "session", fmt.Sprintf("0x%x", g.id))
		old := g
		s.loops.Go(old.close) // may take a second; the hooks need not wait for it
		for _, h := range s.hookList() {
			if h.Before != nil {
				h.Before()
			}
		}
		next, err := s.establish(s.ctx, old.number+1)
		if err != nil { // only by Close: a Generation that cannot connect tries for ever
			return
		}
		g = next
		s.mu.Lock()
		s.current = g
		close(s.changed)
		s.changed = make(chan struct{})
		s.mu.Unlock()
		for _, h := range s.hookList() {
			if h.After != nil {
				h.After(s.ctx, g)
			}
		}
	}
}

func (s *Session) hookList() []*Hook {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.hooks)
}

// AddHook registers h and returns what removes it. A hook that is running is not awaited.
func (s *Session) AddHook(h Hook) (remove func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hooks = append(s.hooks, &h)
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.hooks = slices.DeleteFunc(slices.Clone(s.hooks), func(x *Hook) bool { return x == &h })
	}
}

// Current returns the newest Generation, which may be over.
func (s *Session) Current() *Generation {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.current
}

// Await returns a Generation that is not known to be over, and waits for one if need be.
func (s *Session) Await(ctx context.Context) (*Generation, error) {
	for {
		s.mu.Lock()
		g, changed := s.current, s.changed
		s.mu.Unlock()
		if s.ctx.Err() != nil {
			return nil, ErrClosed
		}
		if g.Err() == nil {
			return g, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for a zookeeper session: %w", context.Cause(ctx))
		case <-s.ctx.Done():
			return nil, ErrClosed
		}
	}
}

// Watch registers f to be called, on the Session's dispatch goroutine, after a watch of that kind on path has fired.
// It sets no watch: GetW, ExistsW and ChildrenW do, and as a watch fires once, f should lead to another such read. What
// fired is not told, and several events may make one call: f means "read again". It must return soon; handlers run one
// at a time. After an expiry nothing fires: use a Hook and read everything.
func (s *Session) Watch(path string, kind WatchKind, f func()) *Watch {
	return s.dispatcher.add(watchKey{path, kind}, f)
}

// HeardLately says whether a server answered within half the session timeout. Then the session cannot have expired yet: the
// library pings three times in a timeout, and a server lets a session live for a timeout after it heard of it.
func (s *Session) HeardLately() bool {
	g := s.Current()
	at := time.Duration(g.dialer.heard.Load())
	return g.Err() == nil && at > 0 && s.opts.Clock.Mono()-at < s.opts.SessionTimeout/2
}

// Close closes the session on the server, which deletes its ephemeral nodes, and waits for all goroutines. Calls under
// way return ErrClosed. It must not be called from a handler or a hook.
func (s *Session) Close() error {
	s.Current().end(ErrClosed)
	s.cancel()
	s.loops.Wait()
	return nil
}

// MaxRequestBytes is the size of the largest request that is sent.
func (s *Session) MaxRequestBytes() int { return s.opts.MaxRequestBytes }

// SessionTimeout is the timeout that was asked for.
func (s *Session) SessionTimeout() time.Duration { return s.opts.SessionTimeout }
