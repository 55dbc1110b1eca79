package handlers

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/groups"
	"gokafka/security"
)

// SyncGroup takes the assignments from the leader of a group and gives each member its own, versions 0 to 5. v3 has static members, v4 is flexible, v5 names
// the protocol (KIP-559).
//
// The answer waits for the leader. Source: Kafka 3.9 KafkaApis.handleSyncGroupRequest.
func (h *Handlers) SyncGroup(ctx context.Context, r *Request, q *kmsg.SyncGroupRequest) *kmsg.SyncGroupResponse {
	resp := q.ResponseKind().(*kmsg.SyncGroupResponse)
	resp.MemberAssignment = []byte{}
	switch {
	case r.Version >= 5 && (q.ProtocolType == nil || q.Protocol == nil):
		resp.ErrorCode = h.code(kerr.InconsistentGroupProtocol)
		return resp
	case !h.may(ctx, r, security.Read, security.Group, q.Group):
		resp.ErrorCode = h.code(kerr.GroupAuthorizationFailed)
		return resp
	}
	s := &groups.Sync{Group: q.Group, MemberID: q.MemberID, Instance: q.InstanceID, Generation: q.Generation, ProtocolType: q.ProtocolType, Protocol: q.Protocol,
		Assignments: map[string][]byte{}}
	for _, a := range q.GroupAssignment {
		s.Assignments[a.MemberID] = slices.Clone(a.MemberAssignment)
	}
	r.Transport.Flush()
	res := h.Groups.Sync(ctx, s)
	resp.ErrorCode, resp.ProtocolType, resp.Protocol = h.code(res.Err), res.ProtocolType, res.Protocol
	if res.Assignment != nil {
		resp.MemberAssignment = res.Assignment
	}
	return resp
}
