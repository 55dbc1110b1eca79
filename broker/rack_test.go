package broker

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/metadata"
)

// rackCluster is three brokers in racks r0 to r2.
func rackCluster(t *testing.T) *cluster {
	return startCluster(t, 3, map[string]string{"broker.rack": "r{id}", "replica.selector.class": "org.apache.kafka.common.replica.RackAwareReplicaSelector"})
}

// fetchOnce asks a broker for partition 0 without a session.
func fetchOnce(t *testing.T, cl *kgo.Client, broker int32, topic, rack string, offset int64) kmsg.FetchResponseTopicPartition {
	t.Helper()
	q := kmsg.NewPtrFetchRequest()
	q.Version, q.MaxWaitMillis, q.MinBytes, q.MaxBytes, q.SessionEpoch, q.Rack = 12, 200, 1, 1<<20, -1, rack
	rt := kmsg.NewFetchRequestTopic()
	rt.Topic = topic
	rp := kmsg.NewFetchRequestTopicPartition()
	rp.FetchOffset, rp.PartitionMaxBytes = offset, 1<<20
	rt.Partitions = append(rt.Partitions, rp)
	q.Topics = append(q.Topics, rt)
	resp, err := cl.Broker(int(broker)).Request(t.Context(), &atVersion{q, 12})
	if err != nil {
		t.Fatal(err)
	}
	return resp.(*kmsg.FetchResponse).Topics[0].Partitions[0]
}

// atVersion is a request that clients send in this version at most.
type atVersion struct {
	*kmsg.FetchRequest
	version int16
}

func (a *atVersion) MaxVersion() int16 { return a.version }

// The leader sends a consumer of another rack to the replica there, if that is in sync and has the offset; others it serves itself.
func TestConsumerIsSentToItsRack(t *testing.T) {
	c := rackCluster(t)
	cl := c.client()
	adm := kadm.NewClient(cl)
	if _, err := adm.CreateTopic(t.Context(), 1, 3, nil, "t"); err != nil {
		t.Fatal(err)
	}
	tp := metadata.TopicPartition{Topic: "t"}
	c.eventually("all are in sync", func() bool {
		p := c.brokers[0].cache.Image().Partition(tp)
		return p != nil && len(p.ISR) == 3
	})
	for i := range 10 {
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: fmt.Appendf(nil, "%d", i)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	leader := c.brokers[0].cache.Image().Partition(tp).Leader
	other, third := (leader+1)%3, (leader+2)%3
	c.eventually("the followers know that all is committed", func() bool {
		for _, b := range c.brokers {
			if l, ok := b.logs.Get(tp); !ok || l.HighWatermark() != 10 {
				return false
			}
		}
		return true
	})
	rack := func(id int32) string { return fmt.Sprintf("r%d", id) }
	for _, x := range []struct {
		what, rack      string
		broker, sentTo  int32
		offset          int64
		records, failed bool
	}{
		{"of the leader's rack", rack(leader), leader, -1, 0, true, false},
		{"of no rack", "", leader, -1, 0, true, false},
		{"of a rack without a broker", "elsewhere", leader, -1, 0, true, false},
		{"of another rack", rack(other), leader, other, 0, false, false},
		{"of another rack, at the end", rack(third), leader, third, 10, false, false},
		{"of another rack, beyond the end", rack(third), leader, -1, 11, false, true},
		{"at the replica of its rack", rack(other), other, -1, 0, true, false},
		{"at a replica of another rack", rack(leader), other, -1, 5, true, false},
		{"at a replica, beyond its end", rack(other), other, -1, 11, false, true},
	} {
		got := fetchOnce(t, cl, x.broker, "t", x.rack, x.offset)
		if got.PreferredReadReplica != x.sentTo || len(got.RecordBatches) > 0 != x.records || got.ErrorCode != 0 != x.failed || !x.failed && got.HighWatermark != 10 {
			t.Errorf("a consumer %s: sent to %d, %d bytes, error %d, high watermark %d", x.what, got.PreferredReadReplica, len(got.RecordBatches), got.ErrorCode, got.HighWatermark)
		}
	}
	// A replica that fell out of the ISR is no place to send anybody.
	c.kill(int(other))
	c.eventually("it is out of the ISR", func() bool { return !slices.Contains(c.brokers[leader].cache.Image().Partition(tp).ISR, other) })
	if got := fetchOnce(t, c.client(), leader, "t", rack(other), 0); got.PreferredReadReplica != -1 || len(got.RecordBatches) == 0 {
		t.Errorf("sent to %d, %d bytes", got.PreferredReadReplica, len(got.RecordBatches))
	}
}

// A stock consumer reads on from its rack while its replica goes and comes: nothing twice, nothing missing.
func TestConsumerInARackThroughAFailure(t *testing.T) {
	c := rackCluster(t)
	cl := c.client(kgo.ProducerLinger(0))
	if _, err := kadm.NewClient(cl).CreateTopic(t.Context(), 1, 3, nil, "t"); err != nil {
		t.Fatal(err)
	}
	tp := metadata.TopicPartition{Topic: "t"}
	c.eventually("all are in sync", func() bool {
		p := c.brokers[0].cache.Image().Partition(tp)
		return p != nil && len(p.ISR) == 3
	})
	near := (c.brokers[0].cache.Image().Partition(tp).Leader + 1) % 3
	stop := writer(t, cl, "t")
	var seen atomic.Int64
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		consumer := c.client(kgo.Rack(fmt.Sprintf("r%d", near)), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"t": {0: kgo.NewOffset().AtStart()}}))
		for ctx.Err() == nil {
			consumer.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
				if r.Offset != seen.Load() {
					t.Errorf("record %d where %d was due", r.Offset, seen.Load())
				}
				seen.Add(1)
			})
		}
	}()
	read := func(what string) {
		t.Helper()
		from := seen.Load()
		c.eventually(what, func() bool { return seen.Load() > from+100 })
	}
	read("records are read")
	c.kill(int(near))
	read("records are read without the replica")
	c.start(int(near))
	c.ready(int(near))
	read("records are read again")
	n := int64(stop())
	c.eventually("all is read", func() bool { return seen.Load() == n })
	cancel()
	<-done
}
