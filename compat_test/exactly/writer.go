package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"gokafka/compat_test/cluster"
)

// each is how many records a writer's transaction has.
const each = 6

// The verdicts of a transaction, as its client heard them.
const (
	unknown byte = iota
	committed
	aborted
)

// writer writes transactions over all partitions, some of which it aborts.
type writer struct {
	name     string
	cancel   context.CancelFunc
	done     chan struct{}
	verdicts []byte // of each transaction
}

func newWriter(c *cluster.Cluster, name string, rnd *rand.Rand) *writer {
	ctx, cancel := context.WithCancel(context.Background())
	w := &writer{name: name, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(w.done)
		for ctx.Err() == nil {
			if err := w.write(ctx, c, rnd); err != nil {
				time.Sleep(50 * time.Millisecond)
			}
		}
	}()
	return w
}

func (w *writer) stop() {
	w.cancel()
	<-w.done
}

// write writes with one client until that cannot go on; the next one aborts what it left open.
func (w *writer) write(ctx context.Context, c *cluster.Cluster, rnd *rand.Rand) error {
	cl, err := kgo.NewClient(append(c.ClientOptions(), kgo.TransactionalID(w.name), kgo.TransactionTimeout(15*time.Second), kgo.RecordDeliveryTimeout(20*time.Second))...)
	if err != nil {
		return err
	}
	defer cl.Close()
	for ctx.Err() == nil {
		if err := cl.BeginTransaction(); err != nil {
			return err
		}
		n := len(w.verdicts)
		w.verdicts = append(w.verdicts, unknown)
		var mu sync.Mutex
		var failed error
		for i := range each {
			cl.Produce(context.Background(), &kgo.Record{Topic: direct, Partition: int32(i % partitions), Value: fmt.Appendf(nil, "%s|%d|%d", w.name, n, i)}, func(_ *kgo.Record, err error) {
				mu.Lock()
				defer mu.Unlock()
				failed = errors.Join(failed, err)
			})
		}
		if err := cl.Flush(context.Background()); err != nil {
			return err
		}
		mu.Lock()
		commit := failed == nil && rnd.IntN(4) > 0
		mu.Unlock()
		if err := cl.EndTransaction(context.Background(), kgo.TransactionEndTry(commit)); err != nil {
			if !commit { // it is aborted by and by
				w.verdicts[n] = aborted
			}
			return err
		}
		w.verdicts[n] = aborted
		if commit {
			w.verdicts[n] = committed
		}
		time.Sleep(time.Duration(rnd.IntN(40)) * time.Millisecond)
	}
	return nil
}

func (w *writer) String() string {
	n := [3]int{}
	for _, v := range w.verdicts {
		n[v]++
	}
	return fmt.Sprintf("%s: %d transactions committed, %d aborted, %d unknown", w.name, n[committed], n[aborted], n[unknown])
}
