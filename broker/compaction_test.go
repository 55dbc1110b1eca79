package broker

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"gokafka/metadata"
)

// TestCompactedTopic: a running broker compacts a topic under an idempotent producer, which goes on; after a restart consumers still find the last record of
// each key, at the offset at which it was written. The topic becomes compacted, and the cleaners more, while the broker runs.
func TestCompactedTopic(t *testing.T) {
	dir := t.TempDir()
	changes := map[string]string{"log.cleaner.backoff.ms": "20", "log.cleaner.dedupe.buffer.size": "8388608"}
	b := startBroker(t, dir, changes)
	cl := client(t, b)
	adm := kadm.NewClient(cl)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if _, err := adm.CreateTopic(ctx, 1, 1, map[string]*string{"segment.bytes": kadm.StringPtr("2048"), "min.cleanable.dirty.ratio": kadm.StringPtr("0.01")}, "c"); err != nil {
		t.Fatal(err)
	}
	last := map[string]int64{}
	round := func(n int) {
		for range n {
			for k := range 20 {
				key := fmt.Sprint(k)
				r, err := cl.ProduceSync(ctx, &kgo.Record{Topic: "c", Key: []byte(key), Value: []byte("a value of " + key)}).First()
				if err != nil {
					t.Fatal(err)
				}
				last[key] = r.Offset
			}
		}
	}
	round(10)
	if _, err := adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{{Name: "cleanup.policy", Value: kadm.StringPtr("compact")}}, "c"); err != nil {
		t.Fatal(err)
	}
	if _, err := adm.AlterBrokerConfigs(ctx, []kadm.AlterConfig{{Name: "log.cleaner.threads", Value: kadm.StringPtr("2")}}); err != nil {
		t.Fatal(err)
	}
	cleaned := func(beyond int64) {
		t.Helper()
		for {
			l, ok := b.logs.Get(metadata.TopicPartition{Topic: "c"})
			if ok {
				if to, _ := l.CleanedTo(); to > beyond {
					return
				}
			}
			select {
			case <-ctx.Done():
				t.Fatal("the log is not cleaned")
			case <-time.After(time.Millisecond):
			}
		}
	}
	cleaned(100)
	round(10) // the producer's sequence goes on
	cleaned(300)
	check := func() {
		t.Helper()
		c := client(t, b, kgo.ConsumeTopics("c"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
		defer c.Close()
		found, n := map[string]int64{}, 0
		for next := int64(0); next < 400; {
			fs := c.PollFetches(ctx)
			if err := fs.Err(); err != nil {
				t.Fatal(err)
			}
			for _, r := range fs.Records() {
				if r.Offset < next {
					t.Fatalf("offset %d after %d", r.Offset, next-1)
				}
				next = r.Offset + 1
				found[string(r.Key)] = r.Offset
				n++
			}
		}
		for key, offset := range last {
			if found[key] != offset {
				t.Fatalf("key %s is at %d, was last written at %d", key, found[key], offset)
			}
		}
		if n > 200 {
			t.Fatalf("%d of 400 records are left", n)
		}
	}
	check()
	if err := b.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	b = startBroker(t, dir, changes)
	check()
	if err := b.Stop(ctx); err != nil {
		t.Fatal(err)
	}
}
