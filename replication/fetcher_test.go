package replication

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/internal/vfs"
	"gokafka/metadata"
	"gokafka/record"
)

// nodes starts brokers 1 to n that fetch from each other.
func nodes(t *testing.T, n int32, change func(*Options)) (*network, []*node) {
	t.Helper()
	net := newNetwork()
	var list []*node
	for id := int32(1); id <= n; id++ {
		list = append(list, openNode(t, id, vfs.NewMem(), net, change))
	}
	return net, list
}

// lead makes one broker the leader at all brokers that are up.
func (net *network) lead(leader, epoch, partitionEpoch int32, isr ...int32) {
	for _, id := range []int32{1, 2, 3} {
		if n := net.nodes[id]; n != nil {
			n.role(leader, epoch, partitionEpoch, isr...)
		}
	}
}

// crash ends a broker without a clean shutdown; its disk keeps what was written.
func (net *network) crash(id int32) *vfs.Mem {
	net.mu.Lock()
	n := net.nodes[id]
	net.mu.Unlock()
	n.down()
	return n.disk
}

func (n *node) awaitEnd(end int64) {
	n.t.Helper()
	eventually(n.t, fmt.Sprintf("the log of broker %d ends at %d", n.brokerID, end), func() bool { return n.log() != nil && n.log().LogEndOffset() == end })
}

func TestFollowerReplicates(t *testing.T) {
	_, list := nodes(t, 3, nil)
	for _, n := range list {
		n.role(1, 0, 0, 1, 2, 3)
	}
	leader := list[0]
	for i := range int32(50) {
		parts := leader.send(AcksAll, produced(t, idempotent(i), fmt.Sprint("value ", i)))
		must(t, parts[0].Err)
		done := make(chan struct{})
		if !leader.Replicated(parts, 20*time.Second, func() { close(done) }) {
			<-done
		}
		must(t, parts[0].Err)
	}
	for _, n := range list[1:] {
		sameLogs(t, leader, n)
	}
	if len(list[1].log().ActiveProducers()) != 1 {
		t.Error("a follower knows no producer")
	}
}

// KIP-101, scenario 1: a follower that restarts with a high watermark below what it has must not cut what may be committed; it may be the next leader.
func TestKIP101NoLossByHighWatermark(t *testing.T) {
	net, list := nodes(t, 2, nil)
	a, b := list[0], list[1]
	net.lead(1, 0, 0, 1, 2)
	a.sendOK("m1", "m2")
	b.awaitEnd(2)
	net.setCut(1, true)
	b.log().UpdateHighWatermark(1) // the last fetch answer told of m1 only
	disk := net.crash(2)
	b = openNode(t, 2, disk, net, nil)
	b.role(1, 1, 1, 1, 2) // follows A, which it cannot reach
	a.down()
	b.role(2, 2, 2, 2)
	if got := b.values(); !slices.Equal(got, []string{"0:m1", "0:m2"}) {
		t.Errorf("the new leader has %v", got)
	}
}

// KIP-101, scenario 2: both brokers die; the one with less comes back first and leads. The other one's tail must go although its log is not longer.
func TestKIP101NoDivergence(t *testing.T) {
	net, list := nodes(t, 2, nil)
	a, b := list[0], list[1]
	net.lead(1, 0, 0, 1, 2)
	a.sendOK("m1")
	b.awaitEnd(1)
	net.setCut(1, true)
	a.sendOK("m2")
	disk := net.crash(1)
	b.role(2, 1, 1, 2)
	b.sendOK("m3")
	net.setCut(1, false)
	a = openNode(t, 1, disk, net, nil)
	net.lead(2, 2, 2, 2)
	sameLogs(t, b, a)
	if got := a.values(); !slices.Equal(got, []string{"0:m1", "1:m3"}) {
		t.Errorf("%v", got)
	}
}

// KIP-279: leaders follow fast upon each other, each with records that nobody else has. The last leader's tail is of an epoch between those that
// the follower knows, so the offsets alone would make the logs look alike.
func TestKIP279FastFailover(t *testing.T) {
	net, list := nodes(t, 2, nil)
	a, b := list[0], list[1]
	net.lead(1, 0, 0, 1, 2)
	for i := range 10 {
		a.sendOK(fmt.Sprint("common", i))
	}
	b.awaitEnd(10)
	net.setCut(1, true)
	net.setCut(2, true)
	b.role(2, 1, 1, 2)
	for i := range 10 {
		b.sendOK(fmt.Sprint("b", i)) // 10 to 19 in epoch 1
	}
	b.down()
	a.role(1, 2, 2, 1)
	for i := range 5 {
		a.sendOK(fmt.Sprint("a", i)) // 10 to 14 in epoch 2
	}
	b = openNode(t, 2, b.disk, net, nil)
	net.setCut(1, false)
	net.setCut(2, false)
	net.lead(2, 3, 3, 2)
	b.sendOK("last")
	sameLogs(t, b, a)
	if got := a.values(); len(got) != 21 || got[10] != "1:b0" || got[20] != "3:last" {
		t.Errorf("%v", got)
	}
}

// Both sides know epochs that the other does not: it takes more than one step to where the logs part.
func TestTruncationInSteps(t *testing.T) {
	net, list := nodes(t, 2, nil)
	a, b := list[0], list[1]
	net.lead(1, 0, 0, 1, 2)
	a.sendOK("common")
	b.awaitEnd(1)
	net.setCut(1, true)
	net.setCut(2, true)
	for e := int32(1); e < 10; e += 2 {
		b.role(2, e, e, 2)
		b.sendOK(fmt.Sprint("b", e), fmt.Sprint("b", e))
	}
	for e := int32(2); e < 11; e += 2 {
		a.role(1, e, e, 1)
		a.sendOK(fmt.Sprint("a", e))
	}
	net.setCut(1, false)
	net.setCut(2, false)
	net.lead(1, 20, 20, 1)
	sameLogs(t, a, b)
	if got := b.values(); len(got) != 6 {
		t.Errorf("%v", got)
	}
}

// Where a follower cuts, given the leader's largest epoch that is not above its own last, and the end of that (zookeeper.md 4.4).
func TestTruncationOffset(t *testing.T) {
	n := newNode(t, 1, nil)
	n.role(1, 2, 0, 1)
	for range 20 {
		n.sendOK("x") // epoch 2: 0 to 19
	}
	n.role(1, 5, 1, 1)
	for range 5 {
		n.sendOK("x") // epoch 5: 20 to 24
	}
	for _, c := range []struct {
		epoch     int32
		end, want int64
	}{
		{5, 22, 22}, {5, 30, 25}, // same epoch: the shorter one
		{2, 10, 10}, {2, 20, 20}, {2, 23, 20},
		{3, 10, 20}, {4, 30, 20}, // no records of that epoch here: all that is later goes, and the leader is asked again
		{1, 7, 0}, {1, 40, 0}, // earlier than all here
		{-1, 7, 7}, {-1, 40, 25},
	} {
		if got := truncationOffset(n.log(), c.epoch, c.end); got != c.want {
			t.Errorf("leader's epoch %d ends at %d: cut at %d, want %d", c.epoch, c.end, got, c.want)
		}
	}
}

// A leader that writes nothing still has an epoch; otherwise followers could not find their place.
func TestEpochWithoutRecords(t *testing.T) {
	net, list := nodes(t, 2, nil)
	a, b := list[0], list[1]
	net.lead(1, 0, 0, 1, 2)
	a.sendOK("x")
	b.awaitEnd(1)
	net.setCut(1, true)
	net.setCut(2, true)
	b.role(2, 7, 7, 2)
	b.sendOK("lost")
	a.role(1, 8, 8, 1) // writes nothing
	net.setCut(1, false)
	net.setCut(2, false)
	b.role(1, 8, 8, 1)
	sameLogs(t, a, b)
	if got := b.values(); !slices.Equal(got, []string{"0:x"}) {
		t.Errorf("%v", got)
	}
}

// A log from before leader epochs is cut to its high watermark.
func TestLogWithoutEpochs(t *testing.T) {
	_, list := nodes(t, 2, nil)
	a, b := list[0], list[1]
	old := state(1, 0, 0, 1)
	old.State.Leader = 9 // not alive: only the log is made
	must(t, b.apply(old))
	for i, v := range []string{"x", "y", "z"} {
		_, err := b.log().AppendAsFollower(produced(t, func(s *record.BatchSpec) { s.BaseOffset = int64(i) }, v))
		must(t, err)
	}
	b.log().UpdateHighWatermark(1)
	a.role(1, 0, 0, 1)
	a.sendOK("x", "other")
	b.role(1, 1, 1, 1)
	a.role(1, 1, 1, 1)
	sameLogsFrom(t, a, b, []string{"-1:x", "0:other"})
}

func sameLogsFrom(t *testing.T, leader, follower *node, want []string) {
	t.Helper()
	eventually(t, "the follower is where the leader is", func() bool { return follower.log().LogEndOffset() == leader.log().LogEndOffset() })
	if got := follower.values(); !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// The leader has deleted what comes next: the follower begins anew where the leader's log starts.
func TestOutOfRangeBelowTheLeader(t *testing.T) {
	net, list := nodes(t, 2, nil)
	a, b := list[0], list[1]
	net.lead(1, 0, 0, 1, 2)
	a.sendOK("0", "1")
	b.awaitEnd(2)
	net.setCut(1, true)
	a.role(1, 1, 1, 1)
	a.sendOK("2", "3", "4", "5")
	_, err := a.log().IncrementLogStartOffset(4)
	must(t, err)
	net.setCut(1, false)
	b.role(1, 1, 1, 1)
	sameLogs(t, a, b)
	if b.log().LogStartOffset() != 4 {
		t.Errorf("log start %d", b.log().LogStartOffset())
	}
}

// The leader's log ends before ours, in epochs that it does not know: an unclean election.
func TestOutOfRangeBeyondTheLeader(t *testing.T) {
	net, list := nodes(t, 2, nil)
	a, b := list[0], list[1]
	net.setCut(1, true)
	net.setCut(2, true)
	b.role(2, 9, 0, 2)
	b.sendOK("b", "b", "b", "b", "b")
	// A's controller knows nothing of that: it has lost its ZooKeeper.
	a.role(1, 0, 0, 1)
	a.sendOK("a", "a", "a")
	net.setCut(1, false)
	b.fetchers.add(nil)
	b.live(1, 2, 3)
	s := state(1, 10, 1, 1)
	must(t, b.apply(s))
	// The leader is in epoch 0 and fences nothing below; the follower asks under epoch 10.
	net.tapAll(func(_, to int32, q kmsg.Request) kmsg.Response {
		switch q := q.(type) {
		case *kmsg.FetchRequest:
			for i := range q.Topics {
				for j := range q.Topics[i].Partitions {
					q.Topics[i].Partitions[j].CurrentLeaderEpoch = 0
				}
			}
		case *kmsg.ListOffsetsRequest:
			q.Topics[0].Partitions[0].CurrentLeaderEpoch = 0
		}
		return nil
	})
	b.awaitEnd(3)
}

func (net *network) tapAll(f func(from, to int32, q kmsg.Request) kmsg.Response) {
	net.mu.Lock()
	defer net.mu.Unlock()
	net.tap = f
}

// DeleteRecords may leave the leader's log start in the middle of a batch, which a new follower gets whole.
func TestLogStartWithinABatch(t *testing.T) {
	net, list := nodes(t, 2, nil)
	a, b := list[0], list[1]
	a.role(1, 0, 0, 1)
	must(t, a.send(AcksLeader, produced(t, nil, "0", "1", "2"))[0].Err)
	a.sendOK("3")
	_, err := a.log().IncrementLogStartOffset(1)
	must(t, err)
	net.lead(1, 1, 1, 1)
	b.awaitEnd(4)
	eventually(t, "the log start is taken over", func() bool { return b.log().LogStartOffset() == 1 })
	if a, b := a.values(), b.values(); !slices.Equal(a, b) {
		t.Errorf("%v, %v", a, b)
	}
}

// High watermark and log start of the leader reach the follower, and those who read from it hear of them.
func TestFollowerTakesOverOffsets(t *testing.T) {
	net, list := nodes(t, 2, nil)
	a, b := list[0], list[1]
	net.lead(1, 0, 0, 1, 2)
	w := NewWaiter()
	defer w.Subscribe(b.Manager.Partition(t0), nil).Cancel()
	a.sendOK("0", "1", "2")
	eventually(t, "the high watermark arrives", func() bool { return b.log().HighWatermark() == 3 })
	select {
	case <-w.Wake():
	case <-time.After(10 * time.Second):
		t.Error("readers of the follower were not woken")
	}
	_, err := a.log().IncrementLogStartOffset(2)
	must(t, err)
	eventually(t, "the log start arrives", func() bool { return b.log().LogStartOffset() == 2 })
	// The follower tells its log start: DeleteRecords waits for it.
	f := a.Manager.Partition(t0).follower(2)
	eventually(t, "the leader knows the follower's log start", func() bool { start, _ := f.ends(); return start == 2 })
}

// Errors that pass are tried again, after a while.
func TestFetchErrorsThatPass(t *testing.T) {
	for _, e := range []*kerr.Error{
		kerr.UnknownLeaderEpoch, kerr.NotLeaderForPartition, kerr.UnknownTopicOrPartition, kerr.UnknownTopicID, kerr.InconsistentTopicID, kerr.KafkaStorageError, kerr.UnknownServerError,
	} {
		t.Run(e.Message, func(t *testing.T) {
			net, list := nodes(t, 2, nil)
			var asked atomic.Int32
			net.tapAll(func(_, _ int32, q kmsg.Request) kmsg.Response {
				f, ok := q.(*kmsg.FetchRequest)
				if !ok || len(f.Topics) == 0 || asked.Add(1) > 3 {
					return nil
				}
				return fetchAnswer(f, func(p *kmsg.FetchResponseTopicPartition) { p.ErrorCode = e.Code })
			})
			net.lead(1, 0, 0, 1, 2)
			list[0].sendOK("x")
			sameLogs(t, list[0], list[1])
			if list[1].Counts().FailedFetches != 0 {
				t.Error("marked as failed")
			}
		})
	}
}

// fetchAnswer answers all partitions of a request with nothing, changed by f.
func fetchAnswer(q *kmsg.FetchRequest, f func(*kmsg.FetchResponseTopicPartition)) *kmsg.FetchResponse {
	resp := q.ResponseKind().(*kmsg.FetchResponse)
	for _, t := range q.Topics {
		rt := kmsg.NewFetchResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewFetchResponseTopicPartition()
			rp.Partition = p.Partition
			f(&rp)
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

// Errors that do not pass end the fetching, until the next LeaderAndIsr.
func TestFetchErrorsThatStay(t *testing.T) {
	broken := errors.New("input/output error")
	for _, c := range []struct {
		name   string
		answer func(p *kmsg.FetchResponseTopicPartition)
		heals  bool
	}{
		{"fenced", func(p *kmsg.FetchResponseTopicPartition) { p.ErrorCode = kerr.FencedLeaderEpoch.Code }, true},
		{"offsets from nowhere", func(p *kmsg.FetchResponseTopicPartition) { p.RecordBatches = batchAt(t, 5, "5", "6") }, true},
		{"disk", nil, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			net, list := nodes(t, 2, nil)
			a, b := list[0], list[1]
			net.lead(1, 0, 0, 1, 2)
			a.sendOK("0", "1", "2", "3", "4", "5", "6")
			sameLogs(t, a, b)
			var once atomic.Bool
			if c.answer == nil {
				fail := func(op vfs.Op) error {
					if op.Kind == vfs.OpWrite {
						return broken
					}
					return nil
				}
				b.hook.Store(&fail)
			} else {
				net.tapAll(func(_, _ int32, q kmsg.Request) kmsg.Response {
					if f, ok := q.(*kmsg.FetchRequest); ok && !once.Swap(true) {
						return fetchAnswer(f, c.answer)
					}
					return nil
				})
			}
			a.sendOK("7")
			if !c.heals {
				eventually(t, "the partition is offline", func() bool { return b.Counts().Offline == 1 })
				if b.Counts().FailedFetches != 0 {
					t.Error("an offline partition counts as failed")
				}
				return
			}
			eventually(t, "the partition is marked as failed", func() bool { return b.Counts().FailedFetches == 1 })
			net.lead(1, 1, 1, 1, 2)
			sameLogs(t, a, b)
			if b.Counts().FailedFetches != 0 {
				t.Error("marked as failed still")
			}
		})
	}
}

// batchAt is a batch as a leader in epoch 0 has stored it.
func batchAt(t testing.TB, offset int64, values ...string) []byte {
	return produced(t, func(s *record.BatchSpec) { s.BaseOffset, s.LeaderEpoch = offset, 0 }, values...)
}

// Bytes that are not valid are never written, and asked for again.
func TestCorruptFetch(t *testing.T) {
	net, list := nodes(t, 2, nil)
	a, b := list[0], list[1]
	var bad atomic.Int32
	net.tapAll(func(_, _ int32, q kmsg.Request) kmsg.Response {
		f, ok := q.(*kmsg.FetchRequest)
		if !ok || len(f.Topics) == 0 || bad.Add(1) > 2 {
			return nil
		}
		return fetchAnswer(f, func(p *kmsg.FetchResponseTopicPartition) {
			p.RecordBatches = batchAt(t, 0, "bad")
			p.RecordBatches[len(p.RecordBatches)-1]++
		})
	})
	net.lead(1, 0, 0, 1, 2)
	a.sendOK("good")
	sameLogs(t, a, b)
	if bad.Load() < 3 {
		t.Error("not asked again")
	}
}

// An answer that comes after the partition has been taken out of its fetcher, or has got another leader epoch, is not appended.
func TestLateAnswer(t *testing.T) {
	for name, meanwhile := range map[string]func(b *node){
		"leads itself":       func(b *node) { b.role(2, 1, 1, 2) },
		"stopped":            func(b *node) { b.stopOK(0, false) },
		"another epoch":      func(b *node) { b.role(1, 1, 1, 1) },
		"another leader":     func(b *node) { b.role(3, 1, 1, 3) },
		"deleted":            func(b *node) { b.stopOK(-2, true) },
		"failed directory":   func(b *node) { b.dirFails() },
		"shutting down":      func(b *node) { b.Manager.Close() },
		"deleted, made anew": func(b *node) { b.stopOK(-2, true); s := state(3, 0, 0, 3); s.TopicID[5] = 1; must(b.t, b.apply(s)) },
	} {
		t.Run(name, func(t *testing.T) {
			net := newNetwork()
			b := openNode(t, 2, vfs.NewMem(), net, nil)
			asked, release := make(chan struct{}), make(chan struct{})
			var first atomic.Bool
			net.tapAll(func(_, _ int32, q kmsg.Request) kmsg.Response {
				f, ok := q.(*kmsg.FetchRequest)
				if !ok || first.Swap(true) {
					return nil
				}
				close(asked)
				<-release
				return fetchAnswer(f, func(p *kmsg.FetchResponseTopicPartition) { p.RecordBatches = batchAt(t, 0, "late") })
			})
			b.role(1, 0, 0, 1)
			<-asked
			l := b.log()
			done := make(chan struct{})
			go func() {
				defer close(done)
				meanwhile(b)
			}()
			if name != "shutting down" && name != "leads itself" && name != "another leader" && name != "stopped" && name != "deleted" && name != "deleted, made anew" {
				<-done
			} else {
				eventually(t, "it is taken out", func() bool {
					for _, f := range b.fetchers.all() {
						if f.leader == 1 && f.partitionCount() > 0 {
							return false
						}
					}
					return true
				})
			}
			close(release)
			<-done
			if end := l.LogEndOffset(); end != 0 {
				t.Errorf("log end %d", end)
			}
		})
	}
}

// A fetcher without partitions ends, and its leader hears no more from it.
func TestIdleFetcherEnds(t *testing.T) {
	net, list := nodes(t, 2, nil)
	net.lead(1, 0, 0, 1, 2)
	if got := len(list[1].fetchers.all()); got != 1 {
		t.Errorf("%d fetchers", got)
	}
	list[1].stopOK(0, false)
	if got := len(list[1].fetchers.all()); got != 0 {
		t.Errorf("%d fetchers", got)
	}
}

// A broker that is about to shut down follows nobody anew, but goes on with what it follows.
func TestBeginShutdown(t *testing.T) {
	net, list := nodes(t, 2, nil)
	a, b := list[0], list[1]
	net.lead(1, 0, 0, 1, 2)
	a.sendOK("x")
	sameLogs(t, a, b)
	b.BeginShutdown()
	a.sendOK("y")
	b.awaitEnd(2)
	b.role(1, 1, 1, 1)
	if got := b.fetchers.all(); len(got) != 0 {
		t.Error("followed anew")
	}
}

// Partitions are spread over the fetchers of a leader as Apache spreads them.
func TestFetcherID(t *testing.T) {
	for s, want := range map[string]int32{"": 0, "hello": 99162322, "polygenelubricants": math.MinInt32} {
		if got := javaHash(s); got != want {
			t.Errorf("hash of %q: %d, want %d", s, got, want)
		}
	}
	seen := map[int]bool{}
	for p := range int32(16) {
		id := fetcherID(metadata.TopicPartition{Topic: "hello", Partition: p}, 4)
		if id < 0 || id > 3 {
			t.Fatal(id)
		}
		seen[id] = true
	}
	if len(seen) != 4 {
		t.Errorf("16 partitions go to fetchers %v", seen)
	}
}
