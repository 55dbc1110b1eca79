package controller

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/metadata"
)

// ControlledShutdown moves leadership away from a broker that is about to stop, and returns the partitions, with more
// than one replica, that it still leads. brokerEpoch -1 is not checked. From now on, until its registration goes, the
// broker is elected for nothing and may join no ISR (Kafka 3.9 doControlledShutdown). Where this broker is not the
// controller the error is STALE_CONTROLLER_EPOCH, unlike elsewhere (Kafka 3.9 ControlledShutdown.preempt).
func (c *Controller) ControlledShutdown(ctx context.Context, id int32, brokerEpoch int64) ([]metadata.TopicPartition, error) {
	remaining, err := ask(ctx, c, "ControlledShutdown", func(ctx context.Context) ([]metadata.TopicPartition, error) {
		return c.controlledShutdown(ctx, id, brokerEpoch)
	})
	if errors.Is(err, ErrNotActive) {
		err = fmt.Errorf("controlled shutdown of broker %d: %w", id, errMoved)
	}
	return remaining, err
}

func (c *Controller) controlledShutdown(ctx context.Context, id int32, brokerEpoch int64) ([]metadata.TopicPartition, error) {
	b := c.s.brokers[id]
	switch {
	case b == nil && brokerEpoch != -1:
		// Apache looks the epoch up without checking and answers UNKNOWN_SERVER_ERROR.
		return nil, fmt.Errorf("controlled shutdown of broker %d, which is not registered: %w", id, kerr.UnknownServerError)
	case b == nil:
		return nil, fmt.Errorf("controlled shutdown of broker %d, which is not registered: %w", id, kerr.BrokerNotAvailable)
	case brokerEpoch != -1 && brokerEpoch < b.Epoch:
		return nil, fmt.Errorf("controlled shutdown of broker %d with epoch %d, registered with %d: %w", id, brokerEpoch, b.Epoch, kerr.StaleBrokerEpoch)
	}
	c.log.Info("Shutting down broker", "broker", id)
	if !c.s.shuttingDown[id] { // brokers ask until all is moved
		c.note(c.s.epoch, fmt.Sprintf("broker %d shuts down", id))
	}
	c.s.shuttingDown[id] = true

	var led, followed []*partition
	for _, r := range c.s.replicasOn([]int32{id}) {
		p := r.p
		switch {
		case len(p.assignment.Replicas) < 2 || p.info == nil || c.s.toDelete[p.tp.Topic]:
		case p.info.Leader == id:
			led = append(led, p)
		default:
			followed = append(followed, p)
		}
	}
	if _, err := c.partitionsOnline(ctx, led, electControlledShutdown, false); err != nil {
		return nil, err
	}
	stop, rs := newBatch(c.s), make([]replica, 0, len(followed))
	for _, p := range followed {
		stop.addStopReplica(id, p, false)
		rs = append(rs, replica{p, id})
	}
	c.send(stop)
	if err := c.replicasTo(ctx, rs, replicaOffline); err != nil {
		return nil, err
	}
	var remaining []metadata.TopicPartition
	for _, p := range c.s.partitionsWhere(func(p *partition) bool {
		return p.info != nil && p.info.Leader == id && len(p.assignment.Replicas) > 1 && !c.s.toDelete[p.tp.Topic]
	}) {
		remaining = append(remaining, p.tp)
	}
	return remaining, nil
}
