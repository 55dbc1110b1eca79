package replication

import (
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/logstore"
	"gokafka/metadata"
	"gokafka/purgatory"
	"gokafka/record"
)

// Acks values of a Produce request.
const (
	AcksNone   int16 = 0
	AcksLeader int16 = 1
	AcksAll    int16 = -1
)

// Append is one partition's part of a Produce: its input and, after Manager.Append, its outcome. Topic and Records alias the
// request; Records is patched in place.
type Append struct {
	Topic     []byte
	Partition int32
	// TopicID is the id that the request has the topic by, zero if it has a name.
	TopicID metadata.TopicID
	Records []byte
	// Version is the version of the Produce request, on which some checks depend.
	Version int16
	// Origin is Client, or Coordinator for what this broker writes itself: offset commits, transaction states, markers.
	Origin record.Origin
	// Guard is that of a verified transaction, or zero.
	Guard Guard
	// Raised says of markers that their epoch is above that of the transaction they end (transaction version 2).
	Raised bool

	Err            error // nil on success
	FirstOffset    int64 // -1 on error
	LogAppendTime  int64 // -1 unless the broker set it
	LogStartOffset int64 // -1 unknown
	RecordErrors   []record.RecordError
	ErrorMessage   string
	// Leader and LeaderEpoch tell who leads, for an error that says it is not this broker; -1 otherwise.
	Leader      int32
	LeaderEpoch int32

	partition *Partition
	required  int64 // the high watermark that acks=all waits for
	tenure    int   // the leadership under which it was appended, see Partition.tenure
}

// Guard is proof that the transaction coordinator was asked; see producerstate.Guard.
type Guard = logstore.Guard

// fail makes err the outcome.
func (a *Append) fail(err error) {
	a.Err, a.FirstOffset, a.LogAppendTime = err, -1, -1
}

// Append appends each part to its partition, as leader. It does not wait for followers: Replicated does.
func (m *Manager) Append(acks int16, parts []Append) {
	for i := range parts {
		a := &parts[i]
		a.FirstOffset, a.LogAppendTime, a.LogStartOffset, a.Leader, a.LeaderEpoch = -1, -1, -1, -1, -1
		if a.Err != nil {
			continue
		}
		p, err := m.lookup(a.Topic, a.Partition)
		if err != nil {
			a.fail(err)
			continue
		}
		p.append(acks, a)
	}
}

// append is Kafka 3.9 Partition.appendRecordsToLeader.
func (p *Partition) append(acks int16, a *Append) {
	p.leadership.RLock()
	log, err := p.logFor(NoEpoch, true)
	if err != nil {
		a.Leader, a.LeaderEpoch = p.state.Leader, p.state.LeaderEpoch
		p.leadership.RUnlock()
		a.fail(err)
		return
	}
	if id := log.TopicID(); !a.TopicID.IsZero() && !id.IsZero() && id != a.TopicID {
		p.leadership.RUnlock()
		a.fail(kerr.UnknownTopicID) // another topic had the name, or has it
		return
	}
	if acks == AcksAll {
		if need := p.minISR(); len(p.state.ISR) < need {
			isr := p.state.ISR
			p.leadership.RUnlock()
			a.LogStartOffset = log.LogStartOffset()
			a.fail(p.errorf(kerr.NotEnoughReplicas, "the ISR %v is smaller than min.insync.replicas %d", isr, need))
			return
		}
	}
	a.tenure = p.tenure
	brokerEpoch := p.brokerEpoch
	info, err := log.AppendUnsynced(a.Records, logstore.AppendOptions{LeaderEpoch: p.state.LeaderEpoch, Origin: a.Origin, Guard: a.Guard, Raised: a.Raised, Legacy: a.Version < 3, RefuseZstd: a.Version < 7})
	var moved bool
	if err == nil && !info.MustSync {
		moved = p.advanceHighWatermark()
	}
	p.leadership.RUnlock()
	if err == nil && info.MustSync {
		if err = log.SyncAppended(); err == nil {
			moved = p.appendSynced(a.tenure)
		}
	}

	a.partition = p
	if err != nil {
		if errors.Is(err, kerr.OutOfOrderSequenceNumber) && !p.m.certainOfRole(brokerEpoch) {
			a.fail(p.errorf(kerr.NotLeaderForPartition, "a sequence is missing, and this broker may have been deposed: %v", err))
			return
		}
		a.refused(err, log.LogStartOffset())
		return
	}
	a.LogStartOffset = info.LogStartOffset
	a.FirstOffset, a.LogAppendTime, a.required = info.FirstOffset, info.LogAppendTime, info.LastOffset+1
	if !info.Duplicate {
		p.subscribers.notify()
	}
	if moved {
		p.m.produce.Check(p.tp)
	}
}

// certainOfRole says whether a role that the controller gave or confirmed under this broker epoch is still this broker's. After
// the registration was lost and made anew, it is not until the controller has named it again.
func (m *Manager) certainOfRole(brokerEpoch int64) bool {
	return brokerEpoch == m.o.BrokerEpoch() && m.o.Registered()
}

// appendSynced moves the high watermark after an append that had to be synced first, unless this broker has stopped leading meanwhile.
func (p *Partition) appendSynced(tenure int) (moved bool) {
	p.leadership.RLock()
	defer p.leadership.RUnlock()
	return p.isLeader && p.tenure == tenure && p.advanceHighWatermark()
}

// refused stores why the log did not take the records. Some refusals tell the log start offset, and which records are at fault
// (Kafka 3.9 ReplicaManager.appendToLocalLog).
func (a *Append) refused(err error, logStart int64) {
	a.fail(err)
	var ke *kerr.Error
	if errors.As(err, &ke) && slices.Contains(tellsLogStart, ke) {
		a.LogStartOffset = logStart
	}
	var be *record.BatchError
	if errors.As(err, &be) && len(be.Records) > 0 {
		a.RecordErrors, a.ErrorMessage = be.Records, be.Text
	}
}

// tellsLogStart are the refusals from inside the log that carry the log start offset.
var tellsLogStart = []*kerr.Error{kerr.InvalidRecord, kerr.InvalidTimestamp, kerr.OutOfOrderSequenceNumber, kerr.InvalidProducerEpoch, kerr.InvalidTxnState}

// replicated says whether the append needs to wait no longer: it is replicated (err nil) or never will be under this leader.
// What was appended in an earlier tenure may have been truncated since, and other records may be in its place.
// Kafka 3.9 Partition.checkEnoughReplicasReachOffset.
func (a *Append) replicated() (done bool, err error) {
	p := a.partition
	p.leadership.RLock()
	defer p.leadership.RUnlock()
	if p.deleted {
		return true, p.m.unknown(p.tp)
	}
	log, err := p.logFor(NoEpoch, true)
	if err != nil {
		return true, err
	}
	if a.tenure != p.tenure {
		return true, p.errorf(kerr.NotLeaderForPartition, "the leader changed before offset %d was replicated", a.required-1)
	}
	if log.HighWatermark() < a.required {
		return false, nil
	}
	if need := p.minISR(); p.maximalISRSize() < need {
		return true, p.errorf(kerr.NotEnoughReplicasAfterAppend, "the ISR %v is smaller than min.insync.replicas %d", p.state.ISR, need)
	}
	return true, nil
}

// settle looks whether every successful part needs to wait no longer, and stores what became of it.
func settle(parts []Append) bool {
	all := true
	for i := range parts {
		a := &parts[i]
		if a.Err != nil || a.required == 0 {
			continue
		}
		done, err := a.replicated()
		switch {
		case !done:
			all = false
		case err != nil:
			a.fail(err)
		default:
			a.required = 0
		}
	}
	return all
}

// Replicated says whether all parts of an acks=all append are replicated, or failed. If not, it calls done once they are, or after
// timeout, when what is missing has failed with REQUEST_TIMED_OUT; parts must stay untouched until then.
func (m *Manager) Replicated(parts []Append, timeout time.Duration, done func()) bool {
	if settle(parts) {
		return true
	}
	op := &purgatory.Op{
		Try: func() bool { return settle(parts) },
		Done: func(expired bool) {
			for i := range parts {
				if a := &parts[i]; expired && a.Err == nil && a.required != 0 {
					a.fail(a.partition.errorf(kerr.RequestTimedOut, "offset %d was not replicated within %v", a.required-1, timeout))
				}
			}
			done()
		},
	}
	keys := make([]metadata.TopicPartition, 0, len(parts))
	for i := range parts {
		if a := &parts[i]; a.Err == nil && a.required != 0 {
			keys = append(keys, a.partition.tp)
		}
	}
	m.produce.Add(op, timeout, keys...)
	return false
}

// Ready says whether no part of an acks=all append has to wait for followers.
func (m *Manager) Ready(parts []Append) bool { return settle(parts) }

// StartVerification returns the guard with which to append transactional records once the coordinator has confirmed the transaction, or zero when the producer's
// transaction is open in the partition already and nobody need be asked (KIP-890).
func (m *Manager) StartVerification(topic []byte, partition int32, producerID int64, sequence int32, epoch int16) (Guard, error) {
	p, err := m.lookup(topic, partition)
	if err != nil {
		return 0, err
	}
	p.leadership.RLock()
	defer p.leadership.RUnlock()
	log, err := p.logFor(NoEpoch, true)
	if err != nil {
		return 0, err
	}
	return log.StartVerification(producerID, sequence, epoch), nil
}
