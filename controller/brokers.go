package controller

import (
	"context"
	"slices"

	"gokafka/coordination"
	"gokafka/coordination/znode"
	"gokafka/metadata"
)

// brokersChanged compares the registrations with what is known: new brokers, brokers that bounced (same id, newer broker
// epoch) and dead ones, in this order (Kafka 3.9 processBrokerChange).
func (c *Controller) brokersChanged(ctx context.Context) error {
	registered, err := c.registrations(ctx)
	if err != nil {
		return err
	}
	var fresh, bounced []*liveBroker
	there := map[int32]bool{}
	for _, b := range registered {
		there[b.ID] = true
		switch old := c.s.brokers[b.ID]; {
		case old == nil:
			fresh = append(fresh, b)
		case b.Epoch > old.Epoch:
			bounced = append(bounced, b)
		}
	}
	dead := filter(c.s.brokerIDs(), func(id int32) bool { return !there[id] })
	if len(fresh)+len(bounced)+len(dead) == 0 {
		return nil
	}
	c.log.Info("brokers changed", "new", ids(fresh), "bounced", ids(bounced), "dead", dead)
	c.noteBrokers(ids(fresh), ids(bounced), dead)

	c.addChannels(fresh)
	for _, b := range bounced {
		c.removeBroker(b.ID)
	}
	c.addChannels(bounced)
	for _, id := range dead {
		c.removeBroker(id)
	}
	if len(fresh) > 0 {
		c.register(fresh)
		if err := c.brokersStarted(ctx, ids(fresh)); err != nil {
			return err
		}
	}
	if len(bounced) > 0 {
		c.unregister(ids(bounced))
		if err := c.brokersFailed(ctx, ids(bounced)); err != nil {
			return err
		}
		c.register(bounced)
		if err := c.brokersStarted(ctx, ids(bounced)); err != nil {
			return err
		}
	}
	if len(dead) > 0 {
		c.unregister(dead)
		return c.brokersFailed(ctx, dead)
	}
	return nil
}

func (c *Controller) addChannels(bs []*liveBroker) {
	for _, b := range bs {
		c.addBroker(b)
	}
}

func (c *Controller) register(bs []*liveBroker) {
	for _, b := range bs {
		c.s.brokers[b.ID] = b
	}
}

func (c *Controller) unregister(list []int32) {
	for _, id := range list {
		delete(c.s.brokers, id)
	}
}

func ids(bs []*liveBroker) []int32 {
	out := make([]int32, len(bs))
	for i, b := range bs {
		out[i] = b.ID
	}
	slices.Sort(out)
	return out
}

// brokersStarted tells the others of the new brokers and the new ones everything, and then tries what waited for them
// (Kafka 3.9 onBrokerStartup).
func (c *Controller) brokersStarted(ctx context.Context, started []int32) error {
	for _, id := range started {
		delete(c.s.offlineDirs, id)
	}
	c.sendUpdateMetadata(without(c.s.brokerIDs(), started))
	c.sendUpdateMetadata(started, c.s.partitionsWhere(func(p *partition) bool { return p.info != nil })...)
	rs := c.s.replicasOn(started)
	if err := c.replicasTo(ctx, slices.DeleteFunc(slices.Clone(rs), func(r replica) bool {
		return !r.p.replicas[r.id].canMoveTo(replicaOnline) // being deleted
	}), replicaOnline); err != nil {
		return err
	}
	if _, err := c.triggerOnline(ctx, ""); err != nil {
		return err
	}
	for _, p := range c.reassigningPartitions() {
		if slices.ContainsFunc(p.assignment.Target(), func(id int32) bool { return slices.Contains(started, id) }) {
			if err := c.reassign(ctx, p, p.assignment); err != nil {
				return err
			}
		}
	}
	var waiting []string
	for _, r := range rs {
		if c.s.toDelete[r.p.tp.Topic] && !slices.Contains(waiting, r.p.tp.Topic) {
			waiting = append(waiting, r.p.tp.Topic)
		}
	}
	if err := c.resumeDeletionOf(ctx, waiting); err != nil {
		return err
	}
	for _, id := range started {
		if err := c.watchBroker(ctx, id); err != nil {
			return err
		}
	}
	return nil
}

// brokersFailed is told after the brokers are unregistered (Kafka 3.9 onBrokerFailure).
func (c *Controller) brokersFailed(ctx context.Context, dead []int32) error {
	for _, id := range dead {
		delete(c.s.offlineDirs, id)
		delete(c.s.shuttingDown, id)
		c.unwatch(znode.BrokerPath(id), coordination.WatchData)
	}
	return c.replicasBecameOffline(ctx, c.s.replicasOn(dead))
}

// replicasBecameOffline elects new leaders where the leader is gone, and takes the replicas out of the ISRs
// (Kafka 3.9 onReplicasBecomeOffline).
func (c *Controller) replicasBecameOffline(ctx context.Context, rs []replica) error {
	c.partitionsTo(c.s.partitionsWhere(c.s.leaderIsOffline), partitionOffline)
	outcomes, err := c.triggerOnline(ctx, "")
	if err != nil {
		return err
	}
	var keep, doomed []replica
	for _, r := range rs {
		if c.s.toDelete[r.p.tp.Topic] {
			doomed = append(doomed, r)
		} else {
			keep = append(keep, r)
		}
	}
	if err := c.replicasTo(ctx, keep, replicaOffline); err != nil {
		return err
	}
	if err := c.failDeletion(ctx, doomed, "a broker went away"); err != nil {
		return err
	}
	if len(keep) == 0 && !anyElected(outcomes) {
		c.sendUpdateMetadata(c.s.brokerIDs()) // nothing else told them of the offline brokers
	}
	return nil
}

func anyElected(outcomes map[metadata.TopicPartition]outcome) bool {
	for _, o := range outcomes {
		if o.err == nil {
			return true
		}
	}
	return false
}

func (c *Controller) watchBroker(ctx context.Context, id int32) error {
	c.watch(znode.BrokerPath(id), coordination.WatchData, "BrokerModifications", c.ifActive(func(ctx context.Context) error {
		return c.brokerModified(ctx, id)
	}))
	return c.store.armBroker(ctx, id)
}

// brokerModified looks whether a registered broker has other endpoints or features, and tells everybody. The broker
// epoch stays, so this is no bounce (Kafka 3.9 processBrokerModification).
func (c *Controller) brokerModified(ctx context.Context, id int32) error {
	now, err := c.store.broker(ctx, id)
	if err != nil {
		return err
	}
	old := c.s.brokers[id]
	if now == nil || old == nil || now.Epoch != old.Epoch {
		return nil // BrokerChange is on its way
	}
	if slices.Equal(now.Endpoints, old.Endpoints) && sameFeatures(now.features, old.features) {
		return nil
	}
	c.log.Info("broker changed its registration", "broker", id)
	moved := endpointOf(old, c.opt.controlListener()) != endpointOf(now, c.opt.controlListener())
	c.s.brokers[id] = now
	if moved { // Apache goes on with the old address until the broker bounces
		unanswered := c.removeBroker(id)
		c.addBroker(now)
		if ch := c.channels[id]; ch != nil {
			for _, req := range unanswered { // what was queued is lost: tell it everything
				ch.lost(req)
			}
			ch.overflowed.Store(true)
			c.resend(id, ch)
		}
	}
	c.sendUpdateMetadata(c.s.brokerIDs())
	return nil
}

func sameFeatures(a, b map[string]versionRange) bool {
	if len(a) != len(b) {
		return false
	}
	for name, r := range a {
		if b[name] != r {
			return false
		}
	}
	return true
}

func endpointOf(b *liveBroker, listener string) metadata.Endpoint {
	e, _ := b.Endpoint(listener)
	return e
}
