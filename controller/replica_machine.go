package controller

import (
	"context"
	"maps"
	"slices"
)

// replicasTo moves replicas to a state and sends one round of requests at the end. What a state does on entry stands in
// the switch. Replicas are taken broker by broker, since going offline shrinks the ISR once for each.
// Source: Kafka 3.9 ZkReplicaStateMachine.doHandleStateChanges.
func (c *Controller) replicasTo(ctx context.Context, rs []replica, target replicaState) error {
	if len(rs) == 0 {
		return nil
	}
	b := newBatch(c.s)
	if err := c.addReplicasTo(ctx, b, rs, target); err != nil {
		return err
	}
	c.send(b)
	return nil
}

// addReplicasTo is replicasTo, but what is to be sent goes into b.
func (c *Controller) addReplicasTo(ctx context.Context, b *batch, rs []replica, target replicaState) error {
	byBroker := map[int32][]*partition{}
	for _, r := range rs {
		if now := r.p.replicas[r.id]; now.canMoveTo(target) {
			byBroker[r.id] = append(byBroker[r.id], r.p)
		} else {
			c.log.Error("illegal replica state change", "partition", r.p.tp.String(), "replica", r.id,
				"from", now.String(), "to", target.String())
		}
	}
	for _, id := range slices.Sorted(maps.Keys(byBroker)) {
		ps := byBroker[id]
		switch target {
		case replicaNew:
			c.replicasNew(b, id, ps)
		case replicaOnline:
			c.replicasOnline(b, id, ps)
		case replicaOffline:
			if err := c.replicasOffline(ctx, b, id, ps); err != nil {
				return err
			}
		case replicaDeletionStarted:
			for _, p := range ps {
				p.replicas[id] = replicaDeletionStarted
				b.addStopReplica(id, p, true)
			}
		case replicaDeletionSuccessful, replicaDeletionIneligible:
			for _, p := range ps {
				p.replicas[id] = target
			}
		case replicaNonExistent:
			for _, p := range ps {
				p.assignment = p.assignment.removeReplica(id)
				delete(p.replicas, id)
			}
		}
	}
	return nil
}

func (c *Controller) replicasNew(b *batch, id int32, ps []*partition) {
	for _, p := range ps {
		if p.info != nil {
			if p.info.Leader == id {
				c.log.Error("a replica that leads cannot become new", "partition", p.tp.String(), "replica", id)
				continue
			}
			b.addLeaderAndIsr([]int32{id}, p, true)
		}
		p.replicas[id] = replicaNew
	}
}

func (c *Controller) replicasOnline(b *batch, id int32, ps []*partition) {
	for _, p := range ps {
		if p.replicas[id] == replicaNew {
			if !slices.Contains(p.assignment.Replicas, id) {
				c.log.Error("replica is not part of the assignment, adding it", "partition", p.tp.String(), "replica", id,
					"assignment", p.assignment.String())
				p.assignment.Replicas = append(slices.Clone(p.assignment.Replicas), id)
			}
		} else if p.info != nil {
			b.addLeaderAndIsr([]int32{id}, p, false)
		}
		p.replicas[id] = replicaOnline
	}
}

// replicasOffline tells the broker to stop, takes it out of the ISRs and tells the other replicas, also where it was not
// in the ISR and nothing was stored.
func (c *Controller) replicasOffline(ctx context.Context, b *batch, id int32, ps []*partition) error {
	var led []*partition
	for _, p := range ps {
		b.addStopReplica(id, p, false) // with the leader epoch from before the shrink
		if p.info != nil {
			led = append(led, p)
			continue
		}
		b.addUpdateMetadata(c.s.brokerIDs(), p)
		p.replicas[id] = replicaOffline
	}
	for len(led) > 0 {
		pl, untouched := c.s.planShrink(led, id)
		results, err := c.store.writeStates(ctx, pl.writes)
		if err != nil {
			return err
		}
		stored, conflicts := pl.commit(results)
		for _, p := range untouched {
			same := *p.info
			same.ControllerEpoch = c.s.epoch
			p.info = &same
			c.offline(b, id, p, without(p.assignment.Replicas, []int32{id}))
		}
		for _, w := range stored {
			c.offline(b, id, w.p, w.recipients)
		}
		c.told(stored)
		for _, r := range pl.refused {
			c.log.Error("failed to take a replica out of the ISR", "partition", r.p.tp.String(), "replica", id, "error", r.err)
		}
		led = conflicts
	}
	return nil
}

func (c *Controller) offline(b *batch, id int32, p *partition, tell []int32) {
	if !c.s.toDelete[p.tp.Topic] {
		b.addLeaderAndIsr(tell, p, false)
	}
	p.replicas[id] = replicaOffline
}
