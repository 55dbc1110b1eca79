package groups

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/coordinator"
	"gokafka/record"
)

// commitInTxn writes offsets in a transaction, and stages them from when they are in the log: its marker can only come behind. Kafka 3.9
// GroupMetadataManager.storeOffsets.
func (s *shard) commitInTxn(g *group, q *Commit, records []coordinator.KV, written []topicPart, values []*offset, answer func()) {
	spec := record.NewBatchSpec()
	spec.BaseSequence, spec.ProducerID, spec.ProducerEpoch, spec.Transactional = 0, q.Txn.ProducerID, q.Txn.ProducerEpoch, true
	told := false
	base := s.appendGuarded(q.Txn.Guard, spec, records, func(err error) {
		if told { // late, after all
			return
		}
		told = true
		for i := range q.Offsets {
			if o := &q.Offsets[i]; o.Err == nil {
				o.Err = err
			}
		}
		answer()
	})
	if base < 0 {
		return
	}
	for i, tp := range written {
		values[i].logOffset = base + int64(i)
		s.stage(g, q.Txn.ProducerID, tp, values[i])
	}
}

// Serves says whether this broker coordinates a group: nil, or why not.
func (c *Coordinator) Serves(ctx context.Context, group string) error {
	_, err := on(ctx, c, group, true, func(_ *shard, answer func(struct{})) { answer(struct{}{}) })
	return err
}

// TxnEnded tells the groups of a partition of __consumer_offsets that the marker of a producer's transaction is replicated there. It does not block.
func (c *Coordinator) TxnEnded(partition int32, producerID int64, commit bool) {
	_, _ = c.rt.Do(partition, func(m coordinator.Machine) { m.(*shard).endTxn(producerID, commit) }) // who is to load the partition finds the marker
}

// TxnCommitError is what clients are told when their transaction could not be verified (Kafka 3.9 GroupMetadataManager.maybeConvertOffsetCommitError).
func TxnCommitError(err error) error {
	if errors.Is(err, kerr.NetworkException) {
		return kerr.CoordinatorLoadInProgress
	}
	return storeError(err)
}

// stage keeps an offset that a transaction commits until the transaction ends. A later commit of the transaction takes the place of an earlier one.
func (s *shard) stage(g *group, producerID int64, tp topicPart, o *offset) {
	staged := g.txns[producerID]
	if staged == nil {
		staged = map[topicPart]*offset{}
		g.txns[producerID] = staged
	}
	staged[tp] = o
	if s.open[producerID] == nil {
		s.open[producerID] = map[string]bool{}
	}
	s.open[producerID][g.id] = true
}

// closeTxn forgets what the producer's transaction has staged in a group.
func (s *shard) closeTxn(producerID int64, g *group) {
	delete(g.txns, producerID)
	delete(s.open[producerID], g.id)
	if len(s.open[producerID]) == 0 {
		delete(s.open, producerID)
	}
}

// endTxn makes the offsets of a committed transaction count, or drops those of an aborted one, in all groups of the partition. Kafka 3.9
// GroupMetadataManager.handleTxnCompletion, GroupMetadata.completePendingTxnOffsetCommit.
func (s *shard) endTxn(producerID int64, commit bool) {
	for id := range s.open[producerID] {
		g := s.groups[id]
		if g == nil {
			continue
		}
		if commit {
			for tp, o := range g.txns[producerID] {
				g.put(tp, o)
			}
		}
		s.closeTxn(producerID, g)
	}
}

// ReplayMarker takes the end of a transaction while the partition is loaded.
func (s *shard) ReplayMarker(producerID int64, commit bool) { s.endTxn(producerID, commit) }

// put stores a committed offset unless one that is later in the log is there: a transaction's commits count from where they were written, not from
// where the transaction ended.
func (g *group) put(tp topicPart, o *offset) {
	if old := g.offsets[tp]; old == nil || old.logOffset < o.logOffset {
		g.offsets[tp] = o
	}
}

// unstable says whether a commit is under way for the partition, or in an open transaction.
func (g *group) unstable(tp topicPart) bool {
	if len(g.onTheWay[tp]) > 0 {
		return true
	}
	for _, staged := range g.txns {
		if staged[tp] != nil {
			return true
		}
	}
	return false
}

// unstage drops what open transactions commit for a partition.
func (g *group) unstage(tp topicPart) {
	for _, staged := range g.txns {
		delete(staged, tp)
	}
}
