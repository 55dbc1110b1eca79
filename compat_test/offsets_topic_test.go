package compat_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/harness"
)

// TestOffsetsTopicIsHandedOver lets each program write __consumer_offsets for the same requests, and the other take it over and give it back: the records are the
// same but for times and random ids, groups and offsets stay, and a static member goes on in its generation. A group of KIP-848, which Apache passes over with
// ZooKeeper, is there again afterwards, its member in its epoch.
func TestOffsetsTopicIsHandedOver(t *testing.T) {
	if heavy(t) == harness.Apache {
		t.Skip("both programs take their turns")
	}
	_, err := harness.JavaLibs()
	skips.Need(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	written := map[harness.Target][]string{}
	for _, of := range [][2]harness.Target{{harness.Apache, harness.Gokafka}, {harness.Gokafka, harness.Apache}} {
		h := newHandOver(t, ctx)
		h.start(of[0])
		s := &groupScript{handOver: h}
		s.run()
		written[of[0]] = s.written()
		if of[0] == harness.Gokafka {
			s.joinModern()
		}
		state := s.state()
		for _, next := range []harness.Target{of[1], of[0]} {
			if next == of[1] {
				skips.Need(t, h.broker.Stop(ctx))
			} else {
				h.broker.Kill()
			}
			h.start(next)
			s.await("the groups are loaded", func() bool { return s.heartbeat() == nil })
			if got := s.state(); got != state {
				t.Errorf("%s wrote, %s tells\n%s\nnot\n%s", of[0], next, got, state)
			}
			s.goOn()
			if of[0] == harness.Gokafka && next == harness.Gokafka {
				s.beatModern(s.modernEpoch)
			}
			state = s.state()
			if log := h.broker.LogTail(); strings.Contains(log, "ERROR") && strings.Contains(log, "__consumer_offsets") {
				t.Errorf("%s, which took over from %s, logs\n%s", next, of[0], log)
			}
		}
		h.broker.Kill()
		h.client.Close()
	}
	a, g := written[harness.Apache], written[harness.Gokafka]
	for i := range max(len(a), len(g)) {
		var x, y string
		if i < len(a) {
			x = a[i]
		}
		if i < len(g) {
			y = g[i]
		}
		if x != y {
			t.Errorf("record %d:\nApache  %s\ngokafka %s", i, x, y)
		}
	}
	t.Logf("%d records are the same", len(a))
}

// groupScript is a life of groups by single requests.
type groupScript struct {
	*handOver
	member     string // of the static member "b"
	generation int32
	offset     int64

	modernEpoch int32 // of the member of the group of KIP-848
}

func (s *groupScript) await(what string, holds func() bool) {
	s.t.Helper()
	for ; !holds(); time.Sleep(50 * time.Millisecond) {
		if s.ctx.Err() != nil {
			s.t.Fatalf("%s: not in time\n%s", what, s.broker.LogTail())
		}
	}
}

// request sends q in the version set in it to the only broker.
func request[R kmsg.Response](s *groupScript, q kmsg.Request) R {
	s.t.Helper()
	resp, err := s.client.Broker(0).Request(s.ctx, &versioned{q})
	if err != nil {
		s.t.Fatalf("%T %+v: %v\n%s", q, q, err, s.broker.LogTail())
	}
	return resp.(R)
}

// versioned pins the version of a request.
type versioned struct{ kmsg.Request }

func (v *versioned) MaxVersion() int16  { return v.Request.GetVersion() }
func (v *versioned) SetVersion(n int16) { v.Request.SetVersion(n) }

func (s *groupScript) want(what string, code int16) {
	s.t.Helper()
	if err := kerr.ErrorForCode(code); err != nil {
		s.t.Fatalf("%s: %v", what, err)
	}
}

func (s *groupScript) commit(group, member string, instance *string, generation int32, version int16, metadata string, offsets map[string][]int64) {
	s.t.Helper()
	q := kmsg.NewPtrOffsetCommitRequest()
	q.Version, q.Group, q.MemberID, q.Generation, q.InstanceID = version, group, member, generation, instance
	if version >= 2 && version <= 4 {
		q.RetentionTimeMillis = 3_600_000
	}
	for _, topic := range []string{"t", "u"} {
		if offsets[topic] == nil {
			continue
		}
		rt := kmsg.NewOffsetCommitRequestTopic()
		rt.Topic = topic
		for p, at := range offsets[topic] {
			rp := kmsg.NewOffsetCommitRequestTopicPartition()
			rp.Partition, rp.Offset, rp.LeaderEpoch = int32(p), at, 0
			if metadata != "" {
				rp.Metadata = &metadata
			}
			rt.Partitions = append(rt.Partitions, rp)
		}
		q.Topics = append(q.Topics, rt)
	}
	r := request[*kmsg.OffsetCommitResponse](s, q)
	for _, rt := range r.Topics {
		for _, rp := range rt.Partitions {
			s.want(fmt.Sprintf("commit of %s to %s-%d", group, rt.Topic, rp.Partition), rp.ErrorCode)
		}
	}
}

func (s *groupScript) join(version int16, group, member string, instance *string, protocols ...string) *kmsg.JoinGroupResponse {
	s.t.Helper()
	q := kmsg.NewPtrJoinGroupRequest()
	q.Version, q.Group, q.MemberID, q.InstanceID, q.ProtocolType = version, group, member, instance, "consumer"
	q.SessionTimeoutMillis, q.RebalanceTimeoutMillis = 60_000, 90_000
	for _, name := range protocols {
		p := kmsg.NewJoinGroupRequestProtocol()
		sub := kmsg.NewConsumerMemberMetadata() // bytes that are none would end Apache's rebalance without an answer
		sub.Topics, sub.UserData = []string{"t"}, []byte("of "+name)
		p.Name, p.Metadata = name, sub.AppendTo(nil)
		q.Protocols = append(q.Protocols, p)
	}
	return request[*kmsg.JoinGroupResponse](s, q)
}

func (s *groupScript) sync(version int16, group string, instance *string, j *kmsg.JoinGroupResponse) {
	s.t.Helper()
	q := kmsg.NewPtrSyncGroupRequest()
	q.Version, q.Group, q.MemberID, q.InstanceID, q.Generation, q.ProtocolType, q.Protocol = version, group, j.MemberID, instance, j.Generation, j.ProtocolType, j.Protocol
	if j.LeaderID == j.MemberID {
		for _, m := range j.Members {
			a := kmsg.NewSyncGroupRequestGroupAssignment()
			a.MemberID, a.MemberAssignment = m.MemberID, []byte("assignment")
			q.GroupAssignment = append(q.GroupAssignment, a)
		}
	}
	s.want("sync of "+group, request[*kmsg.SyncGroupResponse](s, q).ErrorCode)
}

func (s *groupScript) leave(version int16, group, member string, instance *string) {
	s.t.Helper()
	q := kmsg.NewPtrLeaveGroupRequest()
	q.Version, q.Group, q.MemberID = version, group, member
	m := kmsg.NewLeaveGroupRequestMember()
	m.MemberID, m.InstanceID = member, instance
	q.Members = append(q.Members, m)
	r := request[*kmsg.LeaveGroupResponse](s, q)
	s.want("leave of "+group, r.ErrorCode)
	for _, m := range r.Members {
		s.want("leave of "+group, m.ErrorCode)
	}
}

func (s *groupScript) heartbeat() error {
	q := kmsg.NewPtrHeartbeatRequest()
	q.Version, q.Group, q.MemberID, q.InstanceID, q.Generation = 4, "static", s.member, kmsg.StringPtr("b"), s.generation
	resp, err := s.client.Broker(0).Request(s.ctx, q)
	if err != nil {
		return err
	}
	if _, err := s.admin.FetchOffsets(s.ctx, "static"); err != nil { // a heartbeat is answered without the group while it loads
		return err
	}
	return kerr.ErrorForCode(resp.(*kmsg.HeartbeatResponse).ErrorCode)
}

// run is the script. All of its requests follow each other, so that the order of the records is the same with each program.
func (s *groupScript) run() {
	s.t.Helper()
	for _, topic := range []string{"t", "u"} {
		_, err := s.admin.CreateTopic(s.ctx, 3, 1, nil, topic)
		skips.Need(s.t, err)
	}
	s.await("the coordinator comes", func() bool {
		_, err := s.admin.FetchOffsets(s.ctx, "simple")
		return err == nil
	})
	s.commit("simple", "", nil, -1, 8, "note", map[string][]int64{"t": {1, 2, 3}, "u": {4}})
	s.commit("simple", "", nil, -1, 2, "kept an hour", map[string][]int64{"t": {5}})
	s.commit("simple", "", nil, -1, 5, "", map[string][]int64{"t": {6, 7}})
	s.commit("simple", "", nil, -1, 9, "", map[string][]int64{"t": {8}})
	s.commit("bygone", "", nil, -1, 8, "", map[string][]int64{"u": {1, 1, 1}})

	// A dynamic member of the oldest version, and one of the newest, which is given its id first.
	j := s.join(0, "old", "", nil, "range")
	s.want("join of old", j.ErrorCode)
	s.sync(0, "old", nil, j)
	s.commit("old", j.MemberID, nil, j.Generation, 1, "", map[string][]int64{"t": {10}})
	s.leave(0, "old", j.MemberID, nil)
	first := s.join(9, "new", "", nil, "range", "roundrobin")
	if first.ErrorCode != kerr.MemberIDRequired.Code {
		s.t.Fatalf("join without an id: %d", first.ErrorCode)
	}
	j = s.join(9, "new", first.MemberID, nil, "range", "roundrobin")
	s.want("join of new", j.ErrorCode)
	s.sync(5, "new", nil, j)
	j = s.join(9, "new", j.MemberID, nil, "range", "roundrobin") // the leader joins again: another generation
	s.want("join of new", j.ErrorCode)
	s.sync(5, "new", nil, j)
	s.leave(5, "new", j.MemberID, nil)

	// Two static members; one leaves, the other is started again.
	a, b := kmsg.StringPtr("a"), kmsg.StringPtr("b")
	j = s.join(9, "static", "", a, "range")
	s.want("join of a", j.ErrorCode)
	s.sync(5, "static", a, j)
	s.leave(5, "static", "", a)
	j = s.join(9, "static", "", b, "range")
	s.want("join of b", j.ErrorCode)
	s.sync(5, "static", b, j)
	j = s.join(9, "static", "", b, "range")
	s.want("join of b again", j.ErrorCode)
	if j.LeaderID == j.MemberID || !j.SkipAssignment {
		s.sync(5, "static", b, j)
	}
	s.member, s.generation = j.MemberID, j.Generation
	s.goOn()

	del := kmsg.NewPtrOffsetDeleteRequest()
	del.Group = "simple"
	dt := kmsg.NewOffsetDeleteRequestTopic()
	dt.Topic = "t"
	dp := kmsg.NewOffsetDeleteRequestTopicPartition()
	dp.Partition = 1
	dt.Partitions = append(dt.Partitions, dp)
	del.Topics = append(del.Topics, dt)
	s.want("deletion of an offset", request[*kmsg.OffsetDeleteResponse](s, del).ErrorCode)
	gone, err := s.admin.DeleteGroups(s.ctx, "old")
	skips.Need(s.t, err)
	skips.Need(s.t, gone["old"].Err)
	_, err = s.admin.DeleteTopics(s.ctx, "u")
	skips.Need(s.t, err)
	s.await("the offsets of a deleted topic go", func() bool {
		x, err := s.admin.FetchOffsets(s.ctx, "simple")
		y, err2 := s.admin.FetchOffsets(s.ctx, "bygone")
		return err == nil && err2 == nil && len(x["u"])+len(y["u"]) == 0
	})
}

// goOn lets the static member commit in its generation.
func (s *groupScript) goOn() {
	s.t.Helper()
	if err := s.heartbeat(); err != nil {
		s.t.Fatalf("heartbeat: %v", err)
	}
	s.offset++
	s.commit("static", s.member, kmsg.StringPtr("b"), s.generation, 8, "", map[string][]int64{"t": {s.offset}})
}

// joinModern makes a group of KIP-848 with a member and an offset.
func (s *groupScript) joinModern() {
	s.t.Helper()
	s.beatModern(0)
	s.commit("modern", "member", nil, s.modernEpoch, 9, "", map[string][]int64{"t": {3}})
}

func (s *groupScript) beatModern(epoch int32) {
	s.t.Helper()
	q := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	q.Version, q.Group, q.MemberID, q.MemberEpoch = 1, "modern", "member", epoch
	q.RebalanceTimeoutMillis, q.SubscribedTopicNames, q.Topics = 60_000, []string{"t"}, []kmsg.ConsumerGroupHeartbeatRequestTopic{}
	r := request[*kmsg.ConsumerGroupHeartbeatResponse](s, q)
	s.want("heartbeat of a modern group", r.ErrorCode)
	if s.modernEpoch = r.MemberEpoch; epoch > 0 && r.MemberEpoch != epoch || r.Assignment == nil || len(r.Assignment.Topics) != 1 || len(r.Assignment.Topics[0].Partitions) != 3 {
		s.t.Errorf("heartbeat of a modern group at epoch %d: %+v", epoch, r)
	}
	fetched, err := s.admin.FetchOffsets(s.ctx, "modern")
	if err != nil || epoch > 0 && fetched["t"][0].At != 3 {
		s.t.Errorf("the modern group's offsets are %+v, %v", fetched, err)
	}
}

// state is all that the broker tells of classic groups.
func (s *groupScript) state() string {
	s.t.Helper()
	var out bytes.Buffer
	tell := func(v any, err error) {
		s.t.Helper()
		skips.Need(s.t, err)
		e := json.NewEncoder(&out)
		skips.Need(s.t, e.Encode(v))
	}
	listed, err := s.admin.ListGroups(s.ctx)
	delete(listed, "modern") // of which Apache knows the offsets alone
	tell(listed.Sorted(), err)
	for _, g := range []string{"simple", "bygone", "old", "new", "static"} {
		q := kmsg.NewPtrDescribeGroupsRequest()
		q.Version, q.Groups = 5, []string{g}
		tell(request[*kmsg.DescribeGroupsResponse](s, q), nil)
		offsets, err := s.admin.FetchOffsets(s.ctx, g)
		tell(offsets.Sorted(), err)
	}
	return out.String()
}

// written are the records of __consumer_offsets, by key, without times and random ids. Apache's order within a batch is that of a hash table.
func (s *groupScript) written() []string {
	s.t.Helper()
	ends, err := s.admin.ListEndOffsets(s.ctx, "__consumer_offsets")
	skips.Need(s.t, err)
	from, left := map[int32]kgo.Offset{}, 0
	ends.Each(func(o kadm.ListedOffset) {
		if o.Offset > 0 {
			from[o.Partition] = kgo.NewOffset().At(0)
			left += int(o.Offset)
		}
	})
	cl, err := kgo.NewClient(kgo.SeedBrokers(s.broker.Addr()), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"__consumer_offsets": from}))
	skips.Need(s.t, err)
	defer cl.Close()
	var keys []string
	out := map[string][]string{} // by key
	for left > 0 {
		fs := cl.PollFetches(s.ctx)
		skips.Need(s.t, fs.Err())
		fs.EachRecord(func(r *kgo.Record) {
			left--
			keys = append(keys, string(r.Key))
			out[string(r.Key)] = append(out[string(r.Key)], fmt.Sprintf("%d %s", r.Partition, masked(s.t, r)))
		})
	}
	slices.Sort(keys)
	var all []string
	for _, k := range slices.Compact(keys) {
		all = append(all, out[k]...)
	}
	return all
}

var uuid = regexp.MustCompile(`[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}`)

// masked is a record with its times and ids left out. That the rest is told whole is checked: it makes the same bytes again.
func masked(t *testing.T, r *kgo.Record) string {
	t.Helper()
	type message interface {
		ReadFrom([]byte) error
		AppendTo([]byte) []byte
	}
	read := func(m message, b []byte) {
		t.Helper()
		if err := m.ReadFrom(b); err != nil {
			t.Errorf("%T of %x: %v", m, b, err)
		} else if again := m.AppendTo(nil); !bytes.Equal(again, b) {
			t.Errorf("%T of %x makes %x", m, b, again)
		}
	}
	if len(r.Key) < 2 {
		return fmt.Sprintf("key %x", r.Key)
	}
	var key, value any
	switch binary.BigEndian.Uint16(r.Key) {
	case 0, 1:
		k, v := kmsg.NewOffsetCommitKey(), kmsg.NewOffsetCommitValue()
		read(&k, r.Key)
		if r.Value != nil {
			read(&v, r.Value)
			if v.Version == 1 && v.ExpireTimestamp >= 0 {
				v.ExpireTimestamp -= v.CommitTimestamp
			}
			v.CommitTimestamp = 0
			value = v
		}
		key = k
	case 2:
		k, v := kmsg.NewGroupMetadataKey(), kmsg.NewGroupMetadataValue()
		read(&k, r.Key)
		if r.Value != nil {
			read(&v, r.Value)
			v.CurrentStateTimestamp = min(v.CurrentStateTimestamp, 0)
			value = v
		}
		key = k
	default:
		return fmt.Sprintf("key %x", r.Key)
	}
	text, err := json.Marshal([]any{key, value, len(r.Value)})
	skips.Need(t, err)
	return uuid.ReplaceAllString(string(text), "ID")
}
