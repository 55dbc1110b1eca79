package controller

import (
	"context"

	"gokafka/metadata"
)

// outcome of moving a partition to Online by election.
type outcome struct {
	leader int32
	err    error
}

// partitionsTo moves partitions to New, Offline or NonExistent: memory only.
func (c *Controller) partitionsTo(ps []*partition, target partitionState) {
	for _, p := range ps {
		if c.legal(p, target) {
			p.state = target
		}
	}
}

func (c *Controller) legal(p *partition, target partitionState) bool {
	if p.state.canMoveTo(target) {
		return true
	}
	c.log.Error("illegal partition state change", "partition", p.tp.String(), "from", p.state.String(), "to", target.String())
	return false
}

// partitionsOnline gives leaders: a first one to New partitions, an elected one to the others. One round of requests
// goes out at the end. The outcomes are those of the elections.
// Source: Kafka 3.9 ZkPartitionStateMachine.doHandleStateChanges.
func (c *Controller) partitionsOnline(ctx context.Context, ps []*partition, how strategy, allowUnclean bool) (map[metadata.TopicPartition]outcome, error) {
	var fresh, rest []*partition
	for _, p := range ps {
		switch {
		case !c.legal(p, partitionOnline):
		case p.state == partitionNew:
			fresh = append(fresh, p)
		default:
			rest = append(rest, p)
		}
	}
	b := newBatch(c.s)
	if err := c.firstLeaders(ctx, b, fresh); err != nil {
		return nil, err
	}
	outcomes, err := c.electLeaders(ctx, b, rest, how, allowUnclean)
	if err != nil {
		return nil, err
	}
	c.send(b)
	return outcomes, nil
}

func (c *Controller) firstLeaders(ctx context.Context, b *batch, ps []*partition) error {
	if len(ps) == 0 {
		return nil
	}
	pl := c.s.planFirstLeader(ps)
	results, err := c.store.writeStates(ctx, pl.writes)
	if err != nil {
		return err
	}
	stored, _ := pl.commit(results) // a creation has no conflict: its partition epoch is 0 by nature
	for _, w := range stored {
		w.p.state = partitionOnline
		b.addLeaderAndIsr(w.recipients, w.p, true)
	}
	c.told(stored)
	c.refuse(pl.refused, partitionOnline)
	return nil
}

// electLeaders elects until no partition's stored state moves under it any more.
func (c *Controller) electLeaders(ctx context.Context, b *batch, ps []*partition, how strategy, allowUnclean bool) (map[metadata.TopicPartition]outcome, error) {
	outcomes := make(map[metadata.TopicPartition]outcome, len(ps))
	for len(ps) > 0 {
		unclean, err := c.uncleanTopics(ctx, ps, how, allowUnclean)
		if err != nil {
			return nil, err
		}
		pl := c.s.planElection(ps, how, func(topic string) bool { return unclean[topic] })
		results, err := c.store.writeStates(ctx, pl.writes)
		if err != nil {
			return nil, err
		}
		stored, conflicts := pl.commit(results)
		for _, w := range stored {
			w.p.state = partitionOnline
			b.addLeaderAndIsr(w.recipients, w.p, false)
			outcomes[w.p.tp] = outcome{leader: w.next.Leader}
			if w.why == whyUnclean {
				c.counters.uncleanElections.Add(1)
			}
		}
		for _, r := range pl.refused {
			outcomes[r.p.tp] = outcome{leader: metadata.NoLeader, err: r.err}
		}
		c.told(stored)
		c.refuse(pl.refused, partitionOnline)
		ps = conflicts
	}
	return outcomes, nil
}

// uncleanTopics says for which topics an unclean election is allowed. The setting is read from the store, and only for
// topics with a partition whose whole ISR is gone (Kafka 3.9 collectUncleanLeaderElectionState).
func (c *Controller) uncleanTopics(ctx context.Context, ps []*partition, how strategy, allow bool) (map[string]bool, error) {
	out := map[string]bool{}
	if how != electOffline {
		return out, nil
	}
	var ask []string
	for _, p := range ps {
		if _, seen := out[p.tp.Topic]; seen || c.s.hasOnlineISR(p) {
			continue
		}
		out[p.tp.Topic] = allow
		ask = append(ask, p.tp.Topic)
	}
	if allow || len(ask) == 0 {
		return out, nil
	}
	return c.store.uncleanTopics(ctx, ask, c.opt.UncleanLeaderElection())
}

// triggerOnline tries all partitions that have no leader, of one topic if it is named.
func (c *Controller) triggerOnline(ctx context.Context, topic string) (map[metadata.TopicPartition]outcome, error) {
	ps := c.s.partitionsWhere(func(p *partition) bool {
		return c.s.waitsForLeader(p) && (topic == "" || p.tp.Topic == topic)
	})
	return c.partitionsOnline(ctx, ps, electOffline, false)
}

func (c *Controller) refuse(rs []refusal, target partitionState) {
	for _, r := range rs {
		c.log.Error("failed to change the state of a partition", "partition", r.p.tp.String(),
			"from", r.p.state.String(), "to", target.String(), "error", r.err)
	}
}
