package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/groups"
	"gokafka/metadata"
	"gokafka/security"
)

// OffsetCommit commits offsets of a group, versions 0 to 9. v0 goes to ZooKeeper, v1 to __consumer_offsets with the commit's time, v2 to v4 have a retention, v6 adds
// leader epochs (KIP-320), v7 static members, v8 is flexible, v9 may answer errors of the protocol of KIP-848.
//
// The answer waits until the offsets are replicated. Source: Kafka 3.9 KafkaApis.handleOffsetCommitRequest.
func (h *Handlers) OffsetCommit(ctx context.Context, r *Request, q *kmsg.OffsetCommitRequest) *kmsg.OffsetCommitResponse {
	c := &groups.Commit{Group: q.Group, MemberID: q.MemberID, Instance: q.InstanceID, Generation: q.Generation, Modern: r.Version >= 9}
	refused := map[groups.Part]error{}
	allowed := h.may(ctx, r, security.Read, security.Group, q.Group)
	im, now := h.Cluster.Image(), h.Clock.NowMs()
	for _, t := range q.Topics {
		readable := h.may(ctx, r, security.Read, security.Topic, t.Topic)
		for _, p := range t.Partitions {
			part := groups.Part{Topic: t.Topic, Partition: p.Partition}
			switch {
			case !allowed:
				refused[part] = kerr.GroupAuthorizationFailed
				continue
			case !readable:
				refused[part] = kerr.TopicAuthorizationFailed
				continue
			case im.Partition(metadata.TopicPartition(part)) == nil:
				refused[part] = kerr.UnknownTopicOrPartition
				continue
			}
			o := groups.CommitOffset{Topic: t.Topic, Partition: p.Partition, Offset: p.Offset, LeaderEpoch: -1, CommitMs: now, ExpireMs: -1}
			if p.Metadata != nil {
				o.Metadata = *p.Metadata
			}
			if r.Version >= 6 {
				o.LeaderEpoch = p.LeaderEpoch
			}
			if r.Version == 1 && p.Timestamp != -1 {
				o.CommitMs = p.Timestamp
			}
			if r.Version >= 2 && r.Version <= 4 && q.RetentionTimeMillis != -1 {
				o.ExpireMs = now + q.RetentionTimeMillis
			}
			c.Offsets = append(c.Offsets, o)
		}
	}
	switch {
	case len(c.Offsets) == 0:
	case r.Version == 0:
		for i := range c.Offsets {
			o := &c.Offsets[i]
			if o.Err = kerr.OffsetMetadataTooLarge; len(o.Metadata) <= int(h.Config.Groups.OffsetMetadataMaxBytes) {
				o.Err = h.OldOffsets.Commit(ctx, q.Group, o.Topic, o.Partition, o.Offset)
			}
		}
	default:
		r.Transport.Flush()
		h.Groups.Commit(ctx, c)
	}
	for _, o := range c.Offsets {
		refused[groups.Part{Topic: o.Topic, Partition: o.Partition}] = o.Err
	}
	resp := q.ResponseKind().(*kmsg.OffsetCommitResponse)
	for _, t := range q.Topics {
		rt := kmsg.NewOffsetCommitResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewOffsetCommitResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, h.code(refused[groups.Part{Topic: t.Topic, Partition: p.Partition}])
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}
