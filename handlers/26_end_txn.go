package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/security"
	"gokafka/transactions"
)

// EndTxn commits or aborts a transaction, versions 0 to 5. v2 may answer PRODUCER_FENCED, v3 is flexible, v4 may answer TRANSACTION_ABORTABLE (KIP-890),
// v5 raises the producer's epoch, and tells it (transaction version 2).
//
// It is answered when the decision is replicated; until the markers are written the transactional id is busy. Source: Kafka 3.9 KafkaApis.handleEndTxnRequest.
func (h *Handlers) EndTxn(ctx context.Context, r *Request, q *kmsg.EndTxnRequest) *kmsg.EndTxnResponse {
	resp := q.ResponseKind().(*kmsg.EndTxnResponse)
	err := error(kerr.TransactionalIDAuthorizationFailed)
	if h.may(ctx, r, security.Write, security.TransactionalID, q.TransactionalID) {
		p := transactions.Producer{ID: q.ProducerID, Epoch: q.ProducerEpoch}
		if r.Version < 5 {
			err = h.Transactions.End(ctx, q.TransactionalID, p, q.Commit)
		} else {
			p, err = h.Transactions.EndBumping(ctx, q.TransactionalID, p, q.Commit)
			resp.ProducerID, resp.ProducerEpoch = p.ID, p.Epoch
		}
	}
	resp.ErrorCode = h.code(oldFenced(err, r.Version >= 2))
	return resp
}
