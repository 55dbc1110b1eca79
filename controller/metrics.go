package controller

import "sync/atomic"

// Metrics are the controller's gauges and counters under Kafka's names (kafka.controller:type=KafkaController). The
// gauges are zero while the broker is not the controller.
type Metrics struct {
	ActiveControllerCount          int
	OfflinePartitionsCount         int
	PreferredReplicaImbalanceCount int
	GlobalTopicCount               int
	GlobalPartitionCount           int
	TopicsToDeleteCount            int
	TopicsIneligibleToDeleteCount  int
	ActiveBrokerCount              int
	FencedBrokerCount              int // always 0 with ZooKeeper
	EventQueueSize                 int

	// Counters since the start.
	UncleanLeaderElections int64
	LeaderElections        int64 // elections of this broker to controller
	EventsProcessed        int64
	EventErrors            int64
	RequestsSent           int64
	RequestFailures        int64 // tries of control requests that failed
	QueueOverflows         int64 // queues to brokers that were dropped for a full resend
}

type counters struct {
	uncleanElections, elections, events, errors, sent, failed, overflows atomic.Int64
}

// Metrics returns the current values.
func (c *Controller) Metrics() Metrics {
	m := *c.gauges.Load()
	m.EventQueueSize = c.queue.len()
	m.UncleanLeaderElections, m.LeaderElections = c.counters.uncleanElections.Load(), c.counters.elections.Load()
	m.EventsProcessed, m.EventErrors = c.counters.events.Load(), c.counters.errors.Load()
	m.RequestsSent, m.RequestFailures = c.counters.sent.Load(), c.counters.failed.Load()
	m.QueueOverflows = c.counters.overflows.Load()
	return m
}

// updateGauges counts anew after an event. The walk is linear in the partitions; events of a large cluster are far
// between, and counters kept by increments go wrong unseen.
func (c *Controller) updateGauges() {
	m := &Metrics{}
	if c.active {
		m.ActiveControllerCount = 1
		m.GlobalTopicCount, m.ActiveBrokerCount = len(c.s.topics), len(c.s.brokers)
		m.TopicsToDeleteCount, m.TopicsIneligibleToDeleteCount = len(c.s.toDelete), len(c.s.ineligible)
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
	c.gauges.Store(m)
}
