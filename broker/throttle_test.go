package broker

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"gokafka/metadata"
)

// A move of a megabyte at 20 kB a second takes its 50 seconds, whichever side is throttled, while a partition beside it that is not named is copied at once;
// what is in sync is not held back; and without the throttle the rest is there at once. On a clock of its own.
func TestReplicationThrottle(t *testing.T) {
	const size, records, rate = 10_000, 100, 20_000
	for _, c := range []struct{ side, replica string }{{"leader", "0:0"}, {"follower", "0:1"}, {"leader", "*"}, {"follower", "*"}} {
		t.Run(c.side+" "+c.replica, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newSimulationWith(t, 1, simOptions{brokers: 2, props: map[string]string{"replica.fetch.max.bytes": "20000", "replica.fetch.response.max.bytes": "20000", "min.insync.replicas": "1"}})
				defer s.end()
				cl := s.client(kgo.ProducerBatchCompression(kgo.NoCompression()))
				defer cl.Close()
				adm := kadm.NewClient(cl)
				create := func(topic string) {
					t.Helper()
					var r kadm.CreateTopicResponses
					s.eventually("the topic is created", func() bool {
						var err error
						r, err = adm.CreateTopics(context.Background(), 1, 1, nil, topic)
						return err == nil && r[topic].Err == nil
					})
					s.moveTo(adm, topic, 0)
					for i := range records {
						if err := cl.ProduceSync(context.Background(), &kgo.Record{Topic: topic, Value: make([]byte, size), Key: fmt.Appendf(nil, "%d", i)}).FirstErr(); err != nil {
							t.Fatal(err)
						}
					}
				}
				create("slow")
				create("free")
				key := c.side + ".replication.throttled."
				if got, err := adm.AlterTopicConfigs(context.Background(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: key + "replicas", Value: kadm.StringPtr(c.replica)}}, "slow"); err != nil || got[0].Err != nil {
					t.Fatal(got, err)
				}
				for id := range int32(2) {
					setBroker(t, adm, id, key+"rate", fmt.Sprint(rate))
				}
				time.Sleep(30 * time.Second) // all have heard, and the windows of the quota are empty
				began := time.Now()
				s.move(adm, "slow", 0, 1)
				s.move(adm, "free", 0, 1)
				s.awaitISR("free", 2)
				if took := time.Since(began); took > 15*time.Second {
					t.Errorf("what is not throttled took %s", took)
				}
				s.awaitISR("slow", 2)
				if took := time.Since(began).Seconds(); took < 0.8*size*records/rate || took > 1.4*size*records/rate {
					t.Errorf("%d bytes at %d bytes a second took %.0f s", size*records, rate, took)
				}
				// In sync, it stays so above the rate.
				began = time.Now()
				for range 50 {
					if err := cl.ProduceSync(context.Background(), &kgo.Record{Topic: "slow", Value: make([]byte, size)}).FirstErr(); err != nil {
						t.Fatal(err)
					}
				}
				if took := time.Since(began); took > 10*time.Second {
					t.Errorf("acknowledgements of the ISR took %s", took)
				}
				s.awaitISR("slow", 2)
				// Again, and the throttle is taken away in the middle.
				s.moveTo(adm, "slow", 0)
				began = time.Now()
				s.move(adm, "slow", 0, 1)
				time.Sleep(5 * time.Second)
				for id := range int32(2) {
					setBroker(t, adm, id, key+"rate", "1000000000")
				}
				s.awaitISR("slow", 2)
				if took := time.Since(began); took > 20*time.Second {
					t.Errorf("without the throttle it took %s", took)
				}
			})
		})
	}
}

// move asks for replicas of partition 0.
func (s *simulation) move(adm *kadm.Client, topic string, replicas ...int32) {
	s.t.Helper()
	var r kadm.AlterPartitionAssignmentsReq
	r.Assign(topic, 0, replicas)
	resp, err := adm.AlterPartitionAssignments(context.Background(), r)
	if err == nil {
		err = resp[topic][0].Err
	}
	if err != nil {
		s.t.Error(err)
	}
}

// moveTo moves partition 0 and waits until it is there.
func (s *simulation) moveTo(adm *kadm.Client, topic string, replicas ...int32) {
	s.t.Helper()
	s.move(adm, topic, replicas...)
	s.awaitISR(topic, len(replicas))
	s.eventually("the partition is led where it is wanted", func() bool {
		for _, b := range s.up {
			p := b.cache.Image().Partition(metadata.TopicPartition{Topic: topic})
			if p == nil || p.Leader != replicas[0] || len(p.Replicas) != len(replicas) {
				return false
			}
		}
		return true
	})
}

func (s *simulation) awaitISR(topic string, n int) {
	s.t.Helper()
	s.eventually(fmt.Sprintf("%d replicas of %s are in sync", n, topic), func() bool {
		for _, b := range s.up {
			if p := b.cache.Image().Partition(metadata.TopicPartition{Topic: topic}); p == nil || len(p.ISR) != n {
				return false
			}
		}
		return true
	})
}
