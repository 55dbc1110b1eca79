package replication

import (
	"sync"
	"testing"
	"time"
)

// Readers that read, subscribe, read again and then wait see every append, however the two race.
func TestNoMissedWakeUp(t *testing.T) {
	n := newNode(t, 1, nil)
	p := n.role(1, 0, 0, 1)
	const total = 300
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for at := int64(0); at < total; {
				if end := n.log().LogEndOffset(); end > at {
					at = end
					continue
				}
				w := NewWaiter()
				s := w.Subscribe(p, nil)
				if end := n.log().LogEndOffset(); end == at {
					select {
					case <-w.Wake():
						if got := w.TakeDirty(nil); len(got) != 1 || got[0] != s {
							t.Errorf("woken without a change: %v", got)
						}
					case <-time.After(20 * time.Second):
						t.Errorf("asleep at offset %d of %d", at, n.log().LogEndOffset())
						s.Cancel()
						return
					}
				}
				s.Cancel()
			}
		})
	}
	for range total {
		n.sendOK("x")
	}
	wg.Wait()
	if got := p.subscribers.n.Load(); got != 0 {
		t.Errorf("%d subscriptions left", got)
	}
}

// What makes a subscription dirty: records, the high watermark, and every change of role.
func TestSubscriptionEvents(t *testing.T) {
	n := newNode(t, 1, nil)
	p := n.role(1, 0, 0, 1, 2)
	w := NewWaiter()
	s := w.Subscribe(p, "tag")
	step := func(what string, f func()) {
		t.Helper()
		w.TakeDirty(nil)
		f()
		eventually(t, what, func() bool {
			got := w.TakeDirty(nil)
			return len(got) == 1 && got[0] == s && got[0].Tag == "tag"
		})
	}
	step("append", func() { n.sendOK("x") })
	step("high watermark", func() { n.fetched(2, 1) })
	step("a new epoch of the same leader", func() { n.role(1, 1, 1, 1, 2) })
	step("follower", func() { n.role(2, 2, 2, 2) })
	step("leader", func() { n.role(1, 3, 3, 1) })
	step("stopped", func() { n.stopOK(3, false) })
	step("deleted", func() { n.stopOK(-2, true) })
	s.Cancel()
	s.Mark()
	if got := w.TakeDirty(nil); len(got) != 0 {
		t.Error("a cancelled subscription is dirty")
	}
}
