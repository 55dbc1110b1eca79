package broker

import (
	"errors"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/coordination/znode"
	"gokafka/metadata"
)

// admin is a client for requests to the controller.
func (c *cluster) admin() *kadm.Client { return kadm.NewClient(c.client()) }

// move asks for replicas of partition 0; none cancels.
func (c *cluster) move(topic string, replicas ...int32) error {
	c.t.Helper()
	var r kadm.AlterPartitionAssignmentsReq
	if replicas == nil {
		r.CancelAssign(topic, 0)
	} else {
		r.Assign(topic, 0, replicas)
	}
	resp, err := c.admin().AlterPartitionAssignments(c.t.Context(), r)
	if err != nil {
		return err
	}
	return resp[topic][0].Err
}

// moving is the move of partition 0 that the controller lists among all moves.
func (c *cluster) moving(topic string) (m kmsg.ListPartitionReassignmentsResponseTopicPartition, ok bool) {
	c.t.Helper()
	resp, err := kmsg.NewPtrListPartitionReassignmentsRequest().RequestWith(c.t.Context(), c.client())
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		c.t.Fatal(err)
	}
	for _, t := range resp.Topics {
		if t.Topic == topic {
			return t.Partitions[0], true
		}
	}
	return m, false
}

// awaitMoved waits until partition 0 is on these replicas, all in sync and nowhere else, and no trace of the move is left.
func (c *cluster) awaitMoved(topic string, replicas ...int32) {
	c.t.Helper()
	tp := metadata.TopicPartition{Topic: topic}
	sorted := slices.Sorted(slices.Values(replicas))
	c.eventually("the partition is where it was moved to, on every broker's word", func() bool {
		for _, b := range c.brokers {
			if b == nil {
				continue
			}
			p := b.cache.Image().Partition(tp)
			if p == nil || !slices.Equal(p.Replicas, replicas) || !slices.Equal(slices.Sorted(slices.Values(p.ISR)), sorted) || p.Leader < 0 {
				return false
			}
			if _, has := b.logs.Get(tp); has != slices.Contains(replicas, int32(b.cfg.ID)) {
				return false
			}
		}
		return true
	})
	c.eventually("the move is over", func() bool { _, ok := c.moving(topic); return !ok })
	for _, b := range c.brokers {
		if b == nil {
			continue
		}
		g, err := b.session.Await(c.t.Context())
		if err != nil {
			c.t.Fatal(err)
		}
		found, _, err := znode.ReadTopic(c.t.Context(), g, topic)
		if err != nil {
			c.t.Fatal(err)
		}
		a := found.Partitions[0]
		if !slices.Equal(a.Replicas, replicas) || len(a.Adding)+len(a.Removing) > 0 {
			c.t.Errorf("the topic's znode says %+v, want %v", a, replicas)
		}
		return
	}
}

// A partition is moved, grown, shrunk and swapped under load; each record is there once, in order, and the old replicas' logs are gone.
func TestReassignUnderLoad(t *testing.T) {
	c := startCluster(t, 4, nil)
	c.createOn("moved", []int32{0, 1, 2})
	c.awaitISR("moved", 0, 0, 1, 2)
	l := c.load("moved")
	c.progress(l, 100)
	for _, target := range [][]int32{{3, 1, 2}, {3, 1, 2, 0}, {1, 2}, {0, 3}, {0, 3}, {3, 0, 1}} {
		if err := c.move("moved", target...); err != nil {
			t.Fatalf("to %v: %v", target, err)
		}
		c.progress(l, 50)
		c.awaitMoved("moved", target...)
		c.progress(l, 50)
	}
	l.stop()
	c.check("moved", l)
	c.awaitSameLogs("moved", 0, 3)
}

// A move that cannot go on, as the leader is out of reach, is listed, replaced by another, and cancelled; what was added is gone then.
func TestReassignReplacedAndCancelled(t *testing.T) {
	c := startCluster(t, 4, nil)
	controller := c.brokers[0].cache.Image().ControllerID
	leader, second, third := (controller+1)%4, (controller+2)%4, (controller+3)%4
	c.createOn("stuck", []int32{leader, second})
	c.awaitISR("stuck", 0, sortedIDs(int(leader), int(second))...)
	l := c.load("stuck")
	c.progress(l, 50)
	if err := c.move("stuck"); !errors.Is(err, kerr.NoReassignmentInProgress) {
		t.Errorf("cancelling nothing: %v", err)
	}
	target := c.gates[leader].shut()
	listed := func(replicas, adding, removing []int32) {
		t.Helper()
		m, ok := c.moving("stuck")
		if !ok || !slices.Equal(m.Replicas, replicas) || !slices.Equal(m.AddingReplicas, adding) || !slices.Equal(m.RemovingReplicas, removing) {
			t.Errorf("listed: %v, %+v; want %v adding %v removing %v", ok, m, replicas, adding, removing)
		}
	}
	if err := c.move("stuck", third, second); err != nil {
		t.Fatal(err)
	}
	listed([]int32{third, second, leader}, []int32{third}, []int32{leader})
	c.eventually("the added replica has a log", func() bool { return c.logs("stuck", 0)[int(third)] != nil })
	if err := c.move("stuck", second, leader, controller); err != nil {
		t.Fatal(err)
	}
	listed([]int32{second, leader, controller}, []int32{controller}, nil)
	c.eventually("the replaced move's replica is gone", func() bool { return c.logs("stuck", 0)[int(third)] == nil })
	if err := c.move("stuck"); err != nil {
		t.Fatal(err)
	}
	c.gates[leader].open(target)
	c.awaitMoved("stuck", second, leader)
	c.progress(l, 50)
	l.stop()
	c.check("stuck", l)
	c.awaitSameLogs("stuck", 0, 2)
}

// Elections by request: back to the preferred replica, refused where it is not in sync, and unclean where nothing else is left.
func TestElectLeaders(t *testing.T) {
	c := startCluster(t, 3, map[string]string{"min.insync.replicas": "1"})
	controller := c.brokers[0].cache.Image().ControllerID
	preferred, other := (controller+1)%3, (controller+2)%3
	c.createOn("elect", []int32{preferred, other})
	c.awaitISR("elect", 0, sortedIDs(int(preferred), int(other))...)
	elect := func(how kadm.ElectLeadersHow) error {
		resp, err := c.admin().ElectLeaders(t.Context(), how, kadm.TopicsSet{"elect": {0: {}}})
		if err != nil {
			t.Fatal(err)
		}
		return resp["elect"][0].Err
	}
	expect := func(how kadm.ElectLeadersHow, want error) {
		t.Helper()
		if err := elect(how); !errors.Is(err, want) {
			t.Errorf("election %v: %v, want %v", how, err, want)
		}
	}
	expect(kadm.ElectPreferredReplica, kerr.ElectionNotNeeded)
	c.kill(int(preferred))
	c.eventually("the other leads", func() bool { return c.state("elect", 0).Leader == other })
	c.awaitISR("elect", 0, other)
	expect(kadm.ElectPreferredReplica, kerr.PreferredLeaderNotAvailable)
	c.start(int(preferred))
	c.ready(int(preferred))
	c.awaitISR("elect", 0, sortedIDs(int(preferred), int(other))...)
	if c.state("elect", 0).Leader != other {
		t.Fatal("leadership went back by itself")
	}
	expect(kadm.ElectPreferredReplica, nil)
	if got := c.state("elect", 0).Leader; got != preferred { // the answer waits for it; the controller's broker is asked first
		t.Errorf("leader %d after the answer, want %d", got, preferred)
	}
	expect(kadm.ElectLiveReplica, kerr.ElectionNotNeeded)

	c.kill(int(other))
	c.awaitISR("elect", 0, preferred)
	c.kill(int(preferred))
	c.start(int(other))
	c.ready(int(other))
	c.eventually("nobody leads", func() bool {
		return c.brokers[controller].cache.Image().Broker(preferred) == nil && c.state("elect", 0).Leader < 0
	})
	expect(kadm.ElectPreferredReplica, kerr.PreferredLeaderNotAvailable)
	expect(kadm.ElectLiveReplica, nil)
	c.eventually("the one that is left leads", func() bool { return c.state("elect", 0).Leader == other })
}
