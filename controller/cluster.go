package controller

import (
	"cmp"
	"maps"
	"slices"

	"gokafka/metadata"
)

// liveBroker is a registered broker, perhaps shutting down.
type liveBroker struct {
	metadata.Broker
	features map[string]versionRange // supported features, as registered
}

type versionRange struct{ min, max int16 }

// cluster is what the controller knows, as of the last answers of the store. The event loop owns it; nothing here does
// I/O, starts a goroutine or looks at a clock. Slices reached from it are never changed in place, so that requests may
// share them.
type cluster struct {
	epoch int32 // controller epoch

	brokers      map[int32]*liveBroker
	shuttingDown map[int32]bool                             // until their registration goes (Kafka 3.9 shuttingDownBrokerIds)
	offlineDirs  map[int32]map[metadata.TopicPartition]bool // replicas whose broker answered KAFKA_STORAGE_ERROR

	finalized map[string]int16 // finalized features of /feature

	topics      map[string]*topic
	topicNames  map[metadata.TopicID]string
	reassigning map[metadata.TopicPartition]bool

	toDelete        map[string]bool // queued for deletion
	deletionStarted map[string]bool // subset of toDelete whose partitions are NonExistent
	ineligible      map[string]bool // subset of toDelete that waits for a broker or for the end of a reassignment
}

type topic struct {
	name       string
	id         metadata.TopicID // zero until known
	partitions map[int32]*partition
}

type partition struct {
	tp         metadata.TopicPartition
	assignment Assignment
	state      partitionState
	// info is leadership as last stored; nil before the first leader.
	info     *metadata.PartitionState
	replicas map[int32]replicaState
}

// replica names one replica of a partition.
type replica struct {
	p  *partition
	id int32
}

func newCluster() *cluster {
	return &cluster{
		brokers: map[int32]*liveBroker{}, shuttingDown: map[int32]bool{}, offlineDirs: map[int32]map[metadata.TopicPartition]bool{},
		topics: map[string]*topic{}, topicNames: map[metadata.TopicID]string{}, reassigning: map[metadata.TopicPartition]bool{},
		toDelete: map[string]bool{}, deletionStarted: map[string]bool{}, ineligible: map[string]bool{},
	}
}

// addTopic remembers a topic and its id.
func (s *cluster) addTopic(name string, id metadata.TopicID) *topic {
	t := s.topics[name]
	if t == nil {
		t = &topic{name: name, partitions: map[int32]*partition{}}
		s.topics[name] = t
	}
	if !id.IsZero() {
		t.id = id
		s.topicNames[id] = name
	}
	return t
}

func (s *cluster) removeTopic(name string) {
	t := s.topics[name]
	if t == nil {
		return
	}
	for _, p := range t.partitions {
		delete(s.reassigning, p.tp)
		for _, dirs := range s.offlineDirs {
			delete(dirs, p.tp)
		}
	}
	delete(s.topics, name)
	if s.topicNames[t.id] == name {
		delete(s.topicNames, t.id)
	}
	delete(s.toDelete, name)
	delete(s.deletionStarted, name)
	delete(s.ineligible, name)
}

func (t *topic) add(index int32, a Assignment) *partition {
	p := &partition{
		tp: metadata.TopicPartition{Topic: t.name, Partition: index}, assignment: a, replicas: map[int32]replicaState{},
	}
	t.partitions[index] = p
	return p
}

func (s *cluster) partition(tp metadata.TopicPartition) *partition {
	if t := s.topics[tp.Topic]; t != nil {
		return t.partitions[tp.Partition]
	}
	return nil
}

func (s *cluster) isLive(broker int32) bool {
	return s.brokers[broker] != nil && !s.shuttingDown[broker]
}

// isOnline says whether the broker's replica of tp can serve: its broker is registered, not shutting down, and has not
// reported its directory as failed.
func (s *cluster) isOnline(broker int32, tp metadata.TopicPartition) bool {
	return s.isLive(broker) && !s.offlineDirs[broker][tp]
}

func (s *cluster) isOnlineOrShuttingDown(broker int32, tp metadata.TopicPartition) bool {
	return s.brokers[broker] != nil && !s.offlineDirs[broker][tp]
}

// brokerIDs are the brokers that are registered, shutting down or not, in order.
func (s *cluster) brokerIDs() []int32 { return slices.Sorted(maps.Keys(s.brokers)) }

// sortedTopics, sortedPartitions and the like give each walk one order, so that a history replays.
func (s *cluster) sortedTopics() []*topic {
	out := make([]*topic, 0, len(s.topics))
	for _, t := range s.topics {
		out = append(out, t)
	}
	slices.SortFunc(out, func(a, b *topic) int { return cmp.Compare(a.name, b.name) })
	return out
}

func (t *topic) sorted() []*partition {
	out := make([]*partition, 0, len(t.partitions))
	for _, p := range t.partitions {
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b *partition) int { return cmp.Compare(a.tp.Partition, b.tp.Partition) })
	return out
}

// partitionsWhere are the partitions that satisfy keep, in order.
func (s *cluster) partitionsWhere(keep func(*partition) bool) []*partition {
	var out []*partition
	for _, t := range s.sortedTopics() {
		for _, p := range t.sorted() {
			if keep(p) {
				out = append(out, p)
			}
		}
	}
	return out
}

// replicasWhere are the assigned replicas that satisfy keep, in order.
func (s *cluster) replicasWhere(keep func(replica) bool) []replica {
	var out []replica
	for _, t := range s.sortedTopics() {
		out = append(out, t.replicasWhere(keep)...)
	}
	return out
}

func (t *topic) replicasWhere(keep func(replica) bool) []replica {
	return replicasOf(t.sorted(), keep)
}

func replicasOf(ps []*partition, keep func(replica) bool) []replica {
	var out []replica
	for _, p := range ps {
		for _, id := range p.assignment.Replicas {
			if r := (replica{p, id}); keep == nil || keep(r) {
				out = append(out, r)
			}
		}
	}
	return out
}

func (s *cluster) replicasOn(brokers []int32) []replica {
	return s.replicasWhere(func(r replica) bool { return slices.Contains(brokers, r.id) })
}

// leaderIsOffline says whether p has a leader recorded that cannot serve.
func (s *cluster) leaderIsOffline(p *partition) bool {
	return p.info != nil && !s.isOnline(p.info.Leader, p.tp) && !s.toDelete[p.tp.Topic]
}

// waitsForLeader says whether p is to be tried when something changed for the better.
func (s *cluster) waitsForLeader(p *partition) bool {
	return (p.state == partitionOffline || p.state == partitionNew) && !s.toDelete[p.tp.Topic]
}

// isUnserved says whether p is to stay and none of its replicas can serve.
func (s *cluster) isUnserved(p *partition) bool {
	return !s.toDelete[p.tp.Topic] && !slices.ContainsFunc(p.assignment.Replicas, func(id int32) bool { return s.isOnline(id, p.tp) })
}

// hasOnlineISR says whether any member of the ISR can serve.
func (s *cluster) hasOnlineISR(p *partition) bool {
	return p.info != nil && slices.ContainsFunc(p.info.ISR, func(id int32) bool { return s.isOnline(id, p.tp) })
}

// hasPreferredLeader is Kafka 3.9 ControllerContext.hasPreferredLeader: a preferred replica that is only being added
// counts as imbalance not before it has joined the ISR.
func (p *partition) hasPreferredLeader() bool {
	if len(p.assignment.Replicas) == 0 {
		return true
	}
	preferred := p.assignment.Replicas[0]
	if slices.Contains(p.assignment.Adding, preferred) {
		return !slices.Contains(p.info.ISR, preferred)
	}
	return p.info.Leader == preferred
}

func sortedKeys[K int32 | string, V any](m map[K]V) []K { return slices.Sorted(maps.Keys(m)) }
