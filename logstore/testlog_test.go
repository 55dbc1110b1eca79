package logstore

import (
	"bytes"
	"log/slog"
	"math"
	"testing"
	"time"

	"gokafka/config"
	"gokafka/internal/clock"
	"gokafka/internal/vfs"
	"gokafka/metadata"
	"gokafka/record"
)

var testTP = metadata.TopicPartition{Topic: "t", Partition: 0}

// topicConfig has Kafka's defaults, except that nothing is deleted by time.
func topicConfig() *config.Topic {
	return &config.Topic{
		CleanupDelete: true, CompressionType: "producer", DeleteRetention: 24 * time.Hour, FileDeleteDelay: time.Minute,
		FlushMessages: math.MaxInt64, FlushInterval: math.MaxInt64, IndexIntervalBytes: 4096, MaxCompactionLag: math.MaxInt64,
		MaxMessageBytes: 1048588, MinInsyncReplicas: 1, RetentionBytes: -1, Retention: -1,
		SegmentBytes: 1 << 30, SegmentIndexBytes: 10 << 20, SegmentMaxAge: 7 * 24 * time.Hour,
		TimestampBeforeMax: math.MaxInt64, TimestampAfterMax: math.MaxInt64,
		CompressionGzipLevel: -1, CompressionLz4Level: 9, CompressionZstdLevel: 3,
	}
}

func with(f func(c *config.Topic)) *config.Topic {
	c := topicConfig()
	f(c)
	return c
}

func testOptions(fs vfs.FS, cfg *config.Topic) Options {
	return Options{
		FS: fs, Dir: "/data/t-0", TopicPartition: testTP, TopicID: metadata.TopicID{1, 2, 3}, Config: cfg, Clock: clock.New(),
		Logger: slog.New(slog.DiscardHandler), Codecs: record.NewCodecs(),
		Producers: ProducerOptions{ExpirationMs: 86400000, MaxTxnTimeoutMs: 900000},
	}
}

func openLog(tb testing.TB, o Options) *Log {
	tb.Helper()
	l, err := Open(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { l.Close() })
	return l
}

// batch builds a batch of n records with values of size bytes, at offset 0, as a producer sends it.
func batch(tb fataler, n, size int, ts int64) []byte {
	tb.Helper()
	return specBatch(tb, record.NewBatchSpec(), n, size, ts)
}

func specBatch(tb fataler, spec record.BatchSpec, n, size int, ts int64) []byte {
	tb.Helper()
	b := record.NewBuilder(spec)
	for i := range n {
		if err := b.AppendAt(spec.BaseOffset+int64(i), ts+int64(i), []byte("k"), bytes.Repeat([]byte{byte(i)}, size)); err != nil {
			tb.Fatal(err)
		}
	}
	out, _, err := b.Build(nil, record.NewCodecs())
	if err != nil {
		tb.Fatal(err)
	}
	return out
}

func mustAppend(tb testing.TB, l *Log, payload []byte) AppendInfo {
	tb.Helper()
	info, err := l.AppendAsLeader(payload, AppendOptions{})
	if err != nil {
		tb.Fatal(err)
	}
	return info
}

// readAll reads batches from offset to the log end.
func readAll(tb testing.TB, l *Log, offset int64) []record.Batch {
	tb.Helper()
	var out []record.Batch
	for {
		r, err := l.Read(offset, 1<<20, LogEnd, true)
		if err != nil {
			tb.Fatal(err)
		}
		if r.Range.Len == 0 {
			return out
		}
		buf := make([]byte, r.Range.Len)
		if err := r.Range.CopyTo(buf); err != nil {
			tb.Fatal(err)
		}
		r.Range.Release()
		for len(buf) > 0 {
			b, rest, err := record.Next(buf)
			if err != nil {
				tb.Fatalf("at offset %d: %v", offset, err)
			}
			if b.LastOffset() < offset {
				tb.Fatalf("batch %d-%d is below %d", b.BaseOffset(), b.LastOffset(), offset)
			}
			out = append(out, b)
			offset, buf = b.NextOffset(), rest
		}
	}
}
