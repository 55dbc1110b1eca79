package handlers

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/groups"
	"gokafka/security"
)

// JoinGroup lets a member join its group, versions 0 to 9. v1 adds the rebalance timeout, v4 member ids that are given out first (KIP-394), v5 static members
// (KIP-345), v6 is flexible, v7 tells the protocol type, v8 takes a reason (KIP-800), v9 may tell the leader not to assign (KIP-814).
//
// The answer waits until the rebalance is over. Source: Kafka 3.9 KafkaApis.handleJoinGroupRequest.
func (h *Handlers) JoinGroup(ctx context.Context, r *Request, q *kmsg.JoinGroupRequest) *kmsg.JoinGroupResponse {
	resp := q.ResponseKind().(*kmsg.JoinGroupResponse)
	resp.Generation, resp.MemberID = -1, q.MemberID
	if !h.may(ctx, r, security.Read, security.Group, q.Group) {
		resp.ErrorCode = h.code(kerr.GroupAuthorizationFailed)
		return resp
	}
	j := &groups.Join{
		Group: q.Group, MemberID: q.MemberID, Instance: q.InstanceID, NeedsKnownID: r.Version >= 4 && q.InstanceID == nil, SkipsAssignment: r.Version >= 9,
		ClientID: r.ClientID, Host: "/" + r.Conn.Host, SessionTimeout: time.Duration(q.SessionTimeoutMillis) * time.Millisecond,
		RebalanceTimeout: time.Duration(q.RebalanceTimeoutMillis) * time.Millisecond, ProtocolType: q.ProtocolType, Reason: "not provided",
	}
	if r.Version < 1 {
		j.RebalanceTimeout = j.SessionTimeout
	}
	if q.Reason != nil {
		j.Reason = *q.Reason
	}
	for _, p := range q.Protocols {
		j.Protocols = append(j.Protocols, groups.Protocol{Name: p.Name, Metadata: slices.Clone(p.Metadata)})
	}
	r.Transport.Flush()
	res := h.Groups.Join(ctx, j)
	resp.ErrorCode = h.code(res.Err)
	resp.Generation, resp.MemberID, resp.LeaderID, resp.SkipAssignment = res.Generation, res.MemberID, res.Leader, res.SkipAssignment
	resp.ProtocolType, resp.Protocol = res.ProtocolType, res.Protocol
	if resp.Protocol == nil && r.Version < 7 {
		resp.Protocol = new(string)
	}
	for _, m := range res.Members {
		rm := kmsg.NewJoinGroupResponseMember()
		rm.MemberID, rm.InstanceID, rm.ProtocolMetadata = m.ID, m.Instance, m.Metadata
		resp.Members = append(resp.Members, rm)
	}
	return resp
}
