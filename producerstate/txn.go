package producerstate

import "slices"

// CompletedTxn is a transaction whose marker has been appended.
type CompletedTxn struct {
	ProducerID  int64
	FirstOffset int64
	LastOffset  int64 // of the marker
	Aborted     bool
}

// txn is an ongoing transaction, or a completed one whose marker the high watermark has not passed.
type txn struct {
	producerID  int64
	firstOffset int64
	lastOffset  int64 // of the marker, or none
}

// txnList is ordered by first offset. Transactions start at growing offsets, so that additions are at the end.
type txnList []txn

func (l txnList) find(firstOffset int64) (int, bool) {
	return slices.BinarySearchFunc(l, firstOffset, func(t txn, o int64) int {
		switch {
		case t.firstOffset < o:
			return -1
		case t.firstOffset > o:
			return 1
		}
		return 0
	})
}

// put adds t, in place of one with the same first offset.
func (l *txnList) put(t txn) {
	i, found := l.find(t.firstOffset)
	if found {
		(*l)[i] = t
		return
	}
	*l = slices.Insert(*l, i, t)
}

func (l *txnList) remove(firstOffset int64) (txn, bool) {
	i, found := l.find(firstOffset)
	if !found {
		return txn{}, false
	}
	t := (*l)[i]
	*l = slices.Delete(*l, i, i+1)
	return t, true
}

// first is the first offset of the oldest transaction.
func (l txnList) first() (offset int64, ok bool) {
	if len(l) == 0 {
		return 0, false
	}
	return l[0].firstOffset, true
}
