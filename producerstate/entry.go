package producerstate

import "gokafka/record"

// batchesToRetain is how many batches of a producer are remembered: the most requests that a producer has in flight
// (Kafka 3.9 ProducerStateEntry.NUM_BATCHES_TO_RETAIN).
const batchesToRetain = 5

// none stands for "no offset" in this package, as in snapshots.
const none = -1

// batchMeta is what is remembered of an appended batch.
type batchMeta struct {
	lastOffset  int64
	timestampMs int64 // the batch's maximum
	lastSeq     int32
	offsetDelta int32 // last offset - first offset, and so many sequences
}

func (b batchMeta) firstSeq() int32    { return record.DecrementSequence(b.lastSeq, b.offsetDelta) }
func (b batchMeta) firstOffset() int64 { return b.lastOffset - int64(b.offsetDelta) }

// entry is the state of one producer. There may be thousands in a partition, so it is one flat allocation.
type entry struct {
	producerID       int64
	lastTimestampMs  int64  // of the last batch or marker, given by the producer for batches
	txnFirstOffset   int64  // of the ongoing transaction, or none
	coordinatorEpoch int32  // of the last marker, or -1
	producerEpoch    int16  // NoProducerEpoch: nothing is known
	head, count      uint8  // ring
	inserted         uint64 // see Manager.put
	batches          [batchesToRetain]batchMeta
}

func emptyEntry(producerID int64) entry {
	return entry{
		producerID:       producerID,
		lastTimestampMs:  record.NoTimestamp,
		txnFirstOffset:   none,
		coordinatorEpoch: -1,
		producerEpoch:    record.NoProducerEpoch,
	}
}

func (e *entry) hasTxn() bool { return e.txnFirstOffset != none }

// inTxn says whether a transaction of an epoch, or of a later one, is open; e may be nil. Kafka 3.9 does not look at the epoch; since each transaction can have its own
// (KIP-890), one that still waits for its marker must not take in records of the next.
func (e *entry) inTxn(epoch int16) bool { return e != nil && e.hasTxn() && e.producerEpoch >= epoch }

// batch returns the i-th remembered batch, oldest first.
func (e *entry) batch(i uint8) *batchMeta { return &e.batches[(e.head+i)%batchesToRetain] }

// last is the newest remembered batch, or nil.
func (e *entry) last() *batchMeta {
	if e.count == 0 {
		return nil
	}
	return e.batch(e.count - 1)
}

func (e *entry) lastSeq() int32 {
	if b := e.last(); b != nil {
		return b.lastSeq
	}
	return record.NoSequence
}

func (e *entry) push(b batchMeta) {
	if e.count == batchesToRetain {
		e.head = (e.head + 1) % batchesToRetain
		e.count--
	}
	e.count++
	*e.last() = b
}

// setEpoch replaces the epoch; the batches of another epoch are forgotten.
func (e *entry) setEpoch(epoch int16) {
	if e.producerEpoch != epoch {
		e.producerEpoch = epoch
		e.head, e.count = 0, 0
	}
}

// addBatch remembers a data batch.
func (e *entry) addBatch(epoch int16, b batchMeta) {
	e.setEpoch(epoch)
	e.push(b)
	e.lastTimestampMs = b.timestampMs
}

// endTxn takes a marker: with the same epoch the sequences go on, with a higher one they start again.
func (e *entry) endTxn(epoch int16, coordinatorEpoch int32, timestampMs int64) {
	e.setEpoch(epoch)
	e.coordinatorEpoch = coordinatorEpoch
	e.txnFirstOffset = none
	e.lastTimestampMs = timestampMs
}

// apply takes over what an append made of the producer: next has the batches of that append only.
func (e *entry) apply(next *entry) {
	e.setEpoch(next.producerEpoch)
	for i := range next.count {
		e.push(*next.batch(i))
	}
	e.coordinatorEpoch = next.coordinatorEpoch
	e.txnFirstOffset = next.txnFirstOffset
	e.lastTimestampMs = next.lastTimestampMs
}

// duplicateOf finds the remembered batch with exactly the sequences of b, in the same epoch.
func (e *entry) duplicateOf(b record.Batch) *batchMeta {
	if b.ProducerEpoch() != e.producerEpoch {
		return nil
	}
	first, last := b.BaseSequence(), b.LastSequence()
	for i := range e.count {
		if m := e.batch(i); m.lastSeq == last && m.firstSeq() == first {
			return m
		}
	}
	return nil
}

// snapshot is the part of the state that snapshots hold.
func (e *entry) snapshot() Entry {
	s := Entry{
		ProducerID:            e.producerID,
		ProducerEpoch:         e.producerEpoch,
		LastSequence:          record.NoSequence,
		LastOffset:            none,
		TimestampMs:           e.lastTimestampMs,
		CoordinatorEpoch:      e.coordinatorEpoch,
		CurrentTxnFirstOffset: e.txnFirstOffset,
	}
	if b := e.last(); b != nil {
		s.LastSequence, s.LastOffset, s.OffsetDelta = b.lastSeq, b.lastOffset, b.offsetDelta
	}
	return s
}

func entryFrom(s Entry) entry {
	e := emptyEntry(s.ProducerID)
	e.producerEpoch = s.ProducerEpoch
	e.coordinatorEpoch = s.CoordinatorEpoch
	e.lastTimestampMs = s.TimestampMs
	if s.CurrentTxnFirstOffset >= 0 {
		e.txnFirstOffset = s.CurrentTxnFirstOffset
	}
	if s.LastOffset >= 0 {
		e.push(batchMeta{lastOffset: s.LastOffset, timestampMs: s.TimestampMs, lastSeq: s.LastSequence, offsetDelta: s.OffsetDelta})
	}
	return e
}
