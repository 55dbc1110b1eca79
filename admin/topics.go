package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/internal/show"
	"gokafka/metadata"
)

// Topic is a topic as it is listed.
type Topic struct {
	Name       string            `json:"name"`
	ID         string            `json:"id"`
	Internal   bool              `json:"internal"`
	Partitions int               `json:"partitions"`
	Replicas   int               `json:"replicationFactor"` // of its first partition
	Configs    map[string]string `json:"configs,omitempty"` // those set for the topic, if they were asked for
}

// Topics is a list of topics by name.
type Topics []Topic

// Table is a show.View.
func (ts Topics) Table() show.Table {
	t := show.Table{Header: []string{"TOPIC", "ID", "PARTITIONS", "REPLICAS", "CONFIGS"}}
	for _, x := range ts {
		var set []string
		for k, v := range x.Configs {
			set = append(set, k+"="+v)
		}
		slices.Sort(set)
		t.Add(x.Name, x.ID, itoa(x.Partitions), itoa(x.Replicas), strings.Join(set, " "))
	}
	return t
}

// ListTopics lists the topics whose names match; with configs, what is set for each. Internal topics are left out unless asked for.
func ListTopics(ctx context.Context, o Options, match func(name string) bool, internal, configs bool) (Topics, error) {
	return do(ctx, o, func(ctx context.Context, c conn) (Topics, error) {
		details, err := c.ListTopicsWithInternal(ctx)
		if err != nil {
			return nil, err
		}
		out := Topics{}
		for _, d := range details {
			if !match(d.Topic) || d.IsInternal && !internal {
				continue
			}
			t := Topic{Name: d.Topic, ID: metadata.TopicID(d.ID).String(), Internal: d.IsInternal, Partitions: len(d.Partitions)}
			if p, ok := d.Partitions[0]; ok {
				t.Replicas = len(p.Replicas)
			}
			out = append(out, t)
		}
		slices.SortFunc(out, func(a, b Topic) int { return cmp.Compare(a.Name, b.Name) })
		if configs && len(out) > 0 {
			err = addConfigs(ctx, c, out)
		}
		return out, err
	})
}

func addConfigs(ctx context.Context, c conn, topics Topics) error {
	var names []string
	for _, t := range topics {
		names = append(names, t.Name)
	}
	described, err := c.DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return err
	}
	for i := range topics {
		r, err := described.On(topics[i].Name, nil)
		if err == nil {
			err = r.Err
		}
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			continue // deleted meanwhile
		}
		if err != nil {
			return fmt.Errorf("configs of %s: %w", topics[i].Name, err)
		}
		for _, k := range r.Configs {
			if k.Source != kmsg.ConfigSourceDynamicTopicConfig {
				continue
			}
			if topics[i].Configs == nil {
				topics[i].Configs = map[string]string{}
			}
			topics[i].Configs[k.Key] = k.MaybeValue()
		}
	}
	return nil
}

// Partition is a partition of a topic that is described.
type Partition struct {
	Topic     string  `json:"topic"`
	Partition int32   `json:"partition"`
	Leader    int32   `json:"leader"` // -1 = none
	Epoch     int32   `json:"leaderEpoch"`
	Replicas  []int32 `json:"replicas"`
	ISR       []int32 `json:"isr"`
	Offline   []int32 `json:"offlineReplicas"`
}

// Description is topics with their partitions.
type Description struct {
	Topics     Topics      `json:"topics"`
	Partitions []Partition `json:"partitions"`
}

// Table is a show.View.
func (d Description) Table() show.Table {
	t := d.Topics.Table()
	t.Next = &show.Table{Header: []string{"TOPIC", "PARTITION", "LEADER", "EPOCH", "REPLICAS", "ISR", "OFFLINE"}}
	for _, p := range d.Partitions {
		leader := "none"
		if p.Leader >= 0 {
			leader = itoa(p.Leader)
		}
		t.Next.Add(p.Topic, itoa(p.Partition), leader, itoa(p.Epoch), ids(p.Replicas), ids(p.ISR), ids(p.Offline))
	}
	return t
}

// DescribeTopics describes topics with their configs and partitions. One that does not exist is an error.
func DescribeTopics(ctx context.Context, o Options, names []string) (Description, error) {
	return do(ctx, o, func(ctx context.Context, c conn) (Description, error) {
		d := Description{Topics: Topics{}, Partitions: []Partition{}}
		details, err := c.ListTopicsWithInternal(ctx, names...)
		if err != nil {
			return d, err
		}
		for _, t := range details.Sorted() {
			if t.Err != nil {
				return d, fmt.Errorf("topic %s: %w", t.Topic, t.Err)
			}
			top := Topic{Name: t.Topic, ID: metadata.TopicID(t.ID).String(), Internal: t.IsInternal, Partitions: len(t.Partitions)}
			for _, p := range t.Partitions.Sorted() {
				d.Partitions = append(d.Partitions, Partition{p.Topic, p.Partition, p.Leader, p.LeaderEpoch, p.Replicas, p.ISR, p.OfflineReplicas})
				if p.Partition == 0 {
					top.Replicas = len(p.Replicas)
				}
			}
			d.Topics = append(d.Topics, top)
		}
		return d, addConfigs(ctx, c, d.Topics)
	})
}

// NewTopics says which topics to create, and how.
type NewTopics struct {
	Names      []string
	Partitions int32             // -1: the broker's default
	Replicas   int16             // -1: the broker's default
	Assignment [][]int32         // replicas of each partition, the preferred leader first, instead of the numbers
	Configs    map[string]string // of the topics
	IfMissing  bool              // a topic that exists is no failure
	DryRun     bool              // only ask whether they could be created
}

// ParseAssignment reads replicas of partitions as kafka-topics.sh does: 0:1,1:2 are two partitions of two replicas.
func ParseAssignment(s string) ([][]int32, error) {
	var out [][]int32
	for i, part := range strings.Split(s, ",") {
		replicas, err := ParseIDs(part, ":")
		if err != nil {
			return nil, err
		}
		for j, r := range replicas {
			if slices.Contains(replicas[:j], r) {
				return nil, fmt.Errorf("partition %d has broker %d twice", i, r)
			}
		}
		if i > 0 && len(replicas) != len(out[0]) {
			return nil, fmt.Errorf("partition %d has %d replicas, the ones before have %d", i, len(replicas), len(out[0]))
		}
		out = append(out, replicas)
	}
	return out, nil
}

// CreateTopics creates topics.
func CreateTopics(ctx context.Context, o Options, n NewTopics) (Results, error) {
	return do(ctx, o, func(ctx context.Context, c conn) (Results, error) {
		req := kmsg.NewPtrCreateTopicsRequest()
		req.TimeoutMillis, req.ValidateOnly = int32(o.Timeout.Milliseconds()), n.DryRun
		for _, name := range n.Names {
			req.Topics = append(req.Topics, n.topic(name))
		}
		resp, err := req.RequestWith(ctx, c.requests)
		if err != nil {
			return nil, err
		}
		out := Results{}
		for _, t := range resp.Topics {
			err := kerr.ErrorForCode(t.ErrorCode)
			switch {
			case n.IfMissing && errors.Is(err, kerr.TopicAlreadyExists):
				out = append(out, Result{Of: t.Topic, Done: "exists"})
			case n.DryRun:
				out = append(out, result(t.Topic, "can be created", err, deref(t.ErrorMessage)))
			default:
				out = append(out, result(t.Topic, "created", err, deref(t.ErrorMessage)))
			}
		}
		return out.sorted(), nil
	})
}

func (n *NewTopics) topic(name string) kmsg.CreateTopicsRequestTopic {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, n.Partitions, n.Replicas
	for p, replicas := range n.Assignment {
		a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		a.Partition, a.Replicas = int32(p), replicas
		t.ReplicaAssignment = append(t.ReplicaAssignment, a)
		t.NumPartitions, t.ReplicationFactor = -1, -1
	}
	for k, v := range n.Configs {
		e := kmsg.NewCreateTopicsRequestTopicConfig()
		e.Name, e.Value = k, &v
		t.Configs = append(t.Configs, e)
	}
	return t
}

// Growth says how many partitions a topic shall have.
type Growth struct {
	Topic      string
	Partitions int32
	Assignment [][]int32 // replicas of the new partitions; nil: the brokers choose
	DryRun     bool
}

// GrowTopic adds partitions to a topic.
func GrowTopic(ctx context.Context, o Options, g Growth) (Results, error) {
	return do(ctx, o, func(ctx context.Context, c conn) (Results, error) {
		req := kmsg.NewPtrCreatePartitionsRequest()
		req.TimeoutMillis, req.ValidateOnly = int32(o.Timeout.Milliseconds()), g.DryRun
		t := kmsg.NewCreatePartitionsRequestTopic()
		t.Topic, t.Count = g.Topic, g.Partitions
		for _, replicas := range g.Assignment {
			a := kmsg.NewCreatePartitionsRequestTopicAssignment()
			a.Replicas = replicas
			t.Assignment = append(t.Assignment, a)
		}
		req.Topics = append(req.Topics, t)
		resp, err := req.RequestWith(ctx, c.requests)
		if err != nil {
			return nil, err
		}
		done := "has " + itoa(g.Partitions) + " partitions"
		if g.DryRun {
			done = "can have " + itoa(g.Partitions) + " partitions"
		}
		out := Results{}
		for _, t := range resp.Topics {
			out = append(out, result(t.Topic, done, kerr.ErrorForCode(t.ErrorCode), deref(t.ErrorMessage)))
		}
		return out, nil
	})
}

// DeleteTopics deletes topics; with ifThere one that does not exist is no failure.
func DeleteTopics(ctx context.Context, o Options, names []string, ifThere bool) (Results, error) {
	return do(ctx, o, func(ctx context.Context, c conn) (Results, error) {
		resps, err := c.DeleteTopics(ctx, names...)
		if err != nil {
			return nil, err
		}
		out := Results{}
		for _, r := range resps {
			if ifThere && errors.Is(r.Err, kerr.UnknownTopicOrPartition) {
				out = append(out, Result{Of: r.Topic, Done: "does not exist"})
				continue
			}
			out = append(out, result(r.Topic, "deleted", r.Err, r.ErrMessage))
		}
		return out.sorted(), nil
	})
}

func (rs Results) sorted() Results {
	slices.SortStableFunc(rs, func(a, b Result) int { return cmp.Compare(a.Of, b.Of) })
	return rs
}

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}
