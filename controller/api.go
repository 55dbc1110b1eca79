package controller

import (
	"context"
	"errors"
	"fmt"

	"gokafka/metadata"
)

// ask runs f as an event and waits for its result. An event that is not run, because the controller resigned or stops,
// gives ErrNotActive. f runs even if the caller has gone meanwhile.
func ask[T any](ctx context.Context, c *Controller, name string, f func(context.Context) (T, error)) (T, error) {
	type result struct {
		v   T
		err error
	}
	var zero T
	if !c.IsActive() {
		return zero, ErrNotActive
	}
	done := make(chan result, 1)
	err := c.queue.put(ctx, event{
		name: name,
		run: func(ctx context.Context) error {
			if !c.active {
				done <- result{err: ErrNotActive}
				return nil
			}
			v, err := f(ctx)
			if err != nil && (isOver(ctx, err) || errors.Is(err, errMoved)) {
				err = fmt.Errorf("%w: %w", ErrNotActive, err) // the outcome is unknown; the caller asks the next controller
			}
			done <- result{v, err}
			if err != nil && kerrOf(err) != nil && !errors.Is(err, ErrNotActive) {
				return nil // the client's business, not the controller's
			}
			return err
		},
		drop: func(err error) { done <- result{err: err} },
	})
	if err != nil {
		return zero, err
	}
	select {
	case r := <-done:
		return r.v, r.err
	case <-ctx.Done():
		return zero, context.Cause(ctx)
	}
}

// UncleanElectionEnabled retries the partitions without a leader, after unclean.leader.election.enable became true for
// the topic, or by default if topic is empty.
func (c *Controller) UncleanElectionEnabled(topic string) {
	if c.IsActive() {
		name := "UncleanLeaderElectionEnable"
		if topic != "" {
			name = "TopicUncleanLeaderElectionEnable"
		}
		c.queue.note(event{name: name, key: "unclean " + topic, run: c.ifActive(func(ctx context.Context) error {
			_, err := c.triggerOnline(ctx, topic)
			return err
		})})
	}
}

// IsTopicQueuedForDeletion says whether the topic is being deleted. CreateTopics and CreatePartitions refuse such a
// topic.
func (c *Controller) IsTopicQueuedForDeletion(ctx context.Context, topic string) (bool, error) {
	return ask(ctx, c, "IsTopicQueuedForDeletion", func(context.Context) (bool, error) { return c.s.toDelete[topic], nil })
}

// ReassigningPartition is a reassignment under way.
type ReassigningPartition struct {
	metadata.TopicPartition
	Assignment
}
