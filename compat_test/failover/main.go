// Command failover kills brokers of a cluster of three by SIGKILL and measures how long the cluster is hurt: until the next acknowledged write on the
// partitions that the dead broker led, until the next topic is created if it was the controller, and, after its restart, until it is in every ISR again.
// Each broker program runs the same rounds on a real ZooKeeper of its own.
//
//	go run ./compat_test/failover [-rounds 10] [-targets gokafka,apache] [-session 6000] [-detect true] [-keep]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"gokafka/compat_test/cluster"
	"gokafka/compat_test/harness"
)

func main() {
	rounds := flag.Int("rounds", 10, "brokers to kill of each kind")
	targets := flag.String("targets", "gokafka,apache", "broker programs, one after the other")
	session := flag.Int("session", 6000, "zookeeper.session.timeout.ms")
	keep := flag.Bool("keep", false, "leave logs and data where they are")
	detect := flag.Bool("detect", true, "gokafka.dead.broker.detection.enable")
	flag.Parse()
	for _, name := range strings.Split(*targets, ",") {
		target, err := harness.ParseTarget(name)
		if err == nil {
			err = run(target, *rounds, *session, *detect, *keep)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "failover:", name+":", err)
			os.Exit(1)
		}
	}
}

func run(target harness.Target, rounds, session int, detect, keep bool) error {
	dir, err := os.MkdirTemp("", "gokafka-failover-")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	started, err := cluster.Start(ctx, dir, cluster.Options{
		Targets: []harness.Target{target, target, target}, Props: map[string]string{"zookeeper.session.timeout.ms": strconv.Itoa(session)},
		Own: map[string]string{"gokafka.dead.broker.detection.enable": strconv.FormatBool(detect)},
	})
	if err != nil {
		return fmt.Errorf("%w; logs in %s", err, dir)
	}
	defer started.Close()
	if err := started.CreateTopic(ctx, topic, partitions, nil); err != nil {
		return err
	}
	c := &victims{Cluster: started}
	if c.writers, err = c.Write(ctx, topic, partitions); err != nil {
		return err
	}
	defer c.writers.Stop()
	var writes, topics, rejoins []time.Duration
	for round := range rounds {
		leader, err := c.leaderThatIsNoController(ctx)
		if err != nil {
			return err
		}
		w, r, err := c.killLeader(ctx, leader)
		if err != nil {
			return fmt.Errorf("round %d: %w; logs in %s", round, err, dir)
		}
		writes, rejoins = append(writes, w), append(rejoins, r)
		t, r, err := c.killController(ctx, fmt.Sprintf("created-%d", round))
		if err != nil {
			return fmt.Errorf("round %d: %w; logs in %s", round, err, dir)
		}
		topics, rejoins = append(topics, t), append(rejoins, r)
		fmt.Printf("%s round %d: write after %v, topic after %v, in the ISRs again after %v\n", target, round, w.Round(time.Millisecond), t.Round(time.Millisecond), r.Round(time.Millisecond))
	}
	if err := c.check(ctx); err != nil {
		return fmt.Errorf("%w; logs and data in %s", err, dir)
	}
	fmt.Printf("%-8s kill -9 of a leader to the next acknowledged write  %s\n", target, spread(writes))
	fmt.Printf("%-8s kill -9 of the controller to the next topic         %s\n", target, spread(topics))
	fmt.Printf("%-8s start to rejoined ISRs                              %s\n", target, spread(rejoins))
	if keep {
		fmt.Println("logs and data in", dir)
		return nil
	}
	return os.RemoveAll(dir)
}

func spread(ds []time.Duration) string {
	slices.Sort(ds)
	at := func(p int) time.Duration { return ds[min(len(ds)-1, len(ds)*p/100)].Round(time.Millisecond) }
	return fmt.Sprintf("p50 %v, p90 %v, max %v (%d times)", at(50), at(90), at(100), len(ds))
}
