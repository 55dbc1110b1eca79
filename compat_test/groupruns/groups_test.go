package groupruns

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/clients"
	"gokafka/compat_test/harness"
	"gokafka/compat_test/history"
	"gokafka/compat_test/topic"
)

const groupPartitions = 4

// groupRun is one group of one stock client.
type groupRun struct {
	client   clients.Client
	protocol string
	name     string
	dir      string
	members  []*clients.Member
	ends     map[*clients.Member]int64 // when those ended that have
}

// TestGroupsThroughFailures lets groups of six stock clients, eager, cooperative and by KIP-848's protocol, process records while a member is
// killed, another joins, the broker with their coordinator is killed and started again, and a member leaves. Every record
// must be processed, none again by a member that got its partition after a commit beyond the record, and no partition may
// have two owners at once, by the clients' own callbacks.
func TestGroupsThroughFailures(t *testing.T) {
	target := heavy(t)
	ready := prepare(t, clients.Members())
	b := skips.Started(t, target, harness.Options{Props: map[string]string{
		"group.consumer.session.timeout.ms": "10000", "group.consumer.min.session.timeout.ms": "10000",
		"group.consumer.heartbeat.interval.ms": "500", "group.consumer.min.heartbeat.interval.ms": "500",
	}})
	modern := serves(t, b.Addr(), 68)
	var runs []*groupRun
	for _, c := range ready {
		protocols := []string{"eager"}
		if strings.HasPrefix(c.Name, "java") || c.Name == "librdkafka" || c.Name == "franz-go" {
			protocols = append(protocols, "cooperative")
			if modern {
				protocols = append(protocols, "consumer")
			}
		}
		for _, p := range protocols {
			r := &groupRun{client: c, protocol: p, name: "group-" + c.Name + "-" + p, dir: t.TempDir(), ends: map[*clients.Member]int64{}}
			createTopic(t, b.Addr(), r.name, groupPartitions)
			runs = append(runs, r)
		}
	}
	defer func() {
		for _, r := range runs {
			for _, m := range r.members {
				m.Process.Kill()
			}
		}
	}()
	stop := trickle(t, b.Addr(), runs)
	defer stop()

	begin := func() {
		for _, r := range runs {
			r.begin(t, b.Addr(), r.protocol)
		}
	}
	begin()
	begin()
	await(t, runs, "the first two members process", func(r *groupRun) bool { return did(r.members[0], 0) && did(r.members[1], 0) })
	for _, r := range runs {
		r.members[0].Process.Kill()
		r.ends[r.members[0]] = time.Now().UnixMilli()
	}
	begin()
	await(t, runs, "the third member processes", func(r *groupRun) bool { return did(r.members[2], 0) })
	b.Kill()
	skips.Need(t, b.Start(context.Background()))
	back := time.Now().UnixMilli()
	await(t, runs, "records are processed after the coordinator has come back", func(r *groupRun) bool {
		return did(r.members[1], back) || did(r.members[2], back)
	})
	leave(t, runs, 1)
	stop()
	ends := map[string][]int64{}
	for _, r := range runs {
		e, err := topic.Ends(dial(t, b.Addr()), r.name, groupPartitions)
		skips.Need(t, err)
		ends[r.name] = e
	}
	await(t, runs, "the last member processes all", func(r *groupRun) bool { return r.processed(ends[r.name]) })
	leave(t, runs, 2)
	for _, r := range runs {
		t.Run(r.name, func(t *testing.T) { r.check(t, ends[r.name]) })
	}
}

// begin starts another member.
func (r *groupRun) begin(t *testing.T, addr, protocol string) {
	t.Helper()
	m, err := r.client.StartMember(r.dir, map[string]string{"bootstrap": addr, "topic": r.name, "group": r.name, "protocol": protocol,
		"partitions": fmt.Sprint(groupPartitions), "member": fmt.Sprint(len(r.members))})
	skips.Need(t, err)
	r.members = append(r.members, m)
}

// TestGroupsChangeProtocol takes living groups from the classic protocol to KIP-848's and back, member by member, and kills the coordinator while they are mixed.
func TestGroupsChangeProtocol(t *testing.T) {
	target := heavy(t)
	if target == harness.Apache {
		t.Skip("Apache has no such groups with ZooKeeper")
	}
	b := skips.Started(t, target, harness.Options{Props: map[string]string{
		"group.consumer.session.timeout.ms": "10000", "group.consumer.min.session.timeout.ms": "10000",
		"group.consumer.heartbeat.interval.ms": "500", "group.consumer.min.heartbeat.interval.ms": "500",
		"group.consumer.migration.policy": "bidirectional",
	}})
	var runs []*groupRun
	var able []clients.Client
	for _, c := range clients.Members() {
		if strings.HasPrefix(c.Name, "java") || c.Name == "librdkafka" || c.Name == "franz-go" {
			able = append(able, c)
		}
	}
	for _, c := range prepare(t, able) {
		for _, p := range []string{"eager", "cooperative"} {
			r := &groupRun{client: c, protocol: p, name: "change-" + c.Name + "-" + p, dir: t.TempDir(), ends: map[*clients.Member]int64{}}
			createTopic(t, b.Addr(), r.name, groupPartitions)
			runs = append(runs, r)
		}
	}
	defer func() {
		for _, r := range runs {
			for _, m := range r.members {
				m.Process.Kill()
			}
		}
	}()
	stop := trickle(t, b.Addr(), runs)
	defer stop()
	begin := func(what, protocol string) {
		t.Helper()
		for _, r := range runs {
			p := protocol
			if p == "classic" {
				p = r.protocol
			}
			r.begin(t, b.Addr(), p)
		}
		await(t, runs, what, func(r *groupRun) bool { return did(r.members[len(r.members)-1], 0) })
	}
	begin("a classic member processes", "classic")
	begin("a member of the consumer protocol joins it", "consumer")
	b.Kill()
	skips.Need(t, b.Start(context.Background()))
	back := time.Now().UnixMilli()
	await(t, runs, "both go on after the coordinator has come back", func(r *groupRun) bool { return did(r.members[0], back) && did(r.members[1], back) })
	leave(t, runs, 0)
	begin("another classic member joins", "classic")
	leave(t, runs, 1)
	left := time.Now().UnixMilli()
	await(t, runs, "the classic member is alone", func(r *groupRun) bool { return did(r.members[2], left) })
	stop()
	for _, r := range runs {
		ends, err := topic.Ends(dial(t, b.Addr()), r.name, groupPartitions)
		skips.Need(t, err)
		await(t, []*groupRun{r}, "the last member processes all", func(r *groupRun) bool { return r.processed(ends) })
		q := kmsg.NewPtrListGroupsRequest()
		resp, err := dial(t, b.Addr()).Ask(q, 5)
		skips.Need(t, err)
		for _, g := range resp.(*kmsg.ListGroupsResponse).Groups {
			if g.Group == r.name && g.GroupType != "classic" {
				t.Errorf("%s is of the type %s", r.name, g.GroupType)
			}
		}
		t.Run(r.name, func(t *testing.T) { r.check(t, ends) })
	}
	leave(t, runs, 2)
}

// trickle writes a few records a second into the topics of all runs, until its result is called.
func trickle(t *testing.T, addr string, runs []*groupRun) (stop func()) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	skips.Need(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	var failed atomic.Int32
	go func() {
		defer close(done)
		defer cl.Close()
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for seq := 0; ; seq++ {
			for _, r := range runs {
				for p := range int32(groupPartitions) {
					cl.Produce(context.Background(), &kgo.Record{Topic: r.name, Partition: p, Value: fmt.Appendf(nil, "%d|%d", p, seq)}, func(_ *kgo.Record, err error) {
						if err != nil {
							failed.Add(1)
						}
					})
				}
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
				if err := cl.Flush(context.Background()); err != nil {
					failed.Add(1)
				}
				return
			}
		}
	}()
	return func() {
		cancel()
		<-done
		if n := failed.Load(); n > 0 {
			t.Errorf("%d records were not written", n)
		}
	}
}

// await waits until holds is true of every run; a run that ends a member unasked, or takes two minutes, fails.
func await(t *testing.T, runs []*groupRun, what string, holds func(r *groupRun) bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		var late []string
		for _, r := range runs {
			for _, m := range r.members {
				skips.Need(t, m.Read())
				if _, ended := r.ends[m]; !ended && over(m) {
					t.Fatalf("%s: %s ended: %v\n%s", what, m.Process.Name, m.Process.Err(), m.Process.Tail(4096))
				}
			}
			if !holds(r) {
				late = append(late, r.name)
			}
		}
		if len(late) == 0 {
			return
		}
		if time.Now().After(deadline) {
			for _, r := range runs {
				if strings.Contains(strings.Join(late, " "), r.name) {
					t.Logf("%s:\n%s", r.name, r.members[len(r.members)-1].Process.Tail(2048))
				}
			}
			t.Fatalf("%s: not of %v", what, late)
		}
	}
}

// did says whether a member has processed a record since a moment.
func did(m *clients.Member, sinceMillis int64) bool {
	for _, e := range m.Events {
		if e.Kind == history.Did && e.Millis > sinceMillis {
			return true
		}
	}
	return false
}

func over(m *clients.Member) bool {
	select {
	case <-m.Process.Done():
		return true
	default:
		return false
	}
}

// leave asks the member of each run to leave its group and waits until all have.
func leave(t *testing.T, runs []*groupRun, member int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	left := make(chan struct{}, len(runs))
	for _, r := range runs {
		go func() {
			defer func() { left <- struct{}{} }()
			// The status of a program that a signal ends is its runtime's; what counts is its last line.
			if err := r.members[member].Process.Terminate(ctx); ctx.Err() != nil {
				t.Errorf("%s: %v\n%s", r.name, err, r.members[member].Process.Tail(4096))
			}
		}()
	}
	for range runs {
		<-left
	}
	for _, r := range runs {
		m := r.members[member]
		r.ends[m] = time.Now().UnixMilli()
		skips.Need(t, m.Read())
		if !m.Ended {
			t.Errorf("%s did not leave in order: %v\n%s", m.Process.Name, m.Process.Err(), m.Process.Tail(4096))
		}
	}
}

// processed says whether all records before ends were processed by some member.
func (r *groupRun) processed(ends []int64) bool {
	missing := map[[2]int64]bool{}
	for p, e := range ends {
		for off := range e {
			missing[[2]int64{int64(p), off}] = true
		}
	}
	for _, m := range r.members {
		for _, e := range m.Events {
			if e.Kind == history.Did {
				delete(missing, [2]int64{int64(e.Partition), e.Offset})
			}
		}
	}
	return len(missing) == 0
}

// end is when a member ended, or now.
func (r *groupRun) end(m *clients.Member) int64 {
	if at, ended := r.ends[m]; ended {
		return at
	}
	return time.Now().UnixMilli()
}

func (r *groupRun) check(t *testing.T, ends []int64) {
	g := history.Group{Ends: ends}
	for i, m := range r.members {
		skips.Need(t, m.Read())
		g.Members = append(g.Members, history.GroupMember{Name: fmt.Sprint("member ", i), Events: m.Events, EndMillis: r.end(m)})
	}
	problems, doubled := g.Check()
	if len(problems) > 0 {
		t.Errorf("  %s", strings.Join(problems, "\n  "))
		for _, m := range r.members {
			t.Logf("%s:\n%s", m.Process.Name, m.Process.Tail(3000))
		}
	}
	t.Logf("%v records, %d processed more than once", ends, doubled)
}
