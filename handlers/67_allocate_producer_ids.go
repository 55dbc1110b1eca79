package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/security"
)

// AllocateProducerIDs gives a broker a block of producer ids (broker to controller, KIP-730), version 0. Apache's brokers ask for them; ours take them from the store.
func (h *Handlers) AllocateProducerIDs(ctx context.Context, r *Request, q *kmsg.AllocateProducerIDsRequest) *kmsg.AllocateProducerIDsResponse {
	resp := q.ResponseKind().(*kmsg.AllocateProducerIDsResponse)
	if !h.mayCluster(ctx, r, security.ClusterAction) {
		resp.ErrorCode = kerr.ClusterAuthorizationFailed.Code
		return resp
	}
	start, n, err := h.Controller.AllocateProducerIDs(ctx, q.BrokerID, q.BrokerEpoch)
	resp.ProducerIDStart, resp.ProducerIDLen, resp.ErrorCode = start, n, h.code(err)
	return resp
}
