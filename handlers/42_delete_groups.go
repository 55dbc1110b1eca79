package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/security"
)

// DeleteGroups deletes groups without members, with their offsets (KIP-229), versions 0 to 2. v2 is flexible.
func (h *Handlers) DeleteGroups(ctx context.Context, r *Request, q *kmsg.DeleteGroupsRequest) *kmsg.DeleteGroupsResponse {
	resp := q.ResponseKind().(*kmsg.DeleteGroupsResponse)
	done := map[string]bool{}
	for _, id := range q.Groups {
		if done[id] {
			continue
		}
		done[id] = true
		g := kmsg.NewDeleteGroupsResponseGroup()
		g.Group = id
		if h.may(ctx, r, security.Delete, security.Group, id) {
			g.ErrorCode = h.code(h.Groups.Delete(ctx, id))
		} else {
			g.ErrorCode = h.code(kerr.GroupAuthorizationFailed)
		}
		resp.Groups = append(resp.Groups, g)
	}
	return resp
}
