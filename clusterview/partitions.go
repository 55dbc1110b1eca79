package clusterview

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gokafka/internal/show"
)

// Partition is a partition as a broker tells of it.
type Partition struct {
	Topic           string  `json:"topic"`
	Partition       int32   `json:"partition"`
	Leader          int32   `json:"leader"`      // -1 = none
	LeaderEpoch     int32   `json:"leaderEpoch"` // -1 = the broker does not tell
	Replicas        []int32 `json:"replicas"`
	ISR             []int32 `json:"isr"`
	OfflineReplicas []int32 `json:"offlineReplicas"`
}

// Partitions is a list of partitions, by topic and number.
type Partitions []Partition

// Filter says which partitions are wanted. Of the conditions one must hold, if any is set, as in kafka-topics.sh.
type Filter struct {
	// Topics are regular expressions that a topic's whole name must match, separated by commas; empty = all topics.
	Topics string
	// Conditions: as --under-replicated-partitions, --unavailable-partitions, --under-min-isr-partitions and
	// --at-min-isr-partitions of kafka-topics.sh.
	UnderReplicated, Offline, UnderMinISR, AtMinISR bool
}

// ReadPartitions lists the partitions that f lets through.
func ReadPartitions(ctx context.Context, o Options, f Filter) (Partitions, error) {
	match, err := TopicMatcher(f.Topics)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	p, err := o.read(ctx)
	if err != nil {
		return nil, err
	}
	defer p.close()
	topics := slices.DeleteFunc(slices.Clone(p.topics), func(name string) bool { return !match(name) })
	if len(topics) == 0 && f.Topics != "" {
		return nil, fmt.Errorf("topic %q does not exist", f.Topics)
	}
	h := health{p: p}
	if f.UnderReplicated {
		h.adding = o.adding(ctx, p)
	}
	if f.UnderMinISR || f.AtMinISR {
		if h.minISR, err = p.minISR(ctx, topics); err != nil {
			return nil, err
		}
	}
	out := Partitions{}
	for i := range p.partitions {
		if part := &p.partitions[i]; match(part.Topic) && f.wants(&h, part) {
			out = append(out, *part)
		}
	}
	return out, nil
}

func (f *Filter) wants(h *health, p *Partition) bool {
	if !f.UnderReplicated && !f.Offline && !f.UnderMinISR && !f.AtMinISR {
		return true
	}
	return f.UnderReplicated && h.underReplicated(p) || f.Offline && h.offline(p) || f.UnderMinISR && h.underMinISR(p) || f.AtMinISR && h.atMinISR(p)
}

// TopicMatcher says which topic names a list of regular expressions lets through: Kafka 3.9 IncludeList: commas separate alternatives, blanks and quotes around them do not count.
func TopicMatcher(list string) (func(name string) bool, error) {
	if list == "" {
		return func(string) bool { return true }, nil
	}
	pattern := strings.Trim(strings.ReplaceAll(strings.ReplaceAll(list, ",", "|"), " ", ""), `"'`)
	re, err := regexp.Compile("^(?:" + pattern + ")$")
	if err != nil {
		return nil, fmt.Errorf("%q is not a regular expression", list)
	}
	return re.MatchString, nil
}

// health judges partitions as Kafka 3.9 TopicCommand does.
type health struct {
	p      *picture
	adding map[partitionKey]int // replicas that a reassignment is adding
	minISR map[string]int       // min.insync.replicas; a topic without entry was deleted meanwhile
}

func (h *health) underReplicated(p *Partition) bool {
	return len(p.Replicas)-h.adding[partitionKey{p.Topic, p.Partition}] > len(p.ISR)
}

// offline says that nobody leads the partition, or a broker that is down.
func (h *health) offline(p *Partition) bool { return h.p.broker(p.Leader) == nil }

func (h *health) underMinISR(p *Partition) bool {
	n, ok := h.minISR[p.Topic]
	return ok && (p.Leader < 0 || len(p.ISR) < n)
}

func (h *health) atMinISR(p *Partition) bool {
	n, ok := h.minISR[p.Topic]
	return ok && len(p.ISR) == n
}

// Table is a show.View.
func (ps Partitions) Table() show.Table {
	t := show.Table{Header: []string{"TOPIC", "PARTITION", "LEADER", "EPOCH", "REPLICAS", "ISR", "OFFLINE"}}
	for i := range ps {
		p := &ps[i]
		t.Add(p.Topic, itoa(p.Partition), brokerName(p.Leader), itoa(p.LeaderEpoch), ids(p.Replicas), ids(p.ISR), ids(p.OfflineReplicas))
	}
	return t
}

func itoa(n int32) string { return strconv.Itoa(int(n)) }

func brokerName(id int32) string {
	if id < 0 {
		return "none"
	}
	return itoa(id)
}

func ids(list []int32) string {
	var b strings.Builder
	for i, id := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(itoa(id))
	}
	return b.String()
}
