package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/harness"
	"gokafka/compat_test/wire"
)

// transactions is the topic in which Apache, in its turns, commits and aborts, and at times is ended with a transaction
// open; gokafka, which has no coordinator, must keep what that means for readers, and appends plain batches between.
type transactions struct {
	made    bool
	entries []entry
	end     int64
}

// entry is a data record of the topic.
type entry struct {
	offset int64
	value  string
	state  txnState
}

type txnState int

const (
	visible txnState = iota // plain, or committed
	aborted
	open // until the producer comes back, which aborts it
)

const txnTopic = "transactions"

// stable is the last stable offset.
func (x *transactions) stable() int64 {
	if i := slices.IndexFunc(x.entries, func(e entry) bool { return e.state == open }); i >= 0 {
		return x.entries[i].offset
	}
	return x.end
}

func (x *transactions) create(c *wire.Conn) error {
	x.made = true
	return createTopic(c, topic{name: txnTopic, partitions: 1, configs: map[string]string{"segment.bytes": "3000", "index.interval.bytes": "200"}})
}

// verify asks for both ends and reads with both isolation levels.
func (x *transactions) verify(ctx context.Context, addr string, c *wire.Conn) error {
	err := retry(ctx, "ends of "+txnTopic, func() error {
		end, err := isolated(c, 0)
		if err != nil {
			return err
		}
		stable, err := isolated(c, 1)
		if err != nil || end != x.end || stable != x.stable() {
			return fmt.Errorf("high watermark %d, last stable offset %d, error %v; want %d and %d", end, stable, err, x.end, x.stable())
		}
		return nil
	})
	if err != nil {
		return err
	}
	var all, committed []entry
	for _, e := range x.entries {
		all = append(all, e)
		if e.state == visible && e.offset < x.stable() {
			committed = append(committed, e)
		}
	}
	if err := x.read(ctx, addr, kgo.ReadUncommitted(), all); err != nil {
		return fmt.Errorf("read uncommitted: %w", err)
	}
	if err := x.read(ctx, addr, kgo.ReadCommitted(), committed); err != nil {
		return fmt.Errorf("read committed, last stable offset %d: %w", x.stable(), err)
	}
	return nil
}

// isolated is the end of the topic for an isolation level.
func isolated(c *wire.Conn, level int8) (int64, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID, req.IsolationLevel = -1, level
	rt, rp := kmsg.NewListOffsetsRequestTopic(), kmsg.NewListOffsetsRequestTopicPartition()
	rp.Timestamp = -1
	rt.Topic, rt.Partitions = txnTopic, append(rt.Partitions, rp)
	req.Topics = append(req.Topics, rt)
	resp, err := c.Ask(req, 5)
	if err != nil {
		return 0, err
	}
	a := resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0]
	return a.Offset, kerr.ErrorForCode(a.ErrorCode)
}

// read expects exactly these records.
func (x *transactions) read(ctx context.Context, addr string, level kgo.IsolationLevel, want []entry) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.FetchIsolationLevel(level), kgo.FetchMaxWait(200*time.Millisecond),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{txnTopic: {0: kgo.NewOffset().At(0)}}), kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var got []entry
	take := func(fs kgo.Fetches) {
		fs.EachRecord(func(r *kgo.Record) { got = append(got, entry{offset: r.Offset, value: string(r.Value)}) })
	}
	for len(got) < len(want) {
		fs := cl.PollFetches(ctx)
		if err := fs.Err(); err != nil {
			return fmt.Errorf("after %d of %d records: %w", len(got), len(want), err)
		}
		take(fs)
	}
	more, stop := context.WithTimeout(ctx, 300*time.Millisecond) // what comes beyond would come at once
	take(cl.PollFetches(more))
	stop()
	for i, g := range got {
		if i >= len(want) || g.offset != want[i].offset || g.value != want[i].value {
			return fmt.Errorf("record %d of %d is %q at %d; %d were due", i, len(got), g.value, g.offset, len(want))
		}
	}
	return nil
}

// load appends: Apache in transactions, gokafka plainly.
func (r *run) loadTransactions(ctx context.Context, b *harness.Broker, c *wire.Conn) error {
	if !r.txns.made {
		if err := r.txns.create(c); err != nil {
			return err
		}
		if err := retry(ctx, txnTopic, func() error { _, err := isolated(c, 0); return err }); err != nil {
			return err
		}
	}
	if b.Target == harness.Gokafka {
		return r.txns.plain(c, 1+r.rnd.IntN(8))
	}
	return r.transact(ctx, c)
}

func (x *transactions) plain(c *wire.Conn, batches int) error {
	for range batches {
		v := fmt.Sprintf("plain at %d", x.end)
		resp, err := c.Ask(wire.ProduceRequest(txnTopic, 0, wire.Batch{Records: []wire.Record{{Value: []byte(v)}}, BaseTimestamp: time.Now().UnixMilli()}.Bytes()), 9)
		if err != nil {
			return err
		}
		if o, err := answer(resp); err != nil || o != x.end {
			return fmt.Errorf("%s: plain batch at offset %d, error %v; want %d", txnTopic, o, err, x.end)
		}
		x.entries = append(x.entries, entry{x.end, v, visible})
		x.end++
	}
	return nil
}

// transact runs transactions of one transactional id, which it has in all turns: its first one aborts what was left open.
func (r *run) transact(ctx context.Context, c *wire.Conn) error {
	x := &r.txns
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.addr), kgo.TransactionalID("twoway"), kgo.TransactionTimeout(10*time.Minute),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0))
	if err != nil {
		return err
	}
	defer cl.Close()
	for i := range 2 + r.rnd.IntN(6) {
		if err := cl.BeginTransaction(); err != nil {
			return err
		}
		var es []entry
		for range 1 + r.rnd.IntN(4) {
			v := fmt.Sprintf("transaction %d of turn %d", i, r.turns)
			rec, err := cl.ProduceSync(ctx, &kgo.Record{Topic: txnTopic, Value: []byte(v)}).First()
			if err != nil {
				return fmt.Errorf("produce in a transaction: %w", err)
			}
			es = append(es, entry{offset: rec.Offset, value: v, state: open})
		}
		for j := range x.entries { // the producer's first answer says that its predecessor's transaction was aborted
			if x.entries[j].state == open {
				x.entries[j].state = aborted
			}
		}
		x.end = es[len(es)-1].offset + 1
		if i > 1 && r.rnd.IntN(6) == 0 { // leave it open
			x.entries = append(x.entries, es...)
			return nil
		}
		commit := r.rnd.IntN(2) == 0
		if err := cl.EndTransaction(ctx, kgo.TransactionEndTry(commit)); err != nil {
			return fmt.Errorf("end a transaction: %w", err)
		}
		for j := range es {
			if es[j].state = aborted; commit {
				es[j].state = visible
			}
		}
		x.entries = append(x.entries, es...)
		x.end++ // the marker
		if err := retry(ctx, "marker", func() error {
			if stable, err := isolated(c, 1); err != nil || stable != x.end {
				return fmt.Errorf("last stable offset %d, error %v; want %d", stable, err, x.end)
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}
