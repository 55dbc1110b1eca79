package cluster

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"gokafka/compat_test/history"
)

// echo is how long after a kill an acknowledgement may still have been on the way from the dead broker.
const echo = 20 * time.Millisecond

// Writers are idempotent producers, one for each partition of a topic, that write one record after the other.
type Writers struct {
	topic  string
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu      sync.Mutex
	acks    []history.Ack
	newest  []time.Time // acknowledgement of each partition
	refused []error     // what a client gave up
}

// Write starts writers. Stop them.
func (c *Cluster) Write(ctx context.Context, topic string, partitions int32) (*Writers, error) {
	ctx, cancel := context.WithCancel(ctx)
	w := &Writers{topic: topic, cancel: cancel, newest: make([]time.Time, partitions)}
	for p := range partitions {
		cl, err := kgo.NewClient(c.ClientOptions()...)
		if err != nil {
			w.Stop()
			return nil, err
		}
		w.wg.Go(func() {
			defer cl.Close()
			w.run(ctx, cl, history.Stream{Client: "writer", Codec: "none", Partition: p})
		})
	}
	return w, nil
}

func (w *Writers) run(ctx context.Context, cl *kgo.Client, s history.Stream) {
	for seq := 0; ctx.Err() == nil; seq++ {
		// The write goes on when the run ends: whether it came to be would not be known otherwise.
		r, err := cl.ProduceSync(context.WithoutCancel(ctx), &kgo.Record{Topic: w.topic, Partition: s.Partition, Value: history.Value(s, seq)}).First()
		w.mu.Lock()
		if err != nil {
			w.refused = append(w.refused, fmt.Errorf("partition %d record %d: %w", s.Partition, seq, err))
			w.mu.Unlock()
			return
		}
		w.acks = append(w.acks, history.Ack{Stream: s, Seq: seq, Offset: r.Offset})
		w.newest[s.Partition] = time.Now()
		w.mu.Unlock()
		time.Sleep(5 * time.Millisecond)
	}
}

// Stop ends the writers and waits for their last acknowledgements.
func (w *Writers) Stop() {
	w.cancel()
	w.wg.Wait()
}

// AwaitSince waits until each of the partitions has an acknowledgement that is newer than a kill at at.
func (w *Writers) AwaitSince(ctx context.Context, at time.Time, partitions []int32) error {
	return Await(ctx, "writes go on", func() error {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, p := range partitions {
			if w.newest[p].Before(at.Add(echo)) {
				return fmt.Errorf("none on partition %d", p)
			}
		}
		return nil
	})
}

// Check reads the topic and lists what contradicts the promise of a broker. The writers are stopped.
func (w *Writers) Check(ctx context.Context, c *Cluster) (problems []string, acknowledged int, err error) {
	log, err := c.Read(ctx, w.topic)
	if err != nil {
		return nil, 0, err
	}
	for _, err := range w.refused {
		problems = append(problems, err.Error())
	}
	h := history.History{Acks: w.acks, Log: log}
	return append(problems, h.Check()...), len(w.acks), nil
}
