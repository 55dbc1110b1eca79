package compat_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"gokafka/compat_test/cluster"
	"gokafka/compat_test/harness"
)

// A cluster of three processes on a real ZooKeeper goes through what befalls clusters, under idempotent load that never gives a record up: what was acknowledged is
// there once and in order at the end, and all brokers and the znodes say the same after each step.
func TestDutiesOfACluster(t *testing.T) {
	target := heavy(t)
	if target == harness.Apache {
		t.Skip("it would take minutes")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	c, err := cluster.Start(ctx, t.TempDir(), cluster.Options{Targets: slices.Repeat([]harness.Target{target}, 3)})
	skips.Need(t, err)
	defer c.Close()
	const topic, partitions = "duties", 6
	need := func(what string, err error) {
		t.Helper()
		if err == nil {
			return
		}
		for _, b := range c.Brokers {
			t.Logf("end of the log of broker %d:\n%s", b.ID, b.Process().Tail(6000))
		}
		t.Fatalf("%s: %v", what, err)
	}
	need("create", c.CreateTopic(ctx, topic, partitions, nil))
	w, err := c.Write(ctx, topic, partitions)
	skips.Need(t, err)
	defer w.Stop()
	all := []int32{0, 1, 2, 3, 4, 5}
	state := func() *cluster.State {
		t.Helper()
		var s *cluster.State
		need("state", cluster.Await(ctx, "a broker answers", func() (err error) { s, err = c.State(ctx); return err }))
		return s
	}
	whole := func() {
		t.Helper()
		now := time.Now()
		need("complete", c.AwaitComplete(ctx))
		need("writes", w.AwaitSince(ctx, now, all))
		need("agreement", c.Agree(ctx))
	}
	whole()

	t.Log("the controller dies, and its successor a moment later")
	first := state().Controller
	c.Brokers[first].Kill()
	need("a successor", c.AwaitState(ctx, "controller", func(s *cluster.State) bool { return s.Controller >= 0 && s.Controller != first }))
	second := state().Controller
	c.Brokers[second].Kill()
	need("start", c.Brokers[first].Start(ctx))
	need("start", c.Brokers[second].Start(ctx))
	whole()

	t.Log("each broker is stopped cleanly and started: writes go on meanwhile")
	for _, b := range c.Brokers {
		stopped := time.Now()
		need("stop", b.Stop(ctx))
		need("writes while it is away", w.AwaitSince(ctx, stopped, all))
		need("start", b.Start(ctx))
		need("complete", c.AwaitComplete(ctx))
	}
	whole()

	t.Log("the controller is frozen in the midst of making topics, past its session, replaced, and wakes")
	frozen := state().Controller
	session, err := c.Owner("/controller")
	need("the controller's session", err)
	asked := c.AskForTopics(ctx, "midst", 40)
	need("freeze", c.Brokers[frozen].Process().Pause())
	froze := time.Now()
	need("writes without it", w.AwaitSince(ctx, froze, all))
	need("a successor", c.AwaitState(ctx, "controller", func(s *cluster.State) bool { return s.Controller >= 0 && s.Controller != frozen }))
	need("wake", c.Brokers[frozen].Process().Resume())
	<-asked
	whole()
	writes, err := c.Writes()
	need("transaction log", err)
	late, err := cluster.AfterSuccession(writes, session)
	need("transaction log", err)
	for _, w := range late {
		t.Errorf("the deposed controller has written: %s", w)
	}
	if now := state().Controller; now == frozen {
		t.Error("the broker that slept is controller again though its successor lives")
	}

	t.Log("all are killed at once")
	for _, b := range c.Brokers {
		b.Kill()
	}
	for _, b := range c.Brokers {
		need("launch", b.Launch(ctx))
	}
	whole()

	t.Log("ZooKeeper is away, and comes back: brokers keep serving")
	c.ZooKeeper.Kill()
	away := time.Now()
	need("writes without ZooKeeper", w.AwaitSince(ctx, away.Add(8*time.Second), all)) // longer than a session
	need("ZooKeeper's return", c.ZooKeeper.Start(ctx))
	whole()

	t.Log("a fourth broker joins")
	need("join", c.Join(ctx, target))
	need("a topic on four", c.CreateTopic(ctx, "four", 4, nil))
	need("the new broker leads some of the new topic", c.AwaitState(ctx, "leaders", func(s *cluster.State) bool { return len(s.Leads["four"][3]) > 0 }))
	whole()

	w.Stop()
	need("producers", c.SameProducers(ctx, topic, partitions))
	problems, n, err := w.Check(ctx, c)
	skips.Need(t, err)
	for _, p := range problems {
		t.Error(p)
	}
	t.Logf("%d records acknowledged", n)
}
