package zktest

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"gokafka/coordination"
	"gokafka/coordination/embedded"
	"gokafka/internal/vfs"
)

// Server is a ZooKeeper with a chroot of its own for one test.
type Server struct {
	address string
	chroot  string
	dial    coordination.Dialer
}

var chroots atomic.Int64 // names only; tests run side by side against one real server

// Start returns the server of a test.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{chroot: fmt.Sprintf("/test-%d-%d-%d", os.Getpid(), time.Now().UnixNano(), chroots.Add(1))}
	if s.address = os.Getenv("GOKAFKA_TEST_ZOOKEEPER"); s.address == "" {
		s.embedded(t)
		return s
	}
	s.dial = func(ctx context.Context, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "tcp", s.address)
	}
	return s
}

// embedded makes s an embedded server of its own, on a disk in memory and dialled in memory.
func (s *Server) embedded(t testing.TB) {
	e, err := embedded.Open(t.Context(), embedded.Options{
		FS: vfs.NewMem(), Dir: "/coordination", Logger: slog.New(slog.DiscardHandler),
		TickTime: 100 * time.Millisecond, MaxSessionTimeout: time.Minute,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := e.Close(); err != nil {
			t.Error(err)
		}
	})
	s.address = "127.0.0.1:2181" // an IP literal: nothing resolves it
	s.dial = func(ctx context.Context, _ string) (net.Conn, error) { return e.DialContext(ctx) }
}

// Open returns a Session and its Link. The Session is closed with the test.
func (s *Server) Open(t testing.TB, edit ...func(*coordination.Options)) (*coordination.Session, *Link) {
	t.Helper()
	l := NewLink(s.dial)
	o := coordination.Options{
		Servers: []string{s.address}, Chroot: s.chroot, SessionTimeout: 10 * time.Second, Dial: l.Dial,
	}
	for _, e := range edit {
		e(&o)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	session, err := coordination.Open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		l.Restore()
		if err := session.Close(); err != nil {
			t.Error(err)
		}
	})
	return session, l
}

// Eventually waits until ok holds.
func Eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(2 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("not within 30 s: %s", what)
}
