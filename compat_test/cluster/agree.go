package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/go-zookeeper/zk"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/wire"
)

// Agree waits until the Metadata of every broker is the same, field by field, and says of each partition what its state znode says.
func (c *Cluster) Agree(ctx context.Context) error {
	var first *kmsg.MetadataResponse
	return Await(ctx, "all brokers say the same", func() error {
		first = nil
		for _, b := range c.Brokers {
			m, err := metadata(ctx, b.Addr())
			if err != nil {
				return err
			}
			if first == nil {
				first = m
			} else if !reflect.DeepEqual(first, m) {
				x, _ := json.Marshal(first)
				y, _ := json.Marshal(m)
				return fmt.Errorf("brokers 0 and %d differ:\n%s\n%s", b.ID, x, y)
			}
		}
		return c.compareStates(first)
	})
}

// compareStates compares with the state znodes.
func (c *Cluster) compareStates(m *kmsg.MetadataResponse) error {
	conn, _, err := zk.Connect([]string{c.ZooKeeper.Addr}, 10*time.Second, zk.WithLogInfo(false))
	if err != nil {
		return err
	}
	defer conn.Close()
	for _, t := range m.Topics {
		for _, p := range t.Partitions {
			path := fmt.Sprintf("/brokers/topics/%s/partitions/%d/state", *t.Topic, p.Partition)
			data, _, err := conn.Get(path)
			if err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			var state struct {
				Leader      int32   `json:"leader"`
				LeaderEpoch int32   `json:"leader_epoch"`
				ISR         []int32 `json:"isr"`
			}
			if err := json.Unmarshal(data, &state); err != nil {
				return fmt.Errorf("%s: %w", path, err)
			}
			if state.Leader != p.Leader || state.LeaderEpoch != p.LeaderEpoch || !slices.Equal(state.ISR, p.ISR) {
				return fmt.Errorf("%s is %s, the brokers say leader %d, epoch %d, ISR %v", path, data, p.Leader, p.LeaderEpoch, p.ISR)
			}
		}
	}
	return nil
}

func metadata(ctx context.Context, addr string) (*kmsg.MetadataResponse, error) {
	conn, err := wire.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	a, err := conn.Ask(kmsg.NewPtrMetadataRequest(), 12)
	if err != nil {
		return nil, err
	}
	m := a.(*kmsg.MetadataResponse)
	// Apache and gokafka list brokers and topics in no order.
	return sorted(m), nil
}

func sorted(m *kmsg.MetadataResponse) *kmsg.MetadataResponse {
	slices.SortFunc(m.Brokers, func(a, b kmsg.MetadataResponseBroker) int { return cmp.Compare(a.NodeID, b.NodeID) })
	slices.SortFunc(m.Topics, func(a, b kmsg.MetadataResponseTopic) int { return cmp.Compare(*a.Topic, *b.Topic) })
	for i := range m.Topics {
		ps := m.Topics[i].Partitions
		slices.SortFunc(ps, func(a, b kmsg.MetadataResponseTopicPartition) int { return cmp.Compare(a.Partition, b.Partition) })
	}
	return m
}

// SameProducers compares what all replicas of a topic know of producers. Nobody writes meanwhile.
func (c *Cluster) SameProducers(ctx context.Context, topic string, partitions int32) error {
	return Await(ctx, "all replicas know the same of producers", func() error {
		m, err := c.Admin.Metadata(ctx, topic)
		if err != nil {
			return err
		}
		var first []byte
		for _, b := range c.Brokers {
			if !slices.Contains(m.Topics[topic].Partitions[0].Replicas, int32(b.ID)) {
				continue // it joined later
			}
			known, err := producers(ctx, b.Addr(), topic, partitions)
			if err != nil {
				return err
			}
			if first == nil {
				first = known
			} else if string(first) != string(known) {
				return fmt.Errorf("broker %d differs:\n%s\n%s", b.ID, first, known)
			}
		}
		return nil
	})
}

func producers(ctx context.Context, addr, topic string, partitions int32) ([]byte, error) {
	conn, err := wire.Dial(ctx, addr)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	req := kmsg.NewPtrDescribeProducersRequest()
	t := kmsg.NewDescribeProducersRequestTopic()
	t.Topic = topic
	for p := range partitions {
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	a, err := conn.Ask(req, 0)
	if err != nil {
		return nil, err
	}
	ps := a.(*kmsg.DescribeProducersResponse).Topics[0].Partitions
	for i := range ps {
		if err := kerr.ErrorForCode(ps[i].ErrorCode); err != nil {
			return nil, fmt.Errorf("%s-%d on %s: %w", topic, ps[i].Partition, addr, err)
		}
		slices.SortFunc(ps[i].ActiveProducers, func(a, b kmsg.DescribeProducersResponseTopicPartitionActiveProducer) int {
			return cmp.Compare(a.ProducerID, b.ProducerID)
		})
	}
	return json.Marshal(ps)
}

// Owner is the session that holds an ephemeral znode.
func (c *Cluster) Owner(path string) (session int64, err error) {
	conn, _, err := zk.Connect([]string{c.ZooKeeper.Addr}, 10*time.Second, zk.WithLogInfo(false))
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	ok, stat, err := conn.Exists(path)
	if err == nil && !ok {
		err = zk.ErrNoNode
	}
	if err != nil {
		return 0, fmt.Errorf("%s: %w", path, err)
	}
	return stat.EphemeralOwner, nil
}

// AskForTopics asks for topics, one request each, and returns when the first is there. What comes of the others does not matter; the channel is closed when all
// were answered or given up.
func (c *Cluster) AskForTopics(ctx context.Context, prefix string, n int) <-chan struct{} {
	var all sync.WaitGroup
	first, done := make(chan struct{}), make(chan struct{})
	var once sync.Once
	for i := range n {
		all.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
			defer cancel()
			_ = c.CreateTopic(ctx, fmt.Sprintf("%s-%d", prefix, i), 2, nil)
			once.Do(func() { close(first) })
		})
	}
	go func() {
		all.Wait()
		close(done)
	}()
	<-first
	return done
}
