package controller

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/metadata"
)

// Reassignment (KIP-455; Kafka 3.9 onPartitionReassignment). RS is the full list of replicas, AR and RR those being
// added and removed. Phase U stores RS, AR, RR in the topic znode, from where every later controller resumes. Phase A,
// until all target replicas are in the ISR: the new replicas are started. Phase B: leadership moves into the target,
// the removed replicas are stopped and deleted, and the topic znode gets the target alone.

// AlterPartitionReassignments starts, replaces or, where the target is nil, cancels reassignments.
func (c *Controller) AlterPartitionReassignments(ctx context.Context, targets map[metadata.TopicPartition][]int32) (map[metadata.TopicPartition]error, error) {
	return ask(ctx, c, "ApiPartitionReassignment", func(ctx context.Context) (map[metadata.TopicPartition]error, error) {
		out := map[metadata.TopicPartition]error{}
		moves := map[metadata.TopicPartition]Assignment{}
		for tp, target := range targets {
			a, err := c.s.planReassignment(tp, target, true)
			if err != nil {
				out[tp] = err
			} else {
				moves[tp] = a
			}
		}
		// The latest request wins over one through ZooKeeper.
		if err := c.dropZkReassignments(ctx, func(tp metadata.TopicPartition, _ []int32) bool { _, ok := moves[tp]; return ok }); err != nil {
			return nil, err
		}
		return out, c.startReassignments(ctx, moves, out)
	})
}

// ListPartitionReassignments lists the reassignments under way among the partitions, or all if the set is nil, in order.
func (c *Controller) ListPartitionReassignments(ctx context.Context, partitions map[metadata.TopicPartition]bool) ([]ReassigningPartition, error) {
	return ask(ctx, c, "ListPartitionReassignments", func(context.Context) ([]ReassigningPartition, error) {
		var out []ReassigningPartition
		for _, p := range c.s.partitionsWhere(func(p *partition) bool { return p.assignment.IsBeingReassigned() }) {
			if partitions == nil || partitions[p.tp] {
				out = append(out, ReassigningPartition{p.tp, p.assignment})
			}
		}
		return out, nil
	})
}

// planReassignment checks a target and makes the assignment during the move. A target that comes through ZooKeeper is
// not checked, as Apache does not. Pure.
func (s *cluster) planReassignment(tp metadata.TopicPartition, target []int32, check bool) (Assignment, error) {
	var cur Assignment
	if p := s.partition(tp); p != nil {
		cur = p.assignment
	}
	if target == nil {
		if !cur.IsBeingReassigned() {
			return Assignment{}, refused(tp, kerr.NoReassignmentInProgress, "%s", kerr.NoReassignmentInProgress.Description)
		}
		return cur.reassignTo(cur.Origin()), nil
	}
	next := cur.reassignTo(target)
	if !check {
		return next, nil
	}
	refuse := func(format string, args ...any) (Assignment, error) {
		return Assignment{}, refused(tp, kerr.InvalidReplicaAssignment, format, args...)
	}
	switch {
	case len(target) == 0:
		return refuse("Empty replica list specified in partition reassignment.")
	case len(distinct(target)) != len(target):
		return refuse("Duplicate replica ids in partition reassignment replica list: %s", scalaList("Buffer", target))
	case slices.ContainsFunc(target, func(id int32) bool { return id < 0 }):
		return refuse("Invalid broker id in replica list: %s", scalaList("Buffer", target))
	case slices.ContainsFunc(next.Adding, func(id int32) bool { return !s.isLive(id) }):
		return refuse("Replica assignment has brokers that are not alive. Replica list: %s, live broker list: %s",
			scalaList("Buffer", next.Adding), scalaList("Set", filter(s.brokerIDs(), s.isLive)))
	}
	return next, nil
}

// startReassignments begins moves and fills in what came of each.
func (c *Controller) startReassignments(ctx context.Context, moves map[metadata.TopicPartition]Assignment, out map[metadata.TopicPartition]error) error {
	for _, tp := range slices.SortedFunc(maps.Keys(moves), compareTP) {
		p := c.s.partition(tp)
		if p == nil || c.s.toDelete[tp.Topic] || len(p.assignment.Replicas) == 0 {
			out[tp] = refused(tp, kerr.UnknownTopicOrPartition, "The partition does not exist.")
			continue
		}
		err := c.reassign(ctx, p, moves[tp])
		if err != nil && (errors.Is(err, errMoved) || isOver(ctx, err)) {
			return err
		}
		if err != nil {
			c.log.Error("reassignment failed", "partition", tp.String(), "error", err)
		}
		out[tp] = err
	}
	return nil
}

// reassign goes on with the move of p to a, as far as its ISR allows.
func (c *Controller) reassign(ctx context.Context, p *partition, a Assignment) error {
	if err := p.mayDropTo(a); err != nil {
		return err
	}
	c.markIneligible("a reassignment is running", p.tp.Topic)
	if err := c.storeReassignment(ctx, p, a); err != nil {
		return err
	}
	complete, err := c.reassignmentComplete(ctx, p)
	if err != nil {
		return err
	}
	if complete {
		return c.finishReassignment(ctx, p, a)
	}
	if err := c.bumpEpoch(ctx, p); err != nil { // A1
		return err
	}
	return c.replicasTo(ctx, replicasIn(p, a.Adding), replicaNew) // A2
}

// mayDropTo refuses an assignment that leaves out the whole ISR, as the replacement or the cancelling of a move may: the
// partition could be led again by an unclean election only. Apache with ZooKeeper does not look; with KRaft it does.
func (p *partition) mayDropTo(a Assignment) error {
	if p.info == nil || len(p.info.ISR) == 0 || len(without(p.info.ISR, a.Replicas)) < len(p.info.ISR) {
		return nil
	}
	return refused(p.tp, kerr.InvalidReplicaAssignment, "Replica assignment %s has no replica that is in sync: %v", a, p.info.ISR)
}

// storeReassignment is phase U. What a superseded reassignment was adding, and nobody wants now, is stopped and deleted.
func (c *Controller) storeReassignment(ctx context.Context, p *partition, a Assignment) error {
	if old := p.assignment; !old.equal(a) {
		if err := c.setAssignment(ctx, p, a); err != nil {
			return err
		}
		p.assignment = a
		if err := c.removeReplicas(ctx, p, without(old.Replicas, a.Replicas)); err != nil {
			return err
		}
	}
	c.s.reassigning[p.tp] = true
	return nil
}

// setAssignment stores the topic with p's assignment replaced; memory follows later or earlier as the phase demands.
func (c *Controller) setAssignment(ctx context.Context, p *partition, a Assignment) error {
	t := c.s.topics[p.tp.Topic]
	all := t.assignments()
	all[p.tp.Partition] = a
	return c.store.setTopic(ctx, t.name, t.id, all)
}

func (c *Controller) reassignmentComplete(ctx context.Context, p *partition) (bool, error) {
	if !p.assignment.IsBeingReassigned() {
		return true, nil
	}
	if err := c.loadStates(ctx, []*partition{p}); err != nil {
		return false, err
	}
	return p.info != nil && len(without(p.assignment.Target(), p.info.ISR)) == 0, nil
}

// finishReassignment is phase B.
func (c *Controller) finishReassignment(ctx context.Context, p *partition, a Assignment) error {
	if err := c.replicasTo(ctx, replicasIn(p, a.Adding), replicaOnline); err != nil { // B1
		return err
	}
	done := Assignment{Replicas: a.Target()}
	p.assignment = done                              // B2
	if err := c.moveLeaderInto(ctx, p); err != nil { // B3
		return err
	}
	if err := c.removeReplicas(ctx, p, a.Removing); err != nil { // B4, B5
		return err
	}
	if err := c.setAssignment(ctx, p, done); err != nil { // B6
		return err
	}
	if err := c.dropZkReassignments(ctx, func(tp metadata.TopicPartition, target []int32) bool { // B7
		return tp == p.tp && slices.Equal(target, done.Replicas)
	}); err != nil {
		return err
	}
	delete(c.s.reassigning, p.tp)
	c.sendUpdateMetadata(c.s.brokerIDs(), p) // B8
	c.log.Info("reassignment completed", "partition", p.tp.String(), "replicas", done.Replicas)
	return c.resumeDeletionOf(ctx, []string{p.tp.Topic})
}

// moveLeaderInto makes a replica of the target lead and tells the target its new assignment.
func (c *Controller) moveLeaderInto(ctx context.Context, p *partition) error {
	if p.info == nil {
		return fmt.Errorf("%s: %w: no leadership stored", p.tp, errStateChange)
	}
	leader := p.info.Leader
	if slices.Contains(p.assignment.Replicas, leader) && c.s.isOnline(leader, p.tp) {
		return c.bumpEpoch(ctx, p)
	}
	_, err := c.partitionsOnline(ctx, []*partition{p}, electReassign, false)
	return err
}

// removeReplicas takes replicas out of the ISR and deletes them. Nobody waits for the outcome.
func (c *Controller) removeReplicas(ctx context.Context, p *partition, list []int32) error {
	rs := replicasIn(p, list)
	for _, state := range []replicaState{replicaOffline, replicaDeletionStarted, replicaDeletionSuccessful, replicaNonExistent} {
		if err := c.replicasTo(ctx, rs, state); err != nil {
			return err
		}
	}
	return nil
}

func replicasIn(p *partition, list []int32) []replica {
	out := make([]replica, len(list))
	for i, id := range list {
		out[i] = replica{p, id}
	}
	return out
}

// bumpEpoch raises the leader epoch, so that the replicas take the new assignment. isNew lets an added replica be made
// although its broker has a failed log directory.
func (c *Controller) bumpEpoch(ctx context.Context, p *partition) error {
	for {
		w, err := c.s.planEpochBump(p)
		if err != nil {
			return err
		}
		pl := plan{writes: []stateWrite{w}}
		results, err := c.store.writeStates(ctx, pl.writes)
		if err != nil {
			return err
		}
		stored, conflicts := pl.commit(results)
		if len(conflicts) > 0 {
			continue
		}
		if len(pl.refused) > 0 {
			return pl.refused[0].err
		}
		c.told(stored)
		b := newBatch(c.s)
		b.addLeaderAndIsr(p.assignment.Origin(), p, false)
		b.addLeaderAndIsr(p.assignment.Adding, p, true)
		c.send(b)
		return nil
	}
}

// completeReassignmentsLater finishes those whose ISR was just changed, behind the answer to the leader.
func (c *Controller) completeReassignmentsLater(results []AlterPartitionResult) {
	for _, r := range results {
		tp := metadata.TopicPartition{Topic: r.Topic, Partition: r.Partition}
		if r.Err != nil || !c.s.reassigning[tp] {
			continue
		}
		c.queue.note(event{name: "PartitionReassignmentIsrChange", key: "reassigning " + tp.String(), run: c.ifActive(func(ctx context.Context) error {
			if p := c.s.partition(tp); p != nil && c.s.reassigning[tp] {
				return c.completeReassignment(ctx, p)
			}
			return nil
		})})
	}
}

func (c *Controller) completeReassignment(ctx context.Context, p *partition) error {
	complete, err := c.reassignmentComplete(ctx, p)
	if err != nil || !complete {
		return err
	}
	return c.reassign(ctx, p, p.assignment)
}

func (c *Controller) reassigningPartitions() []*partition {
	return c.s.partitionsWhere(func(p *partition) bool { return c.s.reassigning[p.tp] })
}
