package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/security"
)

// Heartbeat keeps a member in its group and tells it of rebalances, versions 0 to 4. v3 has static members, v4 is flexible.
func (h *Handlers) Heartbeat(ctx context.Context, r *Request, q *kmsg.HeartbeatRequest) *kmsg.HeartbeatResponse {
	resp := q.ResponseKind().(*kmsg.HeartbeatResponse)
	if !h.may(ctx, r, security.Read, security.Group, q.Group) {
		resp.ErrorCode = h.code(kerr.GroupAuthorizationFailed)
		return resp
	}
	resp.ErrorCode = h.code(h.Groups.Heartbeat(ctx, q.Group, q.MemberID, q.InstanceID, q.Generation))
	return resp
}
