package controller

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gokafka/coordination"
	"gokafka/coordination/znode"
	"gokafka/metadata"
)

// ensureFeature keeps /feature as Apache's controller does, enabled and in version 2, and returns the finalized
// features. It finalizes none but those of birth, when it makes the node: Apache brokers exit on a feature they do not know.
func (s *store) ensureFeature(ctx context.Context, birth map[string]int16) (map[string]int16, error) {
	for {
		cur, ok, err := znode.ReadFeatures(ctx, s.g, false)
		if err != nil {
			return nil, err
		}
		want := znode.Features{Enabled: true, Version: 2, ZkVersion: cur.ZkVersion}
		switch {
		case !ok:
			want.Finalized = birth
			err = znode.CreateFeatures(ctx, s.g, want)
		case cur.Enabled && cur.Version == 2:
			return cur.Finalized, nil
		default:
			if cur.Enabled {
				want.Finalized = cur.Finalized
			}
			_, err = znode.WriteFeatures(ctx, s.g, want)
		}
		if err != nil && !errors.Is(err, coordination.ErrNodeExists) && !errors.Is(err, coordination.ErrBadVersion) {
			return nil, err
		}
	}
}

// setFeatures replaces the finalized features and returns the new version of /feature.
func (s *store) setFeatures(ctx context.Context, finalized map[string]int16) (int32, error) {
	cur, _, err := znode.ReadFeatures(ctx, s.g, false)
	if err != nil {
		return 0, err
	}
	return znode.WriteFeatures(ctx, s.g, znode.Features{Enabled: true, Version: 2, Finalized: finalized, ZkVersion: cur.ZkVersion})
}

// brokers reads all registrations and arms the watch on their list. Broken ones are left out and returned in bad.
func (s *store) brokers(ctx context.Context) (live []*liveBroker, bad []error, err error) {
	list, err := znode.ListBrokers(ctx, s.g, true)
	if err != nil {
		return nil, nil, err
	}
	rs, bad, err := znode.ReadBrokers(ctx, s.g, list)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range rs {
		live = append(live, liveBrokerOf(r))
	}
	return live, bad, nil
}

// broker reads one registration and arms the watch on it; nil if there is none.
func (s *store) broker(ctx context.Context, id int32) (*liveBroker, error) {
	r, ok, err := znode.ReadBroker(ctx, s.g, id, true)
	if err != nil || !ok {
		return nil, err
	}
	return liveBrokerOf(r), nil
}

func liveBrokerOf(r znode.Registration) *liveBroker {
	b := &liveBroker{Broker: r.Broker, features: make(map[string]versionRange, len(r.Features))}
	for name, f := range r.Features {
		b.features[name] = versionRange{f.Min, f.Max}
	}
	return b
}

// armBroker arms the watch on a registration without reading it.
func (s *store) armBroker(ctx context.Context, id int32) error {
	_, err := s.g.ExistsW(ctx, znode.BrokerPath(id))
	return err
}

func (s *store) topicDeletions(ctx context.Context) ([]string, error) {
	return znode.ListDeletions(ctx, s.g, true)
}

func (s *store) deleteTopicDeletions(ctx context.Context, names []string) error {
	paths := make([]string, len(names))
	for i, name := range names {
		paths[i] = znode.DeleteTopicPath(name)
	}
	return s.won.DeleteMany(ctx, paths)
}

// uncleanTopics says for each topic whether its effective unclean.leader.election.enable is true. One whose config
// cannot be read is not unclean.
func (s *store) uncleanTopics(ctx context.Context, names []string, byDefault bool) (map[string]bool, error) {
	paths := make([]string, len(names))
	for i, name := range names {
		paths[i] = znode.EntityPath(znode.TopicEntity, name)
	}
	data, err := s.g.GetMany(ctx, paths, false)
	if err != nil {
		return nil, err
	}
	out := make(map[string]bool, len(names))
	for i, d := range data {
		out[names[i]] = byDefault
		if d.Err != nil {
			continue
		}
		config, err := znode.DecodeConfig(paths[i], d.Data)
		if err != nil {
			out[names[i]] = false
		} else if v, ok := config["unclean.leader.election.enable"]; ok {
			out[names[i]] = strings.EqualFold(strings.TrimSpace(v), "true")
		}
	}
	return out, nil
}

func (s *store) logDirEvents(ctx context.Context) (ns []znode.Notification, brokers []int32, err error) {
	ns, err = s.notifications(ctx, znode.LogDirEventPath)
	for _, n := range ns {
		if id, ok, err := znode.DecodeLogDirEvent(n.Path, n.Data); ok && err == nil {
			brokers = append(brokers, id)
		}
	}
	return ns, distinct(brokers), err
}

func (s *store) isrChanges(ctx context.Context) (ns []znode.Notification, tps []metadata.TopicPartition, err error) {
	ns, err = s.notifications(ctx, znode.ISRChangePath)
	for _, n := range ns {
		if list, err := znode.DecodePartitions(n.Path, n.Data); err == nil {
			tps = append(tps, list...)
		}
	}
	return ns, tps, err
}

func (s *store) notifications(ctx context.Context, path string) ([]znode.Notification, error) {
	ns, err := znode.ListNotifications(ctx, s.g, path, true)
	if err != nil {
		return nil, err
	}
	return znode.ReadNotifications(ctx, s.g, ns)
}

func (s *store) deleteNotifications(ctx context.Context, ns []znode.Notification) error {
	return s.won.DeleteNotifications(ctx, ns)
}

// preferredElection reads /admin/preferred_replica_election and arms the watch. Data that cannot be read are taken as
// an empty request, which is then removed: it could never be served.
func (s *store) preferredElection(ctx context.Context) (tps []metadata.TopicPartition, ok bool, err error) {
	tps, ok, err = znode.ReadPreferredElection(ctx, s.g, true)
	if isMalformed(err) {
		return nil, true, nil
	}
	return tps, ok, err
}

func (s *store) deletePreferredElection(ctx context.Context) error {
	return s.won.DeleteMany(ctx, []string{znode.PreferredElectionPath})
}

// reassignments reads /admin/reassign_partitions and arms the watch; data that cannot be read are an empty request.
func (s *store) reassignments(ctx context.Context) (targets map[metadata.TopicPartition][]int32, ok bool, err error) {
	targets, ok, err = znode.ReadReassignments(ctx, s.g, true)
	if isMalformed(err) {
		return nil, true, nil
	}
	return targets, ok, err
}

func (s *store) setReassignments(ctx context.Context, targets map[metadata.TopicPartition][]int32) error {
	return s.won.WriteReassignments(ctx, targets)
}

func isMalformed(err error) bool {
	var m *znode.MalformedError
	return errors.As(err, &m)
}

func (s *store) nextProducerIDs(ctx context.Context, brokerID int32) (start int64, length int32, err error) {
	b, err := znode.TakeProducerIDBlock(ctx, s.g, brokerID)
	if err != nil {
		return 0, 0, fmt.Errorf("producer ids for broker %d: %w", brokerID, err)
	}
	return b.Start, b.Len, nil
}
