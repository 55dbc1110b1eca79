package znode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"gokafka/coordination"
	"gokafka/metadata"
)

type stateJSON struct {
	ControllerEpoch int32   `json:"controller_epoch"`
	Leader          int32   `json:"leader"`
	Version         int     `json:"version"`
	Recovery        int8    `json:"leader_recovery_state,omitempty"` // absent = RECOVERED
	LeaderEpoch     int32   `json:"leader_epoch"`
	ISR             []int32 `json:"isr"`
}

// EncodeState is the data of a partition's state. The partition epoch is not in it: it is the znode's version.
func EncodeState(s metadata.PartitionState) []byte {
	return encode(stateJSON{s.ControllerEpoch, s.Leader, 1, int8(s.Recovery), s.LeaderEpoch, intsOrEmpty(s.ISR)})
}

// DecodeState reads it; zkVersion becomes the partition epoch.
func DecodeState(tp metadata.TopicPartition, data []byte, zkVersion int32) (metadata.PartitionState, error) {
	var v struct {
		ControllerEpoch *int32   `json:"controller_epoch"`
		Leader          *int32   `json:"leader"`
		Recovery        int8     `json:"leader_recovery_state"`
		LeaderEpoch     *int32   `json:"leader_epoch"`
		ISR             *[]int32 `json:"isr"`
	}
	path := StatePath(tp)
	if err := decode(path, data, &v); err != nil {
		return metadata.PartitionState{}, err
	}
	if err := missing(map[string]bool{"controller_epoch": v.ControllerEpoch != nil, "leader": v.Leader != nil,
		"leader_epoch": v.LeaderEpoch != nil, "isr": v.ISR != nil}); err != nil {
		return metadata.PartitionState{}, malformed(path, data, err)
	}
	r := metadata.RecoveryState(v.Recovery)
	if r != metadata.Recovered && r != metadata.Recovering {
		return metadata.PartitionState{}, malformed(path, data, fmt.Errorf("leader_recovery_state %d", v.Recovery))
	}
	return metadata.PartitionState{ControllerEpoch: *v.ControllerEpoch, Leader: *v.Leader, LeaderEpoch: *v.LeaderEpoch,
		ISR: *v.ISR, PartitionEpoch: zkVersion, Recovery: r}, nil
}

// StateResult is one outcome of ReadStates.
type StateResult struct {
	State metadata.PartitionState
	OK    bool // the state znode exists and holds JSON
}

// ReadStates reads the states of many partitions; results are by index.
func ReadStates(ctx context.Context, g *coordination.Generation, tps []metadata.TopicPartition) ([]StateResult, error) {
	paths := make([]string, len(tps))
	for i, tp := range tps {
		paths[i] = StatePath(tp)
	}
	data, err := g.GetMany(ctx, paths, false)
	if err != nil {
		return nil, fmt.Errorf("read partition states: %w", err)
	}
	out := make([]StateResult, len(tps))
	for i, d := range data {
		if d.Err != nil || !json.Valid(d.Data) {
			continue
		}
		if out[i].State, err = DecodeState(tps[i], d.Data, d.Stat.Version); err != nil {
			return nil, err
		}
		out[i].OK = true
	}
	return out, nil
}

// SetStateOp writes a state if the partition epoch in it still is the znode's version. The new partition epoch is the
// version of the result's stat.
func SetStateOp(tp metadata.TopicPartition, s metadata.PartitionState) coordination.Op {
	return coordination.SetOp(StatePath(tp), EncodeState(s), s.PartitionEpoch)
}

// PartitionState is a state with its partition.
type PartitionState struct {
	metadata.TopicPartition
	State metadata.PartitionState
}

// CreateStates makes the state znodes of new partitions, and their parents before them: three batches. Results are by
// index; a partition whose state exists already has ErrNodeExists, one whose topic was deleted meanwhile ErrNoNode.
// Source: Kafka 3.9 KafkaZkClient.createTopicPartitionStatesRaw.
func (c *Controllership) CreateStates(ctx context.Context, states []PartitionState) ([]Result, error) {
	var topics, partitions, ops []coordination.Op
	seen := make(map[string]bool)
	for _, s := range states {
		if !seen[s.Topic] {
			seen[s.Topic] = true
			topics = append(topics, coordination.CreateOp(PartitionsPath(s.Topic), nil, coordination.Persistent))
		}
		partitions = append(partitions, coordination.CreateOp(PartitionPath(s.TopicPartition), nil, coordination.Persistent))
		ops = append(ops, coordination.CreateOp(StatePath(s.TopicPartition), EncodeState(s.State), coordination.Persistent))
	}
	for _, parents := range [][]coordination.Op{topics, partitions} {
		res, err := c.WriteMany(ctx, parents)
		if err != nil {
			return nil, fmt.Errorf("create partition states: %w", err)
		}
		for _, r := range res {
			if r.Err != nil && !errors.Is(r.Err, coordination.ErrNodeExists) && !errors.Is(r.Err, coordination.ErrNoNode) {
				return nil, fmt.Errorf("create partition states: %w", r.Err)
			}
		}
	}
	return c.WriteMany(ctx, ops)
}
