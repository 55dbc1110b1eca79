package controller

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/coordination"
	"gokafka/coordination/znode"
	"gokafka/metadata"
)

func TestRequestsAreRefusedWithKafkasCodes(t *testing.T) {
	tc := newTestCluster(t)
	for _, id := range []int32{1, 2} {
		tc.start(id)
	}
	c := tc.brokers[1].control()
	tc.awaitController()
	idle := tc.brokers[2].control()
	ctx, epoch := t.Context(), tc.brokers[1].registered.Epoch

	id := tc.createTopic("t", []int32{1, 2})
	eventually(t, "the topic is led", func() bool { return tc.allLead("t", 1) })
	alter := func(c *Controller, broker int32, epoch int64, id metadata.TopicID, name string, partition int32) error {
		rs, err := c.AlterPartition(ctx, AlterPartitionRequest{BrokerID: broker, BrokerEpoch: epoch,
			Partitions: []AlterPartition{{TopicID: id, Topic: name, Partition: partition, ISR: []int32{1, 2}}}})
		if err == nil {
			err = rs[0].Err
		}
		return err
	}
	shutdown := func(c *Controller, id int32, epoch int64) error {
		_, err := c.ControlledShutdown(ctx, id, epoch)
		return err
	}
	allocate := func(c *Controller, id int32, epoch int64) error {
		_, _, err := c.AllocateProducerIDs(ctx, id, epoch)
		return err
	}
	_, errReassign := idle.AlterPartitionReassignments(ctx, nil)
	_, errElect := idle.ElectLeaders(ctx, ElectPreferred, nil)
	for _, x := range []struct {
		name string
		err  error
		want *kerr.Error // nil = accepted
	}{
		{"AlterPartition, not active", alter(idle, 1, epoch, id, "", 0), kerr.NotController},
		{"AlterPartition of an unknown broker", alter(c, 7, epoch, id, "", 0), kerr.StaleBrokerEpoch},
		{"AlterPartition of an old incarnation", alter(c, 1, epoch-1, id, "", 0), kerr.StaleBrokerEpoch},
		{"AlterPartition of a future incarnation", alter(c, 1, epoch+1, id, "", 0), kerr.StaleBrokerEpoch},
		{"AlterPartition of an unknown id", alter(c, 1, epoch, metadata.TopicID{9}, "", 0), kerr.UnknownTopicID},
		{"AlterPartition of an unknown partition", alter(c, 1, epoch, id, "", 5), kerr.UnknownTopicOrPartition},
		{"AlterPartition by name", alter(c, 1, epoch, metadata.TopicID{}, "t", 0), nil},
		{"AllocateProducerIds, not active", allocate(idle, 1, epoch), kerr.NotController},
		{"AllocateProducerIds of an unknown broker", allocate(c, 7, epoch), kerr.BrokerIDNotRegistered},
		{"AllocateProducerIds of an old incarnation", allocate(c, 1, epoch-1), kerr.StaleBrokerEpoch},
		{"AllocateProducerIds", allocate(c, 1, epoch), nil},
		{"reassignment, not active", errReassign, kerr.NotController},
		{"election, not active", errElect, kerr.NotController},
		{"ControlledShutdown, not active", shutdown(idle, 1, epoch), kerr.StaleControllerEpoch},
		{"ControlledShutdown of an old incarnation", shutdown(c, 1, epoch-1), kerr.StaleBrokerEpoch},
		{"ControlledShutdown of an unknown broker", shutdown(c, 7, -1), kerr.BrokerNotAvailable},
		{"ControlledShutdown of an unknown broker with epoch", shutdown(c, 7, 3), kerr.UnknownServerError},
		{"ControlledShutdown", shutdown(c, 2, tc.brokers[2].registered.Epoch), nil},
	} {
		if x.want == nil && x.err != nil || x.want != nil && !errors.Is(x.err, x.want) {
			t.Errorf("%s: %v, want %v", x.name, x.err, x.want)
		}
	}
}

func TestProducerIDsAreNeverGivenTwice(t *testing.T) {
	tc := newTestCluster(t)
	for _, id := range []int32{1, 2} {
		tc.start(id)
	}
	tc.brokers[1].control()
	tc.awaitController()
	tc.brokers[2].control()
	var starts []int64
	for round := range 3 {
		for range 2 {
			c := tc.awaitController()
			start, n, err := c.AllocateProducerIDs(t.Context(), 1, tc.brokers[1].registered.Epoch)
			if err != nil || n != 1000 || slices.Contains(starts, start) || start%1000 != 0 {
				t.Fatalf("round %d: %d+%d, %v after %v", round, start, n, err, starts)
			}
			starts = append(starts, start)
		}
		epoch := tc.awaitController().ActiveEpoch()
		if err := tc.g().Delete(t.Context(), znode.ControllerPath, coordination.AnyVersion); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the next controller", func() bool { a := tc.active(); return len(a) == 1 && tc.brokers[a[0]].c.ActiveEpoch() > epoch })
	}
}

func TestAutoRebalanceGivesLeadershipBack(t *testing.T) {
	tc := newTestCluster(t)
	for _, id := range []int32{1, 2} {
		tc.start(id)
	}
	c := tc.brokers[1].control()
	tc.awaitController()
	tc.createTopic("t", []int32{2, 1})
	eventually(t, "the topic is led", func() bool { return tc.allLead("t", 1) })
	tp := metadata.TopicPartition{Topic: "t"}
	tc.brokers[2].stop()
	eventually(t, "1 leads", func() bool { return tc.states()[tp].Leader == 1 })
	if m := c.Metrics(); m.GlobalPartitionCount != 1 {
		t.Errorf("%+v", m)
	}
	tc.start(2)
	eventually(t, "imbalance is seen", func() bool { return c.Metrics().PreferredReplicaImbalanceCount == 1 })
	eventually(t, "2 is back in the ISR", func() bool { return tc.isr("t-0", []int32{1, 2}) == "ok" })
	c.queue.note(event{name: "AutoPreferredReplicaLeaderElection", key: "rebalance", run: c.ifActive(c.autoRebalance)})
	eventually(t, "2 leads", func() bool { return tc.states()[tp].Leader == 2 })
	eventually(t, "no imbalance", func() bool { return c.Metrics().PreferredReplicaImbalanceCount == 0 })
}

func TestUncleanElectionBySettingOfTheTopic(t *testing.T) {
	tc := newTestCluster(t)
	for _, id := range []int32{1, 2} {
		tc.start(id)
	}
	c := tc.brokers[1].control()
	tc.awaitController()
	tc.createTopic("t", []int32{2, 1})
	eventually(t, "the topic is led", func() bool { return tc.allLead("t", 1) })
	tp := metadata.TopicPartition{Topic: "t"}
	if s := tc.isr("t-0", []int32{2}); s != "ok" {
		t.Fatal(s)
	}
	tc.brokers[2].stop()
	eventually(t, "nobody leads", func() bool { return tc.states()[tp].Leader == -1 && c.Metrics().OfflinePartitionsCount == 1 })
	if _, err := tc.g().Set(t.Context(), znode.EntityPath(znode.TopicEntity, "t"), znode.EncodeConfig(map[string]string{"unclean.leader.election.enable": "true"}), coordination.AnyVersion); err != nil {
		t.Fatal(err)
	}
	c.UncleanElectionEnabled("other")
	c.UncleanElectionEnabled("t")
	eventually(t, "1 leads", func() bool { return tc.states()[tp].Leader == 1 })
	if st := tc.states()[tp]; st.Recovery != metadata.Recovering || !slices.Equal(st.ISR, []int32{1}) {
		t.Errorf("%+v", st)
	}
	eventually(t, "the metric counts it", func() bool {
		m := c.Metrics()
		return m.UncleanLeaderElections == 1 && m.OfflinePartitionsCount == 0
	})
	ds, _ := c.Journal(JournalQuery{Topic: tp.Topic, Partition: tp.Partition, Limit: 1})
	if last := ds[0]; last.Why != "unclean election" || last.Partition != tp || last.From != -1 || last.Leader != 1 {
		t.Errorf("the journal begins with %+v", last)
	}
}

func TestBrokerThatMovesIsReachedAtItsNewAddress(t *testing.T) {
	tc := newTestCluster(t)
	for _, id := range []int32{1, 2, 3} {
		tc.start(id)
	}
	tc.brokers[1].control()
	tc.awaitController()
	eventually(t, "all know all", func() bool { return len(tc.brokers[2].seen()) == 3 && len(tc.brokers[3].seen()) == 3 })
	// Broker 2 moves to the address of what is broker 3 for the dialer, which stands for its new process here.
	tc.brokers[3].log()
	if err := znode.UpdateBroker(t.Context(), tc.brokers[2].session.Current(), znode.Registration{JMXPort: -1, Broker: metadata.Broker{ID: 2,
		Endpoints: []metadata.Endpoint{{Listener: "PLAINTEXT", Host: "fake", Port: 3}}}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "two UpdateMetadata arrive there", func() bool {
		b := tc.brokers[3]
		b.mu.Lock()
		defer b.mu.Unlock()
		return len(b.requests) >= 2 && strings.HasPrefix(b.requests[0], "UpdateMetadata")
	})
}

func TestRegistrationIsRepeatedUntilItSucceeds(t *testing.T) {
	tc := newTestCluster(t)
	b := tc.start(1)
	var tries atomic.Int32
	c := b.control(func(o *Options) {
		register := o.Register
		o.Register = func(ctx context.Context, g *coordination.Generation) (int64, error) {
			if tries.Add(1) == 1 {
				return 0, errors.New("id in use")
			}
			return register(ctx, g)
		}
	})
	tc.awaitController()
	if err := b.link.Expire(t.Context()); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it is controller again", func() bool { return c.ActiveEpoch() == 2 })
	if tries.Load() != 2 {
		t.Errorf("%d tries", tries.Load())
	}
}

func TestStopWhileStuckInZooKeeper(t *testing.T) {
	tc := newTestCluster(t)
	b := tc.start(1)
	c := b.control()
	tc.awaitController()
	b.link.Cut()
	done := make(chan error, 1)
	go func() {
		_, _, err := c.AllocateProducerIDs(t.Context(), 1, b.registered.Epoch)
		done <- err
	}()
	eventually(t, "it waits", func() bool { return c.Metrics().EventsProcessed > 0 })
	c.Stop()
	if err := <-done; !errors.Is(err, kerr.NotController) {
		t.Errorf("got %v", err)
	}
	c.Stop() // again
	if c.IsActive() || c.ActiveEpoch() != -1 {
		t.Error("still active")
	}
	b.link.Restore()
}

// A broker that is gone and back before the controller looks has the same id and a newer epoch. It has forgotten
// everything, and requests with its old epoch are refused.
func TestBounceThatNobodySaw(t *testing.T) {
	tc := newTestCluster(t)
	for _, id := range []int32{1, 2} {
		tc.start(id)
	}
	tc.brokers[1].control()
	tc.awaitController()
	tc.createTopic("t", []int32{2, 1}, []int32{1, 2})
	eventually(t, "the topic is led", func() bool { return tc.allLead("t", 2) })
	tp := metadata.TopicPartition{Topic: "t"}
	tc.brokers[1].link.Cut()
	tc.brokers[2].stop()
	tc.start(2)
	tc.brokers[1].link.Restore()
	eventually(t, "it is told everything under its new epoch", func() bool {
		r0, _ := tc.brokers[2].role(tp)
		r1, _ := tc.brokers[2].role(metadata.TopicPartition{Topic: "t", Partition: 1})
		return r0 == "follows 1 at 1" && r1 == "follows 1 at 1" && len(tc.brokers[2].seen()) == 2
	})
	if st := tc.states()[tp]; st.Leader != 1 || !slices.Equal(st.ISR, []int32{1}) || st.LeaderEpoch != 1 {
		t.Errorf("a bounce is a failure and a start: %+v", st)
	}
}
