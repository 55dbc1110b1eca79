package broker

import (
	"context"
	"fmt"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/coordination/znode"
	"gokafka/internal/kafkalog"
	"gokafka/internal/peer"
	"gokafka/lag"
	"gokafka/metadata"
	"gokafka/topics"
)

// offsetsPartitions is how many partitions the topic of committed offsets has; 0 while there is none.
func (b *Broker) offsetsPartitions() int32 {
	if t := b.cache.Image().Topic(topics.ConsumerOffsets); t != nil {
		return int32(len(t.Partitions))
	}
	return 0
}

// newLag makes what reads the lags of groups.
func (b *Broker) newLag() *lag.Reader {
	return lag.New(lag.Options{
		Committed: b.groups.Committed, Image: b.cache.Image, BrokerID: b.cfg.ID, Logger: b.base.With(kafkalog.PrefixKey, fmt.Sprintf("[GroupCoordinator %d] ", b.cfg.ID)),
		HighWatermark: func(tp metadata.TopicPartition) (int64, bool) {
			l, ok := b.logs.Get(tp)
			if !ok {
				return 0, false
			}
			return l.HighWatermark(), true
		},
		Addr: func(id int32) (string, error) {
			addr, ok := b.peerAddr(id)
			if !ok {
				return "", fmt.Errorf("broker %d is not known: %w", id, kerr.BrokerNotAvailable)
			}
			return addr, nil
		},
		Peer: peer.Options{Clock: b.clk, ClientID: strconv.Itoa(int(b.cfg.ID)), Dial: b.network.Dial},
	})
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
