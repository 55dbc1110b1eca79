package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/metadata"
	"gokafka/replication"
	"gokafka/security"
)

// debuggingReplica is the replica id of a tool that may ask any replica (Kafka 3.9 ListOffsetsRequest.DEBUGGING_REPLICA_ID).
const debuggingReplica int32 = -2

// timestampSince is the version from which a special timestamp may be asked for.
var timestampSince = map[int64]int16{
	replication.TimestampLatest:        1,
	replication.TimestampEarliest:      1,
	replication.TimestampMax:           7,
	replication.TimestampEarliestLocal: 8,
	replication.TimestampLatestTiered:  9,
}

// ListOffsets finds offsets by time, versions 0 to 9. v0 asks for a list of offsets at which segments begin, v1 for one record (KIP-79). v2 adds the isolation level, v4 the
// leader epoch (KIP-320), v5 OFFSET_NOT_AVAILABLE, v6 is flexible, v7 the newest timestamp (KIP-734), v8 the earliest local
// offset (KIP-405), v9 the latest tiered one (KIP-1005).
func (h *Handlers) ListOffsets(ctx context.Context, r *Request, q *kmsg.ListOffsetsRequest) *kmsg.ListOffsetsResponse {
	resp := q.ResponseKind().(*kmsg.ListOffsetsResponse)
	if r.Version == 0 {
		h.listOldOffsets(ctx, r, q, resp)
		return resp
	}
	seen := map[metadata.TopicPartition]int{}
	for i := range q.Topics {
		for j := range q.Topics[i].Partitions {
			seen[metadata.TopicPartition{Topic: q.Topics[i].Topic, Partition: q.Topics[i].Partitions[j].Partition}]++
		}
	}
	for i := range q.Topics {
		t := &q.Topics[i]
		rt := kmsg.NewListOffsetsResponseTopic()
		rt.Topic = t.Topic
		allowed := h.may(ctx, r, security.Describe, security.Topic, t.Topic)
		for j := range t.Partitions {
			p := &t.Partitions[j]
			rp := kmsg.NewListOffsetsResponseTopicPartition()
			rp.Partition, rp.Offset, rp.Timestamp, rp.LeaderEpoch = p.Partition, -1, -1, -1
			tp := metadata.TopicPartition{Topic: t.Topic, Partition: p.Partition}
			since, special := timestampSince[p.Timestamp]
			switch {
			case !allowed:
				rp.ErrorCode = kerr.TopicAuthorizationFailed.Code
			case q.ReplicaID == replication.Consumer && !knownIsolation(q.IsolationLevel):
				rp.ErrorCode = kerr.UnknownServerError.Code // as Apache
			case seen[tp] > 1:
				rp.ErrorCode = kerr.InvalidRequest.Code
			case p.Timestamp < 0 && (!special || r.Version < since):
				rp.ErrorCode = kerr.UnsupportedVersion.Code
			default:
				h.listOffset(r, tp, q, p, &rp)
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

func (h *Handlers) listOffset(r *Request, tp metadata.TopicPartition, q *kmsg.ListOffsetsRequest, p *kmsg.ListOffsetsRequestTopicPartition, rp *kmsg.ListOffsetsResponseTopicPartition) {
	part, err := h.Replicas.Lookup(tp)
	if err == nil {
		iso := replication.ReadLogEnd
		if q.ReplicaID == replication.Consumer {
			iso = replication.Isolation(q.IsolationLevel)
		}
		epoch := replication.NoEpoch
		if r.Version >= 4 {
			epoch = p.CurrentLeaderEpoch
		}
		var found replication.TimestampOffset
		if found, err = part.OffsetForTimestamp(p.Timestamp, iso, epoch, q.ReplicaID != debuggingReplica); err == nil {
			rp.Timestamp, rp.Offset, rp.LeaderEpoch = found.Timestamp, found.Offset, found.LeaderEpoch
			return
		}
	}
	rp.ErrorCode = h.code(err)
	if rp.ErrorCode == kerr.OffsetNotAvailable.Code && r.Version < 5 {
		rp.ErrorCode = kerr.LeaderNotAvailable.Code
	}
}

// listOldOffsets answers version 0.
func (h *Handlers) listOldOffsets(ctx context.Context, r *Request, q *kmsg.ListOffsetsRequest, resp *kmsg.ListOffsetsResponse) {
	for i := range q.Topics {
		t := &q.Topics[i]
		rt := kmsg.NewListOffsetsResponseTopic()
		rt.Topic = t.Topic
		allowed := h.may(ctx, r, security.Describe, security.Topic, t.Topic)
		for j := range t.Partitions {
			p := &t.Partitions[j]
			rp := kmsg.NewListOffsetsResponseTopicPartition()
			rp.Partition = p.Partition
			switch {
			case !allowed:
				rp.ErrorCode = kerr.TopicAuthorizationFailed.Code
			case p.Timestamp < replication.TimestampEarliest:
				rp.ErrorCode = kerr.UnsupportedVersion.Code
			case p.MaxNumOffsets < 0:
				rp.ErrorCode = kerr.UnknownServerError.Code // as Apache, which wants to make an array of that size
			default:
				part, err := h.Replicas.Lookup(metadata.TopicPartition{Topic: t.Topic, Partition: p.Partition})
				if err == nil {
					rp.OldStyleOffsets, err = part.OffsetsBefore(p.Timestamp, int(p.MaxNumOffsets), q.ReplicaID == replication.Consumer, q.ReplicaID != debuggingReplica)
				}
				rp.ErrorCode = h.code(err)
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
}
