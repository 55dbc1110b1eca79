package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/security"
)

// DescribeGroups describes groups of this coordinator, versions 0 to 5. v3 tells authorized operations (KIP-430), v4 static members, v5 is flexible. A group that
// does not exist is Dead.
func (h *Handlers) DescribeGroups(ctx context.Context, r *Request, q *kmsg.DescribeGroupsRequest) *kmsg.DescribeGroupsResponse {
	resp := q.ResponseKind().(*kmsg.DescribeGroupsResponse)
	for _, id := range q.Groups {
		g := kmsg.NewDescribeGroupsResponseGroup()
		g.Group = id
		if !h.may(ctx, r, security.Describe, security.Group, id) {
			g.ErrorCode = h.code(kerr.GroupAuthorizationFailed)
			resp.Groups = append(resp.Groups, g)
			continue
		}
		d, err := h.Groups.Describe(ctx, id)
		g.ErrorCode = h.code(err)
		g.State, g.ProtocolType, g.Protocol = string(d.State), d.ProtocolType, d.Protocol
		for _, m := range d.Members {
			rm := kmsg.NewDescribeGroupsResponseGroupMember()
			rm.MemberID, rm.InstanceID, rm.ClientID, rm.ClientHost = m.ID, m.Instance, m.ClientID, m.Host
			rm.ProtocolMetadata, rm.MemberAssignment = append([]byte{}, m.Metadata...), append([]byte{}, m.Assignment...)
			g.Members = append(g.Members, rm)
		}
		if g.AuthorizedOperations = noOperations; r.Version >= 3 && q.IncludeAuthorizedOperations && err == nil {
			g.AuthorizedOperations = h.operations(ctx, r, security.Group, id)
		}
		resp.Groups = append(resp.Groups, g)
	}
	return resp
}
