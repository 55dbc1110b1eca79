package groups

import (
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kbin"

	"gokafka/coordinator"
	"gokafka/metadata"
	"gokafka/record"
)

// Types of the records of modern groups, as Kafka 3.9's group coordinator for KIP-848 writes them. Its coordinator for ZooKeeper passes over them.
const (
	keyModernGroup   int16 = 3 // the group's epoch
	keyModernTopics  int16 = 4 // the topics as they were last assigned
	keyModernMember  int16 = 5 // what a member says of itself
	keyModernTargets int16 = 6 // the epoch of the targets
	keyModernTarget  int16 = 7 // what a member is to have
	keyModernCurrent int16 = 8 // what it has
)

func modernKey(kind int16, group string, member *string) []byte {
	k := kbin.AppendString(kbin.AppendInt16(nil, kind), group)
	if member != nil {
		k = kbin.AppendString(k, *member)
	}
	return k
}

// modernValue begins a value of version 0.
func modernValue() []byte { return kbin.AppendInt16(nil, 0) }

func noTags(b []byte) []byte { return kbin.AppendUvarint(b, 0) }

func modernTombstone(kind int16, group string, member *string) coordinator.KV {
	return coordinator.KV{Key: modernKey(kind, group, member)}
}

func modernGroupRecord(group string, epoch int32) coordinator.KV {
	return coordinator.KV{Key: modernKey(keyModernGroup, group, nil), Value: noTags(kbin.AppendInt32(modernValue(), epoch))}
}

func modernTargetsRecord(group string, epoch int32) coordinator.KV {
	return coordinator.KV{Key: modernKey(keyModernTargets, group, nil), Value: noTags(kbin.AppendInt32(modernValue(), epoch))}
}

func modernTopicsRecord(group string, topics map[string]topicMeta) coordinator.KV {
	v := kbin.AppendCompactArrayLen(modernValue(), len(topics))
	for _, name := range slices.Sorted(maps.Keys(topics)) {
		t := topics[name]
		v = kbin.AppendUuid(v, t.id)
		v = kbin.AppendCompactString(v, name)
		v = kbin.AppendInt32(v, t.partitions)
		v = kbin.AppendCompactArrayLen(v, len(t.racks))
		for _, p := range slices.Sorted(maps.Keys(t.racks)) {
			v = kbin.AppendInt32(v, p)
			v = kbin.AppendCompactArrayLen(v, len(t.racks[p]))
			for _, r := range t.racks[p] {
				v = kbin.AppendCompactString(v, r)
			}
			v = noTags(v)
		}
		v = noTags(v)
	}
	return coordinator.KV{Key: modernKey(keyModernTopics, group, nil), Value: noTags(v)}
}

func modernMemberRecord(group string, m *modernMember) coordinator.KV {
	v := kbin.AppendCompactNullableString(modernValue(), m.instance)
	v = kbin.AppendCompactNullableString(v, m.rack)
	v = kbin.AppendCompactString(v, m.clientID)
	v = kbin.AppendCompactString(v, m.host)
	v = kbin.AppendCompactArrayLen(v, len(m.topics))
	for _, t := range m.topics {
		v = kbin.AppendCompactString(v, t)
	}
	v = kbin.AppendCompactNullableString(v, m.regex)
	v = kbin.AppendInt32(v, m.rebalanceMs)
	v = kbin.AppendCompactNullableString(v, m.assignor)
	if m.classic == nil {
		return coordinator.KV{Key: modernKey(keyModernMember, group, &m.id), Value: noTags(v)}
	}
	c := kbin.AppendInt32(nil, m.classic.sessionMs)
	c = kbin.AppendCompactArrayLen(c, len(m.classic.protocols))
	for _, p := range m.classic.protocols {
		c = noTags(kbin.AppendCompactBytes(kbin.AppendCompactString(c, p.Name), p.Metadata))
	}
	c = noTags(c)
	v = kbin.AppendUvarint(v, 1)
	v = kbin.AppendUvarint(v, 0)
	v = append(kbin.AppendUvarint(v, uint32(len(c))), c...)
	return coordinator.KV{Key: modernKey(keyModernMember, group, &m.id), Value: v}
}

func appendParts(v []byte, p parts) []byte {
	v = kbin.AppendCompactArrayLen(v, len(p))
	for _, id := range p.topics() {
		v = kbin.AppendUuid(v, id)
		v = kbin.AppendCompactArrayLen(v, len(p[id]))
		for _, n := range p[id] {
			v = kbin.AppendInt32(v, n)
		}
		v = noTags(v)
	}
	return v
}

func modernTargetRecord(group, member string, p parts) coordinator.KV {
	return coordinator.KV{Key: modernKey(keyModernTarget, group, &member), Value: noTags(appendParts(modernValue(), p))}
}

func modernCurrentRecord(group string, m *modernMember) coordinator.KV {
	v := kbin.AppendInt32(modernValue(), m.epoch)
	v = kbin.AppendInt32(v, m.previous)
	v = kbin.AppendInt8(v, int8(m.state))
	v = appendParts(appendParts(v, m.assigned), m.revoking)
	return coordinator.KV{Key: modernKey(keyModernCurrent, group, &m.id), Value: noTags(v)}
}

// reader reads what Kafka may have written: arrays take memory as they come, tags are passed over.
type reader struct{ kbin.Reader }

// each calls f for the elements of a compact array while there are bytes.
func (r *reader) each(f func()) {
	for n := r.CompactArrayLen(); n > 0 && r.Ok(); n-- {
		f()
	}
}

func (r *reader) tags() {
	for n := r.Uvarint(); n > 0 && r.Ok(); n-- {
		r.Uvarint()
		r.Span(int(r.Uvarint()))
	}
}

// classic reads the tags of a member: the one that there is tells of the classic protocol.
func (r *reader) classic() (out *classicSide) {
	for n := r.Uvarint(); n > 0 && r.Ok(); n-- {
		tag, body := r.Uvarint(), reader{kbin.Reader{Src: r.Span(int(r.Uvarint()))}}
		if tag != 0 {
			continue
		}
		out = &classicSide{sessionMs: body.Int32()}
		body.each(func() {
			out.protocols = append(out.protocols, Protocol{body.CompactString(), slices.Clone(body.CompactBytes())})
			body.tags()
		})
		if !body.Ok() {
			r.Span(-1) // which makes r fail
		}
	}
	return out
}

func (r *reader) parts() parts {
	out := parts{}
	r.each(func() {
		id := metadata.TopicID(r.Uuid())
		r.each(func() { out.add(id, r.Int32()) })
		r.tags()
	})
	return out.sorted()
}

// replayModern takes a record of a modern group, from the log or just appended.
func (s *shard) replayModern(kind int16, rec *record.Record) error {
	k := reader{kbin.Reader{Src: rec.Key[2:]}}
	groupID := k.String()
	var member string
	if kind == keyModernMember || kind == keyModernTarget || kind == keyModernCurrent {
		member = k.String()
	}
	if err := k.Complete(); err != nil {
		return fmt.Errorf("key of a modern group at %d: %w", rec.Offset, err)
	}
	g := s.groups[groupID]
	if g == nil && rec.Value == nil {
		return nil
	}
	if g == nil {
		g = s.groupFor(groupID)
	}
	if g.modern == nil {
		if rec.Value == nil {
			return nil
		}
		g.becomeModern()
	}
	v := reader{kbin.Reader{Src: rec.Value}}
	if rec.Value != nil {
		if version := v.Int16(); version != 0 {
			return fmt.Errorf("record of type %d of group %s at %d has version %d", kind, groupID, rec.Offset, version)
		}
	}
	g.modern.replay(kind, member, rec.Value == nil, &v)
	if rec.Value != nil {
		if kind != keyModernMember {
			v.tags()
		}
		if err := v.Complete(); err != nil {
			return fmt.Errorf("record of type %d of group %s at %d: %w", kind, groupID, rec.Offset, err)
		}
	}
	if kind == keyModernGroup && rec.Value == nil { // the last tombstone of a group
		g.becomeClassic()
		return nil
	}
	g.settleModern(s.p.NowMs())
	return nil
}

func (n *modernGroup) replay(kind int16, member string, gone bool, v *reader) {
	switch kind {
	case keyModernGroup:
		if !gone {
			n.epoch = v.Int32()
		}
	case keyModernTargets:
		if n.assignmentEpoch = 0; !gone {
			n.assignmentEpoch = v.Int32()
		}
	case keyModernTopics:
		n.topics = map[string]topicMeta{}
		if gone {
			return
		}
		v.each(func() {
			t := topicMeta{id: v.Uuid()}
			name := v.CompactString()
			t.partitions = v.Int32()
			v.each(func() {
				p := v.Int32()
				var racks []string
				v.each(func() { racks = append(racks, v.CompactString()) })
				v.tags()
				if t.racks == nil {
					t.racks = map[int32][]string{}
				}
				t.racks[p] = racks
			})
			v.tags()
			n.topics[name] = t
		})
	case keyModernMember:
		old := n.members[member]
		if gone {
			if old != nil {
				n.own(old, nil)
				if old.instance != nil && n.static[*old.instance] == member {
					delete(n.static, *old.instance)
				}
				delete(n.members, member)
			}
			return
		}
		m := &modernMember{id: member, assigned: parts{}, revoking: parts{}}
		if old != nil {
			*m = *old
		}
		m.instance, m.rack, m.clientID, m.host = v.CompactNullableString(), v.CompactNullableString(), v.CompactString(), v.CompactString()
		m.topics = nil
		v.each(func() { m.topics = append(m.topics, v.CompactString()) })
		m.regex, m.rebalanceMs, m.assignor = v.CompactNullableString(), v.Int32(), v.CompactNullableString()
		m.classic = v.classic()
		n.members[member] = m
		if m.instance != nil {
			n.static[*m.instance] = member
		}
	case keyModernTarget:
		if gone {
			delete(n.target, member)
			return
		}
		n.target[member] = v.parts()
	case keyModernCurrent:
		old := n.members[member]
		if gone {
			if old != nil {
				fresh := *old
				fresh.epoch, fresh.previous, fresh.state, fresh.assigned, fresh.revoking = 0, 0, memberStable, parts{}, parts{}
				n.own(old, &fresh)
				n.members[member] = &fresh
			}
			return
		}
		m := &modernMember{id: member}
		if old != nil {
			*m = *old
		}
		m.epoch, m.previous, m.state = v.Int32(), v.Int32(), memberState(v.Int8())
		m.assigned, m.revoking = v.parts(), v.parts()
		n.own(old, m)
		n.members[member] = m
	}
}

// apply takes over records that were appended: the state is what a replay of the log makes of it.
func (s *shard) apply(base int64, records []coordinator.KV) {
	for i, kv := range records {
		if err := s.Replay(&record.Record{Offset: base + int64(i), Key: kv.Key, Value: kv.Value}, record.NoProducerID); err != nil {
			s.logger.Error("A record that was just written cannot be read", "error", err)
		}
	}
}
