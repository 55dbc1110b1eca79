package broker

import (
	"context"
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/record"
	"gokafka/replication"
	"gokafka/topics"
)

// offsetCommitBatch is one commit of a group in a transaction, as Apache's coordinator writes it.
func offsetCommitBatch(t *testing.T, producer int64, group, topic string, partition int32, offset int64) []byte {
	t.Helper()
	k := kmsg.OffsetCommitKey{Version: 1, Group: group, Topic: topic, Partition: partition}
	v := kmsg.OffsetCommitValue{Version: 3, Offset: offset, LeaderEpoch: -1, CommitTimestamp: 1}
	spec := record.NewBatchSpec()
	spec.BaseSequence = 0
	if producer >= 0 {
		spec.ProducerID, spec.ProducerEpoch, spec.Transactional = producer, 0, true
	}
	b := record.NewBuilder(spec)
	if err := b.Append(1, k.AppendTo(nil), v.AppendTo(nil)); err != nil {
		t.Fatal(err)
	}
	out, _, err := b.Build(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func markerBatch(t *testing.T, producer int64, kind record.ControlType) []byte {
	t.Helper()
	out, err := record.AppendEndTxnMarker(nil, record.MarkerSpec{LeaderEpoch: -1, TimestampMs: 1, ProducerID: producer, Type: kind})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// A broker that takes over groups whose offsets transactions have committed: those of committed ones count, in the order of the commits' records and not of
// the markers; those of aborted ones do not; those of open ones do not, and whoever wants stable offsets is told to wait.
func TestLoadedOffsetsOfTransactions(t *testing.T) {
	dir := t.TempDir()
	props := map[string]string{"offsets.topic.num.partitions": "1", "transaction.partition.verification.enable": "false"}
	b := startBroker(t, dir, props)
	cl := client(t, b)
	adm := kadm.NewClient(cl)
	if _, err := adm.CreateTopic(t.Context(), 8, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	first := kadm.Offsets{}
	first.Add(kadm.Offset{Topic: "t", Partition: 0, At: 10, LeaderEpoch: -1}) // 0: an aborted commit follows
	first.Add(kadm.Offset{Topic: "t", Partition: 1, At: 11, LeaderEpoch: -1}) // 1: a committed one
	first.Add(kadm.Offset{Topic: "t", Partition: 2, At: 12, LeaderEpoch: -1}) // 2: an open one
	eventually(t, "the group has its coordinator", func() bool {
		r, err := adm.CommitOffsets(t.Context(), "g", first)
		return err == nil && r.Error() == nil
	})
	write := func(batch []byte) {
		t.Helper()
		parts := []replication.Append{{Topic: []byte(topics.ConsumerOffsets), Partition: 0, Records: batch, Version: 9, Origin: record.Coordinator}}
		b.replicas.Append(replication.AcksLeader, parts)
		if parts[0].Err != nil {
			t.Fatal(parts[0].Err)
		}
	}
	const aborted, committed, open = 101, 102, 103
	write(offsetCommitBatch(t, aborted, "g", "t", 0, 100))
	write(offsetCommitBatch(t, committed, "g", "t", 1, 110))
	write(offsetCommitBatch(t, open, "g", "t", 2, 120))
	write(offsetCommitBatch(t, committed, "g", "t", 3, 130)) // 3: a plain commit follows before the marker, and wins
	write(offsetCommitBatch(t, -1, "g", "t", 3, 131))
	write(offsetCommitBatch(t, committed, "only-txn", "t", 4, 140))
	write(offsetCommitBatch(t, open, "only-open", "t", 5, 150))
	write(markerBatch(t, aborted, record.ControlAbort))
	write(markerBatch(t, committed, record.ControlCommit))
	write(offsetCommitBatch(t, committed, "g", "t", 1, 111)) // the producer's next transaction
	write(markerBatch(t, committed, record.ControlAbort))

	fetch := func(group string, partition int32, stable bool) (int64, error) {
		q := kmsg.NewPtrOffsetFetchRequest()
		q.RequireStable = stable
		g := kmsg.NewOffsetFetchRequestGroup()
		g.Group = group
		gt := kmsg.NewOffsetFetchRequestGroupTopic()
		gt.Topic, gt.Partitions = "t", []int32{partition}
		g.Topics = append(g.Topics, gt)
		q.Groups = append(q.Groups, g)
		resp, err := q.RequestWith(t.Context(), cl)
		if err != nil {
			t.Fatal(err)
		}
		if code := resp.Groups[0].ErrorCode; code != 0 {
			return -2, kerr.ErrorForCode(code)
		}
		p := resp.Groups[0].Topics[0].Partitions[0]
		return p.Offset, kerr.ErrorForCode(p.ErrorCode)
	}
	check := func(when string) {
		t.Helper()
		for _, c := range []struct {
			group     string
			partition int32
			want      int64
			unstable  bool
		}{
			{"g", 0, 10, false}, {"g", 1, 110, false}, {"g", 2, 12, true}, {"g", 3, 131, false},
			{"only-txn", 4, 140, false}, {"only-open", 5, -1, true}, {"g", 7, -1, false},
		} {
			if got, err := fetch(c.group, c.partition, false); err != nil || got != c.want {
				t.Errorf("%s: %s/%d: %d, %v, want %d", when, c.group, c.partition, got, err, c.want)
			}
			got, err := fetch(c.group, c.partition, true)
			switch {
			case c.unstable && (!errors.Is(err, kerr.UnstableOffsetCommit) || got != -1):
				t.Errorf("%s: stable %s/%d: %d, %v, want UNSTABLE_OFFSET_COMMIT", when, c.group, c.partition, got, err)
			case !c.unstable && (err != nil || got != c.want):
				t.Errorf("%s: stable %s/%d: %d, %v, want %d", when, c.group, c.partition, got, err, c.want)
			}
		}
	}
	restart := func(clean bool) {
		t.Helper()
		if !clean {
			b.kill()
		} else if err := b.Stop(context.Background()); err != nil {
			t.Fatal(err)
		}
		b = startBroker(t, dir, props)
		cl = client(t, b)
		eventually(t, "the group is loaded", func() bool { _, err := fetch("g", 0, false); return err == nil })
	}
	restart(true)
	check("after a clean stop")
	restart(false)
	check("after a kill")

	write(markerBatch(t, open, record.ControlCommit))
	restart(true)
	for group, want := range map[string]int64{"g": 120, "only-open": 150} {
		partition := map[string]int32{"g": 2, "only-open": 5}[group]
		if got, err := fetch(group, partition, true); err != nil || got != want {
			t.Errorf("after the commit: %s/%d: %d, %v, want %d", group, partition, got, err, want)
		}
	}
}
