package handlers

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/groups"
	"gokafka/metadata"
	"gokafka/record"
	"gokafka/security"
	"gokafka/transactions"
)

// TxnOffsetCommit commits offsets of a group in a transaction, versions 0 to 5. v2 adds leader epochs (KIP-320), v3 is flexible and names member and generation
// (KIP-447), v4 may answer TRANSACTION_ABORTABLE (KIP-890), v5 takes the group's partition into the transaction (transaction version 2).
//
// It goes to the coordinator of the group; the offsets count when the transaction is committed. Source: Kafka 3.9 KafkaApis.handleTxnOffsetCommitRequest.
func (h *Handlers) TxnOffsetCommit(ctx context.Context, r *Request, q *kmsg.TxnOffsetCommitRequest) *kmsg.TxnOffsetCommitResponse {
	c := &groups.Commit{Group: q.Group, MemberID: q.MemberID, Instance: q.InstanceID, Generation: -1, Txn: &groups.Txn{ProducerID: q.ProducerID, ProducerEpoch: q.ProducerEpoch}}
	if r.Version >= 3 {
		c.Generation = q.Generation
	}
	var all error
	switch {
	case !h.may(ctx, r, security.Write, security.TransactionalID, q.TransactionalID):
		all = kerr.TransactionalIDAuthorizationFailed
	case !h.may(ctx, r, security.Read, security.Group, q.Group):
		all = kerr.GroupAuthorizationFailed
	}
	refused := map[groups.Part]error{}
	im, now := h.Cluster.Image(), h.Clock.NowMs()
	for _, t := range q.Topics {
		readable := all == nil && h.may(ctx, r, security.Read, security.Topic, t.Topic)
		for _, p := range t.Partitions {
			part := groups.Part{Topic: t.Topic, Partition: p.Partition}
			switch {
			case all != nil:
				refused[part] = all
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
			if r.Version >= 2 {
				o.LeaderEpoch = p.LeaderEpoch
			}
			c.Offsets = append(c.Offsets, o)
		}
	}
	if len(c.Offsets) > 0 {
		if err := h.verifyCommit(ctx, r, q, c.Txn); err != nil {
			for i := range c.Offsets {
				c.Offsets[i].Err = err
			}
		} else {
			h.Groups.Commit(ctx, c)
		}
	}
	for _, o := range c.Offsets {
		err := o.Err
		if r.Version < 2 && errors.Is(err, kerr.CoordinatorLoadInProgress) {
			err = kerr.CoordinatorNotAvailable // old producers do not know how to wait for the other
		}
		refused[groups.Part{Topic: o.Topic, Partition: o.Partition}] = err
	}
	resp := q.ResponseKind().(*kmsg.TxnOffsetCommitResponse)
	for _, t := range q.Topics {
		rt := kmsg.NewTxnOffsetCommitResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewTxnOffsetCommitResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, h.code(refused[groups.Part{Topic: t.Topic, Partition: p.Partition}])
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// verifyCommit gets the guard of the transaction, if one is needed (KIP-890).
func (h *Handlers) verifyCommit(ctx context.Context, r *Request, q *kmsg.TxnOffsetCommitRequest, txn *groups.Txn) error {
	if err := h.Groups.Serves(ctx, q.Group); err != nil {
		return err
	}
	if q.ProducerID < 0 || q.ProducerEpoch < 0 {
		return kerr.InvalidProducerIDMapping // no batch could say so
	}
	client := transactionClient(r.Version, 4, 5)
	if client != transactions.AddingClient && !h.Settings.Broker().TransactionVerification {
		return nil
	}
	tp := h.offsetsOf(q.Group)
	guard, err := h.Replicas.StartVerification([]byte(tp.Topic), tp.Partition, q.ProducerID, record.NoSequence, q.ProducerEpoch)
	if err == nil && guard != 0 {
		p := transactions.Producer{ID: q.ProducerID, Epoch: q.ProducerEpoch}
		err = h.Transactions.Verify(ctx, q.TransactionalID, p, []metadata.TopicPartition{tp}, client)[0]
	}
	if err != nil {
		return groups.TxnCommitError(err)
	}
	txn.Guard = guard
	return nil
}
