package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"gokafka/handlers"
	"gokafka/internal/clock"
	"gokafka/security"
)

// Listener says where to listen and under which listener name requests come in.
type Listener struct {
	Name string
	Host string // empty = all interfaces
	Port int32  // 0 = any free one
}

// Options of a server. All fields without a word are needed.
type Options struct {
	// Serve serves one request; handlers.Handlers.Serve is it.
	Serve  func(context.Context, *handlers.Request) (handlers.Answer, error)
	Clock  *clock.Clock
	Logger *slog.Logger
	// MaxFrameBytes bounds a request (socket.request.max.bytes).
	MaxFrameBytes int32
	// FrameBudgetBytes bounds the memory of all frames that do not fit a pooled buffer. At least MaxFrameBytes.
	FrameBudgetBytes int64
	// MaxIdle closes a connection that sends nothing for so long (connections.max.idle.ms). Not above 0: never.
	MaxIdle time.Duration
	// MaxConnections and MaxConnectionsPerIP bound the connections (max.connections, max.connections.per.ip). At the first bound the server stops accepting, at the second it closes the new one.
	MaxConnections      int
	MaxConnectionsPerIP int
	// MaxConnectionsPerIPOf overrides MaxConnectionsPerIP for some addresses (max.connections.per.ip.overrides).
	MaxConnectionsPerIPOf map[string]int
	// WriteTimeout closes a connection whose peer takes nothing for so long.
	WriteTimeout time.Duration
	// Listen opens a listener at host:port; nil = TCP.
	Listen func(addr string) (net.Listener, error)
}

// Server serves the listeners of one broker.
type Server struct {
	Options
	ctx       context.Context // ends when Close begins to force waiting requests to an end
	cancel    context.CancelFunc
	wg        sync.WaitGroup // acceptors and connections
	frames    *budget
	buffers   sync.Pool // of *[]byte, bufferBytes long
	slots     chan struct{}
	nextID    atomic.Uint64
	mu        sync.Mutex // guards what follows
	closed    bool
	listeners []net.Listener
	conns     map[*conn]struct{}
	perIP     map[string]int
}

// bufferBytes is the size of a pooled read buffer: large enough that pipelined requests of 64 KiB come several to a read.
const bufferBytes = 256 << 10

// New returns a server that listens nowhere yet.
func New(o Options) *Server {
	if o.Listen == nil {
		o.Listen = func(addr string) (net.Listener, error) { return net.Listen("tcp", addr) }
	}
	s := &Server{Options: o, conns: map[*conn]struct{}{}, perIP: map[string]int{}}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.frames = newBudget(max(o.FrameBudgetBytes, int64(o.MaxFrameBytes)))
	s.buffers.New = func() any { b := make([]byte, bufferBytes); return &b }
	if o.MaxConnections > 0 {
		s.slots = make(chan struct{}, o.MaxConnections)
	}
	return s
}

// Bind opens the listener's socket and returns its address. Connections wait in its backlog until Accept.
func (s *Server) Bind(l Listener) (net.Listener, error) {
	host := l.Host
	ln, err := s.Listen(net.JoinHostPort(host, strconv.Itoa(int(l.Port))))
	if err != nil {
		return nil, fmt.Errorf("listener %s: %w", l.Name, err)
	}
	return ln, nil
}

// Accept accepts connections of ln, which it owns from now on, until Close. It returns at once.
func (s *Server) Accept(name string, ln net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		ln.Close()
		return
	}
	s.listeners = append(s.listeners, ln)
	s.wg.Go(func() { s.accept(name, ln) })
}

func (s *Server) accept(name string, ln net.Listener) {
	pause := 5 * time.Millisecond
	for {
		if s.slots != nil {
			select {
			case s.slots <- struct{}{}:
			case <-s.ctx.Done():
				return
			}
		}
		nc, err := ln.Accept()
		if err != nil {
			s.freeSlot()
			if errors.Is(err, net.ErrClosed) || s.ctx.Err() != nil {
				return
			}
			// Out of descriptors, or a connection that died in the backlog: wait a little, go on.
			s.Logger.Error("Error while accepting connection", "listener", name, "error", err)
			if s.Clock.Sleep(s.ctx, pause) != nil {
				return
			}
			pause = min(2*pause, time.Second)
			continue
		}
		pause = 5 * time.Millisecond
		s.start(name, nc)
	}
}

func (s *Server) freeSlot() {
	if s.slots != nil {
		<-s.slots
	}
}

// start serves a new connection, or closes it when its host has too many or the server is closing.
func (s *Server) start(name string, nc net.Conn) {
	host, _, err := net.SplitHostPort(nc.RemoteAddr().String())
	if err != nil { // an in-memory connection
		host = nc.RemoteAddr().String()
	}
	s.mu.Lock()
	limit, limited := s.MaxConnectionsPerIPOf[host]
	if !limited {
		limit, limited = s.MaxConnectionsPerIP, s.MaxConnectionsPerIP > 0
	}
	refuse := s.closed || limited && s.perIP[host] >= limit
	if refuse {
		s.mu.Unlock()
		nc.Close()
		s.freeSlot()
		return
	}
	c := newConn(s, nc, &handlers.Conn{ID: s.nextID.Add(1), Listener: name, Host: host, Principal: security.Anonymous})
	s.perIP[host]++
	s.conns[c] = struct{}{}
	s.wg.Go(func() {
		defer s.gone(c)
		c.run()
	})
	s.mu.Unlock()
}

func (s *Server) gone(c *conn) {
	s.mu.Lock()
	delete(s.conns, c)
	if s.perIP[c.info.Host]--; s.perIP[c.info.Host] == 0 {
		delete(s.perIP, c.info.Host)
	}
	s.mu.Unlock()
	s.freeSlot()
}

// Connections is the number of open connections.
func (s *Server) Connections() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.conns)
}

// Close stops accepting, lets each connection finish the request it serves, ends those that wait, closes all and waits for their goroutines.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	for _, ln := range s.listeners {
		ln.Close()
	}
	s.cancel()
	for c := range s.conns {
		c.stop()
	}
	s.mu.Unlock()
	s.wg.Wait()
}
