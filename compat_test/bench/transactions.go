package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"text/tabwriter"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"gokafka/compat_test/harness"
)

const (
	txnRecords    = 100
	txnPartitions = 3
)

// txnFigure is one round: transactions a second of the producers together, CPU of the broker for a transaction.
type txnFigure struct{ Rate, CPU float64 }

// runTransactions measures count transactions of txnRecords records over txnPartitions partitions, by each of producers at once.
func runTransactions(targets []string, rounds, count, producers int) error {
	figures := map[string][]txnFigure{}
	for round := range rounds {
		for _, t := range targets {
			f, err := measureTransactions(harness.Target(t), count, producers)
			if err != nil {
				return fmt.Errorf("%s, round %d: %w", t, round+1, err)
			}
			fmt.Fprintf(os.Stderr, "round %d %s: %+v\n", round+1, t, f)
			figures[t] = append(figures[t], f)
		}
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "target\ttransactions/s\tbroker CPU ms\t")
	for _, t := range targets {
		fmt.Fprintf(w, "%s\t%.0f\t%.2f\t\n", t, median(figures[t], func(f txnFigure) float64 { return f.Rate }), median(figures[t], func(f txnFigure) float64 { return f.CPU * 1000 }))
	}
	return w.Flush()
}

func measureTransactions(target harness.Target, count, producers int) (txnFigure, error) {
	dir, err := os.MkdirTemp("", "gokafka-bench-")
	if err != nil {
		return txnFigure{}, err
	}
	defer os.RemoveAll(dir)
	b, err := harness.NewBroker(target, dir, harness.Options{JVM: apacheJVM, Props: map[string]string{"log.retention.ms": "-1"}})
	if err != nil {
		return txnFigure{}, err
	}
	defer b.Close()
	ctx := context.Background()
	if err := b.Start(ctx); err != nil {
		return txnFigure{}, err
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()))
	if err != nil {
		return txnFigure{}, err
	}
	defer cl.Close()
	if r, err := kadm.NewClient(cl).CreateTopic(ctx, txnPartitions, 1, nil, "bench"); err != nil || r.Err != nil {
		return txnFigure{}, errors.Join(err, r.Err)
	}
	if _, err := transactions(ctx, b, count/2+1, producers); err != nil { // to warm it up
		return txnFigure{}, err
	}
	before, err := b.Process().CPUSeconds()
	if err != nil {
		return txnFigure{}, err
	}
	took, err := transactions(ctx, b, count, producers)
	if err != nil {
		return txnFigure{}, err
	}
	after, err := b.Process().CPUSeconds()
	n := float64(count * producers)
	return txnFigure{n / took.Seconds(), (after - before) / n}, err
}

// transactions lets each of n producers make count transactions, one after the other.
func transactions(ctx context.Context, b *harness.Broker, count, n int) (time.Duration, error) {
	start := time.Now()
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = produceTransactions(ctx, b, fmt.Sprint("bench-", i), count) })
	}
	wg.Wait()
	return time.Since(start), errors.Join(errs...)
}

func produceTransactions(ctx context.Context, b *harness.Broker, id string, count int) error {
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addr()), kgo.TransactionalID(id), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(time.Millisecond),
		kgo.ProducerBatchCompression(kgo.NoCompression()))
	if err != nil {
		return err
	}
	defer cl.Close()
	value := make([]byte, 100)
	for range count {
		if err := cl.BeginTransaction(); err != nil {
			return err
		}
		var mu sync.Mutex
		var failed error
		for i := range txnRecords {
			cl.Produce(ctx, &kgo.Record{Topic: "bench", Partition: int32(i % txnPartitions), Value: value}, func(_ *kgo.Record, err error) {
				if err != nil {
					mu.Lock()
					defer mu.Unlock()
					failed = errors.Join(failed, err)
				}
			})
		}
		if err := errors.Join(cl.Flush(ctx), failed); err != nil {
			return err
		}
		if err := cl.EndTransaction(ctx, kgo.TryCommit); err != nil {
			return err
		}
	}
	return nil
}
