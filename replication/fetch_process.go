package replication

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/logstore"
)

// fetchResult is one partition of an answer.
type fetchResult struct {
	key  fetchKey
	data *kmsg.FetchResponseTopicPartition
}

// accept checks an answer against the session, and moves the session on (Kafka 3.9 FetchSessionHandler.handleResponse). It is false when nothing in the
// answer can be used.
func (f *fetcher) accept(q *kmsg.FetchRequest, resp *kmsg.FetchResponse) ([]fetchResult, bool) {
	full := q.SessionEpoch == sessionInitial
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		f.m.logger.Info("The leader cannot go on with a fetch session", "leader", f.leader, "session", q.SessionID, "epoch", q.SessionEpoch, "error", err)
		if errors.Is(err, kerr.FetchSessionIDNotFound) {
			f.session.forget()
		} else {
			f.session.restart()
		}
		if full || errors.Is(err, kerr.FetchSessionTopicIDError) {
			f.delayAll()
		}
		return nil, false
	}
	results, err := f.results(resp, full)
	if err != nil {
		f.m.logger.Warn("The leader sent an answer that does not fit the fetch session", "leader", f.leader, "error", err)
		if full {
			f.session.forget()
		} else {
			f.session.restart()
		}
		f.delayAll()
		return nil, false
	}
	f.session.next(resp.SessionID)
	return results, true
}

// results lists the partitions of an answer. A full answer has all of them, an incremental one none that we did not ask for.
func (f *fetcher) results(resp *kmsg.FetchResponse, full bool) ([]fetchResult, error) {
	var out []fetchResult
	for i := range resp.Topics {
		t := &resp.Topics[i]
		for j := range t.Partitions {
			k := fetchKey{topic: t.Topic, partition: t.Partitions[j].Partition}
			if resp.Version > fetchByNameVersion {
				k = fetchKey{id: t.TopicID, partition: k.partition}
			}
			if _, ok := f.session.members[k]; !ok {
				return nil, fmt.Errorf("partition %s was not asked for", k)
			}
			out = append(out, fetchResult{k, &t.Partitions[j]})
		}
	}
	if full && len(out) < len(f.session.members) {
		return nil, fmt.Errorf("%d of %d partitions are missing", len(f.session.members)-len(out), len(f.session.members))
	}
	return out, nil
}

// process does what an answer says (Kafka 3.9 AbstractFetcherThread.processFetchRequest).
func (f *fetcher) process(ctx context.Context, results []fetchResult) {
	var outside []member // dealt with last: asking the leader for offsets invalidates the answer
	for i := range results {
		r := &results[i]
		m := f.session.members[r.key]
		switch err := kerr.ErrorForCode(r.data.ErrorCode); {
		case err == nil && r.data.DivergingEpoch.EndOffset >= 0:
			f.diverged(m, r.data.DivergingEpoch.Epoch, r.data.DivergingEpoch.EndOffset)
		case err == nil:
			f.append(m, r.data)
		case errors.Is(err, kerr.OffsetOutOfRange):
			outside = append(outside, m)
		case errors.Is(err, kerr.FencedLeaderEpoch):
			f.fenced(m, err)
		default:
			f.retryLater(m, err)
		}
	}
	for _, m := range outside {
		f.outOfRange(ctx, m)
	}
}

// retryLater lets a partition be for a while. Most errors pass when the leader, or this broker, has heard of the newest leader.
func (f *fetcher) retryLater(m member, err error) {
	m.s.p.logger.Debug("The leader does not give the partition", "leader", f.leader, "leaderEpoch", m.pos.epoch, "offset", m.pos.offset, "error", err)
	f.delay(m.s, f.m.clk.Mono())
}

// fenced gives a partition up whose leader is in a newer epoch: a LeaderAndIsr is on its way.
func (f *fetcher) fenced(m member, err error) {
	f.fail(m.s, "the leader is in a newer epoch", err)
}

// append appends fetched records and takes over the leader's high watermark and log start (Kafka 3.9 ReplicaFetcherThread.processPartitionData).
func (f *fetcher) append(m member, data *kmsg.FetchResponseTopicPartition) {
	s := m.s
	if !f.begin(s, m.pos.offset) {
		return
	}
	next, rose, err := appendFetched(s, data)
	f.end(s, func() {
		if err != nil {
			return
		}
		s.backoff, s.lag = 0, max(0, data.HighWatermark-next)
		if s.inSync = s.lag == 0; next != s.offset {
			f.moveTo(s, next, s.log.LatestEpoch())()
		}
	})
	if s.p.followerThrottled() {
		f.m.o.FollowerQuota.Record(int64(len(data.RecordBatches))) // also of what is in sync: all of it together shall stay below
	}
	switch {
	case err == nil:
		if rose || next != m.pos.offset {
			s.p.subscribers.notify() // those who read from this replica
		}
	case errors.Is(err, kerr.CorruptMessage), errors.Is(err, kerr.InvalidRecord):
		// Perhaps what was sent was just being truncated; the next fetch brings the right bytes, or the same error.
		s.p.logger.Error("Fetched records are not valid", "offset", m.pos.offset, "leader", f.leader, "error", err)
		f.delay(s, f.m.clk.Mono())
	case logstore.IsShortage(err):
		s.p.logger.Error("The disk is full; trying again", "offset", m.pos.offset, "error", err)
		f.delay(s, f.m.clk.Mono())
	default:
		f.fail(s, "fetched records could not be appended", err)
	}
}

// appendFetched returns the next offset to fetch, and whether the high watermark moved. The state is claimed.
func appendFetched(s *fetchState, data *kmsg.FetchResponseTopicPartition) (next int64, rose bool, err error) {
	if end := s.log.LogEndOffset(); end != s.offset {
		return s.offset, false, fmt.Errorf("fetched from offset %d, but the log ends at %d", s.offset, end)
	}
	next = s.offset
	if len(data.RecordBatches) > 0 {
		info, err := appendAsFollower(s.log, data.RecordBatches)
		if err != nil {
			return s.offset, false, err
		}
		if info.SizeBytes > 0 {
			next = info.LastOffset + 1
		}
	}
	_, rose = s.log.MaybeUpdateHighWatermark(data.HighWatermark)
	if _, err := s.log.IncrementLogStartOffset(data.LogStartOffset); err != nil && !errors.Is(err, kerr.OffsetOutOfRange) {
		return next, rose, err // out of range: the leader's log starts beyond what is here, as the next fetch will tell
	}
	return next, rose, nil
}

// appendAsFollower appends, also to an empty log whose end lies within the first batch: the leader's log starts there since a DeleteRecords in the
// middle of the batch. The log then starts with the batch (Kafka 3.9 Partition.appendRecordsToFollowerOrFutureReplica).
func appendAsFollower(log *logstore.Log, records []byte) (logstore.AppendInfo, error) {
	info, err := log.AppendAsFollower(records)
	var u *logstore.UnexpectedOffsetError
	if !errors.As(err, &u) {
		return info, err
	}
	if end := log.LogEndOffset(); end != log.LogStartOffset() || u.FirstOffset >= end || u.LastOffset < end {
		return info, err
	}
	if err := log.TruncateFullyAndStartAt(u.FirstOffset); err != nil {
		return info, err
	}
	return log.AppendAsFollower(records)
}
