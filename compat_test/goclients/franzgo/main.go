// Command franzgo is the franz-go client of the suite.
package main

import (
	"context"
	"os"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"gokafka/compat_test/goclients/contract"
)

func main() {
	o := contract.Parse()
	switch o.Mode {
	case "consume":
		consume(o)
	case "member":
		member(o)
	default:
		o.Each(func(codec string) { produce(o, codec) })
	}
	o.End()
}

func produce(o *contract.Options, codec string) {
	codecs := map[string]kgo.CompressionCodec{"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(),
		"snappy": kgo.SnappyCompression(), "lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression()}
	cl, err := kgo.NewClient(kgo.SeedBrokers(o.Bootstrap...), kgo.ClientID(o.Client), kgo.ProducerBatchCompression(codecs[codec]),
		kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RecordDeliveryTimeout(3*time.Minute), kgo.ProducerLinger(5*time.Millisecond),
		kgo.RetryBackoffFn(func(int) time.Duration { return 100 * time.Millisecond }), kgo.RetryTimeout(3*time.Minute),
		kgo.WithLogger(kgo.BasicLogger(os.Stderr, kgo.LogLevelInfo, nil)))
	if err != nil {
		contract.Fatal(err)
	}
	defer cl.Close()
	var wg sync.WaitGroup
	o.Pace(func(p int32, seq int) {
		wg.Add(1)
		r := &kgo.Record{Topic: o.Topic, Partition: p, Value: o.Value(codec, p, seq)}
		cl.Produce(context.Background(), r, func(r *kgo.Record, err error) {
			defer wg.Done()
			if err != nil {
				o.Fail(codec, p, seq, err)
				return
			}
			o.Ack(codec, p, seq, r.Offset)
		})
	}, nil)
	wg.Wait()
}

func consume(o *contract.Options) {
	at := map[int32]kgo.Offset{}
	for p, e := range o.Ends {
		if e > 0 {
			at[int32(p)] = kgo.NewOffset().At(0)
		}
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(o.Bootstrap...), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{o.Topic: at}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.WithLogger(kgo.BasicLogger(os.Stderr, kgo.LogLevelWarn, nil)))
	if err != nil {
		contract.Fatal(err)
	}
	defer cl.Close()
	for len(at) > 0 {
		fs := cl.PollFetches(context.Background())
		if err := fs.Err(); err != nil {
			contract.Fatal(err)
		}
		fs.EachRecord(func(r *kgo.Record) {
			o.Rec(r.Partition, r.Offset, r.Value)
			if r.Offset+1 >= o.Ends[r.Partition] {
				delete(at, r.Partition)
			}
		})
	}
}

func member(o *contract.Options) {
	ctx, stop := contract.UntilTerminated()
	defer stop()
	balancer := kgo.RangeBalancer()
	if o.Protocol == "cooperative" {
		balancer = kgo.CooperativeStickyBalancer()
	}
	opts := []kgo.Opt{kgo.Balancers(balancer)}
	if o.Protocol == "consumer" {
		opts = []kgo.Opt{kgo.ServerSideBalancer()}
	}
	lose := func(_ context.Context, _ *kgo.Client, lost map[string][]int32) { o.Lose(lost[o.Topic]) }
	cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(o.Bootstrap...), kgo.ClientID(o.Client), kgo.ConsumerGroup(o.Group), kgo.ConsumeTopics(o.Topic),
		kgo.SessionTimeout(10*time.Second), kgo.HeartbeatInterval(500*time.Millisecond), kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, got map[string][]int32) { o.Own(got[o.Topic]) }),
		kgo.OnPartitionsRevoked(lose), kgo.OnPartitionsLost(lose),
		kgo.WithLogger(kgo.BasicLogger(os.Stderr, kgo.LogLevelInfo, nil)))...)
	if err != nil {
		contract.Fatal(err)
	}
	defer cl.CloseAllowingRebalance()
	for ctx.Err() == nil {
		fs := cl.PollRecords(ctx, 100)
		next := map[int32]int64{}
		fs.EachRecord(func(r *kgo.Record) {
			o.Did(r.Partition, r.Offset)
			next[r.Partition] = r.Offset + 1
		})
		// The commit is for this member's time in the group, whatever ctx says: what is processed is to be known.
		if len(next) > 0 && cl.CommitRecords(context.Background(), fs.Records()...) == nil {
			for p, n := range next {
				o.Committed(p, n)
			}
		}
		cl.AllowRebalance()
	}
}
