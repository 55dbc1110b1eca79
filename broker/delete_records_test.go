package broker

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// When DeleteRecords is answered, no live replica has the records any more, whoever leads next: the followers hear of the new log start by their
// fetch sessions though no record comes, and the leader of theirs.
func TestDeleteRecordsOnAllReplicas(t *testing.T) {
	c := startCluster(t, 3, nil)
	c.create("trimmed", 3, 3, nil)
	for p := range int32(3) {
		c.awaitISR("trimmed", p, 0, 1, 2)
	}
	cl := c.client(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	defer cl.Close()
	for i := range 30 {
		cl.Produce(t.Context(), &kgo.Record{Topic: "trimmed", Partition: int32(i % 3), Value: []byte("v")}, nil)
	}
	if err := cl.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	adm := kadm.NewClient(cl)
	adm.SetTimeoutMillis(20000)
	for _, to := range []int64{4, 9} {
		var offsets kadm.Offsets
		for p := range int32(3) {
			offsets.Add(kadm.Offset{Topic: "trimmed", Partition: p, At: to})
		}
		answers, err := adm.DeleteRecords(t.Context(), offsets)
		if err != nil {
			t.Fatal(err)
		}
		answers.Each(func(r kadm.DeleteRecordsResponse) {
			if r.Err != nil || r.LowWatermark != to {
				t.Errorf("partition %d: low watermark %d, %v", r.Partition, r.LowWatermark, r.Err)
			}
			for id, l := range c.logs("trimmed", r.Partition) {
				if l.LogStartOffset() != to {
					t.Errorf("partition %d on broker %d starts at %d after the answer", r.Partition, id, l.LogStartOffset())
				}
			}
		})
	}
}

// A replica that is alive but out of reach is waited for until the time is over; a dead one is not waited for.
func TestDeleteRecordsWithoutAReplica(t *testing.T) {
	c := startCluster(t, 3, map[string]string{"min.insync.replicas": "1"})
	c.create("trimmed", 1, 3, nil)
	c.awaitISR("trimmed", 0, 0, 1, 2)
	cl := c.client()
	defer cl.Close()
	for range 5 {
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "trimmed", Value: []byte("v")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	adm := kadm.NewClient(cl)
	trim := func(to int64, timeout time.Duration) kadm.DeleteRecordsResponse {
		t.Helper()
		adm.SetTimeoutMillis(int32(timeout.Milliseconds()))
		var offsets kadm.Offsets
		offsets.Add(kadm.Offset{Topic: "trimmed", At: to})
		answers, err := adm.DeleteRecords(t.Context(), offsets)
		if err != nil {
			t.Fatal(err)
		}
		r, _ := answers.Lookup("trimmed", 0)
		return r
	}
	leader := int(c.state("trimmed", 0).Leader)
	victim := (leader + 1) % 3
	c.kill(victim)
	c.eventually("the dead broker is known to be dead", func() bool { return c.brokers[leader].cache.Image().Broker(int32(victim)) == nil })
	if r := trim(3, 20*time.Second); r.Err != nil || r.LowWatermark != 3 {
		t.Errorf("with a dead replica: %+v", r)
	}
	c.start(victim)
	c.ready(victim)
	c.eventually("it deletes too when it is back", func() bool {
		l := c.logs("trimmed", 0)[victim]
		return l != nil && l.LogStartOffset() == 3
	})
}
