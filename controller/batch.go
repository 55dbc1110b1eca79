package controller

import (
	"cmp"
	"maps"
	"slices"

	"gokafka/metadata"
)

// Leader epochs of StopReplica that are no epochs (Kafka 3.9 LeaderAndIsr).
const (
	epochUnknown      int32 = -1
	epochDuringDelete int32 = -2
)

// batch collects what one state-machine call has to tell the brokers: one LeaderAndIsr, one UpdateMetadata and one
// StopReplica for each at most, sent in this order (Kafka 3.9 ControllerBrokerRequestBatch). Later entries of a
// partition replace earlier ones, except that isNew and delete stick.
type batch struct {
	s *cluster

	leaderAndIsr map[int32]map[metadata.TopicPartition]leaderAndIsrEntry
	updateTo     map[int32]bool
	update       map[metadata.TopicPartition]updateEntry
	stop         map[int32]map[metadata.TopicPartition]stopEntry
}

type leaderAndIsrEntry struct {
	state      metadata.PartitionState
	assignment Assignment
	isNew      bool
}

type updateEntry struct {
	state    metadata.PartitionState
	replicas []int32
	offline  []int32
}

type stopEntry struct {
	leaderEpoch int32
	delete      bool
}

func newBatch(s *cluster) *batch {
	return &batch{
		s: s, leaderAndIsr: map[int32]map[metadata.TopicPartition]leaderAndIsrEntry{}, updateTo: map[int32]bool{},
		update: map[metadata.TopicPartition]updateEntry{}, stop: map[int32]map[metadata.TopicPartition]stopEntry{},
	}
}

func (b *batch) isEmpty() bool {
	return len(b.leaderAndIsr) == 0 && len(b.updateTo) == 0 && len(b.stop) == 0
}

// addLeaderAndIsr tells the brokers p's leadership, and everyone by UpdateMetadata.
func (b *batch) addLeaderAndIsr(to []int32, p *partition, isNew bool) {
	for _, id := range to {
		m := entries(b.leaderAndIsr, id)
		m[p.tp] = leaderAndIsrEntry{state: *p.info, assignment: p.assignment, isNew: isNew || m[p.tp].isNew}
	}
	b.addUpdateMetadata(b.s.brokerIDs(), p)
}

// addUpdateMetadata tells the brokers who is alive and, for partitions with leadership, who leads. A partition whose
// topic is being deleted is told as gone: leader -2.
func (b *batch) addUpdateMetadata(to []int32, ps ...*partition) {
	for _, id := range to {
		b.updateTo[id] = true
	}
	for _, p := range ps {
		if p.info == nil {
			continue // not led yet: nothing to say
		}
		state := *p.info
		if b.s.toDelete[p.tp.Topic] {
			state.Leader, state.LeaderEpoch, state.PartitionEpoch, state.Recovery = metadata.LeaderDuringDelete, 0, 0, metadata.Recovered
		}
		b.update[p.tp] = updateEntry{
			state: state, replicas: p.assignment.Replicas,
			offline: filter(p.assignment.Replicas, func(id int32) bool { return !b.s.isOnline(id, p.tp) }),
		}
	}
}

// addStopReplica tells the broker to stop, or delete, its replica of p. The epoch is p's as of now, before any shrink.
func (b *batch) addStopReplica(to int32, p *partition, del bool) {
	epoch := epochUnknown
	switch {
	case b.s.toDelete[p.tp.Topic]:
		epoch = epochDuringDelete
	case p.info != nil:
		epoch = p.info.LeaderEpoch
	}
	m := entries(b.stop, to)
	m[p.tp] = stopEntry{leaderEpoch: epoch, delete: del || m[p.tp].delete}
}

func entries[E any](m map[int32]map[metadata.TopicPartition]E, id int32) map[metadata.TopicPartition]E {
	if m[id] == nil {
		m[id] = map[metadata.TopicPartition]E{}
	}
	return m[id]
}

// byTopic groups the keys of m: topics in order, and in each the partitions in order.
func byTopic[E any](m map[metadata.TopicPartition]E) [][]metadata.TopicPartition {
	keys := slices.SortedFunc(maps.Keys(m), compareTP)
	var out [][]metadata.TopicPartition
	for len(keys) > 0 {
		n := 1
		for n < len(keys) && keys[n].Topic == keys[0].Topic {
			n++
		}
		out, keys = append(out, keys[:n:n]), keys[n:]
	}
	return out
}

func compareTP(a, b metadata.TopicPartition) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
}
