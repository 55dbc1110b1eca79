package transactions

import (
	"math"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/metadata"
	"gokafka/record"
)

// State is a state of a transactional id, by its number in the log.
type State int8

// The states of Kafka 3.9 TransactionState. Dead and PrepareEpochFence are never stored.
const (
	Empty             State = 0
	Ongoing           State = 1
	PrepareCommit     State = 2
	PrepareAbort      State = 3
	CompleteCommit    State = 4
	CompleteAbort     State = 5
	Dead              State = 6
	PrepareEpochFence State = 7
	noState           State = -1
)

var stateNames = [...]string{"Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead", "PrepareEpochFence"}

func (s State) String() string {
	if s < 0 || int(s) >= len(stateNames) {
		return "Unknown"
	}
	return stateNames[s]
}

// stateOf is the state of a name.
func stateOf(name string) (State, bool) {
	for i, n := range stateNames {
		if n == name {
			return State(i), true
		}
	}
	return noState, false
}

func (s State) decided() bool { return s == PrepareCommit || s == PrepareAbort }

// mayExpire says whether nothing is lost with the transactional id.
func (s State) mayExpire() bool { return s == Empty || s == CompleteCommit || s == CompleteAbort }

// txn is what is known of a transactional id (Kafka 3.9 TransactionMetadata).
type txn struct {
	id           string
	producerID   int64
	lastProducer int64 // the one before the last change; not stored
	epoch        int16 // -1 until the first InitProducerId is replicated
	lastEpoch    int16 // the one before the last bump that a producer asked for with its epoch (KIP-360), else -1; not stored
	timeoutMs    int32
	state        State
	pending      State // the state that is on its way to the log, or noState
	partitions   map[metadata.TopicPartition]bool
	startMs      int64 // of the transaction, -1 unknown
	updateMs     int64
	sending      *change // what comes when all markers are there; nil when none are sent
	// fenceFailed says that epoch was raised to fence a producer and could not be written: nobody has that epoch, so the next attempt takes it.
	fenceFailed bool
}

// change is the state that a transactional id is to have.
type change struct {
	producerID, lastProducer int64
	epoch, lastEpoch         int16
	timeoutMs                int32
	state                    State
	partitions               map[metadata.TopicPartition]bool
	startMs, updateMs        int64
}

func exhausted(epoch int16) bool { return epoch >= math.MaxInt16-1 }

// to begins a change: all stays as it is but for the state and the time.
func (t *txn) to(s State, nowMs int64) *change {
	return &change{producerID: t.producerID, lastProducer: t.producerID, epoch: t.epoch, lastEpoch: t.lastEpoch, timeoutMs: t.timeoutMs, state: s, partitions: t.partitions,
		startMs: t.startMs, updateMs: nowMs}
}

// apply makes a change that is replicated count. Kafka 3.9 TransactionMetadata.completeTransitionTo.
func (t *txn) apply(c *change) {
	switch c.state {
	case Empty:
		t.producerID, t.lastProducer, t.epoch, t.lastEpoch, t.timeoutMs = c.producerID, c.lastProducer, c.epoch, c.lastEpoch, c.timeoutMs
	case Ongoing:
		t.startMs, t.partitions = c.startMs, c.partitions
	case CompleteCommit, CompleteAbort:
		t.startMs, t.partitions = c.startMs, map[metadata.TopicPartition]bool{}
	}
	t.state, t.pending, t.sending, t.updateMs = c.state, noState, nil, c.updateMs
}

// Producer is a producer id with its epoch.
type Producer struct {
	ID    int64
	Epoch int16
}

// nextEpoch is the change for a producer that begins: expected is the one that it thinks it is, nil if it does not say. newID makes a producer id when the epochs of
// the old one are used up. Kafka 3.9 TransactionCoordinator.prepareInitProducerIdTransit, TransactionMetadata.prepareIncrementProducerEpoch.
func (t *txn) nextEpoch(expected *Producer, timeoutMs int32, nowMs int64, newID func() (int64, error)) (*change, error) {
	c := t.to(Empty, nowMs)
	c.timeoutMs, c.partitions, c.startMs = timeoutMs, nil, -1
	if exhausted(t.epoch) && (expected == nil || expected.Epoch == t.epoch) {
		id, err := newID()
		if err != nil {
			return nil, err
		}
		c.producerID, c.epoch, c.lastEpoch = id, 0, record.NoProducerEpoch
		if expected != nil {
			c.lastEpoch = t.epoch
		}
		return c, nil
	}
	switch {
	case expected == nil:
		c.epoch, c.lastEpoch = t.epoch+1, record.NoProducerEpoch
	case t.epoch == record.NoProducerEpoch || expected.Epoch == t.epoch:
		c.epoch, c.lastEpoch = t.epoch+1, t.epoch
	case expected.Epoch == t.lastEpoch: // the answer was lost
		c.epoch, c.lastEpoch = t.epoch, t.lastEpoch
	default:
		return nil, kerr.ProducerFenced
	}
	return c, nil
}

// knows says whether a producer that names itself may go on as this transactional id: it is the current one, or was before its epochs were used up.
func (t *txn) knows(p *Producer) bool {
	return p == nil || t.epoch == record.NoProducerEpoch || p.ID == t.producerID || p.ID == t.lastProducer && exhausted(p.Epoch)
}
