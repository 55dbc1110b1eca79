package znode

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"gokafka/coordination"
)

// Committed offsets of consumers before 0.8.2 (Kafka 3.9 KafkaZkClient.setOrCreateConsumerOffset, getConsumerOffset).

func offsetPath(group, topic string, partition int32) string {
	return ConsumersPath + "/" + group + "/offsets/" + topic + "/" + strconv.Itoa(int(partition))
}

// CommitOffset stores a committed offset.
func CommitOffset(ctx context.Context, g *coordination.Generation, group, topic string, partition int32, offset int64) error {
	if group == "" || strings.Contains(group, "/") {
		return fmt.Errorf("a group named %q cannot have offsets in ZooKeeper", group)
	}
	path, data := offsetPath(group, topic, partition), []byte(strconv.FormatInt(offset, 10))
	_, err := g.Set(ctx, path, data, coordination.AnyVersion)
	if !errors.Is(err, coordination.ErrNoNode) {
		return err
	}
	for i := len(ConsumersPath) + 1; i < len(path); i++ {
		if path[i] == '/' {
			if _, err := g.Create(ctx, path[:i], nil, coordination.Persistent); err != nil && !errors.Is(err, coordination.ErrNodeExists) {
				return err
			}
		}
	}
	if _, err = g.Create(ctx, path, data, coordination.Persistent); errors.Is(err, coordination.ErrNodeExists) {
		_, err = g.Set(ctx, path, data, coordination.AnyVersion)
	}
	return err
}

// CommittedOffset reads a committed offset; there is false if there is none.
func CommittedOffset(ctx context.Context, g *coordination.Generation, group, topic string, partition int32) (offset int64, there bool, err error) {
	if group == "" || strings.Contains(group, "/") {
		return -1, false, nil
	}
	data, _, err := g.Get(ctx, offsetPath(group, topic, partition))
	if errors.Is(err, coordination.ErrNoNode) {
		return -1, false, nil
	}
	if err != nil {
		return -1, false, err
	}
	if offset, err = strconv.ParseInt(string(data), 10, 64); err != nil {
		return -1, false, fmt.Errorf("committed offset of %s in ZooKeeper: %w", group, err)
	}
	return offset, true, nil
}
