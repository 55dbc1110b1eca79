package controller

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/metadata"
)

// ElectionType is which leader ElectLeaders looks for, by its number on the wire.
type ElectionType int8

// The election types.
const (
	ElectPreferred ElectionType = 0
	ElectUnclean   ElectionType = 1
)

// ElectionResult is the outcome for one partition: Err, or the new leader. The client is answered when the metadata
// caches show it.
type ElectionResult struct {
	Leader int32
	Err    error
}

// ElectLeaders elects for the partitions, for all of the cluster's if the list is nil (Kafka 3.9
// processReplicaLeaderElection, AdminClientTriggered).
func (c *Controller) ElectLeaders(ctx context.Context, kind ElectionType, partitions []metadata.TopicPartition) (map[metadata.TopicPartition]ElectionResult, error) {
	return ask(ctx, c, "ReplicaLeaderElection", func(ctx context.Context) (map[metadata.TopicPartition]ElectionResult, error) {
		if partitions == nil {
			for _, p := range c.s.partitionsWhere(func(*partition) bool { return true }) {
				partitions = append(partitions, p.tp)
			}
		}
		return c.electRequested(ctx, kind, partitions, kind == ElectUnclean)
	})
}

func (c *Controller) electRequested(ctx context.Context, kind ElectionType, tps []metadata.TopicPartition, allowUnclean bool) (map[metadata.TopicPartition]ElectionResult, error) {
	out := map[metadata.TopicPartition]ElectionResult{}
	var ps []*partition
	seen := map[*partition]bool{}
	refuse := func(tp metadata.TopicPartition, code *kerr.Error, text string) {
		out[tp] = ElectionResult{Leader: metadata.NoLeader, Err: refused(tp, code, "%s", text)}
	}
	for _, tp := range tps {
		p := c.s.partition(tp)
		switch {
		case p == nil:
			refuse(tp, kerr.UnknownTopicOrPartition, "The partition does not exist.")
		case c.s.toDelete[tp.Topic]:
			refuse(tp, kerr.InvalidTopicException, "The topic is being deleted")
		case p.info != nil && !c.electionNeeded(kind, p):
			refuse(tp, kerr.ElectionNotNeeded, "Leader election not needed for topic partition.")
		case !seen[p]:
			seen[p] = true
			ps = append(ps, p)
		}
	}
	how, failure, apacheName := electPreferred, kerr.PreferredLeaderNotAvailable, "PreferredReplicaPartitionLeaderElectionStrategy"
	if kind == ElectUnclean {
		how, failure = electOffline, kerr.EligibleLeadersNotAvailable
		apacheName = fmt.Sprintf("OfflinePartitionLeaderElectionStrategy(%t)", allowUnclean)
	}
	outcomes, err := c.partitionsOnline(ctx, ps, how, allowUnclean)
	if err != nil {
		return nil, err
	}
	for _, p := range ps {
		o, ok := outcomes[p.tp]
		switch {
		case ok && o.err == nil:
			out[p.tp] = ElectionResult{Leader: o.leader}
		case ok && !errors.Is(o.err, errNoLeader) && !errors.Is(o.err, errStateChange):
			out[p.tp] = ElectionResult{Leader: metadata.NoLeader, Err: o.err}
		default:
			refuse(p.tp, failure, fmt.Sprintf("Failed to elect leader for partition %s under strategy %s", p.tp, apacheName))
		}
	}
	return out, nil
}

func (c *Controller) electionNeeded(kind ElectionType, p *partition) bool {
	if kind == ElectUnclean {
		return !c.s.isLive(p.info.Leader)
	}
	return len(p.assignment.Replicas) > 0 && p.info.Leader != p.assignment.Replicas[0]
}

// preferredElectionRequested serves /admin/preferred_replica_election, and removes it (legacy; written by tools that
// talk to ZooKeeper). The node is looked for again afterwards, which arms the watch.
func (c *Controller) preferredElectionRequested(ctx context.Context) error {
	tps, ok, err := c.store.preferredElection(ctx)
	if err != nil || !ok {
		return err
	}
	results, err := c.electRequested(ctx, ElectPreferred, tps, false)
	if err != nil {
		return err
	}
	for _, tp := range tps {
		if r := results[tp]; r.Err != nil && !errors.Is(r.Err, kerr.ElectionNotNeeded) {
			c.log.Warn("preferred replica election failed", "partition", tp.String(), "error", r.Err)
		}
	}
	if err := c.store.deletePreferredElection(ctx); err != nil {
		return err
	}
	_, _, err = c.store.preferredElection(ctx)
	return err
}

func (c *Controller) scheduleRebalance(after time.Duration) {
	c.rebalance = c.opt.Clock.AfterFunc(after, func() {
		c.queue.note(event{name: "AutoPreferredReplicaLeaderElection", key: "rebalance", run: c.ifActive(c.autoRebalance)})
	})
}

// autoRebalance gives leadership back to preferred replicas, broker by broker, where more than the allowed share of the
// partitions that prefer a broker are led by another (Kafka 3.9 checkAndTriggerAutoLeaderRebalance).
func (c *Controller) autoRebalance(ctx context.Context) error {
	defer c.scheduleRebalance(c.opt.LeaderImbalanceCheck)
	for _, ps := range c.s.imbalanced(c.opt.LeaderImbalancePerBrokerPct) {
		if _, err := c.partitionsOnline(ctx, ps, electPreferred, false); err != nil {
			return err
		}
	}
	return nil
}

// imbalanced lists, for each broker whose share of lost leaderships is above the percentage, the partitions that it can
// take back now. Pure.
func (s *cluster) imbalanced(percentage int) [][]*partition {
	prefer := map[int32][]*partition{}
	for _, p := range s.partitionsWhere(func(p *partition) bool { return !s.toDelete[p.tp.Topic] && len(p.assignment.Replicas) > 0 }) {
		prefer[p.assignment.Replicas[0]] = append(prefer[p.assignment.Replicas[0]], p)
	}
	var out [][]*partition
	for _, id := range sortedKeys(prefer) {
		lost, able := 0, []*partition(nil)
		for _, p := range prefer[id] {
			if p.info == nil || p.info.Leader == id {
				continue
			}
			lost++
			if _, ok := s.elect(electPreferred, p, *p.info, false); ok {
				able = append(able, p)
			}
		}
		if lost*100 > percentage*len(prefer[id]) && len(able) > 0 {
			out = append(out, able)
		}
	}
	return out
}
