package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/groups"
	"gokafka/security"
)

// LeaveGroup takes members out of a group, versions 0 to 5. v3 takes several, by instance too (KIP-345), v4 is flexible, v5 takes a reason (KIP-800).
func (h *Handlers) LeaveGroup(ctx context.Context, r *Request, q *kmsg.LeaveGroupRequest) *kmsg.LeaveGroupResponse {
	resp := q.ResponseKind().(*kmsg.LeaveGroupResponse)
	if !h.may(ctx, r, security.Read, security.Group, q.Group) {
		resp.ErrorCode = h.code(kerr.GroupAuthorizationFailed)
		return resp
	}
	const none = "not provided"
	list := []groups.Leaver{{MemberID: q.MemberID, Reason: none}}
	if r.Version >= 3 {
		list = nil
		for _, m := range q.Members {
			l := groups.Leaver{MemberID: m.MemberID, Instance: m.InstanceID, Reason: none}
			if m.Reason != nil {
				l.Reason = *m.Reason
			}
			list = append(list, l)
		}
	}
	if err := h.Groups.Leave(ctx, q.Group, list); err != nil {
		resp.ErrorCode = h.code(err)
		return resp
	}
	if r.Version < 3 {
		resp.ErrorCode = h.code(list[0].Err)
		return resp
	}
	for _, l := range list {
		m := kmsg.NewLeaveGroupResponseMember()
		m.MemberID, m.InstanceID, m.ErrorCode = l.MemberID, l.Instance, h.code(l.Err)
		resp.Members = append(resp.Members, m)
	}
	return resp
}
