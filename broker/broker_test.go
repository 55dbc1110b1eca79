package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"gokafka/config"
	"gokafka/internal/clock"
	"gokafka/internal/kafkalog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startBroker starts a broker with embedded coordination on free ports. Its data is in dir.
func startBroker(t *testing.T, dir string, changes map[string]string) *Broker {
	t.Helper()
	props := map[string]string{
		"broker.id": "0", "listeners": "PLAINTEXT://127.0.0.1:0", "log.dirs": dir, "num.partitions": "1",
		"offsets.topic.replication.factor": "1", "transaction.state.log.replication.factor": "1",
	}
	for k, v := range changes {
		props[k] = v
	}
	cfg, err := config.NewBroker(props)
	if err != nil {
		t.Fatal(err)
	}
	var logger *slog.Logger
	if os.Getenv("GOKAFKA_TEST_LOG") != "" {
		logger = slog.New(kafkalog.New(os.Stderr, clock.New(), slog.LevelDebug))
	}
	b, err := Start(t.Context(), Options{Config: cfg, Logger: logger, HTTP: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Stop(context.Background()) })
	return b
}

func (b *Broker) addr(i int) string { return b.bound[i].sockets[0].Addr().String() }

func client(t *testing.T, b *Broker, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(b.addr(0)), kgo.AllowAutoTopicCreation()}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func produce(t *testing.T, cl *kgo.Client, topic string, from, n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for i := range n {
		cl.Produce(ctx, &kgo.Record{Topic: topic, Key: []byte(fmt.Sprint(from + i)), Value: []byte(fmt.Sprint("value ", from+i))}, func(r *kgo.Record, err error) {
			if err != nil {
				t.Error(err)
			}
		})
	}
	if err := cl.Flush(ctx); err != nil {
		t.Fatal(err)
	}
}

func consume(t *testing.T, b *Broker, topic string, n int) []*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cl := client(t, b, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	defer cl.Close()
	var got []*kgo.Record
	for len(got) < n {
		fs := cl.PollFetches(ctx)
		if err := fs.Err0(); err != nil {
			t.Fatalf("after %d of %d records: %v", len(got), n, err)
		}
		fs.EachError(func(topic string, p int32, err error) { t.Errorf("%s-%d: %v", topic, p, err) })
		got = append(got, fs.Records()...)
	}
	return got
}

func TestProduceConsumeAndRestart(t *testing.T) {
	dir := t.TempDir()
	for round := range 3 {
		b := startBroker(t, dir, nil)
		cl := client(t, b)
		produce(t, cl, "first", round*1000, 1000)
		cl.Close()
		got := consume(t, b, "first", (round+1)*1000)
		for i, r := range got {
			if r.Offset != int64(i) || string(r.Key) != fmt.Sprint(i) {
				t.Fatalf("round %d: record %d has offset %d and key %s", round, i, r.Offset, r.Key)
			}
		}
		if err := b.Stop(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := os.Stat(filepath.Join(dir, ".kafka_cleanshutdown")); err != nil {
			t.Error("no mark of a clean shutdown:", err)
		}
	}
}

func TestTopicLifecycle(t *testing.T) {
	b := startBroker(t, t.TempDir(), nil)
	adm := kadm.NewClient(client(t, b))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for round := range 3 {
		for {
			resp, err := adm.CreateTopics(ctx, 6, 1, map[string]*string{"retention.ms": kadm.StringPtr("60000")}, "life")
			// A deletion is answered when the metadata is gone; the files and znodes of the topic go a little later, as in Apache.
			if err == nil && errors.Is(resp["life"].Err, kerr.TopicAlreadyExists) && round > 0 {
				continue
			}
			if err != nil || resp["life"].Err != nil {
				t.Fatal(round, err, resp)
			}
			break
		}
		cl := client(t, b, kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
		produce(t, cl, "life", 0, 100)
		cl.Close()
		if got := consume(t, b, "life", 100); got[0].Offset != 0 {
			t.Errorf("round %d: a topic made anew begins at offset %d", round, got[0].Offset)
		}
		added, err := adm.UpdatePartitions(ctx, 8, "life")
		if err != nil || added["life"].Err != nil {
			t.Fatal(round, err, added)
		}
		md, err := adm.Metadata(ctx, "life")
		if err != nil || len(md.Topics["life"].Partitions) != 8 {
			t.Fatal(round, err, md)
		}
		if del, err := adm.DeleteTopics(ctx, "life"); err != nil || del["life"].Err != nil {
			t.Fatal(round, err, del)
		}
		cfgs, err := adm.DescribeTopicConfigs(ctx, "life")
		if err != nil || cfgs[0].Err == nil {
			t.Errorf("round %d: a deleted topic is described: %v %v", round, cfgs, err)
		}
	}
}
