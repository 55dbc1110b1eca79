package groups

import (
	"bytes"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
	"pgregory.net/rapid"

	"gokafka/config"
	"gokafka/coordinator"
	"gokafka/internal/clock"
	"gokafka/record"
	"gokafka/replication"
)

// fakeHost is a partition whose log is a list. What is appended is replicated when the test says so, or never told in time.
type fakeHost struct {
	clk   *clock.Clock
	log   []coordinator.KV
	high  int // records that are replicated
	waits []*fakeWait
	fail  error // what the next append gets

	mu     sync.Mutex
	timers []func() // that are due
}

type fakeWait struct {
	end  int // of its records
	done func(error)
	told bool
}

func (h *fakeHost) Append(spec record.BatchSpec, acks int16, timeout time.Duration, records []coordinator.KV, done func(error)) (int64, error) {
	return h.AppendGuarded(0, spec, acks, timeout, records, done)
}

func (h *fakeHost) AppendGuarded(_ replication.Guard, _ record.BatchSpec, _ int16, _ time.Duration, records []coordinator.KV, done func(error)) (int64, error) {
	if err := h.fail; err != nil {
		h.fail = nil
		return -1, err
	}
	base := len(h.log)
	h.log = append(h.log, records...)
	h.waits = append(h.waits, &fakeWait{end: len(h.log), done: done})
	return int64(base), nil
}

// replicate lets the first n appends be replicated, in their order.
func (h *fakeHost) replicate(n int) {
	for ; n > 0 && len(h.waits) > 0; n-- {
		w := h.waits[0]
		h.waits = h.waits[1:]
		h.high = w.end
		w.done(nil)
	}
}

// timeOut tells the appends that are not replicated that they are late.
func (h *fakeHost) timeOut() {
	for _, w := range slices.Clone(h.waits) {
		if !w.told {
			w.told = true
			w.done(kerr.RequestTimedOut)
		}
	}
}

func (h *fakeHost) After(d time.Duration, f func()) *clock.Timer {
	return h.clk.AfterFunc(d, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.timers = append(h.timers, f)
	})
}
func (h *fakeHost) NowMs() int64         { return h.clk.NowMs() }
func (h *fakeHost) Logger() *slog.Logger { return slog.New(slog.DiscardHandler) }

// advance lets time go by, with the timers that are due.
func (h *fakeHost) advance(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
	h.mu.Lock()
	due := h.timers
	h.timers = nil
	h.mu.Unlock()
	for _, f := range due {
		f()
	}
}

func testCoordinator(change func(*config.Groups), maxBytes int64) *Coordinator {
	b, err := config.NewBroker(map[string]string{"broker.id": "0", "log.dirs": "/none", "listeners": "PLAINTEXT://127.0.0.1:0", "group.initial.rebalance.delay.ms": "1000",
		"offsets.retention.minutes": "1", "offsets.retention.check.interval.ms": "20000", "group.min.session.timeout.ms": "1000"})
	if err != nil {
		panic(err)
	}
	if change != nil {
		change(&b.Groups)
	}
	return &Coordinator{o: Options{Config: &b.Groups, MaxBytes: maxBytes}}
}

func newFake(c *Coordinator, log []coordinator.KV) (*fakeHost, *shard, error) {
	h := &fakeHost{clk: clock.New(), log: log, high: len(log)}
	s := newShard(c, h)
	for i, kv := range log {
		key, value := bytes.Clone(kv.Key), bytes.Clone(kv.Value)
		if err := s.Replay(&record.Record{Offset: int64(i), Key: key, Value: value}, record.NoProducerID); err != nil {
			return nil, nil, err
		}
		// The buffer is used again for what is read next.
		for j := range key {
			key[j] = 0xff
		}
		for j := range value {
			value[j] = 0xff
		}
	}
	s.Loaded()
	return h, s, nil
}

// told is what of a group must outlive its coordinator: offsets, and the members and assignments of a group that is not rebalancing.
func told(s *shard, name string) string {
	g := s.groups[name]
	if g == nil {
		return "none"
	}
	var out strings.Builder
	for _, tp := range slices.SortedFunc(maps.Keys(g.offsets), comparePart) {
		o := g.offsets[tp]
		fmt.Fprintf(&out, "%s-%d=%d/%d/%q/%d/%d ", tp.topic, tp.partition, o.at, o.leaderEpoch, o.metadata, o.commitMs, o.expireMs)
	}
	if g.is(Stable, Empty) && !g.unsaved {
		fmt.Fprintf(&out, "%s %d", g.state, g.generation)
		for _, id := range slices.Sorted(maps.Keys(g.members)) {
			m := g.members[id]
			fmt.Fprintf(&out, " %s=%x", id, m.assignment)
			if m.instance != nil {
				fmt.Fprintf(&out, "/%s", *m.instance)
			}
		}
		if g.is(Stable) {
			fmt.Fprintf(&out, " leader %s, %s", *g.leader, *g.protocol)
		}
	}
	return out.String()
}

// histories runs f for as many random histories as are asked for, each on a clock of its own: rapid measures its time by the real one.
func histories(t *testing.T, f func(t *rapid.T)) {
	t.Helper()
	rapid.Check(t, func(rt *rapid.T) {
		var failure any
		synctest.Test(t, func(*testing.T) {
			defer func() { failure = recover() }()
			f(rt)
		})
		// rapid waits for panics on its own goroutine, and tells failures from what it raises itself by where they come from.
		if strings.HasSuffix(fmt.Sprintf("%T", failure), ".invalidData") {
			discard(failure)
		}
		if failure != nil {
			panic(failure)
		}
	})
}

//go:noinline
func discard(what any) { panic(what) }

// script is a random life of a few groups.
type script struct {
	t       *rapid.T
	h       *fakeHost
	s       *shard
	members map[string][]*scriptMember
}

type scriptMember struct {
	group, id  string
	instance   *string
	generation int32
	leader     bool
	all        []JoinMember
	waits      bool
}

func (x *script) join(m *scriptMember) {
	sub := kmsg.NewConsumerMemberMetadata()
	sub.Topics = []string{"t"}
	j := &Join{Group: m.group, MemberID: m.id, Instance: m.instance, ClientID: "c", Host: "/h", ProtocolType: "consumer", SessionTimeout: 10 * time.Second, RebalanceTimeout: 15 * time.Second,
		Protocols: []Protocol{{"range", sub.AppendTo(nil)}}, SkipsAssignment: true}
	m.waits = true
	x.s.join(j, func(r JoinResult) {
		m.waits = false
		if r.Err != nil {
			if r.Err == kerr.UnknownMemberID {
				m.id = ""
			}
			return
		}
		m.id, m.generation, m.leader, m.all = r.MemberID, r.Generation, r.Leader == r.MemberID && !r.SkipAssignment, r.Members
	})
}

func (x *script) sync(m *scriptMember) {
	q := &Sync{Group: m.group, MemberID: m.id, Instance: m.instance, Generation: m.generation}
	if m.leader {
		q.Assignments = map[string][]byte{}
		for i, a := range m.all {
			q.Assignments[a.ID] = []byte{byte(i), byte(m.generation)}
		}
	}
	x.s.sync(q, func(SyncResult) {})
}

func (x *script) commit(group, member string, instance *string, generation int32) {
	q := &Commit{Group: group, MemberID: member, Instance: instance, Generation: generation}
	for range rapid.IntRange(1, 3).Draw(x.t, "offsets") {
		o := CommitOffset{Topic: rapid.SampledFrom([]string{"t", "u"}).Draw(x.t, "topic"), Partition: rapid.Int32Range(0, 1).Draw(x.t, "partition"),
			Offset: rapid.Int64Range(0, 99).Draw(x.t, "offset"), LeaderEpoch: -1, CommitMs: x.h.NowMs(), ExpireMs: -1}
		if rapid.IntRange(0, 4).Draw(x.t, "own retention") == 0 {
			o.ExpireMs = o.CommitMs + 5000
		}
		q.Offsets = append(q.Offsets, o)
	}
	x.s.commit(q, func() {})
}

func (x *script) step() {
	group := rapid.SampledFrom([]string{"a", "b"}).Draw(x.t, "group")
	var m *scriptMember
	if list := x.members[group]; len(list) > 0 {
		m = rapid.SampledFrom(list).Draw(x.t, "member")
	}
	switch op := rapid.IntRange(0, 15).Draw(x.t, "op"); {
	case op == 0 || m == nil && op < 6:
		m := &scriptMember{group: group}
		if n := rapid.IntRange(0, 3).Draw(x.t, "instance"); n < 2 {
			m.instance = kmsg.StringPtr(fmt.Sprint("i", n))
		}
		if len(x.members[group]) < 4 {
			x.members[group] = append(x.members[group], m)
		}
		x.join(m)
	case op < 3 && m != nil && !m.waits:
		x.join(m)
	case op < 6 && m != nil && m.id != "":
		x.sync(m)
	case op == 6 && m != nil && m.id != "":
		x.s.leave(group, []Leaver{{MemberID: m.id, Instance: m.instance}})
	case op == 7 && m != nil && m.id != "":
		x.commit(group, m.id, m.instance, m.generation)
	case op == 8:
		x.commit(group, "", nil, -1)
	case op == 9:
		x.s.deleteOffsets(group, []topicPart{{"t", 0}, {"u", 1}}, func(error, []error) {})
	case op == 10 && rapid.IntRange(0, 3).Draw(x.t, "rarely") == 0:
		x.s.delete(group, func(error) {})
	case op == 10:
		x.s.topicsDeleted(map[string]bool{"u": true})
	case op == 11:
		x.h.fail = rapid.SampledFrom([]error{kerr.NotEnoughReplicas, kerr.KafkaStorageError, kerr.MessageTooLarge}).Draw(x.t, "failure")
	case op == 12:
		x.h.timeOut()
	case op == 13:
		d := rapid.SampledFrom([]time.Duration{100 * time.Millisecond, 2 * time.Second, 2 * time.Second, 11 * time.Second, time.Minute}).Draw(x.t, "time")
		for ; d > 0; d -= 2 * time.Second {
			for _, list := range x.members {
				for _, m := range list {
					if m.id != "" && d < 11*time.Second {
						_ = x.s.beat(m.group, m.id, m.instance, m.generation)
					}
				}
			}
			x.h.advance(min(d, 2*time.Second))
		}
	default:
		x.h.replicate(rapid.IntRange(1, 3).Draw(x.t, "appends"))
	}
}

// What a coordinator knows when all of its appends are replicated is what the next one reads, after any history: failed and late appends, members that come, go and are
// silent, commits, deletions, expiry.
func TestLiveEqualsReplay(t *testing.T) {
	histories(t, func(t *rapid.T) {
		{
			c := testCoordinator(nil, 0)
			h, s, err := newFake(c, nil)
			if err != nil {
				t.Fatal(err)
			}
			x := &script{t: t, h: h, s: s, members: map[string][]*scriptMember{}}
			for range rapid.IntRange(1, 60).Draw(t, "steps") {
				x.step()
				if len(h.waits) > 0 {
					continue // the next coordinator would have these records, or not
				}
				_, again, err := newFake(testCoordinator(nil, 0), slices.Clone(h.log))
				if err != nil {
					t.Fatal(err)
				}
				for _, g := range []string{"a", "b"} {
					live, replayed := told(s, g), told(again, g)
					if lg := s.groups[g]; lg != nil && (!lg.is(Stable, Empty) || lg.unsaved) {
						// The log has the generation before; the offsets are to be the same.
						replayed, _, _ = strings.Cut(replayed, "Stable")
						replayed, _, _ = strings.Cut(replayed, "Empty")
						if again.groups[g] == nil && len(lg.offsets) == 0 {
							replayed = ""
						}
					}
					if lg := s.groups[g]; lg != nil && lg.generation == 0 && len(lg.offsets) == 0 && replayed == "none" {
						continue // a group of which nothing has been written
					}
					if live != replayed {
						t.Fatalf("group %s: live\n%s\nreplayed\n%s", g, live, replayed)
					}
				}
				again.Unloaded()
			}
			s.Unloaded()
			if held := c.held.Load(); held != 0 {
				t.Fatalf("%d bytes are counted of groups that are not there", held)
			}
		}
	})
}
