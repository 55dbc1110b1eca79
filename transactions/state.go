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

// Version2 is the transaction version in which partitions come into a transaction with their first records, and the end of each transaction raises the epoch (KIP-890, Kafka 4.0
// TransactionVersion). From version 1 on, states are written as tagged fields can be added to.
const Version2 = 2

// txn is what is known of a transactional id (Kafka 3.9 TransactionMetadata).
type txn struct {
	id           string
	producerID   int64
	lastProducer int64 // the one whose epochs were used up before, or record.NoProducerID; stored from transaction version 1 on
	nextProducer int64 // the one that comes when the markers of the decided transaction are there, as the epochs are used up; else record.NoProducerID
	epoch        int16 // -1 until the first InitProducerId is replicated
	lastEpoch    int16 // the one before the last bump that a producer asked for with its epoch (KIP-360), else -1; not stored
	timeoutMs    int32
	version      int16 // the transaction version that the client used when the state changed (KIP-890)
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
	producerID, lastProducer, nextProducer int64
	epoch, lastEpoch                       int16
	timeoutMs                              int32
	version                                int16
	state                                  State
	partitions                             map[metadata.TopicPartition]bool
	startMs, updateMs                      int64
}

func exhausted(epoch int16) bool { return epoch >= math.MaxInt16-1 }

// to begins a change: all stays as it is but for the state and the time.
func (t *txn) to(s State, nowMs int64) *change {
	return &change{producerID: t.producerID, lastProducer: t.lastProducer, nextProducer: record.NoProducerID, epoch: t.epoch, lastEpoch: t.lastEpoch, timeoutMs: t.timeoutMs,
		version: t.version, state: s, partitions: t.partitions, startMs: t.startMs, updateMs: nowMs}
}

// apply makes a change that is replicated count. Kafka 3.9 TransactionMetadata.completeTransitionTo.
func (t *txn) apply(c *change) {
	switch c.state {
	case Empty:
		t.producerID, t.lastProducer, t.epoch, t.lastEpoch, t.timeoutMs = c.producerID, c.lastProducer, c.epoch, c.lastEpoch, c.timeoutMs
	case Ongoing:
		t.startMs, t.partitions = c.startMs, c.partitions
	case PrepareCommit, PrepareAbort:
		t.startMs, t.epoch, t.lastEpoch, t.nextProducer = c.startMs, c.epoch, c.lastEpoch, c.nextProducer
	case CompleteCommit, CompleteAbort:
		t.startMs, t.partitions = c.startMs, map[metadata.TopicPartition]bool{}
		if c.version >= Version2 {
			t.producerID, t.lastProducer, t.nextProducer, t.epoch, t.lastEpoch = c.producerID, c.lastProducer, c.nextProducer, c.epoch, c.lastEpoch
		}
	}
	t.version, t.state, t.pending, t.sending, t.updateMs = c.version, c.state, noState, nil, c.updateMs
}

// bump makes a change that ends a transaction raise the epoch (KIP-890): what is still on its way from the producer cannot get into its next transaction. newID makes a producer
// id when the epochs are used up; it takes over when the markers are there. Kafka 4.0 TransactionMetadata.prepareAbortOrCommit.
func (c *change) bump(newID func() (int64, error)) error {
	if exhausted(c.epoch) {
		id, err := newID()
		if err != nil {
			return err
		}
		c.nextProducer = id
	}
	c.version, c.lastEpoch = Version2, c.epoch
	if c.epoch < math.MaxInt16 {
		c.epoch++
	}
	return nil
}

// complete is the change that follows when the markers of a decided transaction are there. Kafka 4.0 TransactionMetadata.prepareComplete.
func (t *txn) complete(nowMs int64) *change {
	c := t.to(CompleteAbort, nowMs)
	if t.state == PrepareCommit {
		c.state = CompleteCommit
	}
	if c.partitions = nil; t.nextProducer != record.NoProducerID {
		c.producerID, c.lastProducer, c.epoch, c.lastEpoch = t.nextProducer, t.producerID, 0, t.epoch
	}
	return c
}

// producer is who may go on as the transactional id, once a decided transaction is completed.
func (t *txn) producer() Producer {
	if t.nextProducer != record.NoProducerID {
		return Producer{t.nextProducer, 0}
	}
	return Producer{t.producerID, t.epoch}
}

// repeats says whether p is who the producer was before the end of its last transaction raised the epoch: it did not get the answer.
func (t *txn) repeats(p Producer) bool {
	if t.version < Version2 || !t.state.decided() && t.state != CompleteCommit && t.state != CompleteAbort {
		return false
	}
	return p.ID == t.producerID && int(p.Epoch)+1 == int(t.epoch) || p.ID == t.lastProducer && p.ID != t.producerID && p.Epoch == math.MaxInt16-1 && t.epoch == 0
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
		c.producerID, c.lastProducer, c.epoch, c.lastEpoch = id, t.producerID, 0, record.NoProducerEpoch
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
