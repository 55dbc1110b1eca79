package replication

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/config"
	"gokafka/internal/vfs"
	"gokafka/metadata"
)

// stopReplica sends StopReplica for t-0.
func (n *node) stopReplica(epoch int32, del bool) error {
	n.t.Helper()
	parts := []StopReplicaPartition{{TopicPartition: t0, LeaderEpoch: epoch, Delete: del}}
	must(n.t, n.StopReplica(n.t.Context(), 1, parts))
	return parts[0].Err
}

func (n *node) stopOK(epoch int32, del bool) {
	n.t.Helper()
	must(n.t, n.stopReplica(epoch, del))
}

// The rows of the checks that a LeaderAndIsr goes through.
func TestLeaderAndISRAdmission(t *testing.T) {
	otherID := metadata.TopicID{1: 8}
	leads5 := func(t *testing.T, n *node) { n.role(1, 5, 7, 1, 2, 3) }
	follows5 := func(t *testing.T, n *node) { n.role(2, 5, 7, 2) }
	change := func(s LeaderAndISRPartition, f func(*LeaderAndISRPartition)) LeaderAndISRPartition {
		f(&s)
		return s
	}
	noID := func(s *LeaderAndISRPartition) { s.TopicID = metadata.TopicID{} }
	for _, c := range []struct {
		name   string
		before func(t *testing.T, n *node)
		s      LeaderAndISRPartition
		want   *kerr.Error
		leads  bool
		epoch  int32
	}{
		{"first, leader", nil, state(1, 0, 0, 1), nil, true, 0},
		{"first, follower", nil, state(2, 0, 0, 2), nil, false, 0},
		{"newer epoch", leads5, state(2, 6, 8, 2), nil, false, 6},
		{"newer epoch, without a topic id", leads5, change(state(2, 6, 8, 2), noID), nil, false, 6},
		{"older epoch", leads5, state(2, 4, 9, 2), kerr.StaleControllerEpoch, true, 5},
		{"same epoch", leads5, state(1, 5, 7, 1), kerr.StaleControllerEpoch, true, 5},
		{"same epoch, newer partition epoch", leads5, state(2, 5, 9, 2), kerr.StaleControllerEpoch, true, 5},
		{"same epoch, without the id, leader", leads5, change(state(1, 5, 7, 1), noID), kerr.StaleControllerEpoch, true, 5},
		{"same epoch, without the id, follower", follows5, change(state(2, 5, 7, 2), noID), nil, false, 5},
		{"newer epoch, older partition epoch", leads5, state(2, 6, 6, 2), nil, true, 5},
		{"newer epoch, older partition epoch, leader", follows5, state(1, 6, 6, 1), nil, false, 5},
		{"another topic id", leads5, change(state(2, 6, 8, 2), func(s *LeaderAndISRPartition) { s.TopicID = otherID }), kerr.InconsistentTopicID, true, 5},
		{"another topic id, older epoch", leads5, change(state(2, 1, 1, 2), func(s *LeaderAndISRPartition) { s.TopicID = otherID }), kerr.InconsistentTopicID, true, 5},
		{"not a replica", leads5, change(state(2, 6, 8, 2), func(s *LeaderAndISRPartition) { s.Replicas = []int32{2, 3} }), kerr.UnknownTopicOrPartition, true, 5},
		{"not a replica, older epoch", leads5, change(state(2, 4, 8, 2), func(s *LeaderAndISRPartition) { s.Replicas = []int32{2, 3} }), kerr.StaleControllerEpoch, true, 5},
		{"offline directory", func(t *testing.T, n *node) {
			leads5(t, n)
			n.dirFails()
		}, state(1, 6, 8, 1), kerr.KafkaStorageError, false, 5},
		{"the leader is not alive", leads5, state(9, 6, 8, 9), nil, true, 5},
		{"no leader", leads5, state(-1, 6, 8, 2), nil, true, 5},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNode(t, 1, nil)
			if c.before != nil {
				c.before(t, n)
			}
			wantCode(t, c.name, n.apply(c.s), c.want)
			p := n.Partition(t0)
			_, epoch := p.LeaderHint()
			if p.isLeader != c.leads || epoch != c.epoch {
				t.Errorf("leads %t in epoch %d, want %t in %d", p.isLeader, epoch, c.leads, c.epoch)
			}
		})
	}
}

func TestStaleController(t *testing.T) {
	n := newNode(t, 1, nil)
	must(t, n.LeaderAndISR(t.Context(), 5, []LeaderAndISRPartition{state(1, 0, 0, 1)}))
	stale := func(what string, err error) { t.Helper(); wantCode(t, what, err, kerr.StaleControllerEpoch) }
	stale("LeaderAndIsr", n.LeaderAndISR(t.Context(), 4, []LeaderAndISRPartition{state(2, 1, 1, 2)}))
	stale("StopReplica", n.StopReplica(t.Context(), 4, []StopReplicaPartition{{TopicPartition: t0, LeaderEpoch: -2, Delete: true}}))
	_, _, err := n.UpdateMetadata(t.Context(), 4, metadata.Update{})
	stale("UpdateMetadata", err)
	if n.cache.Image().Broker(1) == nil || n.log() == nil || !n.Partition(t0).isLeader {
		t.Error("a stale controller changed something")
	}
	// Each kind of request teaches the newer epoch.
	for i, f := range []func(epoch int32) error{
		func(e int32) error { return n.LeaderAndISR(t.Context(), e, nil) },
		func(e int32) error { return n.StopReplica(t.Context(), e, nil) },
		func(e int32) error { _, _, err := n.UpdateMetadata(t.Context(), e, metadata.Update{}); return err },
	} {
		must(t, f(int32(10+i)))
		stale(fmt.Sprint("after kind ", i), n.LeaderAndISR(t.Context(), int32(9+i), nil))
	}
}

func TestTopicIDIsBound(t *testing.T) {
	n := newNode(t, 1, nil)
	s := state(1, 0, 0, 1)
	s.TopicID = metadata.TopicID{}
	must(t, n.apply(s))
	if !n.log().TopicID().IsZero() {
		t.Fatal("has an id")
	}
	// The controller learnt ids without a new leader epoch.
	must(t, n.apply(state(1, 0, 0, 1)))
	if n.log().TopicID() != topicID {
		t.Error("the id is not bound")
	}
	must(t, n.Partition(t0).CheckTopicID(topicID))
	wantCode(t, "another id", n.Partition(t0).CheckTopicID(metadata.TopicID{1: 9}), kerr.InconsistentTopicID)
}

func TestStopReplica(t *testing.T) {
	for _, c := range []struct {
		name  string
		epoch int32
		del   bool
		want  *kerr.Error
		kept  bool
	}{
		{"same epoch", 5, true, nil, false},
		{"newer epoch", 6, true, nil, false},
		{"older epoch", 4, true, kerr.FencedLeaderEpoch, true},
		{"unknown epoch", -1, true, nil, false},
		{"deletion of the topic", -2, true, nil, false},
		{"without deletion", 5, false, nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNode(t, 1, nil)
			n.role(1, 5, 0, 1)
			wantCode(t, c.name, n.stopReplica(c.epoch, c.del), c.want)
			if kept := n.Partition(t0) != nil; kept != c.kept || (n.log() != nil) != c.kept {
				t.Errorf("partition kept: %t, log kept: %t, want %t", kept, n.log() != nil, c.kept)
			}
			if p := n.Partition(t0); p != nil && !p.isLeader {
				t.Error("the role is gone; it stays until the next LeaderAndIsr")
			}
		})
	}
	t.Run("unknown partition", func(t *testing.T) {
		n := newNode(t, 1, nil)
		must(t, n.stopReplica(0, true))
		must(t, n.stopReplica(0, false))
	})
	t.Run("log that no LeaderAndIsr named", func(t *testing.T) {
		n := newNode(t, 1, nil)
		n.role(1, 5, 0, 1)
		n.down()
		n = openNode(t, 1, n.disk, nil, nil)
		if n.Partition(t0) != nil || n.log() == nil {
			t.Fatal("not as expected after a restart")
		}
		must(t, n.stopReplica(5, true))
		if n.log() != nil {
			t.Error("the log is there still")
		}
	})
	t.Run("offline directory", func(t *testing.T) {
		n := newNode(t, 1, nil)
		n.role(1, 5, 0, 1)
		n.dirFails()
		wantCode(t, "offline", n.stopReplica(-2, true), kerr.KafkaStorageError)
	})
}

// Coordinators hear of leaderships that begin, of each epoch in which another leads, and of deletions; not of a leadership that goes on.
func TestLeadershipChanged(t *testing.T) {
	var got []LeadershipChange
	n := newNode(t, 1, func(o *Options) { o.LeadershipChanged = func(c []LeadershipChange) { got = append(got, c...) } })
	step := func(what string, f func(), want ...LeadershipChange) {
		t.Helper()
		for i := range want {
			want[i].TopicPartition = t0
		}
		if got = nil; !slices.Equal(func() []LeadershipChange { f(); return got }(), want) {
			t.Errorf("%s: %+v, want %+v", what, got, want)
		}
	}
	step("leads", func() { n.role(1, 0, 0, 1) }, LeadershipChange{Leads: true, LeaderEpoch: 0})
	step("goes on leading", func() { n.role(1, 1, 1, 1) })
	step("refused", func() { _ = n.apply(state(2, 1, 1, 2)) })
	step("no leader", func() { must(t, n.apply(state(-1, 2, 2, 1))) })
	step("follows", func() { n.role(2, 2, 2, 2) }, LeadershipChange{LeaderEpoch: 2})
	step("follows on", func() { n.role(2, 3, 3, 2) }, LeadershipChange{LeaderEpoch: 3})
	step("leads again", func() { n.role(1, 4, 4, 1) }, LeadershipChange{Leads: true, LeaderEpoch: 4})
	step("stopped", func() { n.stopOK(4, false) })
	step("deleted", func() { n.stopOK(-2, true) }, LeadershipChange{Deleted: true, LeaderEpoch: -2})
	step("deleted again", func() { n.stopOK(-2, true) })
}

// A topic made anew under its name is another topic: it starts empty, and the old id is refused.
func TestTopicMadeAnew(t *testing.T) {
	n := newNode(t, 1, nil)
	old := n.role(1, 5, 7, 1)
	n.sendOK("old")
	n.stopOK(-2, true)
	s := state(1, 0, 0, 1)
	s.TopicID = metadata.TopicID{1: 8}
	must(t, n.apply(s))
	p := n.Partition(t0)
	if p == old || n.log().LogEndOffset() != 0 || n.log().TopicID() != s.TopicID {
		t.Errorf("log end %d, id %s", n.log().LogEndOffset(), n.log().TopicID())
	}
	wantCode(t, "the old topic's state", n.apply(state(1, 6, 8, 1)), kerr.InconsistentTopicID)
	if _, err := old.Read(&ReadRequest{ReplicaID: Consumer, CurrentEpoch: NoEpoch, LastFetchedEpoch: NoEpoch}); code(err) != kerr.NotLeaderForPartition {
		t.Errorf("reading the old partition: %v", err)
	}
}

func TestLogDirFailed(t *testing.T) {
	n := newNode(t, 1, nil)
	p := n.role(1, 0, 0, 1)
	n.dirFails()
	wantCode(t, "append", n.send(AcksAll, produced(t, nil, "x"))[0].Err, kerr.KafkaStorageError)
	_, err := p.Read(&ReadRequest{ReplicaID: Consumer, CurrentEpoch: NoEpoch, LastFetchedEpoch: NoEpoch})
	wantCode(t, "read", err, kerr.KafkaStorageError)
	_, err = p.OffsetForTimestamp(TimestampLatest, ReadUncommitted, NoEpoch, true)
	wantCode(t, "ListOffsets", err, kerr.KafkaStorageError)
	if c := n.Counts(); c.Offline != 1 || c.Leaders != 0 {
		t.Errorf("%+v", c)
	}
}

// A disk that fails under a LeaderAndIsr fails the partitions on it and no others, and the request ends.
func TestDiskFailsDuringLeaderAndISR(t *testing.T) {
	n := newNode(t, 1, nil)
	n.role(1, 0, 0, 1)
	dir := n.log().Dir()
	second := state(1, 0, 0, 1)
	second.TopicPartition.Partition = 1
	must(t, n.apply(second))
	other, _ := n.logs.Get(second.TopicPartition)
	if parent(other.Dir()) == parent(dir) {
		t.Fatal("both logs are in one directory")
	}
	broken := errors.New("input/output error")
	fail := func(op vfs.Op) error {
		if parent(op.Name) == parent(dir) && op.Kind != vfs.OpRead {
			return broken
		}
		return nil
	}
	n.hook.Store(&fail)
	first, second2 := state(1, 1, 1, 1), second
	second2.State.LeaderEpoch, second2.State.PartitionEpoch = 1, 1
	parts := []LeaderAndISRPartition{first, second2}
	must(t, n.LeaderAndISR(t.Context(), 1, parts))
	wantCode(t, "on the broken disk", parts[0].Err, kerr.KafkaStorageError)
	wantCode(t, "on the other", parts[1].Err, nil)
	wantCode(t, "append to the broken", n.send(AcksLeader, produced(t, nil, "x"))[0].Err, kerr.KafkaStorageError)
}

// A disk that fails under an append, or a read, of a leader takes the partition offline; whoever found out is not in the way.
func TestDiskFailsUnderALeader(t *testing.T) {
	for name, use := range map[string]func(n *node) error{
		"append": func(n *node) error { return n.send(AcksLeader, produced(t, nil, "x"))[0].Err },
		"read by time": func(n *node) error {
			_, err := n.Partition(t0).OffsetForTimestamp(1000, ReadUncommitted, NoEpoch, true)
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := newNode(t, 1, nil)
			n.role(1, 0, 0, 1, 2)
			_, done := n.waiting(time.Hour)
			fail := func(op vfs.Op) error {
				if op.Kind == vfs.OpWrite || op.Kind == vfs.OpRead {
					return errors.New("input/output error")
				}
				return nil
			}
			n.hook.Store(&fail)
			wantCode(t, name, use(n), kerr.KafkaStorageError)
			<-done
			if n.Counts().Offline != 1 {
				t.Error("not offline")
			}
		})
	}
}

// A full disk refuses, and is used again when there is room.
func TestFullDisk(t *testing.T) {
	_, list := nodes(t, 2, nil)
	a, b := list[0], list[1]
	a.role(1, 0, 0, 1, 2)
	b.role(1, 0, 0, 1, 2)
	a.sendOK("x")
	sameLogs(t, a, b)
	b.disk.SetCapacity(1)
	a.sendOK("y")
	eventually(t, "the follower stumbles", func() bool {
		s := b.fetchers.all()[0].states()[0]
		b.fetchers.all()[0].mu.Lock()
		defer b.fetchers.all()[0].mu.Unlock()
		return s.backoff > 0
	})
	s := state(2, 0, 0, 2)
	s.TopicPartition.Partition = 1
	wantCode(t, "a new log", b.apply(s), kerr.KafkaStorageError)
	if c := b.Counts(); c.Offline != 0 || c.FailedFetches != 0 {
		t.Errorf("%+v", c)
	}
	b.disk.SetCapacity(1 << 30)
	sameLogs(t, a, b)
	must(t, b.apply(s))
}

func parent(dir string) string {
	i := slices.Index([]byte(dir[1:]), '/')
	if i < 0 {
		return dir
	}
	return dir[:i+1]
}

// The settings of a topic reach its log, and a change that comes while a role is given is not overwritten with what was read before.
func TestConfigChanged(t *testing.T) {
	n := newNode(t, 1, nil)
	p := n.role(1, 0, 0, 1)
	c := *n.cfg
	c.MinInsyncReplicas = 3
	n.ConfigChanged("t", &c)
	if p.cfg.Load() != &c || n.log().Config() != &c {
		t.Error("the change did not arrive")
	}
	n.ConfigChanged("other", testTopic())
	if p.cfg.Load() != &c {
		t.Error("the settings of another topic arrived")
	}
	newest := *n.cfg
	read := n.Manager.topicConfig
	n.Manager.topicConfig = func(topic string) *config.Topic {
		old := read(topic)
		n.ConfigChanged("t", &newest)
		return old
	}
	p.refreshConfig(n.log())
	if p.cfg.Load() != &newest || n.log().Config() != &newest {
		t.Error("a newer setting was overwritten")
	}
}

// Control requests exclude each other; one that cannot have its turn goes with its context.
func TestControlRequestsTakeTurns(t *testing.T) {
	n := newNode(t, 1, nil)
	n.turn <- struct{}{}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if err := n.LeaderAndISR(ctx, 1, nil); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	<-n.turn
	must(t, n.LeaderAndISR(t.Context(), 1, nil))
}

// Many partitions at once cost no more syncs than a few.
func TestSyncsOfALargeRequest(t *testing.T) {
	syncs := func(parts int32) int64 {
		n := newNode(t, 1, nil)
		var list []LeaderAndISRPartition
		for p := range parts {
			s := state(1, 0, 0, 1)
			s.TopicPartition.Partition = p
			list = append(list, s)
		}
		before := n.fs.Count(vfs.OpSync) + n.fs.Count(vfs.OpSyncDir) + n.fs.Count(vfs.OpSyncVolume)
		must(t, n.LeaderAndISR(t.Context(), 1, list))
		for i := range list {
			must(t, list[i].Err)
		}
		return n.fs.Count(vfs.OpSync) + n.fs.Count(vfs.OpSyncDir) + n.fs.Count(vfs.OpSyncVolume) - before
	}
	if few, many := syncs(4), syncs(200); many > few {
		t.Errorf("%d syncs for 4 partitions, %d for 200", few, many)
	}
}
