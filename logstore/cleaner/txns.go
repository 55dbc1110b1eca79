package cleaner

import (
	"cmp"
	"slices"

	"gokafka/logstore"
	"gokafka/record"
)

// txnState follows the transactions of a log while it is walked. It tells which batches were aborted and which markers nobody needs any more
// (Kafka 3.9 CleanedTransactionMetadata).
type txnState struct {
	committed map[int64]bool
	aborted   map[int64]*abortedTxn // by producer: that whose range the walk is in
	ahead     []logstore.AbortedTxn // by first offset
	// retained is told of an aborted transaction some of whose batches were met.
	retained func(logstore.AbortedTxn)
}

type abortedTxn struct {
	logstore.AbortedTxn
	met bool
}

func newTxnState() *txnState {
	return &txnState{committed: map[int64]bool{}, aborted: map[int64]*abortedTxn{}, retained: func(logstore.AbortedTxn) {}}
}

func (t *txnState) add(list []logstore.AbortedTxn) {
	t.ahead = append(t.ahead, list...)
	slices.SortStableFunc(t.ahead, func(a, b logstore.AbortedTxn) int { return cmp.Compare(a.FirstOffset, b.FirstOffset) })
}

func (t *txnState) enter(offset int64) {
	for len(t.ahead) > 0 && t.ahead[0].FirstOffset <= offset {
		next := t.ahead[0]
		t.ahead = t.ahead[1:]
		if t.aborted[next.ProducerID] == nil {
			t.aborted[next.ProducerID] = &abortedTxn{AbortedTxn: next}
		}
	}
}

// control says whether a control batch can go: its transaction has no batches any more.
func (t *txnState) control(b record.Batch) (discard bool, err error) {
	t.enter(b.LastOffset())
	if b.Count() == 0 {
		return true, nil // cleaned already
	}
	kind, err := controlType(b)
	if err != nil {
		return false, err
	}
	id := b.ProducerID()
	switch kind {
	case record.ControlAbort:
		txn := t.aborted[id]
		delete(t.aborted, id)
		if txn != nil && txn.met {
			t.retained(txn.AbortedTxn)
			return false, nil
		}
		return true, nil
	case record.ControlCommit:
		seen := t.committed[id]
		delete(t.committed, id)
		return !seen, nil
	}
	return false, nil
}

func controlType(b record.Batch) (record.ControlType, error) {
	if b.Codec() != record.None {
		_, _, err := b.EndTxnMarker() // says what is wrong
		return 0, err
	}
	var r record.Record
	it := b.Iterate(b.RecordsBlock())
	if !it.Next(&r) {
		return 0, it.Err()
	}
	return record.ParseControlType(r.Key)
}

// data says whether a batch of records was aborted.
func (t *txnState) data(b record.Batch) (discard bool) {
	t.enter(b.LastOffset())
	if !b.IsTransactional() {
		return false
	}
	if txn := t.aborted[b.ProducerID()]; txn != nil {
		txn.met = true
		return true
	}
	t.committed[b.ProducerID()] = true
	return false
}
