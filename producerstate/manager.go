package producerstate

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync/atomic"

	"gokafka/record"
)

// lateTransactionBufferMs is added to the largest transaction timeout before an open transaction counts as late
// (Kafka 3.9 ProducerStateManager.LATE_TRANSACTION_BUFFER_MS).
const lateTransactionBufferMs = 5 * 60 * 1000

// Options are the broker's settings. They may change while the Manager is in use: see SetOptions.
type Options struct {
	ExpirationMs        int64 // producer.id.expiration.ms
	VerificationEnabled bool  // transaction.partition.verification.enable
	MaxTxnTimeoutMs     int64 // transaction.max.timeout.ms
}

// Manager is the state of the producers of one partition.
type Manager struct {
	label string // topic-partition, for errors
	opts  Options

	producers    map[int64]*entry
	buckets      int    // of Kafka's table of the producers, see put
	inserted     uint64 // counts insertions into it
	verification map[int64]*verification
	lastGuard    Guard
	ongoing      txnList // without marker
	unreplicated txnList // with a marker at or above the high watermark

	mapEndOffset  int64 // offset after the last batch applied
	lastSnapshot  int64 // offset of the newest snapshot
	append        Append
	producerCount atomic.Int64
	oldestTxnMs   atomic.Int64 // last timestamp of the producer of the oldest ongoing transaction, or -1
}

// New returns a Manager without producers, at offset 0. The label names the partition in errors, as in "topic-0".
func New(label string, opts Options) *Manager {
	m := &Manager{
		label:     label,
		opts:      opts,
		producers: make(map[int64]*entry),
		buckets:   firstBuckets,
		// A partition that is deleted and made again must not accept a guard of its former self.
		lastGuard: Guard(rand.Uint64()),
	}
	m.append.m = m
	m.oldestTxnMs.Store(record.NoTimestamp)
	return m
}

// SetOptions takes changed settings.
func (m *Manager) SetOptions(opts Options) { m.opts = opts }

// Len is the number of producers. Safe for concurrent use.
func (m *Manager) Len() int { return int(m.producerCount.Load()) }

// IsEmpty says whether there are neither producers nor transactions waiting for the high watermark.
func (m *Manager) IsEmpty() bool { return len(m.producers) == 0 && len(m.unreplicated) == 0 }

// HasLateTransaction says whether a transaction has been open for longer than any may be, by the time of its last batch.
// Safe for concurrent use, but for SetOptions.
func (m *Manager) HasLateTransaction(nowMs int64) bool {
	last := m.oldestTxnMs.Load()
	return last > 0 && nowMs-last > m.opts.MaxTxnTimeoutMs+lateTransactionBufferMs
}

// MapEndOffset is the offset after the last batch that the state reflects.
func (m *Manager) MapEndOffset() int64 { return m.mapEndOffset }

// UpdateMapEndOffset moves the end, after each append: also after those without producers.
func (m *Manager) UpdateMapEndOffset(endOffset int64) { m.mapEndOffset = endOffset }

// FirstUnstableOffset is the first offset of the oldest transaction that is undecided, or decided by a marker that is not
// replicated yet. With none, ok is false.
func (m *Manager) FirstUnstableOffset() (offset int64, ok bool) {
	undecided, ok1 := m.ongoing.first()
	unreplicated, ok2 := m.unreplicated.first()
	switch {
	case ok1 && ok2:
		return min(undecided, unreplicated), true
	case ok1:
		return undecided, true
	}
	return unreplicated, ok2
}

// FirstUndecidedOffset is the first offset of the oldest transaction without a marker. Compaction stops there.
func (m *Manager) FirstUndecidedOffset() (offset int64, ok bool) { return m.ongoing.first() }

// OnHighWatermarkUpdated lets go of the transactions whose markers are below the high watermark.
func (m *Manager) OnHighWatermarkUpdated(highWatermark int64) {
	if len(m.unreplicated) == 0 {
		return
	}
	m.unreplicated = slices.DeleteFunc(m.unreplicated, func(t txn) bool { return t.lastOffset < highWatermark })
}

// LastStableOffset is what the transaction index stores with a completed transaction: the first offset of the oldest other
// ongoing transaction, else the offset after the marker. Ask before CompleteTxn.
func (m *Manager) LastStableOffset(t CompletedTxn) int64 {
	for _, o := range m.ongoing {
		if o.producerID != t.ProducerID {
			return o.firstOffset
		}
	}
	return t.LastOffset + 1
}

// CompleteTxn ends an ongoing transaction; it stays unstable until the high watermark passes its marker. Call it after the
// transaction index has the aborted transaction.
func (m *Manager) CompleteTxn(t CompletedTxn) error {
	o, ok := m.ongoing.remove(t.FirstOffset)
	if !ok {
		return fmt.Errorf("attempted to complete transaction %+v on partition %s which was not started", t, m.label)
	}
	o.lastOffset = t.LastOffset
	m.unreplicated.put(o)
	m.updateOldestTxn()
	return nil
}

func (m *Manager) updateOldestTxn() {
	last := record.NoTimestamp
	if len(m.ongoing) > 0 {
		if e := m.producers[m.ongoing[0].producerID]; e != nil {
			last = e.lastTimestampMs
		}
	}
	m.oldestTxnMs.Store(last)
}

// HasOngoingTransaction says whether the producer has a transaction of an epoch, or of a later one, open here. One of an earlier epoch may still wait for its marker.
func (m *Manager) HasOngoingTransaction(producerID int64, epoch int16) bool {
	return m.producers[producerID].inTxn(epoch)
}

// RemoveExpired forgets producers without an ongoing transaction whose last timestamp, which is the producer's own, is older than
// the expiration, and verifications that began as long ago.
func (m *Manager) RemoveExpired(nowMs int64) {
	for id, e := range m.producers {
		if m.expired(nowMs, e) {
			delete(m.producers, id)
		}
	}
	m.producerCount.Store(int64(len(m.producers)))
	for id, v := range m.verification {
		if nowMs-v.startedMs >= m.opts.ExpirationMs {
			delete(m.verification, id)
		}
	}
}

func (m *Manager) expired(nowMs int64, e *entry) bool {
	return !e.hasTxn() && nowMs-e.lastTimestampMs >= m.opts.ExpirationMs
}

// ActiveProducers lists the producers by id, for DescribeProducers and compaction.
func (m *Manager) ActiveProducers() []Entry {
	list := make([]Entry, 0, len(m.producers))
	for _, e := range m.producers {
		list = append(list, e.snapshot())
	}
	slices.SortFunc(list, func(a, b Entry) int { return cmp.Compare(a.ProducerID, b.ProducerID) })
	return list
}

// Producer is the state of one producer.
func (m *Manager) Producer(producerID int64) (Entry, bool) {
	e := m.producers[producerID]
	if e == nil {
		return Entry{}, false
	}
	return e.snapshot(), true
}
