package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"gokafka/compat_test/cluster"
	"gokafka/compat_test/harness"
)

var (
	streamsTime = flag.Duration("streams.time", 15*time.Second, "how long there are faults in TestStreamsCount")
	streamsSeed = flag.Uint64("streams.seed", 1, "of the faults in TestStreamsCount")
)

// TestStreamsCount lets two processes of Kafka Streams count the records of keys with exactly_once_v2, while brokers and the processes themselves are killed. Each count of a key must
// come once, in order, up to the number of its records.
func TestStreamsCount(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes: not with -short")
	}
	if target, err := harness.TargetFromEnv(); err != nil || target == harness.Apache {
		t.Skip("a cluster of gokafka alone")
	}
	_, err := harness.JavaLibs() // for ZooKeeper
	skips.Need(t, err)
	classes, err := harness.JavaStreams("Count.java")
	skips.Need(t, err)
	ctx := t.Context()
	dir := t.TempDir()
	c, err := cluster.Start(ctx, dir, cluster.Options{Targets: slices.Repeat([]harness.Target{harness.Gokafka}, 3), Props: map[string]string{
		"transaction.state.log.replication.factor": "3", "transaction.state.log.min.isr": "2", "transaction.state.log.num.partitions": "6",
		"offsets.topic.replication.factor": "3", "offsets.topic.num.partitions": "6"}})
	skips.Need(t, err)
	defer c.Close()
	for _, topic := range []string{"words", "counts"} {
		skips.Need(t, c.CreateTopic(ctx, topic, partitions, nil))
	}
	var processes [2]*harness.Process
	started := 0
	start := func(i int) {
		t.Helper()
		started++
		cmd := exec.Command("java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", classes, "Count",
			"bootstrap="+strings.Join(c.Seeds(), ","), "app=count", "from=words", "to=counts", "state="+filepath.Join(dir, fmt.Sprint("state-", i)))
		p, err := harness.StartProcess("streams", cmd, filepath.Join(dir, fmt.Sprintf("streams-%d.log", started)))
		skips.Need(t, err)
		processes[i] = p
	}
	defer func() {
		for _, p := range processes {
			if p != nil {
				p.Kill()
			}
		}
	}()
	start(0)
	start(1)

	feedCtx, stop := context.WithCancel(ctx)
	defer stop()
	var fed sync.WaitGroup
	sent := map[string]int{}
	var feedErr error
	fed.Go(func() { feedErr = words(feedCtx, c, sent) })
	rnd := rand.New(rand.NewPCG(*streamsSeed, 7))
	done := map[string]int{}
	for end := time.Now().Add(*streamsTime); time.Now().Before(end); {
		time.Sleep(time.Duration(1+rnd.IntN(3)) * time.Second)
		if rnd.IntN(3) > 0 {
			b := c.Brokers[rnd.IntN(3)]
			b.Kill()
			time.Sleep(time.Duration(rnd.IntN(3000)) * time.Millisecond)
			skips.Need(t, b.Launch(ctx))
			done["broker killed"]++
			continue
		}
		i := rnd.IntN(2)
		processes[i].Kill()
		start(i)
		done["process killed"]++
	}
	for _, b := range c.Brokers {
		skips.Need(t, b.WaitReady(ctx))
	}
	stop()
	fed.Wait()
	skips.Need(t, feedErr)
	total := 0
	for _, n := range sent {
		total += n
	}
	deadline := time.Now().Add(patience)
	for n := 0; n < total; time.Sleep(500 * time.Millisecond) {
		_, n = committedCounts(ctx, t, c)
		if time.Now().After(deadline) {
			t.Fatalf("%d of %d counts\n%s\n%s", n, total, processes[0].Tail(3000), processes[1].Tail(3000))
		}
	}
	stopping, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, p := range processes {
		_ = p.Terminate(stopping) // a JVM's status is that of its signal
	}
	counts, _ := committedCounts(ctx, t, c) // with what came late
	if len(done) == 0 {
		t.Error("nothing was killed")
	}
	for key, n := range sent {
		want := make([]string, n)
		for i := range want {
			want[i] = fmt.Sprint(i + 1)
		}
		if !slices.Equal(counts[key], want) {
			t.Errorf("%s: %d records, counted %d times: %v", key, n, len(counts[key]), firstWrong(counts[key]))
		}
	}
	t.Logf("%v, %d records of %d keys", done, total, len(sent))
}

// words writes records with few keys until ctx ends, and counts them.
func words(ctx context.Context, c *cluster.Cluster, sent map[string]int) error {
	cl, err := kgo.NewClient(append(c.ClientOptions(), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	var mu sync.Mutex
	var failed error
	for i := 0; ctx.Err() == nil; i++ {
		key := fmt.Sprint("key-", i%7)
		sent[key]++
		cl.Produce(context.Background(), &kgo.Record{Topic: "words", Key: []byte(key), Value: []byte("x")}, func(_ *kgo.Record, err error) {
			mu.Lock()
			defer mu.Unlock()
			failed = errors.Join(failed, err)
		})
		if i%10 == 9 {
			time.Sleep(50 * time.Millisecond)
		}
	}
	return errors.Join(cl.Flush(context.Background()), failed)
}

// committedCounts gives the committed counts of each key, and how many there are.
func committedCounts(ctx context.Context, t *testing.T, c *cluster.Cluster) (map[string][]string, int) {
	t.Helper()
	records, err := read(ctx, c, "counts")
	skips.Need(t, err)
	counts := map[string][]string{}
	for _, r := range records {
		counts[r.key] = append(counts[r.key], r.value)
	}
	return counts, len(records)
}

// firstWrong is what surrounds the first count that is not one more than that before it.
func firstWrong(counts []string) []string {
	for i := range counts {
		if counts[i] != fmt.Sprint(i+1) {
			return counts[max(0, i-3):min(len(counts), i+4)]
		}
	}
	return nil
}
