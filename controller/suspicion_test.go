package controller

import (
	"slices"
	"sync"
	"testing"

	"gokafka/coordination"
	"gokafka/coordination/znode"
	"gokafka/metadata"
)

// suspects is what the brokers of a test were seen to be.
type suspects struct {
	mu   sync.Mutex
	dead map[int32]int64
}

func (s *suspects) suspected(id int32, epoch int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.dead[id]
	return ok && e == epoch
}

func (s *suspects) set(b *fakeBroker, dead bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if dead {
		s.dead[b.id] = b.registered.Epoch
	} else {
		delete(s.dead, b.id)
	}
}

// vanish is kill -9: the connections end, the session stands.
func (b *fakeBroker) vanish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.up = false
	for c := range b.conns {
		c.Close()
	}
}

func (b *fakeBroker) reappear() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.up = true
}

func TestSuspectedBrokerIsTakenForDead(t *testing.T) {
	tc := newTestCluster(t)
	for _, id := range []int32{1, 2, 3} {
		tc.start(id)
	}
	s := &suspects{dead: map[int32]int64{}}
	c := tc.brokers[1].control(func(o *Options) { o.Suspected = s.suspected })
	tc.awaitController()
	tc.createTopic("t", []int32{2, 3, 1}, []int32{3, 2, 1})
	tp := metadata.TopicPartition{Topic: "t"}
	eventually(t, "led", func() bool { return tc.states()[tp].Leader == 2 })

	two := tc.brokers[2]
	two.vanish()
	s.set(two, true)
	c.SuspicionChanged()
	eventually(t, "another leads, and the dead one left the ISR", func() bool {
		st := tc.states()[tp]
		return st.Leader == 3 && !slices.Contains(st.ISR, 2)
	})
	if _, ok, err := znode.ReadBroker(t.Context(), tc.g(), 2, false); err != nil || !ok {
		t.Fatal("its registration was to stand:", ok, err)
	}
	eventually(t, "the others know that it is dead", func() bool {
		b := tc.brokers[3]
		b.mu.Lock()
		defer b.mu.Unlock()
		return slices.Equal(b.live, []int32{1, 3})
	})

	// It was alive: it is told everything, and may follow.
	two.reappear()
	s.set(two, false)
	c.SuspicionChanged()
	eventually(t, "it is told who leads", func() bool {
		two.mu.Lock()
		defer two.mu.Unlock()
		return two.roles[tp].Leader == 3 && two.cache[tp].Leader == 3 && slices.Equal(two.live, []int32{1, 2, 3})
	})

	// Suspected once more, and this time its session ends: nothing is left to do, and nothing is done twice.
	two.vanish()
	s.set(two, true)
	c.SuspicionChanged()
	eventually(t, "dead again", func() bool {
		b := tc.brokers[3]
		b.mu.Lock()
		defer b.mu.Unlock()
		return slices.Equal(b.live, []int32{1, 3})
	})
	before := tc.states()[tp]
	two.stop()
	eventually(t, "the registration is gone", func() bool {
		_, ok, _ := znode.ReadBroker(t.Context(), tc.g(), 2, false)
		return !ok
	})
	again := tc.start(2) // a new process, a new broker epoch
	eventually(t, "it is told who leads", func() bool {
		again.mu.Lock()
		defer again.mu.Unlock()
		return again.roles[tp].Leader == 3
	})
	if now := tc.states()[tp]; now.LeaderEpoch != before.LeaderEpoch {
		t.Errorf("leader epoch %d after the session ended, %d before", now.LeaderEpoch, before.LeaderEpoch)
	}
}

func TestDeadControllersOfficeIsSeized(t *testing.T) {
	tc := newTestCluster(t)
	for _, id := range []int32{1, 2, 3} {
		tc.start(id)
	}
	s := &suspects{dead: map[int32]int64{}}
	old := tc.brokers[1].control(func(o *Options) { o.Suspected = s.suspected })
	tc.awaitController()
	tc.createTopic("t", []int32{1, 2, 3})
	tp := metadata.TopicPartition{Topic: "t"}
	eventually(t, "led", func() bool { return tc.states()[tp].Leader == 1 })
	two := tc.brokers[2].control(func(o *Options) { o.Suspected = s.suspected })
	three := tc.brokers[3].control(func(o *Options) { o.Suspected = s.suspected })

	two.SuspicionChanged() // of nobody
	three.SuspicionChanged()
	tc.brokers[1].vanish()
	s.set(tc.brokers[1], true)
	two.SuspicionChanged() // both see it
	three.SuspicionChanged()
	eventually(t, "one of them is controller", func() bool { return two.IsActive() != three.IsActive() })
	eventually(t, "what the dead one led is led by another", func() bool { return tc.states()[tp].Leader == 2 })
	epoch, _, _, err := znode.ReadControllerEpoch(t.Context(), tc.g())
	if err != nil || epoch != 2 {
		t.Errorf("controller epoch %d, %v: one office was to follow the other", epoch, err)
	}

	// The old one lives, and learns what happened: from the watch, or from its first write.
	eventually(t, "the old controller resigns", func() bool { return !old.IsActive() })
	if _, stat, err := tc.g().Get(t.Context(), znode.ControllerPath); err != nil || stat.EphemeralOwner == tc.brokers[1].session.Current().ID() {
		t.Error("the office is the old one's still:", err)
	}
	if err := tc.g().Delete(t.Context(), znode.ControllerPath, coordination.AnyVersion); err != nil {
		t.Fatal(err)
	}
	tc.awaitController()
}
