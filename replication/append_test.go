package replication

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/metadata"
)

func TestAppendErrors(t *testing.T) {
	n := newNode(t, 1, nil)
	unknown := n.send(AcksAll, produced(t, nil, "x"))[0]
	wantCode(t, "no such partition", unknown.Err, kerr.UnknownTopicOrPartition)
	n.cache.Apply(metadata.Update{Topics: []metadata.TopicUpdate{{Name: "t", Partitions: []metadata.PartitionUpdate{{Index: 0}}}}})
	wantCode(t, "partition of other brokers", n.send(AcksAll, produced(t, nil, "x"))[0].Err, kerr.NotLeaderForPartition)
	n.live(1, 2, 3)
	n.role(2, 4, 0, 2)
	f := n.send(AcksAll, produced(t, nil, "x"))[0]
	wantCode(t, "a follower", f.Err, kerr.NotLeaderForPartition)
	if f.Leader != 2 || f.LeaderEpoch != 4 || f.FirstOffset != -1 || f.LogStartOffset != -1 {
		t.Errorf("a follower's answer: %+v", f)
	}
	n.role(1, 5, 1, 1)
	n.sendOK("a", "b")
	bad := produced(t, nil, "x")
	bad[len(bad)-1]++
	c := n.send(AcksAll, bad)[0]
	wantCode(t, "a broken CRC", c.Err, kerr.CorruptMessage)
	if c.LogStartOffset != -1 {
		t.Errorf("a broken CRC tells the log start %d", c.LogStartOffset)
	}
	must(t, n.send(AcksAll, produced(t, idempotent(0), "x"))[0].Err)
	gap := n.send(AcksAll, produced(t, idempotent(7), "x"))[0]
	wantCode(t, "a gap in the sequence", gap.Err, kerr.OutOfOrderSequenceNumber)
	if gap.LogStartOffset != 0 || gap.FirstOffset != -1 {
		t.Errorf("a gap in the sequence: %+v", gap)
	}
	if end := n.log().LogEndOffset(); end != 3 {
		t.Errorf("log end %d: something refused was written", end)
	}
}

func TestAppendMinISR(t *testing.T) {
	n := newNode(t, 1, nil)
	n.cfg.MinInsyncReplicas = 2
	n.role(1, 0, 0, 1)
	refused := n.send(AcksAll, produced(t, nil, "x"))[0]
	wantCode(t, "acks=all with an ISR of 1", refused.Err, kerr.NotEnoughReplicas)
	if refused.LogStartOffset != 0 || n.log().LogEndOffset() != 0 {
		t.Errorf("%+v, log end %d", refused, n.log().LogEndOffset())
	}
	n.sendOK("acks=1")
	if n.log().HighWatermark() != 0 {
		t.Error("the high watermark moved while the ISR is below min.insync.replicas")
	}
	// Never more are asked for than there are replicas.
	single := state(1, 1, 1, 1)
	single.Replicas = []int32{1}
	must(t, n.apply(single))
	parts := n.send(AcksAll, produced(t, nil, "x"))
	if parts[0].Err != nil || !n.Ready(parts) {
		t.Errorf("acks=all with one replica: %v", parts[0].Err)
	}
}

func TestAppendDuplicate(t *testing.T) {
	n := newNode(t, 1, nil)
	p := n.role(1, 0, 0, 1, 2)
	n.sendOK("first")
	first := n.send(AcksAll, produced(t, idempotent(0), "a", "b"))[0]
	w := NewWaiter()
	defer w.Subscribe(p, nil).Cancel()
	again := n.send(AcksAll, produced(t, idempotent(0), "a", "b"))
	if again[0].Err != nil || again[0].FirstOffset != first.FirstOffset || n.log().LogEndOffset() != 3 {
		t.Errorf("a duplicate: %+v, log end %d", again[0], n.log().LogEndOffset())
	}
	if len(w.TakeDirty(nil)) != 0 {
		t.Error("a duplicate woke readers")
	}
	if n.Ready(again) {
		t.Error("a duplicate is answered before the first append is replicated")
	}
	n.fetched(2, 3)
	if !n.Ready(again) || again[0].Err != nil {
		t.Error("a duplicate of a replicated batch is not answered:", again[0].Err)
	}
}

// waiting is an acks=all append under way.
func (n *node) waiting(timeout time.Duration) ([]Append, chan struct{}) {
	n.t.Helper()
	parts := n.send(AcksAll, produced(n.t, nil, "w"))
	must(n.t, parts[0].Err)
	done := make(chan struct{})
	if n.Replicated(parts, timeout, func() { close(done) }) {
		n.t.Fatal("nothing to wait for:", parts[0].Err)
	}
	return parts, done
}

func isDone(ch chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

func TestReplicatedWaitsForTheISR(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 1, nil)
		defer n.down()
		n.role(1, 0, 0, 1, 2)
		parts, done := n.waiting(time.Minute)
		n.fetched(3, 1) // not in the ISR
		n.fetched(2, 0)
		synctest.Wait()
		if isDone(done) {
			t.Fatal("answered before the ISR has it")
		}
		n.fetched(2, 1)
		synctest.Wait()
		if !isDone(done) || parts[0].Err != nil {
			t.Fatal(isDone(done), parts[0].Err)
		}
	})
}

func TestReplicatedTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNode(t, 1, nil)
		defer n.down()
		n.role(1, 0, 0, 1, 2)
		parts, done := n.waiting(3 * time.Second)
		time.Sleep(3*time.Second - time.Millisecond)
		synctest.Wait()
		if isDone(done) {
			t.Fatal("too early")
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if !isDone(done) {
			t.Fatal("not at the deadline")
		}
		wantCode(t, "at the deadline", parts[0].Err, kerr.RequestTimedOut)
		if n.log().LogEndOffset() != 1 {
			t.Error("what timed out is not in the log")
		}
	})
}

// What ends a wait besides time and replication.
func TestReplicatedEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(t *testing.T, n *node)
		want *kerr.Error
	}{
		{"another leader", func(t *testing.T, n *node) { n.role(2, 1, 1, 2) }, kerr.NotLeaderForPartition},
		{"deleted, but known", func(t *testing.T, n *node) {
			n.cache.Apply(metadata.Update{Topics: []metadata.TopicUpdate{{Name: "t", Partitions: []metadata.PartitionUpdate{{Index: 0}}}}})
			n.stopOK(-2, true)
		}, kerr.NotLeaderForPartition},
		{"deleted", func(t *testing.T, n *node) { n.stopOK(-2, true) }, kerr.UnknownTopicOrPartition},
		{"disk failed", func(t *testing.T, n *node) { n.dirFails() }, kerr.KafkaStorageError},
		{"the ISR shrank to the leader", func(t *testing.T, n *node) { n.role(1, 1, 1, 1) }, nil},
		{"shut down", func(t *testing.T, n *node) { n.Manager.Close() }, kerr.NotLeaderForPartition},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				n := newNode(t, 1, nil)
				defer n.down()
				n.role(1, 0, 0, 1, 2)
				parts, done := n.waiting(time.Hour)
				c.end(t, n)
				synctest.Wait()
				if !isDone(done) {
					t.Fatal("still waiting")
				}
				wantCode(t, c.name, parts[0].Err, c.want)
			})
		})
	}
}

// An append is lost with its leadership, even if this broker leads again when it is asked whether it is replicated: other records may have the offsets.
func TestReplicatedAfterLeadershipCameBack(t *testing.T) {
	n := newNode(t, 1, nil)
	n.role(1, 0, 0, 1, 2)
	parts := n.send(AcksAll, produced(t, nil, "lost"))
	must(t, parts[0].Err)
	n.role(2, 1, 1, 2)
	_, err := n.log().TruncateTo(0)
	must(t, err)
	n.role(1, 2, 2, 1)
	n.sendOK("other")
	if n.log().HighWatermark() != 1 {
		t.Fatal("high watermark", n.log().HighWatermark())
	}
	if !n.Ready(parts) {
		t.Error("still waiting")
	}
	wantCode(t, "lost", parts[0].Err, kerr.NotLeaderForPartition)
}

// A new epoch of the same leader loses nothing.
func TestReplicatedOverAnEpochOfTheSameLeader(t *testing.T) {
	n := newNode(t, 1, nil)
	n.role(1, 0, 0, 1, 2)
	parts := n.send(AcksAll, produced(t, nil, "kept"))
	n.role(1, 1, 1, 1, 2)
	if n.Ready(parts) {
		t.Error("ready too early:", parts[0].Err)
	}
	n.fetched(2, 1)
	if !n.Ready(parts) || parts[0].Err != nil {
		t.Error(parts[0].Err)
	}
}

// Records that were replicated under an ISR that has shrunk below the minimum since are in the log, but not acknowledged.
func TestReplicatedAfterTheISRShrank(t *testing.T) {
	n := newNode(t, 1, nil)
	n.cfg.MinInsyncReplicas = 2
	n.role(1, 0, 0, 1, 2)
	parts := n.send(AcksAll, produced(t, nil, "x"))
	n.fetched(2, 1)
	if n.log().HighWatermark() != 1 {
		t.Fatal("not replicated")
	}
	n.role(1, 1, 1, 1)
	if !n.Ready(parts) {
		t.Error("still waiting")
	}
	wantCode(t, "afterwards", parts[0].Err, kerr.NotEnoughReplicasAfterAppend)
}

// Parts of one request end each for itself.
func TestReplicatedParts(t *testing.T) {
	n := newNode(t, 1, nil)
	n.role(1, 0, 0, 1)
	second := state(1, 0, 0, 1, 2)
	second.TopicPartition.Partition = 1
	must(t, n.apply(second))
	parts := []Append{
		{Topic: []byte("t"), Partition: 0, Records: produced(t, nil, "x"), Version: 9}, {Topic: []byte("t"), Partition: 1, Records: produced(t, nil, "x"), Version: 9},
		{Topic: []byte("t"), Partition: 2, Records: produced(t, nil, "x"), Version: 9}, {Topic: []byte("t"), Partition: 0, Err: kerr.TopicAuthorizationFailed},
	}
	n.Append(AcksAll, parts)
	if n.Ready(parts) {
		t.Fatal("partition 1 is not replicated")
	}
	second.State.LeaderEpoch, second.State.PartitionEpoch, second.State.Leader = 1, 1, 2
	must(t, n.apply(second))
	if !n.Ready(parts) {
		t.Fatal("still waiting")
	}
	got := []*kerr.Error{code(parts[0].Err), code(parts[1].Err), code(parts[2].Err), code(parts[3].Err)}
	want := []*kerr.Error{nil, kerr.NotLeaderForPartition, kerr.UnknownTopicOrPartition, kerr.TopicAuthorizationFailed}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// A broker that may have been deposed does not tell a producer that a sequence is missing: the true leader may have it, and the producer would send the
// record again under a new epoch.
func TestGapIsNotTheVerdictOfAnUncertainLeader(t *testing.T) {
	registered, brokerEpoch := true, int64(7)
	n := newNode(t, 1, func(o *Options) {
		o.Registered = func() bool { return registered }
		o.BrokerEpoch = func() int64 { return brokerEpoch }
	})
	n.role(1, 0, 0, 1)
	must(t, n.send(AcksAll, produced(t, idempotent(0), "x"))[0].Err)
	next := int32(1)
	gap := func(what string, want *kerr.Error) {
		t.Helper()
		a := n.send(AcksAll, produced(t, idempotent(7+next), "y"))[0]
		wantCode(t, what, a.Err, want)
		if want == kerr.NotLeaderForPartition && (a.Leader != -1 || a.FirstOffset != -1 || a.LogStartOffset != -1) {
			t.Errorf("%s: it hints at itself: %+v", what, a)
		}
		must(t, n.send(AcksAll, produced(t, idempotent(next), "y"))[0].Err) // what it can take, it takes
		next++
	}
	gap("registered", kerr.OutOfOrderSequenceNumber)
	registered = false
	gap("not registered", kerr.NotLeaderForPartition)
	registered, brokerEpoch = true, 8
	gap("registered anew, and not told of its role", kerr.NotLeaderForPartition)
	if err := n.apply(state(1, 0, 0, 1)); err == nil {
		t.Error("the state of before is applied again")
	}
	gap("the role was confirmed", kerr.OutOfOrderSequenceNumber)
}
