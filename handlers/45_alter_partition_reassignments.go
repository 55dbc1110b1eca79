package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/metadata"
	"gokafka/security"
)

// AlterPartitionReassignments moves partitions to other replicas, replaces a move by another, or with null replicas cancels it
// (KIP-455), version 0.
//
// Only the controller's broker serves it. The answer says that the moves have begun; the topic's znode holds them until they are done.
// Source: Kafka 3.9 KafkaApis.handleAlterPartitionReassignmentsRequest, KafkaController.processApiPartitionReassignment.
func (h *Handlers) AlterPartitionReassignments(ctx context.Context, r *Request, q *kmsg.AlterPartitionAssignmentsRequest) *kmsg.AlterPartitionAssignmentsResponse {
	resp := q.ResponseKind().(*kmsg.AlterPartitionAssignmentsResponse)
	resp.ErrorMessage = new(string) // Apache's default is empty, not null
	targets := map[metadata.TopicPartition][]int32{}
	for _, t := range q.Topics {
		for _, p := range t.Partitions {
			targets[metadata.TopicPartition{Topic: t.Topic, Partition: p.Partition}] = p.Replicas // the last one counts
		}
	}
	var results map[metadata.TopicPartition]error
	if h.mayCluster(ctx, r, security.Alter) {
		var err error
		if results, err = h.Controller.AlterPartitionReassignments(ctx, targets); err != nil {
			resp.ErrorCode, resp.ErrorMessage = h.code(err), message(err)
			return resp
		}
	} else { // said of the whole and of each
		resp.ErrorCode, resp.ErrorMessage = h.code(kerr.ClusterAuthorizationFailed), message(kerr.ClusterAuthorizationFailed)
		results = map[metadata.TopicPartition]error{}
		for tp := range targets {
			results[tp] = kerr.ClusterAuthorizationFailed
		}
	}
	at := map[string]int{}
	for _, t := range q.Topics {
		for _, p := range t.Partitions {
			tp := metadata.TopicPartition{Topic: t.Topic, Partition: p.Partition}
			if _, ok := targets[tp]; !ok {
				continue // named twice, answered once
			}
			delete(targets, tp)
			i, ok := at[t.Topic]
			if !ok {
				i = len(resp.Topics)
				at[t.Topic] = i
				rt := kmsg.NewAlterPartitionAssignmentsResponseTopic()
				rt.Topic = t.Topic
				resp.Topics = append(resp.Topics, rt)
			}
			rp := kmsg.NewAlterPartitionAssignmentsResponseTopicPartition()
			rp.Partition, rp.ErrorCode, rp.ErrorMessage = p.Partition, h.code(results[tp]), message(results[tp])
			resp.Topics[i].Partitions = append(resp.Topics[i].Partitions, rp)
		}
	}
	return resp
}
