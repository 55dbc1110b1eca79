// Command replicated measures what replication costs: three brokers on a real ZooKeeper, a topic with three replicas, idempotent producers with acks=all. It
// prints the CPU seconds of all three brokers for each GB that was acknowledged, and the rate, for each broker program in turn.
//
//	go run ./compat_test/replicated [-mb 600] [-rounds 2] [-targets gokafka,apache]
//
// CPU is utime+stime of the processes, on Linux. Rates are those of one machine that runs clients and brokers: compare, do not quote.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"gokafka/compat_test/cluster"
	"gokafka/compat_test/harness"
)

const (
	topic      = "replicated"
	partitions = 6
	valueBytes = 1024
)

func main() {
	mb := flag.Int("mb", 600, "megabytes of values to write, after half as many to warm up")
	rounds := flag.Int("rounds", 2, "of each program, in turn")
	targets := flag.String("targets", "gokafka,apache", "broker programs")
	flag.Parse()
	for round := range *rounds {
		for _, name := range strings.Split(*targets, ",") {
			target, err := harness.ParseTarget(name)
			if err == nil {
				err = run(target, round, *mb)
			}
			if err != nil {
				fmt.Fprintln(os.Stderr, "replicated:", name+":", err)
				os.Exit(1)
			}
		}
	}
}

func run(target harness.Target, round, mb int) error {
	dir, err := os.MkdirTemp("", "gokafka-replicated-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	c, err := cluster.Start(ctx, dir, cluster.Options{Targets: slices.Repeat([]harness.Target{target}, 3), JVM: kafkaJVM()})
	if err != nil {
		return err
	}
	defer c.Close()
	if err := c.CreateTopic(ctx, topic, partitions, nil); err != nil {
		return err
	}
	if _, _, err := load(ctx, c, mb/2); err != nil {
		return err
	}
	cpu, took, err := load(ctx, c, mb)
	if err != nil {
		return err
	}
	gb := float64(mb) / 1000
	fmt.Printf("round %d %-8s %.2f CPU s/GB, %.0f MB/s\n", round, target, cpu/gb, float64(mb)/took.Seconds())
	return nil
}

// kafkaJVM are the options of Kafka's own start script.
func kafkaJVM() []string {
	return []string{"-Xmx1G", "-Xms1G", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent"}
}

// load writes and returns the CPU seconds of the brokers, until the followers have all.
func load(ctx context.Context, c *cluster.Cluster, mb int) (cpu float64, took time.Duration, err error) {
	before, err := cpuOf(c)
	if err != nil {
		return 0, 0, err
	}
	began := time.Now()
	var wg sync.WaitGroup
	errs := make([]error, partitions)
	for p := range int32(partitions) {
		wg.Go(func() { errs[p] = write(ctx, c, p, mb*1e6/valueBytes/partitions) })
	}
	wg.Wait()
	took = time.Since(began)
	if err := errors.Join(errs...); err != nil {
		return 0, 0, err
	}
	after, err := cpuOf(c)
	return after - before, took, err
}

func write(ctx context.Context, c *cluster.Cluster, p int32, records int) error {
	cl, err := kgo.NewClient(append(c.ClientOptions(), kgo.ProducerBatchMaxBytes(64<<10), kgo.ProducerLinger(5*time.Millisecond), kgo.ProducerBatchCompression(kgo.NoCompression()))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	value := make([]byte, valueBytes)
	rnd := rand.New(rand.NewPCG(uint64(p), 7))
	for i := range value {
		value[i] = byte(rnd.Uint32())
	}
	var once sync.Once
	var failed error
	for range records {
		cl.Produce(ctx, &kgo.Record{Topic: topic, Partition: p, Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				once.Do(func() { failed = err })
			}
		})
	}
	return errors.Join(cl.Flush(ctx), failed)
}

// cpuOf is utime+stime of all brokers in seconds.
func cpuOf(c *cluster.Cluster) (float64, error) {
	total := 0.0
	for _, b := range c.Brokers {
		seconds, err := b.Process().CPUSeconds()
		if err != nil {
			return 0, err
		}
		total += seconds
	}
	return total, nil
}
