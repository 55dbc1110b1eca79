package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"gokafka/compat_test/harness"
)

const (
	topic      = "writes"
	partitions = 6
	// echo is how long after a kill an acknowledgement may still have been on the way from the dead broker.
	echo = 20 * time.Millisecond
	// patience bounds what is waited for.
	patience = 2 * time.Minute
)

// cluster is three brokers, a writer for each partition, and an admin client.
type cluster struct {
	zk      *harness.ZooKeeper
	brokers []*harness.Broker
	cl      *kgo.Client
	adm     *kadm.Client
	stop    context.CancelFunc
	wg      sync.WaitGroup

	mu   sync.Mutex
	acks [partitions]time.Time // newest acknowledgement
	errs []error
}

func startCluster(ctx context.Context, target harness.Target, dir string, session int, detect bool) (*cluster, error) {
	zk, err := harness.NewZooKeeper(dir)
	if err != nil {
		return nil, err
	}
	if err := zk.Start(ctx); err != nil {
		return nil, err
	}
	c := &cluster{zk: zk}
	ctx, c.stop = context.WithCancel(ctx)
	var seeds []string
	for id := range 3 {
		props := map[string]string{
			"zookeeper.session.timeout.ms": strconv.Itoa(session), "default.replication.factor": "3", "min.insync.replicas": "2",
			"auto.leader.rebalance.enable": "false", "num.replica.fetchers": "1", "auto.create.topics.enable": "false",
		}
		if target == harness.Gokafka {
			props["gokafka.dead.broker.detection.enable"] = strconv.FormatBool(detect)
		}
		b, err := harness.NewBroker(target, filepath.Join(dir, strconv.Itoa(id)), harness.Options{ID: id, ZooKeeper: zk.Addr, Props: props})
		if err != nil {
			return nil, err
		}
		c.brokers = append(c.brokers, b)
		if err := b.Start(ctx); err != nil {
			return nil, err
		}
		seeds = append(seeds, b.Addr())
	}
	// The clients find out as fast as a client can: what is measured is the cluster.
	opts := []kgo.Opt{kgo.SeedBrokers(seeds...), kgo.MetadataMinAge(50 * time.Millisecond), kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }),
		kgo.RequestTimeoutOverhead(time.Second), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.RequestRetries(0)}
	if c.cl, err = kgo.NewClient(opts...); err != nil {
		return nil, err
	}
	c.adm = kadm.NewClient(c.cl)
	if _, err := c.adm.CreateTopic(ctx, partitions, 3, nil, topic); err != nil {
		return nil, err
	}
	if err := c.awaitISRs(ctx); err != nil {
		return nil, err
	}
	for p := range int32(partitions) {
		w, err := kgo.NewClient(append(opts, kgo.ProducerLinger(0))...)
		if err != nil {
			return nil, err
		}
		c.wg.Go(func() {
			defer w.Close()
			c.write(ctx, w, p)
		})
	}
	return c, nil
}

// write sends one record after the other.
func (c *cluster) write(ctx context.Context, w *kgo.Client, p int32) {
	for ctx.Err() == nil {
		err := w.ProduceSync(ctx, &kgo.Record{Topic: topic, Partition: p, Value: []byte("v")}).FirstErr()
		c.mu.Lock()
		if err == nil {
			c.acks[p] = time.Now()
		} else if ctx.Err() == nil {
			c.errs = append(c.errs, fmt.Errorf("partition %d: %w", p, err))
		}
		c.mu.Unlock()
		time.Sleep(5 * time.Millisecond)
	}
}

func (c *cluster) close() {
	c.stop()
	c.wg.Wait()
	c.cl.Close()
	for _, b := range c.brokers {
		b.Close()
	}
	c.zk.Kill()
}

// state is who leads, and who is controller; complete says that all replicas are in sync.
func (c *cluster) state(ctx context.Context) (leaders map[int32][]int32, controller int32, complete bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	m, err := c.adm.Metadata(ctx)
	if err != nil {
		return nil, -1, false, err
	}
	leaders, complete = map[int32][]int32{}, len(m.Brokers) == 3 && m.Controller >= 0
	for _, t := range m.Topics {
		for _, p := range t.Partitions {
			complete = complete && len(p.ISR) == len(p.Replicas) && p.Leader >= 0
			if t.Topic == topic {
				leaders[p.Leader] = append(leaders[p.Leader], p.Partition)
			}
		}
	}
	return leaders, m.Controller, complete && len(m.Topics[topic].Partitions) == partitions, nil
}

func (c *cluster) awaitISRs(ctx context.Context) error {
	return await(ctx, "all replicas are in sync", func() error {
		_, _, complete, err := c.state(ctx)
		if err == nil && !complete {
			err = errors.New("not yet")
		}
		return err
	})
}

func await(ctx context.Context, what string, try func() error) error {
	deadline := time.Now().Add(patience)
	for {
		err := try()
		if err == nil || ctx.Err() != nil {
			return ctx.Err()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s: not within %v: %w", what, patience, err)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
