package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/metadata"
	"gokafka/replication"
)

// StopReplica stops and deletes replicas (controller to broker), versions 0 to 4. v1 adds the broker epoch and groups by topic, v2 is flexible, v3 has a leader epoch and the choice
// to delete for each partition, v4 the KRaft flag, which is refused.
func (h *Handlers) StopReplica(ctx context.Context, r *Request, q *kmsg.StopReplicaRequest) *kmsg.StopReplicaResponse {
	resp := q.ResponseKind().(*kmsg.StopReplicaResponse)
	epoch := q.BrokerEpoch
	if r.Version < 1 {
		epoch = -1
	}
	if err := h.refuseControl(ctx, r, q.IsKRaftController, epoch); err != nil {
		resp.ErrorCode = h.code(err)
		return resp
	}
	var parts []replication.StopReplicaPartition
	add := func(topic string, p, leaderEpoch int32, del bool) {
		parts = append(parts, replication.StopReplicaPartition{TopicPartition: metadata.TopicPartition{Topic: topic, Partition: p}, LeaderEpoch: leaderEpoch, Delete: del})
	}
	for i := range q.Topics {
		t := &q.Topics[i]
		switch {
		case r.Version == 0:
			add(t.Topic, t.Partition, -1, q.DeletePartitions)
		case r.Version < 3:
			for _, p := range t.Partitions {
				add(t.Topic, p, -1, q.DeletePartitions)
			}
		default:
			for _, p := range t.PartitionStates {
				add(t.Topic, p.Partition, p.LeaderEpoch, p.Delete)
			}
		}
	}
	if err := h.Replicas.StopReplica(ctx, q.ControllerEpoch, parts); err != nil {
		resp.ErrorCode = h.code(err)
		return resp
	}
	for i := range parts {
		p := kmsg.NewStopReplicaResponsePartition()
		p.Topic, p.Partition, p.ErrorCode = parts[i].TopicPartition.Topic, parts[i].TopicPartition.Partition, h.code(parts[i].Err)
		resp.Partitions = append(resp.Partitions, p)
	}
	return resp
}
