package producerstate

import (
	"fmt"

	"gokafka/record"

	"github.com/twmb/franz-go/pkg/kerr"
)

// maxWarnings bounds the warnings of one append.
const maxWarnings = 16

// Verdict says what to do with a batch that is not refused.
type Verdict struct {
	// Duplicate: the batch is in the log already, at these offsets; nothing is written and the append ends here.
	Duplicate   bool
	FirstOffset int64
	LastOffset  int64
	TimestampMs int64 // the first append's maximum timestamp, answered as log_append_time
}

// Append is what one append, of one or many batches, does to the producers. Nothing is done before Update. A Manager has one at a
// time: Prepare ends the one before.
type Append struct {
	m      *Manager
	origin record.Origin
	guard  Guard
	// raised: markers are of an epoch above that of their transaction (KIP-890, transaction version 2). One that is not above the open transaction's is of an earlier one.
	raised    bool
	producers []appendInfo
	byID      map[int64]int // index into producers, once there are many
	completed []CompletedTxn
	warnings  []string
}

// linearProducers is how many producers of an append are searched one by one.
const linearProducers = 8

// appendInfo gathers the batches of one producer in one append (Kafka 3.9 ProducerAppendInfo).
type appendInfo struct {
	current    *entry // nil: not known yet
	lowestSeq  int32  // of the verification under way
	verifying  bool
	clearGuard bool
	updated    entry // has the batches of this append only
	started    []txn
}

// Prepare begins an append. The guard is what StartVerification returned for the request, or zero. raised says that its markers are of transaction version 2: of an epoch
// above that of the transaction they end.
func (m *Manager) Prepare(origin record.Origin, guard Guard, raised bool) *Append {
	a := &m.append
	if cap(a.producers) > 64 || cap(a.completed) > 64 {
		a.producers, a.completed = nil, nil
	}
	*a = Append{m: m, origin: origin, guard: guard, raised: raised, producers: a.producers[:0], completed: a.completed[:0]}
	return a
}

// Check looks at the next batch of the append, which carries the offsets it will have. An error wraps kerr.OutOfOrderSequenceNumber,
// InvalidProducerEpoch, InvalidTxnState, TransactionCoordinatorFenced or, for a control batch that cannot be read,
// InvalidRecord; then the whole append is off. Batches without a producer id are always fine.
//
// Source: Kafka 3.9 UnifiedLog.analyzeAndValidateProducerState, ProducerAppendInfo.append.
func (a *Append) Check(b record.Batch) (Verdict, error) {
	if !b.HasProducerID() {
		return Verdict{}, nil
	}
	id := b.ProducerID()
	current := a.m.producers[id]
	if a.origin == record.Client && current != nil {
		if d := current.duplicateOf(b); d != nil {
			return Verdict{Duplicate: true, FirstOffset: d.firstOffset(), LastOffset: d.lastOffset, TimestampMs: d.timestampMs}, nil
		}
	}
	if a.origin != record.Replication && a.missesVerification(b, current) {
		return Verdict{}, refuse(kerr.InvalidTxnState, "record of producer %d in %s was not part of an ongoing transaction", id, a.m.label)
	}
	info := a.info(id, current)
	var err error
	if b.IsControl() {
		err = a.endTxn(info, b)
	} else {
		err = a.addData(info, b)
	}
	info.clearGuard = info.clearGuard || b.IsTransactional() && !a.keepsGuard(b)
	return Verdict{}, err
}

// keepsGuard: a marker of transaction version 2 says nothing of transactions of its own epoch and later ones. It may come while such a one is verified: the client knows its next epoch
// before the markers are there, and a marker whose answer was lost comes again.
func (a *Append) keepsGuard(b record.Batch) bool {
	if !a.raised || !b.IsControl() {
		return false
	}
	v := a.m.verification[b.ProducerID()]
	return v != nil && v.epoch >= b.ProducerEpoch()
}

// missesVerification: a transactional batch needs a transaction of its epoch that is open here, or a guard.
func (a *Append) missesVerification(b record.Batch, current *entry) bool {
	return a.m.opts.VerificationEnabled && b.IsTransactional() && !b.IsControl() &&
		!current.inTxn(b.ProducerEpoch()) && !a.m.verified(b.ProducerID(), a.guard)
}

// info finds or makes the producer's part of the append.
func (a *Append) info(id int64, current *entry) *appendInfo {
	if a.byID != nil {
		if i, ok := a.byID[id]; ok {
			return &a.producers[i]
		}
	} else {
		for i := range a.producers {
			if a.producers[i].updated.producerID == id {
				return &a.producers[i]
			}
		}
	}
	info := appendInfo{current: current, updated: emptyEntry(id)}
	if current != nil {
		info.updated = *current
		info.updated.head, info.updated.count = 0, 0
	}
	if v := a.m.verification[id]; v != nil {
		info.verifying, info.lowestSeq = true, v.lowestSeq
	}
	a.producers = append(a.producers, info)
	a.index()
	return &a.producers[len(a.producers)-1]
}

func (a *Append) index() {
	switch n := len(a.producers); {
	case n < linearProducers:
	case a.byID != nil:
		a.byID[a.producers[n-1].updated.producerID] = n - 1
	default:
		a.byID = make(map[int64]int, 2*n)
		for i := range a.producers {
			a.byID[a.producers[i].updated.producerID] = i
		}
	}
}

// addData takes a batch of records.
func (a *Append) addData(info *appendInfo, b record.Batch) error {
	if err := a.checkEpoch(info, b); err != nil {
		return err
	}
	if a.origin == record.Client {
		if err := a.checkSequence(info, b); err != nil {
			return err
		}
	}
	u := &info.updated
	if u.hasTxn() && !b.IsTransactional() {
		return refuse(kerr.InvalidTxnState, "Expected transactional write from producer %d at offset %d in partition %s",
			u.producerID, b.BaseOffset(), a.m.label)
	}
	u.addBatch(b.ProducerEpoch(), batchMeta{
		lastOffset:  b.LastOffset(),
		timestampMs: b.MaxTimestamp(),
		lastSeq:     b.LastSequence(),
		offsetDelta: b.LastOffsetDelta(),
	})
	if !u.hasTxn() && b.IsTransactional() {
		u.txnFirstOffset = b.BaseOffset()
		info.started = append(info.started, txn{producerID: u.producerID, firstOffset: b.BaseOffset(), lastOffset: none})
	}
	return nil
}

// endTxn takes a marker. One that compaction has emptied says that nothing of the transaction is left.
func (a *Append) endTxn(info *appendInfo, b record.Batch) error {
	marker, ok, err := b.EndTxnMarker()
	if err != nil {
		return fmt.Errorf("producer %d in partition %s: %w", b.ProducerID(), a.m.label, err)
	}
	if !ok {
		return nil
	}
	if err := a.checkEpoch(info, b); err != nil {
		return err
	}
	u := &info.updated
	if a.raised && a.origin != record.Replication && u.hasTxn() && b.ProducerEpoch() <= u.producerEpoch {
		return refuse(kerr.InvalidProducerEpoch, "Epoch of the marker of producer %d at offset %d in partition %s is %d, and its open transaction has %d",
			u.producerID, marker.Offset, a.m.label, b.ProducerEpoch(), u.producerEpoch)
	}
	if u.coordinatorEpoch > marker.CoordinatorEpoch {
		err := refuse(kerr.TransactionCoordinatorFenced,
			"Invalid coordinator epoch for producerId %d at offset %d in partition %s: %d (zombie), %d (current)",
			u.producerID, marker.Offset, a.m.label, marker.CoordinatorEpoch, u.coordinatorEpoch)
		if a.origin != record.Replication {
			return err
		}
		a.warn(err)
	}
	// A transaction without data here moves no offset and needs no entry in the index.
	if u.hasTxn() {
		a.completed = append(a.completed, CompletedTxn{
			ProducerID:  u.producerID,
			FirstOffset: u.txnFirstOffset,
			LastOffset:  marker.Offset,
			Aborted:     marker.Type == record.ControlAbort,
		})
	}
	u.endTxn(b.ProducerEpoch(), marker.CoordinatorEpoch, marker.TimestampMs)
	return nil
}

// checkEpoch refuses an epoch below the current one. Produce answers INVALID_PRODUCER_EPOCH, never PRODUCER_FENCED: the client
// then aborts and goes on.
func (a *Append) checkEpoch(info *appendInfo, b record.Batch) error {
	if b.ProducerEpoch() >= info.updated.producerEpoch {
		return nil
	}
	err := refuse(kerr.InvalidProducerEpoch,
		"Epoch of producer %d at offset %d in %s is %d, which is smaller than the last seen epoch %d",
		b.ProducerID(), b.BaseOffset(), a.m.label, b.ProducerEpoch(), info.updated.producerEpoch)
	if a.origin == record.Replication {
		a.warn(err)
		return nil
	}
	return err
}

// checkSequence decides whether b may follow this producer's last batch. Sequences are int32, wrap to 0 after MaxInt32 and
// count records. A producer of which nothing is known may start anywhere: its state may have expired or been deleted with
// the log (KIP-360). Source: Kafka 3.9 ProducerAppendInfo.checkSequence.
func (a *Append) checkSequence(info *appendInfo, b record.Batch) error {
	first, epoch := b.BaseSequence(), b.ProducerEpoch()
	if info.verifying && first > info.lowestSeq {
		return refuse(kerr.OutOfOrderSequenceNumber,
			"Out of order sequence number for producer %d at offset %d in partition %s: %d (incoming seq. number), %d (earliest seen sequence)",
			b.ProducerID(), b.BaseOffset(), a.m.label, first, info.lowestSeq)
	}
	if epoch != info.updated.producerEpoch {
		if first != 0 && info.updated.producerEpoch != record.NoProducerEpoch {
			return refuse(kerr.OutOfOrderSequenceNumber,
				"Invalid sequence number for new epoch of producer %d at offset %d in partition %s: %d (request epoch), %d (seq. number), %d (current producer epoch)",
				b.ProducerID(), b.BaseOffset(), a.m.label, epoch, first, info.updated.producerEpoch)
		}
		return nil
	}
	if info.current == nil || info.current.producerEpoch == record.NoProducerEpoch {
		return nil
	}
	last := info.lastSeq(epoch)
	if int64(first) == int64(last)+1 || first == 0 && last == 1<<31-1 {
		return nil
	}
	return refuse(kerr.OutOfOrderSequenceNumber,
		"Out of order sequence number for producer %d at offset %d in partition %s: %d (incoming seq. number), %d (current end sequence number)",
		b.ProducerID(), b.BaseOffset(), a.m.label, first, last)
}

// lastSeq is the last sequence in the epoch: of this append, else of what is known.
func (i *appendInfo) lastSeq(epoch int16) int32 {
	switch {
	case i.updated.count > 0:
		return i.updated.lastSeq()
	case epoch == i.current.producerEpoch:
		return i.current.lastSeq()
	}
	return record.NoSequence
}

func (a *Append) warn(err *Error) {
	if len(a.warnings) < maxWarnings {
		a.warnings = append(a.warnings, err.Text)
	}
}

// Update makes the producers reflect the append, in the order in which they appeared. Call it once, after the bytes are in
// the log.
func (a *Append) Update() {
	m := a.m
	for i := range a.producers {
		info := &a.producers[i]
		id := info.updated.producerID
		if e := m.producers[id]; e != nil {
			e.apply(&info.updated)
		} else {
			e := info.updated
			m.put(&e)
		}
		for _, t := range info.started {
			m.ongoing.put(t)
		}
		if info.clearGuard {
			delete(m.verification, id)
		}
	}
	if len(a.producers) > 0 {
		m.producerCount.Store(int64(len(m.producers)))
		m.updateOldestTxn()
	}
}

// Completed lists the transactions that the append completes, in offset order. The slice is valid until the next Prepare.
func (a *Append) Completed() []CompletedTxn { return a.completed }

// Warnings are refusals that replication overrides, for the log; at most 16.
func (a *Append) Warnings() []string { return a.warnings }

// Replay applies batches that are in the log already, as when a log is loaded: prepare, check, update and complete in one. The
// transaction index is not written. The map end offset moves to the end of the last batch.
func (m *Manager) Replay(batches ...record.Batch) (completed []CompletedTxn, warnings []string, err error) {
	a := m.Prepare(record.Replication, 0, false)
	for _, b := range batches {
		if _, err := a.Check(b); err != nil {
			return nil, nil, err
		}
	}
	a.Update()
	for _, t := range a.completed {
		if err := m.CompleteTxn(t); err != nil {
			return a.completed, a.warnings, err
		}
	}
	if n := len(batches); n > 0 {
		m.mapEndOffset = batches[n-1].NextOffset()
	}
	return a.completed, a.warnings, nil
}
