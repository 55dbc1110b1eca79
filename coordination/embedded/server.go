package embedded

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gokafka/internal/clock"
)

// Server is one ZooKeeper with its directory. Several may live in one process.
type Server struct {
	opts   Options
	clock  *clock.Clock
	logger *slog.Logger

	inbox  *inbox
	flow   *budget      // request bytes of all connections
	unsent atomic.Int64 // output bytes of all connections
	bufs   sync.Pool    // of *[]byte, output buffers

	wg        sync.WaitGroup // connections' goroutines and acceptors
	snapshots sync.WaitGroup // the snapshot writer
	loopDone  chan struct{}
	stop      chan struct{} // closed by Close: the loop is to end in good order
	stopOnce  sync.Once
	failed    chan struct{} // closed by fail
	done      chan struct{} // closed when nothing runs any more

	mu        sync.Mutex // guards the following; held only briefly, and no other lock under it
	closing   bool
	err       error
	nextConn  uint64
	conns     map[*conn]struct{}
	perHost   map[string]int
	listeners map[net.Listener]struct{}

	syncer syncer
	l      loop
}

// Open recovers the directory and starts a server without listeners. ctx bounds the opening only.
func Open(ctx context.Context, opts Options) (*Server, error) {
	opts, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	st, rec, err := openStore(opts.FS, opts.Dir, opts.Logger, !opts.NoSync)
	if err != nil {
		return nil, err
	}
	s := &Server{
		opts: opts, clock: opts.Clock, logger: opts.Logger,
		inbox: newInbox(), flow: newBudget(serverRequestBytes),
		loopDone: make(chan struct{}), stop: make(chan struct{}), failed: make(chan struct{}), done: make(chan struct{}),
		conns: make(map[*conn]struct{}), perHost: make(map[string]int), listeners: make(map[net.Listener]struct{}),
	}
	s.syncer = syncer{s: s, store: st, batches: make(chan *batch, 1), idle: make(chan struct{}, 1),
		full: make(chan error, 1), done: make(chan struct{})}
	s.l.init(s, rec)
	if err := s.purgeOrphans(rec.machine); err != nil {
		return nil, errors.Join(err, st.close())
	}
	go s.syncer.run()
	go s.l.run()
	go func() {
		<-s.loopDone
		s.shutdown()
	}()
	return s, nil
}

// purgeOrphans deletes ephemeral nodes whose session does not exist, before anyone can see them.
func (s *Server) purgeOrphans(m *machine) error {
	for _, owner := range m.orphans() {
		s.logger.Warn("coordination: ephemeral nodes of an unknown session are deleted", "session", hexID(owner))
		out := m.closeSession(owner, s.clock.NowMs())
		if err := s.syncer.store.log.append(frameRecord(nil, out.record)); err != nil {
			return err
		}
	}
	return nil
}

func hexID(id int64) string { return fmt.Sprintf("%#x", uint64(id)) }

// Serve accepts connections until the listener or the server is closed, and closes the listener. It returns nil when
// the server was closed.
func (s *Server) Serve(l net.Listener) error {
	defer l.Close()
	s.mu.Lock()
	if s.closing {
		s.mu.Unlock()
		return net.ErrClosed
	}
	s.listeners[l] = struct{}{}
	s.wg.Add(1)
	s.mu.Unlock()
	defer s.wg.Done()
	defer func() {
		s.mu.Lock()
		delete(s.listeners, l)
		s.mu.Unlock()
	}()
	for delay := time.Duration(0); ; {
		nc, err := l.Accept()
		if err == nil {
			delay = 0
			s.admit(nc)
			continue
		}
		if s.isClosing() {
			return nil
		}
		if ne, ok := errors.AsType[net.Error](err); errors.Is(err, net.ErrClosed) || !ok || !ne.Timeout() && !temporary(err) {
			return fmt.Errorf("coordination: accept on %s: %w", l.Addr(), err)
		}
		// Out of descriptors, most likely: it may pass.
		delay = min(max(2*delay, 5*time.Millisecond), time.Second)
		s.logger.Warn("coordination: cannot accept", "err", err)
		t := s.clock.NewTimer(delay)
		select {
		case <-t.C:
		case <-s.stop:
		case <-s.failed:
		}
		t.Stop()
	}
}

// temporary asks what package net still reports for a lack of descriptors or an aborted connection.
func temporary(err error) bool {
	t, ok := errors.AsType[interface {
		error
		Temporary() bool
	}](err)
	return ok && t.Temporary()
}

// admit starts a connection unless its host has too many.
func (s *Server) admit(nc net.Conn) *conn {
	s.mu.Lock()
	s.nextConn++
	c := newConn(s, s.nextConn, nc)
	_, tcp := nc.RemoteAddr().(*net.TCPAddr)
	tooMany := tcp && s.opts.MaxConnsPerHost > 0 && s.perHost[c.host] >= s.opts.MaxConnsPerHost
	if s.closing || tooMany {
		s.mu.Unlock()
		if tooMany {
			s.logger.Warn("coordination: too many connections of one host", "client", c.addr, "limit", s.opts.MaxConnsPerHost)
		}
		nc.Close()
		return nil
	}
	s.conns[c] = struct{}{}
	if tcp {
		c.counted = true
		s.perHost[c.host]++
	}
	c.run()
	s.mu.Unlock()
	return c
}

// forget takes a connection whose reader has ended off the books.
func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
	if c.counted {
		if s.perHost[c.host]--; s.perHost[c.host] == 0 {
			delete(s.perHost, c.host)
		}
	}
}

func (s *Server) connections() []*conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*conn, 0, len(s.conns))
	for c := range s.conns {
		out = append(out, c)
	}
	return out
}

// DialContext connects in memory: no socket, so it works in a testing/synctest bubble and needs no port.
func (s *Server) DialContext(ctx context.Context) (net.Conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	client, server := net.Pipe()
	if s.admit(server) == nil {
		client.Close()
		return nil, fmt.Errorf("coordination: dial: %w", net.ErrClosed)
	}
	return client, nil
}

// Dial is DialContext without a context.
func (s *Server) Dial() (net.Conn, error) { return s.DialContext(context.Background()) }

// Done is closed when the server has stopped, by Close or by itself because its disk failed. Close must be called in
// both cases: it gives the directory free.
func (s *Server) Done() <-chan struct{} { return s.done }

// Err is nil unless the server stopped by itself; then it says why.
func (s *Server) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// port is that of a TCP listener, 0 if there is none.
func (s *Server) port() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for l := range s.listeners {
		if tcp, ok := l.Addr().(*net.TCPAddr); ok {
			return tcp.Port
		}
	}
	return 0
}

// fail stops the server at once: nothing more is acknowledged.
func (s *Server) fail(err error) {
	s.mu.Lock()
	first := s.err == nil
	if first {
		s.err = err
	}
	s.mu.Unlock()
	if first {
		s.logger.Error("coordination server stops: its disk failed", "err", err)
		close(s.failed)
	}
}

func (s *Server) isClosing() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closing
}

// Close answers what has been received, takes a snapshot, closes all connections and listeners, waits for every
// goroutine and gives the directory free. A second call does nothing. Sessions stay: their clients find them again after the next Open.
func (s *Server) Close() error {
	s.stopOnce.Do(func() {
		s.mu.Lock()
		s.closing = true
		s.mu.Unlock()
		close(s.stop)
	})
	<-s.done
	s.mu.Lock()
	st, err := s.syncer.store, s.err
	s.syncer.store = nil
	s.mu.Unlock()
	if st == nil {
		return nil
	}
	return errors.Join(err, st.close())
}

// shutdown ends everything but the loop, which has ended.
func (s *Server) shutdown() {
	s.mu.Lock()
	s.closing = true
	listeners := slices.Collect(maps.Keys(s.listeners))
	s.mu.Unlock()
	for _, l := range listeners {
		l.Close() // Serve reports what went wrong before
	}
	close(s.syncer.batches)
	<-s.syncer.done
	s.snapshots.Wait()
	// Give the writers a moment to send what was answered; then nobody waits any more.
	t := s.clock.NewTimer(lingerTimeout)
	conns := s.connections()
	for _, c := range conns {
		if s.Err() != nil {
			c.kill()
		} else {
			c.push(nil, true)
		}
	}
	flushed := make(chan struct{})
	go func() {
		s.wg.Wait()
		close(flushed)
	}()
	select {
	case <-flushed:
	case <-t.C:
	}
	t.Stop()
	s.flow.close()
	for _, c := range conns {
		c.kill()
	}
	<-flushed
	close(s.done)
}
