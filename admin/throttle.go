package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
)

// The settings of Kafka's replication throttles (KIP-73, KIP-113).
const (
	leaderRate       = "leader.replication.throttled.rate"
	followerRate     = "follower.replication.throttled.rate"
	dirRate          = "replica.alter.log.dirs.io.max.bytes.per.second"
	leaderReplicas   = "leader.replication.throttled.replicas"
	followerReplicas = "follower.replication.throttled.replicas"
)

// change is the brokers a partition moves between.
type change struct{ sources, destinations []int32 }

// moved is all that moves once the plan is begun beside what is under way (Kafka 3.9 ReassignPartitionsCommand.calculateProposedMoveMap).
func moved(underWay Moves, plan, before *Plan) map[TopicPartition]change {
	out := map[TopicPartition]change{}
	for _, m := range underWay {
		without := slices.DeleteFunc(slices.Clone(m.Replicas), func(r int32) bool { return slices.Contains(m.Adding, r) })
		out[TopicPartition{m.Topic, m.Partition}] = change{without, m.Adding}
	}
	for _, p := range plan.Partitions {
		sources := out[p.tp()].sources
		if sources == nil {
			i := slices.IndexFunc(before.Partitions, func(b PlanPartition) bool { return b.tp() == p.tp() })
			sources = before.Partitions[i].Replicas
		}
		out[p.tp()] = change{sources, slices.DeleteFunc(slices.Clone(p.Replicas), func(r int32) bool { return slices.Contains(sources, r) })}
	}
	return out
}

// throttle sets what the brokers may send each other for what moves.
func throttle(ctx context.Context, c conn, moves map[TopicPartition]change, rate int64) error {
	leaders, followers := map[string][]string{}, map[string][]string{}
	var brokers []int32
	for tp, m := range moves {
		for _, r := range m.sources {
			leaders[tp.Topic] = append(leaders[tp.Topic], itoa(tp.Partition)+":"+itoa(r))
		}
		for _, r := range m.destinations {
			followers[tp.Topic] = append(followers[tp.Topic], itoa(tp.Partition)+":"+itoa(r))
		}
		brokers = append(brokers, append(slices.Clone(m.sources), m.destinations...)...)
	}
	for topic, list := range leaders {
		slices.Sort(list)
		slices.Sort(followers[topic])
		err := setTopic(ctx, c, topic, map[string]string{leaderReplicas: strings.Join(list, ","), followerReplicas: strings.Join(followers[topic], ",")})
		if err != nil {
			return err
		}
	}
	slices.Sort(brokers)
	return setBrokers(ctx, c, slices.Compact(brokers), map[string]string{leaderRate: itoa(rate), followerRate: itoa(rate)})
}

func setTopic(ctx context.Context, c conn, topic string, values map[string]string) error {
	got, err := c.AlterTopicConfigs(ctx, sets(values), topic)
	return altered(got, err)
}

func setBrokers(ctx context.Context, c conn, ids []int32, values map[string]string) error {
	if len(ids) == 0 {
		return nil
	}
	got, err := c.AlterBrokerConfigs(ctx, sets(values), ids...)
	return altered(got, err)
}

func sets(values map[string]string) []kadm.AlterConfig {
	var out []kadm.AlterConfig
	for k, v := range values {
		out = append(out, kadm.AlterConfig{Op: kadm.SetConfig, Name: k, Value: &v})
	}
	return out
}

func deletes(keys ...string) []kadm.AlterConfig {
	var out []kadm.AlterConfig
	for _, k := range keys {
		out = append(out, kadm.AlterConfig{Op: kadm.DeleteConfig, Name: k})
	}
	return out
}

func altered(got kadm.AlterConfigsResponses, err error) error {
	if err != nil {
		return err
	}
	for _, r := range got {
		if r.Err != nil {
			return fmt.Errorf("configs of %s: %w: %s", r.Name, r.Err, r.ErrMessage)
		}
	}
	return nil
}

// unthrottle takes all throttles away: of the topics, and of all brokers, since nobody knows which were set (Kafka 3.9
// ReassignPartitionsCommand.clearAllThrottles). A topic that is gone needs none.
func unthrottle(ctx context.Context, c conn, topics []string) error {
	md, err := c.BrokerMetadata(ctx)
	if err != nil {
		return err
	}
	got, err := c.AlterBrokerConfigs(ctx, deletes(leaderRate, followerRate, dirRate), md.Brokers.NodeIDs()...)
	if err := altered(got, err); err != nil {
		return err
	}
	if got, err = c.AlterTopicConfigs(ctx, deletes(leaderReplicas, followerReplicas), topics...); err != nil {
		return err
	}
	got = slices.DeleteFunc(got, func(r kadm.AlterConfigsResponse) bool { return errors.Is(r.Err, kerr.UnknownTopicOrPartition) })
	return altered(got, nil)
}

// where a replica is, and where it is being moved to; empty = nowhere.
type where struct{ current, future string }

func (c conn) find(ctx context.Context, wanted map[replica]string) (map[replica]where, error) {
	byBroker := map[int32]kadm.TopicsSet{}
	for r := range wanted {
		set := byBroker[r.broker]
		set.Add(r.Topic, r.Partition)
		byBroker[r.broker] = set
	}
	out := map[replica]where{}
	for id, set := range byBroker {
		dirs, err := c.DescribeBrokerLogDirs(ctx, id, set)
		if err != nil {
			return nil, fmt.Errorf("broker %d: %w", id, err)
		}
		dirs.EachPartition(func(p kadm.DescribedLogDirPartition) {
			r := replica{TopicPartition{p.Topic, p.Partition}, id}
			at := out[r]
			if p.IsFuture {
				at.future = p.Dir
			} else {
				at.current = p.Dir
			}
			out[r] = at
		})
	}
	return out, nil
}

// dirProgress tells how far replicas are with their directories, and whether any is being moved.
func (c conn) dirProgress(ctx context.Context, wanted map[replica]string) (out Progress, moving bool, err error) {
	at, err := c.find(ctx, wanted)
	if err != nil {
		return nil, false, err
	}
	for r, dir := range wanted {
		x := ProgressOf{Of: r.String()}
		switch w := at[r]; {
		case w == where{}:
			x.State = "the replica is in no directory"
		case w.future != "":
			x.State, moving = "moving to "+w.future, true
		case w.current == dir:
			x.State, x.Done = "done", true
		default:
			x.State = "not moving, but in " + w.current
		}
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b ProgressOf) int { return strings.Compare(a.Of, b.Of) })
	return out, moving, nil
}

// movesBack are the moves that end those that are under way: to where the replicas still are.
func (c conn) movesBack(ctx context.Context, wanted map[replica]string) (map[replica]string, error) {
	at, err := c.find(ctx, wanted)
	if err != nil {
		return nil, err
	}
	out := map[replica]string{}
	for r, w := range at {
		if w.future != "" && w.current != "" {
			out[r] = w.current
		}
	}
	return out, nil
}
