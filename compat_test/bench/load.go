package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/harness"
	"gokafka/compat_test/wire"
)

const (
	partitions = 4
	inFlight   = 5
)

// shape is what a batch is like.
type shape struct{ records, recordBytes int }

// usual is the shape of the steady figures.
func usual() shape { return shape{records: 64, recordBytes: 1024} }

// cost is what a load took.
type cost struct {
	bytes   int64
	cpu     float64 // seconds of the broker process
	elapsed time.Duration
}

func (c cost) cpuPerGB() float64 { return c.cpu / (float64(c.bytes) / 1e9) }
func (c cost) rate() float64     { return float64(c.bytes) / 1e6 / c.elapsed.Seconds() }

// timed runs one worker a partition and takes the broker's CPU over it.
func timed(b *harness.Broker, work func(partition int32) (int64, error)) (cost, error) {
	before, err := b.Process().CPUSeconds()
	if err != nil {
		return cost{}, err
	}
	start := time.Now()
	var wg sync.WaitGroup
	var bytes [partitions]int64
	var errs [partitions]error
	for p := range int32(partitions) {
		wg.Add(1)
		go func() { defer wg.Done(); bytes[p], errs[p] = work(p) }()
	}
	wg.Wait()
	c := cost{elapsed: time.Since(start)}
	after, err := b.Process().CPUSeconds()
	c.cpu = after - before
	for p := range partitions {
		c.bytes += bytes[p]
		err = errors.Join(err, errs[p])
	}
	return c, err
}

func produce(ctx context.Context, b *harness.Broker, topic string, bytes int64, like shape) (cost, error) {
	c, err := wire.Dial(ctx, b.Addr())
	if err != nil {
		return cost{}, err
	}
	defer c.Close()
	if err := create(c, topic); err != nil {
		return cost{}, err
	}
	return timed(b, func(p int32) (int64, error) { return producePartition(ctx, b.Addr(), topic, p, bytes/partitions, like) })
}

func create(c *wire.Conn, topic string) error {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 20000
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = topic, partitions, 1
	req.Topics = append(req.Topics, t)
	c.Timeout = 30 * time.Second
	resp, err := c.Ask(req, 5)
	if err != nil {
		return err
	}
	if err := kerr.ErrorForCode(resp.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode); err != nil {
		return fmt.Errorf("create %s: %w", topic, err)
	}
	// The answer comes when the controller has told the broker; give the metadata cache a moment to follow.
	time.Sleep(500 * time.Millisecond)
	return nil
}

func producePartition(ctx context.Context, addr, topic string, partition int32, bytes int64, like shape) (int64, error) {
	c, err := wire.Dial(ctx, addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	rnd := rand.New(rand.NewPCG(uint64(partition), 1))
	batch := wire.Batch{ProducerID: 5_000_000 + int64(partition)}
	for range like.records {
		v := make([]byte, like.recordBytes)
		for i := 0; i+8 <= len(v); i += 8 {
			binary.LittleEndian.PutUint64(v[i:], rnd.Uint64())
		}
		batch.Records = append(batch.Records, wire.Record{Value: v})
	}
	raw := batch.Bytes()
	var sent, answered int64
	for waiting, seq := 0, int32(0); answered < bytes; {
		for ; waiting < inFlight && sent < bytes; waiting++ {
			binary.BigEndian.PutUint32(raw[wire.PosBaseSequence:], uint32(seq))
			wire.FixCRC(raw)
			if err := c.Send(wire.ProduceRequest(topic, partition, raw), 9); err != nil {
				return answered, err
			}
			seq += int32(like.records)
			sent += int64(len(raw))
		}
		a, err := c.Receive()
		if err != nil {
			return answered, err
		}
		waiting--
		if err := kerr.ErrorForCode(a.Resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode); err != nil {
			return answered, fmt.Errorf("%s-%d: %w", topic, partition, err)
		}
		answered += int64(len(raw))
	}
	return answered, nil
}

func fetch(ctx context.Context, b *harness.Broker, topic string, bytes int64) (cost, error) {
	return timed(b, func(p int32) (int64, error) { return fetchPartition(ctx, b.Addr(), topic, p, bytes/partitions) })
}

func fetchPartition(ctx context.Context, addr, topic string, partition int32, bytes int64) (int64, error) {
	c, err := wire.Dial(ctx, addr)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	var got, offset int64
	for got < bytes {
		req := kmsg.NewPtrFetchRequest()
		req.MaxWaitMillis, req.MinBytes, req.MaxBytes, req.SessionEpoch = 500, 1, 50<<20, -1
		t, p := kmsg.NewFetchRequestTopic(), kmsg.NewFetchRequestTopicPartition()
		p.Partition, p.FetchOffset, p.PartitionMaxBytes = partition, offset, 1<<20
		t.Topic, t.Partitions = topic, append(t.Partitions, p)
		req.Topics = append(req.Topics, t)
		if err := c.Send(req, 11); err != nil {
			return got, err
		}
		a, err := c.Receive()
		if err != nil {
			return got, err
		}
		r := a.Resp.(*kmsg.FetchResponse).Topics[0].Partitions[0]
		if err := kerr.ErrorForCode(r.ErrorCode); err != nil {
			return got, fmt.Errorf("%s-%d at %d: %w", topic, partition, offset, err)
		}
		n, next := whole(r.RecordBatches)
		if n == 0 {
			return got, fmt.Errorf("%s-%d at %d: no batch in %d bytes", topic, partition, offset, len(r.RecordBatches))
		}
		got, offset = got+n, next
	}
	return got, nil
}

// whole is the size of the complete batches and the offset after the last of them.
func whole(raw []byte) (size, next int64) {
	for len(raw) >= 61 {
		n := int64(binary.BigEndian.Uint32(raw[wire.PosLength:])) + 12
		if n > int64(len(raw)) {
			break
		}
		next = int64(binary.BigEndian.Uint64(raw)) + int64(binary.BigEndian.Uint32(raw[wire.PosLastOffsetDelta:])) + 1
		size += n
		raw = raw[n:]
	}
	return size, next
}
