// Command bench measures what a broker process costs, Apache Kafka 3.9.1 and gokafka in the same run on the same machine:
//
//	start    exec to the first ApiVersions answer, median of -starts starts on an existing data directory
//	rss      resident memory, idle, 5 s after a start
//	produce  broker CPU seconds a GB, idempotent, acks=all, batches of 64 records of 1 KiB, five in flight
//	fetch    broker CPU seconds a GB, sequential fetches of at most 1 MiB a partition
//
//	go run ./compat_test/bench [-rounds 2] [-mib 512] [-targets apache,gokafka]
//
// and with -measure recovery or -measure partitions what it takes from exec until every partition is served, on copies of
// one and the same data directory:
//
//	recovery    -recovery-mib in -segments segments, after SIGKILL, with recovery points of 0
//	partitions  -partitions of them after a clean stop
//
//	go run ./compat_test/bench -measure recovery [-rounds 2] [-recovery-mib 2048] [-segments 1000]
//	go run ./compat_test/bench -measure partitions [-rounds 2] [-partitions 2000]
//
// and with -measure transactions what transactions of 100 records over 3 partitions cost:
//
//	go run ./compat_test/bench -measure transactions [-rounds 2] [-transactions 1000] [-producers 2]
//
// CPU is utime+stime of /proc/PID/stat, so it runs on Linux only. Clients are raw connections with little cost of their
// own. Apache's JVM gets the options of its start script and is warmed up with half the volume before each figure.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"gokafka/compat_test/harness"
)

// apacheJVM are the options of kafka-server-start.sh and kafka-run-class.sh of 3.9.
var apacheJVM = []string{"-Xmx1G", "-Xms1G", "-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20",
	"-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent", "-Djava.awt.headless=true"}

type settings struct {
	starts int
	bytes  int64
}

func main() {
	rounds := flag.Int("rounds", 2, "how often each target is measured, in turn")
	mib := flag.Int64("mib", 512, "volume of a produce or fetch figure")
	starts := flag.Int("starts", 10, "starts of a start figure")
	targets := flag.String("targets", "apache,gokafka", "which, in this order")
	what := flag.String("measure", "steady", "steady, recovery, partitions or transactions")
	var l startLoad
	flag.Int64Var(&l.mib, "recovery-mib", 2048, "data of the recovery figure")
	flag.IntVar(&l.segments, "segments", 1000, "segments of the recovery figure")
	flag.IntVar(&l.partitions, "partitions", 2000, "partitions of the partitions figure")
	flag.IntVar(&l.threads, "threads", 2, "num.recovery.threads.per.data.dir of both brokers")
	flag.IntVar(&l.like.records, "batch-records", usual().records, "records a batch of the recovery figure")
	flag.IntVar(&l.like.recordBytes, "record-bytes", usual().recordBytes, "bytes of their values")
	flag.StringVar(&l.maker, "maker", "gokafka", "who writes the directory of which both get copies")
	count := flag.Int("transactions", 1000, "transactions of each producer in the transactions figure")
	producers := flag.Int("producers", 2, "producers of the transactions figure")
	flag.Parse()
	if *what == "transactions" {
		if err := runTransactions(strings.Split(*targets, ","), *rounds, *count, *producers); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	if *what != "steady" {
		if err := runStarts(*what, strings.Split(*targets, ","), *rounds, l); err != nil {
			fmt.Fprintln(os.Stderr, "bench:", err)
			os.Exit(1)
		}
		return
	}
	if err := run(strings.Split(*targets, ","), *rounds, settings{*starts, *mib << 20}); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(targets []string, rounds int, s settings) error {
	figures := make(map[string][]figure)
	for round := range rounds {
		for _, t := range targets {
			f, err := measure(harness.Target(t), s)
			if err != nil {
				return fmt.Errorf("%s, round %d: %w", t, round+1, err)
			}
			fmt.Fprintf(os.Stderr, "round %d %s: %+v\n", round+1, t, f)
			figures[t] = append(figures[t], f)
		}
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "target\tstart\tidle rss\tproduce CPU s/GB\tproduce MB/s\tfetch CPU s/GB\tfetch MB/s\t")
	for _, t := range targets {
		fs := figures[t]
		fmt.Fprintf(w, "%s\t%v\t%.0f MB\t%.3f\t%.0f\t%.3f\t%.0f\t\n", t, median(fs, func(f figure) time.Duration { return f.Start }).Round(time.Millisecond),
			median(fs, func(f figure) float64 { return f.RSS / 1e6 }), median(fs, func(f figure) float64 { return f.ProduceCPU }),
			median(fs, func(f figure) float64 { return f.ProduceRate }), median(fs, func(f figure) float64 { return f.FetchCPU }),
			median(fs, func(f figure) float64 { return f.FetchRate }))
	}
	return w.Flush()
}

func median[F any, T int64 | float64 | time.Duration](fs []F, of func(F) T) T {
	vs := make([]T, 0, len(fs))
	for _, f := range fs {
		vs = append(vs, of(f))
	}
	slices.Sort(vs)
	return vs[len(vs)/2]
}

// figure is one round's result; rates in MB/s, CPU in seconds a GB (10^9).
type figure struct {
	Start                                        time.Duration
	RSS                                          float64
	ProduceCPU, ProduceRate, FetchCPU, FetchRate float64
}

func measure(target harness.Target, s settings) (figure, error) {
	var f figure
	dir, err := os.MkdirTemp("", "gokafka-bench-")
	if err != nil {
		return f, err
	}
	defer os.RemoveAll(dir)
	b, err := harness.NewBroker(target, dir, harness.Options{JVM: apacheJVM, Props: map[string]string{
		"log.retention.ms": "-1", "log.segment.bytes": "1073741824"}})
	if err != nil {
		return f, err
	}
	defer b.Close()
	ctx := context.Background()
	if f.Start, err = startTime(ctx, b, s.starts); err != nil {
		return f, err
	}
	time.Sleep(5 * time.Second) // idle
	if f.RSS, err = b.Process().ResidentBytes(); err != nil {
		return f, err
	}
	if target == harness.Apache {
		if _, err := produce(ctx, b, "warm", s.bytes/2, usual()); err != nil {
			return f, err
		}
		if _, err := fetch(ctx, b, "warm", s.bytes/2); err != nil {
			return f, err
		}
	}
	p, err := produce(ctx, b, "bench", s.bytes, usual())
	if err != nil {
		return f, err
	}
	f.ProduceCPU, f.ProduceRate = p.cpuPerGB(), p.rate()
	c, err := fetch(ctx, b, "bench", s.bytes)
	f.FetchCPU, f.FetchRate = c.cpuPerGB(), c.rate()
	return f, err
}

// startTime is the median of exec to the first ApiVersions answer; the first start, which makes the data directory, does
// not count. The broker runs afterwards.
func startTime(ctx context.Context, b *harness.Broker, n int) (time.Duration, error) {
	if err := b.Start(ctx); err != nil {
		return 0, err
	}
	ds := make([]time.Duration, 0, n)
	for range n {
		if err := b.Stop(ctx); err != nil {
			return 0, err
		}
		d, err := b.TimeToApiVersions(ctx)
		if err != nil {
			return 0, err
		}
		ds = append(ds, d)
		if err := b.WaitReady(ctx); err != nil {
			return 0, err
		}
	}
	slices.Sort(ds)
	return ds[len(ds)/2], nil
}
