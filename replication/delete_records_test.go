package replication

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/metadata"
)

func (n *node) deleteTo(offset int64) []DeleteRecords {
	parts := []DeleteRecords{{TopicPartition: t0, Offset: offset}}
	n.DeleteRecords(parts)
	return parts
}

// startedAt is a fetch of a follower that says where its log starts.
func (n *node) startedAt(id int32, logStart int64) {
	n.t.Helper()
	p := n.Partition(t0)
	_, epoch := p.LeaderHint()
	q := ReadRequest{ReplicaID: id, CurrentEpoch: epoch, FetchOffset: n.log().LogEndOffset(), LastFetchedEpoch: NoEpoch, LogStartOffset: logStart,
		MaxBytes: 1 << 20, MinOneBatch: true, Isolation: ReadLogEnd, OnlyLeader: true}
	r, err := p.Read(&q)
	must(n.t, err)
	p.FollowerFetched(&q, &r, n.clk.Mono(), nil)
}

func TestDeleteRecordsRefusals(t *testing.T) {
	n := newNode(t, 1, nil)
	unknown := []DeleteRecords{{TopicPartition: metadata.TopicPartition{Topic: "none"}, Offset: 0}}
	n.DeleteRecords(unknown)
	wantCode(t, "a partition that is nowhere", unknown[0].Err, kerr.UnknownTopicOrPartition)
	p := n.role(1, 0, 0, 1)
	n.sendOK("a", "b", "c")
	if n.log().HighWatermark() != 3 {
		t.Fatal("high watermark", n.log().HighWatermark())
	}
	for _, offset := range []int64{4, -2, 1 << 62} {
		d := n.deleteTo(offset)[0]
		wantCode(t, "beyond the log", d.Err, kerr.OffsetOutOfRange)
		if d.LowWatermark != -1 {
			t.Errorf("low watermark %d beside an error", d.LowWatermark)
		}
	}
	compacted := testTopic()
	compacted.CleanupCompact, compacted.CleanupDelete = true, false
	p.setConfig(compacted)
	wantCode(t, "a compacted topic", n.deleteTo(1)[0].Err, kerr.PolicyViolation)
	wantCode(t, "a compacted topic, whatever the offset", n.deleteTo(99)[0].Err, kerr.PolicyViolation)
	p.setConfig(testTopic())
	if n.log().LogStartOffset() != 0 {
		t.Errorf("a refused deletion moved the log start to %d", n.log().LogStartOffset())
	}
	must(t, n.apply(state(2, 1, 1, 1, 2)))
	wantCode(t, "a follower", n.deleteTo(1)[0].Err, kerr.NotLeaderForPartition)
	n.dirFails()
	wantCode(t, "a failed directory", n.deleteTo(1)[0].Err, kerr.KafkaStorageError)
}

// The answer waits for every live replica, in the ISR or not; one that is dead or has told nothing of its log start yet is not taken for done.
func TestDeleteRecordsWaitsForLiveReplicas(t *testing.T) {
	n := newNode(t, 1, nil)
	p := n.role(1, 0, 0, 1, 2)
	n.sendOK("a", "b", "c")
	n.fetched(2, 3)
	n.live(1, 2) // 3 is dead
	w := NewWaiter()
	defer w.Subscribe(p, nil).Cancel()
	parts := n.deleteTo(ToHighWatermark)
	must(t, parts[0].Err)
	if len(w.TakeDirty(nil)) != 1 {
		t.Error("fetch sessions do not hear of the new log start")
	}
	done := make(chan struct{})
	if n.Deleted(parts, time.Hour, func() { close(done) }) {
		t.Fatal("done before the follower has followed:", parts[0])
	}
	n.startedAt(2, 2)
	if isDone(done) {
		t.Fatal("done while the follower has records that were to be deleted")
	}
	n.startedAt(2, 3)
	<-done
	if parts[0].Err != nil || parts[0].LowWatermark != 3 {
		t.Errorf("%+v", parts[0])
	}
	// Again: nothing to do, and nothing to wait for.
	again := n.deleteTo(1)
	if !n.Deleted(again, time.Hour, nil) || again[0].Err != nil || again[0].LowWatermark != 3 {
		t.Errorf("%+v", again[0])
	}
}

func TestDeleteRecordsEnds(t *testing.T) {
	for _, c := range []struct {
		what string
		end  func(n *node)
		want *kerr.Error
		low  int64
	}{
		{"another leader", func(n *node) { must(n.t, n.apply(state(2, 1, 1, 1, 2))) }, kerr.NotLeaderForPartition, -1},
		{"failed directory", func(n *node) { n.dirFails() }, kerr.KafkaStorageError, -1},
		{"time out", func(*node) {}, kerr.RequestTimedOut, 0},
	} {
		t.Run(c.what, func(t *testing.T) {
			n := newNode(t, 1, nil)
			n.role(1, 0, 0, 1, 2)
			n.sendOK("a", "b")
			n.fetched(2, 2)
			n.startedAt(3, 0)
			parts := n.deleteTo(2)
			must(t, parts[0].Err)
			done := make(chan struct{})
			timeout := time.Hour
			if c.want == kerr.RequestTimedOut {
				timeout = time.Millisecond
			}
			if n.Deleted(parts, timeout, func() { close(done) }) {
				t.Fatal("nothing to wait for")
			}
			c.end(n)
			<-done
			wantCode(t, c.what, parts[0].Err, c.want)
			if parts[0].LowWatermark != c.low {
				t.Errorf("low watermark %d, want %d", parts[0].LowWatermark, c.low)
			}
		})
	}
}
