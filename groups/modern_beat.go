package groups

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/coordinator"
	"gokafka/internal/clock"
	"gokafka/metadata"
	"gokafka/record"
)

// Beat is a ConsumerGroupHeartbeat request. What did not change since the last one is nil, or -1.
type Beat struct {
	Group, MemberID string
	Epoch           int32 // 0 joins, -1 leaves, -2 lets a static member go for a while
	Instance, Rack  *string
	RebalanceMs     int32
	Topics          []string // nil = as before
	Regex           *string
	Assignor        *string
	Owned           map[metadata.TopicID][]int32 // nil = as before
	ClientID, Host  string
	OwnID           bool // version 1: members make their ids (KIP-1082), and may name topics by a regular expression
}

// Beaten is the answer.
type Beaten struct {
	Err      error
	Message  string
	MemberID string
	Epoch    int32
	// Assigned is what the member has from now on, nil if that did not change.
	Assigned map[metadata.TopicID][]int32
}

// beatError is an error with Apache's words.
type beatError struct {
	code *kerr.Error
	text string
}

func refused(code *kerr.Error, format string, args ...any) *beatError {
	return &beatError{code, fmt.Sprintf(format, args...)}
}

func empty(s *string) bool { return s != nil && strings.TrimSpace(*s) == "" }

// check is Kafka 3.9 GroupMetadataManager.throwIfConsumerGroupHeartbeatRequestIsInvalid.
func (c *Coordinator) check(q *Beat) *beatError {
	invalid := func(format string, args ...any) *beatError { return refused(kerr.InvalidRequest, format, args...) }
	switch {
	case empty(&q.Group):
		return invalid("GroupId can't be empty.")
	case empty(q.Instance):
		return invalid("InstanceId can't be empty.")
	case empty(q.Rack):
		return invalid("RackId can't be empty.")
	case (q.OwnID || q.Epoch > 0 || q.Epoch == leaveEpoch || q.Epoch == leaveStaticEpoch) && empty(&q.MemberID):
		return invalid("MemberId can't be empty.")
	case q.Epoch == leaveStaticEpoch && q.Instance == nil:
		return invalid("InstanceId can't be null.")
	case q.Epoch < leaveStaticEpoch:
		return invalid("MemberEpoch is invalid.")
	}
	if q.Epoch == 0 {
		switch {
		case q.RebalanceMs == -1:
			return invalid("RebalanceTimeoutMs must be provided in first request.")
		case q.Owned == nil || len(q.Owned) > 0:
			return invalid("TopicPartitions must be empty when (re-)joining.")
		case len(q.Topics) == 0 && !q.OwnID:
			return invalid("SubscribedTopicNames must be set in first request.")
		case q.Topics == nil && (q.Regex == nil || *q.Regex == ""):
			return invalid("Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining.")
		}
	}
	if q.Assignor != nil && !slices.Contains(c.assignors, *q.Assignor) {
		return refused(kerr.UnsupportedAssignor, "ServerAssignor %s is not supported. Supported assignors: %s.", *q.Assignor, strings.Join(c.assignors, ", "))
	}
	if q.Regex != nil && *q.Regex != "" {
		if _, err := topicPattern(*q.Regex); err != nil {
			return refused(kerr.InvalidRegularExpression, "SubscribedTopicRegex `%s` is not a valid regular expression: %s.", *q.Regex, err)
		}
	}
	return nil
}

// modernBeat is Kafka 3.9 GroupMetadataManager.consumerGroupHeartbeat.
func (s *shard) modernBeat(q *Beat, answer func(Beaten)) {
	refuse := func(e *beatError) { answer(Beaten{Err: e.code, Message: e.text}) }
	if e := s.c.check(q); e != nil {
		refuse(e)
		return
	}
	if q.Epoch == leaveEpoch || q.Epoch == leaveStaticEpoch {
		s.modernLeave(q, answer)
		return
	}
	joins := q.Epoch == 0
	if joins {
		s.upgrade(s.groups[q.Group])
	}
	g, e := s.modernGroupFor(q.Group, joins)
	if e != nil {
		refuse(e)
		return
	}
	n := newModernGroup()
	if g != nil && g.modern != nil {
		n = g.modern
	}
	if limit := int(s.c.o.Config.ConsumerMaxSize); len(n.members) >= limit && n.members[q.MemberID] == nil {
		refuse(refused(kerr.GroupMaxSizeReached, "The consumer group has reached its maximum capacity of %d members.", limit))
		return
	}
	id := q.MemberID
	if id == "" {
		id = newUUID()
	}
	var records []coordinator.KV
	if joins && g != nil && g.modern == nil && g.generation > 0 {
		records = append(records, groupTombstone(g.id)) // an empty classic group becomes a modern one
	}
	m, replaced, e := n.memberFor(q, id, joins)
	if e != nil {
		refuse(e)
		return
	}
	updated := m.updated(q)
	pl, e := s.plan(q.Group, g, n, m, replaced, updated, sortedParts(q.Owned), q.Owned != nil, records)
	if e != nil {
		refuse(e)
		return
	}
	r := Beaten{MemberID: id, Epoch: pl.member.epoch}
	if full := joins || q.RebalanceMs != -1 && (q.Topics != nil || q.Regex != nil) && q.Owned != nil; full || !pl.member.assigned.equal(m.assigned) {
		r.Assigned = pl.member.assigned
	}
	s.write(q.Group, pl.records, func() { s.planned(q.Group, pl) }, func(err error) {
		if err != nil {
			answer(Beaten{Err: err})
			return
		}
		answer(r)
	})
}

// plan is what a member's request makes of its group.
type plan struct {
	records          []coordinator.KV
	before, replaced *modernMember
	member           *modernMember // afterwards
	image            *metadata.Image
}

// plan finds out what changes with a member that was before and tells what is in updated; replaced is the former self of a static member. owned is what the member
// has, if it said so. records are those that come first. Kafka 3.9 GroupMetadataManager.consumerGroupHeartbeat, steps 1 to 3.
func (s *shard) plan(group string, g *group, n *modernGroup, before, replaced, updated *modernMember, owned parts, said bool, records []coordinator.KV) (*plan, *beatError) {
	id := updated.id
	members, targets := maps.Clone(n.members), n.target
	if replaced != nil { // a static member that had left for a while is back under another id
		delete(members, replaced.id)
		targets = maps.Clone(n.target)
		targets[id] = targets[replaced.id]
		delete(targets, replaced.id)
		records = append(records, removalRecords(group, replaced.id)...)
		records = append(records, modernMemberRecord(group, before), modernTargetRecord(group, id, targets[id]), modernCurrentRecord(group, before))
	}
	if !s.modernRoom(g, before, updated) {
		return nil, refused(kerr.GroupMaxSizeReached, "The members of the broker's groups hold too much memory.")
	}
	members[id] = updated
	changed := n.members[id] == nil && replaced == nil
	if !updated.sameSubscription(before) || changed {
		records = append(records, modernMemberRecord(group, updated))
		changed = !slices.Equal(updated.topics, before.topics) || !equalPtr(updated.regex, before.regex)
	}
	epoch, topics := n.epoch, n.topics
	image := s.c.o.Image()
	if changed || n.checked != image {
		topics = s.topicsOf(n.subscribed(members, s.resolver(image)), image)
		if !maps.EqualFunc(topics, n.topics, topicMeta.equal) {
			records = append(records, modernTopicsRecord(group, topics))
			changed = true
		}
		if changed {
			epoch++
			records = append(records, modernGroupRecord(group, epoch))
		}
	}
	targetEpoch := n.assignmentEpoch
	if epoch > targetEpoch {
		next := s.assignTargets(members, targets, topics, image)
		for _, member := range slices.Sorted(maps.Keys(members)) {
			if old, ok := targets[member]; !ok || !old.equal(next[member]) {
				records = append(records, modernTargetRecord(group, member, next[member]))
			}
		}
		targets, targetEpoch = next, epoch
		records = append(records, modernTargetsRecord(group, epoch))
	}
	owners := n
	if replaced != nil { // what the former self had is free for the new one
		owners = &modernGroup{owners: map[metadata.TopicID]map[int32]string{}}
		for _, x := range members {
			owners.own(nil, x)
		}
	}
	target := targets[id]
	if target == nil {
		target = parts{}
	}
	reconciled := owners.reconcile(updated, targetEpoch, target, owned, said)
	if !reconciled.sameAssignment(updated) {
		records = append(records, modernCurrentRecord(group, reconciled))
	}
	return &plan{records: records, before: before, replaced: replaced, member: reconciled, image: image}, nil
}

// planned is called when the records of a plan have been taken over.
func (s *shard) planned(group string, pl *plan) {
	g := s.groups[group]
	g.modern.checked = pl.image
	s.account(g)
	s.modernSession(g, pl.member.id)
	s.modernRebalanceTimer(g, pl.before, g.modern.members[pl.member.id])
	if pl.replaced != nil {
		g.modern.stopTimers(pl.replaced.id)
	}
}

// write appends the records of a modern group and takes them over; applied is called when that is done, done when they are replicated, or with why not. Without
// records both are called at once.
func (s *shard) write(group string, records []coordinator.KV, applied func(), done func(err error)) {
	if len(records) == 0 {
		applied()
		done(nil)
		return
	}
	base := s.append(record.NewBatchSpec(), records, done)
	if base < 0 {
		return
	}
	s.apply(base, records)
	applied()
}

// modernGroupFor finds the group of a heartbeat: nil if it is to be made. Kafka 3.9 GroupMetadataManager.getOrMaybeCreateConsumerGroup.
func (s *shard) modernGroupFor(id string, create bool) (*group, *beatError) {
	g := s.groups[id]
	switch {
	case g == nil && !create:
		return nil, refused(kerr.GroupIDNotFound, "Consumer group %s not found.", id)
	case g == nil || g.modern != nil:
		return g, nil
	case create && g.is(Empty) && len(g.pending) == 0:
		return g, nil
	}
	return nil, refused(kerr.GroupIDNotFound, "Group %s is not a consumer group.", id)
}

// memberFor finds the member of a heartbeat, or makes one; replaced is the former self of a static member. Kafka 3.9
// GroupMetadataManager.getOrMaybeSubscribeDynamicConsumerGroupMember, getOrMaybeSubscribeStaticConsumerGroupMember.
func (n *modernGroup) memberFor(q *Beat, id string, joins bool) (m, replaced *modernMember, _ *beatError) {
	fresh := &modernMember{id: id, rebalanceMs: -1, assigned: parts{}, revoking: parts{}}
	if q.Instance == nil {
		m = n.members[id]
		switch {
		case m == nil && joins:
			return fresh, nil, nil
		case m == nil:
			return nil, nil, refused(kerr.UnknownMemberID, "Member %s is not a member of group %s.", id, q.Group)
		}
		return m, nil, m.checkEpoch(q)
	}
	was := n.members[n.static[*q.Instance]]
	switch {
	case joins && was == nil:
		return fresh, nil, nil
	case joins && was.epoch != leaveStaticEpoch:
		return nil, nil, refused(kerr.UnreleasedInstanceID, "Static member %s with instance id %s cannot join the group because the instance id is owned by %s member.", id, *q.Instance, was.id)
	case joins:
		back := *was
		back.id, back.epoch, back.previous = id, 0, 0
		if was.id == id {
			return &back, nil, nil
		}
		return &back, was, nil
	}
	if e := n.checkStatic(was, q); e != nil {
		return nil, nil, e
	}
	return was, nil, was.checkEpoch(q)
}

func (n *modernGroup) checkStatic(was *modernMember, q *Beat) *beatError {
	switch {
	case was == nil:
		return refused(kerr.UnknownMemberID, "Instance id %s is unknown.", *q.Instance)
	case was.id != q.MemberID:
		return refused(kerr.FencedInstanceID, "Static member %s with instance id %s was fenced by member %s.", q.MemberID, *q.Instance, was.id)
	}
	return nil
}

// checkEpoch lets the last epoch but one pass: the answer with the last may have been lost. Kafka 3.9
// GroupMetadataManager.throwIfConsumerGroupMemberEpochIsInvalid.
func (m *modernMember) checkEpoch(q *Beat) *beatError {
	how := ""
	switch {
	case q.Epoch > m.epoch:
		how = "greater"
	case q.Epoch < m.epoch && (q.Epoch != m.previous || q.Owned == nil || !sortedParts(q.Owned).subset(m.assigned)):
		how = "smaller"
	default:
		return nil
	}
	return refused(kerr.FencedMemberEpoch, "The consumer group member has a %s member epoch (%d) than the one known by the group coordinator (%d). The member must abandon all its partitions and rejoin.",
		how, q.Epoch, m.epoch)
}

// updated is the member with what a heartbeat tells anew.
func (m *modernMember) updated(q *Beat) *modernMember {
	n := *m
	n.clientID, n.host, n.classic = q.ClientID, q.Host, nil
	if q.Instance != nil {
		n.instance = q.Instance
	}
	if q.Rack != nil {
		n.rack = q.Rack
	}
	if q.RebalanceMs != -1 {
		n.rebalanceMs = q.RebalanceMs
	}
	if q.Assignor != nil {
		n.assignor = q.Assignor
	}
	if q.Topics != nil {
		n.topics = slices.Compact(slices.Sorted(slices.Values(q.Topics)))
	}
	if q.Regex != nil {
		if n.regex = q.Regex; *q.Regex == "" {
			n.regex = nil
		}
	}
	return &n
}

func sortedParts(m map[metadata.TopicID][]int32) parts {
	out := parts{}
	for id, list := range m {
		if len(list) > 0 {
			out[id] = slices.Clone(list)
		}
	}
	return out.sorted()
}

func (s *shard) modernRoom(g *group, before, after *modernMember) bool {
	more := after.bytes()
	held := 0
	if g != nil {
		held = g.bytes()
		if g.modern != nil && g.modern.members[before.id] != nil {
			more -= before.bytes()
		}
	}
	return more <= 0 || held+more <= maxGroupBytes && s.c.held.Load()+int64(more) <= s.c.o.maxBytes()
}

// topicPattern compiles an expression that whole names must match. It gets no text around it, which could change what it means.
func topicPattern(expr string) (func(name string) bool, error) {
	re, err := regexp.Compile(expr)
	if err != nil {
		return nil, err
	}
	re.Longest()
	return func(name string) bool {
		at := re.FindStringIndex(name)
		return at != nil && at[0] == 0 && at[1] == len(name)
	}, nil
}

// resolver gives the topics that a regular expression means; it was checked when it came. What was found is kept until a topic comes or goes: pictures change more often, and each
// group looks at each of them.
func (s *shard) resolver(image *metadata.Image) func(string) []string {
	if s.resolvedOf != image.NamesVersion || s.resolved == nil {
		s.resolved, s.resolvedOf = map[string][]string{}, image.NamesVersion
	}
	return func(expr string) []string {
		if names, known := s.resolved[expr]; known {
			return names
		}
		matches, err := topicPattern(expr)
		if err != nil {
			s.logger.Error("A stored regular expression is not valid", "regex", expr, "error", err)
			return nil
		}
		var out []string
		for t := range image.Topics() {
			if matches(t.Name) {
				out = append(out, t.Name)
			}
		}
		if len(s.resolved) >= maxResolved {
			clear(s.resolved)
		}
		s.resolved[expr] = out
		return out
	}
}

// maxResolved bounds the regular expressions whose topics are remembered.
const maxResolved = 1000

// topicsOf are those of the subscribed topics that there are. Kafka 3.9 ModernGroup.computeSubscriptionMetadata.
func (s *shard) topicsOf(names map[string]bool, image *metadata.Image) map[string]topicMeta {
	out := map[string]topicMeta{}
	for name := range names {
		t := image.Topic(name)
		if t == nil {
			continue
		}
		meta := topicMeta{id: t.ID}
		for _, p := range t.Partitions {
			meta.partitions = max(meta.partitions, p.Index+1)
			var racks []string
			for _, id := range p.Replicas {
				if b := image.Broker(id); b != nil && b.Rack != "" {
					racks = append(racks, b.Rack)
				}
			}
			if slices.Sort(racks); len(racks) > 0 {
				if meta.racks == nil {
					meta.racks = map[int32][]string{}
				}
				meta.racks[p.Index] = slices.Compact(racks)
			}
		}
		out[name] = meta
	}
	return out
}

// assignTargets finds out what each member is to have. The assignor is the one that most members name.
func (s *shard) assignTargets(members map[string]*modernMember, targets map[string]parts, topics map[string]topicMeta, image *metadata.Image) map[string]parts {
	a := assignment{partitions: map[metadata.TopicID]int32{}}
	for _, t := range topics {
		a.partitions[t.id] = t.partitions
	}
	resolved := map[string][]string{}
	votes := map[string]int{}
	for _, id := range slices.Sorted(maps.Keys(members)) {
		m := members[id]
		if m.assignor != nil {
			votes[*m.assignor]++
		}
		names := slices.Clone(m.topics)
		if m.regex != nil {
			if _, ok := resolved[*m.regex]; !ok {
				resolved[*m.regex] = s.resolver(image)(*m.regex)
			}
			names = append(names, resolved[*m.regex]...)
		}
		x := subscriber{id: id, instance: m.instance, target: targets[id]}
		for _, name := range names {
			if t, ok := topics[name]; ok {
				x.topics = append(x.topics, t.id)
			}
		}
		slices.SortFunc(x.topics, func(p, q metadata.TopicID) int { return slices.Compare(p[:], q[:]) })
		x.topics = slices.Compact(x.topics)
		a.members = append(a.members, x)
	}
	return a.assign(s.c.preferred(votes))
}

// preferred is the assignor that most members name, the first of the configured ones if none does. Kafka 3.9 ConsumerGroup.computePreferredServerAssignor.
func (c *Coordinator) preferred(votes map[string]int) string {
	best := c.assignors[0]
	for _, name := range slices.Sorted(maps.Keys(votes)) {
		if votes[name] > votes[best] || votes[best] == 0 {
			best = name
		}
	}
	return best
}

func removalRecords(group, member string) []coordinator.KV {
	return []coordinator.KV{modernTombstone(keyModernCurrent, group, &member), modernTombstone(keyModernTarget, group, &member), modernTombstone(keyModernMember, group, &member)}
}

// modernLeave is Kafka 3.9 GroupMetadataManager.consumerGroupLeave.
func (s *shard) modernLeave(q *Beat, answer func(Beaten)) {
	refuse := func(e *beatError) { answer(Beaten{Err: e.code, Message: e.text}) }
	g, e := s.modernGroupFor(q.Group, false)
	if e != nil {
		refuse(e)
		return
	}
	m := g.modern.members[q.MemberID]
	if q.Instance != nil {
		m = g.modern.members[g.modern.static[*q.Instance]]
		if e := g.modern.checkStatic(m, q); e != nil {
			refuse(e)
			return
		}
	} else if m == nil {
		refuse(refused(kerr.UnknownMemberID, "Member %s is not a member of group %s.", q.MemberID, q.Group))
		return
	}
	answered := func(err error) {
		if err != nil {
			answer(Beaten{Err: err})
			return
		}
		answer(Beaten{MemberID: q.MemberID, Epoch: q.Epoch})
	}
	if q.Epoch == leaveStaticEpoch {
		s.logger.Info("Static member has left the consumer group for a while", "group", g.id, "member", m.id, "instance", *q.Instance)
		away := *m
		away.epoch, away.previous, away.revoking = leaveStaticEpoch, m.epoch, parts{}
		s.write(g.id, []coordinator.KV{modernCurrentRecord(g.id, &away)}, func() { s.modernRebalanceTimer(g, m, &away) }, answered)
		return
	}
	s.logger.Info("Member has left the consumer group", "group", g.id, "member", m.id)
	s.fence(g, m, answered)
}

// fence takes a member out of its group. Kafka 3.9 GroupMetadataManager.consumerGroupFenceMember.
func (s *shard) fence(g *group, m *modernMember, done func(err error)) {
	if s.downgrade(g, m, done) {
		return
	}
	n := g.modern
	records := removalRecords(g.id, m.id)
	rest := maps.Clone(n.members)
	delete(rest, m.id)
	image := s.c.o.Image()
	if topics := s.topicsOf(n.subscribed(rest, s.resolver(image)), image); !maps.EqualFunc(topics, n.topics, topicMeta.equal) {
		records = append(records, modernTopicsRecord(g.id, topics))
	}
	records = append(records, modernGroupRecord(g.id, n.epoch+1))
	s.write(g.id, records, func() {
		n.stopTimers(m.id)
		s.account(g)
	}, done)
}

// fenceLater is fence for a timer: what cannot be written is tried again.
func (s *shard) fenceLater(g *group, id, why string) {
	m := g.modern.members[id]
	if m == nil {
		return
	}
	s.logger.Info("Member is fenced from the consumer group", "group", g.id, "member", id, "reason", why)
	s.fence(g, m, func(err error) {
		if err == nil || s.groups[g.id] != g || g.modern == nil || g.modern.members[id] != m {
			return
		}
		s.p.After(saveRetry, func() {
			if s.groups[g.id] == g && g.modern != nil && g.modern.members[id] == m {
				s.fenceLater(g, id, why)
			}
		})
	})
}

func (n *modernGroup) timersOf(id string) *modernTimers {
	if n.timers[id] == nil {
		n.timers[id] = &modernTimers{}
	}
	return n.timers[id]
}

func (n *modernGroup) stopTimers(id string) {
	if t := n.timers[id]; t != nil {
		t.beat++
		if t.session != nil {
			t.session.Stop()
		}
		for _, x := range []*clock.Timer{t.rebalance, t.join, t.sync} {
			if x != nil {
				x.Stop()
			}
		}
		delete(n.timers, id)
	}
}

// modernSession begins a member's session anew.
func (s *shard) modernSession(g *group, id string) {
	t := g.modern.timersOf(id)
	if t.session != nil {
		t.session.Stop()
	}
	t.beat++
	beat := t.beat
	d := s.c.o.Config.ConsumerSessionTimeout
	if m := g.modern.members[id]; m != nil && m.classic != nil {
		d = time.Duration(m.classic.sessionMs) * time.Millisecond
	}
	t.session = s.p.After(d, func() {
		if s.groups[g.id] == g && g.modern != nil && g.modern.timers[id] == t && t.beat == beat {
			s.fenceLater(g, id, "the member session expired")
		}
	})
}

// modernRebalanceTimer bounds the time that a member may take to give partitions up.
func (s *shard) modernRebalanceTimer(g *group, before, m *modernMember) {
	if m == nil || before != nil && before.sameAssignment(m) && before.id == m.id {
		return
	}
	t := g.modern.timersOf(m.id)
	if t.rebalance != nil {
		t.rebalance.Stop()
		t.rebalance = nil
	}
	if m.state != memberUnrevoked || m.epoch == leaveStaticEpoch || m.classic != nil {
		return
	}
	epoch := m.epoch
	t.rebalance = s.p.After(time.Duration(m.rebalanceMs)*time.Millisecond, func() {
		if s.groups[g.id] != g || g.modern == nil {
			return
		}
		if now := g.modern.members[m.id]; now != nil && now.epoch == epoch && now.state == memberUnrevoked {
			s.fenceLater(g, m.id, "it failed to give up partitions in time")
		}
	})
}

// newUUID is a random id in Kafka's form.
func newUUID() string {
	var b [16]byte
	rand.Read(b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return base64.RawURLEncoding.EncodeToString(b[:])
}

// becomeModern makes an empty group one of KIP-848's protocol; its offsets stay.
func (g *group) becomeModern() {
	consumer := consumerProtocol
	g.modern, g.protocolType, g.generation, g.protocol, g.leader = newModernGroup(), &consumer, 0, nil, nil
}

// becomeClassic is the opposite.
func (g *group) becomeClassic() {
	for id := range g.modern.timers {
		g.modern.stopTimers(id)
	}
	g.modern, g.protocolType, g.subscribed, g.state = nil, nil, nil, Empty
}

// settleModern keeps what the rest of the package knows groups by.
func (g *group) settleModern(nowMs int64) {
	is := Stable
	if len(g.modern.members) == 0 {
		is = Empty
	}
	if g.state != is {
		g.to(is, nowMs)
	}
	g.subscribed = g.modern.subscribed(g.modern.members, func(string) []string { return slices.Collect(maps.Keys(g.modern.topics)) })
}

// modernTombstones end a modern group without members.
func modernTombstones(id string) []coordinator.KV {
	return []coordinator.KV{modernTombstone(keyModernTargets, id, nil), modernTombstone(keyModernTopics, id, nil), modernTombstone(keyModernGroup, id, nil)}
}
