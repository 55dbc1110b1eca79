package broker

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// tally is what consumers of a group have read, by record, and how often.
type tally struct {
	mu   sync.Mutex
	seen map[string]int
}

func (y *tally) add(r *kgo.Record) {
	y.mu.Lock()
	defer y.mu.Unlock()
	y.seen[string(r.Value)]++
}

func (y *tally) len() int {
	y.mu.Lock()
	defer y.mu.Unlock()
	return len(y.seen)
}

// consumeGroup reads as a member of a group until ctx ends.
func consumeGroup(ctx context.Context, cl *kgo.Client, y *tally) {
	for ctx.Err() == nil {
		cl.PollFetches(ctx).EachRecord(y.add)
	}
}

// A group on one broker: members join, share the partitions, commit, leave; the next one goes on where they were; after a clean restart and a kill too.
func TestConsumerGroup(t *testing.T) {
	dir := t.TempDir()
	props := map[string]string{"group.initial.rebalance.delay.ms": "0", "offsets.topic.num.partitions": "4"}
	b := startBroker(t, dir, props)
	cl := client(t, b, kgo.ProducerLinger(0))
	adm := kadm.NewClient(cl)
	if _, err := adm.CreateTopic(t.Context(), 4, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	write := func(from, n int) {
		t.Helper()
		for i := range n {
			cl.Produce(t.Context(), &kgo.Record{Topic: "t", Value: fmt.Appendf(nil, "%d", from+i), Key: fmt.Appendf(nil, "%d", i)}, nil)
		}
		if err := cl.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	group := []kgo.Opt{kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(6 * time.Second), kgo.AutoCommitInterval(100 * time.Millisecond)}
	write(0, 200)
	y := &tally{seen: map[string]int{}}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 3 {
		m := client(t, b, group...)
		wg.Go(func() { consumeGroup(ctx, m, y) })
	}
	eventually(t, "all is read", func() bool { return y.len() == 200 })
	described, err := adm.DescribeGroups(t.Context(), "g")
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "three members share the partitions", func() bool {
		described, err = adm.DescribeGroups(t.Context(), "g")
		g := described["g"]
		return err == nil && g.State == "Stable" && len(g.Members) == 3 && len(g.AssignedPartitions()["t"]) == 4
	})
	if g := described["g"]; g.ProtocolType != "consumer" || g.Members[0].ClientHost != "/127.0.0.1" {
		t.Errorf("%+v", g)
	}
	committed := func() (n int64) {
		offsets, err := adm.FetchOffsets(t.Context(), "g")
		if err != nil {
			return -1
		}
		offsets.Each(func(o kadm.OffsetResponse) { n += o.At })
		return n
	}
	eventually(t, "all is committed", func() bool { return committed() == 200 })
	stop()
	wg.Wait()
	if err := b.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	for round, end := range []func(){func() { b.kill() }, func() {}} {
		b = startBroker(t, dir, props)
		cl = client(t, b, kgo.ProducerLinger(0))
		adm = kadm.NewClient(cl)
		eventually(t, "the offsets are there again", func() bool { return committed() == int64(200+100*round) })
		write(200+100*round, 100)
		ctx, stop := context.WithCancel(t.Context())
		m := client(t, b, group...)
		wg.Go(func() { consumeGroup(ctx, m, y) })
		eventually(t, "what is new is read", func() bool { return y.len() == 300+100*round })
		eventually(t, "it is committed", func() bool { return committed() == int64(300+100*round) })
		stop()
		wg.Wait()
		m.Close()
		end()
	}
	for v, n := range y.seen {
		if n != 1 {
			t.Errorf("record %s was read %d times", v, n)
		}
	}
	eventually(t, "the group is empty", func() bool {
		d, err := adm.DescribeGroups(t.Context(), "g")
		return err == nil && d["g"].State == "Empty"
	})
	if r, err := adm.DeleteGroups(t.Context(), "g"); err != nil || r["g"].Err != nil {
		t.Fatal(r, err)
	}
	if committed() != 0 {
		t.Error("a deleted group has offsets")
	}
}

// Members of a group read on while the coordinator and other brokers are killed: every record is read, the offsets outlive the coordinator.
func TestConsumerGroupThroughFailovers(t *testing.T) {
	c := startCluster(t, 3, map[string]string{"offsets.topic.replication.factor": "3", "offsets.topic.num.partitions": "3", "group.initial.rebalance.delay.ms": "0", "min.insync.replicas": "1"})
	cl := c.client(kgo.ProducerLinger(0))
	adm := kadm.NewClient(cl)
	if _, err := adm.CreateTopic(t.Context(), 6, 3, nil, "t"); err != nil {
		t.Fatal(err)
	}
	y := &tally{seen: map[string]int{}}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 3 {
		m := c.client(kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(6*time.Second), kgo.HeartbeatInterval(300*time.Millisecond),
			kgo.AutoCommitInterval(200*time.Millisecond))
		wg.Go(func() { consumeGroup(ctx, m, y) })
	}
	written := 0
	write := func(n int) {
		t.Helper()
		for range n {
			cl.Produce(t.Context(), &kgo.Record{Topic: "t", Value: fmt.Appendf(nil, "%d", written)}, func(_ *kgo.Record, err error) {
				if err != nil {
					t.Error(err)
				}
			})
			written++
		}
		if err := cl.Flush(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	write(300)
	c.eventually("all is read", func() bool { return y.len() == written })
	for round := range 3 {
		coordinators := adm.FindGroupCoordinators(t.Context(), "g")
		victim := int(coordinators["g"].NodeID)
		c.kill(victim)
		write(300)
		c.eventually(fmt.Sprintf("round %d: all is read without the coordinator", round), func() bool { return y.len() == written })
		c.start(victim)
		c.ready(victim)
		c.eventually("the replicas are in sync", func() bool {
			for p := range int32(3) {
				if len(c.state("__consumer_offsets", p).ISR) != 3 {
					return false
				}
			}
			return true
		})
	}
	c.eventually("all is committed", func() bool {
		offsets, err := adm.FetchOffsets(t.Context(), "g")
		n := int64(0)
		offsets.Each(func(o kadm.OffsetResponse) { n += o.At })
		return err == nil && n == int64(written)
	})
	stop()
	wg.Wait()
}
