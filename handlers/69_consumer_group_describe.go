package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/metadata"
	"gokafka/security"
)

// ConsumerGroupDescribe describes groups of KIP-848's protocol, versions 0 and 1; v1 tells the type of each member. A group of the classic protocol is not found.
//
// Apache 3.9 in ZooKeeper mode answers UNSUPPORTED_VERSION for each group; so does this broker while one is registered that does not serve such groups.
func (h *Handlers) ConsumerGroupDescribe(ctx context.Context, r *Request, q *kmsg.ConsumerGroupDescribeRequest) *kmsg.ConsumerGroupDescribeResponse {
	resp := q.ResponseKind().(*kmsg.ConsumerGroupDescribeResponse)
	image := h.Cluster.Image()
	for _, id := range q.Groups {
		g := kmsg.NewConsumerGroupDescribeResponseGroup()
		g.Group, g.Members, g.AuthorizedOperations = id, []kmsg.ConsumerGroupDescribeResponseGroupMember{}, noOperations
		switch {
		case !h.ModernGroups():
			g.ErrorCode = kerr.UnsupportedVersion.Code
		case !h.may(ctx, r, security.Describe, security.Group, id):
			g.ErrorCode = kerr.GroupAuthorizationFailed.Code
		default:
			h.describeModern(ctx, r, q, image, &g)
		}
		resp.Groups = append(resp.Groups, g)
	}
	return resp
}

func (h *Handlers) describeModern(ctx context.Context, r *Request, q *kmsg.ConsumerGroupDescribeRequest, image *metadata.Image, g *kmsg.ConsumerGroupDescribeResponseGroup) {
	d, err := h.Groups.DescribeModern(ctx, g.Group)
	if err != nil {
		g.ErrorCode = h.code(err)
		return
	}
	g.State, g.Epoch, g.AssignmentEpoch, g.AssignorName = string(d.State), d.Epoch, d.AssignmentEpoch, d.Assignor
	for _, m := range d.Members {
		rm := kmsg.NewConsumerGroupDescribeResponseGroupMember()
		rm.MemberID, rm.InstanceID, rm.RackID, rm.MemberEpoch, rm.ClientID, rm.ClientHost = m.ID, m.Instance, m.Rack, m.Epoch, m.ClientID, m.Host
		rm.SubscribedTopics, rm.SubscribedTopicRegex, rm.MemberType = append([]string{}, m.Topics...), m.Regex, 1
		if m.Classic {
			rm.MemberType = 0
		}
		rm.Assignment, rm.TargetAssignment = namedParts(image, m.Assigned), namedParts(image, m.Target)
		g.Members = append(g.Members, rm)
	}
	if q.IncludeAuthorizedOperations {
		g.AuthorizedOperations = h.operations(ctx, r, security.Group, g.Group)
	}
}

// namedParts names topics; those that are gone are left out.
func namedParts(image *metadata.Image, parts map[metadata.TopicID][]int32) kmsg.Assignment {
	out := kmsg.Assignment{TopicPartitions: []kmsg.AssignmentTopicPartition{}}
	for _, id := range sortedTopics(parts) {
		t := image.TopicByID(id)
		if t == nil {
			continue
		}
		tp := kmsg.NewAssignmentTopicPartition()
		tp.TopicID, tp.Topic, tp.Partitions = id, t.Name, parts[id]
		out.TopicPartitions = append(out.TopicPartitions, tp)
	}
	return out
}
