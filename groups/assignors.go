package groups

import (
	"cmp"
	"maps"
	"slices"

	"gokafka/metadata"
)

// The assignors of the broker, by the names that members give.
const (
	uniformAssignor = "uniform"
	rangeAssignor   = "range"
)

// assignorNames are the names of the classes by which group.consumer.assignors has them.
var assignorNames = map[string]string{
	"org.apache.kafka.coordinator.group.assignor.UniformAssignor": uniformAssignor,
	"org.apache.kafka.coordinator.group.assignor.RangeAssignor":   rangeAssignor,
}

// subscriber is a member as assignors see it.
type subscriber struct {
	id       string
	instance *string
	topics   []metadata.TopicID // sorted
	target   parts              // what it was to have so far
}

// assignment is what assignors are given: how many partitions the topics have.
type assignment struct {
	members    []subscriber // by id
	partitions map[metadata.TopicID]int32
}

func (a *assignment) topicIDs() []metadata.TopicID {
	return slices.SortedFunc(maps.Keys(a.partitions), func(x, y metadata.TopicID) int { return slices.Compare(x[:], y[:]) })
}

func (m *subscriber) reads(id metadata.TopicID) bool {
	_, ok := slices.BinarySearchFunc(m.topics, id, func(x, y metadata.TopicID) int { return slices.Compare(x[:], y[:]) })
	return ok
}

// assign gives each member its target by an assignor.
func (a *assignment) assign(assignor string) map[string]parts {
	out := make(map[string]parts, len(a.members))
	for _, m := range a.members {
		out[m.id] = parts{}
	}
	if len(a.members) == 0 {
		return out
	}
	if assignor == rangeAssignor {
		a.ranges(out)
	} else {
		a.uniform(out)
	}
	for _, p := range out {
		p.sorted()
	}
	return out
}

// ranges gives each subscriber of a topic a range of its partitions, static members first, so that members with the same topics have the same partitions of each.
// Kafka 3.9 RangeAssignor.
func (a *assignment) ranges(out map[string]parts) {
	order := slices.Clone(a.members)
	slices.SortFunc(order, func(x, y subscriber) int {
		switch {
		case x.instance != nil && y.instance != nil:
			return cmp.Compare(*x.instance, *y.instance)
		case x.instance != nil:
			return -1
		case y.instance != nil:
			return 1
		}
		return cmp.Compare(x.id, y.id)
	})
	for _, id := range a.topicIDs() {
		var readers []string
		for _, m := range order {
			if m.reads(id) {
				readers = append(readers, m.id)
			}
		}
		if len(readers) == 0 {
			continue
		}
		each, more, next := a.partitions[id]/int32(len(readers)), a.partitions[id]%int32(len(readers)), int32(0)
		for i, member := range readers {
			n := each
			if int32(i) < more {
				n++
			}
			for range n {
				out[member].add(id, next)
				next++
			}
		}
	}
}

// load is a member while partitions are handed out.
type load struct {
	*subscriber
	has   parts
	count int
}

// uniform gives all members the same number of partitions, as far as their subscriptions allow, and leaves with each what it has as far as that allows. Kafka 3.9
// UniformAssignor.
func (a *assignment) uniform(out map[string]parts) {
	loads := make([]*load, len(a.members))
	taken := map[metadata.TopicID]map[int32]bool{}
	for i := range a.members {
		m := &a.members[i]
		l := &load{subscriber: m, has: out[m.id]}
		loads[i] = l
		for _, id := range m.target.topics() {
			for _, p := range m.target[id] {
				if m.reads(id) && p < a.partitions[id] && !taken[id][p] {
					if taken[id] == nil {
						taken[id] = map[int32]bool{}
					}
					taken[id][p] = true
					l.give(id, p)
				}
			}
		}
	}
	var free []ownedPart
	for _, id := range a.topicIDs() {
		for p := range a.partitions[id] {
			if !taken[id][p] {
				free = append(free, ownedPart{id: id, p: p})
			}
		}
	}
	readers := map[metadata.TopicID][]*load{}
	for _, l := range loads {
		for _, id := range l.topics {
			readers[id] = append(readers[id], l)
		}
	}
	// What few can take goes first, or those would be full by then.
	slices.SortStableFunc(free, func(x, y ownedPart) int { return cmp.Compare(len(readers[x.id]), len(readers[y.id])) })
	for _, f := range free {
		var to *load
		for _, l := range readers[f.id] {
			if to == nil || l.count < to.count {
				to = l
			}
		}
		if to != nil {
			to.give(f.id, f.p)
		}
	}
	for range evenRounds {
		if !even(loads, readers) {
			return
		}
	}
}

// evenRounds bounds the work of one assignment, in which all other groups of the partition wait. Few are needed: a round moves many partitions.
const evenRounds = 50

type ownedPart struct {
	id metadata.TopicID
	p  int32
}

func (l *load) give(id metadata.TopicID, p int32) {
	l.has.add(id, p)
	l.count++
}

func (l *load) take(id metadata.TopicID, i int) int32 {
	p := l.has[id][i]
	if l.has[id] = slices.Delete(l.has[id], i, i+1); len(l.has[id]) == 0 {
		delete(l.has, id)
	}
	l.count--
	return p
}

// even moves partitions from members to others that read their topics and have at least two less, the fullest first, and says whether there were such.
func even(loads []*load, readers map[metadata.TopicID][]*load) bool {
	byCount := slices.Clone(loads)
	slices.SortStableFunc(byCount, func(x, y *load) int { return cmp.Compare(y.count, x.count) })
	moved := false
	for _, from := range byCount {
		for _, id := range from.has.topics() {
			for len(from.has[id]) > 0 {
				var to *load
				for _, l := range readers[id] {
					if to == nil || l.count < to.count {
						to = l
					}
				}
				if to == nil || to.count > from.count-2 {
					break
				}
				to.give(id, from.take(id, len(from.has[id])-1))
				moved = true
			}
		}
	}
	return moved
}
