package cluster

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"

	"github.com/go-zookeeper/zk"
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
