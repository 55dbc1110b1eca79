package admin

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"

	"gokafka/internal/show"
	"gokafka/metadata"
	"gokafka/topics"
)

// anyDir stands for a log directory that the broker chooses.
const anyDir = "any"

// Plan is the JSON of kafka-reassign-partitions.sh: which replicas partitions shall have.
type Plan struct {
	Version    int             `json:"version"`
	Partitions []PlanPartition `json:"partitions"`
}

// PlanPartition is the wanted replicas of a partition, the preferred leader first.
type PlanPartition struct {
	Topic     string   `json:"topic"`
	Partition int32    `json:"partition"`
	Replicas  []int32  `json:"replicas"`
	LogDirs   []string `json:"log_dirs,omitempty"` // of each replica: a path or "any"
}

func (p PlanPartition) tp() TopicPartition { return TopicPartition{p.Topic, p.Partition} }

// ParsePlan reads a plan. One that has nothing in it, or that contradicts itself, is refused.
func ParsePlan(content []byte) (*Plan, error) {
	p := &Plan{Version: 1}
	if err := json.Unmarshal(content, p); err != nil {
		return nil, fmt.Errorf("the plan is not what it should be: %w", err)
	}
	if p.Version != 1 {
		return nil, fmt.Errorf("version %d of a plan is not known", p.Version)
	}
	if len(p.Partitions) == 0 {
		return nil, errors.New("the plan names no partitions")
	}
	seen := map[TopicPartition]bool{}
	for _, part := range p.Partitions {
		switch {
		case part.Topic == "" || part.Partition < 0:
			return nil, errors.New("the plan has a partition without topic or number")
		case len(part.Replicas) == 0:
			return nil, fmt.Errorf("%s: the plan names no replicas", part.tp())
		case part.LogDirs != nil && len(part.LogDirs) != len(part.Replicas):
			return nil, fmt.Errorf("%s: the plan has %d replicas and %d log directories", part.tp(), len(part.Replicas), len(part.LogDirs))
		case seen[part.tp()]:
			return nil, fmt.Errorf("%s is in the plan twice", part.tp())
		}
		seen[part.tp()] = true
		for i, r := range part.Replicas {
			if slices.Contains(part.Replicas[:i], r) {
				return nil, fmt.Errorf("%s: replica %d is there twice", part.tp(), r)
			}
		}
	}
	return p, nil
}

func (p *Plan) sort() {
	slices.SortFunc(p.Partitions, func(a, b PlanPartition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
}

func (p *Plan) topics() []string {
	var names []string
	for _, part := range p.Partitions {
		names = append(names, part.Topic)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// Proposal is a plan, and the state that it would change, as a plan to go back.
type Proposal struct {
	Current  *Plan `json:"current"`
	Proposed *Plan `json:"proposed"`
}

// Table is a show.View.
func (p Proposal) Table() show.Table {
	t := show.Table{Header: []string{"TOPIC", "PARTITION", "REPLICAS", "PROPOSED"}}
	for i, part := range p.Proposed.Partitions {
		t.Add(part.Topic, itoa(part.Partition), ids(p.Current.Partitions[i].Replicas), ids(part.Replicas))
	}
	return t
}

// Propose spreads the partitions of topics over brokers, as the brokers do when a topic is created; over their racks too, unless that is not wanted.
func Propose(ctx context.Context, o Options, names []string, brokers []int32, ignoreRacks bool) (Proposal, error) {
	return do(ctx, o, func(ctx context.Context, c conn) (Proposal, error) {
		var none Proposal
		md, err := c.Metadata(ctx, names...)
		if err != nil {
			return none, err
		}
		if err := md.Topics.Error(); err != nil {
			return none, err
		}
		var over []metadata.Broker
		for _, id := range slices.Sorted(slices.Values(brokers)) {
			i := slices.IndexFunc(md.Brokers, func(b kadm.BrokerDetail) bool { return b.NodeID == id })
			if i < 0 {
				return none, fmt.Errorf("broker %d is not there", id)
			}
			b := metadata.Broker{ID: id}
			if r := md.Brokers[i].Rack; r != nil && !ignoreRacks {
				b.Rack = *r
			}
			over = append(over, b)
		}
		p := Proposal{&Plan{Version: 1}, &Plan{Version: 1}}
		for _, t := range md.Topics.Sorted() {
			list := t.Partitions.Sorted()
			wanted, err := topics.Assign(over, int32(len(list)), int32(len(list[0].Replicas)), topics.Start{}, rand.IntN)
			if err != nil {
				return none, fmt.Errorf("%s: %w", t.Topic, err)
			}
			for i, part := range list {
				p.Current.Partitions = append(p.Current.Partitions, PlanPartition{Topic: t.Topic, Partition: part.Partition, Replicas: part.Replicas})
				p.Proposed.Partitions = append(p.Proposed.Partitions, PlanPartition{Topic: t.Topic, Partition: part.Partition, Replicas: wanted[i]})
			}
		}
		return p, nil
	})
}
