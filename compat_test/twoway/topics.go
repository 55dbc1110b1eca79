package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/wire"
)

// topic is one way of keeping a log that both brokers must agree on.
type topic struct {
	name       string
	partitions int32
	configs    map[string]string
	// keys is how many keys its records have; 0 = each its own.
	keys int
	// compacted topics may lack what a later record of the same key replaced.
	compacted bool
	// deletes topics are told to delete records from their start.
	deletes bool
}

// topics are those of a run. Small segments make many rolls; the compacted ones are cleaned by Apache while it serves.
// None rolls by a full index: an Apache broker that was restarted puts one batch more into such a segment than its index has
// room for when it recovers it, and then does not start ("Attempt to append to a full index").
func topics() []topic {
	return []topic{
		{name: "plain", partitions: 3},
		{name: "small.segments_with-dashes-7", partitions: 2, configs: map[string]string{"segment.bytes": "3000", "index.interval.bytes": "100"}},
		{name: "by-time", partitions: 1, configs: map[string]string{"segment.ms": "40"}},
		{name: "append-time", partitions: 1, configs: map[string]string{
			"message.timestamp.type": "LogAppendTime", "segment.bytes": "4096", "index.interval.bytes": "0"}},
		{name: "to-zstd", partitions: 1, configs: map[string]string{"compression.type": "zstd"}},
		{name: "to-gzip", partitions: 1, configs: map[string]string{"compression.type": "gzip", "segment.bytes": "4096"}},
		{name: "to-lz4", partitions: 1, configs: map[string]string{"compression.type": "lz4"}},
		{name: "to-snappy", partitions: 1, configs: map[string]string{"compression.type": "snappy"}},
		{name: "uncompressed", partitions: 1, configs: map[string]string{"compression.type": "uncompressed"}},
		{name: "preallocated", partitions: 1, configs: map[string]string{"preallocate": "true", "segment.bytes": "65536"}},
		{name: "flushed", partitions: 1, configs: map[string]string{"flush.messages": "5", "segment.bytes": "8192"}},
		{name: "deleted-records", partitions: 1, configs: map[string]string{"segment.bytes": "3000"}, deletes: true},
		{name: "unique-keys", partitions: 1, configs: compact(), compacted: true},
		{name: "same-keys", partitions: 1, configs: compact(), compacted: true, keys: 40},
	}
}

func compact() map[string]string {
	return map[string]string{"cleanup.policy": "compact", "segment.bytes": "4096", "min.cleanable.dirty.ratio": "0.01", "file.delete.delay.ms": "200"}
}

// createTopic makes a topic of one replica; a topic that is there already is an error.
func createTopic(c *wire.Conn, t topic) error {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 30000
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = t.name, t.partitions, 1
	for k, v := range t.configs {
		rc := kmsg.NewCreateTopicsRequestTopicConfig()
		rc.Name, rc.Value = k, kmsg.StringPtr(v)
		rt.Configs = append(rt.Configs, rc)
	}
	req.Topics = append(req.Topics, rt)
	resp, err := c.Ask(req, 5)
	if err != nil {
		return err
	}
	if err := kerr.ErrorForCode(resp.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode); err != nil {
		return fmt.Errorf("create %s: %w", t.name, err)
	}
	return nil
}

func deleteTopic(c *wire.Conn, name string) error {
	req := kmsg.NewPtrDeleteTopicsRequest()
	req.TimeoutMillis, req.TopicNames = 30000, []string{name}
	resp, err := c.Ask(req, 4)
	if err != nil {
		return err
	}
	if err := kerr.ErrorForCode(resp.(*kmsg.DeleteTopicsResponse).Topics[0].ErrorCode); err != nil {
		return fmt.Errorf("delete %s: %w", name, err)
	}
	return nil
}

// metadata asks for all topics.
func metadata(c *wire.Conn) (map[string]kmsg.MetadataResponseTopic, error) {
	resp, err := c.Ask(kmsg.NewPtrMetadataRequest(), 12)
	if err != nil {
		return nil, err
	}
	out := map[string]kmsg.MetadataResponseTopic{}
	for _, t := range resp.(*kmsg.MetadataResponse).Topics {
		if t.Topic != nil {
			out[*t.Topic] = t
		}
	}
	return out, nil
}

// retry calls try every 20 ms until it returns nil, at most for a minute.
func retry(ctx context.Context, what string, try func() error) error {
	var err error
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(20 * time.Millisecond) {
		if err = try(); err == nil {
			return nil
		}
		if ctx.Err() != nil {
			break
		}
	}
	return fmt.Errorf("%s: %w", what, err)
}

func newProducerID(ctx context.Context, c *wire.Conn) (id int64, err error) {
	err = retry(ctx, "producer id", func() error {
		resp, err := c.Ask(kmsg.NewPtrInitProducerIDRequest(), 1)
		if err != nil {
			return err
		}
		id = resp.(*kmsg.InitProducerIDResponse).ProducerID
		if err := kerr.ErrorForCode(resp.(*kmsg.InitProducerIDResponse).ErrorCode); err != nil || id != 0 {
			return err
		}
		return errors.New("the next one: package wire takes 0 for none")
	})
	return id, err
}
