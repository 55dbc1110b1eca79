package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/metadata"
	"gokafka/security"
)

// ListPartitionReassignments lists the moves under way, of the named partitions or, with null topics, of all (KIP-455), version 0.
//
// Only the controller's broker serves it. Partitions that are not being moved are left out.
// Source: Kafka 3.9 KafkaApis.handleListPartitionReassignmentsRequest.
func (h *Handlers) ListPartitionReassignments(ctx context.Context, r *Request, q *kmsg.ListPartitionReassignmentsRequest) *kmsg.ListPartitionReassignmentsResponse {
	resp := q.ResponseKind().(*kmsg.ListPartitionReassignmentsResponse)
	resp.ErrorMessage = new(string) // Apache's default is empty, not null
	if !h.mayCluster(ctx, r, security.Describe) {
		resp.ErrorCode, resp.ErrorMessage = h.code(kerr.ClusterAuthorizationFailed), message(kerr.ClusterAuthorizationFailed)
		return resp
	}
	var asked map[metadata.TopicPartition]bool
	if q.Topics != nil {
		asked = map[metadata.TopicPartition]bool{}
		for _, t := range q.Topics {
			for _, p := range t.Partitions {
				asked[metadata.TopicPartition{Topic: t.Topic, Partition: p}] = true
			}
		}
	}
	moves, err := h.Controller.ListPartitionReassignments(ctx, asked)
	if err != nil {
		resp.ErrorCode, resp.ErrorMessage = h.code(err), message(err)
		return resp
	}
	for _, m := range moves { // sorted by topic and partition
		if n := len(resp.Topics); n == 0 || resp.Topics[n-1].Topic != m.Topic {
			t := kmsg.NewListPartitionReassignmentsResponseTopic()
			t.Topic = m.Topic
			resp.Topics = append(resp.Topics, t)
		}
		p := kmsg.NewListPartitionReassignmentsResponseTopicPartition()
		p.Partition, p.Replicas, p.AddingReplicas, p.RemovingReplicas = m.Partition, m.Replicas, m.Adding, m.Removing
		t := &resp.Topics[len(resp.Topics)-1]
		t.Partitions = append(t.Partitions, p)
	}
	return resp
}
