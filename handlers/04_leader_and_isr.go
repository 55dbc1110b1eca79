package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/metadata"
	"gokafka/replication"
	"gokafka/security"
	"gokafka/topics"
)

// refuseControl makes the checks that every request of the controller goes through: permission, a controller of KRaft (migration is not served), a request meant for an
// earlier incarnation of this broker. A broker epoch that is newer than ours is accepted: the controller may learn of it first. -1 is not checked.
func (h *Handlers) refuseControl(ctx context.Context, r *Request, kraft bool, brokerEpoch int64) error {
	switch {
	case !h.mayCluster(ctx, r, security.ClusterAction):
		return kerr.ClusterAuthorizationFailed
	case kraft:
		return kerr.UnsupportedVersion
	case brokerEpoch != -1 && brokerEpoch < h.BrokerEpoch():
		h.Logger.Info("Ignoring a request of the controller for an earlier incarnation of this broker", "key", r.Key, "brokerEpoch", brokerEpoch, "current", h.BrokerEpoch())
		return kerr.StaleBrokerEpoch
	}
	return nil
}

// LeaderAndISR makes this broker leader or follower of partitions (controller to broker), versions 0 to 7. v1 adds is_new, v2 the broker epoch, v3 reassignments, v4 is
// flexible, v5 adds topic ids, v6 the recovery state (KIP-704), v7 the KRaft flag, which is refused.
func (h *Handlers) LeaderAndISR(ctx context.Context, r *Request, q *kmsg.LeaderAndISRRequest) *kmsg.LeaderAndISRResponse {
	resp := q.ResponseKind().(*kmsg.LeaderAndISRResponse)
	epoch := q.BrokerEpoch
	if r.Version < 2 {
		epoch = -1
	}
	if err := h.refuseControl(ctx, r, q.IsKRaftController, epoch); err != nil {
		resp.ErrorCode = h.code(err)
		return resp
	}
	var parts []replication.LeaderAndISRPartition
	for i := range q.PartitionStates {
		parts = append(parts, leaderAndISRPartition(q.PartitionStates[i].Topic, metadata.TopicID{}, &q.PartitionStates[i]))
	}
	for i := range q.TopicStates {
		t := &q.TopicStates[i]
		for j := range t.PartitionStates {
			parts = append(parts, leaderAndISRPartition(t.Topic, t.TopicID, &t.PartitionStates[j]))
		}
	}
	for i := range parts {
		// The name becomes that of a directory: nothing but a topic's name may.
		if tp := parts[i].TopicPartition; tp.Partition < 0 || topics.ValidateName(tp.Topic) != nil {
			resp.ErrorCode = kerr.InvalidTopicException.Code
			return resp
		}
	}
	if err := h.Replicas.LeaderAndISR(ctx, q.ControllerEpoch, parts); err != nil {
		resp.ErrorCode = h.code(err)
		return resp
	}
	h.leaderAndISRResults(r, q, parts, resp)
	return resp
}

func leaderAndISRPartition(topic string, id metadata.TopicID, p *kmsg.LeaderAndISRRequestTopicPartition) replication.LeaderAndISRPartition {
	return replication.LeaderAndISRPartition{
		TopicPartition: metadata.TopicPartition{Topic: topic, Partition: p.Partition}, TopicID: id,
		State: metadata.PartitionState{
			ControllerEpoch: p.ControllerEpoch, Leader: p.Leader, LeaderEpoch: p.LeaderEpoch, ISR: p.ISR, PartitionEpoch: p.ZKVersion,
			Recovery: metadata.RecoveryState(p.LeaderRecoveryState),
		},
		Replicas: p.Replicas, Adding: p.AddingReplicas, Removing: p.RemovingReplicas, IsNew: p.IsNew,
	}
}

func (h *Handlers) leaderAndISRResults(r *Request, q *kmsg.LeaderAndISRRequest, parts []replication.LeaderAndISRPartition, resp *kmsg.LeaderAndISRResponse) {
	at := map[metadata.TopicID]int{}
	for i := range parts {
		p := kmsg.NewLeaderAndISRResponseTopicPartition()
		p.Topic, p.Partition = parts[i].TopicPartition.Topic, parts[i].TopicPartition.Partition
		p.ErrorCode = h.code(parts[i].Err)
		if r.Version < 5 {
			resp.Partitions = append(resp.Partitions, p)
			continue
		}
		id := parts[i].TopicID
		n, ok := at[id]
		if !ok {
			n = len(resp.Topics)
			at[id] = n
			t := kmsg.NewLeaderAndISRResponseTopic()
			t.TopicID = id
			resp.Topics = append(resp.Topics, t)
		}
		resp.Topics[n].Partitions = append(resp.Topics[n].Partitions, p)
	}
}
