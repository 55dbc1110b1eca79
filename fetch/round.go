package fetch

import (
	"context"
	"time"

	"gokafka/metadata"
	"gokafka/protocol"
	"gokafka/replication"
)

// round is the serving of one request.
type round struct {
	m *Manager
	q *Request
	// list are the partitions looked at: all of the request, or those of the session that may have something to tell.
	list []*entry
	s    *session // nil without one; its lock is held whenever list or an entry is touched

	budget   budget
	deadline time.Duration // monotonic; set when the request begins to wait
}

// readAll reads all partitions of the list anew.
func (r *round) readAll() {
	for _, e := range r.list {
		e.read = false
		e.release()
	}
	r.readUnread()
}

// readUnread reads the partitions that are not read yet, within what the read ones left of the budget.
func (r *round) readUnread() {
	r.budget = budget{bytes: r.q.MaxBytes, minBatch: !r.q.HardLimit}
	for _, e := range r.list {
		if e.read {
			if n := e.bytes(); n > 0 {
				r.budget.minBatch = false
				r.budget.bytes = max(0, r.budget.bytes-n)
			}
		}
	}
	im := r.m.cache.Image()
	for _, e := range r.list {
		if e.read {
			continue
		}
		if r.s != nil {
			r.follow(e, im)
		}
		r.m.readEntry(r.q, im, e, &r.budget)
	}
}

// follow keeps the subscription of a session's partition on the partition of that name now, before it is read.
func (r *round) follow(e *entry, im *metadata.Image) {
	if e.Topic == "" && !e.ID.IsZero() {
		if t := im.TopicByID(e.ID); t != nil {
			e.Topic = t.Name
		}
	}
	p := r.m.replicas.Partition(metadata.TopicPartition{Topic: e.Topic, Partition: e.Partition})
	if e.sub != nil && e.sub.Partition() == p {
		return
	}
	if e.sub != nil {
		e.sub.Cancel()
		e.sub = nil
	}
	if p != nil {
		e.sub = r.s.waiter.Subscribe(p, e)
	}
}

// subscribe makes w hear of all partitions of a request without a session.
func (r *round) subscribe(w *replication.Waiter) {
	for _, e := range r.list {
		if p := r.m.replicas.Partition(metadata.TopicPartition{Topic: e.Topic, Partition: e.Partition}); p != nil {
			e.sub = w.Subscribe(p, e)
		}
	}
}

// takeDirty brings the session's partitions with something to tell into the list. Called with the session's lock held.
func (r *round) takeDirty() {
	for _, sub := range r.s.waiter.TakeDirty(nil) {
		e, ok := sub.Tag.(*entry)
		if !ok || e.gone || e.sub != sub {
			continue
		}
		e.read = false
		e.release()
		r.s.activate(e)
	}
	live := r.s.active[:0]
	for _, e := range r.s.active {
		if !e.gone {
			live = append(live, e)
		}
	}
	clear(r.s.active[len(live):])
	r.s.active = live
	r.list = live
}

// enough says whether the request is to be answered now: min bytes are there, a partition could not be read or diverged, or no partition can be
// waited for. Bytes count that are there but did not fit into the answer (Kafka 3.9 DelayedFetch.tryComplete).
func (r *round) enough() bool {
	if r.q.MaxWait <= 0 {
		return true
	}
	bytes, erroneous := 0, 0
	for _, e := range r.list {
		if e.answerNow {
			return true
		}
		if e.erroneous {
			erroneous++
		}
		bytes += e.bytes()
	}
	total := len(r.list)
	if r.s != nil {
		total = len(r.s.entries)
	}
	if bytes >= r.q.MinBytes || erroneous == total {
		return true
	}
	if bytes == 0 { // the first batch would have come, whatever its size
		return false
	}
	bytes = 0
	for _, e := range r.list {
		bytes += r.m.couldRead(r.q, e)
	}
	return bytes >= r.q.MinBytes
}

// wait waits, reading what changes, until there is enough or the time is over.
func (r *round) wait(ctx context.Context, w *replication.Waiter) {
	for !r.enough() {
		if !r.waitOnce(ctx, w, nil) {
			return
		}
		for _, sub := range w.TakeDirty(nil) {
			e := sub.Tag.(*entry)
			e.read = false
			e.release()
		}
		r.readUnread()
	}
}

// waitOnce waits for the next change; false when there is no more time, or the turn is over.
func (r *round) waitOnce(ctx context.Context, w *replication.Waiter, over <-chan struct{}) bool {
	now := r.m.clk.Mono()
	if !r.q.waiting {
		r.q.waiting, r.deadline = true, now+r.q.MaxWait
		if r.q.BeforeWait != nil {
			r.q.BeforeWait()
		}
	}
	left := r.deadline - now
	if left <= 0 {
		return false
	}
	t := r.m.clk.NewTimer(left)
	defer t.Stop()
	select {
	case <-w.Wake():
		return true
	case <-t.C:
	case <-ctx.Done():
	case <-over:
	}
	return false
}

// ordered gives the list with the partitions that failed before the read at the end, as Apache answers them.
func (r *round) ordered() []*entry {
	out := make([]*entry, 0, len(r.list))
	for _, e := range r.list {
		if !e.erroneous {
			out = append(out, e)
		}
	}
	for _, e := range r.list {
		if e.erroneous {
			out = append(out, e)
		}
	}
	return out
}

// finish selects what an incremental answer tells and decides what the next request looks at. Called with the session's lock held.
// Kafka 3.9 CachedPartition.maybeUpdateResponseData.
func (r *round) finish() []protocol.FetchResult {
	var results []protocol.FetchResult
	var stay, moved []*entry
	for _, e := range r.ordered() {
		told := e.result.ErrorCode != 0 || e.bytes() > 0 || e.result.PreferredReadReplica >= 0 || e.result.Diverging != protocol.NoDivergingEpoch ||
			e.result.HighWatermark != e.highWatermark || e.result.LogStartOffset != e.logStartOffset
		// Of an error these are -1, so that the partition is told once more when it is gone.
		e.highWatermark, e.logStartOffset = e.result.HighWatermark, e.result.LogStartOffset
		sent := e.bytes() > 0
		if told {
			results = append(results, e.result)
			e.result.Records = nil // the answer's now
		}
		e.read = false
		switch {
		case !e.more:
			e.active = false
		case sent:
			moved = append(moved, e) // to the end: the others come first next time
		default:
			stay = append(stay, e)
		}
	}
	r.s.active = append(stay, moved...)
	return results
}
