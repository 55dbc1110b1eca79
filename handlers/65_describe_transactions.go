package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/security"
)

// DescribeTransactions tells the states of transactional ids that this broker coordinates (KIP-664), version 0. Topics that the requester may not describe are left out.
// Source: Kafka 3.9 KafkaApis.handleDescribeTransactionsRequest.
func (h *Handlers) DescribeTransactions(ctx context.Context, r *Request, q *kmsg.DescribeTransactionsRequest) *kmsg.DescribeTransactionsResponse {
	resp := q.ResponseKind().(*kmsg.DescribeTransactionsResponse)
	resp.TransactionStates = []kmsg.DescribeTransactionsResponseTransactionState{}
	for _, id := range q.TransactionalIDs {
		s := kmsg.NewDescribeTransactionsResponseTransactionState()
		s.TransactionalID = id
		if !h.may(ctx, r, security.Describe, security.TransactionalID, id) {
			s.ErrorCode = h.code(kerr.TransactionalIDAuthorizationFailed)
			resp.TransactionStates = append(resp.TransactionStates, s)
			continue
		}
		d, err := h.Transactions.Describe(ctx, id)
		if s.ErrorCode = h.code(err); err == nil {
			s.State, s.TimeoutMillis, s.StartTimestamp, s.ProducerID, s.ProducerEpoch = d.State.String(), d.TimeoutMs, d.StartMs, d.Producer.ID, d.Producer.Epoch
			for _, tp := range d.Partitions {
				if n := len(s.Topics); n > 0 && s.Topics[n-1].Topic == tp.Topic {
					s.Topics[n-1].Partitions = append(s.Topics[n-1].Partitions, tp.Partition)
				} else if h.may(ctx, r, security.Describe, security.Topic, tp.Topic) {
					t := kmsg.NewDescribeTransactionsResponseTransactionStateTopic()
					t.Topic, t.Partitions = tp.Topic, []int32{tp.Partition}
					s.Topics = append(s.Topics, t)
				}
			}
		}
		resp.TransactionStates = append(resp.TransactionStates, s)
	}
	return resp
}
