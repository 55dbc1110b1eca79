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
	if o.Mode == "consume" {
		consume(o)
	} else {
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
