package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/wire"
)

// verify asks the broker that has just started on what the other left: topic ids, log starts and ends, epochs, the answers
// to the last batch again, to a gap and to the batch that was under way, then every record.
func (r *run) verify(ctx context.Context, c *wire.Conn, clean bool) error {
	if err := r.awaitTopics(ctx, c); err != nil {
		return err
	}
	for _, p := range r.parts {
		if err := r.verifyOffsets(c, p, clean); err != nil {
			return err
		}
		if err := p.verifySequences(c); err != nil {
			return err
		}
		if err := p.verifyEpochs(c); err != nil {
			return err
		}
	}
	return r.verifyRecords(ctx)
}

// awaitTopics waits until all partitions have their leader, and takes note of epochs.
func (r *run) awaitTopics(ctx context.Context, c *wire.Conn) error {
	return retry(ctx, "topics", func() error {
		topics, err := metadata(c)
		if err != nil {
			return err
		}
		for _, p := range r.parts {
			t, ok := topics[p.name]
			if !ok || int(p.index) >= len(t.Partitions) {
				return fmt.Errorf("%s is missing", p)
			}
			if id, known := r.ids[p.name]; known && id != t.TopicID {
				return fmt.Errorf("%s has id %x, had %x", p.name, t.TopicID, id)
			}
			r.ids[p.name] = t.TopicID
			for _, tp := range t.Partitions {
				if tp.ErrorCode != 0 || tp.Leader != 0 {
					return fmt.Errorf("%s-%d: error %d, leader %d", p.name, tp.Partition, tp.ErrorCode, tp.Leader)
				}
				r.leaderEpochs[fmt.Sprintf("%s-%d", p.name, tp.Partition)] = tp.LeaderEpoch
			}
			if _, err := listOffset(c, p, -1); err != nil {
				return err
			}
		}
		for name := range r.gone {
			if _, ok := topics[name]; ok {
				return fmt.Errorf("the deleted topic %s is back", name)
			}
		}
		return nil
	})
}

func listOffset(c *wire.Conn, p *partition, timestamp int64) (int64, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	rt, rp := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
	rp.Partition, rp.Timestamp = p.index, timestamp
	rt.Topic, rt.Partitions = p.name, append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	resp, err := c.Ask(req, 5)
	if err != nil {
		return 0, err
	}
	a := resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
	if err := kerr.ErrorForCode(a.ErrorCode); err != nil {
		return 0, fmt.Errorf("list offsets of %s: %w", p, err)
	}
	return a.Offset, nil
}

// verifyOffsets checks both ends of the log and settles what a kill left open.
func (r *run) verifyOffsets(c *wire.Conn, p *partition, clean bool) error {
	end, err := listOffset(c, p, -1)
	if err != nil {
		return err
	}
	landed := p.pending != nil && end == p.end+int64(p.pending.n)
	if end != p.end && !landed {
		return fmt.Errorf("%s ends at %d, want %d, under way %v", p, end, p.end, p.pending != nil)
	}
	start, err := listOffset(c, p, -2)
	if err != nil {
		return err
	}
	if start != p.start && (clean || start != p.oldStart) {
		return fmt.Errorf("%s starts at %d, want %d (or after a kill %d)", p, start, p.start, p.oldStart)
	}
	if start != p.start {
		p.start = start
		r.reset++
	}
	p.oldStart = start
	epoch := r.leaderEpochs[p.String()]
	if n := len(p.epochs); n > 0 && epoch < p.epochs[n-1].Epoch {
		return fmt.Errorf("%s has leader epoch %d after %d", p, epoch, p.epochs[n-1].Epoch)
	}
	p.lead(epoch, end)
	if p.pending == nil {
		return nil
	}
	r.landed += btoi(landed)
	b := p.pending
	o, err := p.produce(c, b.bytes)
	if err != nil || o != b.first {
		return fmt.Errorf("%s: the batch that was under way (in the log: %v) answers offset %d, error %v; want %d", p, landed, o, err, b.first)
	}
	p.appended(b, true)
	p.pending = nil
	return nil
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// verifySequences sends the last batch again, then one behind a gap.
func (p *partition) verifySequences(c *wire.Conn) error {
	if p.last == nil {
		return nil
	}
	o, err := p.produce(c, p.last.bytes)
	if err != nil || o != p.last.first {
		return fmt.Errorf("%s: the last batch again answers offset %d, error %v; want %d", p, o, err, p.last.first)
	}
	p.seq += 3
	gap := p.next(true)
	p.seq -= 3
	if o, err := p.produce(c, gap.bytes); err != kerr.OutOfOrderSequenceNumber {
		return fmt.Errorf("%s: a batch behind a gap of sequences answers offset %d, error %v; want %v", p, o, err, kerr.OutOfOrderSequenceNumber)
	}
	if end, err := listOffset(c, p, -1); err != nil || end != p.end {
		return fmt.Errorf("%s ends at %d after refused batches, error %v; want %d", p, end, err, p.end)
	}
	return nil
}

// verifyEpochs asks where each epoch ended.
func (p *partition) verifyEpochs(c *wire.Conn) error {
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	req.ReplicaID = -1
	rt := kmsg.NewOffsetForLeaderEpochRequestTopic()
	rt.Topic = p.name
	epochs := beginAt(p.epochs, p.start)
	for i, e := range epochs {
		want := p.end
		if i+1 < len(epochs) {
			want = epochs[i+1].Start
		}
		rp := kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
		rp.Partition, rp.CurrentLeaderEpoch, rp.LeaderEpoch = p.index, -1, e.Epoch
		rt.Partitions = append(rt.Partitions[:0], rp)
		req.Topics = append(req.Topics[:0], rt)
		resp, err := c.Ask(req, 3)
		if err != nil {
			return err
		}
		a := resp.(*kmsg.OffsetForLeaderEpochResponse).Topics[0].Partitions[0]
		if a.ErrorCode != 0 || a.LeaderEpoch != e.Epoch || a.EndOffset != want {
			return fmt.Errorf("%s: epoch %d ends at %d (error %d, epoch %d), want %d; epochs %v", p, e.Epoch, a.EndOffset, a.ErrorCode, a.LeaderEpoch, want, epochs)
		}
	}
	return nil
}

// reader checks the records of one partition as they come, in ascending order.
type reader struct {
	*partition
	next   int64
	latest map[string]int64 // offset of each key's last record
}

// verifyRecords reads all partitions from their start with a client that knows nothing of the run.
func (r *run) verifyRecords(ctx context.Context) error {
	from, left := map[string]map[int32]kgo.Offset{}, map[string]*reader{}
	for _, p := range r.parts {
		if p.start == p.end {
			continue
		}
		if from[p.name] == nil {
			from[p.name] = map[int32]kgo.Offset{}
		}
		from[p.name][p.index] = kgo.NewOffset().At(p.start)
		left[p.String()] = &reader{partition: p, next: p.start, latest: map[string]int64{}}
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.addr), kgo.ConsumePartitions(from), kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for len(left) > 0 {
		fs := cl.PollFetches(ctx)
		if err := fs.Err(); err != nil {
			return fmt.Errorf("read, %d partitions left: %w", len(left), err)
		}
		var bad error
		fs.EachRecord(func(rec *kgo.Record) {
			x := left[fmt.Sprintf("%s-%d", rec.Topic, rec.Partition)]
			switch {
			case x == nil && bad == nil:
				bad = fmt.Errorf("%s-%d: record beyond the end at %d", rec.Topic, rec.Partition, rec.Offset)
			case bad == nil:
				bad = x.see(rec)
				r.read++
			}
			if x != nil && x.next >= x.end {
				delete(left, x.String())
				if bad == nil {
					bad = x.checkLatest()
				}
			}
		})
		if bad != nil {
			return bad
		}
	}
	return nil
}

func (x *reader) see(rec *kgo.Record) error {
	if rec.Offset < x.next || rec.Offset > x.next && !x.compacted {
		return fmt.Errorf("%s: offset %d where %d is due", x, rec.Offset, x.next)
	}
	if want := x.value(rec.Offset); string(rec.Value) != want || string(rec.Key) != x.key(rec.Offset) {
		return fmt.Errorf("%s: the record at %d is %.60q, want %.60q", x, rec.Offset, rec.Value, want)
	}
	// Where a log start fell back to an older one, the epochs below the lost start are not on record any more.
	epoch := rec.LeaderEpoch
	for _, e := range x.epochs {
		if e.Start <= rec.Offset {
			epoch = e.Epoch
		}
	}
	if rec.LeaderEpoch != epoch {
		return fmt.Errorf("%s: the record at %d has leader epoch %d, want %d of %v", x, rec.Offset, rec.LeaderEpoch, epoch, x.epochs)
	}
	x.next = rec.Offset + 1
	x.latest[string(rec.Key)] = rec.Offset
	return nil
}

// checkLatest says whether the last record of each key is there: compaction may take all others.
func (x *reader) checkLatest() error {
	if !x.compacted {
		return nil
	}
	want := map[string]int64{}
	for o := range x.end {
		want[x.key(o)] = o
	}
	for k, o := range want {
		if got, ok := x.latest[k]; !ok || got != o {
			return fmt.Errorf("%s: the last record of %s is at %d (there: %v), want %d", x, k, got, ok, o)
		}
	}
	return nil
}
