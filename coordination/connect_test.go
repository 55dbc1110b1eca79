package coordination_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"testing"
	"time"

	"gokafka/coordination"
	"gokafka/coordination/zktest"
)

func TestParseConnect(t *testing.T) {
	for in, want := range map[string]struct {
		servers []string
		chroot  string
	}{
		"a:1":                       {[]string{"a:1"}, ""},
		"a:1,b:2,c":                 {[]string{"a:1", "b:2", "c:2181"}, ""},
		" a:1 , b:2 /kafka/x":       {[]string{"a:1", "b:2"}, "/kafka/x"},
		"a:1/":                      {[]string{"a:1"}, ""},
		"a/kafka/":                  {[]string{"a:2181"}, "/kafka"},
		"[::1]:5,[2001:db8::2],::3": {[]string{"[::1]:5", "[2001:db8::2]:2181", "[::3]:2181"}, ""},
	} {
		servers, chroot, err := coordination.ParseConnect(in)
		if err != nil || !slices.Equal(servers, want.servers) || chroot != want.chroot {
			t.Errorf("%q: %q %q %v", in, servers, chroot, err)
		}
	}
	for _, in := range []string{"", "/kafka", ",", "a:x", "a:0", "a:70000", ":1", "a:1/b//c", "a:1:2"} {
		if servers, chroot, err := coordination.ParseConnect(in); err == nil {
			t.Errorf("%q: %q %q", in, servers, chroot)
		}
	}
}

// Servers that refuse, or take the connection and never answer, are passed over.
func TestFailover(t *testing.T) {
	srv := zktest.Start(t)
	s, l := srv.Open(t, func(o *coordination.Options) {
		real, good := o.Dial, o.Servers[0]
		o.Servers = []string{"refuses:1", good, "hangs:1"}
		o.SessionTimeout = 3 * time.Second // a third of it for each handshake
		o.Dial = func(ctx context.Context, address string) (net.Conn, error) {
			switch address {
			case "refuses:1":
				return nil, errors.New("refused")
			case "hangs:1":
				c, peer := net.Pipe()
				go func() {
					b := make([]byte, 100)
					for {
						if _, err := peer.Read(b); err != nil {
							return
						}
					}
				}()
				return c, nil
			}
			return real(ctx, address)
		}
	})
	g := s.Current()
	for range 3 {
		l.Break()
		if _, err := g.Exists(t.Context(), "/"); err != nil {
			t.Fatal(err)
		}
	}
	if g.Err() != nil {
		t.Error("the session did not survive")
	}
}

// Tries of the only server follow one another quickly at first, then slowly: neither the library's second between any
// two, nor a busy loop.
func TestDialPace(t *testing.T) {
	s, l := zktest.Start(t).Open(t)
	l.Cut()
	before := l.Dials()
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	_, _ = s.Current().Exists(ctx, "/")
	if n := l.Dials() - before; n < 2 || n > 30 {
		t.Errorf("%d dials in half a second", n)
	}
}

func TestChrootIsMade(t *testing.T) {
	srv := zktest.Start(t)
	root, _ := srv.Open(t)
	deep, _ := srv.Open(t, func(o *coordination.Options) { o.Chroot += "/a/b" })
	if _, err := deep.Current().Create(t.Context(), "/x", []byte("1"), coordination.Persistent); err != nil {
		t.Fatal(err)
	}
	if data, _, err := root.Current().Get(t.Context(), "/a/b/x"); err != nil || string(data) != "1" {
		t.Errorf("%q, %v", data, err)
	}
	if p, err := deep.Current().Create(t.Context(), "/x/s_", nil, coordination.PersistentSequential); err != nil || p != "/x/s_0000000000" {
		t.Errorf("%q, %v", p, err)
	}
}

// A request of the largest size the server takes goes through; one byte more is refused here and never sent, because
// the server would hang up on it, each time.
func TestRequestSize(t *testing.T) {
	s, l := zktest.Start(t).Open(t)
	ctx, g := t.Context(), s.Current()
	if _, err := g.Create(ctx, "/set", nil, coordination.Persistent); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		what string
		op   int32
		send func(data []byte) error
	}{
		{"set", zktest.OpSet, func(d []byte) error { _, err := g.Set(ctx, "/set", d, -1); return err }},
		{"create", zktest.OpCreate, func(d []byte) error {
			_, err := g.Create(ctx, "/create", d, coordination.Persistent)
			if err == nil {
				err = g.Delete(ctx, "/create", -1)
			}
			return err
		}},
		{"multi", zktest.OpMulti, func(d []byte) error {
			_, err := g.Multi(ctx, coordination.CheckOp("/set", -1), coordination.SetOp("/set", d, -1),
				coordination.CreateOp("/m", d[:10], coordination.Ephemeral), coordination.DeleteOp("/m", -1))
			return err
		}},
	} {
		lo, hi := 1<<19, 1<<20 // fits, does not
		for lo+1 < hi {
			mid := (lo + hi) / 2
			sent := l.Requests(c.op)
			err := c.send(make([]byte, mid))
			switch {
			case err == nil:
				lo = mid
			case errors.Is(err, coordination.ErrTooLarge) && l.Requests(c.op) == sent:
				hi = mid
			default:
				t.Fatalf("%s of %d bytes: %v", c.what, mid, err)
			}
		}
		if got := l.LargestRequest(); got != s.MaxRequestBytes() {
			t.Errorf("%s: the largest frame sent has %d bytes, the limit is %d", c.what, got, s.MaxRequestBytes())
		}
	}
	if s.Current() != g || l.Dials() != 1 {
		t.Errorf("%d connections", l.Dials())
	}
}
