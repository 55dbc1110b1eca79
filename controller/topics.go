package controller

import (
	"context"
	"slices"

	"gokafka/coordination"
	"gokafka/coordination/znode"
	"gokafka/metadata"
)

// topicsChanged looks for topics that came or went (Kafka 3.9 processTopicChange).
func (c *Controller) topicsChanged(ctx context.Context) error {
	names, err := c.store.topics(ctx)
	if err != nil {
		return err
	}
	there := make(map[string]bool, len(names))
	var added []string
	for _, name := range names {
		there[name] = true
		if c.s.topics[name] == nil {
			added = append(added, name)
		}
	}
	for _, t := range c.s.sortedTopics() {
		if !there[t.name] {
			c.log.Info("topic is gone", "topic", t.name)
			c.unwatch(znode.TopicPath(t.name), coordination.WatchData)
			c.s.removeTopic(t.name)
		}
	}
	ps, err := c.loadTopics(ctx, added)
	if err != nil {
		return err
	}
	if len(ps) == 0 {
		return nil
	}
	c.log.Info("new topics", "topics", added, "partitions", len(ps))
	return c.newPartitions(ctx, ps)
}

// newPartitions brings partitions and their replicas from nothing to Online (Kafka 3.9 onNewPartitionCreation).
func (c *Controller) newPartitions(ctx context.Context, ps []*partition) error {
	c.partitionsTo(ps, partitionNew)
	if err := c.replicasTo(ctx, replicasOf(ps, nil), replicaNew); err != nil {
		return err
	}
	if _, err := c.partitionsOnline(ctx, ps, electOffline, false); err != nil {
		return err
	}
	return c.replicasTo(ctx, replicasOf(ps, nil), replicaOnline)
}

func (c *Controller) watchTopic(name string) {
	c.watch(znode.TopicPath(name), coordination.WatchData, "PartitionModifications", c.ifActive(func(ctx context.Context) error {
		return c.partitionsModified(ctx, name)
	}))
}

// partitionsModified looks for partitions that were added to a topic. While the topic is being deleted they are taken
// back (Kafka 3.9 processPartitionModifications).
func (c *Controller) partitionsModified(ctx context.Context, name string) error {
	t := c.s.topics[name]
	nodes, err := c.store.assignments(ctx, []string{name})
	if err != nil {
		return err
	}
	node, ok := nodes[name]
	if t == nil || !ok {
		return nil
	}
	var added []int32
	for index := range node.partitions {
		if t.partitions[index] == nil {
			added = append(added, index)
		}
	}
	if len(added) == 0 {
		return nil
	}
	slices.Sort(added)
	if c.s.toDelete[name] {
		c.log.Warn("not adding partitions to a topic that is being deleted", "topic", name, "partitions", added)
		return c.store.setTopic(ctx, name, t.id, t.assignments())
	}
	c.log.Info("new partitions", "topic", name, "partitions", added)
	ps := make([]*partition, 0, len(added))
	for _, index := range added {
		ps = append(ps, t.add(index, node.partitions[index]))
	}
	return c.newPartitions(ctx, ps)
}

func (t *topic) assignments() map[int32]Assignment {
	out := make(map[int32]Assignment, len(t.partitions))
	for index, p := range t.partitions {
		out[index] = p.assignment
	}
	return out
}

// topicNode is what a topic's znode holds.
type topicNode struct {
	name       string
	id         metadata.TopicID // zero = none yet
	partitions map[int32]Assignment
}
