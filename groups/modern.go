package groups

import (
	"cmp"
	"maps"
	"slices"

	"gokafka/internal/clock"
	"gokafka/metadata"
)

// memberState is how far a member of a modern group has come, by the number that is stored (Kafka 3.9 MemberState).
type memberState int8

const (
	memberStable       memberState = 0 // has what its epoch gives it
	memberUnrevoked    memberState = 1 // has to give up partitions first
	memberUnreleased   memberState = 2 // waits for partitions that others have to give up
	leaveEpoch         int32       = -1
	leaveStaticEpoch   int32       = -2
	consumerGroupTyped             = "consumer"
	classicGroupTyped              = "classic"
)

// parts are partitions by topic, sorted, no topic without any. Never changed once made.
type parts map[metadata.TopicID][]int32

func (p parts) has(id metadata.TopicID, partition int32) bool {
	_, ok := slices.BinarySearch(p[id], partition)
	return ok
}

func (p parts) equal(q parts) bool {
	return maps.EqualFunc(p, q, slices.Equal[[]int32])
}

func (p parts) topics() []metadata.TopicID {
	return slices.SortedFunc(maps.Keys(p), func(a, b metadata.TopicID) int { return slices.Compare(a[:], b[:]) })
}

func (p parts) count() int {
	n := 0
	for _, list := range p {
		n += len(list)
	}
	return n
}

// add appends a partition to parts that are being made; sorted is called when they are.
func (p parts) add(id metadata.TopicID, partition int32) { p[id] = append(p[id], partition) }

func (p parts) sorted() parts {
	for id := range p {
		slices.Sort(p[id])
		p[id] = slices.Compact(p[id])
	}
	return p
}

// subset says whether all of p are in q.
func (p parts) subset(q parts) bool {
	for id, list := range p {
		for _, n := range list {
			if !q.has(id, n) {
				return false
			}
		}
	}
	return true
}

// modernMember is a member of a modern group, as it is stored. Never changed once it is in its group: a change is a copy.
type modernMember struct {
	id             string
	instance, rack *string
	clientID, host string
	topics         []string // that it names, sorted
	regex          *string  // of further topics
	rebalanceMs    int32
	assignor       *string
	classic        *classicSide // of a member that uses the classic protocol; nil = KIP-848's

	epoch, previous    int32
	state              memberState
	assigned, revoking parts
}

// classicSide is what a member of a modern group that uses the classic protocol has told beside its subscription.
type classicSide struct {
	sessionMs int32
	protocols []Protocol // its subscription is in the metadata of the first
}

func (c *classicSide) equal(o *classicSide) bool {
	return c == nil && o == nil || c != nil && o != nil && c.sessionMs == o.sessionMs &&
		slices.EqualFunc(c.protocols, o.protocols, func(a, b Protocol) bool { return a.Name == b.Name && slices.Equal(a.Metadata, b.Metadata) })
}

// sameSubscription says whether what members tell of themselves is the same.
func (m *modernMember) sameSubscription(o *modernMember) bool {
	return equalPtr(m.instance, o.instance) && equalPtr(m.rack, o.rack) && m.clientID == o.clientID && m.host == o.host && slices.Equal(m.topics, o.topics) &&
		equalPtr(m.regex, o.regex) && m.rebalanceMs == o.rebalanceMs && equalPtr(m.assignor, o.assignor) && m.classic.equal(o.classic)
}

func (m *modernMember) sameAssignment(o *modernMember) bool {
	return m.epoch == o.epoch && m.previous == o.previous && m.state == o.state && m.assigned.equal(o.assigned) && m.revoking.equal(o.revoking)
}

// to is a copy of m in another epoch.
func (m *modernMember) to(state memberState, epoch int32, assigned, revoking parts) *modernMember {
	n := *m
	if epoch != m.epoch {
		n.previous = m.epoch
	}
	n.state, n.epoch, n.assigned, n.revoking = state, epoch, assigned, revoking
	return &n
}

func (m *modernMember) bytes() int {
	n := memberBytes + len(m.id) + len(m.clientID) + len(m.host)
	for _, t := range m.topics {
		n += 16 + len(t)
	}
	if m.regex != nil {
		n += len(*m.regex)
	}
	if m.classic != nil {
		for _, p := range m.classic.protocols {
			n += len(p.Name) + len(p.Metadata)
		}
	}
	return n + 4*(m.assigned.count()+m.revoking.count())
}

func equalPtr[V comparable](a, b *V) bool {
	return a == nil && b == nil || a != nil && b != nil && *a == *b
}

// topicMeta is what of a topic decides about assignments.
type topicMeta struct {
	id         metadata.TopicID
	partitions int32
	racks      map[int32][]string // of partitions whose replicas' racks are known; nil if of none
}

func (t topicMeta) equal(o topicMeta) bool {
	return t.id == o.id && t.partitions == o.partitions && maps.EqualFunc(t.racks, o.racks, slices.Equal[[]string])
}

// modernGroup is the state of a group of KIP-848's protocol: all of it is a replay of its records, but for the timers. Kafka 3.9 ModernGroup, ConsumerGroup.
type modernGroup struct {
	epoch           int32 // raised when what members are to have must be found out again
	assignmentEpoch int32 // of the target
	members         map[string]*modernMember
	static          map[string]string // member ids by instance id
	target          map[string]parts  // what each member is to have
	topics          map[string]topicMeta
	owners          map[metadata.TopicID]map[int32]string // members that have, or have still to give up, a partition

	checked *metadata.Image // for which topics was last found to be right
	timers  map[string]*modernTimers
}

type modernTimers struct {
	session, rebalance *clock.Timer
	beat               int // counts the settings of session, so that one that fires late is known

	join, sync *clock.Timer // of a member of the classic protocol: until it has to join again, or to fetch its assignment
}

func newModernGroup() *modernGroup {
	return &modernGroup{members: map[string]*modernMember{}, static: map[string]string{}, target: map[string]parts{}, topics: map[string]topicMeta{},
		owners: map[metadata.TopicID]map[int32]string{}, timers: map[string]*modernTimers{}}
}

func (n *modernGroup) sorted() []*modernMember {
	return slices.SortedFunc(maps.Values(n.members), func(a, b *modernMember) int { return cmp.Compare(a.id, b.id) })
}

// state is the state as it is told (Kafka 3.9 ConsumerGroup.maybeUpdateGroupState).
func (n *modernGroup) state() State {
	switch {
	case len(n.members) == 0:
		return Empty
	case n.epoch > n.assignmentEpoch:
		return "Assigning"
	}
	for _, m := range n.members {
		if !m.reconciled(n.assignmentEpoch) {
			return "Reconciling"
		}
	}
	return Stable
}

func (m *modernMember) reconciled(epoch int32) bool {
	return m.state == memberStable && m.epoch == epoch
}

// subscribed are the topics of any member, with what regular expressions give.
func (n *modernGroup) subscribed(members map[string]*modernMember, resolve func(regex string) []string) map[string]bool {
	out := map[string]bool{}
	done := map[string]bool{}
	for _, m := range members {
		for _, t := range m.topics {
			out[t] = true
		}
		if m.regex != nil && !done[*m.regex] {
			done[*m.regex] = true
			for _, t := range resolve(*m.regex) {
				out[t] = true
			}
		}
	}
	return out
}

// own makes the partitions of a member its, and those it had before nobody's.
func (n *modernGroup) own(before, after *modernMember) {
	each := func(m *modernMember, f func(id metadata.TopicID, p int32)) {
		if m == nil {
			return
		}
		for _, set := range []parts{m.assigned, m.revoking} {
			for id, list := range set {
				for _, p := range list {
					f(id, p)
				}
			}
		}
	}
	each(before, func(id metadata.TopicID, p int32) {
		if n.owners[id][p] == before.id {
			if delete(n.owners[id], p); len(n.owners[id]) == 0 {
				delete(n.owners, id)
			}
		}
	})
	each(after, func(id metadata.TopicID, p int32) {
		if n.owners[id] == nil {
			n.owners[id] = map[int32]string{}
		}
		n.owners[id][p] = after.id
	})
}

// reconcile takes a member a step nearer to its target: it gives partitions up first, and gets those that nobody has. owned is what the member says it has, nil if it
// does not say. Kafka 3.9 CurrentAssignmentBuilder.
func (n *modernGroup) reconcile(m *modernMember, targetEpoch int32, target, owned parts, said bool) *modernMember {
	if m.reconciled(targetEpoch) {
		return m
	}
	holds := func(set parts) bool {
		if !said {
			return true
		}
		for id, list := range owned {
			for _, p := range list {
				if set.has(id, p) {
					return true
				}
			}
		}
		return false
	}
	epoch := m.epoch
	if m.state == memberUnrevoked {
		if holds(m.revoking) {
			return m
		}
		epoch++
	}
	assigned, revoking, coming, unreleased := parts{}, parts{}, parts{}, false
	for id, list := range m.assigned {
		for _, p := range list {
			if target.has(id, p) {
				assigned.add(id, p)
			} else {
				revoking.add(id, p)
			}
		}
	}
	for id, list := range target {
		for _, p := range list {
			switch _, taken := n.owners[id][p]; {
			case assigned.has(id, p):
			case taken:
				unreleased = true
			default:
				coming.add(id, p)
			}
		}
	}
	assigned, revoking = assigned.sorted(), revoking.sorted()
	if len(revoking) > 0 && holds(revoking) {
		return m.to(memberUnrevoked, epoch, assigned, revoking)
	}
	for id, list := range coming {
		for _, p := range list {
			assigned.add(id, p)
		}
	}
	state := memberStable
	if unreleased {
		state = memberUnreleased
	}
	return m.to(state, targetEpoch, assigned.sorted(), parts{})
}
