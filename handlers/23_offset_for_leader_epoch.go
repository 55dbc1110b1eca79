package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/metadata"
	"gokafka/replication"
	"gokafka/security"
)

// OffsetForLeaderEpoch tells where a leader epoch ended (KIP-101, KIP-320), versions 0 to 4. v1 answers the epoch too, v2 takes the current leader epoch, v3 a replica id, v4 is flexible.
func (h *Handlers) OffsetForLeaderEpoch(ctx context.Context, r *Request, q *kmsg.OffsetForLeaderEpochRequest) *kmsg.OffsetForLeaderEpochResponse {
	resp := q.ResponseKind().(*kmsg.OffsetForLeaderEpochResponse)
	cluster := h.mayCluster(ctx, r, security.ClusterAction)
	for i := range q.Topics {
		t := &q.Topics[i]
		rt := kmsg.NewOffsetForLeaderEpochResponseTopic()
		rt.Topic = t.Topic
		allowed := cluster || h.may(ctx, r, security.Describe, security.Topic, t.Topic)
		for _, p := range t.Partitions {
			rp := kmsg.NewOffsetForLeaderEpochResponseTopicPartition()
			rp.Partition, rp.LeaderEpoch, rp.EndOffset = p.Partition, -1, -1
			if !allowed {
				rp.ErrorCode = kerr.TopicAuthorizationFailed.Code
				rt.Partitions = append(rt.Partitions, rp)
				continue
			}
			part, err := h.Replicas.Lookup(metadata.TopicPartition{Topic: t.Topic, Partition: p.Partition})
			if err == nil {
				current := replication.NoEpoch
				if r.Version >= 2 {
					current = p.CurrentLeaderEpoch
				}
				rp.LeaderEpoch, rp.EndOffset, err = part.EndOffsetForEpoch(p.LeaderEpoch, current, true)
			}
			rp.ErrorCode = h.code(err)
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}
