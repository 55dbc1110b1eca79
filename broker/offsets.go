package broker

import (
	"context"

	"gokafka/coordination/znode"
	"gokafka/topics"
)

// offsetsPartitions is how many partitions the topic of committed offsets has; 0 while there is none.
func (b *Broker) offsetsPartitions() int32 {
	if t := b.cache.Image().Topic(topics.ConsumerOffsets); t != nil {
		return int32(len(t.Partitions))
	}
	return 0
}

// oldOffsets are committed offsets in ZooKeeper.
type oldOffsets struct{ b *Broker }

func (o oldOffsets) Commit(ctx context.Context, group, topic string, partition int32, offset int64) error {
	g, err := o.b.session.Await(ctx)
	if err != nil {
		return err
	}
	return znode.CommitOffset(ctx, g, group, topic, partition, offset)
}

func (o oldOffsets) Fetch(ctx context.Context, group, topic string, partition int32) (offset int64, there bool, err error) {
	g, err := o.b.session.Await(ctx)
	if err != nil {
		return -1, false, err
	}
	return znode.CommittedOffset(ctx, g, group, topic, partition)
}
