package producerstate

import "gokafka/record"

// Tail collects the last batches of producers from the end of a log, to widen what a snapshot tells of them: it holds one batch of
// each, and a producer may have five in flight when the broker is killed. (Kafka 3.9 forgets the other four.)
type Tail struct{ entries map[int64]*entry }

// NewTail returns an empty tail.
func NewTail() *Tail { return &Tail{entries: map[int64]*entry{}} }

// Add notes a batch of the log, in the log's order. Only the header of b is read.
func (t *Tail) Add(b record.Batch) {
	if !b.HasProducerID() || b.IsControl() || b.BaseSequence() == record.NoSequence {
		return
	}
	e := t.entries[b.ProducerID()]
	if e == nil {
		fresh := emptyEntry(b.ProducerID())
		e = &fresh
		t.entries[b.ProducerID()] = e
	}
	m := batchMeta{lastOffset: b.LastOffset(), timestampMs: b.MaxTimestamp(), lastSeq: b.LastSequence(), offsetDelta: b.LastOffsetDelta()}
	if last := e.last(); last != nil && e.producerEpoch == b.ProducerEpoch() && m.firstSeq() != record.IncrementSequence(last.lastSeq, 1) {
		e.head, e.count = 0, 0 // the state was lost in between: what was before is no window of this producer
	}
	e.addBatch(b.ProducerEpoch(), m)
}

// Widen gives the producers whose newest batch is also the newest of t the batches before it, up to five in all. Nothing else changes.
func (m *Manager) Widen(t *Tail) {
	for id, e := range m.producers {
		w := t.entries[id]
		if w == nil || w.producerEpoch != e.producerEpoch || e.count >= w.count || e.last() == nil || *w.last() != *e.last() {
			continue
		}
		e.batches, e.head, e.count = w.batches, w.head, w.count
	}
}
