package broker

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/coordination/znode"
	"gokafka/metadata"
)

// Members of a group whose partitions the broker assigns read on while coordinators are killed: every record is read, members and their epochs outlive the coordinator.
func TestModernGroupThroughFailovers(t *testing.T) {
	c := startCluster(t, 3, map[string]string{"offsets.topic.replication.factor": "3", "offsets.topic.num.partitions": "3", "min.insync.replicas": "1",
		"group.consumer.heartbeat.interval.ms": "300", "group.consumer.min.heartbeat.interval.ms": "300"})
	cl := c.client(kgo.ProducerLinger(0))
	adm := kadm.NewClient(cl)
	if _, err := adm.CreateTopic(t.Context(), 6, 3, nil, "t"); err != nil {
		t.Fatal(err)
	}
	y := &tally{seen: map[string]int{}}
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 3 {
		m := c.client(kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"), kgo.ServerSideBalancer(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.AutoCommitInterval(200*time.Millisecond))
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
	described := func() (kadm.DescribedConsumerGroup, bool) {
		d, err := adm.DescribeConsumerGroups(t.Context(), "g")
		g := d["g"]
		return g, err == nil && g.Err == nil
	}
	var before kadm.DescribedConsumerGroup
	c.eventually("three members share the partitions", func() bool {
		var ok bool
		if before, ok = described(); !ok || before.State != "Stable" || len(before.Members) != 3 {
			return false
		}
		for _, m := range before.Members {
			if len(m.Assignment["t"]) != 2 {
				return false
			}
		}
		return true
	})
	listed, err := adm.ListGroupsByType(t.Context(), []string{"consumer"})
	if err != nil || len(listed) != 1 || listed["g"].GroupType != "consumer" || listed["g"].State != "Stable" {
		t.Errorf("listed: %+v, %v", listed, err)
	}
	for round := range 3 {
		coordinators := adm.FindGroupCoordinators(t.Context(), "g")
		victim := int(coordinators["g"].NodeID)
		c.kill(victim)
		write(300)
		c.eventually(fmt.Sprintf("round %d: all is read without the coordinator", round), func() bool { return y.len() == written })
		var after kadm.DescribedConsumerGroup
		c.eventually("the group is loaded", func() (ok bool) {
			after, ok = described()
			return ok
		})
		if after.Epoch != before.Epoch || len(after.Members) != 3 {
			t.Errorf("round %d: the next coordinator has epoch %d with %d members, it was %d", round, after.Epoch, len(after.Members), before.Epoch)
		}
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
	for v, n := range y.seen {
		if n > 2 {
			t.Errorf("record %s was read %d times", v, n)
		}
	}
	stop()
	wg.Wait()
}

// Groups of KIP-848 are offered while every registered broker serves them.
func TestModernGroupsNeedEveryBroker(t *testing.T) {
	c := startCluster(t, 2, map[string]string{"offsets.topic.replication.factor": "1"})
	offered := func() bool {
		t.Helper()
		cl := c.client()
		resp, err := kmsg.NewPtrApiVersionsRequest().RequestWith(t.Context(), cl)
		if err != nil {
			t.Fatal(err)
		}
		for _, k := range resp.ApiKeys {
			if k.ApiKey == 68 {
				return true
			}
		}
		return false
	}
	c.eventually("they are offered", offered)
	// A broker of the kind of Apache 3.9 registers.
	g := c.brokers[0].session.Current()
	const old = 7
	_, err := znode.RegisterBroker(t.Context(), g, znode.Registration{Broker: metadata.Broker{ID: old, Endpoints: []metadata.Endpoint{{Listener: "PLAINTEXT", Host: "127.0.0.1", Port: 1}}}, JMXPort: -1}, znode.Registered{})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range c.brokers {
		c.eventually("they are not served any more", func() bool { return !b.peers.modernGroups.Load() })
	}
	if offered() {
		t.Error("they are offered beside a broker that does not serve them")
	}
	q := kmsg.NewPtrConsumerGroupHeartbeatRequest()
	q.Group = "g"
	if resp := c.brokers[0].handlers.ConsumerGroupHeartbeat(t.Context(), nil, q); resp.ErrorCode != kerr.UnsupportedVersion.Code {
		t.Errorf("a heartbeat is answered with %d", resp.ErrorCode)
	}
	if err := g.Delete(t.Context(), znode.BrokerPath(old), -1); err != nil {
		t.Fatal(err)
	}
	c.eventually("they are offered again", offered)
}
