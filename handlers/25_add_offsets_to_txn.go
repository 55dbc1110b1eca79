package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/groups"
	"gokafka/metadata"
	"gokafka/security"
	"gokafka/topics"
	"gokafka/transactions"
)

// AddOffsetsToTxn takes the partition of a group's offsets into a transaction, versions 0 to 4. v2 may answer PRODUCER_FENCED, v3 is flexible, v4 may answer
// TRANSACTION_ABORTABLE (KIP-890). Source: Kafka 3.9 KafkaApis.handleAddOffsetsToTxnRequest.
func (h *Handlers) AddOffsetsToTxn(ctx context.Context, r *Request, q *kmsg.AddOffsetsToTxnRequest) *kmsg.AddOffsetsToTxnResponse {
	resp := q.ResponseKind().(*kmsg.AddOffsetsToTxnResponse)
	var err error
	switch {
	case !h.may(ctx, r, security.Write, security.TransactionalID, q.TransactionalID):
		err = kerr.TransactionalIDAuthorizationFailed
	case !h.may(ctx, r, security.Read, security.Group, q.Group):
		err = kerr.GroupAuthorizationFailed
	default:
		p := transactions.Producer{ID: q.ProducerID, Epoch: q.ProducerEpoch}
		err = h.Transactions.AddPartitions(ctx, q.TransactionalID, p, 0, []metadata.TopicPartition{h.offsetsOf(q.Group)})
	}
	resp.ErrorCode = h.code(oldFenced(err, r.Version >= 2))
	return resp
}

// offsetsOf is the partition that has, or will have, the offsets of a group.
func (h *Handlers) offsetsOf(group string) metadata.TopicPartition {
	n := h.Config.Groups.OffsetsTopicPartitions
	if t := h.Cluster.Image().Topic(topics.ConsumerOffsets); t != nil {
		n = int32(len(t.Partitions))
	}
	return metadata.TopicPartition{Topic: topics.ConsumerOffsets, Partition: groups.PartitionFor(group, n)}
}
