package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/security"
)

// ControlledShutdown moves leaders away from a broker that is about to stop (broker to controller), versions 0 to 3. v0 has a header without client id, v2 adds the broker epoch, v3 is flexible.
func (h *Handlers) ControlledShutdown(ctx context.Context, r *Request, q *kmsg.ControlledShutdownRequest) *kmsg.ControlledShutdownResponse {
	resp := q.ResponseKind().(*kmsg.ControlledShutdownResponse)
	if !h.mayCluster(ctx, r, security.ClusterAction) {
		resp.ErrorCode = kerr.ClusterAuthorizationFailed.Code
		return resp
	}
	epoch := q.BrokerEpoch
	if r.Version < 2 {
		epoch = -1
	}
	left, err := h.Controller.ControlledShutdown(ctx, q.BrokerID, epoch)
	resp.ErrorCode = h.code(err)
	for _, tp := range left {
		p := kmsg.NewControlledShutdownResponsePartitionsRemaining()
		p.Topic, p.Partition = tp.Topic, tp.Partition
		resp.PartitionsRemaining = append(resp.PartitionsRemaining, p)
	}
	return resp
}
