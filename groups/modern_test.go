package groups

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"gokafka/config"
	"gokafka/metadata"
)

// world is what the broker knows of topics in a test.
type world struct {
	image  *metadata.Image
	topics map[string]int32
	made   byte
}

func newWorld() *world {
	return &world{image: metadata.NewCache().Image(), topics: map[string]int32{}}
}

// set makes, extends or, with no partitions, deletes a topic.
func (w *world) set(name string, partitions int32) {
	u := metadata.Update{Brokers: []*metadata.Broker{{ID: 0, Rack: "r0"}, {ID: 1, Rack: "r1"}}}
	t := metadata.TopicUpdate{Name: name}
	if old := w.image.Topic(name); old != nil {
		t.ID = old.ID
	} else {
		w.made++
		t.ID = metadata.TopicID{w.made}
	}
	for p := range max(partitions, w.topics[name]) {
		x := metadata.Partition{Index: p, PartitionState: metadata.PartitionState{Leader: 0}, Replicas: []int32{p % 2}}
		if partitions == 0 {
			x.Leader = metadata.LeaderDuringDelete
		}
		t.Partitions = append(t.Partitions, x)
	}
	u.Topics = append(u.Topics, t)
	w.image = w.image.Apply(u)
	if w.topics[name] = max(partitions, w.topics[name]); partitions == 0 {
		delete(w.topics, name)
	}
}

// consumer is a member as Kafka's clients are: what it has is what it was last told, it gives up at once what it is not told any more, and it begins anew when it is fenced.
type consumer struct {
	group, id string
	instance  *string
	topics    []string
	regex     *string
	assignor  *string
	epoch     int32
	owned     parts
	full      bool // tells all in the next heartbeat
	changes   int  // of its subscription
	waits     bool
	gone      bool

	classic bool // uses the classic protocol
	eager   bool // gives all up before it joins again
	rejoins bool
}

func (c *consumer) fenced() {
	c.id, c.epoch, c.owned, c.rejoins = "", 0, parts{}, true
}

// classicBeat is a heartbeat of the classic protocol, or the next join.
func (x *modernScript) classicBeat(c *consumer, lose bool) {
	if !c.rejoins {
		switch err := x.s.beat(c.group, c.id, c.instance, c.epoch); err {
		case nil:
		case kerr.RebalanceInProgress:
			c.rejoins = true
		default:
			c.fenced()
		}
		return
	}
	if c.eager {
		c.owned = parts{}
	}
	sub := kmsg.NewConsumerMemberMetadata()
	sub.Version, sub.Topics = 1, c.topics
	for id, list := range c.owned {
		if t := x.w.image.TopicByID(id); t != nil {
			sub.OwnedPartitions = append(sub.OwnedPartitions, kmsg.ConsumerMemberMetadataOwnedPartition{Topic: t.Name, Partitions: list})
		}
	}
	c.waits = true
	answered := false
	x.s.join(&Join{Group: c.group, MemberID: c.id, Instance: c.instance, ClientID: "c", Host: "/h", ProtocolType: "consumer", SessionTimeout: 10 * time.Second, RebalanceTimeout: 20 * time.Second,
		Protocols: []Protocol{{"p", sub.AppendTo(nil)}}, SkipsAssignment: true}, func(r JoinResult) {
		if answered {
			return
		}
		answered, c.waits = true, false
		switch {
		case c.gone || lose || r.Err == kerr.RebalanceInProgress || r.Err == kerr.CoordinatorNotAvailable:
			return
		case r.Err != nil:
			c.fenced()
			return
		}
		c.id, c.epoch, c.rejoins = r.MemberID, r.Generation, false
		q := &Sync{Group: c.group, MemberID: c.id, Instance: c.instance, Generation: c.epoch}
		if r.Leader == r.MemberID && !r.SkipAssignment {
			q.Assignments = x.lead(r.Members)
		}
		c.waits = true
		synced := false
		x.s.sync(q, func(r SyncResult) {
			if synced {
				return
			}
			synced, c.waits = true, false
			switch {
			case c.gone:
			case r.Err == kerr.RebalanceInProgress:
				c.rejoins = true
			case r.Err != nil:
				c.fenced()
			default:
				got := assignedOf(r.Assignment, x.w.image)
				c.rejoins = !c.owned.subset(got) // what was given up may go to others now
				c.owned = got
			}
		})
	})
}

// lead assigns as a leader of the cooperative protocol does: partitions stay where they are, and only those that nobody has go to others.
func (x *modernScript) lead(members []JoinMember) map[string][]byte {
	taken := map[string]bool{}
	gets := map[string]parts{}
	subs := map[string]kmsg.ConsumerMemberMetadata{}
	for _, m := range members {
		var sub kmsg.ConsumerMemberMetadata
		if err := sub.ReadFrom(m.Metadata); err != nil {
			x.t.Fatal(err)
		}
		subs[m.ID], gets[m.ID] = sub, parts{}
		for _, o := range sub.OwnedPartitions {
			for _, p := range o.Partitions {
				if k := fmt.Sprint(o.Topic, p); slices.Contains(sub.Topics, o.Topic) && !taken[k] && x.w.image.Topic(o.Topic) != nil {
					taken[k] = true
					gets[m.ID].add(x.w.image.Topic(o.Topic).ID, p)
				} else {
					taken[k] = true // it is given up first
				}
			}
		}
	}
	for _, m := range members {
		for _, name := range subs[m.ID].Topics {
			for p := range x.w.topics[name] {
				if k := fmt.Sprint(name, p); !taken[k] {
					taken[k] = true
					gets[m.ID].add(x.w.image.Topic(name).ID, p)
				}
			}
		}
	}
	out := map[string][]byte{}
	for _, m := range members {
		out[m.ID] = assignmentFor(gets[m.ID].sorted(), m.Metadata, x.w.image)
	}
	return out
}

// modernScript is a random life of a modern group.
type modernScript struct {
	t         *rapid.T
	w         *world
	h         *fakeHost
	s         *shard
	consumers []*consumer
	made      int
	mixed     bool // some use the classic protocol
}

func (x *modernScript) beat(c *consumer, lose bool) {
	if c.classic {
		x.classicBeat(c, lose)
		return
	}
	q := &Beat{Group: c.group, MemberID: c.id, Epoch: c.epoch, RebalanceMs: -1, ClientID: "c", Host: "/h", OwnID: true}
	if c.instance != nil {
		q.Instance = c.instance
	}
	q.Owned = map[metadata.TopicID][]int32{}
	if c.epoch == 0 || c.full {
		q.RebalanceMs, q.Topics, q.Regex, q.Assignor = 60_000, append([]string{}, c.topics...), c.regex, c.assignor
	}
	maps.Copy(q.Owned, c.owned)
	c.waits = true
	changes, answered := c.changes, false
	x.s.modernBeat(q, func(r Beaten) {
		if answered { // with an error, before it was replicated after all: a request has one answer
			return
		}
		answered, c.waits = true, false
		if c.gone || lose {
			c.full = true
			return
		}
		switch r.Err {
		case nil:
			c.epoch, c.full = r.Epoch, c.changes != changes
			if r.Assigned != nil {
				c.owned = sortedParts(r.Assigned)
			}
		case kerr.FencedMemberEpoch, kerr.UnknownMemberID:
			c.epoch, c.owned, c.full = 0, parts{}, true
		case kerr.FencedInstanceID: // another consumer has its instance id
			c.gone, c.owned = true, parts{}
		case kerr.UnreleasedInstanceID, kerr.GroupMaxSizeReached, kerr.CoordinatorNotAvailable, kerr.NotCoordinator, kerr.UnknownServerError, kerr.GroupIDNotFound:
			c.full = true // it tries again
		default:
			x.t.Fatalf("heartbeat: %v %s", r.Err, r.Message)
		}
	})
}

// beatAll lets all that are alive beat once.
func (x *modernScript) beatAll() {
	for _, c := range x.consumers {
		if !c.gone && !c.waits {
			x.beat(c, false)
		}
	}
	x.h.replicate(1000)
}

func (x *modernScript) subscribe(c *consumer) {
	c.topics, c.regex = nil, nil
	for _, t := range []string{"a1", "a2", "b"} {
		if rapid.Bool().Draw(x.t, "reads "+t) {
			c.topics = append(c.topics, t)
		}
	}
	if c.classic {
		if len(c.topics) == 0 {
			c.topics = []string{"b"}
		}
		c.rejoins = true
		return
	}
	if len(c.topics) == 0 {
		re := rapid.SampledFrom([]string{"a.*", "b|a1", "none"}).Draw(x.t, "regex")
		c.regex = &re
	} else {
		none := ""
		c.regex = &none
	}
	c.assignor = nil
	if rapid.IntRange(0, 3).Draw(x.t, "assignor") == 0 {
		name := rangeAssignor
		c.assignor = &name
	}
	c.full = true
	c.changes++
}

func (x *modernScript) step() {
	var c *consumer
	if len(x.consumers) > 0 {
		c = rapid.SampledFrom(x.consumers).Draw(x.t, "consumer")
	}
	switch op := rapid.IntRange(0, 16).Draw(x.t, "op"); {
	case op < 2 || c == nil:
		if len(x.consumers) > 5 {
			return
		}
		x.made++
		c := &consumer{group: "g", id: fmt.Sprint("m", x.made), owned: parts{}}
		if n := rapid.IntRange(0, 4).Draw(x.t, "instance"); n < 2 {
			i := fmt.Sprint("i", n)
			c.instance = &i
		}
		if x.mixed && rapid.Bool().Draw(x.t, "classic") {
			c.id, c.classic, c.eager = "", true, rapid.Bool().Draw(x.t, "eager")
		}
		for _, o := range x.consumers {
			if x.mixed && c.instance != nil && deref(o.instance) == *c.instance { // the classic protocol lets one take another's place unheard: it is the same consumer, restarted
				o.gone, o.owned = true, parts{}
			}
		}
		x.subscribe(c)
		x.consumers = append(x.consumers, c)
		x.beat(c, false)
	case op < 8:
		if !c.waits {
			x.beat(c, op == 7)
		}
	case op == 8:
		x.subscribe(c)
	case op == 9: // leaves, a static one perhaps for a while
		if c.waits || c.epoch <= 0 {
			return
		}
		if c.classic {
			c.gone, c.owned = true, parts{}
			x.s.leave("g", []Leaver{{MemberID: c.id, Instance: c.instance}})
			break
		}
		q := &Beat{Group: "g", MemberID: c.id, Epoch: leaveEpoch, Instance: c.instance, RebalanceMs: -1, OwnID: true}
		if c.instance != nil && rapid.Bool().Draw(x.t, "for a while") {
			q.Epoch = leaveStaticEpoch
		}
		c.gone, c.owned = true, parts{}
		x.s.modernBeat(q, func(Beaten) {})
	case op == 10: // crashes
		c.gone, c.owned = true, parts{}
	case op == 11:
		x.h.fail = rapid.SampledFrom([]error{kerr.NotEnoughReplicas, kerr.MessageTooLarge}).Draw(x.t, "failure")
	case op == 12:
		x.h.timeOut()
	case op == 13:
		x.w.set(rapid.SampledFrom([]string{"a1", "a2", "b"}).Draw(x.t, "topic"), rapid.Int32Range(0, 5).Draw(x.t, "partitions"))
	case op == 14:
		for range rapid.IntRange(1, 8).Draw(x.t, "rounds") {
			x.h.advance(2 * time.Second)
			x.beatAll()
		}
	default:
		x.h.replicate(rapid.IntRange(1, 3).Draw(x.t, "appends"))
	}
	x.consumers = slices.DeleteFunc(x.consumers, func(c *consumer) bool { return c.gone })
}

func (x *modernScript) twoOwners() {
	owner := map[string]string{}
	for _, c := range x.consumers {
		for id, list := range c.owned {
			for _, p := range list {
				k := fmt.Sprintf("%x-%d", id[:1], p)
				if other, taken := owner[k]; taken {
					x.t.Fatalf("%s is owned by %s and by %s", k, other, c.id)
				}
				owner[k] = c.id
			}
		}
	}
}

// toldModern is all that a modern group is.
func toldModern(s *shard, name string) string {
	g := s.groups[name]
	if g == nil || g.modern == nil {
		return "none"
	}
	n := g.modern
	var out strings.Builder
	fmt.Fprintf(&out, "%d/%d %s", n.epoch, n.assignmentEpoch, n.state())
	for _, m := range n.sorted() {
		fmt.Fprintf(&out, "\n%s %v %v %v %d %d/%d %d %v %v target %v", m.id, deref(m.instance), m.topics, deref(m.regex), m.rebalanceMs, m.epoch, m.previous, m.state, m.assigned, m.revoking, n.target[m.id])
	}
	for _, t := range slices.Sorted(maps.Keys(n.topics)) {
		fmt.Fprintf(&out, "\n%s %v", t, n.topics[t])
	}
	fmt.Fprintf(&out, "\nowners %v static %v", n.owners, n.static)
	return out.String()
}

func deref(s *string) string {
	if s == nil {
		return "-"
	}
	return *s
}

func modernCoordinator(w *world) *Coordinator {
	c := testCoordinator(func(g *config.Groups) { g.ConsumerSessionTimeout = 10 * time.Second }, 0)
	c.o.Image = func() *metadata.Image { return w.image }
	c.assignors = []string{uniformAssignor, rangeAssignor}
	return c
}

// At no time have two consumers the same partition, whatever is lost and whoever comes and goes; the group is at any time what a replay of its log makes of it; and when
// all is quiet each partition that somebody reads has an owner.
func TestModernGroup(t *testing.T) {
	for _, mixed := range []bool{false, true} {
		t.Run(fmt.Sprint("mixed ", mixed), func(t *testing.T) { testModernGroup(t, mixed) })
	}
}

func testModernGroup(t *testing.T, mixed bool) {
	histories(t, func(t *rapid.T) {
		{
			w := newWorld()
			w.set("a1", 3)
			w.set("b", 4)
			c := modernCoordinator(w)
			c.o.Config.ConsumerMigrationPolicy = "bidirectional"
			h, s, err := newFake(c, nil)
			if err != nil {
				t.Fatal(err)
			}
			x := &modernScript{t: t, w: w, h: h, s: s, mixed: mixed}
			replayed := func() {
				cc := modernCoordinator(w)
				_, again, err := newFake(cc, slices.Clone(h.log))
				if err != nil {
					t.Fatal(err)
				}
				g := s.groups["g"]
				live, log := toldModern(s, "g"), toldModern(again, "g")
				if g != nil && g.modern == nil && (len(h.waits) > 0 || !g.is(Stable, Empty) || g.unsaved || g.generation == 0) {
					live = log // a classic group that rebalances: the log has the generation before
				} else if live == "none" && log == "none" {
					live, log = told(s, "g"), told(again, "g")
				}
				if live != log {
					t.Fatalf("live\n%s\nreplayed\n%s", live, log)
				}
				again.Unloaded()
			}
			for range rapid.IntRange(1, 50).Draw(t, "steps") {
				x.step()
				x.twoOwners()
				replayed()
			}
			h.fail = nil
			for range 60 {
				h.advance(2 * time.Second)
				x.beatAll()
				x.twoOwners()
				replayed()
			}
			x.settled()
			s.Unloaded()
			if held := c.held.Load(); held != 0 {
				t.Fatalf("%d bytes are counted of groups that are not there", held)
			}
		}
	})
}

// settled wants all partitions to have owners, spread evenly where all read the same.
func (x *modernScript) settled() {
	g := x.s.groups["g"]
	if x.mixed { // who gets what depends on who came last, and on the leader; that all have what they are given is seen by the other checks
		return
	}
	if len(x.consumers) == 0 {
		if g != nil && g.modern != nil && g.modern.state() != Empty {
			x.t.Fatalf("without consumers the group is\n%s", toldModern(x.s, "g"))
		}
		return
	}
	waiting := map[string]bool{} // instances that more than one consumer claims: one of them cannot join
	claims := map[string]int{}
	for _, c := range x.consumers {
		if c.instance != nil {
			if claims[*c.instance]++; claims[*c.instance] > 1 {
				waiting[*c.instance] = true
			}
		}
	}
	wanted := map[string]bool{}
	same := true
	resolve := x.s.resolver(x.w.image)
	for _, c := range x.consumers {
		if c.instance != nil && waiting[*c.instance] {
			return
		}
		same = same && slices.Equal(c.topics, x.consumers[0].topics) && deref(c.regex) == deref(x.consumers[0].regex) && c.assignor == nil
		names := slices.Clone(c.topics)
		if c.regex != nil && *c.regex != "" {
			names = append(names, resolve(*c.regex)...)
		}
		for _, name := range names {
			wanted[name] = true
		}
	}
	total, least, most := 0, 1<<30, 0
	for _, c := range x.consumers {
		n := c.owned.count()
		total, least, most = total+n, min(least, n), max(most, n)
	}
	want := 0
	for name := range wanted {
		want += int(x.w.topics[name])
	}
	if g == nil || g.modern.state() != Stable || total != want {
		x.t.Fatalf("%d of %d partitions have owners; topics %v, image %v:\n%s", total, want, x.w.topics, x.s.topicsOf(wanted, x.w.image), toldModern(x.s, "g"))
	}
	if same && most-least > 1 {
		x.t.Fatalf("owners have between %d and %d:\n%s", least, most, toldModern(x.s, "g"))
	}
}

// A group of the one protocol becomes one of the other while it has no members, and keeps its offsets; with members it stays what it is.
func TestGroupChangesItsProtocol(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.set("t", 2)
		h, s, err := newFake(modernCoordinator(w), nil)
		if err != nil {
			t.Fatal(err)
		}
		commit := func(member string, epoch int32, modern bool) (err error) {
			q := &Commit{Group: "g", MemberID: member, Generation: epoch, Modern: modern, Offsets: []CommitOffset{{Topic: "t", Offset: 7, LeaderEpoch: -1, CommitMs: h.NowMs(), ExpireMs: -1}}}
			s.commit(q, func() { err = q.Offsets[0].Err })
			h.replicate(1000)
			return err
		}
		beat := func(member string, epoch int32) (got Beaten) {
			q := &Beat{Group: "g", MemberID: member, Epoch: epoch, RebalanceMs: 1000, Topics: []string{"t"}, Owned: map[metadata.TopicID][]int32{}, OwnID: true}
			s.modernBeat(q, func(r Beaten) { got = r })
			h.replicate(1000)
			return got
		}
		join := func(id string) (got JoinResult) {
			got.Err = kerr.RequestTimedOut
			s.join(&Join{Group: "g", MemberID: id, ClientID: "c", ProtocolType: "consumer", SessionTimeout: 10 * time.Second, RebalanceTimeout: 10 * time.Second,
				Protocols: []Protocol{{"range", nil}}}, func(r JoinResult) { got = r })
			h.advance(2 * time.Second)
			h.replicate(1000)
			return got
		}
		j := join("")
		if j.Err != nil {
			t.Fatal(j.Err)
		}
		if err := commit(j.MemberID, j.Generation, false); err != kerr.RebalanceInProgress {
			t.Error("commit before the sync:", err)
		}
		if r := beat("m", 0); r.Err != kerr.GroupIDNotFound {
			t.Error("a heartbeat to a classic group with members:", r.Err, r.Message)
		}
		s.leave("g", []Leaver{{MemberID: j.MemberID}})
		h.replicate(1000)
		if err := commit("", -1, false); err != nil {
			t.Fatal(err)
		}
		r := beat("m", 0)
		if r.Err != nil || r.Epoch != 1 || len(r.Assigned) != 1 {
			t.Fatalf("%+v", r)
		}
		if err := commit("m", 1, true); err != nil {
			t.Error("a member's commit:", err)
		}
		if err := commit("m", 2, true); err != kerr.StaleMemberEpoch {
			t.Error("a commit of another epoch:", err)
		}
		if err := commit("m", 1, false); err != kerr.UnsupportedVersion {
			t.Error("a commit that does not know of epochs:", err)
		}
		if err := commit("", -1, true); err != kerr.UnknownMemberID {
			t.Error("a commit of nobody:", err)
		}
		name := "m"
		for as, want := range map[FetchAs]error{{Epoch: -1}: nil, {MemberID: &name, Epoch: 1}: nil, {MemberID: &name, Epoch: 0}: kerr.StaleMemberEpoch} {
			if err := s.mayFetch("g", as); err != want {
				t.Errorf("fetch as %v: %v", as, err)
			}
		}
		if j := join(""); j.Err != kerr.InconsistentGroupProtocol {
			t.Error("a classic member joins a modern group:", j.Err)
		}
		var deleted error
		s.delete("g", func(err error) { deleted = err })
		if deleted != kerr.NonEmptyGroup {
			t.Error("deletion of a group with a member:", deleted)
		}
		if r := beat("m", leaveEpoch); r.Err != nil || r.Epoch != leaveEpoch {
			t.Errorf("%+v", r)
		}
		if j := join(""); j.Err != nil {
			t.Error("a classic member joins a modern group without members:", j.Err)
		}
		if got := s.fetch("g", nil, false); len(got) != 1 || got[0].Offset != 7 {
			t.Errorf("its offsets are %+v", got)
		}
		_, again, err := newFake(modernCoordinator(w), h.log)
		if err != nil {
			t.Fatal(err)
		}
		if g := again.groups["g"]; g == nil || g.modern != nil || len(g.offsets) != 1 {
			t.Errorf("the next coordinator reads %+v", g)
		}
		again.Unloaded()
		s.Unloaded()
	})
}

// What a heartbeat may not say, in Kafka's words.
func TestBeatsThatAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.set("t", 2)
		c := modernCoordinator(w)
		c.o.Config.ConsumerMaxSize = 1
		h, s, err := newFake(c, nil)
		if err != nil {
			t.Fatal(err)
		}
		str := func(s string) *string { return &s }
		ok := func() *Beat {
			return &Beat{Group: "g", MemberID: "m", RebalanceMs: 1000, Topics: []string{"t"}, Owned: map[metadata.TopicID][]int32{}, OwnID: true}
		}
		for _, c := range []struct {
			change func(q *Beat)
			err    error
			text   string
		}{
			{func(q *Beat) { q.Group = "" }, kerr.InvalidRequest, "GroupId can't be empty."},
			{func(q *Beat) { q.Instance = str(" ") }, kerr.InvalidRequest, "InstanceId can't be empty."},
			{func(q *Beat) { q.Rack = str("") }, kerr.InvalidRequest, "RackId can't be empty."},
			{func(q *Beat) { q.MemberID = "" }, kerr.InvalidRequest, "MemberId can't be empty."},
			{func(q *Beat) { q.MemberID, q.OwnID, q.Epoch = "", false, 3 }, kerr.InvalidRequest, "MemberId can't be empty."},
			{func(q *Beat) { q.Epoch = -2 }, kerr.InvalidRequest, "InstanceId can't be null."},
			{func(q *Beat) { q.Epoch = -3 }, kerr.InvalidRequest, "MemberEpoch is invalid."},
			{func(q *Beat) { q.RebalanceMs = -1 }, kerr.InvalidRequest, "RebalanceTimeoutMs must be provided in first request."},
			{func(q *Beat) { q.Owned = nil }, kerr.InvalidRequest, "TopicPartitions must be empty when (re-)joining."},
			{func(q *Beat) { q.Owned = map[metadata.TopicID][]int32{{1}: {0}} }, kerr.InvalidRequest, "TopicPartitions must be empty when (re-)joining."},
			{func(q *Beat) { q.Topics, q.OwnID = nil, false }, kerr.InvalidRequest, "SubscribedTopicNames must be set in first request."},
			{func(q *Beat) { q.Topics = nil }, kerr.InvalidRequest, "Either SubscribedTopicNames or SubscribedTopicRegex must be non-null when (re-)joining."},
			{func(q *Beat) { q.Assignor = str("best") }, kerr.UnsupportedAssignor, "ServerAssignor best is not supported. Supported assignors: uniform, range."},
			{func(q *Beat) { q.Regex = str("a(") }, kerr.InvalidRegularExpression, "SubscribedTopicRegex"},
			{func(q *Beat) { q.Epoch = 1 }, kerr.GroupIDNotFound, "Consumer group g not found."},
			{func(q *Beat) {}, nil, ""},
			{func(q *Beat) { q.MemberID = "other" }, kerr.GroupMaxSizeReached, "The consumer group has reached its maximum capacity of 1 members."},
			{func(q *Beat) { q.Epoch = 9 }, kerr.FencedMemberEpoch, "has a greater member epoch (9) than the one known by the group coordinator (1)"},
			{func(q *Beat) { q.MemberID, q.Epoch = "other", leaveEpoch }, kerr.UnknownMemberID, "Member other is not a member of group g."},
			{func(q *Beat) { q.Instance, q.Epoch = str("i"), leaveStaticEpoch }, kerr.UnknownMemberID, "Instance id i is unknown."},
		} {
			q := ok()
			c.change(q)
			var got Beaten
			s.modernBeat(q, func(r Beaten) { got = r })
			h.replicate(10)
			if c.err == nil && got.Err != nil || c.err != nil && got.Err != c.err || !strings.Contains(got.Message, c.text) {
				t.Errorf("%+v: %v, %q", q, got.Err, got.Message)
			}
		}
		s.Unloaded()
	})
}

// A member that does not give up what it has to is fenced after its rebalance timeout.
func TestMemberThatDoesNotGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.set("t", 2)
		h, s, err := newFake(modernCoordinator(w), nil)
		if err != nil {
			t.Fatal(err)
		}
		beat := func(id string, epoch int32, owned []int32) (got Beaten) {
			q := &Beat{Group: "g", MemberID: id, Epoch: epoch, RebalanceMs: 15_000, Topics: []string{"t"}, Owned: map[metadata.TopicID][]int32{}, OwnID: true}
			if owned != nil {
				q.Owned[metadata.TopicID{1}] = owned
			}
			s.modernBeat(q, func(r Beaten) { got = r })
			h.replicate(10)
			return got
		}
		beat("one", 0, nil)
		if r := beat("two", 0, nil); r.Epoch != 2 || len(r.Assigned) != 0 {
			t.Fatalf("the second member is to wait: %+v", r)
		}
		if r := beat("one", 1, []int32{0, 1}); r.Epoch != 1 || len(r.Assigned[metadata.TopicID{1}]) != 1 {
			t.Fatalf("the first is to give one up: %+v", r)
		}
		for range 8 {
			h.advance(2 * time.Second)
			if r := beat("two", 2, nil); len(r.Assigned) != 0 && beat("one", 1, []int32{0, 1}).Err == nil {
				t.Fatalf("two owners: %+v", r)
			}
			beat("one", 1, []int32{0, 1})
		}
		if r := beat("one", 1, []int32{0, 1}); r.Err != kerr.UnknownMemberID {
			t.Errorf("the first is to be out: %+v", r)
		}
		h.advance(time.Second)
		if r := beat("two", 2, nil); len(r.Assigned[metadata.TopicID{1}]) != 2 {
			t.Errorf("the second is to have all: %+v", r)
		}
		s.Unloaded()
	})
}
