package coordination

import (
	"encoding/binary"
	"errors"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"gokafka/internal/clock"
)

// sink records what is written and gives what it is told to read.
type sink struct {
	net.Conn
	wrote []byte
	in    chan []byte
}

func (s *sink) Write(b []byte) (int, error) { s.wrote = append([]byte(nil), b...); return len(b), nil }
func (s *sink) Read(b []byte) (int, error)  { return copy(b, <-s.in), nil }

func resumeFrame(lastZxid uint64) []byte {
	b := make([]byte, 48)
	binary.BigEndian.PutUint64(b[8:], lastZxid)
	return b
}

func setWatchesFrame(zxid uint64) []byte {
	b := make([]byte, 32)
	binary.BigEndian.PutUint32(b[8:], opSetWatches)
	binary.BigEndian.PutUint64(b[12:], zxid)
	return b
}

// The watches are re-sent relative to what was known before the new connection, whatever it has brought since; and what
// it brings is held back until they are on their way.
func TestResentWatches(t *testing.T) {
	s := &sink{in: make(chan []byte, 10)}
	c := &conn{Conn: s, heard: new(atomic.Int64), armed: func() bool { return true }, clock: clock.New(), watchesSent: make(chan struct{})}
	if _, err := c.Write(resumeFrame(7)); err != nil {
		t.Fatal(err)
	}
	s.in <- make([]byte, 4)
	s.in <- make([]byte, 37)
	for _, n := range []int{4, 37} {
		if _, err := c.Read(make([]byte, n)); err != nil {
			t.Fatal(err)
		}
	}
	delivered := make(chan struct{})
	s.in <- make([]byte, 4)
	go func() {
		_, _ = c.Read(make([]byte, 4))
		close(delivered)
	}()
	select {
	case <-delivered:
		if len(s.in) == 0 {
			t.Log("the wait for the watches ran out before they were sent: no verdict on a slow machine")
		}
	case <-time.After(setWatchesWait / 10):
	}
	frame := setWatchesFrame(99)
	if _, err := c.Write(frame); err != nil {
		t.Fatal(err)
	}
	<-delivered
	if got := binary.BigEndian.Uint64(s.wrote[12:]); got != 7 {
		t.Errorf("watches are re-sent relative to zxid %d", got)
	}
	if binary.BigEndian.Uint64(frame[12:]) != 99 {
		t.Error("the caller's buffer was changed")
	}
}

// Without watches nothing is held back, and neither is anything on a first connection.
// broken is a connection that takes nothing.
type broken struct {
	net.Conn
	closed int
}

func (b *broken) Write([]byte) (int, error) { return 0, errors.New("reset") }
func (b *broken) Close() error              { b.closed++; return nil }

// A handshake that cannot be written fails; of a later request the reader is told alone, by the end of the connection.
func TestFailedWrites(t *testing.T) {
	b := &broken{}
	c := &conn{Conn: b, armed: func() bool { return false }}
	if _, err := c.Write(resumeFrame(0)); !isLoss(err) || b.closed != 0 {
		t.Errorf("the handshake: %v, closed %d times", err, b.closed)
	}
	request := make([]byte, 30)
	if n, err := c.Write(request); err != nil || n != len(request) || b.closed != 1 {
		t.Errorf("a request: %d, %v, closed %d times", n, err, b.closed)
	}
}

func TestNothingHeldBack(t *testing.T) {
	for _, c := range []struct {
		zxid  uint64
		armed bool
	}{{7, false}, {0, true}} {
		x := &conn{Conn: &sink{}, heard: new(atomic.Int64), armed: func() bool { return c.armed }, clock: clock.New(), watchesSent: make(chan struct{})}
		if _, err := x.Write(resumeFrame(c.zxid)); err != nil {
			t.Fatal(err)
		}
		if x.resumed {
			t.Errorf("%+v", c)
		}
	}
}

func TestWatchTable(t *testing.T) {
	k := watchKey{"/w", WatchData}
	table := func() *watchTable { return &watchTable{entries: make(map[watchKey]*watchEntry)} }

	w := table()
	arm, ticket := w.begin(k)
	if w.end(k, ticket, true); !arm || !w.any() {
		t.Error("a read arms")
	}
	if arm, _ := w.begin(k); arm {
		t.Error("armed twice")
	}
	w.fire(k)
	if w.any() {
		t.Error("an entry is left after the event")
	}

	// The event overtakes the answer on its way to the caller.
	w = table()
	_, ticket = w.begin(k)
	w.fire(k)
	w.end(k, ticket, true)
	if arm, _ := w.begin(k); !arm {
		t.Error("a watch that has fired is taken for armed")
	}

	// Of two reads under way the one that fails takes nothing from the other.
	w = table()
	_, t1 := w.begin(k)
	arm, t2 := w.begin(k)
	w.end(k, t2, arm)
	w.end(k, t1, false)
	if arm, _ := w.begin(k); arm {
		t.Error("the watch of the second read was forgotten")
	}
	w.fire(watchKey{"/other", WatchData})
	w.fire(watchKey{"/w", WatchChildren})
	if !w.any() {
		t.Error("another event ended the watch")
	}
}
