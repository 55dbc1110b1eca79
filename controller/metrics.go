package controller

import (
	"maps"
	"sync/atomic"
	"time"
)

// Metrics are the controller's gauges and counters under Kafka's names (kafka.controller:type=KafkaController). The
// gauges are zero while the broker is not the controller.
type Metrics struct {
	ActiveControllerCount           int
	OfflinePartitionsCount          int
	PreferredReplicaImbalanceCount  int
	GlobalTopicCount                int
	GlobalPartitionCount            int
	TopicsToDeleteCount             int
	ReplicasToDeleteCount           int // those of topics to be deleted that are still there
	TopicsIneligibleToDeleteCount   int
	ReplicasIneligibleToDeleteCount int
	ActiveBrokerCount               int
	FencedBrokerCount               int // always 0 with ZooKeeper
	EventQueueSize                  int
	// State is what the controller is doing.
	State State
	// QueueSizes are the requests that wait for each broker's answer, the one in flight too.
	QueueSizes map[int32]int

	// Counters since the start.
	EventTimes             [StateCount]EventTime // by the state that the events put the controller into
	UncleanLeaderElections int64
	LeaderElections        int64 // elections of this broker to controller
	EventsProcessed        int64
	EventErrors            int64
	RequestsSent           int64
	RequestFailures        int64 // tries of control requests that failed
	QueueOverflows         int64 // queues to brokers that were dropped for a full resend
}

// EventTime is how many events there were, and how long they took together.
type EventTime struct {
	Count int64
	Took  time.Duration
}

type counters struct {
	uncleanElections, elections, events, errors, sent, failed, overflows atomic.Int64

	state atomic.Int32
	times [StateCount]struct{ count, took atomic.Int64 }
}

// gauges are what the loop has counted, with the channels of that moment.
type gauges struct {
	Metrics
	channels map[int32]*channel
}

// began and ended bracket an event.
func (c *Controller) began(e *event) (State, time.Duration) {
	s := stateOf(e.name)
	c.counters.state.Store(int32(s))
	c.counters.events.Add(1)
	return s, c.opt.Clock.Mono()
}

func (c *Controller) ended(s State, at time.Duration) {
	t := &c.counters.times[s]
	t.took.Add(int64(c.opt.Clock.Mono() - at))
	t.count.Add(1)
	c.counters.state.Store(int32(Idle))
}

// Metrics returns the current values.
func (c *Controller) Metrics() Metrics {
	g := c.gauges.Load()
	m := g.Metrics
	m.EventQueueSize, m.State = c.queue.len(), State(c.counters.state.Load())
	m.QueueSizes = make(map[int32]int, len(g.channels))
	for id, ch := range g.channels {
		m.QueueSizes[id] = ch.peer.Len()
	}
	for i := range m.EventTimes {
		t := &c.counters.times[i]
		m.EventTimes[i] = EventTime{Count: t.count.Load(), Took: time.Duration(t.took.Load())}
	}
	m.UncleanLeaderElections, m.LeaderElections = c.counters.uncleanElections.Load(), c.counters.elections.Load()
	m.EventsProcessed, m.EventErrors = c.counters.events.Load(), c.counters.errors.Load()
	m.RequestsSent, m.RequestFailures = c.counters.sent.Load(), c.counters.failed.Load()
	m.QueueOverflows = c.counters.overflows.Load()
	return m
}

// updateGauges counts anew after an event. The walk is linear in the partitions; events of a large cluster are far
// between, and counters kept by increments go wrong unseen.
func (c *Controller) updateGauges() {
	g := &gauges{channels: maps.Clone(c.channels)}
	m := &g.Metrics
	if c.active {
		m.ActiveControllerCount = 1
		m.GlobalTopicCount, m.ActiveBrokerCount = len(c.s.topics), len(c.s.brokers)
		m.TopicsToDeleteCount, m.TopicsIneligibleToDeleteCount = len(c.s.toDelete), len(c.s.ineligible)
		for name := range c.s.toDelete {
			c.s.countDeletions(name, m)
		}
		for _, t := range c.s.topics {
			started, queued := c.s.deletionStarted[t.name], c.s.toDelete[t.name]
			for _, p := range t.partitions {
				if p.state == partitionOffline && !started {
					m.OfflinePartitionsCount++
				}
				if p.info != nil {
					m.GlobalPartitionCount++
					if !queued && !p.hasPreferredLeader() {
						m.PreferredReplicaImbalanceCount++
					}
				}
			}
		}
	}
	c.gauges.Store(g)
}

// countDeletions counts the replicas of a topic that is to be deleted (Kafka 3.9 KafkaController.updateMetrics).
func (s *cluster) countDeletions(name string, m *Metrics) {
	t := s.topics[name]
	if t == nil {
		return
	}
	for _, p := range t.partitions {
		for _, id := range p.assignment.Replicas {
			switch p.replicas[id] {
			case replicaDeletionSuccessful:
				continue
			case replicaDeletionIneligible:
				m.ReplicasIneligibleToDeleteCount++
			}
			m.ReplicasToDeleteCount++
		}
	}
}
