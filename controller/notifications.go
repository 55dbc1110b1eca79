package controller

import (
	"context"
	"slices"
)

// purgeNotifications drops what was noted for an earlier controller: this one reads everything anyway.
func (c *Controller) purgeNotifications(ctx context.Context) error {
	names, _, err := c.store.logDirEvents(ctx)
	if err != nil {
		return err
	}
	if err := c.store.deleteNotifications(ctx, names); err != nil {
		return err
	}
	names, _, err = c.store.isrChanges(ctx)
	if err != nil {
		return err
	}
	return c.store.deleteNotifications(ctx, names)
}

// logDirEvents asks brokers that have lost a log directory, by LeaderAndIsr for all their replicas, which of them are
// gone: those are answered KAFKA_STORAGE_ERROR (Kafka 3.9 processLogDirEventNotification).
func (c *Controller) logDirEvents(ctx context.Context) error {
	names, brokers, err := c.store.logDirEvents(ctx)
	if err != nil || len(names) == 0 {
		return err
	}
	c.log.Info("brokers have lost a log directory", "brokers", brokers)
	rs := slices.DeleteFunc(c.s.replicasOn(brokers), func(r replica) bool { return !r.p.replicas[r.id].canMoveTo(replicaOnline) })
	if err := c.replicasTo(ctx, rs, replicaOnline); err != nil {
		return err
	}
	return c.store.deleteNotifications(ctx, names)
}

// isrChanges re-reads states that leaders of an older inter.broker.protocol.version wrote themselves.
func (c *Controller) isrChanges(ctx context.Context) error {
	names, tps, err := c.store.isrChanges(ctx)
	if err != nil || len(names) == 0 {
		return err
	}
	var ps []*partition
	for _, tp := range tps {
		if p := c.s.partition(tp); p != nil && !slices.Contains(ps, p) {
			ps = append(ps, p)
		}
	}
	if err := c.loadStates(ctx, ps); err != nil {
		return err
	}
	c.sendUpdateMetadata(c.s.brokerIDs(), ps...)
	for _, p := range ps {
		if c.s.reassigning[p.tp] {
			if err := c.completeReassignment(ctx, p); err != nil {
				return err
			}
		}
	}
	return c.store.deleteNotifications(ctx, names)
}
