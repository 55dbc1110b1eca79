package groups

import (
	"errors"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/coordinator"
	"gokafka/internal/clock"
	"gokafka/record"
	"gokafka/replication"
)

// shard is the groups of one partition. It runs on the partition's goroutine.
type shard struct {
	c       *Coordinator
	p       host
	groups  map[string]*group
	logger  *slog.Logger
	open    map[int64]map[string]bool // groups by the producers with commits in open transactions
	skipped int                       // records of other protocols, while loading
	// resolved are the topics of regular expressions, in pictures whose NamesVersion is resolvedOf.
	resolved   map[string][]string
	resolvedOf int64
}

// host is what a shard needs of its partition, a *coordinator.Partition.
type host interface {
	Append(spec record.BatchSpec, acks int16, timeout time.Duration, records []coordinator.KV, done func(err error)) (base int64, err error)
	AppendGuarded(guard replication.Guard, spec record.BatchSpec, acks int16, timeout time.Duration, records []coordinator.KV, done func(err error)) (base int64, err error)
	After(d time.Duration, f func()) *clock.Timer
	NowMs() int64
	Logger() *slog.Logger
}

func newShard(c *Coordinator, p host) *shard {
	return &shard{c: c, p: p, groups: map[string]*group{}, open: map[int64]map[string]bool{}, logger: p.Logger()}
}

func (s *shard) groupFor(id string) *group {
	g := s.groups[id]
	if g == nil {
		g = newGroup(id, s.p.NowMs())
		s.groups[id] = g
	}
	return g
}

// Loaded starts the sessions of the members, and the expiry of offsets.
func (s *shard) Loaded() {
	if s.skipped > 0 {
		s.logger.Warn("Records of protocols that are not served were skipped", "records", s.skipped)
	}
	for id, g := range s.groups {
		if g.modern != nil {
			for id, m := range g.modern.members {
				s.modernSession(g, id)
				s.modernRebalanceTimer(g, nil, m)
			}
		} else if g.generation == 0 && len(g.members) == 0 && len(g.offsets) == 0 && len(g.txns) == 0 {
			delete(s.groups, id) // all that is left of it in the log are tombstones of offsets
			continue
		}
		s.logger.Info("Loading group metadata", "group", g.id, "generation", g.generation)
		s.account(g)
		for _, m := range g.members {
			s.heartbeat(g, m)
		}
		if len(g.members) > int(s.c.o.Config.MaxSize) {
			s.prepareRebalance(g, "the group has more members than group.max.size")
		}
	}
	s.scheduleExpiry()
}

// Unloaded answers all who wait: another broker coordinates the groups now.
func (s *shard) Unloaded() {
	for _, g := range s.groups {
		s.logger.Info("Unloading group metadata", "group", g.id, "generation", g.generation)
		g.state = Dead
		for _, m := range g.members {
			m.stopTimer()
			s.answerJoin(m, JoinResult{MemberID: m.id, Err: kerr.NotCoordinator})
			answerSync(m, SyncResult{Err: kerr.NotCoordinator})
		}
		for id := range g.pending {
			g.dropPending(id)
		}
		if g.modern != nil {
			for id := range g.modern.members {
				g.modern.stopTimers(id)
			}
		}
		g.stopWaits()
		s.c.held.Add(int64(-g.counted))
	}
}

func (g *group) stopWaits() {
	g.joinRound++
	if g.joinTimer != nil {
		g.joinTimer.Stop()
	}
	g.stopSyncWait()
}

func (g *group) stopSyncWait() {
	clear(g.pendingSync)
	if g.syncTimer != nil {
		g.syncTimer.Stop()
		g.syncTimer = nil
	}
}

func (s *shard) answerJoin(m *member, r JoinResult) {
	if m.join != nil {
		join := m.join
		m.join = nil
		join(r)
	}
}

func answerSync(m *member, r SyncResult) bool {
	if m.sync == nil {
		return false
	}
	sync := m.sync
	m.sync = nil
	sync(r)
	return true
}

// heartbeat begins the member's session anew.
func (s *shard) heartbeat(g *group, m *member) { s.expect(g, m, m.sessionTimeout) }

func (s *shard) expect(g *group, m *member, d time.Duration) {
	m.stopTimer()
	m.satisfied = false
	beat := m.beat
	m.timer = s.p.After(d, func() {
		if m.beat != beat || g.members[m.id] != m || g.is(Dead) || m.alive() {
			return
		}
		s.logger.Info("Member has failed: its session timed out", "group", g.id, "member", m.id)
		s.removeMember(g, m, "its session timed out")
	})
}

// removeMember takes a member out, and lets the others rebalance.
func (s *shard) removeMember(g *group, m *member, why string) {
	s.answerJoin(m, JoinResult{Err: kerr.UnknownMemberID})
	answerSync(m, SyncResult{Err: kerr.UnknownMemberID})
	g.remove(m.id)
	s.account(g)
	switch g.state {
	case Stable, CompletingRebalance:
		s.prepareRebalance(g, why)
	case PreparingRebalance:
		s.tryCompleteJoin(g)
	}
}

// maybeRebalance is prepareRebalance unless one is being prepared.
func (s *shard) maybeRebalance(g *group, why string) {
	if g.is(Stable, CompletingRebalance, Empty) {
		s.prepareRebalance(g, why)
	}
}

// prepareRebalance lets all members join again. A group that was empty waits a while for more members (KIP-134). Kafka 3.9
// GroupCoordinator.prepareRebalance, InitialDelayedJoin, DelayedJoin.
func (s *shard) prepareRebalance(g *group, why string) {
	if g.is(CompletingRebalance) {
		for _, m := range g.members {
			m.assignment = nil
		}
		s.propagate(g, kerr.RebalanceInProgress)
	}
	g.stopSyncWait()
	first := g.is(Empty)
	g.to(PreparingRebalance, s.p.NowMs())
	s.logger.Info("Preparing to rebalance group", "group", g.id, "generation", g.generation, "reason", why)
	if first {
		delay := s.c.o.Config.InitialRebalanceDelay
		s.waitForMore(g, delay, max(g.rebalanceTimeout()-delay, 0))
		return
	}
	if !s.tryCompleteJoin(g) {
		s.waitForJoins(g)
	}
}

// waitForMore waits for further members of the first generation: again each time that one came, but never past left.
func (s *shard) waitForMore(g *group, d, left time.Duration) {
	g.joinRound++
	round := g.joinRound
	g.initialWait = true
	g.joinTimer = s.p.After(d, func() {
		if g.joinRound != round || !s.rebalances(g) {
			return
		}
		if g.newMember && left > 0 {
			g.newMember = false
			next := min(s.c.o.Config.InitialRebalanceDelay, left)
			s.waitForMore(g, next, max(left-next, 0))
			return
		}
		s.completeJoin(g)
	})
}

func (s *shard) waitForJoins(g *group) {
	g.joinRound++
	round := g.joinRound
	g.joinTimer = s.p.After(g.rebalanceTimeout(), func() {
		if g.joinRound == round && s.rebalances(g) {
			s.completeJoin(g)
		}
	})
}

// rebalances says whether a group still waits for members: it may have gone, or have become one of the consumer protocol, since a timer was set.
func (s *shard) rebalances(g *group) bool {
	return s.groups[g.id] == g && g.modern == nil && g.is(PreparingRebalance)
}

// tryCompleteJoin ends the rebalance's first half once all members have joined.
func (s *shard) tryCompleteJoin(g *group) bool {
	if !g.is(PreparingRebalance) || g.initialWait || !g.allJoined() {
		return false
	}
	s.completeJoin(g)
	return true
}

// completeJoin begins the next generation. Dynamic members that have not joined are out. Kafka 3.9 GroupCoordinator.onCompleteJoin.
func (s *shard) completeJoin(g *group) {
	g.initialWait = false
	g.joinRound++
	if g.joinTimer != nil {
		g.joinTimer.Stop()
	}
	for _, m := range g.sorted() {
		if m.join == nil && m.instance == nil {
			s.logger.Info("Member did not join the rebalance in time", "group", g.id, "member", m.id)
			g.remove(m.id)
		}
	}
	s.account(g)
	if !g.electJoined() && len(g.members) > 0 { // static members alone, none of which joined: their sessions will decide
		s.waitForJoins(g)
		return
	}
	g.nextGeneration(s.p.NowMs())
	if g.is(Empty) {
		s.logger.Info("Group is now empty", "group", g.id, "generation", g.generation)
		s.save(g)
		return
	}
	s.logger.Info("Stabilized group", "group", g.id, "generation", g.generation, "members", len(g.members))
	for _, m := range g.sorted() {
		s.answerJoin(m, s.joined(g, m))
		s.heartbeat(g, m)
		m.isNew = false
		g.pendingSync[m.id] = true
	}
	s.waitForSyncs(g)
}

// joined is the answer to a member of the current generation.
func (s *shard) joined(g *group, m *member) JoinResult {
	r := JoinResult{MemberID: m.id, Generation: g.generation, ProtocolType: g.protocolType, Protocol: g.protocol}
	if g.leader != nil {
		r.Leader = *g.leader
	}
	if g.isLeader(m.id) {
		r.Members = g.metadata()
	}
	return r
}

// metadata is what the leader assigns by.
func (g *group) metadata() []JoinMember {
	var out []JoinMember
	for _, m := range g.sorted() {
		var md []byte
		if g.protocol != nil {
			md = m.metadata(*g.protocol)
		}
		out = append(out, JoinMember{m.id, m.instance, md})
	}
	return out
}

// waitForSyncs removes members that joined and do not fetch their assignments.
func (s *shard) waitForSyncs(g *group) {
	generation := g.generation
	g.syncTimer = s.p.After(g.rebalanceTimeout(), func() {
		if s.groups[g.id] != g || g.generation != generation || !g.is(CompletingRebalance, Stable) || len(g.pendingSync) == 0 {
			return
		}
		for id := range g.pendingSync {
			s.logger.Info("Member did not sync in time", "group", g.id, "member", id)
			if m := g.members[id]; m != nil {
				answerSync(m, SyncResult{Err: kerr.UnknownMemberID})
			}
			g.remove(id)
		}
		s.account(g)
		s.prepareRebalance(g, "members did not sync in time")
	})
}

// propagate gives all members that wait for it what their assignments are, or why there are none.
func (s *shard) propagate(g *group, err error) {
	for _, m := range g.sorted() {
		r := SyncResult{Err: err}
		if err == nil {
			r = SyncResult{ProtocolType: g.protocolType, Protocol: g.protocol, Assignment: m.assignment}
		}
		if answerSync(m, r) {
			s.heartbeat(g, m)
		}
	}
}

// saveRetry is the pause before a group is written again.
const saveRetry = time.Second

// save writes a group as it is, with nobody waiting for it, until it is written or has changed: or the next coordinator would find members that are gone.
func (s *shard) save(g *group) {
	assignments := map[string][]byte{}
	for id, m := range g.members {
		assignments[id] = m.assignment
	}
	generation := g.generation
	g.unsaved = s.store(g, assignments, func(err error) {
		if err != nil {
			s.logger.Warn("A group could not be stored; it is tried again if it was not", "group", g.id, "error", err)
		}
	}) < 0
	if g.unsaved {
		s.p.After(saveRetry, func() {
			if s.groups[g.id] == g && g.modern == nil && g.generation == generation && g.is(Empty, Stable) && g.unsaved {
				s.save(g)
			}
		})
	}
}

// store writes a group with the assignments of its members. A group that has not been written yet need not be written empty.
func (s *shard) store(g *group, assignments map[string][]byte, done func(err error)) (base int64) {
	base = s.append(record.NewBatchSpec(), []coordinator.KV{groupRecord(g, assignments)}, done)
	if base >= 0 {
		g.unsaved = false
	}
	return base
}

// append writes records, and gives done the error that members are to get. done may be called once more, see coordinator.Partition.Append. It returns the offset of
// the first record, -1 if none was written.
func (s *shard) append(spec record.BatchSpec, records []coordinator.KV, done func(err error)) (base int64) {
	return s.appendGuarded(0, spec, records, done)
}

// appendGuarded is append with the guard of a transaction that its coordinator has confirmed, or zero.
func (s *shard) appendGuarded(guard replication.Guard, spec record.BatchSpec, records []coordinator.KV, done func(err error)) (base int64) {
	spec.Codec = record.Codec(s.c.o.Config.OffsetsTopicCompressionCodec)
	base, err := s.p.AppendGuarded(guard, spec, s.c.o.Config.OffsetsCommitRequiredAcks, s.c.o.Config.OffsetsCommitTimeout, records, func(err error) { done(storeError(err)) })
	if err != nil {
		done(storeError(err))
	}
	return base
}

// storeError is what clients are told of a write that failed (Kafka 3.9 GroupMetadataManager.storeGroup, storeOffsets).
func storeError(err error) error {
	is := func(list ...error) bool {
		for _, e := range list {
			if errors.Is(err, e) {
				return true
			}
		}
		return false
	}
	switch {
	case err == nil:
		return nil
	case is(kerr.UnknownTopicOrPartition, kerr.NotEnoughReplicas, kerr.NotEnoughReplicasAfterAppend, kerr.RequestTimedOut):
		return kerr.CoordinatorNotAvailable
	case is(kerr.NotLeaderForPartition, kerr.KafkaStorageError):
		return kerr.NotCoordinator
	case is(kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidFetchSize):
		return kerr.UnknownServerError
	}
	return err
}
