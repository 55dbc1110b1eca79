package groups

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// newMemberTimeout is how long a member that has not got its first answer is kept: it cannot send heartbeats yet.
const newMemberTimeout = 5 * time.Minute

// maxGroupBytes bounds the metadata and assignments of a group's members, defaultMaxBytes those of all groups of a broker. Apache has no bound: 300 members of 1 MB
// end a broker with a small heap.
const (
	maxGroupBytes         = 64 << 20
	defaultMaxBytes int64 = 512 << 20
)

// account counts what the members of a group hold.
func (s *shard) account(g *group) {
	n := 0
	if s.groups[g.id] == g {
		n = g.bytes()
	}
	s.c.held.Add(int64(n - g.counted))
	g.counted = n
}

// Join is a JoinGroup request.
type Join struct {
	Group, MemberID  string
	Instance         *string
	NeedsKnownID     bool // v4: a member without an id gets one, and comes again with it (KIP-394)
	SkipsAssignment  bool // v9
	ClientID, Host   string
	RebalanceTimeout time.Duration
	SessionTimeout   time.Duration
	ProtocolType     string
	Protocols        []Protocol
	Reason           string
}

// JoinMember is a member as its leader sees it.
type JoinMember struct {
	ID       string
	Instance *string
	Metadata []byte
}

// JoinResult is the answer to a Join.
type JoinResult struct {
	Err            error
	MemberID       string
	Generation     int32 // -1 with an error
	ProtocolType   *string
	Protocol       *string
	Leader         string
	Members        []JoinMember // for the leader
	SkipAssignment bool
}

// SyncResult is the answer to a SyncGroup.
type SyncResult struct {
	Err          error
	ProtocolType *string
	Protocol     *string
	Assignment   []byte
}

// join is Kafka 3.9 GroupCoordinator.handleJoinGroup.
func (s *shard) join(j *Join, answer func(JoinResult)) {
	refuse := func(err error, id string) { answer(JoinResult{Err: err, MemberID: id, Generation: -1}) }
	if j.SessionTimeout < s.c.o.Config.MinSessionTimeout || j.SessionTimeout > s.c.o.Config.MaxSessionTimeout {
		refuse(kerr.InvalidSessionTimeout, j.MemberID)
		return
	}
	g, made := s.groups[j.Group], false
	if g == nil {
		if j.MemberID != "" {
			refuse(kerr.UnknownMemberID, j.MemberID)
			return
		}
		g, made = s.groupFor(j.Group), true
	}
	defer s.account(g)
	if g.modern != nil && (len(g.modern.members) > 0 || !s.becomeClassic(g)) {
		s.modernJoin(g, j, answer)
		return
	}
	if !s.hasRoom(g, j) {
		if g.remove(j.MemberID); made {
			delete(s.groups, g.id)
		}
		refuse(kerr.GroupMaxSizeReached, "")
		return
	}
	if !g.supports(j.ProtocolType, j.Protocols) {
		refuse(kerr.InconsistentGroupProtocol, j.MemberID)
		return
	}
	if j.MemberID == "" {
		s.joinNew(g, j, answer)
	} else {
		s.joinKnown(g, j, answer)
	}
	s.tryCompleteJoin(g)
}

// becomeClassic lets a classic member join a modern group that has no members.
func (s *shard) becomeClassic(g *group) bool {
	done := false
	s.write(g.id, modernTombstones(g.id), func() { done = true }, func(error) {})
	return done
}

// hasRoom says whether a member may join: those who are in always, but for a group that is too large while it rebalances.
func (s *shard) hasRoom(g *group, j *Join) bool {
	limit := int(s.c.o.Config.MaxSize)
	m := g.members[j.MemberID]
	bytes := g.bytes() + (&member{id: j.MemberID, clientID: j.ClientID, host: j.Host, protocols: j.Protocols}).bytes()
	if m != nil {
		bytes -= m.bytes()
	}
	if bytes > maxGroupBytes || bytes > g.counted && s.c.held.Load()+int64(bytes-g.counted) > s.c.o.maxBytes() {
		return false
	}
	switch g.state {
	case PreparingRebalance:
		return m != nil && m.join != nil || g.waiting() < limit
	case CompletingRebalance, Stable:
		return m != nil || len(g.members) < limit
	}
	return true
}

func (s *shard) joinNew(g *group, j *Join, answer func(JoinResult)) {
	id := newID(j.ClientID, j.Instance)
	switch {
	case j.Instance != nil:
		if old := g.members[g.static[*j.Instance]]; old != nil {
			s.replaceStatic(g, old, id, j, answer)
			return
		}
		s.addMember(g, id, j, answer)
	case j.NeedsKnownID:
		s.logger.Info("Member with unknown id joins; it is to join again with the one it gets", "group", g.id, "member", id, "state", g.state)
		g.pending[id] = &pendingID{s.p.After(j.SessionTimeout, func() {
			if g.pending[id] != nil {
				g.dropPending(id)
				s.tryCompleteJoin(g)
			}
		})}
		answer(JoinResult{Err: kerr.MemberIDRequired, MemberID: id, Generation: -1})
	default:
		s.addMember(g, id, j, answer)
	}
}

func (s *shard) addMember(g *group, id string, j *Join, answer func(JoinResult)) {
	m := &member{id: id, instance: j.Instance, clientID: j.ClientID, host: j.Host, rebalanceTimeout: j.RebalanceTimeout, sessionTimeout: j.SessionTimeout,
		protocolType: j.ProtocolType, protocols: j.Protocols, isNew: true}
	if g.is(PreparingRebalance) && g.generation == 0 {
		g.newMember = true
	}
	g.add(m, answer)
	s.expect(g, m, newMemberTimeout)
	s.maybeRebalance(g, "member "+id+" joins; client reason: "+j.Reason)
}

// update gives a member that joins again what it says now.
func (m *member) update(j *Join, answer func(JoinResult)) {
	m.protocols, m.rebalanceTimeout, m.sessionTimeout, m.join = j.Protocols, j.RebalanceTimeout, j.SessionTimeout, answer
}

func (s *shard) joinKnown(g *group, j *Join, answer func(JoinResult)) {
	if g.pending[j.MemberID] != nil {
		if j.Instance != nil { // ids are not given out to static members
			answer(JoinResult{Err: kerr.UnknownServerError, MemberID: j.MemberID, Generation: -1})
			return
		}
		s.addMember(g, j.MemberID, j, answer)
		return
	}
	m, err := g.check(j.MemberID, j.Instance)
	if err != nil {
		answer(JoinResult{Err: err, MemberID: j.MemberID, Generation: -1})
		return
	}
	again := func() {
		s.answerJoin(m, JoinResult{Err: kerr.UnknownMemberID, MemberID: m.id, Generation: -1}) // its request of before
		m.update(j, answer)
		s.maybeRebalance(g, "member "+m.id+" joins again; client reason: "+j.Reason)
	}
	switch g.state {
	case PreparingRebalance:
		again()
	case CompletingRebalance:
		if m.matches(j.Protocols) { // it has not got the answer
			answer(s.joined(g, m))
		} else {
			again()
		}
	case Stable:
		if g.isLeader(m.id) || !m.matches(j.Protocols) { // the leader joins again to have all assigned anew
			again()
		} else {
			answer(s.joined(g, m))
		}
	default:
		answer(JoinResult{Err: kerr.UnknownMemberID, MemberID: m.id, Generation: -1})
	}
}

// check finds the member of a request (Kafka 3.9 GroupCoordinator.validateCurrentMember).
func (g *group) check(id string, instance *string) (*member, error) {
	if instance != nil {
		current, ok := g.static[*instance]
		switch {
		case !ok:
			return nil, kerr.UnknownMemberID
		case current != id:
			return nil, kerr.FencedInstanceID
		}
	}
	if m := g.members[id]; m != nil {
		return m, nil
	}
	return nil, kerr.UnknownMemberID
}

// replaceStatic lets a static member that has come back take the place of its former self, without a rebalance where nothing changes by it (KIP-345).
// Kafka 3.9 GroupCoordinator.updateStaticMemberAndRebalance.
func (s *shard) replaceStatic(g *group, m *member, id string, j *Join, answer func(JoinResult)) {
	oldID, leader := m.id, g.leader
	s.answerJoin(m, JoinResult{Err: kerr.FencedInstanceID, MemberID: oldID, Generation: -1})
	answerSync(m, SyncResult{Err: kerr.FencedInstanceID})
	delete(g.members, oldID)
	delete(g.pendingSync, oldID)
	wasLeader := g.isLeader(oldID)
	before := *m
	m.id = id
	g.members[id], g.static[*m.instance] = m, id
	if wasLeader {
		g.leader = &m.id
	}
	oldLeader := ""
	if leader != nil {
		oldLeader = *leader
		if wasLeader {
			oldLeader = oldID
		}
	}
	s.heartbeat(g, m)
	m.update(j, answer)
	switch g.state {
	case Stable:
		if g.protocol != nil && *g.protocol == g.selectProtocol() {
			s.storeReplaced(g, m, &before, oldLeader, j.SkipsAssignment)
		} else {
			s.maybeRebalance(g, "static member "+id+" joins and the protocol changes")
		}
	case CompletingRebalance:
		s.prepareRebalance(g, "static member "+id+" joins")
	}
}

// storeReplaced writes the group with the member's new id, and answers it then. If that fails the member is what it was.
func (s *shard) storeReplaced(g *group, m, before *member, oldLeader string, skips bool) {
	assignments := map[string][]byte{}
	for id, x := range g.members {
		assignments[id] = x.assignment
	}
	id, reverted := m.id, false
	s.store(g, assignments, func(err error) {
		if reverted { // the log has the new id after all
			if s.groups[g.id] == g && g.is(Stable) {
				s.save(g)
			}
			return
		}
		if g.members[id] != m {
			return
		}
		r := s.joined(g, m)
		switch {
		case err != nil:
			reverted = true
			s.logger.Warn("A static member's new id could not be stored", "group", g.id, "member", m.id, "error", err)
			delete(g.members, m.id)
			if g.isLeader(m.id) {
				g.leader = &before.id
			}
			join := m.join
			m.id, m.protocols, m.rebalanceTimeout, m.sessionTimeout, m.join = before.id, before.protocols, before.rebalanceTimeout, before.sessionTimeout, nil
			g.members[m.id], g.static[*m.instance] = m, m.id
			if g.leader == &before.id {
				g.leader = &m.id
			}
			s.heartbeat(g, m)
			if join != nil {
				join(JoinResult{Err: err, Generation: g.generation, ProtocolType: g.protocolType, Protocol: g.protocol, Leader: oldLeader})
			}
			return
		case skips:
			r.SkipAssignment = g.isLeader(m.id)
		default: // or it would assign, which a stable group does not take
			r.Leader, r.Members = oldLeader, nil
		}
		s.answerJoin(m, r)
	})
}

// Sync is a SyncGroup request.
type Sync struct {
	Group, MemberID string
	Instance        *string
	Generation      int32
	ProtocolType    *string
	Protocol        *string
	Assignments     map[string][]byte // of the leader
}

// sync is Kafka 3.9 GroupCoordinator.doSyncGroup.
func (s *shard) sync(q *Sync, answer func(SyncResult)) {
	g := s.groups[q.Group]
	if g == nil {
		answer(SyncResult{Err: kerr.UnknownMemberID})
		return
	}
	if g.modern != nil {
		answer(s.modernSync(g, q))
		return
	}
	m, err := g.check(q.MemberID, q.Instance)
	differs := func(said, is *string) bool { return said != nil && (is == nil || *said != *is) }
	switch {
	case err != nil:
	case q.Generation != g.generation:
		err = kerr.IllegalGeneration
	case differs(q.ProtocolType, g.protocolType), differs(q.Protocol, g.protocol):
		err = kerr.InconsistentGroupProtocol
	case g.is(Empty):
		err = kerr.UnknownMemberID
	case g.is(PreparingRebalance):
		err = kerr.RebalanceInProgress
	}
	if err != nil {
		answer(SyncResult{Err: err})
		return
	}
	delete(g.pendingSync, m.id)
	if g.is(Stable) {
		answer(SyncResult{ProtocolType: g.protocolType, Protocol: g.protocol, Assignment: m.assignment})
		s.heartbeat(g, m)
		return
	}
	answerSync(m, SyncResult{Err: kerr.UnknownMemberID}) // its request of before
	m.sync = answer
	if g.isLeader(m.id) {
		s.assign(g, q)
	}
}

// assign stores the leader's assignments and gives them to the members.
func (s *shard) assign(g *group, q *Sync) {
	assignments := map[string][]byte{}
	bytes := g.bytes()
	for id := range g.members {
		assignments[id] = q.Assignments[id]
		bytes += len(q.Assignments[id])
	}
	generation := q.Generation
	done := func(err error) {
		if !g.is(CompletingRebalance) || g.generation != generation { // another member joined meanwhile
			return
		}
		if err != nil {
			for _, m := range g.members {
				m.assignment = nil
			}
			s.propagate(g, err)
			s.maybeRebalance(g, "the assignment could not be stored: "+err.Error())
			return
		}
		for _, m := range g.members {
			m.assignment = assignments[m.id]
		}
		g.to(Stable, s.p.NowMs())
		s.account(g)
		s.propagate(g, nil)
	}
	if bytes > 2*maxGroupBytes {
		done(kerr.UnknownServerError)
		return
	}
	s.store(g, assignments, done)
}

// beat is Kafka 3.9 GroupCoordinator.handleHeartbeat.
func (s *shard) beat(groupID, id string, instance *string, generation int32) error {
	g := s.groups[groupID]
	if g == nil {
		return kerr.UnknownMemberID
	}
	if g.modern != nil {
		return s.modernClassicBeat(g, id, instance, generation)
	}
	m, err := g.check(id, instance)
	switch {
	case err != nil:
		return err
	case generation != g.generation:
		return kerr.IllegalGeneration
	case g.is(Empty):
		return kerr.UnknownMemberID
	}
	m.satisfied = true
	s.heartbeat(g, m)
	if g.is(PreparingRebalance) {
		return kerr.RebalanceInProgress
	}
	return nil
}

// Leaver is a member that leaves, by its id or its instance.
type Leaver struct {
	MemberID string
	Instance *string
	Reason   string

	Err error // the outcome
}

// leave is Kafka 3.9 GroupCoordinator.handleLeaveGroup.
func (s *shard) leave(groupID string, list []Leaver) {
	g := s.groups[groupID]
	if g != nil && g.modern != nil {
		s.modernClassicLeave(g, list)
		return
	}
	for i := range list {
		l := &list[i]
		if g == nil {
			l.Err = kerr.UnknownMemberID
			continue
		}
		var m *member
		switch {
		case l.MemberID == "":
			if l.Instance != nil {
				m = g.members[g.static[*l.Instance]]
			}
			if m == nil {
				l.Err = kerr.UnknownMemberID
			}
		case g.pending[l.MemberID] != nil:
			g.dropPending(l.MemberID)
			s.tryCompleteJoin(g)
		default:
			m, l.Err = g.check(l.MemberID, l.Instance)
		}
		if m != nil {
			s.logger.Info("Member has left group", "group", g.id, "member", m.id, "reason", l.Reason)
			s.removeMember(g, m, "member "+m.id+" leaves; client reason: "+l.Reason)
		}
	}
}
