package controller

import (
	"context"

	"gokafka/metadata"
)

// Dump is what a controller holds of the cluster, for people and for tests that compare it with the znodes and with what brokers say.
type Dump struct {
	Epoch   int32 // controller epoch
	Brokers []DumpBroker
	Topics  []DumpTopic // by name
}

// DumpBroker is a registered broker.
type DumpBroker struct {
	ID           int32
	Epoch        int64
	ShuttingDown bool
}

// DumpTopic is a topic. Deleting says that it is queued for deletion; Waits, that its deletion waits for a broker or for the end of a reassignment.
type DumpTopic struct {
	Name            string
	ID              metadata.TopicID
	Deleting, Waits bool
	Partitions      []DumpPartition // by index
}

// DumpPartition is a partition. Leadership is nil before the first leader.
type DumpPartition struct {
	Partition  int32
	Assignment Assignment
	State      string
	Leadership *metadata.PartitionState
	Replicas   map[int32]string // states
}

// Dump shows the cluster as this controller holds it between two events, or ErrNotActive.
func (c *Controller) Dump(ctx context.Context) (*Dump, error) {
	return ask(ctx, c, "Dump", func(context.Context) (*Dump, error) { return c.s.dump(), nil })
}

func (s *cluster) dump() *Dump {
	d := &Dump{Epoch: s.epoch, Brokers: []DumpBroker{}, Topics: []DumpTopic{}}
	for _, id := range s.brokerIDs() {
		d.Brokers = append(d.Brokers, DumpBroker{ID: id, Epoch: s.brokers[id].Epoch, ShuttingDown: s.shuttingDown[id]})
	}
	for _, t := range s.sortedTopics() {
		dt := DumpTopic{Name: t.name, ID: t.id, Deleting: s.toDelete[t.name], Waits: s.ineligible[t.name], Partitions: []DumpPartition{}}
		for _, p := range t.sorted() {
			dp := DumpPartition{Partition: p.tp.Partition, Assignment: p.assignment, State: p.state.String(), Replicas: map[int32]string{}}
			if p.info != nil {
				info := *p.info
				dp.Leadership = &info
			}
			for id, state := range p.replicas {
				dp.Replicas[id] = state.String()
			}
			dt.Partitions = append(dt.Partitions, dp)
		}
		d.Topics = append(d.Topics, dt)
	}
	return d
}
