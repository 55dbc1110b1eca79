package groups

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Members whose metadata is large are refused beyond a bound, those of one group and those of many, and there is room again when they are gone.
func TestHostileGroups(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := testCoordinator(nil, 100<<20)
		h, s, err := newFake(c, nil)
		if err != nil {
			t.Fatal(err)
		}
		metadata := make([]byte, 1<<20) // shared by all: it is counted, not held
		join := func(group string, n int) (in, refused int) {
			for i := range n {
				j := &Join{Group: group, ClientID: fmt.Sprint(i), ProtocolType: "consumer", SessionTimeout: 30 * time.Second, RebalanceTimeout: 30 * time.Second,
					Protocols: []Protocol{{"range", metadata}}}
				var got *JoinResult
				s.join(j, func(r JoinResult) { got = &r })
				switch {
				case got == nil:
					in++
				case got.Err == kerr.GroupMaxSizeReached:
					refused++
				default:
					t.Errorf("member %d of %s: %v", i, group, got.Err)
				}
			}
			return in, refused
		}
		if in, refused := join("one", 300); in != 63 || refused != 237 {
			t.Errorf("one group took %d members of 1 MiB and refused %d", in, refused)
		}
		in := 0
		for i := range 300 {
			n, _ := join(fmt.Sprint("of many ", i), 1)
			in += n
		}
		if in != 36 {
			t.Errorf("beside it %d groups of one such member were taken", in)
		}
		if n := len(s.groups); n != 37 {
			t.Errorf("%d groups: those refused are there", n)
		}
		for range 20 {
			h.advance(30 * time.Second)
			h.replicate(1000)
		}
		if held := c.held.Load(); held != 0 {
			t.Errorf("%d bytes are counted of members that are gone", held)
		}
		if in, _ := join("later", 100); in != 63 {
			t.Errorf("later %d members were taken", in)
		}
		s.Unloaded()
	})
}
