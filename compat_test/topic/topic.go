// Package topic asks a broker about topics, by single requests.
package topic

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/wire"
)

// Create makes a topic of one replica and waits until its partitions can be used.
func Create(ctx context.Context, addr, name string, partitions int32) error {
	c, err := wire.Dial(ctx, addr)
	if err != nil {
		return err
	}
	defer c.Close()
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 30000
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = name, partitions, 1
	req.Topics = append(req.Topics, rt)
	resp, err := c.Ask(req, 5)
	if err == nil {
		err = kerr.ErrorForCode(resp.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode)
	}
	if err != nil {
		return fmt.Errorf("create %s: %w", name, err)
	}
	return Await(c, name, partitions)
}

// Await waits until Metadata shows every partition with a leader and each answers ListOffsets.
func Await(c *wire.Conn, name string, partitions int32) error {
	var last error
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if last = ready(c, name, partitions); last == nil {
			return nil
		}
	}
	return fmt.Errorf("topic %s: %w", name, last)
}

func ready(c *wire.Conn, name string, partitions int32) error {
	req := kmsg.NewPtrMetadataRequest()
	mt := kmsg.NewMetadataRequestTopic()
	mt.Topic = kmsg.StringPtr(name)
	req.Topics = append(req.Topics, mt)
	resp, err := c.Ask(req, 5)
	if err != nil {
		return err
	}
	m := resp.(*kmsg.MetadataResponse).Topics[0]
	if m.ErrorCode != 0 || len(m.Partitions) != int(partitions) {
		return fmt.Errorf("metadata: error %d, %d partitions", m.ErrorCode, len(m.Partitions))
	}
	_, err = Ends(c, name, partitions)
	return err
}

// Ends are the high watermarks of a topic.
func Ends(c *wire.Conn, name string, partitions int32) ([]int64, error) {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	rt := kmsg.NewListOffsetsRequestTopic()
	rt.Topic = name
	for p := range partitions {
		rp := kmsg.NewListOffsetsRequestTopicPartition()
		rp.Partition, rp.Timestamp = p, -1
		rt.Partitions = append(rt.Partitions, rp)
	}
	req.Topics = append(req.Topics, rt)
	resp, err := c.Ask(req, 5)
	if err != nil {
		return nil, err
	}
	ends := make([]int64, partitions)
	for _, p := range resp.(*kmsg.ListOffsetsResponse).Topics[0].Partitions {
		if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
			return nil, fmt.Errorf("%s-%d: %w", name, p.Partition, err)
		}
		ends[p.Partition] = p.Offset
	}
	return ends, nil
}

// Served says whether the broker advertises an API key.
func Served(c *wire.Conn, key int16) (bool, error) {
	resp, err := c.Ask(kmsg.NewPtrApiVersionsRequest(), 0)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(resp.(*kmsg.ApiVersionsResponse).ApiKeys, func(k kmsg.ApiVersionsResponseApiKey) bool { return k.ApiKey == key }), nil
}
