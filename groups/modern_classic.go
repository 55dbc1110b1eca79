package groups

import (
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/coordinator"
	"gokafka/internal/clock"
	"gokafka/metadata"
	"gokafka/record"
)

// A group may change its protocol while it lives (KIP-848, "Migration"): the first member of the newer protocol makes a classic group a modern one, in which the others go on by
// the classic protocol, and when the last member of the newer protocol is gone it may become a classic one again. group.consumer.migration.policy says what is allowed.

func (c *Coordinator) upgrades() bool {
	return strings.EqualFold(c.o.Config.ConsumerMigrationPolicy, "upgrade") || strings.EqualFold(c.o.Config.ConsumerMigrationPolicy, "bidirectional")
}

func (c *Coordinator) downgrades() bool {
	return strings.EqualFold(c.o.Config.ConsumerMigrationPolicy, "downgrade") || strings.EqualFold(c.o.Config.ConsumerMigrationPolicy, "bidirectional")
}

// upgrade makes a classic group with members a modern one, if that is allowed and can be written: all members have what they had. Kafka 3.9
// GroupMetadataManager.convertToConsumerGroup, ConsumerGroup.fromClassicGroup.
func (s *shard) upgrade(g *group) {
	if g == nil || g.modern != nil || len(g.members) == 0 || !s.c.upgrades() || g.protocolType == nil || *g.protocolType != consumerProtocol ||
		len(g.members) > int(s.c.o.Config.ConsumerMaxSize) {
		return
	}
	image := s.c.o.Image()
	records := []coordinator.KV{groupTombstone(g.id)}
	var members []*modernMember
	claims := map[*modernMember]parts{}
	for _, m := range g.sorted() {
		name := m.protocols[0].Name
		if g.protocol != nil {
			name = *g.protocol
		}
		var sub kmsg.ConsumerMemberMetadata
		if err := sub.ReadFrom(m.metadata(name)); err != nil {
			s.logger.Info("A group cannot change to the consumer protocol: a member's subscription is malformed", "group", g.id, "member", m.id, "error", err)
			return
		}
		n := &modernMember{id: m.id, instance: m.instance, rack: rackOf(&sub), clientID: m.clientID, host: m.host, topics: sortedNames(sub.Topics), rebalanceMs: int32(m.rebalanceTimeout.Milliseconds()),
			classic: &classicSide{sessionMs: int32(m.sessionTimeout.Milliseconds()), protocols: m.protocols}, epoch: g.generation, previous: g.generation, assigned: assignedOf(m.assignment, image), revoking: parts{}}
		members = append(members, n)
		if len(m.assignment) == 0 && !g.is(Stable) {
			claims[n] = ownedBy(&sub, image)
		}
		records = append(records, modernMemberRecord(g.id, n))
	}
	admit(members, claims)
	records = append(records, modernGroupRecord(g.id, g.generation))
	for _, m := range members {
		records = append(records, modernTargetRecord(g.id, m.id, m.assigned))
	}
	records = append(records, modernTargetsRecord(g.id, g.generation))
	for _, m := range members {
		records = append(records, modernCurrentRecord(g.id, m))
	}
	base := s.append(record.NewBatchSpec(), records, func(error) {})
	if base < 0 {
		return
	}
	s.logger.Info("Group changes to the consumer protocol", "group", g.id, "members", len(members))
	for _, m := range g.members {
		m.stopTimer()
		s.answerJoin(m, JoinResult{Err: kerr.RebalanceInProgress, MemberID: m.id, Generation: -1})
		answerSync(m, SyncResult{Err: kerr.RebalanceInProgress})
	}
	for id := range g.pending {
		g.dropPending(id)
	}
	g.stopWaits()
	s.apply(base, records)
	if g = s.groups[g.id]; g != nil && g.modern != nil {
		for id := range g.modern.members {
			s.modernSession(g, id)
		}
		s.account(g)
	}
}

// ownedBy is what a member said that it has when it joined last.
func ownedBy(sub *kmsg.ConsumerMemberMetadata, image *metadata.Image) parts {
	out := parts{}
	for _, o := range sub.OwnedPartitions {
		if topic := image.Topic(o.Topic); topic != nil && len(o.Partitions) > 0 {
			out[topic.ID] = append(out[topic.ID], o.Partitions...)
		}
	}
	return out.sorted()
}

// admit lets members have what they claim and nobody was given. In the middle of a rebalance they were given nothing yet, but a cooperative member keeps what it has until it is
// told otherwise: to others it must not go before (Apache forgets it).
func admit(members []*modernMember, claims map[*modernMember]parts) {
	taken := map[metadata.TopicID]map[int32]bool{}
	take := func(id metadata.TopicID, p int32) bool {
		if taken[id] == nil {
			taken[id] = map[int32]bool{}
		}
		was := taken[id][p]
		taken[id][p] = true
		return !was
	}
	for _, m := range members {
		for id, list := range m.assigned {
			for _, p := range list {
				take(id, p)
			}
		}
	}
	for _, m := range members {
		for id, list := range claims[m] {
			for _, p := range list {
				if take(id, p) {
					m.assigned.add(id, p)
				}
			}
		}
		m.assigned = m.assigned.sorted()
	}
}

func rackOf(sub *kmsg.ConsumerMemberMetadata) *string {
	if sub.Rack == nil || *sub.Rack == "" {
		return nil
	}
	return sub.Rack
}

func sortedNames(names []string) []string {
	return slices.Compact(slices.Sorted(slices.Values(names)))
}

// assignedOf reads what the leader of a classic group gave a member; topics that are gone are left out.
func assignedOf(assignment []byte, image *metadata.Image) parts {
	var a kmsg.ConsumerMemberAssignment
	out := parts{}
	if len(assignment) == 0 || a.ReadFrom(assignment) != nil {
		return out
	}
	for _, t := range a.Topics {
		if topic := image.Topic(t.Topic); topic != nil && len(t.Partitions) > 0 {
			out[topic.ID] = append(out[topic.ID], t.Partitions...)
		}
	}
	return out.sorted()
}

// assignmentFor is the opposite, in the version of the member's subscription.
func assignmentFor(p parts, subscription []byte, image *metadata.Image) []byte {
	var sub kmsg.ConsumerMemberMetadata
	a := kmsg.NewConsumerMemberAssignment()
	if sub.ReadFrom(subscription) == nil {
		a.Version = sub.Version
	}
	for _, id := range p.topics() {
		topic := image.TopicByID(id)
		if topic == nil {
			continue
		}
		t := kmsg.NewConsumerMemberAssignmentTopic()
		t.Topic, t.Partitions = topic.Name, p[id]
		a.Topics = append(a.Topics, t)
	}
	return a.AppendTo(nil)
}

// downgrade makes a modern group a classic one when its last member of the newer protocol goes, if members of the classic one stay and it is allowed. Kafka 3.9
// GroupMetadataManager.validateOnlineDowngrade, convertToClassicGroup.
func (s *shard) downgrade(g *group, leaving *modernMember, done func(err error)) bool {
	n := g.modern
	rest := len(n.members) - 1
	if leaving.classic != nil || rest < 1 || rest > int(s.c.o.Config.MaxSize) || !s.c.downgrades() {
		return false
	}
	image := s.c.o.Image()
	c := newGroup(g.id, s.p.NowMs())
	consumer := consumerProtocol
	c.state, c.generation, c.protocolType = Stable, n.epoch, &consumer
	var records []coordinator.KV
	for _, m := range n.sorted() {
		records = append(records, removalRecords(g.id, m.id)...)
		if m == leaving {
			continue
		}
		if m.classic == nil {
			return false
		}
		c.add(&member{id: m.id, instance: m.instance, clientID: m.clientID, host: m.host, protocolType: consumer, protocols: m.classic.protocols,
			sessionTimeout: time.Duration(m.classic.sessionMs) * time.Millisecond, rebalanceTimeout: time.Duration(m.rebalanceMs) * time.Millisecond}, nil)
	}
	protocol := c.selectProtocol()
	c.protocol = &protocol
	assignments := map[string][]byte{}
	for id, m := range c.members {
		assignments[id] = assignmentFor(n.target[id], m.metadata(protocol), image)
	}
	records = append(records, modernTombstones(g.id)...)
	records = append(records, groupRecord(c, assignments))
	s.write(g.id, records, func() {
		s.logger.Info("Group changes to the classic protocol", "group", g.id, "members", rest)
		g := s.groups[g.id]
		for id, m := range g.members { // the log has the chosen protocol alone
			m.protocols = c.members[id].protocols
			s.heartbeat(g, m)
		}
		s.account(g)
		s.prepareRebalance(g, "the group changes from the consumer protocol to the classic one")
	}, done)
	return true
}

// modernJoin is JoinGroup of a member of the classic protocol in a modern group. Kafka 3.9 GroupMetadataManager.classicGroupJoinToConsumerGroup.
func (s *shard) modernJoin(g *group, j *Join, answer func(JoinResult)) {
	refuse := func(err error, id string) { answer(JoinResult{Err: err, MemberID: id, Generation: -1}) }
	n := g.modern
	id := j.MemberID
	if limit := int(s.c.o.Config.ConsumerMaxSize); len(n.members) >= limit && n.members[id] == nil {
		refuse(kerr.GroupMaxSizeReached, id)
		return
	}
	if !n.supports(j.ProtocolType, j.Protocols) {
		refuse(kerr.InconsistentGroupProtocol, id)
		return
	}
	var sub kmsg.ConsumerMemberMetadata
	if err := sub.ReadFrom(j.Protocols[0].Metadata); err != nil {
		refuse(kerr.InconsistentGroupProtocol, id)
		return
	}
	if id == "" {
		if id = newID(j.ClientID, j.Instance); j.NeedsKnownID && j.Instance == nil {
			refuse(kerr.MemberIDRequired, id)
			return
		}
	}
	before, replaced := n.members[id], (*modernMember)(nil)
	if j.Instance != nil {
		was := n.members[n.static[*j.Instance]]
		switch {
		case j.MemberID != "" && was == nil:
			refuse(kerr.UnknownMemberID, id)
			return
		case j.MemberID != "" && was.id != id:
			refuse(kerr.FencedInstanceID, id)
			return
		case j.MemberID == "" && was != nil:
			back := *was
			back.id, back.epoch, back.previous = id, 0, 0
			before, replaced = &back, was
		default:
			before = was
		}
	}
	if before == nil {
		before = &modernMember{id: id, rebalanceMs: -1, assigned: parts{}, revoking: parts{}}
	}
	updated := *before
	updated.clientID, updated.host, updated.topics, updated.rebalanceMs = j.ClientID, j.Host, sortedNames(sub.Topics), int32(j.RebalanceTimeout.Milliseconds())
	updated.classic = &classicSide{sessionMs: int32(j.SessionTimeout.Milliseconds()), protocols: j.Protocols}
	if j.Instance != nil {
		updated.instance = j.Instance
	}
	if r := rackOf(&sub); r != nil {
		updated.rack = r
	}
	image := s.c.o.Image()
	owned := parts{}
	for _, t := range sub.OwnedPartitions {
		if topic := image.Topic(t.Topic); topic != nil && len(t.Partitions) > 0 {
			owned[topic.ID] = append(owned[topic.ID], t.Partitions...)
		}
	}
	pl, e := s.plan(g.id, g, n, before, replaced, &updated, owned.sorted(), true, nil)
	if e != nil {
		refuse(e.code, id)
		return
	}
	consumer, protocol := consumerProtocol, j.Protocols[0].Name
	r := JoinResult{MemberID: id, Generation: pl.member.epoch, ProtocolType: &consumer, Protocol: &protocol}
	s.write(g.id, pl.records, func() {
		s.planned(g.id, pl)
		t := g.modern.timersOf(id)
		if t.join != nil {
			t.join.Stop()
			t.join = nil
		}
		s.modernWait(g, id, &t.sync, "it did not fetch its assignment in time")
	}, func(err error) {
		if err != nil {
			refuse(err, id)
			return
		}
		answer(r)
	})
}

// modernWait fences a member of the classic protocol that does not take its next step within its rebalance timeout.
func (s *shard) modernWait(g *group, id string, timer **clock.Timer, why string) {
	if *timer != nil {
		(*timer).Stop()
	}
	m := g.modern.members[id]
	var set *clock.Timer
	set = s.p.After(time.Duration(m.rebalanceMs)*time.Millisecond, func() {
		if s.groups[g.id] == g && g.modern != nil && *timer == set && g.modern.members[id] != nil {
			s.fenceLater(g, id, why)
		}
	})
	*timer = set
}

// supports says whether a member of the classic protocol fits in: all who use it must know a protocol in common.
func (n *modernGroup) supports(protocolType string, protocols []Protocol) bool {
	if protocolType != consumerProtocol || len(protocols) == 0 {
		return false
	}
	classic, counts := 0, map[string]int{}
	for _, m := range n.members {
		if m.classic == nil {
			continue
		}
		classic++
		seen := map[string]bool{}
		for _, p := range m.classic.protocols {
			if !seen[p.Name] {
				seen[p.Name] = true
				counts[p.Name]++
			}
		}
	}
	return classic == 0 || slices.ContainsFunc(protocols, func(p Protocol) bool { return counts[p.Name] == classic })
}

// classicMember finds the member of a request of the classic protocol in a modern group. Kafka 3.9 GroupMetadataManager.validateConsumerGroupMember.
func (n *modernGroup) classicMember(id string, instance *string) (*modernMember, error) {
	m := n.members[id]
	if instance != nil {
		m = n.members[n.static[*instance]]
		if m != nil && m.id != id {
			return nil, kerr.FencedInstanceID
		}
	}
	if m == nil || m.classic == nil {
		return nil, kerr.UnknownMemberID
	}
	return m, nil
}

// modernClassicBeat is Kafka 3.9 GroupMetadataManager.classicGroupHeartbeatToConsumerGroup.
func (s *shard) modernClassicBeat(g *group, id string, instance *string, generation int32) error {
	n := g.modern
	m, err := n.classicMember(id, instance)
	switch {
	case err != nil:
		return err
	case generation != m.epoch:
		return kerr.IllegalGeneration
	}
	s.modernSession(g, id)
	if m.epoch < n.epoch || m.state == memberUnrevoked || m.state == memberUnreleased && !n.waits(m) {
		if t := n.timersOf(id); t.join == nil {
			s.modernWait(g, id, &t.join, "it did not join again in time")
		}
		return kerr.RebalanceInProgress
	}
	return nil
}

// waits says whether a partition that a member is to have is still another's.
func (n *modernGroup) waits(m *modernMember) bool {
	for id, list := range n.target[m.id] {
		for _, p := range list {
			if owner, taken := n.owners[id][p]; taken && owner != m.id {
				return true
			}
		}
	}
	return false
}

// modernSync is Kafka 3.9 GroupMetadataManager.classicGroupSyncToConsumerGroup.
func (s *shard) modernSync(g *group, q *Sync) SyncResult {
	n := g.modern
	m, err := n.classicMember(q.MemberID, q.Instance)
	if err == nil {
		switch first := m.classic.protocols[0].Name; {
		case q.Generation != m.epoch:
			err = kerr.IllegalGeneration
		case q.ProtocolType != nil && *q.ProtocolType != consumerProtocol, q.Protocol != nil && *q.Protocol != first:
			err = kerr.InconsistentGroupProtocol
		case n.epoch > m.epoch && m.state != memberUnrevoked:
			if t := n.timersOf(m.id); t.join == nil {
				s.modernWait(g, m.id, &t.join, "it did not join again in time")
			}
			err = kerr.RebalanceInProgress
		}
	}
	if err != nil {
		return SyncResult{Err: err}
	}
	if t := n.timersOf(m.id); t.sync != nil {
		t.sync.Stop()
		t.sync = nil
	}
	s.modernSession(g, m.id)
	first := m.classic.protocols[0]
	consumer := consumerProtocol
	return SyncResult{ProtocolType: &consumer, Protocol: &first.Name, Assignment: assignmentFor(m.assigned, first.Metadata, s.c.o.Image())}
}

// modernClassicLeave is Kafka 3.9 GroupMetadataManager.classicGroupLeaveToConsumerGroup.
func (s *shard) modernClassicLeave(g *group, list []Leaver) {
	for i := range list {
		l := &list[i]
		var m *modernMember
		switch {
		case g.modern == nil:
			l.Err = kerr.UnknownMemberID
		case l.MemberID == "" && l.Instance != nil:
			if m = g.modern.members[g.modern.static[*l.Instance]]; m == nil || m.classic == nil {
				l.Err = kerr.UnknownMemberID
			}
		default:
			m, l.Err = g.modern.classicMember(l.MemberID, l.Instance)
		}
		if l.Err != nil {
			continue
		}
		s.logger.Info("Member has left the consumer group by the classic protocol", "group", g.id, "member", m.id, "reason", l.Reason)
		s.fenceLater(g, m.id, "it left")
	}
}
