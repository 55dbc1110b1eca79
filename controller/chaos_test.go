package controller

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"gokafka/coordination"
	"gokafka/coordination/znode"
	"gokafka/metadata"
)

var chaosSeed = flag.Uint64("chaos.seed", 1, "seed of TestChaos")

// TestChaos does to a cluster, without waiting, what happens to clusters, then repairs it and looks whether it heals.
// The fake brokers check all along that no leader epoch has two leaders.
func TestChaos(t *testing.T) {
	steps := 150
	if testing.Short() {
		steps = 40
	}
	rnd := rand.New(rand.NewPCG(*chaosSeed, 0))
	tc := newTestCluster(t)
	const brokers = 4
	for id := range int32(brokers) {
		tc.start(id)
		tc.brokers[id].control()
	}
	tc.awaitController()
	topics := 0
	newTopic := func() {
		var replicas [][]int32
		for range 3 {
			replicas = append(replicas, shuffled(rnd, brokers)[:3])
		}
		tc.createTopic(fmt.Sprintf("t%d", topics), replicas...)
		topics++
	}
	newTopic()
	newTopic()
	history := map[metadata.TopicPartition]metadata.PartitionState{}
	for range steps {
		tc.chaosStep(rnd, newTopic)
		tc.checkHistory(history)
	}
	for _, b := range tc.sorted() {
		if !b.isUp() {
			tc.start(b.id)
			b.control()
		} else {
			b.expire() // ends controlled shutdowns, which otherwise stand
		}
		b.mu.Lock()
		b.cannotStop = false
		b.mu.Unlock()
	}
	defer func() {
		if t.Failed() {
			marked, _ := znode.ListDeletions(context.Background(), tc.g(), false)
			t.Logf("to be deleted: %v\n%s", marked, tc.show())
			if c := tc.anyController(); c != nil {
				t.Logf("%+v", c.Metrics())
			}
		}
	}()
	eventually(t, "every partition is led by a live member of its ISR, and everybody knows", tc.healed)
	tc.checkHistory(history)
}

func shuffled(rnd *rand.Rand, n int32) []int32 {
	out := make([]int32, n)
	for i, v := range rnd.Perm(int(n)) {
		out[i] = int32(v)
	}
	return out
}

func (tc *testCluster) chaosStep(rnd *rand.Rand, newTopic func()) {
	t, ctx := tc.t, tc.t.Context()
	states := tc.states()
	var all []metadata.TopicPartition
	for tp := range states {
		all = append(all, tp)
	}
	slices.SortFunc(all, compareTP)
	b := tc.sorted()[rnd.IntN(len(tc.brokers))]
	up := 0
	for _, x := range tc.sorted() {
		if x.isUp() {
			up++
		}
	}
	c := tc.anyController()
	switch k := rnd.IntN(20); {
	case k < 3 && !b.isUp():
		tc.start(b.id)
		b.control()
	case k < 3 && up > 2:
		b.stop()
	case k < 5 && b.isUp():
		b.expire()
	case k < 6:
		if err := tc.g().Delete(ctx, znode.ControllerPath, coordination.AnyVersion); err != nil && !errors.Is(err, coordination.ErrNoNode) {
			t.Fatal(err)
		}
	case k < 7:
		newTopic()
	case k < 8 && len(all) > 3:
		name := all[rnd.IntN(len(all))].Topic
		if tc.isMoving(name) {
			return
		}
		if err := znode.MarkForDeletion(ctx, tc.g(), name); err != nil && !errors.Is(err, coordination.ErrNodeExists) {
			t.Fatal(err)
		}
	case c == nil || len(all) == 0:
	case k < 14: // a leader grows or shrinks its ISR
		tp := all[rnd.IntN(len(all))]
		topic, ok, err := znode.ReadTopic(ctx, tc.g(), tp.Topic)
		st := states[tp]
		if err != nil || !ok || st.Leader < 0 {
			return
		}
		isr := []int32{st.Leader}
		for _, id := range topic.Partitions[tp.Partition].Replicas {
			if id != st.Leader && rnd.IntN(3) > 0 {
				isr = append(isr, id)
			}
		}
		leader := tc.brokers[st.Leader]
		leader.mu.Lock()
		epoch := leader.registered.Epoch
		leader.mu.Unlock()
		_, _ = c.AlterPartition(ctx, AlterPartitionRequest{BrokerID: st.Leader, BrokerEpoch: epoch, Partitions: []AlterPartition{{
			TopicID: topic.ID, Partition: tp.Partition, LeaderEpoch: st.LeaderEpoch, ISR: isr, PartitionEpoch: st.PartitionEpoch}}})
	case k < 16:
		tp := all[rnd.IntN(len(all))]
		if marked, err := znode.IsMarkedForDeletion(ctx, tc.g(), tp.Topic); marked || err != nil {
			return
		}
		_, _ = c.AlterPartitionReassignments(ctx, map[metadata.TopicPartition][]int32{tp: shuffled(rnd, 4)[:2+rnd.IntN(2)]})
	case k < 18:
		_, _ = c.ElectLeaders(ctx, ElectionType(rnd.IntN(2)), nil)
	case b.isUp():
		b.mu.Lock()
		epoch := b.registered.Epoch
		b.mu.Unlock()
		if _, err := c.ControlledShutdown(ctx, b.id, epoch); err != nil && kerrOf(err) == nil {
			t.Errorf("controlled shutdown: %v", err)
		}
	}
}

// isMoving says whether a reassignment of the topic runs. Deleting it then can wait for ever, as with Apache: nobody is
// elected for a topic that is to be deleted, so a partition without a leader never gets its new replica into the ISR.
func (tc *testCluster) isMoving(name string) bool {
	topic, _, err := znode.ReadTopic(tc.t.Context(), tc.g(), name)
	for _, a := range topic.Partitions {
		if a.Reassigning() {
			return true
		}
	}
	return err != nil
}

func (tc *testCluster) anyController() *Controller {
	if a := tc.active(); len(a) > 0 {
		return tc.brokers[a[0]].c
	}
	return nil
}

// checkHistory holds what may be said of two pictures of a partition at any two times.
func (tc *testCluster) checkHistory(history map[metadata.TopicPartition]metadata.PartitionState) {
	for tp, now := range tc.states() {
		if now.Leader == -9 {
			continue
		}
		if len(now.ISR) == 0 || now.Leader >= 0 && !slices.Contains(now.ISR, now.Leader) {
			tc.t.Errorf("%v: leader %d, ISR %v", tp, now.Leader, now.ISR)
		}
		if was, ok := history[tp]; ok {
			if now.LeaderEpoch < was.LeaderEpoch || now.PartitionEpoch < was.PartitionEpoch || now.ControllerEpoch < was.ControllerEpoch {
				tc.t.Errorf("%v went back from %+v to %+v", tp, was, now)
			}
			if now.LeaderEpoch == was.LeaderEpoch && now.Leader != was.Leader {
				tc.t.Errorf("%v changed its leader within a leader epoch: %+v to %+v", tp, was, now)
			}
		}
		history[tp] = now
	}
}

func (tc *testCluster) healed() bool {
	marked, err := znode.ListDeletions(tc.t.Context(), tc.g(), false)
	if err != nil || len(marked) > 0 {
		return false
	}
	states := tc.states()
	for tp, st := range states {
		if st.Leader < 0 || !slices.Contains(st.ISR, st.Leader) {
			return false
		}
		if r, ok := tc.brokers[st.Leader].role(tp); !ok || r != fmt.Sprintf("leads at %d", st.LeaderEpoch) {
			return false
		}
	}
	for _, b := range tc.sorted() {
		if len(b.seen()) != len(tc.brokers) || b.differs(states) != ", cache as stored" {
			return false
		}
	}
	return true
}

// An election, whatever the picture, chooses an online replica that was in sync, unless it is an unclean one.
func TestElectionProperties(t *testing.T) {
	ids := rapid.SliceOfDistinct(rapid.Int32Range(1, 5), func(id int32) int32 { return id })
	rapid.Check(t, func(t *rapid.T) {
		a := Assignment{Replicas: ids.Draw(t, "replicas")}
		if target := ids.Draw(t, "target"); rapid.Bool().Draw(t, "reassigning") && len(target) > 0 {
			a = a.reassignTo(target)
		}
		cur := metadata.PartitionState{Leader: 1, LeaderEpoch: 3, ISR: ids.Draw(t, "isr")}
		live := ids.Draw(t, "live")
		s, p := picture(live, ids.Draw(t, "shutting down"), a, cur)
		unclean := rapid.Bool().Draw(t, "unclean")
		for how := electOffline; how <= electControlledShutdown; how++ {
			e, ok := s.elect(how, p, cur, unclean)
			if !ok {
				continue
			}
			switch {
			case !slices.Contains(live, e.leader) || s.shuttingDown[e.leader]:
				t.Errorf("%v: leader %d is not online", how, e.leader)
			case !slices.Contains(a.Replicas, e.leader):
				t.Errorf("%v: leader %d is not assigned", how, e.leader)
			case !slices.Contains(e.isr, e.leader):
				t.Errorf("%v: leader %d is not in the new ISR %v", how, e.leader, e.isr)
			case e.unclean == slices.Contains(cur.ISR, e.leader):
				t.Errorf("%v: leader %d of ISR %v, unclean %v", how, e.leader, cur.ISR, e.unclean)
			case e.unclean && (how != electOffline || !unclean || s.hasOnlineISR(p) && len(without(cur.ISR, a.Replicas)) == 0):
				t.Errorf("%v: unclean election without need or leave", how)
			case !e.unclean && len(without(e.isr, cur.ISR)) > 0:
				t.Errorf("%v: ISR grew from %v to %v", how, cur.ISR, e.isr)
			}
		}
	})
}
