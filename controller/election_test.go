package controller

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/metadata"
)

// picture builds a cluster of live brokers with one partition t-0.
func picture(live, shuttingDown []int32, a Assignment, state metadata.PartitionState) (*cluster, *partition) {
	s := newCluster()
	s.epoch = 5
	for _, id := range live {
		s.brokers[id] = &liveBroker{Broker: metadata.Broker{ID: id, Epoch: int64(id) + 100}}
	}
	for _, id := range shuttingDown {
		s.shuttingDown[id] = true
	}
	p := s.addTopic("t", metadata.TopicID{1}).add(0, a)
	p.info, p.state = &state, partitionOnline
	return s, p
}

func list(s string) []int32 {
	out := []int32{}
	for f := range strings.FieldsSeq(s) {
		var id int32
		fmt.Sscan(f, &id)
		out = append(out, id)
	}
	return out
}

func TestElect(t *testing.T) {
	for _, tc := range []struct {
		name                       string
		how                        strategy
		replicas, adding, removing string
		live, shuttingDown, badDir string
		isr                        string
		recovering, unclean        bool

		leader          int32 // 0 = nobody
		newISR, told    string
		wantRecovering  bool
		wantUncleanFlag bool
	}{
		{name: "first of the assignment, not of the ISR", how: electOffline, replicas: "1 2 3", live: "2 3", isr: "3 2 1", leader: 2, newISR: "3 2", told: "2 3"},
		{name: "in the ISR only", how: electOffline, replicas: "1 2 3", live: "2 3", isr: "1 3", leader: 3, newISR: "3", told: "2 3"},
		{name: "nobody in sync", how: electOffline, replicas: "1 2 3", live: "2 3", isr: "1"},
		{name: "nobody in sync, unclean", how: electOffline, replicas: "1 2 3", live: "3 2", isr: "1", unclean: true, leader: 2, newISR: "2", told: "2 3", wantRecovering: true, wantUncleanFlag: true},
		{name: "unclean is not used while a clean one is possible", how: electOffline, replicas: "1 2 3", live: "2 3", isr: "3", unclean: true, leader: 3, newISR: "3", told: "2 3"},
		{name: "unclean, but nobody alive", how: electOffline, replicas: "1 2", live: "3", isr: "1", unclean: true},
		{name: "recovering stays", how: electOffline, replicas: "1 2", live: "2", isr: "2", recovering: true, leader: 2, newISR: "2", told: "2", wantRecovering: true},
		{name: "a shutting-down broker is not online", how: electOffline, replicas: "1 2", live: "1 2", shuttingDown: "1", isr: "1 2", leader: 2, newISR: "2", told: "2"},
		{name: "a failed log directory is not online", how: electOffline, replicas: "1 2", live: "1 2", badDir: "1", isr: "1 2", leader: 2, newISR: "2", told: "2"},
		{name: "not assigned", how: electOffline, replicas: "1", live: "1 2", isr: "2"},

		{name: "target order", how: electReassign, replicas: "3 2 1", removing: "1", live: "1 2 3", isr: "1 2 3", leader: 3, newISR: "1 2 3", told: "3 2"},
		{name: "target in sync", how: electReassign, replicas: "3 2 1", adding: "3", removing: "1", live: "1 2 3", isr: "1 2", leader: 2, newISR: "1 2", told: "3 2"},
		{name: "told though dead", how: electReassign, replicas: "3 2", live: "2", isr: "2 3", leader: 2, newISR: "2 3", told: "3 2"},
		{name: "target not in sync", how: electReassign, replicas: "3 1", removing: "1", live: "1 3", isr: "1"},

		{name: "preferred", how: electPreferred, replicas: "1 2 3", live: "1 2 3", isr: "3 1", leader: 1, newISR: "3 1", told: "1 2 3"},
		{name: "preferred dead", how: electPreferred, replicas: "1 2 3", live: "2 3", isr: "1 2 3"},
		{name: "preferred not in sync", how: electPreferred, replicas: "1 2 3", live: "1 2 3", isr: "2 3"},
		{name: "no replicas", how: electPreferred, replicas: "", live: "1", isr: "1"},

		{name: "away from the one that stops", how: electControlledShutdown, replicas: "1 2 3", live: "1 2 3", shuttingDown: "1", isr: "1 2 3", leader: 2, newISR: "2 3", told: "1 2 3"},
		{name: "nobody else in sync", how: electControlledShutdown, replicas: "1 2", live: "1 2", shuttingDown: "1", isr: "1"},
		{name: "dead ones are not told", how: electControlledShutdown, replicas: "1 2 3", live: "1 3", shuttingDown: "1", isr: "1 3", leader: 3, newISR: "3", told: "1 3"},
		{name: "recovering stays on shutdown", how: electControlledShutdown, replicas: "1 2", live: "1 2", shuttingDown: "1", isr: "1 2", recovering: true, leader: 2, newISR: "2", told: "1 2", wantRecovering: true},
	} {
		t.Run(tc.how.String()+"/"+tc.name, func(t *testing.T) {
			cur := metadata.PartitionState{ControllerEpoch: 4, Leader: 1, LeaderEpoch: 7, ISR: list(tc.isr), PartitionEpoch: 9}
			if tc.recovering {
				cur.Recovery = metadata.Recovering
			}
			s, p := picture(list(tc.live), list(tc.shuttingDown), Assignment{list(tc.replicas), list(tc.adding), list(tc.removing)}, cur)
			for _, id := range list(tc.badDir) {
				s.offlineDirs[id] = map[metadata.TopicPartition]bool{p.tp: true}
			}
			e, ok := s.elect(tc.how, p, cur, tc.unclean)
			if ok != (tc.leader != 0) {
				t.Fatalf("elected %v (%+v)", ok, e)
			}
			if !ok {
				return
			}
			if e.leader != tc.leader || !slices.Equal(e.isr, list(tc.newISR)) || !slices.Equal(e.recipients, list(tc.told)) {
				t.Errorf("leader %d ISR %v told %v", e.leader, e.isr, e.recipients)
			}
			if (e.recovery == metadata.Recovering) != tc.wantRecovering || e.unclean != tc.wantUncleanFlag {
				t.Errorf("recovery %v unclean %v", e.recovery, e.unclean)
			}
		})
	}
}

func TestReassignTo(t *testing.T) {
	for _, tc := range []struct{ from, target, full, adding, removing string }{
		{"1 2 3", "4 5 6", "4 5 6 1 2 3", "4 5 6", "1 2 3"},
		{"1 2", "2 3", "2 3 1", "3", "1"},
		{"1 2 3", "3 2 1", "3 2 1", "", ""},
		{"1 2 3", "1", "1 2 3", "", "2 3"},
		{"1", "1 2", "1 2", "2", ""},
	} {
		a := Assignment{Replicas: list(tc.from)}.reassignTo(list(tc.target))
		if want := (Assignment{list(tc.full), list(tc.adding), list(tc.removing)}); !a.equal(want) {
			t.Errorf("%s to %s: %v, want %v", tc.from, tc.target, a, want)
		}
		if !slices.Equal(a.Target(), list(tc.target)) || !slices.Equal(distinct(append(a.Origin(), list(tc.from)...)), a.Origin()) {
			t.Errorf("%s to %s: target %v origin %v", tc.from, tc.target, a.Target(), a.Origin())
		}
		if back := a.reassignTo(a.Origin()); back.IsBeingReassigned() && len(without(back.Adding, a.Adding)) > 0 {
			t.Errorf("cancelling %v gave %v", a, back)
		}
	}
}

func TestPlanShrink(t *testing.T) {
	for _, tc := range []struct {
		name    string
		leader  int32
		isr     string
		remove  int32
		write   bool
		newLead int32
		newISR  string
		told    string
	}{
		{"follower leaves", 1, "1 2 3", 2, true, 1, "1 3", "1 3"},
		{"leader leaves", 1, "1 2 3", 1, true, metadata.NoLeader, "2 3", "2 3"},
		{"the last member stays", 1, "1", 1, true, metadata.NoLeader, "1", "2 3"},
		{"not a member", 1, "1 3", 2, false, 0, "", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cur := metadata.PartitionState{ControllerEpoch: 4, Leader: tc.leader, LeaderEpoch: 7, ISR: list(tc.isr), PartitionEpoch: 9, Recovery: metadata.Recovering}
			s, p := picture(list("1 2 3"), nil, Assignment{Replicas: list("1 2 3")}, cur)
			pl, untouched := s.planShrink([]*partition{p}, tc.remove)
			if len(pl.writes) == 1 != tc.write || len(untouched) == 1 == tc.write {
				t.Fatalf("%d writes, %d untouched", len(pl.writes), len(untouched))
			}
			if p.info.LeaderEpoch != 7 {
				t.Fatal("planning changed the picture")
			}
			if !tc.write {
				return
			}
			n := pl.writes[0].next
			if n.Leader != tc.newLead || !slices.Equal(n.ISR, list(tc.newISR)) || n.LeaderEpoch != 8 || n.ControllerEpoch != 5 || n.Recovery != metadata.Recovering {
				t.Errorf("next %+v", n)
			}
			if !slices.Equal(pl.writes[0].recipients, list(tc.told)) {
				t.Errorf("told %v", pl.writes[0].recipients)
			}
		})
	}
}

func TestAStateOfALaterControllerIsNotOverwritten(t *testing.T) {
	cur := metadata.PartitionState{ControllerEpoch: 6, Leader: 1, LeaderEpoch: 7, ISR: list("1 2")}
	s, p := picture(list("1 2"), nil, Assignment{Replicas: list("1 2")}, cur) // our epoch is 5
	pl := s.planElection([]*partition{p}, electPreferred, func(string) bool { return true })
	if len(pl.writes) != 0 || len(pl.refused) != 1 {
		t.Errorf("election planned: %+v", pl)
	}
	if pl, _ := s.planShrink([]*partition{p}, 1); len(pl.writes) != 0 {
		t.Errorf("shrink planned: %+v", pl)
	}
	if _, err := s.planEpochBump(p); err == nil {
		t.Error("epoch bump planned")
	}
}

func TestImbalance(t *testing.T) {
	s := newCluster()
	for id := range int32(2) {
		s.brokers[id] = &liveBroker{Broker: metadata.Broker{ID: id}}
	}
	topic := s.addTopic("t", metadata.TopicID{1})
	for i := range int32(10) { // all prefer 0; the first leads are lost to 1
		p := topic.add(i, Assignment{Replicas: []int32{0, 1}})
		p.info = &metadata.PartitionState{Leader: 0, ISR: []int32{0, 1}}
	}
	if got := s.imbalanced(10); got != nil {
		t.Errorf("balanced, but %d groups", len(got))
	}
	topic.partitions[0].info = &metadata.PartitionState{Leader: 1, ISR: []int32{0, 1}}
	if got := s.imbalanced(10); got != nil {
		t.Error("exactly 10 % is not above 10 %")
	}
	topic.partitions[1].info = &metadata.PartitionState{Leader: 1, ISR: []int32{1}} // counts, but cannot be taken back
	if got := s.imbalanced(10); len(got) != 1 || len(got[0]) != 1 || got[0][0].tp.Partition != 0 {
		t.Errorf("20 %%: %v", got)
	}
}

func TestAMoveMayNotDropTheWholeISR(t *testing.T) {
	cur := metadata.PartitionState{Leader: 3, ISR: list("3")}
	_, p := picture(list("1 2 3"), nil, Assignment{Replicas: list("3 1 2"), Adding: list("3"), Removing: list("1 2")}, cur)
	if err := p.mayDropTo(p.assignment.reassignTo(p.assignment.Origin())); !errors.Is(err, kerr.InvalidReplicaAssignment) {
		t.Errorf("cancelling would drop 3, the only one in sync: %v", err)
	}
	if err := p.mayDropTo(p.assignment.reassignTo(list("3 2"))); err != nil {
		t.Error(err)
	}
}
