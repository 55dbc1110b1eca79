package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/metadata"
)

// UpdateMetadata gives this broker the controller's picture of the cluster (controller to broker), versions 0 to 8. v1 adds endpoints, v2 the rack, v3 listener names, v4 offline
// replicas, v5 the broker epoch and topics, v6 is flexible, v7 adds topic ids, v8 the KRaft flag, which is refused.
func (h *Handlers) UpdateMetadata(ctx context.Context, r *Request, q *kmsg.UpdateMetadataRequest) *kmsg.UpdateMetadataResponse {
	resp := q.ResponseKind().(*kmsg.UpdateMetadataResponse)
	epoch := q.BrokerEpoch
	if r.Version < 5 {
		epoch = -1
	}
	if err := h.refuseControl(ctx, r, q.IsKRaftController, epoch); err != nil {
		resp.ErrorCode = h.code(err)
		return resp
	}
	u := metadata.Update{ControllerID: q.ControllerID}
	for i := range q.LiveBrokers {
		u.Brokers = append(u.Brokers, liveBroker(r.Version, &q.LiveBrokers[i]))
	}
	var names []string
	for i := range q.TopicStates {
		t := &q.TopicStates[i]
		tu := metadata.TopicUpdate{Name: t.Topic, ID: t.TopicID}
		for j := range t.PartitionStates {
			tu.Partitions = append(tu.Partitions, partitionUpdate(&t.PartitionStates[j]))
		}
		u.Topics = append(u.Topics, tu)
		names = append(names, t.Topic)
	}
	for i := range q.PartitionStates { // before version 5
		p := &q.PartitionStates[i]
		u.Topics = append(u.Topics, metadata.TopicUpdate{Name: p.Topic, Partitions: []metadata.PartitionUpdate{partitionUpdate(p)}})
		names = append(names, p.Topic)
	}
	_, after, err := h.Replicas.UpdateMetadata(ctx, q.ControllerEpoch, u)
	if err != nil {
		resp.ErrorCode = h.code(err)
		return resp
	}
	h.becomeReady(ctx, after)
	h.waiting.changed(names)
	h.MetadataUpdated(names)
	return resp
}

func liveBroker(version int16, b *kmsg.UpdateMetadataRequestLiveBroker) *metadata.Broker {
	out := &metadata.Broker{ID: b.ID, Epoch: -1}
	if b.Rack != nil {
		out.Rack = *b.Rack
	}
	if version == 0 {
		out.Endpoints = []metadata.Endpoint{{Listener: metadata.Plaintext.String(), Protocol: metadata.Plaintext, Host: b.Host, Port: b.Port}}
		return out
	}
	for i := range b.Endpoints {
		e := &b.Endpoints[i]
		proto := metadata.SecurityProtocol(e.SecurityProtocol)
		name := e.ListenerName
		if version < 3 {
			name = proto.String() // the listener's name was the protocol's
		}
		out.Endpoints = append(out.Endpoints, metadata.Endpoint{Listener: name, Protocol: proto, Host: e.Host, Port: e.Port})
	}
	return out
}

func partitionUpdate(p *kmsg.UpdateMetadataRequestTopicPartition) metadata.PartitionUpdate {
	return metadata.PartitionUpdate{
		Index: p.Partition, PartitionState: metadata.PartitionState{ControllerEpoch: p.ControllerEpoch, Leader: p.Leader, LeaderEpoch: p.LeaderEpoch, ISR: p.ISR, PartitionEpoch: p.ZKVersion},
		Replicas: p.Replicas, OfflineReplicas: p.OfflineReplicas,
	}
}
