// Command soak kills and freezes brokers of a cluster of three every few seconds, one or two at a time, while stock clients write to it with idempotence, and
// checks afterwards that what was acknowledged is there once and in order, and that all brokers say the same of the cluster.
//
//	go run ./compat_test/soak [-time 5m] [-clients franz-go,librdkafka] [-seed N]
//
// It exits with 1 when something was wrong; logs and data stay in the directory that it names.
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
	"time"

	"gokafka/compat_test/clients"
	"gokafka/compat_test/cluster"
	"gokafka/compat_test/harness"
	"gokafka/compat_test/history"
)

const partitions = 4

func main() {
	length := flag.Duration("time", 5*time.Minute, "how long the clients write")
	names := flag.String("clients", "franz-go,librdkafka", "producers")
	seed := flag.Uint64("seed", uint64(time.Now().UnixNano()), "of the faults")
	flag.Parse()
	dir, err := os.MkdirTemp("", "gokafka-soak-")
	if err == nil {
		fmt.Printf("seed %d, logs and data in %s\n", *seed, dir)
		err = run(dir, *length, strings.Split(*names, ","), rand.New(rand.NewPCG(*seed, 2)))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
	os.RemoveAll(dir)
}

func run(dir string, length time.Duration, names []string, rnd *rand.Rand) error {
	ctx := context.Background()
	c, err := cluster.Start(ctx, dir, cluster.Options{Targets: slices.Repeat([]harness.Target{harness.Gokafka}, 3)})
	if err != nil {
		return err
	}
	defer c.Close()
	var jobs []*clients.Job
	for _, cl := range clients.All() {
		if !slices.Contains(names, cl.Name) {
			continue
		}
		if err := cl.Prepare(); err != nil {
			return fmt.Errorf("%s: %w", cl.Name, err)
		}
		if err := c.CreateTopic(ctx, topicOf(cl), partitions, nil); err != nil {
			return err
		}
		job, err := cl.Start(dir, map[string]string{"mode": "produce", "bootstrap": strings.Join(c.Seeds(), ","), "topic": topicOf(cl), "codecs": "lz4,zstd",
			"count": fmt.Sprint(length.Milliseconds() / 5), "partitions": fmt.Sprint(partitions), "millis": fmt.Sprint(length.Milliseconds())})
		if err != nil {
			return err
		}
		defer job.Process.Kill()
		jobs = append(jobs, job)
	}
	if len(jobs) != len(names) {
		return fmt.Errorf("unknown client among %v", names)
	}
	faults, err := storm(ctx, c, length, rnd)
	fmt.Printf("%d faults\n", faults)
	if err != nil {
		return err
	}
	var errs []error
	for _, j := range jobs {
		select {
		case <-j.Process.Done():
		case <-time.After(3 * time.Minute):
			errs = append(errs, fmt.Errorf("%s still runs\n%s", j.Client.Name, j.Process.Tail(4096)))
			continue
		}
		errs = append(errs, check(ctx, c, j), c.SameProducers(ctx, topicOf(j.Client), partitions))
	}
	return errors.Join(append(errs, c.Agree(ctx))...)
}

func topicOf(c clients.Client) string { return "soak-" + c.Name }

// storm is the faults: each hits one broker or two, and is over before the next.
func storm(ctx context.Context, c *cluster.Cluster, length time.Duration, rnd *rand.Rand) (faults int, err error) {
	between := func(a, b time.Duration) time.Duration { return a + time.Duration(rnd.Int64N(int64(b-a))) }
	for end := time.Now().Add(length - 10*time.Second); time.Now().Before(end); faults++ {
		time.Sleep(between(time.Second, 4*time.Second))
		hit := rnd.Perm(len(c.Brokers))[:1+rnd.IntN(2)]
		frozen := rnd.IntN(3) == 0
		for _, id := range hit {
			if frozen {
				if err := c.Brokers[id].Process().Pause(); err != nil {
					return faults, err
				}
			} else {
				c.Brokers[id].Kill()
			}
		}
		// Some freezes outlast the session of 6 s, and a leader wakes that others have replaced.
		time.Sleep(between(100*time.Millisecond, 9*time.Second))
		for _, id := range hit {
			if frozen {
				err = c.Brokers[id].Process().Resume()
			} else {
				err = c.Brokers[id].Launch(ctx)
			}
			if err != nil {
				return faults, err
			}
		}
	}
	for _, b := range c.Brokers {
		if err := b.WaitReady(ctx); err != nil {
			return faults, err
		}
	}
	return faults, c.AwaitComplete(ctx)
}

// check compares what a client was told with what is in the topic.
func check(ctx context.Context, c *cluster.Cluster, j *clients.Job) error {
	out, err := j.Output()
	if err != nil {
		return err
	}
	alarms, err := j.Alarms()
	if err != nil {
		return err
	}
	log, err := c.Read(ctx, topicOf(j.Client))
	if err != nil {
		return err
	}
	h := history.History{Acks: out.Acks, Failures: out.Failures, Log: log, AtLeastOnce: !j.Client.Idempotent}
	problems := append(h.Check(), alarms...)
	if !out.Ended {
		problems = append(problems, "it did not end well: "+j.Process.Tail(2048))
	}
	fmt.Printf("%s: %d acknowledged, %d given up, %d in the log, %d problems\n", j.Client.Name, len(out.Acks), len(out.Failures), len(log), len(problems))
	if len(problems) > 0 {
		return fmt.Errorf("%s:\n  %s", j.Client.Name, strings.Join(problems, "\n  "))
	}
	return nil
}
