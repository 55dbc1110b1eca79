package replication

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/logstore"
)

// truncateNew cuts logs without leader epochs to their high watermarks, before they are fetched: nothing tells where they part from the leader's
// (Kafka 3.9 AbstractFetcherThread.truncateToHighWatermark).
func (f *fetcher) truncateNew() {
	f.mu.Lock()
	list := f.uncut
	f.uncut = nil
	for _, s := range list {
		s.busy = !s.gone && s.truncate
	}
	f.mu.Unlock()
	for _, s := range list {
		if !s.busy { // read by its own goroutine: busy changes nowhere else
			continue
		}
		s.p.logger.Info("Truncating to the high watermark: the log has no leader epochs", "offset", s.offset)
		f.cut(s, s.offset)
	}
}

// cut truncates the log of a claimed state, gives it free and goes on from there.
func (f *fetcher) cut(s *fetchState, offset int64) {
	if hw := s.log.HighWatermark(); offset < hw {
		// Only after an unclean election.
		s.p.logger.Warn("Truncating below the high watermark: committed records are lost", "lostFrom", offset, "lostBefore", hw, "logEndOffset", s.log.LogEndOffset())
	}
	_, err := s.log.TruncateTo(offset)
	if err != nil {
		f.end(s, nil)
		f.fail(s, fmt.Sprintf("the log could not be truncated to offset %d", offset), err)
		return
	}
	f.end(s, f.moveTo(s, offset, s.log.LatestEpoch()))
	s.p.changed()
}

// diverged truncates where the leader says that the logs part: its largest epoch that is not above our last one, and where that ends.
// Kafka 3.9 AbstractFetcherThread.getOffsetTruncationState (KIP-101, KIP-279, KIP-595).
func (f *fetcher) diverged(m member, epoch int32, end int64) {
	s := m.s
	if !f.begin(s, m.pos.offset) {
		return
	}
	to := truncationOffset(s.log, epoch, end)
	s.p.logger.Info("Truncating: the log differs from the leader's", "offset", to, "leader", f.leader, "divergingEpoch", epoch, "endOffset", end, "logEndOffset", s.log.LogEndOffset())
	f.cut(s, to)
}

// truncationOffset is where to cut. Without records of the leader's epoch, all that is of later epochs goes, and the next fetch, which then tells of an
// earlier last epoch, finds the rest.
func truncationOffset(log *logstore.Log, epoch int32, end int64) int64 {
	logEnd := log.LogEndOffset()
	if epoch < 0 {
		return min(end, logEnd)
	}
	own, ownEnd := log.EndOffsetForEpoch(epoch)
	switch {
	case own < 0 || ownEnd < 0: // no epoch as early as that is known
		return min(end, logEnd)
	case own != epoch:
		return min(ownEnd, logEnd)
	}
	return min(ownEnd, end, logEnd)
}

// outOfRange finds where to go on after the leader said that it does not have our offset. Kafka 3.9 AbstractFetcherThread.fetchOffsetAndTruncate.
func (f *fetcher) outOfRange(ctx context.Context, m member) {
	s := m.s
	end, err := f.listOffset(ctx, m, TimestampLatest)
	start := int64(-1)
	if err == nil && end >= s.log.LogEndOffset() {
		start, err = f.listOffset(ctx, m, TimestampEarliest)
	}
	switch {
	case err == nil:
		f.resume(m, start, end)
	case errors.Is(err, kerr.FencedLeaderEpoch):
		f.fenced(m, err)
	default:
		if ctx.Err() == nil {
			s.p.logger.Warn("The leader's offsets could not be asked", "leader", f.leader, "error", err)
		}
		f.delay(s, f.m.clk.Mono())
	}
}

// resume goes on at the right place: at the leader's end if our log is longer, which an unclean election brings about; with an empty log at the leader's
// start if that is beyond our end; else where we are.
func (f *fetcher) resume(m member, start, end int64) {
	s := m.s
	if !f.begin(s, m.pos.offset) {
		return
	}
	own := s.log.LogEndOffset()
	switch {
	case end < own:
		s.p.logger.Warn("Offset out of range: truncating to the leader's end", "offset", m.pos.offset, "logEndOffset", own, "leader", f.leader, "leaderEnd", end)
		f.cut(s, end)
	case start > own:
		s.p.logger.Warn("Offset out of range: beginning anew at the leader's start", "offset", m.pos.offset, "logEndOffset", own, "leader", f.leader, "leaderStart", start)
		if err := s.log.TruncateFullyAndStartAt(start); err != nil {
			f.end(s, nil)
			f.fail(s, fmt.Sprintf("the log could not be begun anew at offset %d", start), err)
			return
		}
		f.end(s, f.moveTo(s, start, s.log.LatestEpoch()))
		s.p.changed()
	default:
		s.p.logger.Info("Offset out of range: going on at the local end", "offset", m.pos.offset, "logEndOffset", own, "leader", f.leader)
		f.end(s, f.moveTo(s, own, s.log.LatestEpoch()))
	}
}

// listOffset asks the leader for one offset. The answer takes the place of that of the last fetch.
func (f *fetcher) listOffset(ctx context.Context, m member, timestamp int64) (int64, error) {
	q := kmsg.NewPtrListOffsetsRequest()
	q.Version, q.ReplicaID = listOffsetsVersion, f.m.brokerID
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = m.s.tp.Topic
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Partition, p.CurrentLeaderEpoch, p.Timestamp = m.s.tp.Partition, m.pos.epoch, timestamp
	t.Partitions = append(t.Partitions, p)
	q.Topics = append(q.Topics, t)
	answer, err := f.link.request(ctx, q)
	if err != nil {
		return -1, err
	}
	resp, ok := answer.(*kmsg.ListOffsetsResponse)
	if !ok {
		return -1, fmt.Errorf("the answer to ListOffsets is a %T", answer)
	}
	for i := range resp.Topics {
		for _, p := range resp.Topics[i].Partitions {
			if resp.Topics[i].Topic == m.s.tp.Topic && p.Partition == m.s.tp.Partition {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
					return -1, err
				}
				if p.Offset < 0 {
					return -1, fmt.Errorf("the leader answered offset %d", p.Offset)
				}
				return p.Offset, nil
			}
		}
	}
	return -1, errors.New("the answer to ListOffsets lacks the partition")
}
