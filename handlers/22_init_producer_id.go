package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/security"
	"gokafka/transactions"
)

// InitProducerID gives an idempotent producer its id (KIP-98), versions 0 to 5. v2 is flexible, v3 carries id and epoch of a producer that recovers (KIP-360),
// v4 may answer PRODUCER_FENCED, v5 TRANSACTION_ABORTABLE (KIP-890).
//
// Without a transactional id every call gives a new id with epoch 0; what the request says of id, epoch and timeout does not
// matter. A transactional id has its producer id from its coordinator, which fences the producer before.
func (h *Handlers) InitProducerID(ctx context.Context, r *Request, q *kmsg.InitProducerIDRequest) *kmsg.InitProducerIDResponse {
	resp := q.ResponseKind().(*kmsg.InitProducerIDResponse)
	resp.ProducerID, resp.ProducerEpoch = -1, -1
	resp.ErrorCode = h.code(h.initProducerID(ctx, r, q, resp))
	return resp
}

func (h *Handlers) initProducerID(ctx context.Context, r *Request, q *kmsg.InitProducerIDRequest, resp *kmsg.InitProducerIDResponse) error {
	if q.TransactionalID != nil {
		if !h.may(ctx, r, security.Write, security.TransactionalID, *q.TransactionalID) {
			return kerr.TransactionalIDAuthorizationFailed
		}
	} else if !h.mayCluster(ctx, r, security.IdempotentWrite) {
		return kerr.ClusterAuthorizationFailed
	}
	if (q.ProducerID == -1) != (q.ProducerEpoch == -1) {
		return kerr.InvalidRequest
	}
	if q.TransactionalID != nil {
		var expected *transactions.Producer
		if q.ProducerID != -1 && r.Version >= 3 {
			expected = &transactions.Producer{ID: q.ProducerID, Epoch: q.ProducerEpoch}
		}
		p, err := h.Transactions.InitProducer(ctx, *q.TransactionalID, q.TransactionTimeoutMillis, expected)
		resp.ProducerID, resp.ProducerEpoch = p.ID, p.Epoch
		return oldFenced(err, r.Version >= 4)
	}
	id, err := h.ProducerIDs.Next()
	if err != nil {
		return err
	}
	resp.ProducerID, resp.ProducerEpoch = id, 0
	return nil
}
