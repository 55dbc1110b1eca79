package topics

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/metadata"
)

// errMixedRacks is an AdminOperationException in Apache: UNKNOWN_SERVER_ERROR, and the text goes to the log only.
var errMixedRacks = errors.New("not all brokers have rack information for rack aware replica assignment: " +
	"set broker.rack on all brokers or on none")

// Start fixes where an assignment begins. The zero value is for a new topic.
type Start struct {
	// Index is the place of the first replica of partition 0 in the list of brokers; used if Fixed.
	Index int
	Fixed bool
	// Partition is the number of the first partition to assign.
	Partition int32
}

// Assign spreads partitions over brokers: first replicas round-robin from a start, the others at a shift that grows with
// each round; when brokers have racks, replicas of a partition go to different racks as far as there are any. random(n)
// is in [0,n) and places the start and the first shift of a new topic. Result i is for partition start.Partition+i.
// Source: Kafka 3.9 AdminUtils.assignReplicasToBrokers.
func Assign(brokers []metadata.Broker, partitions, replicationFactor int32, start Start, random func(n int) int) ([][]int32, error) {
	switch {
	case partitions <= 0:
		return nil, refuse(kerr.InvalidPartitions, "Number of partitions must be larger than 0.")
	case replicationFactor <= 0:
		return nil, refuse(kerr.InvalidReplicationFactor, "Replication factor must be larger than 0.")
	case int(replicationFactor) > len(brokers):
		return nil, refuse(kerr.InvalidReplicationFactor, "Replication factor: %d larger than available brokers: %d.",
			replicationFactor, len(brokers))
	}
	a := assigner{brokers: slices.Clone(brokers)}
	slices.SortFunc(a.brokers, func(x, y metadata.Broker) int { return cmp.Compare(x.ID, y.ID) })
	withRack := 0
	for _, b := range brokers {
		if b.Rack != "" {
			withRack++
		}
	}
	switch withRack {
	case 0:
		a.racks = 0
	case len(brokers):
		a.brokers, a.racks = alternateRacks(a.brokers)
	default:
		return nil, errMixedRacks
	}
	n := len(a.brokers)
	index, shift := start.Index, start.Index
	if !start.Fixed {
		index, shift = random(n), random(n)
	}
	out := make([][]int32, partitions)
	for i := range out {
		p := int(start.Partition) + i
		if p > 0 && p%n == 0 {
			shift++
		}
		out[i] = a.replicas((p+index)%n, shift, int(replicationFactor))
	}
	return out, nil
}

type assigner struct {
	brokers []metadata.Broker // by id, or alternating over the racks
	racks   int               // 0 = not rack-aware
}

// replicas returns the replicas of the partition whose first one is brokers[first].
func (a *assigner) replicas(first, shift, replicationFactor int) []int32 {
	n := len(a.brokers)
	out := make([]int32, 1, replicationFactor)
	out[0] = a.brokers[first].ID
	if a.racks == 0 {
		for j := range replicationFactor - 1 {
			out = append(out, a.brokers[follower(first, shift, j, n)].ID)
		}
		return out
	}
	racks := map[string]bool{a.brokers[first].Rack: true}
	for k := 0; len(out) < replicationFactor; k++ {
		b := &a.brokers[follower(first, shift*a.racks, k, n)]
		if (!racks[b.Rack] || len(racks) == a.racks) && (!slices.Contains(out, b.ID) || len(out) == n) {
			out = append(out, b.ID)
			racks[b.Rack] = true
		}
	}
	return out
}

// follower is the place of the j-th replica after the first, among n > 1 brokers.
func follower(first, shift, j, n int) int { return (first + 1 + (shift+j)%(n-1)) % n }

// alternateRacks takes one broker of each rack in turn, racks and the brokers of each in order.
func alternateRacks(sorted []metadata.Broker) (out []metadata.Broker, racks int) {
	byRack := make(map[string][]metadata.Broker)
	var names []string
	for _, b := range sorted {
		if byRack[b.Rack] == nil {
			names = append(names, b.Rack)
		}
		byRack[b.Rack] = append(byRack[b.Rack], b)
	}
	slices.SortFunc(names, strings.Compare)
	for i := 0; len(out) < len(sorted); i++ {
		name := names[i%len(names)]
		if bs := byRack[name]; len(bs) > 0 {
			out, byRack[name] = append(out, bs[0]), bs[1:]
		}
	}
	return out, len(names)
}
