package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/groups"
	"gokafka/metadata"
	"gokafka/security"
)

// OffsetDelete removes committed offsets of a group (KIP-496), version 0.
func (h *Handlers) OffsetDelete(ctx context.Context, r *Request, q *kmsg.OffsetDeleteRequest) *kmsg.OffsetDeleteResponse {
	resp := q.ResponseKind().(*kmsg.OffsetDeleteResponse)
	if !h.may(ctx, r, security.Delete, security.Group, q.Group) {
		resp.ErrorCode = h.code(kerr.GroupAuthorizationFailed)
		return resp
	}
	im := h.Cluster.Image()
	var parts []groups.Part
	refused := map[groups.Part]error{}
	for _, t := range q.Topics {
		allowed := h.may(ctx, r, security.Read, security.Topic, t.Topic)
		for _, p := range t.Partitions {
			part := groups.Part{Topic: t.Topic, Partition: p.Partition}
			switch {
			case !allowed:
				refused[part] = kerr.TopicAuthorizationFailed
			case im.Partition(metadata.TopicPartition(part)) == nil:
				refused[part] = kerr.UnknownTopicOrPartition
			default:
				parts = append(parts, part)
			}
		}
	}
	outcomes, err := h.Groups.DeleteOffsets(ctx, q.Group, parts)
	if err != nil {
		resp.ErrorCode = h.code(err)
		return resp
	}
	for i, p := range parts {
		refused[p] = outcomes[i]
	}
	for _, t := range q.Topics {
		rt := kmsg.NewOffsetDeleteResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewOffsetDeleteResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, h.code(refused[groups.Part{Topic: t.Topic, Partition: p.Partition}])
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}
