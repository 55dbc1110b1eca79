package znode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"gokafka/coordination"
	"gokafka/metadata"
)

// MarkForDeletion makes /admin/delete_topics/T. Marked already is coordination.ErrNodeExists.
func MarkForDeletion(ctx context.Context, g *coordination.Generation, topic string) error {
	err := g.CreateAll(ctx, DeleteTopicPath(topic), nil)
	if coordination.MaybeApplied(err) && errors.Is(err, coordination.ErrNodeExists) {
		return nil
	}
	return err
}

// IsMarkedForDeletion says whether the topic is to be deleted.
func IsMarkedForDeletion(ctx context.Context, g *coordination.Generation, topic string) (bool, error) {
	stat, err := g.Exists(ctx, DeleteTopicPath(topic))
	return stat != nil, err
}

// ListDeletions returns the topics that are marked for deletion. watch arms the WatchChildren of DeleteTopicsPath.
func ListDeletions(ctx context.Context, g *coordination.Generation, watch bool) ([]string, error) {
	return list(ctx, g, DeleteTopicsPath, watch)
}

type partitionJSON struct {
	Topic     string  `json:"topic"`
	Partition int32   `json:"partition"`
	Replicas  []int32 `json:"replicas,omitempty"`
}

type partitionsJSON struct {
	Version    int             `json:"version"`
	Partitions []partitionJSON `json:"partitions"`
}

// EncodePartitions is the data of /admin/preferred_replica_election and of ISR change notifications.
func EncodePartitions(tps []metadata.TopicPartition) []byte {
	v := partitionsJSON{1, make([]partitionJSON, len(tps))}
	for i, tp := range tps {
		v.Partitions[i] = partitionJSON{Topic: tp.Topic, Partition: tp.Partition}
	}
	return encode(v)
}

// DecodePartitions reads it; data that are no JSON name no partition.
func DecodePartitions(path string, data []byte) ([]metadata.TopicPartition, error) {
	if !json.Valid(data) {
		return nil, nil
	}
	var v struct {
		Partitions *[]struct {
			Topic     *string `json:"topic"`
			Partition *int32  `json:"partition"`
		} `json:"partitions"`
	}
	if err := decode(path, data, &v); err != nil {
		return nil, err
	}
	if v.Partitions == nil {
		return nil, malformed(path, data, errors.New(`key "partitions" is missing`))
	}
	out := make([]metadata.TopicPartition, 0, len(*v.Partitions))
	for _, p := range *v.Partitions {
		if p.Topic == nil || p.Partition == nil {
			return nil, malformed(path, data, errors.New("an entry has no topic or no partition"))
		}
		out = append(out, metadata.TopicPartition{Topic: *p.Topic, Partition: *p.Partition})
	}
	return out, nil
}

// ReadPreferredElection reads /admin/preferred_replica_election; ok is false if there is none. watch arms its WatchData
// in both cases.
func ReadPreferredElection(ctx context.Context, g *coordination.Generation, watch bool) (
	tps []metadata.TopicPartition, ok bool, err error,
) {
	data, ok, err := readMaybe(ctx, g, PreferredElectionPath, watch)
	if err != nil || !ok {
		return nil, false, err
	}
	tps, err = DecodePartitions(PreferredElectionPath, data)
	return tps, err == nil, err
}

// EncodeReassignments is the data of /admin/reassign_partitions, in a stable order.
func EncodeReassignments(targets map[metadata.TopicPartition][]int32) []byte {
	v := partitionsJSON{1, make([]partitionJSON, 0, len(targets))}
	for tp, replicas := range targets {
		v.Partitions = append(v.Partitions, partitionJSON{tp.Topic, tp.Partition, replicas})
	}
	slices.SortFunc(v.Partitions, func(a, b partitionJSON) int {
		if a.Topic != b.Topic {
			if a.Topic < b.Topic {
				return -1
			}
			return 1
		}
		return int(a.Partition) - int(b.Partition)
	})
	return encode(v)
}

// DecodeReassignments reads it.
func DecodeReassignments(data []byte) (map[metadata.TopicPartition][]int32, error) {
	var v partitionsJSON
	if err := decode(ReassignPartitionsPath, data, &v); err != nil {
		return nil, err
	}
	out := make(map[metadata.TopicPartition][]int32, len(v.Partitions))
	for _, p := range v.Partitions {
		out[metadata.TopicPartition{Topic: p.Topic, Partition: p.Partition}] = p.Replicas
	}
	return out, nil
}

// ReadReassignments reads /admin/reassign_partitions; ok is false if there is none. watch arms its WatchData in both
// cases. Malformed data are an error that the caller may log and ignore, as Apache does.
func ReadReassignments(ctx context.Context, g *coordination.Generation, watch bool) (
	targets map[metadata.TopicPartition][]int32, ok bool, err error,
) {
	data, ok, err := readMaybe(ctx, g, ReassignPartitionsPath, watch)
	if err != nil || !ok {
		return nil, false, err
	}
	targets, err = DecodeReassignments(data)
	return targets, true, err
}

// WriteReassignments replaces /admin/reassign_partitions with what is left of it, and deletes it when that is nothing.
func (c *Controllership) WriteReassignments(ctx context.Context, targets map[metadata.TopicPartition][]int32) error {
	if len(targets) == 0 {
		return c.DeleteMany(ctx, []string{ReassignPartitionsPath})
	}
	data := EncodeReassignments(targets)
	_, err := c.Write(ctx, coordination.SetOp(ReassignPartitionsPath, data, coordination.AnyVersion))
	if errors.Is(err, coordination.ErrNoNode) {
		_, err = c.Write(ctx, coordination.CreateOp(ReassignPartitionsPath, data, coordination.Persistent))
	}
	if err != nil {
		return fmt.Errorf("write partition reassignments: %w", err)
	}
	return nil
}

// readMaybe reads a znode that may not exist, with a watch for its creation too.
func readMaybe(ctx context.Context, g *coordination.Generation, path string, watch bool) (data []byte, ok bool, err error) {
	if watch {
		stat, err := g.ExistsW(ctx, path)
		if err != nil || stat == nil {
			return nil, false, err
		}
	}
	data, _, err = g.Get(ctx, path)
	if errors.Is(err, coordination.ErrNoNode) {
		return nil, false, nil
	}
	return data, err == nil, err
}
