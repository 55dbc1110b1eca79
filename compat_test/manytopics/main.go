// Command manytopics measures how long the controller takes for many partitions, and what they cost: 5,000 topics of one partition with three replicas on three
// brokers, and one topic of 2,000 partitions on one broker, on a real ZooKeeper, for each broker program in turn.
//
//	go run ./compat_test/manytopics [-topics 5000] [-partitions 2000] [-rounds 1] [-targets gokafka,apache]
//
// The time is from the first request until every broker's Metadata shows every partition led and with all its replicas in sync; the memory is resident bytes of
// all brokers 5 s later, on Linux. Both are of one machine that runs everything: compare, do not quote.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/cluster"
	"gokafka/compat_test/harness"
)

// A request names this many topics, and so many requests are under way.
const (
	topicsPerRequest = 250
	inFlight         = 4
	patience         = 8 * time.Minute
)

func main() {
	topics := flag.Int("topics", 5000, "topics of one partition with three replicas; 0 leaves this measure out")
	partitions := flag.Int("partitions", 2000, "partitions of the one topic; 0 leaves this measure out")
	rounds := flag.Int("rounds", 1, "of each program, in turn")
	targets := flag.String("targets", "gokafka,apache", "broker programs")
	flag.Parse()
	for round := range *rounds {
		for _, name := range strings.Split(*targets, ",") {
			target, err := harness.ParseTarget(name)
			if err == nil && *topics > 0 {
				err = run(target, 3, round, fmt.Sprintf("%d topics x 3 replicas", *topics), manyTopics(*topics))
			}
			if err == nil && *partitions > 0 {
				err = run(target, 1, round, fmt.Sprintf("1 topic x %d partitions", *partitions), []kmsg.CreateTopicsRequestTopic{wanted("wide", *partitions, 1)})
			}
			if err != nil {
				fmt.Fprintln(os.Stderr, "manytopics:", name+":", err)
				os.Exit(1)
			}
		}
	}
}

func manyTopics(n int) []kmsg.CreateTopicsRequestTopic {
	var out []kmsg.CreateTopicsRequestTopic
	for i := range n {
		out = append(out, wanted("many-"+strconv.Itoa(i), 1, 3))
	}
	return out
}

func wanted(name string, partitions, replicas int) kmsg.CreateTopicsRequestTopic {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, int32(partitions), int16(replicas)
	return t
}

func run(target harness.Target, brokers, round int, what string, topics []kmsg.CreateTopicsRequestTopic) error {
	dir, err := os.MkdirTemp("", "gokafka-manytopics-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c, err := cluster.Start(ctx, dir, cluster.Options{Targets: slices.Repeat([]harness.Target{target}, brokers), JVM: []string{"-Xmx1G", "-Xms256M", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"}})
	if err != nil {
		return err
	}
	defer c.Close()
	cpuBefore, err := sum(c, (*harness.Process).CPUSeconds)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := create(ctx, c, topics); err != nil {
		return err
	}
	answered := time.Since(began)
	if err := awaitAll(ctx, c, topics); err != nil {
		return err
	}
	took := time.Since(began)
	cpu, err := sum(c, (*harness.Process).CPUSeconds)
	if err != nil {
		return err
	}
	time.Sleep(5 * time.Second) // what the measure is of
	rss, err := sum(c, (*harness.Process).ResidentBytes)
	if err != nil {
		return err
	}
	fmt.Printf("round %d %-8s %s: answered after %.2f s, led and in sync after %.2f s, %.1f CPU s, %.0f MB resident\n", round, target, what, answered.Seconds(), took.Seconds(), cpu-cpuBefore, rss/1e6)
	return nil
}

func sum(c *cluster.Cluster, of func(*harness.Process) (float64, error)) (float64, error) {
	total := 0.0
	for _, b := range c.Brokers {
		v, err := of(b.Process())
		if err != nil {
			return 0, err
		}
		total += v
	}
	return total, nil
}

// create sends all requests and waits for their answers.
func create(ctx context.Context, c *cluster.Cluster, topics []kmsg.CreateTopicsRequestTopic) error {
	var mu sync.Mutex
	var failed []error
	var wg sync.WaitGroup
	slots := make(chan struct{}, inFlight)
	for chunk := range slices.Chunk(topics, topicsPerRequest) {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			req := kmsg.NewPtrCreateTopicsRequest()
			req.Topics, req.TimeoutMillis = chunk, int32(patience.Milliseconds())
			resp, err := req.RequestWith(ctx, c.Client)
			if err == nil {
				for _, t := range resp.Topics {
					err = errors.Join(err, kerr.ErrorForCode(t.ErrorCode))
				}
			}
			if err != nil {
				mu.Lock()
				failed = append(failed, err)
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return errors.Join(failed...)
}

// awaitAll waits until each broker says that all partitions are led and in sync.
func awaitAll(ctx context.Context, c *cluster.Cluster, topics []kmsg.CreateTopicsRequestTopic) error {
	for id := range c.Brokers {
		for {
			missing, err := missing(ctx, c, id, topics)
			if err != nil {
				return err
			}
			if missing == 0 {
				break
			}
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("broker %d: %d partitions are not led or not in sync: %w", id, missing, err)
			}
			time.Sleep(100 * time.Millisecond)
		}
	}
	return nil
}

func missing(ctx context.Context, c *cluster.Cluster, broker int, topics []kmsg.CreateTopicsRequestTopic) (int, error) {
	req := kmsg.NewPtrMetadataRequest()
	resp, err := c.Client.Broker(broker).RetriableRequest(ctx, req)
	if err != nil {
		return 0, err
	}
	want := 0
	for _, t := range topics {
		want += int(t.NumPartitions)
	}
	for _, t := range resp.(*kmsg.MetadataResponse).Topics {
		for _, p := range t.Partitions {
			if t.ErrorCode == 0 && p.ErrorCode == 0 && p.Leader >= 0 && len(p.ISR) == len(p.Replicas) {
				want--
			}
		}
	}
	return want, nil
}
