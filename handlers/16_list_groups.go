package handlers

import (
	"context"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/security"
)

// ListGroups lists the groups of this coordinator, versions 0 to 5. v3 is flexible, v4 has states (KIP-518), v5 types (KIP-848). Who may describe the cluster sees all, others
// those that they may describe.
func (h *Handlers) ListGroups(ctx context.Context, r *Request, q *kmsg.ListGroupsRequest) *kmsg.ListGroupsResponse {
	resp := q.ResponseKind().(*kmsg.ListGroupsResponse)
	all := h.mayCluster(ctx, r, security.Describe)
	list, err := h.Groups.List(ctx)
	resp.ErrorCode = h.code(err)
	wanted := func(filter []string, is string) bool {
		return len(filter) == 0 || slices.ContainsFunc(filter, func(f string) bool { return strings.EqualFold(f, is) })
	}
	for _, g := range list {
		if !wanted(q.StatesFilter, string(g.State)) || !wanted(q.TypesFilter, g.Type) || !all && !h.may(ctx, r, security.Describe, security.Group, g.Group) {
			continue
		}
		rg := kmsg.NewListGroupsResponseGroup()
		rg.Group, rg.ProtocolType, rg.GroupState, rg.GroupType = g.Group, g.ProtocolType, string(g.State), g.Type
		resp.Groups = append(resp.Groups, rg)
	}
	return resp
}
