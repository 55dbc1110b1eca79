package groups

import (
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/coordinator"
	"gokafka/record"
)

// Types of records in __consumer_offsets, the first two bytes of a key. 0 and 1 are offsets, of which 1 is written; 2 are groups. Above are those of the
// protocol of KIP-848.
const (
	keyOffsetOld int16 = 0
	keyOffset    int16 = 1
	keyGroup     int16 = 2
)

// offsetRecord is a committed offset as Apache 3.9 writes it: version 3, or 1 when the commit had a retention of its own.
func offsetRecord(groupID string, tp topicPart, o *offset) coordinator.KV {
	k := kmsg.OffsetCommitKey{Version: keyOffset, Group: groupID, Topic: tp.topic, Partition: tp.partition}
	if o == nil {
		return coordinator.KV{Key: k.AppendTo(nil)}
	}
	v := kmsg.OffsetCommitValue{Version: 3, Offset: o.at, LeaderEpoch: o.leaderEpoch, Metadata: o.metadata, CommitTimestamp: o.commitMs}
	if o.expireMs >= 0 {
		v.Version, v.ExpireTimestamp = 1, o.expireMs
	}
	return coordinator.KV{Key: k.AppendTo(nil), Value: v.AppendTo(nil)}
}

// groupRecord is a group with the assignments of its members, by their ids. Without value it is the end of the group.
func groupRecord(g *group, assignments map[string][]byte) coordinator.KV {
	k := kmsg.GroupMetadataKey{Version: keyGroup, Group: g.id}
	v := kmsg.GroupMetadataValue{Version: 3, Generation: g.generation, Protocol: g.protocol, Leader: g.leader, CurrentStateTimestamp: g.stateMs}
	if g.protocolType != nil {
		v.ProtocolType = *g.protocolType
	}
	for _, m := range g.sorted() {
		mv := kmsg.NewGroupMetadataValueMember()
		mv.MemberID, mv.InstanceID, mv.ClientID, mv.ClientHost = m.id, m.instance, m.clientID, m.host
		mv.RebalanceTimeoutMillis, mv.SessionTimeoutMillis = int32(m.rebalanceTimeout.Milliseconds()), int32(m.sessionTimeout.Milliseconds())
		if g.protocol != nil {
			mv.Subscription = m.metadata(*g.protocol)
		}
		mv.Assignment = assignments[m.id]
		v.Members = append(v.Members, mv)
	}
	return coordinator.KV{Key: k.AppendTo(nil), Value: v.AppendTo(nil)}
}

func groupTombstone(id string) coordinator.KV {
	k := kmsg.GroupMetadataKey{Version: keyGroup, Group: id}
	return coordinator.KV{Key: k.AppendTo(nil)}
}

// Replay takes a record while the partition is loaded (Kafka 3.9 GroupMetadataManager.doLoadGroupsAndOffsets).
func (s *shard) Replay(r *record.Record, txn int64) error {
	if len(r.Key) < 2 {
		return nil // not one of ours; Apache fails on it
	}
	switch kind := int16(r.Key[0])<<8 | int16(r.Key[1]); kind {
	case keyOffsetOld, keyOffset:
		return s.replayOffset(r, txn)
	case keyGroup:
		return s.replayGroup(r)
	case keyModernGroup, keyModernTopics, keyModernMember, keyModernTargets, keyModernTarget, keyModernCurrent:
		return s.replayModern(kind, r)
	default: // of a protocol that is not served
		s.skipped++
		return nil
	}
}

// replayOffset takes an offset. One of a transaction counts when its marker comes.
func (s *shard) replayOffset(r *record.Record, txn int64) error {
	var k kmsg.OffsetCommitKey
	if err := k.ReadFrom(r.Key); err != nil {
		return fmt.Errorf("key of an offset at %d: %w", r.Offset, err)
	}
	tp := topicPart{k.Topic, k.Partition}
	if r.Value == nil {
		if g := s.groups[k.Group]; g != nil && txn != record.NoProducerID {
			delete(g.txns[txn], tp)
		} else if g != nil {
			delete(g.offsets, tp)
		}
		return nil
	}
	var v kmsg.OffsetCommitValue
	if err := v.ReadFrom(r.Value); err != nil {
		return fmt.Errorf("offset at %d: %w", r.Offset, err)
	}
	o := &offset{at: v.Offset, leaderEpoch: -1, metadata: v.Metadata, commitMs: v.CommitTimestamp, expireMs: -1, logOffset: r.Offset}
	if v.Version >= 3 {
		o.leaderEpoch = v.LeaderEpoch
	}
	if v.Version == 1 && v.ExpireTimestamp >= 0 {
		o.expireMs = v.ExpireTimestamp
	}
	g := s.groupFor(k.Group)
	if txn != record.NoProducerID {
		s.stage(g, txn, tp, o)
	} else {
		g.offsets[tp] = o
	}
	return nil
}

func (s *shard) replayGroup(r *record.Record) error {
	var k kmsg.GroupMetadataKey
	if err := k.ReadFrom(r.Key); err != nil {
		return fmt.Errorf("key of a group at %d: %w", r.Offset, err)
	}
	old := s.groups[k.Group]
	if r.Value == nil {
		switch {
		case old == nil:
		case len(old.offsets)+len(old.onTheWay)+len(old.txns) == 0:
			delete(s.groups, k.Group)
			old.state = Dead // its timers must do nothing to the group that comes in its place
			s.account(old)
		default: // of consumers without members, or of a group that becomes another
			fresh := newGroup(k.Group, s.p.NowMs())
			fresh.offsets, fresh.onTheWay, fresh.txns, fresh.counted = old.offsets, old.onTheWay, old.txns, old.counted
			fresh.joinRound = old.joinRound + 1 // a timer of before may be about to run
			*old = *fresh
		}
		return nil
	}
	var v kmsg.GroupMetadataValue
	if err := v.ReadFrom(r.Value); err != nil {
		return fmt.Errorf("group at %d: %w", r.Offset, err)
	}
	g := newGroup(k.Group, -1)
	if old != nil {
		g.offsets, g.txns = old.offsets, old.txns
	}
	if v.Version >= 2 {
		g.stateMs = v.CurrentStateTimestamp
	}
	g.generation, g.protocol, g.leader = v.Generation, v.Protocol, v.Leader
	if v.ProtocolType != "" {
		g.protocolType = &v.ProtocolType
	}
	for i := range v.Members {
		mv := &v.Members[i]
		m := &member{id: mv.MemberID, instance: mv.InstanceID, clientID: mv.ClientID, host: mv.ClientHost, assignment: slices.Clone(mv.Assignment), protocolType: v.ProtocolType, order: i + 1,
			sessionTimeout: time.Duration(mv.SessionTimeoutMillis) * time.Millisecond, rebalanceTimeout: time.Duration(mv.RebalanceTimeoutMillis) * time.Millisecond}
		if v.Version == 0 {
			m.rebalanceTimeout = m.sessionTimeout
		}
		if v.Protocol != nil {
			m.protocols = []Protocol{{*v.Protocol, slices.Clone(mv.Subscription)}}
		}
		g.members[m.id] = m
		if m.instance != nil {
			g.static[*m.instance] = m.id
		}
	}
	g.joined = len(v.Members)
	if g.state = Empty; len(g.members) > 0 {
		g.state = Stable
	}
	g.subscribed = g.subscriptions()
	if old != nil {
		g.onTheWay, g.counted, g.joinRound = old.onTheWay, old.counted, old.joinRound+1
		*old = *g // who holds the group goes on with it
		return nil
	}
	s.groups[k.Group] = g
	return nil
}
