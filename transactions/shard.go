package transactions

import (
	"errors"
	"log/slog"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/coordinator"
	"gokafka/internal/clock"
	"gokafka/metadata"
	"gokafka/record"
	"gokafka/replication"
)

// host is what a shard needs of its partition, a *coordinator.Partition.
type host interface {
	Append(spec record.BatchSpec, acks int16, timeout time.Duration, records []coordinator.KV, done func(err error)) (base int64, err error)
	After(d time.Duration, f func()) *clock.Timer
	NowMs() int64
	Logger() *slog.Logger
	ID() int32
	Epoch() int32
}

// shard is the transactional ids of one partition. It runs on the partition's goroutine.
type shard struct {
	c       *Coordinator
	p       host
	txns    map[string]*txn
	logger  *slog.Logger
	skipped int // records of later versions, while loading
	// send brings a marker to the leaders of partitions; markersAnswered hears of it.
	send func(m *marker, parts []metadata.TopicPartition)
}

func newShard(c *Coordinator, p host) *shard {
	return &shard{c: c, p: p, txns: map[string]*txn{}, logger: p.Logger(), send: c.markers.send}
}

// Loaded completes what was decided, and starts the clocks.
func (s *shard) Loaded() {
	if s.skipped > 0 {
		s.logger.Warn("Records of an unknown version were skipped", "records", s.skipped)
	}
	for _, id := range slices.Sorted(maps.Keys(s.txns)) {
		if t := s.txns[id]; t.state.decided() {
			s.logger.Info("Sending markers after loading", "transactionalId", id, "state", t.state.String())
			s.complete(t)
		}
	}
	s.scheduleTimeouts()
	s.scheduleExpiry()
}

// Unloaded: who waits is answered by the end of the partition.
func (s *shard) Unloaded() {}

// write writes a change and gives answer, once, what the client is to get. The change counts when it is replicated: then applied is called, also when that is after the
// client was told that it takes too long. failed, which may be nil, is called if nothing was written. Kafka 3.9 TransactionStateManager.appendTransactionToLog.
func (s *shard) write(t *txn, c *change, answer func(error), applied func(), failed func()) {
	t.pending = c.state
	done, answered := false, false
	say := func(err error) {
		if !answered {
			answered = true
			answer(err)
		}
	}
	timeout := time.Duration(c.timeoutMs) * time.Millisecond
	_, err := s.p.Append(record.NewBatchSpec(), replication.AcksAll, timeout, []coordinator.KV{stateRecord(t.id, c, s.c.o.Level())}, func(err error) {
		switch {
		case err != nil: // it is in the log, and may still come to count: until then the id stays busy
			s.logger.Info("State of a transaction was not replicated in time", "transactionalId", t.id, "state", c.state.String(), "error", err)
			say(storeError(err))
		case !done:
			done = true
			t.apply(c)
			say(nil)
			applied()
		}
	})
	if err != nil {
		s.logger.Info("State of a transaction could not be written", "transactionalId", t.id, "state", c.state.String(), "error", err)
		t.pending = noState
		if failed != nil {
			failed()
		}
		say(storeError(err))
	}
}

// storeError is what clients are told of a write that failed.
func storeError(err error) error {
	is := func(list ...error) bool {
		return slices.ContainsFunc(list, func(e error) bool { return errors.Is(err, e) })
	}
	switch {
	case is(kerr.UnknownTopicOrPartition, kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend, kerr.RequestTimedOut):
		return kerr.CoordinatorNotAvailable
	case is(kerr.NotLeaderForPartition, kerr.KafkaStorageError):
		return kerr.NotCoordinator
	case is(kerr.MessageTooLarge, kerr.RecordListTooLarge):
		return kerr.UnknownServerError
	}
	return err
}

func nothing() {}

// initProducer gives a transactional id its producer, and fences the one before. Kafka 3.9 TransactionCoordinator.handleInitProducerId.
func (s *shard) initProducer(id string, timeoutMs int32, expected *Producer, answer func(Producer, error)) {
	none := Producer{record.NoProducerID, record.NoProducerEpoch}
	t := s.txns[id]
	if t == nil {
		producerID, err := s.c.o.NextID()
		if err != nil {
			answer(none, err)
			return
		}
		t = &txn{id: id, producerID: producerID, lastProducer: record.NoProducerID, nextProducer: record.NoProducerID, epoch: record.NoProducerEpoch,
			lastEpoch: record.NoProducerEpoch, timeoutMs: timeoutMs, pending: noState, partitions: map[metadata.TopicPartition]bool{}, startMs: -1, updateMs: s.p.NowMs()}
		s.txns[id] = t
	}
	switch {
	case t.pending != noState:
		answer(none, kerr.ConcurrentTransactions)
	case !t.knows(expected):
		answer(none, kerr.ProducerFenced)
	case t.state.decided():
		answer(none, kerr.ConcurrentTransactions)
	case t.state == Ongoing: // aborted first; the client asks again
		s.fence(t, func(err error) {
			if err == nil {
				err = kerr.ConcurrentTransactions
			}
			answer(none, err)
		})
	default:
		c, err := t.nextEpoch(expected, timeoutMs, s.p.NowMs(), s.c.o.NextID)
		if err != nil {
			answer(none, err)
			return
		}
		s.write(t, c, func(err error) {
			if err != nil {
				answer(none, err)
				return
			}
			s.logger.Info("Initialized transactionalId", "transactionalId", id, "producerId", c.producerID, "epoch", c.epoch)
			answer(Producer{c.producerID, c.epoch}, nil)
		}, nothing, nil)
	}
}

// fence raises the epoch of a producer that has a transaction open, and aborts that. Kafka 3.9 TransactionMetadata.prepareFenceProducerEpoch.
func (s *shard) fence(t *txn, answer func(error)) {
	if !t.fenceFailed {
		if t.epoch == math.MaxInt16 {
			s.logger.Error("An epoch cannot be raised", "transactionalId", t.id)
			answer(kerr.UnknownServerError)
			return
		}
		t.epoch++
	}
	t.lastEpoch = record.NoProducerEpoch
	c := t.to(PrepareAbort, s.p.NowMs())
	c.version = s.c.o.Level() // not from a client; with version 2 the producer's own abort is then taken for a repetition of this one, and it goes on
	s.decide(t, c, answer, func() { t.fenceFailed = true })
}

// decide writes how a transaction ends, and sends its markers once that is replicated.
func (s *shard) decide(t *txn, c *change, answer func(error), failed func()) {
	s.write(t, c, answer, func() { s.complete(t) }, failed)
}

// addPartitions takes partitions into the transaction, and begins one if there is none. version is the client's transaction version. Kafka 3.9
// TransactionCoordinator.handleAddPartitionsToTransaction.
func (s *shard) addPartitions(id string, p Producer, version int16, parts []metadata.TopicPartition, answer func(error)) {
	t, err := s.current(id, p)
	switch {
	case err != nil:
		answer(err)
		return
	case t.pending != noState || t.state.decided():
		answer(kerr.ConcurrentTransactions)
		return
	}
	missing := slices.ContainsFunc(parts, func(tp metadata.TopicPartition) bool { return !t.partitions[tp] })
	if t.state == Ongoing && !missing {
		answer(nil)
		return
	}
	c := t.to(Ongoing, s.p.NowMs())
	c.version, c.partitions = version, maps.Clone(t.partitions)
	for _, tp := range parts {
		c.partitions[tp] = true
	}
	if t.state != Ongoing {
		c.startMs = c.updateMs
	}
	s.write(t, c, answer, nothing, nil)
}

// current finds the state of a producer that must be the current one.
func (s *shard) current(id string, p Producer) (*txn, error) {
	t := s.txns[id]
	switch {
	case t != nil && p.ID >= 0 && p.ID == t.nextProducer:
		return nil, kerr.ConcurrentTransactions // it takes over when the markers are there
	case t == nil || t.producerID != p.ID:
		return nil, kerr.InvalidProducerIDMapping
	case t.epoch != p.Epoch:
		return nil, kerr.ProducerFenced
	}
	return t, nil
}

// verify says whether partitions are in the producer's transaction; each has its outcome unless all fail. Kafka 3.9
// TransactionCoordinator.handleVerifyPartitionsInTransaction.
func (s *shard) verify(id string, p Producer, parts []metadata.TopicPartition) (each []error, all error) {
	t, err := s.current(id, p)
	switch {
	case err != nil:
		return nil, err
	case t.state.decided():
		return nil, kerr.ConcurrentTransactions
	}
	each = make([]error, len(parts))
	for i, tp := range parts {
		if !t.partitions[tp] {
			each[i] = kerr.TransactionAbortable
		}
	}
	return each, nil
}

// end ends a transaction by the wish of its producer. Kafka 3.9 TransactionCoordinator.endTransaction.
func (s *shard) end(id string, p Producer, commit bool, answer func(error)) {
	t, err := s.current(id, p)
	prepare, complete := outcome(commit)
	switch {
	case err != nil:
		answer(err)
	case t.pending != noState:
		answer(kerr.ConcurrentTransactions)
	case t.state == Ongoing:
		c := t.to(prepare, s.p.NowMs())
		c.version = 0
		s.decide(t, c, answer, nil)
	case t.state == complete: // the answer was lost
		answer(nil)
	case t.state == prepare:
		answer(kerr.ConcurrentTransactions)
	default:
		answer(kerr.InvalidTxnState)
	}
}

func outcome(commit bool) (prepare, complete State) {
	if commit {
		return PrepareCommit, CompleteCommit
	}
	return PrepareAbort, CompleteAbort
}

// endBumping ends a transaction by the wish of a producer of transaction version 2, and answers who the producer is from then on. A transaction that was not begun may be
// aborted too: the producer cannot know whether its first records began it. Kafka 4.0 TransactionCoordinator.endTransaction.
func (s *shard) endBumping(id string, p Producer, commit bool, answer func(Producer, error)) {
	t := s.txns[id]
	refuse := func(err error) { answer(Producer{record.NoProducerID, record.NoProducerEpoch}, err) }
	repeated := t != nil && t.repeats(p)
	if !repeated {
		if _, err := s.current(id, p); err != nil {
			refuse(err)
			return
		}
	}
	prepare, complete := outcome(commit)
	switch {
	case t.pending != noState || t.state.decided():
		refuse(kerr.ConcurrentTransactions)
	case repeated && t.state == complete:
		answer(t.producer(), nil)
	case repeated || t.state != Ongoing && commit:
		refuse(kerr.InvalidTxnState)
	default:
		c := t.to(prepare, s.p.NowMs())
		if t.state != Ongoing {
			c.startMs = c.updateMs
		}
		if err := c.bump(s.c.o.NextID); err != nil {
			refuse(err)
			return
		}
		s.decide(t, c, func(err error) {
			if err != nil {
				refuse(err)
				return
			}
			answer(t.producer(), nil)
		}, nil)
	}
}

// complete sends the markers of a decided transaction and writes its end when all leaders have them. Until then the id is busy.
func (s *shard) complete(t *txn) {
	c := t.complete(s.p.NowMs())
	t.pending, t.sending, t.fenceFailed = c.state, c, false
	s.sendMarkers(t, c, topicPartitions(t.partitions))
}

// retryPause is the time between two attempts to bring a marker to a partition, or to write the end of a transaction.
const retryPause = 100 * time.Millisecond

func (s *shard) sendMarkers(t *txn, c *change, parts []metadata.TopicPartition) {
	if len(t.partitions) == 0 {
		s.writeComplete(t, c)
		return
	}
	s.send(&marker{shard: s.p.ID(), epoch: s.p.Epoch(), id: t.id, producer: Producer{t.producerID, t.epoch}, version: c.version, commit: c.state == CompleteCommit, c: c}, parts)
}

// markersAnswered takes what leaders say to markers of this coordinator's. Kafka 3.9 TransactionMarkerRequestCompletionHandler.
func (s *shard) markersAnswered(m *marker, outcomes map[metadata.TopicPartition]error) {
	t := s.txns[m.id]
	if t == nil || m.epoch != s.p.Epoch() || t.sending != m.c {
		return // of an earlier transaction, or of an earlier time as the coordinator
	}
	var again []metadata.TopicPartition
	for tp, err := range outcomes {
		switch {
		case err == nil, errors.Is(err, errGone):
			delete(t.partitions, tp)
		case errors.Is(err, kerr.InvalidProducerEpoch), errors.Is(err, kerr.TransactionCoordinatorFenced):
			s.logger.Warn("Marker was refused for good: the transaction is another coordinator's", "transactionalId", t.id, "partition", tp.String(), "error", err)
			return
		case errors.Is(err, kerr.UnsupportedForMessageFormat), errors.Is(err, kerr.UnsupportedVersion):
			s.logger.Info("Partition cannot have markers, and so no part in transactions", "transactionalId", t.id, "partition", tp.String(), "error", err)
			delete(t.partitions, tp)
		default:
			s.logger.Info("Marker is sent again", "transactionalId", t.id, "partition", tp.String(), "error", err)
			again = append(again, tp)
		}
	}
	switch {
	case len(again) > 0:
		s.p.After(retryPause, func() { s.sendMarkers(t, m.c, again) })
	case len(t.partitions) == 0:
		s.writeComplete(t, m.c)
	}
}

// writeComplete writes the end of a transaction, again and again until it is in the log.
func (s *shard) writeComplete(t *txn, c *change) {
	s.write(t, c, func(error) {}, func() {
		s.logger.Debug("Completed transaction", "transactionalId", t.id, "state", t.state.String())
	}, func() {
		t.pending = c.state
		s.p.After(retryPause, func() {
			if t.sending == c {
				s.writeComplete(t, c)
			}
		})
	})
}

// scheduleTimeouts aborts transactions that are open for too long, now and then. Kafka 3.9 TransactionCoordinator.abortTimedOutTransactions.
func (s *shard) scheduleTimeouts() {
	s.p.After(s.c.o.Config.AbortTimedOutInterval, func() {
		now := s.p.NowMs()
		for _, id := range slices.Sorted(maps.Keys(s.txns)) {
			if t := s.txns[id]; t.state == Ongoing && t.pending == noState && t.startMs+int64(t.timeoutMs) < now {
				s.fence(t, func(err error) {
					if err == nil {
						s.logger.Info("Transaction timed out and is aborted", "transactionalId", t.id, "producerId", t.producerID, "epoch", t.epoch)
					} else {
						s.logger.Warn("Transaction timed out and could not be aborted", "transactionalId", t.id, "error", err)
					}
				})
			}
		}
		s.scheduleTimeouts()
	})
}

// maxTombstoneBytes bounds the keys of the tombstones in one batch.
const maxTombstoneBytes = 16 << 10

// scheduleExpiry forgets transactional ids that were not used for long, now and then. Kafka 3.9 TransactionStateManager.removeExpiredTransactionalIds.
func (s *shard) scheduleExpiry() {
	s.p.After(s.c.o.Config.RemoveExpiredInterval, func() {
		before := s.p.NowMs() - s.c.o.Config.TransactionalIDExpiration.Milliseconds()
		var batch []*txn
		bytes := 0
		for _, id := range slices.Sorted(maps.Keys(s.txns)) {
			t := s.txns[id]
			if t.pending != noState || !t.state.mayExpire() || t.updateMs > before {
				continue
			}
			if bytes += len(id); bytes > maxTombstoneBytes && len(batch) > 0 {
				s.expire(batch)
				batch, bytes = nil, len(id)
			}
			batch = append(batch, t)
		}
		if len(batch) > 0 {
			s.expire(batch)
		}
		s.scheduleExpiry()
	})
}

func (s *shard) expire(batch []*txn) {
	var records []coordinator.KV
	for _, t := range batch {
		t.pending = Dead
		records = append(records, tombstone(t.id))
	}
	_, err := s.p.Append(record.NewBatchSpec(), replication.AcksAll, s.c.o.RequestTimeout, records, func(err error) {
		if err != nil {
			s.logger.Warn("Tombstones of transactional ids were not replicated in time", "error", err)
			return
		}
		for _, t := range batch {
			if s.txns[t.id] == t {
				delete(s.txns, t.id)
			}
		}
	})
	if err != nil {
		s.logger.Warn("Tombstones of transactional ids could not be written", "error", err)
		for _, t := range batch {
			t.pending = noState
		}
	}
}
