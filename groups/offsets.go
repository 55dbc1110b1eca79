package groups

import (
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/coordinator"
	"gokafka/record"
	"gokafka/replication"
)

// Commit is an OffsetCommit request.
type Commit struct {
	Group, MemberID string
	Instance        *string
	Generation      int32 // or the epoch of a member of a modern group
	Modern          bool  // version 9: the member knows of modern groups
	Offsets         []CommitOffset
	Txn             *Txn // nil outside transactions
}

// Txn is the transaction that offsets are committed in.
type Txn struct {
	ProducerID    int64
	ProducerEpoch int16
	Guard         replication.Guard // of the verified transaction, or zero
}

// CommitOffset is one offset to commit.
type CommitOffset struct {
	Topic       string
	Partition   int32
	Offset      int64
	LeaderEpoch int32 // -1 unknown
	Metadata    string
	CommitMs    int64
	ExpireMs    int64 // -1 = by the retention of offsets

	Err error // the outcome
}

// checkCommit is Kafka 3.9 GroupCoordinator.validateOffsetCommit. In a transaction nobody need be a member, and a rebalance does not matter.
func (g *group) checkCommit(q *Commit) (*member, error) {
	if n := g.modern; n != nil && len(n.members) > 0 { // Kafka 3.9 ConsumerGroup.validateOffsetCommit
		m := n.members[q.MemberID]
		switch {
		case q.Txn != nil && q.Generation == -1 && q.MemberID == "" && q.Instance == nil: // who commits in transactions need not say who it is
			return nil, nil
		case m == nil:
			return nil, kerr.UnknownMemberID
		case m.classic != nil && q.Generation != m.epoch:
			return nil, kerr.IllegalGeneration
		case m.classic != nil:
			return nil, nil
		case q.Txn == nil && !q.Modern:
			return nil, kerr.UnsupportedVersion
		case q.Generation != m.epoch && q.Txn != nil:
			return nil, kerr.IllegalGeneration
		case q.Generation != m.epoch:
			return nil, kerr.StaleMemberEpoch
		}
		return nil, nil
	}
	switch {
	case q.Generation < 0 && g.is(Empty): // no member: who manages partitions on its own, or an administrator
		return nil, nil
	case q.Generation >= 0 || q.MemberID != "" || q.Instance != nil:
		m, err := g.check(q.MemberID, q.Instance)
		switch {
		case err != nil:
			return nil, err
		case q.Generation != g.generation:
			return nil, kerr.IllegalGeneration
		case q.Txn == nil && g.is(CompletingRebalance):
			return nil, kerr.RebalanceInProgress
		}
		return m, nil
	case q.Txn == nil && !g.is(Empty):
		return nil, kerr.UnknownMemberID
	}
	return nil, nil
}

// commit stores offsets, and answers when they are replicated. Kafka 3.9 GroupCoordinator.doCommitOffsets, GroupMetadataManager.storeOffsets.
func (s *shard) commit(q *Commit, answer func()) {
	fail := func(err error) {
		for i := range q.Offsets {
			q.Offsets[i].Err = err
		}
		answer()
	}
	g := s.groups[q.Group]
	if g == nil {
		if q.Generation >= 0 && q.Txn == nil {
			fail(kerr.IllegalGeneration)
			return
		}
		g = s.groupFor(q.Group)
	}
	m, err := g.checkCommit(q)
	if err != nil {
		fail(err)
		return
	}
	if m != nil && q.Txn == nil {
		m.satisfied = true
		s.heartbeat(g, m)
	}
	var records []coordinator.KV
	var written []topicPart
	var values []*offset
	for i := range q.Offsets {
		o := &q.Offsets[i]
		if len(o.Metadata) > int(s.c.o.Config.OffsetMetadataMaxBytes) {
			o.Err = kerr.OffsetMetadataTooLarge
			continue
		}
		v := &offset{at: o.Offset, leaderEpoch: o.LeaderEpoch, metadata: o.Metadata, commitMs: o.CommitMs, expireMs: o.ExpireMs}
		tp := topicPart{o.Topic, o.Partition}
		records, written, values = append(records, offsetRecord(g.id, tp, v)), append(written, tp), append(values, v)
	}
	if len(records) == 0 {
		answer()
		return
	}
	if q.Txn != nil {
		s.commitInTxn(g, q, records, written, values, answer)
		return
	}
	for i, tp := range written {
		g.onTheWay[tp] = append(g.onTheWay[tp], values[i])
	}
	spec := record.NewBatchSpec()
	spec.BaseSequence = 0 // as Apache's coordinator writes it
	arrived := func(i int) {
		tp := written[i]
		left := slices.DeleteFunc(g.onTheWay[tp], func(o *offset) bool { return o == values[i] })
		if g.onTheWay[tp] = left; len(left) == 0 {
			delete(g.onTheWay, tp)
		}
	}
	base := s.append(spec, records, func(err error) {
		for i, tp := range written {
			if err != nil { // of a commit that is late: it is still on the way
				continue
			}
			arrived(i)
			if s.groups[g.id] == g {
				g.put(tp, values[i])
			}
		}
		for i := range q.Offsets {
			if o := &q.Offsets[i]; o.Err == nil {
				o.Err = err
			}
		}
		answer()
	})
	for i := range values {
		if values[i].logOffset = base + int64(i); base < 0 {
			arrived(i)
		}
	}
}

// Fetched is a committed offset; Offset is -1 if there is none.
type Fetched struct {
	Topic       string
	Partition   int32
	Offset      int64
	LeaderEpoch int32
	Metadata    string
	Err         error
}

// mayFetch checks the member that fetches (Kafka 3.9 ConsumerGroup.validateOffsetFetch).
func (s *shard) mayFetch(groupID string, as FetchAs) error {
	g := s.groups[groupID]
	if g == nil || g.modern == nil || as.MemberID == nil && as.Epoch < 0 {
		return nil
	}
	var m *modernMember
	if as.MemberID != nil {
		m = g.modern.members[*as.MemberID]
	}
	switch {
	case m == nil:
		return kerr.UnknownMemberID
	case m.epoch != as.Epoch:
		return kerr.StaleMemberEpoch
	}
	return nil
}

// fetch gives the offsets of partitions, or all with nil. With stable, one that a commit under way or an open transaction may change is
// kerr.UnstableOffsetCommit (KIP-447). Kafka 3.9 GroupMetadataManager.getOffsets.
func (s *shard) fetch(groupID string, parts []topicPart, stable bool) []Fetched {
	g := s.groups[groupID]
	if parts == nil && g != nil {
		parts = slices.SortedFunc(maps.Keys(g.offsets), comparePart)
	}
	out := make([]Fetched, 0, len(parts))
	for _, tp := range parts {
		f := Fetched{Topic: tp.topic, Partition: tp.partition, Offset: -1, LeaderEpoch: -1}
		if g != nil {
			if stable && g.unstable(tp) {
				f.Err = kerr.UnstableOffsetCommit
			} else if o := g.offsets[tp]; o != nil {
				f.Offset, f.LeaderEpoch, f.Metadata = o.at, o.leaderEpoch, o.metadata
			}
		}
		out = append(out, f)
	}
	return out
}

// deleteOffsets removes offsets of a group (KIP-496): those of topics that consumers of it are subscribed to stay. Kafka 3.9
// GroupCoordinator.handleDeleteOffsets.
func (s *shard) deleteOffsets(groupID string, parts []topicPart, answer func(all error, each []error)) {
	g := s.groups[groupID]
	each := make([]error, len(parts))
	if g == nil {
		answer(kerr.GroupIDNotFound, each)
		return
	}
	if !g.is(Empty) && (g.protocolType == nil || *g.protocolType != consumerProtocol) {
		answer(kerr.NonEmptyGroup, each)
		return
	}
	var records []coordinator.KV
	var gone []topicPart
	for i, tp := range parts {
		if !g.is(Empty) && (g.subscribed == nil || g.subscribed[tp.topic]) {
			each[i] = kerr.GroupSubscribedToTopic
			continue
		}
		g.unstage(tp)
		if g.offsets[tp] != nil || len(g.onTheWay[tp]) > 0 {
			records, gone = append(records, offsetRecord(g.id, tp, nil)), append(gone, tp)
		}
	}
	if len(records) == 0 {
		answer(nil, each)
		return
	}
	s.append(record.NewBatchSpec(), records, func(err error) {
		if err == nil {
			for _, tp := range gone {
				delete(g.offsets, tp)
			}
			s.endIfEmpty(g)
		}
		answer(err, each)
	})
}

// endIfEmpty lets a group without members and offsets end.
func (s *shard) endIfEmpty(g *group) {
	if g.is(Empty) && len(g.offsets) == 0 && len(g.onTheWay) == 0 && len(g.txns) == 0 && len(g.pending) == 0 {
		s.end(g, nil, func(error) {})
	}
}

// end writes tombstones of a group's offsets, and of the group if it was ever written, and forgets it.
func (s *shard) end(g *group, offsets []topicPart, done func(error)) {
	var records []coordinator.KV
	for _, tp := range offsets {
		records = append(records, offsetRecord(g.id, tp, nil))
	}
	if g.generation > 0 {
		records = append(records, groupTombstone(g.id))
	}
	if g.modern != nil {
		records = append(records, modernTombstones(g.id)...)
	}
	if len(records) > 0 && s.append(record.NewBatchSpec(), records, done) < 0 {
		return // it is still there
	}
	g.state = Dead
	delete(s.groups, g.id)
	for producer := range g.txns {
		s.closeTxn(producer, g)
	}
	s.account(g)
	for id := range g.pending {
		g.dropPending(id)
	}
	g.stopWaits()
	if len(records) == 0 {
		done(nil)
	}
}

// written are the partitions of some topics of which the log has, or will have, an offset: those on the way come before what is appended now.
func (g *group) written(of func(topic string) bool) []topicPart {
	var out []topicPart
	for tp := range g.offsets {
		if of(tp.topic) {
			out = append(out, tp)
		}
	}
	for tp := range g.onTheWay {
		if of(tp.topic) && g.offsets[tp] == nil {
			out = append(out, tp)
		}
	}
	slices.SortFunc(out, comparePart)
	return out
}

// delete deletes a group that has no members. Kafka 3.9 GroupCoordinator.handleDeleteGroups.
func (s *shard) delete(id string, answer func(error)) {
	g := s.groups[id]
	switch {
	case g == nil:
		answer(kerr.GroupIDNotFound)
	case !g.is(Empty):
		answer(kerr.NonEmptyGroup)
	default:
		s.end(g, g.written(func(string) bool { return true }), func(err error) {
			if err != nil {
				s.logger.Warn("Tombstones of a deleted group could not be written", "group", id, "error", err)
			}
			if s.groups[id] != g {
				err = nil // it is gone here; what the log has of it goes when it is replicated
			}
			answer(err)
		})
	}
}

// scheduleExpiry looks for expired offsets now and then.
func (s *shard) scheduleExpiry() {
	s.p.After(s.c.o.Config.OffsetsRetentionCheckInterval, func() {
		for _, id := range slices.Sorted(maps.Keys(s.groups)) {
			s.expire(s.groups[id])
		}
		s.scheduleExpiry()
	})
}

// expire removes the offsets whose time has come, and a group that is empty then.
func (s *shard) expire(g *group) {
	if g == nil || g.is(Dead) {
		return
	}
	var gone []topicPart
	now := s.p.NowMs()
	for tp, o := range g.offsets {
		if len(g.onTheWay[tp]) == 0 && g.expired(tp, o, now, s.c.o.Config.OffsetsRetention) {
			gone = append(gone, tp)
		}
	}
	s.removeOffsets(g, gone, "expired")
}

func (s *shard) removeOffsets(g *group, gone []topicPart, why string) {
	if len(gone) == 0 {
		s.endIfEmpty(g)
		return
	}
	slices.SortFunc(gone, comparePart)
	var records []coordinator.KV
	for _, tp := range gone {
		records = append(records, offsetRecord(g.id, tp, nil))
	}
	s.append(record.NewBatchSpec(), records, func(err error) {
		if err != nil {
			s.logger.Warn("Tombstones of offsets could not be written; they are tried again", "group", g.id, "error", err)
			return
		}
		for _, tp := range gone { // what was committed after them comes after this
			delete(g.offsets, tp)
		}
		s.logger.Info("Removed offsets", "group", g.id, "offsets", len(gone), "why", why)
		s.endIfEmpty(g)
	})
}

// expired is Kafka 3.9 GroupMetadata.removeExpiredOffsets: of an empty group the retention counts since it became empty, of a consumer group with
// members for topics that it is not subscribed to, of groups that only commit since the commit.
func (g *group) expired(tp topicPart, o *offset, nowMs int64, retention time.Duration) bool {
	since := o.commitMs
	switch {
	case g.protocolType != nil && g.is(Empty):
		if g.stateMs >= 0 {
			since = g.stateMs
		}
	case g.protocolType != nil && *g.protocolType == consumerProtocol && g.is(Stable):
		if g.subscribed == nil || g.subscribed[tp.topic] {
			return false
		}
	case g.protocolType == nil:
	default:
		return false
	}
	if o.expireMs >= 0 {
		return nowMs >= o.expireMs
	}
	return nowMs-since >= retention.Milliseconds()
}

// topicsDeleted removes the offsets of topics that are gone, and with them every empty group that has no offsets. Kafka 3.9 GroupCoordinator.handleDeletedPartitions.
func (s *shard) topicsDeleted(names map[string]bool) {
	for _, id := range slices.Sorted(maps.Keys(s.groups)) {
		g := s.groups[id]
		for _, staged := range g.txns {
			maps.DeleteFunc(staged, func(tp topicPart, _ *offset) bool { return names[tp.topic] })
		}
		s.removeOffsets(g, g.written(func(topic string) bool { return names[topic] }), "the topics were deleted")
	}
}
