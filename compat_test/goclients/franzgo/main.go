// Command franzgo is the franz-go client of the suite.
package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
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
	case "copy":
		copyRecords(o)
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

func copyRecords(o *contract.Options) {
	ctx, stop := contract.UntilTerminated()
	defer stop()
	for ctx.Err() == nil {
		err := copySession(ctx, o)
		if errors.Is(err, kerr.ProducerFenced) {
			o.Fenced()
			return
		}
		if err != nil && ctx.Err() == nil {
			fmt.Fprintln(os.Stderr, "went on after", err)
			time.Sleep(100 * time.Millisecond)
		}
	}
}

// copySession copies with one session until that cannot go on.
func copySession(ctx context.Context, o *contract.Options) error {
	s, err := kgo.NewGroupTransactSession(kgo.SeedBrokers(o.Bootstrap...), kgo.TransactionalID(o.TxnID), kgo.TransactionTimeout(15*time.Second), kgo.ConsumerGroup(o.Group),
		kgo.ConsumeTopics(o.Topic), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.SessionTimeout(10*time.Second), kgo.HeartbeatInterval(500*time.Millisecond), kgo.RequireStableFetchOffsets(), kgo.RetryTimeout(20*time.Second),
		kgo.WithLogger(kgo.BasicLogger(os.Stderr, kgo.LogLevelInfo, nil)))
	if err != nil {
		return err
	}
	defer s.Close()
	for ctx.Err() == nil {
		fs := s.PollRecords(ctx, 50)
		if err := fs.Err(); err != nil {
			return err
		}
		if err := s.Begin(); err != nil {
			return err
		}
		n := 0
		var failed error
		var mu sync.Mutex
		put := func(partition int32, value []byte) {
			s.Produce(ctx, &kgo.Record{Topic: o.To, Partition: partition, Value: value}, func(_ *kgo.Record, err error) {
				mu.Lock()
				defer mu.Unlock()
				failed = errors.Join(failed, err)
			})
		}
		fs.EachRecord(func(r *kgo.Record) {
			n++
			put(r.Partition, r.Value)
			put((r.Partition+1)%int32(o.Partitions), append(slices.Clone(r.Value), '\''))
		})
		// What is begun is ended, whatever ctx says.
		flushed := s.Client().Flush(context.Background())
		mu.Lock()
		commit := failed == nil && flushed == nil && rand.IntN(5) > 0
		mu.Unlock()
		committed, err := s.End(context.Background(), kgo.TransactionEndTry(commit))
		if err != nil {
			return err
		}
		if committed {
			o.Copied(n)
		}
	}
	return nil
}
