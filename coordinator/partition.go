package coordinator

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/internal/clock"
	"gokafka/metadata"
	"gokafka/record"
	"gokafka/replication"
)

// Partition is one partition of the topic under the leadership of this broker.
type Partition struct {
	r       *Runtime
	id      int32
	epoch   int32
	machine Machine
	ctx     context.Context
	cancel  context.CancelFunc
	ended   chan struct{} // closed when the machine is not called any more

	pending []*wait // appends that are not known to be replicated, in the order of the log; the goroutine's

	mu     sync.Mutex // a leaf
	queue  []func()
	loaded bool
	wake   chan struct{} // capacity 1
}

func newPartition(r *Runtime, id, epoch int32) *Partition {
	p := &Partition{r: r, id: id, epoch: epoch, ended: make(chan struct{}), wake: make(chan struct{}, 1)}
	p.ctx, p.cancel = context.WithCancel(r.ctx)
	p.machine = r.o.New(p)
	return p
}

// ID is the number of the partition.
func (p *Partition) ID() int32 { return p.id }

// Epoch is the leader epoch under which the partition is led.
func (p *Partition) Epoch() int32 { return p.epoch }

func (p *Partition) logger() *slog.Logger {
	return p.r.o.Logger.With("topic", p.r.o.Topic, "partition", p.id)
}

func (p *Partition) tp() metadata.TopicPartition {
	return metadata.TopicPartition{Topic: p.r.o.Topic, Partition: p.id}
}

func (p *Partition) end() { p.cancel() }

func (p *Partition) isLoaded() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.loaded
}

// post queues f for the goroutine. Who posts waits for an answer, or is a timer or an append of the machine: that bounds the queue.
func (p *Partition) post(f func()) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.ctx.Err() != nil:
		return kerr.NotCoordinator
	case !p.loaded:
		return kerr.CoordinatorLoadInProgress
	}
	p.queue = append(p.queue, f)
	select {
	case p.wake <- struct{}{}:
	default:
	}
	return nil
}

// run loads the partition and serves it until it is given up.
func (p *Partition) run() {
	defer close(p.ended)
	if !p.load() {
		return
	}
	p.machine.Loaded()
	p.mu.Lock()
	p.loaded = true
	p.mu.Unlock()
	for {
		p.mu.Lock()
		todo := p.queue
		p.queue = nil
		p.mu.Unlock()
		for _, f := range todo {
			if p.ctx.Err() != nil {
				break
			}
			f()
		}
		if len(todo) > 0 {
			continue
		}
		select {
		case <-p.wake:
		case <-p.ctx.Done():
			p.machine.Unloaded()
			return
		}
	}
}

// loadRetry is the pause after the log could not be read.
const loadRetry = time.Second

// load replays the log, and tries again what fails until the leadership goes. Kafka 3.9 GroupMetadataManager.doLoadGroupsAndOffsets.
func (p *Partition) load() bool {
	began := p.r.o.Clock.Mono()
	for {
		n, err := p.replay()
		if err == nil {
			p.logger().Info("Coordinator partition loaded", "records", n, "leaderEpoch", p.epoch, "took", (p.r.o.Clock.Mono() - began).String())
			return true
		}
		if p.ctx.Err() != nil {
			return false
		}
		p.logger().Error("Coordinator partition cannot be loaded; will try again", "error", err)
		if p.r.o.Clock.Sleep(p.ctx, loadRetry) != nil {
			return false
		}
		p.machine = p.r.o.New(p)
	}
}

func (p *Partition) replay() (records int, err error) {
	replica := p.r.o.Replicas.Partition(p.tp())
	if replica == nil {
		return 0, fmt.Errorf("%s: %w", p.tp(), kerr.NotCoordinator)
	}
	start, err := replica.OffsetForTimestamp(replication.TimestampEarliest, replication.ReadLogEnd, replication.NoEpoch, true)
	if err != nil {
		return 0, err
	}
	var buf, block []byte
	for next := start.Offset; p.ctx.Err() == nil; {
		res, err := replica.Read(&replication.ReadRequest{ReplicaID: replication.Consumer, CurrentEpoch: replication.NoEpoch, FetchOffset: next, LastFetchedEpoch: replication.NoEpoch,
			LogStartOffset: -1, MaxBytes: p.r.o.LoadBytes, MinOneBatch: true, Isolation: replication.ReadLogEnd, OnlyLeader: true})
		if err != nil {
			return records, err
		}
		if res.Records == nil {
			if next >= res.LogEndOffset || !res.OlderSegment {
				return records, nil
			}
			next++ // compaction left nothing here
			continue
		}
		buf = append(buf[:0], make([]byte, res.Records.Len())...)
		_, err = res.Records.ReadAt(buf, 0)
		truncated := res.Records.Truncated()
		res.Records.Release()
		if err != nil {
			return records, err
		}
		if truncated {
			return records, errors.New("the log was truncated while it was loaded")
		}
		for rest := buf; len(rest) > 0; {
			var b record.Batch
			if b, rest, err = record.Next(rest); err != nil {
				return records, err
			}
			var n int
			if n, block, err = p.replayBatch(b, next, block); err != nil {
				return records, err
			}
			records += n
			next = b.NextOffset()
		}
	}
	return records, p.ctx.Err()
}

// maxBlockBytes bounds what a batch of the topic may decompress to.
const maxBlockBytes = 256 << 20

func (p *Partition) replayBatch(b record.Batch, from int64, block []byte) (n int, _ []byte, err error) {
	if b.IsControl() {
		marker, ok, err := b.EndTxnMarker()
		if err == nil && ok && b.BaseOffset() >= from {
			p.machine.ReplayMarker(b.ProducerID(), marker.Type == record.ControlCommit)
		}
		return 0, block, err
	}
	txn := record.NoProducerID
	if b.IsTransactional() {
		txn = b.ProducerID()
	}
	it, block, err := p.r.o.Codecs.Iterate(b, block, maxBlockBytes)
	if err != nil {
		return 0, block, err
	}
	var r record.Record
	for it.Next(&r) {
		if r.Offset < from {
			continue
		}
		if err := p.machine.Replay(&r, txn); err != nil {
			return n, block, err
		}
		n++
	}
	return n, block, it.Err()
}

// KV is a record to append. A nil value is a tombstone.
type KV struct{ Key, Value []byte }

// Append appends records in one batch and returns the offset of the first, or why nothing was appended; done is not called then. Otherwise done is called on
// the partition's goroutine, after Append has returned: with nil when the records are replicated, or with the error that a client is to get, such as
// REQUEST_TIMED_OUT. The records are in the log all the same then; done is called once more, with nil, if they are replicated after all, so that a machine
// can know at any time what its successor will read. It is not called when the partition was given up meanwhile.
// acks is -1, or as offsets.commit.required.acks says.
func (p *Partition) Append(spec record.BatchSpec, acks int16, timeout time.Duration, records []KV, done func(err error)) (base int64, err error) {
	return p.AppendGuarded(0, spec, acks, timeout, records, done)
}

// AppendGuarded is Append with the guard of a transaction that its coordinator has confirmed, or zero.
func (p *Partition) AppendGuarded(guard replication.Guard, spec record.BatchSpec, acks int16, timeout time.Duration, records []KV, done func(err error)) (base int64, err error) {
	b := record.NewBuilder(spec)
	now := p.r.o.Clock.NowMs()
	for _, kv := range records {
		if err := b.Append(now, kv.Key, kv.Value); err != nil {
			return -1, err
		}
	}
	payload, _, err := b.Build(nil, p.r.o.Codecs)
	if err != nil {
		return -1, err
	}
	parts := []replication.Append{{Topic: []byte(p.r.o.Topic), Partition: p.id, Records: payload, Version: 9, Origin: record.Coordinator, Guard: guard}}
	p.r.o.Replicas.Append(acks, parts)
	if parts[0].Err != nil {
		return -1, parts[0].Err
	}
	parts[0].Records = nil
	if acks != replication.AcksAll {
		_ = p.post(func() { done(nil) }) // a partition that was given up has answered already
		return parts[0].FirstOffset, nil
	}
	base = parts[0].FirstOffset
	w := &wait{parts: parts, done: done}
	p.pending = append(p.pending, w)
	p.await(w, timeout)
	return base, nil
}

// wait is an append that is not known to be replicated.
type wait struct {
	parts []replication.Append // one
	done  func(err error)
	told  bool // that it timed out
	over  bool // replicated or failed; else the purgatory has parts
}

// lateRound is how long one wait lasts for records of which the client has been told that they came too late.
const lateRound = time.Minute

func (p *Partition) await(w *wait, timeout time.Duration) {
	settled := func() { _ = p.post(func() { p.settle(w) }) }
	if p.r.o.Replicas.Replicated(w.parts, timeout, settled) {
		settled()
	}
}

// settle calls what waits for appends, in the order of the log: purgatories have none.
func (p *Partition) settle(w *wait) {
	if errors.Is(w.parts[0].Err, kerr.RequestTimedOut) {
		if !w.told {
			w.told = true
			w.done(w.parts[0].Err)
		}
		w.parts[0].Err = nil
		p.await(w, lateRound)
		return
	}
	w.over = true
	for len(p.pending) > 0 && p.pending[0].over {
		w := p.pending[0]
		p.pending = p.pending[1:]
		err := w.parts[0].Err
		if !w.told {
			w.done(err)
		}
		// Also what is on fewer replicas than min.insync.replicas, which the client is told, is on all of the ISR.
		if late := errors.Is(err, kerr.NotEnoughReplicasAfterAppend); late || w.told && err == nil {
			w.done(nil)
		}
	}
}

// After calls f on the partition's goroutine after d, unless the timer is stopped or the partition is given up.
func (p *Partition) After(d time.Duration, f func()) *clock.Timer {
	return p.r.o.Clock.AfterFunc(d, func() { _ = p.post(f) })
}

// NowMs is the wall clock.
func (p *Partition) NowMs() int64 { return p.r.o.Clock.NowMs() }

// Logger has the partition's name.
func (p *Partition) Logger() *slog.Logger { return p.logger() }
