package znode

import (
	"errors"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/coordination"
	"gokafka/coordination/zktest"
	"gokafka/metadata"
)

func TestElect(t *testing.T) {
	ctx, s, l := open(t, zktest.Start(t))
	g := s.Current()
	if _, ok, err := ReadController(ctx, g, true); ok || err != nil {
		t.Fatalf("a controller before any election: %v", err)
	}
	c := elect(t, g, 1)
	if c.Epoch != 1 || c.ZkVersion != 1 {
		t.Errorf("first epoch %d, version %d", c.Epoch, c.ZkVersion)
	}
	cur, ok, err := ReadController(ctx, g, false)
	if err != nil || !ok || cur.BrokerID != 1 || cur.IsKRaft() || cur.Owner != g.ID() {
		t.Errorf("%+v %v %v", cur, ok, err)
	}
	if _, err := Elect(ctx, g, 2, 1); !errors.Is(err, ErrControllerMoved) || !errors.Is(err, kerr.StaleControllerEpoch) {
		t.Errorf("second broker: %v", err)
	}
	// The same broker again, while it is the controller: the epoch was not raised by this attempt.
	if _, err := Elect(ctx, g, 1, 1); !errors.Is(err, ErrControllerMoved) {
		t.Errorf("again: %v", err)
	}
	if err := c.Resign(ctx); err != nil {
		t.Fatal(err)
	}
	l.DropReply(zktest.OpMulti)
	c2 := elect(t, g, 1)
	if c2.Epoch != 2 || c2.ZkVersion != 2 {
		t.Errorf("election with a lost reply: epoch %d, version %d", c2.Epoch, c2.ZkVersion)
	}
}

// Whatever the interleaving, one of the racers wins, and the epochs that were won never repeat.
func TestElectRace(t *testing.T) {
	srv := zktest.Start(t)
	ctx, s1, _ := open(t, srv)
	s2, _ := srv.Open(t)
	gens := []*coordination.Generation{s1.Current(), s2.Current()}
	for round := range int32(20) {
		var wg sync.WaitGroup
		won := make([]*Controllership, 2)
		for i, g := range gens {
			wg.Go(func() {
				c, err := Elect(ctx, g, int32(i), 1)
				if err != nil && !errors.Is(err, ErrControllerMoved) {
					t.Error(err)
				}
				won[i] = c
			})
		}
		wg.Wait()
		if (won[0] == nil) == (won[1] == nil) {
			t.Fatalf("round %d: %v", round, won)
		}
		w := won[0]
		if w == nil {
			w = won[1]
		}
		if w.Epoch != round+1 {
			t.Fatalf("round %d won with epoch %d", round, w.Epoch)
		}
		if err := w.Resign(ctx); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWritesOfADeposedController(t *testing.T) {
	srv := zktest.Start(t)
	ctx, s1, _ := open(t, srv)
	s2, _ := srv.Open(t)
	old := elect(t, s1.Current(), 1)
	tp := metadata.TopicPartition{Topic: "t"}
	mustCreate(t, s1.Current(), TopicPath("t"), "x")
	if _, err := old.CreateStates(ctx, []PartitionState{{TopicPartition: tp}}); err != nil {
		t.Fatal(err)
	}
	if err := old.Resign(ctx); err != nil {
		t.Fatal(err)
	}
	elect(t, s2.Current(), 2)
	for _, op := range []coordination.Op{
		coordination.CreateOp("/x", nil, coordination.Persistent),
		SetStateOp(tp, metadata.PartitionState{Leader: 9}),
		coordination.DeleteOp(StatePath(tp), coordination.AnyVersion),
	} {
		if _, err := old.Write(ctx, op); !errors.Is(err, ErrControllerMoved) {
			t.Errorf("%s: %v", op, err)
		}
	}
	if _, err := old.WriteMany(ctx, []coordination.Op{coordination.CreateOp("/x", nil, coordination.Persistent)}); !errors.Is(err, ErrControllerMoved) {
		t.Error(err)
	}
	if err := old.Resign(ctx); err != nil {
		t.Errorf("a deposed controller resigns: %v", err)
	}
	if c, ok, err := ReadController(ctx, s2.Current(), false); err != nil || !ok || c.BrokerID != 2 {
		t.Errorf("the new controller was deposed by the old one: %+v %v", c, err)
	}
	res, err := ReadStates(ctx, s2.Current(), []metadata.TopicPartition{tp})
	if err != nil || !res[0].OK || res[0].State.Leader != 0 || res[0].State.PartitionEpoch != 0 {
		t.Errorf("state %+v, %v", res, err)
	}
	if stat, _ := s2.Current().Exists(ctx, "/x"); stat != nil {
		t.Error("a deposed controller wrote")
	}
}

// One stale partition does not sink the others.
func TestStatesOfABatch(t *testing.T) {
	ctx, s, _ := open(t, zktest.Start(t))
	g := s.Current()
	c := elect(t, g, 1)
	var states []PartitionState
	var tps []metadata.TopicPartition
	for p := range int32(40) {
		tp := metadata.TopicPartition{Topic: "t", Partition: p}
		tps = append(tps, tp)
		states = append(states, PartitionState{tp, metadata.PartitionState{Leader: 1, ISR: []int32{1}, ControllerEpoch: 1}})
	}
	gone := PartitionState{metadata.TopicPartition{Topic: "gone"}, states[0].State}
	mustCreate(t, g, TopicPath("t"), "x")
	res, err := c.CreateStates(ctx, append(states, gone))
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range res[:40] {
		if r.Err != nil {
			t.Errorf("%s: %v", tps[i], r.Err)
		}
	}
	if !errors.Is(res[40].Err, coordination.ErrNoNode) {
		t.Errorf("partition of a deleted topic: %v", res[40].Err)
	}
	if res, err = c.CreateStates(ctx, states[:1]); err != nil || !errors.Is(res[0].Err, coordination.ErrNodeExists) {
		t.Errorf("again: %v, %v", res, err)
	}
	ops := make([]coordination.Op, len(tps))
	for i, tp := range tps {
		st := metadata.PartitionState{Leader: 2, LeaderEpoch: 1, ISR: []int32{2}, ControllerEpoch: 1}
		if i == 7 {
			st.PartitionEpoch = 5
		}
		ops[i] = SetStateOp(tp, st)
	}
	if res, err = c.WriteMany(ctx, ops); err != nil {
		t.Fatal(err)
	}
	for i, r := range res {
		if i == 7 && !errors.Is(r.Err, coordination.ErrBadVersion) || i != 7 && (r.Err != nil || r.Stat.Version != 1) {
			t.Errorf("%s: %+v", tps[i], r)
		}
	}
	got, err := ReadStates(ctx, g, append(tps, gone.TopicPartition))
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range got[:40] {
		if want := int32(2); r.OK && (r.State.Leader == want) == (i == 7) {
			t.Errorf("%s: %+v", tps[i], r.State)
		}
	}
	if got[40].OK {
		t.Error("a state of a missing topic")
	}
}

// The reply to each kind of guarded write is lost after the server carried it out: the write counts as done, once.
func TestLostReplyOfGuardedWrites(t *testing.T) {
	ctx, s, l := open(t, zktest.Start(t))
	g := s.Current()
	c := elect(t, g, 1)
	tp := metadata.TopicPartition{Topic: "t"}
	mustCreate(t, g, PartitionPath(tp), "")
	st := metadata.PartitionState{Leader: 1, ISR: []int32{1}}

	dropped := l.DropReply(zktest.OpMulti)
	if _, err := c.Write(ctx, coordination.CreateOp(StatePath(tp), EncodeState(st), coordination.Persistent)); err != nil {
		t.Errorf("create: %v", err)
	}
	<-dropped
	st.Leader = 2
	dropped = l.DropReply(zktest.OpMulti)
	stat, err := c.Write(ctx, SetStateOp(tp, st))
	if err != nil || stat.Version != 1 {
		t.Errorf("set: %+v, %v", stat, err)
	}
	<-dropped
	dropped = l.DropReply(zktest.OpMulti)
	if _, err := c.Write(ctx, coordination.DeleteOp(StatePath(tp), 1)); err != nil {
		t.Errorf("delete: %v", err)
	}
	<-dropped

	// Somebody else's writes are not taken for one's own.
	mustCreate(t, g, StatePath(tp), "other")
	l.DropReply(zktest.OpMulti)
	_, err = c.Write(ctx, coordination.CreateOp(StatePath(tp), EncodeState(st), coordination.Persistent))
	if !errors.Is(err, coordination.ErrNodeExists) {
		t.Errorf("create over another's: %v", err)
	}
	st.PartitionEpoch = 3
	l.DropReply(zktest.OpMulti)
	if _, err = c.Write(ctx, SetStateOp(tp, st)); !errors.Is(err, coordination.ErrBadVersion) {
		t.Errorf("stale set: %v", err)
	}
}

func TestDeleteTopic(t *testing.T) {
	ctx, s, _ := open(t, zktest.Start(t))
	g := s.Current()
	c := elect(t, g, 1)
	for p := range int32(3) {
		mustCreate(t, g, StatePath(metadata.TopicPartition{Topic: "t", Partition: p}), "x")
	}
	mustCreate(t, g, EntityPath(TopicEntity, "t"), "x")
	if err := MarkForDeletion(ctx, g, "t"); err != nil {
		t.Fatal(err)
	}
	if err := MarkForDeletion(ctx, g, "t"); !errors.Is(err, coordination.ErrNodeExists) {
		t.Error(err)
	}
	if names, err := ListDeletions(ctx, g, false); err != nil || len(names) != 1 {
		t.Errorf("%q, %v", names, err)
	}
	for range 2 { // the second finds nothing left
		if err := c.DeleteTopic(ctx, "t"); err != nil {
			t.Fatal(err)
		}
	}
	for _, p := range []string{TopicPath("t"), EntityPath(TopicEntity, "t"), DeleteTopicPath("t")} {
		if stat, err := g.Exists(ctx, p); err != nil || stat != nil {
			t.Errorf("%s is still there (%v)", p, err)
		}
	}
}

func TestReassignmentsNode(t *testing.T) {
	ctx, s, _ := open(t, zktest.Start(t))
	g := s.Current()
	c := elect(t, g, 1)
	if _, ok, err := ReadReassignments(ctx, g, true); ok || err != nil {
		t.Error(ok, err)
	}
	a, b := metadata.TopicPartition{Topic: "a"}, metadata.TopicPartition{Topic: "b", Partition: 2}
	for _, m := range []map[metadata.TopicPartition][]int32{{a: {1, 2}, b: {3}}, {b: {3}}} {
		if err := c.WriteReassignments(ctx, m); err != nil {
			t.Fatal(err)
		}
		got, ok, err := ReadReassignments(ctx, g, true)
		if err != nil || !ok || len(got) != len(m) || got[b][0] != 3 {
			t.Errorf("%v %v %v", got, ok, err)
		}
	}
	for range 2 {
		if err := c.WriteReassignments(ctx, nil); err != nil {
			t.Error(err)
		}
	}
	if _, ok, _ := ReadReassignments(ctx, g, false); ok {
		t.Error("an empty reassignment is left")
	}
}
