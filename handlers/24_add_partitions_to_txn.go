package handlers

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/metadata"
	"gokafka/security"
	"gokafka/topics"
	"gokafka/transactions"
)

// AddPartitionsToTxn takes partitions into a transaction, versions 0 to 5. v2 may answer PRODUCER_FENCED, v3 is flexible, v4 is for brokers: many transactions, which
// may only be looked at (KIP-890), v5 may answer TRANSACTION_ABORTABLE.
//
// A partition that is unknown or forbidden fails its transaction: the others have OPERATION_NOT_ATTEMPTED. Source: Kafka 3.9 KafkaApis.handleAddPartitionsToTxnRequest.
func (h *Handlers) AddPartitionsToTxn(ctx context.Context, r *Request, q *kmsg.AddPartitionsToTxnRequest) *kmsg.AddPartitionsToTxnResponse {
	resp := q.ResponseKind().(*kmsg.AddPartitionsToTxnResponse)
	if r.Version < 4 {
		var parts []metadata.TopicPartition
		for _, t := range q.Topics {
			for _, p := range t.Partitions {
				parts = append(parts, metadata.TopicPartition{Topic: t.Topic, Partition: p})
			}
		}
		each := h.addPartitions(ctx, r, q.TransactionalID, transactions.Producer{ID: q.ProducerID, Epoch: q.ProducerEpoch}, parts, false)
		at := map[string]int{}
		for i, tp := range parts {
			n, known := at[tp.Topic]
			if !known {
				n = len(resp.Topics)
				at[tp.Topic] = n
				rt := kmsg.NewAddPartitionsToTxnResponseTopic()
				rt.Topic = tp.Topic
				resp.Topics = append(resp.Topics, rt)
			}
			rp := kmsg.NewAddPartitionsToTxnResponseTopicPartition()
			rp.Partition, rp.ErrorCode = tp.Partition, h.code(each[i])
			resp.Topics[n].Partitions = append(resp.Topics[n].Partitions, rp)
		}
		return resp
	}
	if !h.mayCluster(ctx, r, security.ClusterAction) {
		resp.ErrorCode = h.code(kerr.ClusterAuthorizationFailed)
		return resp
	}
	for _, qt := range q.Transactions {
		var parts []metadata.TopicPartition
		for _, t := range qt.Topics {
			for _, p := range t.Partitions {
				parts = append(parts, metadata.TopicPartition{Topic: t.Topic, Partition: p})
			}
		}
		each := h.addPartitions(ctx, r, qt.TransactionalID, transactions.Producer{ID: qt.ProducerID, Epoch: qt.ProducerEpoch}, parts, qt.VerifyOnly)
		rt := kmsg.NewAddPartitionsToTxnResponseTransaction()
		rt.TransactionalID = qt.TransactionalID
		at := map[string]int{}
		for i, tp := range parts {
			n, known := at[tp.Topic]
			if !known {
				n = len(rt.Topics)
				at[tp.Topic] = n
				topic := kmsg.NewAddPartitionsToTxnResponseTransactionTopic()
				topic.Topic = tp.Topic
				rt.Topics = append(rt.Topics, topic)
			}
			rp := kmsg.NewAddPartitionsToTxnResponseTransactionTopicPartition()
			rp.Partition, rp.ErrorCode = tp.Partition, h.code(each[i])
			rt.Topics[n].Partitions = append(rt.Topics[n].Partitions, rp)
		}
		resp.Transactions = append(resp.Transactions, rt)
	}
	return resp
}

// addPartitions has an outcome for each partition.
func (h *Handlers) addPartitions(ctx context.Context, r *Request, id string, p transactions.Producer, parts []metadata.TopicPartition, verifyOnly bool) []error {
	each := make([]error, len(parts))
	all := func(err error) []error {
		for i := range each {
			each[i] = err
		}
		return each
	}
	client := r.Version < 4
	if client && !h.may(ctx, r, security.Write, security.TransactionalID, id) {
		return all(kerr.TransactionalIDAuthorizationFailed)
	}
	im, bad := h.Cluster.Image(), false
	for i, tp := range parts {
		switch {
		case client && (topics.IsInternal(tp.Topic) || !h.may(ctx, r, security.Write, security.Topic, tp.Topic)):
			each[i] = kerr.TopicAuthorizationFailed
		case im.Partition(tp) == nil:
			each[i] = kerr.UnknownTopicOrPartition
		}
		bad = bad || each[i] != nil
	}
	if bad {
		for i := range each {
			if each[i] == nil {
				each[i] = kerr.OperationNotAttempted
			}
		}
		return each
	}
	if verifyOnly {
		return h.Transactions.VerifyHere(ctx, id, p, parts)
	}
	version := int16(transactions.Version2) // only brokers of that version ask so
	if client {
		version = 0
	}
	return all(oldFenced(h.Transactions.AddPartitions(ctx, id, p, version, parts), r.Version >= 2))
}

// oldFenced is the error for a client that does not know PRODUCER_FENCED.
func oldFenced(err error, known bool) error {
	if !known && errors.Is(err, kerr.ProducerFenced) {
		return kerr.InvalidProducerEpoch
	}
	return err
}
