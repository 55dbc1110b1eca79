package controller

import (
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/metadata"
	"gokafka/protocol"
)

// Versions of the control requests at inter.broker.protocol.version 3.9-IV0. They go out without ApiVersions.
const (
	leaderAndIsrVersion   = 7
	updateMetadataVersion = 8
	stopReplicaVersion    = 4
)

// outgoing is one request to one broker.
type outgoing struct {
	broker int32
	req    kmsg.Request
}

// requests turns the batch into what is sent: for each broker LeaderAndIsr, then UpdateMetadata, then StopReplica.
// Requests share slices with each other and with the cluster; nobody changes them. A broker that is not registered gets
// nothing. listener is the inter-broker listener.
func (b *batch) requests(controllerID int32, listener string) []outgoing {
	var out []outgoing
	registered := func(id int32) bool { return b.s.brokers[id] != nil }
	for _, id := range slices.Sorted(maps.Keys(b.leaderAndIsr)) {
		if registered(id) {
			out = append(out, outgoing{id, b.leaderAndIsrRequest(controllerID, id, listener)})
		}
	}
	if len(b.updateTo) > 0 {
		topics, live := b.updateTopics(), b.liveBrokers()
		for _, id := range slices.Sorted(maps.Keys(b.updateTo)) {
			if registered(id) {
				req := kmsg.NewPtrUpdateMetadataRequest()
				req.Version, req.ControllerID, req.ControllerEpoch = updateMetadataVersion, controllerID, b.s.epoch
				req.BrokerEpoch, req.TopicStates, req.LiveBrokers = b.s.brokers[id].Epoch, topics, live
				out = append(out, outgoing{id, req})
			}
		}
	}
	for _, id := range slices.Sorted(maps.Keys(b.stop)) {
		if registered(id) {
			out = append(out, outgoing{id, b.stopReplicaRequest(controllerID, id)})
		}
	}
	return out
}

func (b *batch) leaderAndIsrRequest(controllerID, to int32, listener string) kmsg.Request {
	req := kmsg.NewPtrLeaderAndISRRequest()
	req.Version, req.ControllerID, req.ControllerEpoch = leaderAndIsrVersion, controllerID, b.s.epoch
	req.BrokerEpoch = b.s.brokers[to].Epoch
	leaders := map[int32]bool{}
	for _, tps := range byTopic(b.leaderAndIsr[to]) {
		t := kmsg.NewLeaderAndISRRequestTopicState()
		t.Topic, t.TopicID = tps[0].Topic, b.topicID(tps[0].Topic)
		t.PartitionStates = make([]kmsg.LeaderAndISRRequestTopicPartition, 0, len(tps))
		for _, tp := range tps {
			e := b.leaderAndIsr[to][tp]
			p := kmsg.NewLeaderAndISRRequestTopicPartition()
			p.Partition, p.ControllerEpoch = tp.Partition, e.state.ControllerEpoch
			p.Leader, p.LeaderEpoch, p.ISR, p.ZKVersion = e.state.Leader, e.state.LeaderEpoch, e.state.ISR, e.state.PartitionEpoch
			p.Replicas, p.AddingReplicas, p.RemovingReplicas = e.assignment.Replicas, e.assignment.Adding, e.assignment.Removing
			p.IsNew, p.LeaderRecoveryState = e.isNew, int8(e.state.Recovery)
			t.PartitionStates = append(t.PartitionStates, p)
			leaders[e.state.Leader] = true
		}
		req.TopicStates = append(req.TopicStates, t)
	}
	for _, id := range slices.Sorted(maps.Keys(leaders)) {
		if br := b.s.brokers[id]; br != nil {
			if e, ok := br.Endpoint(listener); ok {
				req.LiveLeaders = append(req.LiveLeaders, kmsg.LeaderAndISRRequestLiveLeader{BrokerID: id, Host: e.Host, Port: e.Port})
			}
		}
	}
	return req
}

func (b *batch) updateTopics() []kmsg.UpdateMetadataRequestTopicState {
	var out []kmsg.UpdateMetadataRequestTopicState
	for _, tps := range byTopic(b.update) {
		t := kmsg.NewUpdateMetadataRequestTopicState()
		t.Topic, t.TopicID = tps[0].Topic, b.topicID(tps[0].Topic)
		t.PartitionStates = make([]kmsg.UpdateMetadataRequestTopicPartition, 0, len(tps))
		for _, tp := range tps {
			e := b.update[tp]
			p := kmsg.NewUpdateMetadataRequestTopicPartition()
			p.Partition, p.ControllerEpoch = tp.Partition, e.state.ControllerEpoch
			p.Leader, p.LeaderEpoch, p.ISR, p.ZKVersion = e.state.Leader, e.state.LeaderEpoch, e.state.ISR, e.state.PartitionEpoch
			p.Replicas, p.OfflineReplicas = e.replicas, e.offline
			t.PartitionStates = append(t.PartitionStates, p)
		}
		out = append(out, t)
	}
	return out
}

// liveBrokers lists all registered brokers, those shutting down too; it replaces the receiver's list.
func (b *batch) liveBrokers() []kmsg.UpdateMetadataRequestLiveBroker {
	var out []kmsg.UpdateMetadataRequestLiveBroker
	for _, id := range b.s.brokerIDs() {
		br := b.s.brokers[id]
		l := kmsg.NewUpdateMetadataRequestLiveBroker()
		l.ID = id
		for _, e := range br.Endpoints {
			l.Endpoints = append(l.Endpoints, kmsg.UpdateMetadataRequestLiveBrokerEndpoint{
				Host: e.Host, Port: e.Port, ListenerName: e.Listener, SecurityProtocol: int16(e.Protocol),
			})
		}
		if br.Rack != "" {
			l.Rack = kmsg.StringPtr(br.Rack)
		}
		out = append(out, l)
	}
	return out
}

func (b *batch) stopReplicaRequest(controllerID, to int32) kmsg.Request {
	req := &protocol.StopReplicaRequest{StopReplicaRequest: kmsg.NewStopReplicaRequest()}
	req.Version, req.ControllerID, req.ControllerEpoch = stopReplicaVersion, controllerID, b.s.epoch
	req.BrokerEpoch = b.s.brokers[to].Epoch
	for _, tps := range byTopic(b.stop[to]) {
		t := kmsg.NewStopReplicaRequestTopic()
		t.Topic = tps[0].Topic
		for _, tp := range tps {
			e := b.stop[to][tp]
			p := kmsg.NewStopReplicaRequestTopicPartitionState()
			p.Partition, p.LeaderEpoch, p.Delete = tp.Partition, e.leaderEpoch, e.delete
			t.PartitionStates = append(t.PartitionStates, p)
		}
		req.Topics = append(req.Topics, t)
	}
	return req
}

func (b *batch) topicID(name string) metadata.TopicID {
	if t := b.s.topics[name]; t != nil {
		return t.id
	}
	return metadata.TopicID{}
}
