package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/cluster"
	"gokafka/compat_test/wire"
)

// agree compares the Metadata of every broker, field by field, and the producers that each leader knows.
func agree(ctx context.Context, c *cluster.Cluster) error {
	var first *kmsg.MetadataResponse
	return cluster.Await(ctx, "all brokers say the same", func() error {
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
		return nil
	})
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
