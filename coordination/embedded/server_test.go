package embedded

import (
	"context"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"
	"testing"
	"time"

	"github.com/go-zookeeper/zk"
	"go.uber.org/goleak"

	"gokafka/internal/vfs"
)

// TestMain doubles as a server process of its own, for the tests that kill one.
func TestMain(m *testing.M) {
	if addr := os.Getenv("GOKAFKA_EMBEDDED_LISTEN"); addr != "" {
		serveProcess(addr, os.Getenv("GOKAFKA_EMBEDDED_DIR"))
		return
	}
	goleak.VerifyTestMain(m)
}

func serveProcess(addr, dir string) {
	s, err := Open(context.Background(), Options{Dir: dir, MaxConnsPerHost: -1})
	if err != nil {
		slog.Error("open", "err", err)
		os.Exit(1)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		slog.Error("listen", "err", err)
		os.Exit(1)
	}
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM)
	go s.Serve(l)
	select {
	case <-stop:
	case <-s.Done():
	}
	if err := s.Close(); err != nil {
		slog.Error("close", "err", err)
		os.Exit(1)
	}
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// open starts a server on a file system; it is closed with the test.
func open(t testing.TB, fs vfs.FS, opts Options) *Server {
	t.Helper()
	opts.FS = fs
	if opts.Dir == "" {
		opts.Dir = "/data"
	}
	if opts.Logger == nil {
		opts.Logger = quiet()
	}
	s, err := Open(context.Background(), opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// client connects go-zookeeper in memory and waits for its session.
func client(t testing.TB, s *Server, timeout time.Duration) *zk.Conn {
	t.Helper()
	c, events, err := zk.Connect([]string{"127.0.0.1:1"}, timeout, zk.WithLogger(silent{}),
		zk.WithDialer(func(string, string, time.Duration) (net.Conn, error) { return s.Dial() }))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	for e := range events {
		if e.State == zk.StateHasSession {
			break
		}
	}
	return c
}

type silent struct{}

func (silent) Printf(string, ...any) {}

// memRaw is a raw client in memory.
func memRaw(t *testing.T, s *Server) *raw {
	t.Helper()
	nc, err := s.Dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	return &raw{t: t, nc: nc}
}

// memSession is one with a session.
func memSession(t *testing.T, s *Server, timeout time.Duration) *raw {
	t.Helper()
	r := memRaw(t, s)
	r.connect(timeout, 0, nil)
	if r.session == 0 {
		t.Fatal("no session")
	}
	return r
}

func TestCloseKeepsSessionsAndOpensFromTheSnapshot(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, fs, Options{})
	c := memSession(t, s, longTimeout)
	c.wantCode("create", codeOK, opCreate, createBody("/e", nil, flagEphemeral))
	before := c.wantCode("get", codeOK, opGetData, watchBody("/e", false))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	c.wantEOF()
	if _, err := s.Dial(); err == nil {
		t.Error("a closed server can be dialled")
	}
	if err := s.Err(); err != nil {
		t.Error(err)
	}
	l, err := list(fs, testDir)
	if err != nil || len(l.snapshots) != 1 || len(l.logs) != 2 || l.logs[1] != l.snapshots[0]+1 {
		t.Errorf("%+v %v", l, err)
	}
	s = open(t, fs, Options{})
	again := memRaw(t, s)
	again.connect(longTimeout, c.session, c.password)
	if after := again.wantCode("get", codeOK, opGetData, watchBody("/e", false)); string(after.body) != string(before.body) {
		t.Errorf("%x, want %x", after.body, before.body)
	}
}

func TestServeEndsWithTheServer(t *testing.T) {
	s := open(t, vfs.NewMem(), Options{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	eventually(t, "serving", func() bool { return serving(l.Addr().String()) })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if err := s.Serve(l); err == nil {
		t.Error("served after Close")
	}
}

func TestConnectionsPerHostAreLimited(t *testing.T) {
	s := open(t, vfs.NewMem(), Options{MaxConnsPerHost: 2})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go s.Serve(l)
	tg := &target{addr: l.Addr().String()}
	first, second := rawSession(t, tg, longTimeout), rawSession(t, tg, longTimeout)
	dialRaw(t, tg).wantEOF()
	memSession(t, s, longTimeout) // in memory there is no limit
	first.nc.Close()
	eventually(t, "room again", func() bool { return serving(l.Addr().String()) })
	second.wantCode("alive", codeOK, opExists, watchBody("/", false))
}
