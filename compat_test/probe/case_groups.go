package probe

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// peer is a member of a group in a case.
type peer struct {
	r          *Run
	group, id  string
	instance   *string
	generation int32
}

func (p *peer) joinRequest(protocols ...string) *kmsg.JoinGroupRequest {
	q := kmsg.NewPtrJoinGroupRequest()
	q.Group, q.MemberID, q.InstanceID, q.ProtocolType = p.group, p.id, p.instance, "consumer"
	q.SessionTimeoutMillis, q.RebalanceTimeoutMillis = 10000, 10000
	for _, name := range protocols {
		rp := kmsg.NewJoinGroupRequestProtocol()
		m := kmsg.NewConsumerMemberMetadata()
		m.Version, m.Topics = 0, []string{"subscribed"}
		rp.Name, rp.Metadata = name, m.AppendTo(nil)
		q.Protocols = append(q.Protocols, rp)
	}
	return q
}

// join joins and takes over what the answer says.
func (p *peer) join(step string, version int16, protocols ...string) {
	resp := p.r.Do(step, p.joinRequest(protocols...), version).(*kmsg.JoinGroupResponse)
	p.id, p.generation = resp.MemberID, resp.Generation
}

func (p *peer) sync(step string, version int16, protocol string, assign bool) {
	q := kmsg.NewPtrSyncGroupRequest()
	kind := "consumer"
	q.Group, q.MemberID, q.InstanceID, q.Generation, q.ProtocolType, q.Protocol = p.group, p.id, p.instance, p.generation, &kind, &protocol
	if assign {
		a := kmsg.NewSyncGroupRequestGroupAssignment()
		a.MemberID, a.MemberAssignment = p.id, []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
		q.GroupAssignment = append(q.GroupAssignment, a)
	}
	p.r.Do(step, q, version)
}

func (p *peer) beat(step string, version int16) {
	q := kmsg.NewPtrHeartbeatRequest()
	q.Group, q.MemberID, q.InstanceID, q.Generation = p.group, p.id, p.instance, p.generation
	p.r.Do(step, q, version)
}

func (p *peer) leave(step string, version int16) {
	q := kmsg.NewPtrLeaveGroupRequest()
	q.Group, q.MemberID = p.group, p.id
	m := kmsg.NewLeaveGroupRequestMember()
	m.MemberID, m.InstanceID = p.id, p.instance
	q.Members = append(q.Members, m)
	p.r.Do(step, q, version)
}

func (p *peer) commit(step string, version int16, topic string, offset int64, metadata string, partitions ...int32) {
	q := kmsg.NewPtrOffsetCommitRequest()
	q.Group, q.MemberID, q.InstanceID, q.Generation = p.group, p.id, p.instance, p.generation
	t := kmsg.NewOffsetCommitRequestTopic()
	t.Topic = topic
	for _, n := range partitions {
		rp := kmsg.NewOffsetCommitRequestTopicPartition()
		rp.Partition, rp.Offset, rp.Metadata = n, offset, &metadata
		t.Partitions = append(t.Partitions, rp)
	}
	q.Topics = append(q.Topics, t)
	p.r.Do(step, q, version)
}

func (p *peer) fetch(step string, version int16, topic string, partitions ...int32) {
	q := kmsg.NewPtrOffsetFetchRequest()
	q.Group = p.group
	g := kmsg.NewOffsetFetchRequestGroup()
	g.Group = p.group
	if topic != "" {
		t, gt := kmsg.NewOffsetFetchRequestTopic(), kmsg.NewOffsetFetchRequestGroupTopic()
		t.Topic, t.Partitions, gt.Topic, gt.Partitions = topic, partitions, topic, partitions
		q.Topics, g.Topics = append(q.Topics, t), append(g.Topics, gt)
	}
	q.Groups = append(q.Groups, g)
	p.r.Do(step, q, version)
}

func (p *peer) describe(step string, version int16) {
	q := kmsg.NewPtrDescribeGroupsRequest()
	q.Groups = []string{p.group}
	p.r.Do(step, q, version)
}

func (p *peer) remove(step string, version int16) {
	q := kmsg.NewPtrDeleteGroupsRequest()
	q.Groups = []string{p.group}
	p.r.Do(step, q, version)
}

// peerOf makes a member of a new group, once the coordinator is there.
func (r *Run) peerOf(name string) *peer {
	p := &peer{r: r, group: r.Name(name), generation: -1}
	r.await("coordinator", func() error {
		q := kmsg.NewPtrFindCoordinatorRequest()
		q.CoordinatorKey = p.group
		if err := codeError(r.Quiet(q, 3).(*kmsg.FindCoordinatorResponse).ErrorCode); err != nil {
			return err
		}
		d := kmsg.NewPtrDescribeGroupsRequest()
		d.Groups = []string{p.group}
		return codeError(r.Quiet(d, 0).(*kmsg.DescribeGroupsResponse).Groups[0].ErrorCode)
	})
	return p
}

func groupCases() []Case {
	return group("groups",
		named("one member", func(r *Run) {
			t := r.Topic("t", 2)
			p := r.peerOf("g")
			p.describe("before", 5)
			p.join("without an id", 9, "range", "roundrobin")
			p.describe("joining", 5)
			p.join("with the id", 9, "range", "roundrobin")
			p.commit("before the assignment", 8, t, 1, "", 0)
			p.describe("joined", 5)
			p.beat("before the assignment", 4)
			p.sync("assignment", 5, "range", true)
			p.sync("again", 5, "range", false)
			p.sync("of another protocol", 5, "roundrobin", false)
			p.beat("stable", 4)
			p.describe("stable", 5)
			p.commit("commit", 8, t, 7, "note", 0, 1, 5)
			p.fetch("fetch", 8, t, 0, 1, 5)
			other := &peer{r: r, group: p.group, id: p.id, generation: p.generation + 1}
			other.beat("another generation", 4)
			other.sync("another generation", 5, "range", false)
			other.commit("another generation", 8, t, 8, "", 0)
			other.id, other.generation = "nobody", p.generation
			other.beat("not a member", 4)
			other.sync("not a member", 5, "range", false)
			other.commit("not a member", 8, t, 8, "", 0)
			other.join("not a member", 9, "range")
			other.leave("not a member", 5)
			other.id, other.generation = "", -1
			other.commit("no member, of a group with members", 8, t, 8, "", 0)
			p.remove("with members", 2)
			p.leave("leave", 5)
			p.beat("left", 4)
			p.describe("empty", 5)
			other.commit("no member", 8, t, 9, "", 1)
			p.fetch("all", 8, "")
			p.remove("delete", 2)
			p.remove("again", 2)
			p.describe("deleted", 5)
			p.fetch("deleted", 8, t, 0, 1)
		}),
		named("every version", func(r *Run) {
			t := r.Topic("t", 1)
			for v := range int16(10) {
				p := r.peerOf(fmt.Sprint("v", v))
				at := func(top int16) int16 { return min(v, top) }
				p.join("join", at(9), "range")
				if at(9) >= 4 {
					p.join("join with the id", at(9), "range")
				}
				p.sync("sync", at(5), "range", true)
				p.beat("heartbeat", at(4))
				if v > 0 {
					p.commit("commit", at(9), t, int64(v), "m", 0)
					p.fetch("fetch", at(9), t, 0, 3)
				}
				p.describe("describe", at(5))
				p.leave("leave", at(5))
				if v >= 2 {
					p.fetch("fetch all", at(9), "")
				}
				p.remove("delete", at(2))
			}
		}),
		named("refused", func(r *Run) {
			t := r.Topic("t", 1)
			p := r.peerOf("g")
			short := p.joinRequest("range")
			short.SessionTimeoutMillis = 1000
			r.Do("session too short", short, 9)
			short.SessionTimeoutMillis = 100_000_000
			r.Do("session too long", short, 9)
			none := p.joinRequest()
			r.Do("no protocols", none, 9)
			kind := p.joinRequest("range")
			kind.ProtocolType = ""
			r.Do("no protocol type", kind, 9)
			empty := p.joinRequest("range")
			empty.Group = ""
			r.Do("no group", empty, 9)
			nobody := &peer{r: r, group: p.group, id: "nobody", generation: 3}
			nobody.join("unknown member", 9, "range")
			nobody.id, nobody.generation = "nobody", 3
			nobody.sync("unknown member", 5, "range", false)
			nobody.beat("unknown member", 4)
			for v := range int16(6) {
				nobody.leave(fmt.Sprintf("unknown member, v%d", v), v)
			}
			nobody.commit("unknown group", 8, t, 1, "", 0)
			nobody.remove("unknown group", 2)
			q := kmsg.NewPtrSyncGroupRequest()
			q.Group, q.MemberID = p.group, "nobody"
			r.Do("without the protocol", q, 5)
			noName := &peer{r: r, group: "", generation: -1}
			noName.beat("no group", 4)
			noName.sync("no group", 5, "range", false)
			noName.leave("no group", 5)
			noName.fetch("no group", 8, t, 0)
			noName.describe("no group", 5)
			simple := &peer{r: r, group: p.group, generation: -1}
			simple.commit("no member", 8, t, 5, string(make([]byte, 4097)), 0)
			simple.commit("no such topic", 8, r.Name("none"), 5, "", 0)
			simple.commit("no such partition", 8, t, 5, "", 9, 0)
			simple.fetch("fetched", 8, t, 0, 9)
			simple.fetch("no such topic", 8, r.Name("none"), 0)
			d := kmsg.NewPtrOffsetDeleteRequest()
			d.Group = p.group
			dt := kmsg.NewOffsetDeleteRequestTopic()
			dt.Topic = t
			for _, n := range []int32{0, 9} {
				dp := kmsg.NewOffsetDeleteRequestTopicPartition()
				dp.Partition = n
				dt.Partitions = append(dt.Partitions, dp)
			}
			d.Topics = append(d.Topics, dt)
			r.Do("offsets of a group without members", d, 0)
			simple.fetch("deleted", 8, t, 0)
			d.Group = r.Name("other")
			r.Do("offsets of no group", d, 0)
		}),
		named("offsets in ZooKeeper", func(r *Run) {
			t := r.Topic("t", 2)
			p := r.peerOf("g")
			p.fetch("nothing yet", 0, t, 0, 1)
			p.commit("commit", 0, t, 12, "m", 0)
			p.commit("commit again", 0, t, 13, string(make([]byte, 4097)), 0, 1)
			p.commit("no such partition", 0, t, 13, "", 5)
			p.fetch("committed", 0, t, 0, 1, 5)
			p.fetch("elsewhere", 1, t, 0)
		}),
		named("static member", func(r *Run) {
			instance := "i"
			p := r.peerOf("g")
			p.instance = &instance
			p.join("first", 9, "range")
			p.sync("first", 5, "range", true)
			p.describe("stable", 5)
			old := *p
			p.id = ""
			p.join("comes back", 9, "range")
			p.sync("comes back", 5, "range", false)
			old.beat("the one before", 4)
			old.sync("the one before", 5, "range", false)
			old.join("the one before", 9, "range")
			p.id = ""
			p.join("comes back, v5", 5, "range")
			p.beat("stable", 4)
			none := "none"
			gone := &peer{r: r, group: p.group, instance: &none}
			gone.leave("unknown instance", 5)
			out := &peer{r: r, group: p.group, instance: &instance}
			out.leave("by instance", 5)
			p.describe("empty", 5)
		}),
	)
}
