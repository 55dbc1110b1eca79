package replication

import (
	"testing"
	"testing/synctest"
	"time"
)

// When a follower was caught up last (Kafka 3.9 Replica).
func TestCaughtUp(t *testing.T) {
	f := newFollower(2)
	f.reset(100, 10, false, true)
	check := func(what string, want time.Duration) {
		t.Helper()
		f.mu.Lock()
		defer f.mu.Unlock()
		if got := f.caughtUpAt(); got != want {
			t.Errorf("%s: caught up at %d, want %d", what, got, want)
		}
	}
	check("a member of the ISR when the epoch begins", 100)
	f.fetched(5, 0, 10, 200, nil)
	check("behind", 100)
	f.fetched(10, 0, 12, 300, nil)
	check("at the end of the fetch before", 200)
	f.fetched(11, 0, 14, 400, nil)
	check("behind the end of the fetch before", 200)
	f.fetched(15, 0, 15, 500, nil)
	check("at the end", 500)
	f.fetched(15, 0, 20, 600, nil)
	check("at the end of the fetch before, again", 500)
	f.fetched(16, 0, 20, 700, nil)
	check("behind again", 500)
	if f.isCaughtUp(20, 531, 30) || !f.isCaughtUp(20, 530, 30) || !f.isCaughtUp(16, 9999, 30) {
		t.Error("caught up within the lag time, or at the leader's end whenever")
	}
	f.reset(800, 20, true, false)
	check("outside the ISR when an epoch begins", never)
	if _, end := f.ends(); end != 16 {
		t.Error("a leader that stays forgot the log end")
	}
	f.reset(900, 20, false, true)
	if _, end := f.ends(); end != -1 {
		t.Error("a new leader believes an old log end")
	}
}

// A broker that has just started does not take followers that never fetched for ones that were caught up at time 0.
func TestNeverCaughtUp(t *testing.T) {
	if newFollower(2).isCaughtUp(1, 0, time.Hour) {
		t.Error("caught up without a fetch")
	}
}

// A follower whose fetch session has nothing new is in sync all the time, although its fetches do not touch the partition; but not once
// the partition is no longer in the session, or the session is silent.
func TestIdleSessionIsInSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 1, nil)
		defer n.down()
		p := n.role(1, 0, 0, 1, 2)
		w := NewWaiter()
		s := w.Subscribe(p, nil)
		q := ReadRequest{ReplicaID: 2, CurrentEpoch: 0, LastFetchedEpoch: NoEpoch, Isolation: ReadLogEnd}
		r, err := p.Read(&q)
		must(t, err)
		w.TakeDirty(nil)
		p.FollowerFetched(&q, &r, n.clk.Mono(), s)
		for range 20 {
			time.Sleep(10 * time.Second)
			w.TakeDirty(nil) // a fetch of the session
		}
		n.sendOK("x")
		out := func() []int32 {
			p.leadership.RLock()
			defer p.leadership.RUnlock()
			return p.outOfSync(n.clk.Mono())
		}
		n.o.AlterPartition = noAlter
		if got := out(); len(got) != 0 {
			t.Errorf("out of sync just after an append: %v", got)
		}
		time.Sleep(31 * time.Second)
		if got := out(); len(got) != 1 {
			t.Errorf("silent for 31 s, and not out of sync: %v", got)
		}
		// Back again, but it does not get on: its fetches count for their offset alone.
		for range 4 {
			w.TakeDirty(nil)
			r, err = p.Read(&q)
			must(t, err)
			p.FollowerFetched(&q, &r, n.clk.Mono(), s)
			time.Sleep(10 * time.Second)
		}
		if got := out(); len(got) != 1 {
			t.Errorf("behind for 40 s, and not out of sync: %v", got)
		}
	})
}

// A partition that is no longer in the session is not in sync by the session's fetches.
func TestForgottenIsNotInSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 1, nil)
		defer n.down()
		p := n.role(1, 0, 0, 1, 2)
		w := NewWaiter()
		s := w.Subscribe(p, nil)
		q := ReadRequest{ReplicaID: 2, CurrentEpoch: 0, LastFetchedEpoch: NoEpoch, Isolation: ReadLogEnd}
		r, err := p.Read(&q)
		must(t, err)
		w.TakeDirty(nil)
		p.FollowerFetched(&q, &r, n.clk.Mono(), s)
		s.Cancel()
		time.Sleep(31 * time.Second)
		w.TakeDirty(nil)
		n.sendOK("x")
		n.o.AlterPartition = noAlter
		p.leadership.RLock()
		defer p.leadership.RUnlock()
		if got := p.outOfSync(n.clk.Mono()); len(got) != 1 {
			t.Errorf("out of sync: %v", got)
		}
	})
}
