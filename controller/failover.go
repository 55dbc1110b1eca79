package controller

import (
	"context"
	"maps"
	"slices"
	"time"

	"gokafka/coordination"
	"gokafka/coordination/znode"
)

// firstRebalance is the time from taking office to the first check of preferred leaders (Kafka 3.9 onControllerFailover).
const firstRebalance = 5 * time.Second

// failover takes office: reads the cluster from the store, tells the brokers who is alive, then runs both state machines
// over everything. The order is Kafka 3.9's onControllerFailover: watches before the reads they guard, and
// UpdateMetadata before the first LeaderAndIsr, since a follower ignores a leader it does not know.
func (c *Controller) failover(ctx context.Context) error {
	features, err := c.store.ensureFeature(ctx, c.opt.BirthFeatures)
	if err != nil {
		return err
	}
	c.watchCluster()
	if err := c.purgeNotifications(ctx); err != nil {
		return err
	}
	if err := c.load(ctx, features); err != nil {
		return err
	}
	if err := c.loadDeletions(ctx); err != nil {
		return err
	}
	// Partitions are not told yet: a client that sees a leader sends to it, and the leader hears of its office by LeaderAndIsr first.
	c.sendUpdateMetadata(c.s.brokerIDs())
	if err := c.startReplicas(ctx); err != nil {
		return err
	}
	if err := c.startPartitions(ctx); err != nil {
		return err
	}
	c.log.Info("Ready to serve as the new controller", "epoch", c.s.epoch, "brokers", len(c.s.brokers), "topics", len(c.s.topics))
	if err := c.resumeReassignments(ctx); err != nil {
		return err
	}
	if err := c.resumeDeletions(ctx); err != nil {
		return err
	}
	if err := c.preferredElectionRequested(ctx); err != nil {
		return err
	}
	if c.opt.AutoLeaderRebalance {
		c.scheduleRebalance(firstRebalance)
	}
	return nil
}

func (c *Controller) watchCluster() {
	for _, w := range []struct {
		path string
		name string
		run  func(context.Context) error
	}{
		{znode.BrokerIDsPath, "BrokerChange", c.brokersChanged},
		{znode.TopicsPath, "TopicChange", c.topicsChanged},
		{znode.DeleteTopicsPath, "TopicDeletion", c.deletionsRequested},
		{znode.LogDirEventPath, "LogDirEventNotification", c.logDirEvents},
		{znode.ISRChangePath, "IsrChangeNotification", c.isrChanges},
	} {
		c.watch(w.path, coordination.WatchChildren, w.name, c.ifActive(w.run))
	}
	c.watch(znode.PreferredElectionPath, coordination.WatchData, "ReplicaLeaderElection", c.ifActive(c.preferredElectionRequested))
	c.watch(znode.ReassignPartitionsPath, coordination.WatchData, "ZkPartitionReassignment", c.ifActive(c.reassignmentRequested))
}

// load reads brokers, topics and partition states, and opens a channel to each broker.
func (c *Controller) load(ctx context.Context, features map[string]int16) error {
	s := c.s
	s.finalized = features
	brokers, err := c.registrations(ctx)
	if err != nil {
		return err
	}
	for _, b := range brokers {
		s.brokers[b.ID] = b
	}
	names, err := c.store.topics(ctx)
	if err != nil {
		return err
	}
	if _, err := c.loadTopics(ctx, names); err != nil {
		return err
	}
	for _, id := range s.brokerIDs() {
		if err := c.watchBroker(ctx, id); err != nil {
			return err
		}
	}
	if err := c.loadStates(ctx, s.partitionsWhere(func(*partition) bool { return true })); err != nil {
		return err
	}
	for _, id := range s.brokerIDs() {
		c.addBroker(s.brokers[id])
	}
	c.log.Info("cluster read", "brokers", s.brokerIDs(), "topics", len(s.topics))
	return nil
}

// loadTopics reads the assignments of topics, with a watch on each, gives ids to those that have none, and returns the
// partitions. Topics that are gone meanwhile are left out.
func (c *Controller) loadTopics(ctx context.Context, names []string) ([]*partition, error) {
	slices.Sort(names)
	for _, name := range names {
		c.watchTopic(name)
	}
	nodes, err := c.store.assignments(ctx, names)
	if err != nil {
		return nil, err
	}
	if err := c.store.giveTopicIDs(ctx, nodes); err != nil {
		return nil, err
	}
	var out []*partition
	for _, name := range slices.Sorted(maps.Keys(nodes)) {
		t := c.s.addTopic(name, nodes[name].id)
		for index, a := range nodes[name].partitions {
			p := t.add(index, a)
			if a.IsBeingReassigned() {
				c.s.reassigning[p.tp] = true
			}
		}
		out = append(out, t.sorted()...)
	}
	return out, nil
}

// loadStates refreshes the leadership of partitions from the store.
func (c *Controller) loadStates(ctx context.Context, ps []*partition) error {
	states, err := c.store.states(ctx, ps)
	if err != nil {
		return err
	}
	for i, p := range ps {
		if states[i] != nil {
			p.info = states[i]
		}
	}
	return nil
}

// loadDeletions reads which topics are to be deleted. Those with an offline replica or a running reassignment begin as
// ineligible.
func (c *Controller) loadDeletions(ctx context.Context) error {
	names, err := c.store.topicDeletions(ctx)
	if err != nil {
		return err
	}
	if !c.opt.DeleteTopicEnable {
		return c.store.deleteTopicDeletions(ctx, names)
	}
	for _, name := range names {
		t := c.s.topics[name]
		c.s.toDelete[name] = true
		if t == nil {
			continue // its znodes are gone, only the mark is left: resumeDeletions completes it
		}
		for _, p := range t.partitions {
			offline := slices.ContainsFunc(p.assignment.Replicas, func(id int32) bool { return !c.s.isOnline(id, p.tp) })
			if offline || c.s.reassigning[p.tp] {
				c.s.ineligible[name] = true
			}
		}
	}
	return nil
}

// startReplicas puts every replica into its first state. Those of live brokers are told everything by LeaderAndIsr;
// those of dead ones leave the ISRs. A dead replica starts as DeletionIneligible, so that it cannot block a deletion.
func (c *Controller) startReplicas(ctx context.Context) error {
	var online, offline []replica
	for _, r := range c.s.replicasWhere(func(replica) bool { return true }) {
		if c.s.isOnline(r.id, r.p.tp) {
			r.p.replicas[r.id] = replicaOnline
			online = append(online, r)
		} else {
			r.p.replicas[r.id] = replicaDeletionIneligible
			offline = append(offline, r)
		}
	}
	// Partitions without an online replica are told with the others: a broker that has just started would otherwise show clients their topics with
	// partitions missing. (With Apache it does.)
	b := newBatch(c.s)
	if unserved := c.s.partitionsWhere(c.s.isUnserved); len(unserved) > 0 {
		b.addUpdateMetadata(c.s.brokerIDs(), unserved...)
	}
	if err := c.addReplicasTo(ctx, b, online, replicaOnline); err != nil {
		return err
	}
	c.send(b)
	return c.replicasTo(ctx, offline, replicaOffline)
}

func (c *Controller) startPartitions(ctx context.Context) error {
	for _, p := range c.s.partitionsWhere(func(*partition) bool { return true }) {
		switch {
		case p.info == nil:
			p.state = partitionNew
		case c.s.isOnline(p.info.Leader, p.tp):
			p.state = partitionOnline
		default:
			p.state = partitionOffline
		}
	}
	_, err := c.triggerOnline(ctx, "")
	return err
}

// registrations reads the brokers that take part, and says which do not and why.
func (c *Controller) registrations(ctx context.Context) ([]*liveBroker, error) {
	brokers, bad, err := c.store.brokers(ctx)
	for _, e := range bad {
		c.log.Error("ignoring a broken registration", "error", e)
	}
	return c.compatible(slices.DeleteFunc(brokers, func(b *liveBroker) bool { return c.opt.Suspected(b.ID, b.Epoch) })), err
}

// compatible leaves out brokers that do not support a finalized feature at its level.
func (c *Controller) compatible(brokers []*liveBroker) []*liveBroker {
	return slices.DeleteFunc(brokers, func(b *liveBroker) bool {
		for name, level := range c.s.finalized {
			if r, ok := b.features[name]; !ok || level < r.min || level > r.max {
				c.log.Warn("ignoring the registration of a broker that does not support a finalized feature",
					"broker", b.ID, "feature", name, "level", level)
				return true
			}
		}
		return false
	})
}

// sendUpdateMetadata tells brokers who is alive, and the leadership of ps.
func (c *Controller) sendUpdateMetadata(to []int32, ps ...*partition) {
	b := newBatch(c.s)
	b.addUpdateMetadata(to, ps...)
	c.send(b)
}
