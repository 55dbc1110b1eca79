package broker

import (
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/settings"
)

// createOn creates a topic of one partition on these brokers; the first is preferred.
func (c *cluster) createOn(topic string, replicas []int32) {
	c.t.Helper()
	cl := c.client()
	defer cl.Close()
	q := kmsg.NewPtrCreateTopicsRequest()
	rt, a := kmsg.NewCreateTopicsRequestTopic(), kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
	a.Replicas = replicas
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor, rt.ReplicaAssignment = topic, -1, -1, append(rt.ReplicaAssignment, a)
	q.Topics, q.TimeoutMillis = append(q.Topics, rt), 20000
	resp, err := q.RequestWith(c.t.Context(), cl)
	if err == nil {
		err = kerr.ErrorForCode(resp.Topics[0].ErrorCode)
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

func sortedIDs(ids ...int) []int32 {
	var out []int32
	for _, id := range ids {
		out = append(out, int32(id))
	}
	slices.Sort(out)
	return out
}

// A partition whose whole ISR is dead has no leader, until somebody allows that records are lost: for the topic, or by the default of all brokers. The
// controller elects one then, without waiting for another event.
func TestUncleanElectionWhenItIsAllowed(t *testing.T) {
	for _, scope := range []string{"topic", "all brokers"} {
		t.Run(scope, func(t *testing.T) {
			c := startCluster(t, 3, map[string]string{"min.insync.replicas": "1"})
			controller := int(c.brokers[0].cache.Image().ControllerID)
			leader, left := (controller+1)%3, (controller+2)%3
			c.createOn("unclean", []int32{int32(leader), int32(left)})
			c.awaitISR("unclean", 0, sortedIDs(leader, left)...)
			c.kill(left)
			c.awaitISR("unclean", 0, int32(leader))
			c.kill(leader)
			c.start(left)
			c.ready(left)
			c.eventually("the partition has no leader, and the one that could lead is alive", func() bool {
				im := c.brokers[controller].cache.Image()
				return c.brokers[controller].cache.Image().Broker(int32(left)) != nil && im.Broker(int32(leader)) == nil && c.state("unclean", 0).Leader < 0
			})
			value := "true"
			ops := []settings.Op{{Name: "unclean.leader.election.enable", Value: &value}}
			var err error
			if scope == "topic" {
				err = c.brokers[left].settings.AlterTopic(t.Context(), "unclean", ops, false)
			} else {
				err = c.brokers[left].settings.AlterBroker(t.Context(), "", ops, false)
			}
			if err != nil {
				t.Fatal(err)
			}
			c.eventually("the one that is left leads", func() bool { return c.state("unclean", 0).Leader == int32(left) })
		})
	}
}
