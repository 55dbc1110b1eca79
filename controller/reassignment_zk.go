package controller

import (
	"context"
	"errors"
	"maps"

	"gokafka/metadata"
)

// resumeReassignments is part of taking office: first those asked for through ZooKeeper, then the others that the topic
// znodes show.
func (c *Controller) resumeReassignments(ctx context.Context) error {
	started, err := c.zkReassignments(ctx)
	if err != nil {
		return err
	}
	for _, p := range c.reassigningPartitions() {
		if err, ok := started[p.tp]; ok && err == nil {
			continue
		}
		if err := c.reassign(ctx, p, p.assignment); err != nil {
			if errors.Is(err, errMoved) || isOver(ctx, err) {
				return err
			}
			c.log.Error("reassignment cannot be resumed", "partition", p.tp.String(), "error", err)
		}
	}
	return nil
}

// reassignmentRequested serves /admin/reassign_partitions (legacy; written by tools that talk to ZooKeeper).
func (c *Controller) reassignmentRequested(ctx context.Context) error {
	_, err := c.zkReassignments(ctx)
	return err
}

func (c *Controller) zkReassignments(ctx context.Context) (map[metadata.TopicPartition]error, error) {
	targets, ok, err := c.store.reassignments(ctx)
	if err != nil || !ok {
		return nil, err
	}
	out := map[metadata.TopicPartition]error{}
	moves := map[metadata.TopicPartition]Assignment{}
	for tp, target := range targets {
		moves[tp], _ = c.s.planReassignment(tp, target, false)
	}
	if err := c.startReassignments(ctx, moves, out); err != nil {
		return nil, err
	}
	return out, c.dropZkReassignments(ctx, func(tp metadata.TopicPartition, _ []int32) bool { return out[tp] != nil })
}

// dropZkReassignments takes partitions out of /admin/reassign_partitions, which goes when it is empty.
func (c *Controller) dropZkReassignments(ctx context.Context, drop func(metadata.TopicPartition, []int32) bool) error {
	targets, ok, err := c.store.reassignments(ctx)
	if err != nil || !ok {
		return err
	}
	rest := maps.Clone(targets)
	maps.DeleteFunc(rest, drop)
	if len(rest) == len(targets) && len(rest) > 0 {
		return nil
	}
	if err := c.store.setReassignments(ctx, rest); err != nil {
		return err
	}
	_, _, err = c.store.reassignments(ctx) // arms the watch for the next
	return err
}
