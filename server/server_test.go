package server

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gokafka/handlers"
	"gokafka/internal/clock"
	"gokafka/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// body is an answer of raw bytes.
type body []byte

func (b body) AppendTo(dst []byte) []byte { return append(dst, b...) }
func (b body) IsFlexible() bool           { return false }

type serveFunc func(context.Context, *handlers.Request) (handlers.Answer, error)

func start(t *testing.T, serve serveFunc, change func(*Options)) (*Server, func() net.Conn) {
	t.Helper()
	o := Options{Serve: serve, Clock: clock.New(), Logger: slog.New(slog.DiscardHandler), MaxFrameBytes: 100 << 20, FrameBudgetBytes: 256 << 20,
		MaxIdle: time.Minute, WriteTimeout: time.Minute}
	if change != nil {
		change(&o)
	}
	s := New(o)
	ln, err := s.Bind(Listener{Name: "PLAINTEXT", Host: "127.0.0.1"})
	if err != nil {
		t.Fatal(err)
	}
	s.Accept("PLAINTEXT", ln)
	t.Cleanup(s.Close)
	return s, func() net.Conn {
		c, err := net.Dial("tcp", ln.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(30 * time.Second))
		t.Cleanup(func() { c.Close() })
		return c
	}
}

// frame is a request of key 3 with a body.
func frame(corr int32, b []byte) []byte {
	f := binary.BigEndian.AppendUint32(nil, uint32(10+len(b)))
	f = append(f, 0, 3, 0, 0)
	f = binary.BigEndian.AppendUint32(f, uint32(corr))
	f = append(f, 0xff, 0xff)
	return append(f, b...)
}

func readAnswer(t *testing.T, c net.Conn) (int32, []byte) {
	t.Helper()
	var h [8]byte
	if _, err := io.ReadFull(c, h[:]); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, binary.BigEndian.Uint32(h[:])-4)
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatal(err)
	}
	return int32(binary.BigEndian.Uint32(h[4:])), b
}

func expectClosed(t *testing.T, c net.Conn) {
	t.Helper()
	if n, err := c.Read(make([]byte, 1)); n != 0 || err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read %d bytes, %v; want a closed connection", n, err)
	}
}

func echo(_ context.Context, r *handlers.Request) (handlers.Answer, error) {
	return handlers.Answer{Body: body(bytes.Clone(r.Body))}, nil
}

func TestPipelinedFramesInAnyPieces(t *testing.T) {
	_, dial := start(t, echo, nil)
	var all []byte
	for i := range int32(50) {
		all = append(all, frame(i, bytes.Repeat([]byte{byte(i)}, int(i)*37))...)
	}
	for _, piece := range []int{1, 7, 4096, len(all)} {
		c := dial()
		go func() {
			for b := all; len(b) > 0; {
				n := min(piece, len(b))
				c.Write(b[:n])
				b = b[n:]
			}
		}()
		for i := range int32(50) {
			corr, b := readAnswer(t, c)
			if corr != i || len(b) != int(i)*37 || len(b) > 0 && b[0] != byte(i) {
				t.Fatalf("pieces of %d: answer %d has correlation id %d and %d bytes", piece, i, corr, len(b))
			}
		}
	}
}

func TestFramesLargerThanTheBuffer(t *testing.T) {
	_, dial := start(t, echo, nil)
	c := dial()
	large := bytes.Repeat([]byte("0123456789abcdef"), 200_000) // 3.2 MB
	go c.Write(append(append(frame(1, large), frame(2, []byte("x"))...), frame(3, large)...))
	for i, want := range [][]byte{large, []byte("x"), large} {
		if corr, b := readAnswer(t, c); corr != int32(i+1) || !bytes.Equal(b, want) {
			t.Fatalf("answer %d: %d bytes", corr, len(b))
		}
	}
}

func TestBadSizesCloseTheConnection(t *testing.T) {
	_, dial := start(t, echo, func(o *Options) { o.MaxFrameBytes = 1000 })
	for _, size := range []int32{0, -1, 1001, 1195725856} {
		c := dial()
		c.Write(binary.BigEndian.AppendUint32(nil, uint32(size)))
		expectClosed(t, c)
	}
	c := dial()
	c.Write(frame(1, make([]byte, 990)))
	if _, b := readAnswer(t, c); len(b) != 990 {
		t.Error("a frame of just the allowed size was refused")
	}
}

// A declared length alone must not take memory: 200 connections announce 100 MB each.
func TestMemoryGrowsWithBytesReceivedOnly(t *testing.T) {
	s, dial := start(t, echo, func(o *Options) { o.FrameBudgetBytes = 100 << 20 })
	for range 200 {
		c := dial()
		c.Write(binary.BigEndian.AppendUint32(nil, 100<<20))
		c.Write(make([]byte, 1000))
	}
	c := dial()
	c.Write(frame(1, []byte("still served")))
	if _, b := readAnswer(t, c); string(b) != "still served" {
		t.Fatal(string(b))
	}
	s.frames.mu.Lock()
	free := s.frames.free
	s.frames.mu.Unlock()
	if free != 100<<20 {
		t.Errorf("%d bytes of the budget are taken by lengths alone", 100<<20-free)
	}
}

// Answers leave in the order of their requests, whatever the order in which they come; later requests are served meanwhile.
func TestLateAnswersKeepTheOrder(t *testing.T) {
	var mu sync.Mutex
	pending := map[int32]handlers.Transport{}
	served := make(chan int32, 100)
	_, dial := start(t, func(_ context.Context, r *handlers.Request) (handlers.Answer, error) {
		defer func() { served <- r.CorrelationID }()
		if r.CorrelationID%2 == 0 {
			mu.Lock()
			pending[r.CorrelationID] = r.Transport
			mu.Unlock()
			return handlers.Answer{Pending: true}, nil
		}
		return handlers.Answer{Body: body("now")}, nil
	}, nil)
	c := dial()
	const n = 20
	for i := range int32(n) {
		c.Write(frame(i, nil))
	}
	for i := range int32(n) {
		if got := <-served; got != i {
			t.Fatalf("request %d served as %d.", got, i)
		}
	}
	for i := int32(n - 2); i >= 0; i -= 2 { // the last first
		mu.Lock()
		tr := pending[i]
		mu.Unlock()
		go tr.Complete(handlers.Answer{Body: body("late")})
	}
	for i := range int32(n) {
		corr, b := readAnswer(t, c)
		want := "now"
		if i%2 == 0 {
			want = "late"
		}
		if corr != i || string(b) != want {
			t.Fatalf("answer %d %q, want %d %q", corr, b, i, want)
		}
	}
}

func TestWaitingAnswersAreBounded(t *testing.T) {
	served := make(chan handlers.Transport, 1000)
	_, dial := start(t, func(_ context.Context, r *handlers.Request) (handlers.Answer, error) {
		served <- r.Transport
		return handlers.Answer{Pending: true}, nil
	}, nil)
	c := dial()
	for i := range int32(3 * maxWaiting) {
		c.Write(frame(i, nil))
	}
	var waiting []handlers.Transport
	for range maxWaiting {
		waiting = append(waiting, <-served)
	}
	select {
	case <-served:
		t.Fatal("a request was served beyond the bound")
	case <-time.After(50 * time.Millisecond): // nothing can be waited for: the absence is the point
	}
	for i := range int32(3 * maxWaiting) {
		if len(waiting) == 0 {
			waiting = append(waiting, <-served)
		}
		waiting[0].Complete(handlers.Answer{Body: body("x")})
		waiting = waiting[1:]
		if corr, _ := readAnswer(t, c); corr != i {
			t.Fatal(corr)
		}
	}
}

func TestCloseAnswerComesAfterEarlierOnes(t *testing.T) {
	release := make(chan handlers.Transport, 1)
	_, dial := start(t, func(_ context.Context, r *handlers.Request) (handlers.Answer, error) {
		switch r.CorrelationID {
		case 0:
			release <- r.Transport
			return handlers.Answer{Pending: true}, nil
		case 1:
			return handlers.Answer{}, nil // answered by nothing, as acks=0 is
		case 2:
			return handlers.Answer{Body: body("two")}, nil
		}
		return handlers.Answer{Close: true}, nil
	}, nil)
	c := dial()
	for i := range int32(4) {
		c.Write(frame(i, nil))
	}
	(<-release).Complete(handlers.Answer{Body: body("zero")})
	for _, want := range []struct {
		corr int32
		body string
	}{{0, "zero"}, {2, "two"}} {
		if corr, b := readAnswer(t, c); corr != want.corr || string(b) != want.body {
			t.Fatalf("%d %q", corr, b)
		}
	}
	expectClosed(t, c)
}

func TestErrorAndPanicCloseTheConnectionOnly(t *testing.T) {
	_, dial := start(t, func(_ context.Context, r *handlers.Request) (handlers.Answer, error) {
		switch string(r.Body) {
		case "bad":
			return handlers.Answer{}, protocol.ErrMalformed
		case "panic":
			panic("a bug")
		}
		return handlers.Answer{Body: body("ok")}, nil
	}, nil)
	for _, b := range []string{"bad", "panic"} {
		c := dial()
		c.Write(append(frame(1, nil), frame(2, []byte(b))...))
		if corr, _ := readAnswer(t, c); corr != 1 {
			t.Error("the answer before was lost")
		}
		expectClosed(t, c)
	}
	c := dial()
	c.Write(frame(7, nil))
	readAnswer(t, c)
}

// fileRecords are records in a file; raw decides whether the kernel may send them.
type fileRecords struct {
	f        *os.File
	pos      int64
	n        int
	raw      bool
	released *atomic.Int32
}

func (r *fileRecords) Len() int { return r.n }
func (r *fileRecords) ReadAt(p []byte, off int64) (int, error) {
	return r.f.ReadAt(p[:min(len(p), r.n-int(off))], r.pos+off)
}
func (r *fileRecords) Release() { r.released.Add(1) }
func (r *fileRecords) RawFile() (syscall.RawConn, int64, bool) {
	raw, err := r.f.SyscallConn()
	return raw, r.pos, err == nil && r.raw
}

func TestFetchAnswersFromFiles(t *testing.T) {
	content := make([]byte, 3<<20)
	for i := range content {
		content[i] = byte(i * 7 / 3)
	}
	name := filepath.Join(t.TempDir(), "log")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ranges := []struct{ pos, n int }{{0, 100}, {1000, copyBytes}, {5, copyBytes + 1}, {77, 2 << 20}, {0, 1}, {1 << 20, 700_000}}
	for _, raw := range []bool{true, false} {
		var released atomic.Int32
		_, dial := start(t, func(_ context.Context, r *handlers.Request) (handlers.Answer, error) {
			resp := &protocol.FetchResponse{Version: 12}
			for i, rg := range ranges {
				res := protocol.NewFetchResult("t", [16]byte{}, int32(i))
				res.Records = &fileRecords{f, int64(rg.pos), rg.n, raw, &released}
				resp.Results = append(resp.Results, res)
			}
			return handlers.Answer{Fetch: resp}, nil
		}, nil)
		c := dial()
		c.Write(append(frame(1, nil), frame(2, nil)...))
		for range 2 {
			_, b := readAnswer(t, c)
			for i, rg := range ranges {
				if !bytes.Contains(b, content[rg.pos:rg.pos+rg.n]) {
					t.Fatalf("raw %v: range %d is not in the answer", raw, i)
				}
			}
		}
		c.Close()
		waitFor(t, func() bool { return int(released.Load()) == 2*len(ranges) })
	}
	// A file that is shorter than promised: the answer cannot be repaired, the connection is closed.
	for _, raw := range []bool{true, false} {
		var released atomic.Int32
		_, dial := start(t, func(context.Context, *handlers.Request) (handlers.Answer, error) {
			res := protocol.NewFetchResult("t", [16]byte{}, 0)
			res.Records = &fileRecords{f, int64(len(content) - 1000), 100_000, raw, &released}
			return handlers.Answer{Fetch: &protocol.FetchResponse{Version: 12, Results: []protocol.FetchResult{res}}}, nil
		}, nil)
		c := dial()
		c.Write(frame(1, nil))
		b, _ := io.ReadAll(c)
		if len(b) >= 100_000 {
			t.Errorf("raw %v: %d bytes", raw, len(b))
		}
	}
}

func waitFor(t *testing.T, cond func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !cond(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("condition did not come")
		}
	}
}

func TestCloseEndsWaitingRequestsAndIdleConnections(t *testing.T) {
	began := make(chan struct{}, 2)
	s, dial := start(t, func(ctx context.Context, r *handlers.Request) (handlers.Answer, error) {
		began <- struct{}{}
		<-ctx.Done() // a long poll
		return handlers.Answer{Body: body("ended")}, nil
	}, nil)
	idle := dial()
	c := dial()
	c.Write(frame(1, nil))
	<-began
	done := make(chan struct{})
	go func() { s.Close(); close(done) }()
	if _, b := readAnswer(t, c); string(b) != "ended" {
		t.Errorf("%q: the answer of the request under way was lost", b)
	}
	expectClosed(t, c)
	expectClosed(t, idle)
	<-done
}

func TestConnectionLimits(t *testing.T) {
	s, dial := start(t, echo, func(o *Options) { o.MaxConnectionsPerIP = 2 })
	a, b := dial(), dial()
	for i, c := range []net.Conn{a, b} {
		c.Write(frame(int32(i), nil))
		readAnswer(t, c)
	}
	expectClosed(t, dial())
	a.Close()
	waitFor(t, func() bool { return s.Connections() == 1 })
	c := dial()
	c.Write(frame(3, nil))
	readAnswer(t, c)
}

func TestIdleConnectionsAreClosed(t *testing.T) {
	_, dial := start(t, echo, func(o *Options) { o.MaxIdle = 20 * time.Millisecond })
	expectClosed(t, dial())
}
