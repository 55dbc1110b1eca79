package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/security"
	"gokafka/transactions"
)

// ListTransactions lists the transactional ids that this broker coordinates (KIP-664), versions 0 and 1, of which v1 asks for old ones (KIP-994). Names of states that do
// not exist are told. Source: Kafka 3.9 TransactionStateManager.listTransactionStates.
func (h *Handlers) ListTransactions(ctx context.Context, r *Request, q *kmsg.ListTransactionsRequest) *kmsg.ListTransactionsResponse {
	resp := q.ResponseKind().(*kmsg.ListTransactionsResponse)
	f := transactions.Filter{States: q.StateFilters, Producers: q.ProducerIDFilters, OlderMs: -1}
	if r.Version >= 1 {
		f.OlderMs = q.DurationFilterMillis
	}
	list, unknown, err := h.Transactions.List(ctx, f)
	resp.ErrorCode, resp.UnknownStateFilters = h.code(err), unknown
	resp.TransactionStates = []kmsg.ListTransactionsResponseTransactionState{}
	for _, l := range list {
		if !h.may(ctx, r, security.Describe, security.TransactionalID, l.ID) {
			continue
		}
		s := kmsg.NewListTransactionsResponseTransactionState()
		s.TransactionalID, s.ProducerID, s.TransactionState = l.ID, l.ProducerID, l.State.String()
		resp.TransactionStates = append(resp.TransactionStates, s)
	}
	return resp
}
