package replication

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

func read(p *Partition, change func(*ReadRequest)) (ReadResult, error) {
	q := ReadRequest{ReplicaID: Consumer, CurrentEpoch: NoEpoch, LastFetchedEpoch: NoEpoch, LogStartOffset: -1, MaxBytes: 1 << 20, MinOneBatch: true, OnlyLeader: true}
	change(&q)
	r, err := p.Read(&q)
	if r.Records != nil {
		r.Records.Release()
	}
	return r, err
}

func TestReadChecks(t *testing.T) {
	n := newNode(t, 1, nil)
	p := n.role(1, 5, 0, 1, 2)
	n.sendOK("a", "b", "c")
	for _, c := range []struct {
		name   string
		change func(*ReadRequest)
		want   *kerr.Error
	}{
		{"consumer", func(q *ReadRequest) {}, nil},
		{"epoch of now", func(q *ReadRequest) { q.CurrentEpoch = 5 }, nil},
		{"older epoch", func(q *ReadRequest) { q.CurrentEpoch = 4 }, kerr.FencedLeaderEpoch},
		{"newer epoch", func(q *ReadRequest) { q.CurrentEpoch = 6 }, kerr.UnknownLeaderEpoch},
		{"below the start", func(q *ReadRequest) { q.FetchOffset = -1 }, kerr.OffsetOutOfRange},
		{"beyond the end", func(q *ReadRequest) { q.FetchOffset = 4 }, kerr.OffsetOutOfRange},
		{"at the end", func(q *ReadRequest) { q.FetchOffset = 3 }, nil},
		{"follower", func(q *ReadRequest) { q.ReplicaID, q.CurrentEpoch = 2, 5 }, nil},
		{"not a replica", func(q *ReadRequest) { q.ReplicaID, q.CurrentEpoch = 9, 5 }, kerr.UnknownLeaderEpoch},
		{"not a replica, without an epoch", func(q *ReadRequest) { q.ReplicaID = 9 }, kerr.NotLeaderForPartition},
		{"last epoch beyond all", func(q *ReadRequest) { q.ReplicaID, q.LastFetchedEpoch = 2, 6 }, kerr.OffsetOutOfRange},
	} {
		_, err := read(p, c.change)
		wantCode(t, c.name, err, c.want)
	}
	n.role(2, 6, 1, 2)
	_, err := read(p, func(q *ReadRequest) {})
	wantCode(t, "a follower, to a client that wants the leader", err, kerr.NotLeaderForPartition)
	_, err = read(p, func(q *ReadRequest) { q.OnlyLeader = false })
	wantCode(t, "a follower, to any reader", err, nil)
}

func TestReadIsolation(t *testing.T) {
	n := newNode(t, 1, nil)
	p := n.role(1, 0, 0, 1, 2)
	n.sendOK("a", "b", "c")
	n.fetched(2, 2)
	r, err := read(p, func(q *ReadRequest) { q.FetchOffset = 2 })
	if err != nil || r.Records != nil || r.HighWatermark != 2 || r.LogEndOffset != 3 {
		t.Errorf("a consumer at the high watermark: %+v, %v", r, err)
	}
	r, err = read(p, func(q *ReadRequest) { q.ReplicaID, q.FetchOffset, q.Isolation = 2, 2, ReadLogEnd })
	if err != nil || r.Records == nil {
		t.Errorf("a follower sees the log's end: %+v, %v", r, err)
	}
}

// What the leader answers to a follower whose log branched off (zookeeper.md 4.4).
func TestReadDivergence(t *testing.T) {
	n := newNode(t, 1, nil)
	n.role(1, 1, 0, 1)
	n.sendOK("0", "1", "2") // epoch 1: 0..2
	n.role(1, 4, 1, 1)
	n.sendOK("3", "4") // epoch 4: 3..4
	p := n.role(1, 7, 2, 1)
	n.sendOK("5") // epoch 7: 5
	for _, c := range []struct {
		name   string
		epoch  int32
		offset int64
		dEpoch int32
		dEnd   int64
		code   *kerr.Error
	}{
		{"same log", 7, 6, 0, 0, nil},
		{"behind, same epoch", 4, 4, 0, 0, nil},
		{"longer in an earlier epoch", 4, 9, 4, 5, nil},
		{"epoch that never was", 5, 6, 4, 5, nil},
		{"epoch that never was, short", 3, 2, 1, 3, nil},
		{"epoch before all", 0, 1, 0, 0, nil},
		{"epoch before all, longer", 0, 3, 0, 0, nil},
		{"epoch beyond all", 8, 3, 0, 0, kerr.OffsetOutOfRange},
	} {
		r, err := read(p, func(q *ReadRequest) {
			q.ReplicaID, q.FetchOffset, q.LastFetchedEpoch, q.Isolation = 2, c.offset, c.epoch, ReadLogEnd
		})
		wantCode(t, c.name, err, c.code)
		diverges := c.dEnd > 0 || c.epoch == 0
		if err == nil && (r.Diverged != diverges || r.Diverged && (r.DivergingEpoch != c.dEpoch || r.DivergingOffset != c.dEnd || r.Records != nil)) {
			t.Errorf("%s: %+v", c.name, r)
		}
	}
	_, err := n.log().IncrementLogStartOffset(4)
	must(t, err)
	_, err = read(p, func(q *ReadRequest) {
		q.ReplicaID, q.FetchOffset, q.LastFetchedEpoch, q.Isolation = 2, 3, 5, ReadLogEnd
	})
	wantCode(t, "diverging below the log start", err, kerr.OffsetOutOfRange)
}

func TestListOffsetsAfterElection(t *testing.T) {
	n := newNode(t, 1, nil)
	p := n.role(1, 0, 0, 1, 2)
	n.sendOK("a", "b", "c")
	n.fetched(2, 2)
	p = n.role(1, 1, 1, 1, 2) // the high watermark, 2, is below the start of epoch 1, 3
	ask := func(ts int64, iso Isolation) (TimestampOffset, error) {
		return p.OffsetForTimestamp(ts, iso, NoEpoch, true)
	}
	_, err := ask(TimestampLatest, ReadUncommitted)
	wantCode(t, "latest", err, kerr.OffsetNotAvailable)
	_, err = ask(TimestampLatest, ReadCommitted)
	wantCode(t, "latest committed", err, kerr.OffsetNotAvailable)
	_, err = ask(5000, ReadUncommitted)
	wantCode(t, "a time after all records", err, kerr.OffsetNotAvailable)
	found, err := ask(1000, ReadUncommitted)
	if err != nil || found.Offset != 0 {
		t.Errorf("a time below the high watermark: %+v, %v", found, err)
	}
	found, err = ask(TimestampEarliest, ReadUncommitted)
	if err != nil || found.Offset != 0 || found.LeaderEpoch != 0 || found.Timestamp != -1 {
		t.Errorf("earliest: %+v, %v", found, err)
	}
	found, err = ask(TimestampLatest, ReadLogEnd)
	if err != nil || found.Offset != 3 || found.LeaderEpoch != 1 {
		t.Errorf("latest, for a follower: %+v, %v", found, err)
	}
	n.fetched(2, 3)
	found, err = ask(TimestampLatest, ReadUncommitted)
	if err != nil || found.Offset != 3 {
		t.Errorf("latest, once the high watermark is there: %+v, %v", found, err)
	}
	found, err = ask(5000, ReadUncommitted)
	if err != nil || found.Offset != -1 {
		t.Errorf("a time after all records: %+v, %v", found, err)
	}
	_, err = p.OffsetForTimestamp(TimestampLatest, ReadUncommitted, 0, true)
	wantCode(t, "older epoch", err, kerr.FencedLeaderEpoch)
	_, err = p.OffsetForTimestamp(TimestampLatest, ReadUncommitted, 2, true)
	wantCode(t, "newer epoch", err, kerr.UnknownLeaderEpoch)
}

func TestEndOffsetForEpoch(t *testing.T) {
	n := newNode(t, 1, nil)
	n.role(1, 1, 0, 1)
	n.sendOK("0", "1")
	p := n.role(1, 4, 1, 1)
	n.sendOK("2")
	for _, c := range []struct {
		epoch, want int32
		end         int64
	}{{4, 4, 3}, {3, 1, 2}, {1, 1, 2}, {0, 0, 0}, {5, -1, -1}} {
		e, end, err := p.EndOffsetForEpoch(c.epoch, NoEpoch, true)
		if err != nil || e != c.want || end != c.end {
			t.Errorf("end of %d: epoch %d, offset %d, %v; want %d, %d", c.epoch, e, end, err, c.want, c.end)
		}
	}
	_, _, err := p.EndOffsetForEpoch(1, 3, true)
	wantCode(t, "older epoch", err, kerr.FencedLeaderEpoch)
}

// A consumer of ListOffsets 0 is told of nothing above the high watermark, which stands for the offsets that are; a follower of all.
func TestOldOffsetsEndAtTheHighWatermark(t *testing.T) {
	n := newNode(t, 1, nil)
	p := n.role(1, 0, 0, 1, 2)
	n.sendOK("a", "b", "c")
	n.fetched(2, 2)
	for _, x := range []struct {
		ts       int64
		most     int
		consumer bool
		want     []int64
	}{
		{TimestampLatest, 5, true, []int64{2, 0}}, {TimestampLatest, 1, true, []int64{2}}, {TimestampEarliest, 5, true, []int64{0}}, {0, 5, true, nil},
		{TimestampLatest, 5, false, []int64{3, 0}}, {TimestampLatest, 1, false, []int64{3}}, {TimestampLatest, 0, true, nil},
	} {
		got, err := p.OffsetsBefore(x.ts, x.most, x.consumer, true)
		if err != nil || !slices.Equal(got, x.want) {
			t.Errorf("time %d, %d offsets, consumer %v: %v, %v, want %v", x.ts, x.most, x.consumer, got, err, x.want)
		}
	}
	n.role(2, 1, 1, 1, 2)
	_, err := p.OffsetsBefore(TimestampLatest, 1, true, true)
	wantCode(t, "not the leader", err, kerr.NotLeaderForPartition)
}
