package handlers

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/groups"
	"gokafka/metadata"
	"gokafka/security"
)

// ConsumerGroupHeartbeat joins, keeps and leaves groups whose partitions the broker assigns (KIP-848), versions 0 and 1. v1 has members make their own ids (KIP-1082)
// and subscribe by a regular expression, as Kafka 4 has it.
//
// Apache 3.9 in ZooKeeper mode knows version 0 and answers UNSUPPORTED_VERSION. So does this broker while one is registered that does not serve such groups.
func (h *Handlers) ConsumerGroupHeartbeat(ctx context.Context, r *Request, q *kmsg.ConsumerGroupHeartbeatRequest) *kmsg.ConsumerGroupHeartbeatResponse {
	resp := q.ResponseKind().(*kmsg.ConsumerGroupHeartbeatResponse)
	if !h.ModernGroups() {
		resp.ErrorCode = kerr.UnsupportedVersion.Code
		return resp
	}
	if !h.may(ctx, r, security.Read, security.Group, q.Group) {
		resp.ErrorCode = kerr.GroupAuthorizationFailed.Code
		return resp
	}
	for _, t := range q.SubscribedTopicNames {
		if !h.may(ctx, r, security.Describe, security.Topic, t) {
			resp.ErrorCode = kerr.TopicAuthorizationFailed.Code
			return resp
		}
	}
	b := &groups.Beat{Group: q.Group, MemberID: q.MemberID, Epoch: q.MemberEpoch, Instance: q.InstanceID, Rack: q.RackID, RebalanceMs: q.RebalanceTimeoutMillis,
		Topics: q.SubscribedTopicNames, Regex: q.SubscribedTopicRegex, Assignor: q.ServerAssignor, ClientID: r.ClientID, Host: "/" + r.Conn.Host, OwnID: r.Version >= 1}
	if q.Topics != nil {
		b.Owned = map[metadata.TopicID][]int32{}
		for _, t := range q.Topics {
			b.Owned[t.TopicID] = append(b.Owned[t.TopicID], t.Partitions...)
		}
	}
	out := h.Groups.Beat(ctx, b)
	if out.Err != nil {
		if resp.ErrorCode = h.code(out.Err); out.Message != "" {
			resp.ErrorMessage = &out.Message
		}
		return resp
	}
	resp.MemberID, resp.MemberEpoch, resp.HeartbeatIntervalMillis = &out.MemberID, out.Epoch, int32(h.Config.Groups.ConsumerHeartbeatInterval.Milliseconds())
	if out.Epoch < 0 {
		resp.HeartbeatIntervalMillis = 0
	}
	if out.Assigned != nil {
		resp.Assignment = &kmsg.ConsumerGroupHeartbeatResponseAssignment{Topics: []kmsg.ConsumerGroupHeartbeatResponseAssignmentTopic{}}
		for _, id := range sortedTopics(out.Assigned) {
			t := kmsg.NewConsumerGroupHeartbeatResponseAssignmentTopic()
			t.TopicID, t.Partitions = id, out.Assigned[id]
			resp.Assignment.Topics = append(resp.Assignment.Topics, t)
		}
	}
	return resp
}

func sortedTopics(m map[metadata.TopicID][]int32) []metadata.TopicID {
	out := make([]metadata.TopicID, 0, len(m))
	for id := range m {
		out = append(out, id)
	}
	slices.SortFunc(out, func(a, b metadata.TopicID) int { return slices.Compare(a[:], b[:]) })
	return out
}
