package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/controller"
	"gokafka/metadata"
	"gokafka/security"
)

// AlterPartition changes ISRs on behalf of a leader (broker to controller, KIP-497), versions 0 to 3. v1 adds the recovery state (KIP-704), v2 topic ids, v3 broker epochs in the ISR (KIP-903).
func (h *Handlers) AlterPartition(ctx context.Context, r *Request, q *kmsg.AlterPartitionRequest) *kmsg.AlterPartitionResponse {
	resp := q.ResponseKind().(*kmsg.AlterPartitionResponse)
	if !h.mayCluster(ctx, r, security.ClusterAction) {
		resp.ErrorCode = kerr.ClusterAuthorizationFailed.Code
		return resp
	}
	req := controller.AlterPartitionRequest{BrokerID: q.BrokerID, BrokerEpoch: q.BrokerEpoch}
	for i := range q.Topics {
		t := &q.Topics[i]
		for j := range t.Partitions {
			p := &t.Partitions[j]
			a := controller.AlterPartition{TopicID: t.TopicID, Topic: t.Topic, Partition: p.Partition, LeaderEpoch: p.LeaderEpoch, ISR: p.NewISR,
				Recovery: metadata.RecoveryState(p.LeaderRecoveryState), PartitionEpoch: p.PartitionEpoch}
			if r.Version >= 3 {
				a.ISR = nil
				for _, b := range p.NewEpochISR {
					a.ISR = append(a.ISR, b.BrokerID)
				}
			}
			req.Partitions = append(req.Partitions, a)
		}
	}
	results, err := h.Controller.AlterPartition(ctx, req)
	if err != nil {
		resp.ErrorCode = h.code(err)
		return resp
	}
	type topic struct {
		name string
		id   metadata.TopicID
	}
	at := map[topic]int{}
	for i := range results {
		res := &results[i]
		k := topic{id: res.TopicID}
		if r.Version < 2 {
			k = topic{name: res.Topic}
		}
		n, ok := at[k]
		if !ok {
			n = len(resp.Topics)
			at[k] = n
			t := kmsg.NewAlterPartitionResponseTopic()
			t.Topic, t.TopidID = res.Topic, res.TopicID
			resp.Topics = append(resp.Topics, t)
		}
		resp.Topics[n].Partitions = append(resp.Topics[n].Partitions, h.alterPartitionResult(r.Version, res))
	}
	return resp
}

func (h *Handlers) alterPartitionResult(version int16, res *controller.AlterPartitionResult) kmsg.AlterPartitionResponseTopicPartition {
	p := kmsg.NewAlterPartitionResponseTopicPartition()
	p.Partition = res.Partition
	if res.Err != nil {
		p.ErrorCode = h.code(res.Err)
		if p.ErrorCode == kerr.IneligibleReplica.Code && version < 2 {
			p.ErrorCode = kerr.OperationNotAttempted.Code // the code that older brokers know
		}
		return p
	}
	p.LeaderID, p.LeaderEpoch, p.ISR, p.PartitionEpoch = res.State.Leader, res.State.LeaderEpoch, res.State.ISR, res.State.PartitionEpoch
	p.LeaderRecoveryState = int8(res.State.Recovery)
	return p
}
