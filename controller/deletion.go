package controller

import (
	"context"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/coordination"
	"gokafka/coordination/znode"
	"gokafka/metadata"
	"gokafka/protocol"
)

// Deletion of topics (Kafka 3.9 TopicDeletionManager). A topic is queued by its mark under /admin/delete_topics. It is
// eligible while no reassignment runs and nothing has failed; then its partitions become NonExistent, everybody is told
// leader -2, and its replicas on live brokers are stopped and deleted. When all have answered, its znodes go.

// deletionsRequested looks for topics that are marked for deletion.
func (c *Controller) deletionsRequested(ctx context.Context) error {
	names, err := c.store.topicDeletions(ctx)
	if err != nil {
		return err
	}
	var known, unknown []string
	for _, name := range names {
		if c.s.topics[name] == nil && !c.s.toDelete[name] {
			unknown = append(unknown, name)
		} else {
			known = append(known, name)
		}
	}
	if len(unknown) > 0 {
		c.log.Warn("ignoring requests to delete topics that do not exist", "topics", unknown)
		if err := c.store.deleteTopicDeletions(ctx, unknown); err != nil {
			return err
		}
	}
	if !c.opt.DeleteTopicEnable {
		c.log.Info("removing requests to delete topics, as delete.topic.enable is false", "topics", known)
		return c.store.deleteTopicDeletions(ctx, known)
	}
	if len(known) == 0 {
		return nil
	}
	for _, name := range known {
		c.s.toDelete[name] = true
		if t := c.s.topics[name]; t != nil {
			for _, p := range t.partitions {
				if c.s.reassigning[p.tp] {
					c.markIneligible("a reassignment is running", name)
				}
			}
		}
	}
	return c.resumeDeletions(ctx)
}

func (c *Controller) markIneligible(why string, names ...string) {
	for _, name := range names {
		if c.s.toDelete[name] && !c.s.ineligible[name] {
			c.s.ineligible[name] = true
			c.log.Info("deletion of the topic halted", "topic", name, "why", why)
		}
	}
}

// resumeDeletionOf makes topics eligible again, because a broker came or a reassignment ended.
func (c *Controller) resumeDeletionOf(ctx context.Context, names []string) error {
	any := false
	for _, name := range names {
		if c.s.toDelete[name] {
			delete(c.s.ineligible, name)
			any = true
		}
	}
	if !any {
		return nil
	}
	return c.resumeDeletions(ctx)
}

// resumeDeletions completes what is complete, and starts or repeats what can be.
func (c *Controller) resumeDeletions(ctx context.Context) error {
	var retry []replica
	var start []*topic
	for _, name := range slices.Sorted(maps.Keys(c.s.toDelete)) {
		t := c.s.topics[name]
		if t == nil || c.allReplicas(t, replicaDeletionSuccessful) {
			if err := c.completeDeletion(ctx, name); err != nil {
				return err
			}
			continue
		}
		if c.anyReplica(t, replicaDeletionStarted) {
			continue // answers are on their way
		}
		retry = append(retry, t.replicasWhere(func(r replica) bool { return r.p.replicas[r.id] == replicaDeletionIneligible })...)
		if !c.s.ineligible[name] {
			start = append(start, t)
		}
	}
	if err := c.replicasTo(ctx, retry, replicaOffline); err != nil {
		return err
	}
	if len(start) == 0 {
		return nil
	}
	return c.startDeletion(ctx, start)
}

func (c *Controller) allReplicas(t *topic, state replicaState) bool {
	return len(t.replicasWhere(func(r replica) bool { return r.p.replicas[r.id] != state })) == 0
}

func (c *Controller) anyReplica(t *topic, state replicaState) bool {
	return len(t.replicasWhere(func(r replica) bool { return r.p.replicas[r.id] == state })) > 0
}

func (c *Controller) startDeletion(ctx context.Context, topics []*topic) error {
	var all, unseen []*partition
	for _, t := range topics {
		all = append(all, t.sorted()...)
		if !c.s.deletionStarted[t.name] {
			unseen = append(unseen, t.sorted()...)
		}
		c.log.Info("deletion of the topic (re)started", "topic", t.name)
	}
	c.partitionsTo(unseen, partitionOffline)
	c.partitionsTo(unseen, partitionNonExistent)
	for _, t := range topics {
		c.s.deletionStarted[t.name] = true
	}
	c.sendUpdateMetadata(c.s.brokerIDs(), all...)

	var dead, alive []replica
	for _, r := range replicasOf(all, nil) {
		switch {
		case !c.s.isOnline(r.id, r.p.tp):
			dead = append(dead, r)
		case r.p.replicas[r.id] != replicaDeletionSuccessful:
			alive = append(alive, r)
		}
	}
	if err := c.replicasTo(ctx, slices.DeleteFunc(slices.Clone(dead), func(r replica) bool {
		return r.p.replicas[r.id] == replicaDeletionIneligible
	}), replicaDeletionIneligible); err != nil {
		return err
	}
	if err := c.replicasTo(ctx, alive, replicaOffline); err != nil {
		return err
	}
	if err := c.replicasTo(ctx, alive, replicaDeletionStarted); err != nil {
		return err
	}
	for _, r := range dead {
		c.markIneligible("a replica is offline", r.p.tp.Topic)
	}
	return nil
}

// completeDeletion removes the znodes of a topic whose replicas are all gone, the mark last.
func (c *Controller) completeDeletion(ctx context.Context, name string) error {
	// The watch goes first: a topic of this name that is created at once must be met by TopicChange, not by this.
	c.unwatch(znode.TopicPath(name), coordination.WatchData)
	if err := c.store.deleteTopic(ctx, name); err != nil {
		return err
	}
	c.s.removeTopic(name)
	delete(c.s.toDelete, name)
	delete(c.s.ineligible, name)
	delete(c.s.deletionStarted, name)
	c.log.Info("deletion of the topic successfully completed", "topic", name)
	return nil
}

// failDeletion sets replicas and their topics aside until something changes.
func (c *Controller) failDeletion(ctx context.Context, rs []replica, why string) error {
	rs = slices.DeleteFunc(rs, func(r replica) bool { return !c.s.toDelete[r.p.tp.Topic] })
	if len(rs) == 0 {
		return nil
	}
	if err := c.replicasTo(ctx, rs, replicaDeletionIneligible); err != nil {
		return err
	}
	for _, r := range rs {
		c.markIneligible(why, r.p.tp.Topic)
	}
	return c.resumeDeletions(ctx)
}

// stopReplicaAnswered takes note of replicas that were deleted, or could not be.
func (c *Controller) stopReplicaAnswered(ctx context.Context, id int32, req *protocol.StopReplicaRequest, resp *kmsg.StopReplicaResponse) error {
	asked := map[metadata.TopicPartition]bool{}
	for _, t := range req.Topics {
		for _, p := range t.PartitionStates {
			if p.Delete {
				asked[metadata.TopicPartition{Topic: t.Topic, Partition: p.Partition}] = true
			}
		}
	}
	var done, failed []replica
	for _, pr := range resp.Partitions {
		p := c.s.partition(metadata.TopicPartition{Topic: pr.Topic, Partition: pr.Partition})
		if p == nil || !asked[p.tp] || !c.s.deletionStarted[pr.Topic] || p.replicas[id] != replicaDeletionStarted {
			continue // a reassignment's deletion, whose outcome nobody waits for, or a repeated answer
		}
		if resp.ErrorCode != 0 || pr.ErrorCode != 0 {
			failed = append(failed, replica{p, id})
		} else {
			done = append(done, replica{p, id})
		}
	}
	if err := c.failDeletion(ctx, failed, "a broker could not delete a replica"); err != nil {
		return err
	}
	if len(done) == 0 {
		return nil
	}
	if err := c.replicasTo(ctx, done, replicaDeletionSuccessful); err != nil {
		return err
	}
	return c.resumeDeletions(ctx)
}
