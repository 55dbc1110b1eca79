// Package cluster runs several brokers, of one program or of both, on one real ZooKeeper.
//
// Central type: Cluster.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"gokafka/compat_test/harness"
	"gokafka/compat_test/history"
)

// patience bounds what is waited for.
const patience = 2 * time.Minute

// Options are what a test wants.
type Options struct {
	Targets []harness.Target  // one for each broker, by its id
	Props   map[string]string // of all brokers; {id} stands for a broker's id
	// Own are properties of gokafka's brokers alone.
	Own map[string]string
	// JVM are options for Apache's JVMs, instead of those for a quick start.
	JVM []string
}

// Cluster is the brokers, by their ids, and an admin client of all.
type Cluster struct {
	ZooKeeper *harness.ZooKeeper
	Brokers   []*harness.Broker
	Client    *kgo.Client
	Admin     *kadm.Client

	dir     string
	options Options
}

// Start starts ZooKeeper and the brokers one after the other. What is started is ended by Close, also after an error.
func Start(ctx context.Context, dir string, o Options) (*Cluster, error) {
	zk, err := harness.NewZooKeeper(dir)
	if err != nil {
		return nil, err
	}
	c := &Cluster{ZooKeeper: zk, dir: dir, options: o}
	if err := zk.Start(ctx); err != nil {
		return nil, err
	}
	for _, target := range o.Targets {
		if err := c.Join(ctx, target); err != nil {
			c.Close()
			return nil, err
		}
	}
	if c.Client, err = kgo.NewClient(c.ClientOptions()...); err != nil {
		c.Close()
		return nil, err
	}
	c.Admin = kadm.NewClient(c.Client)
	return c, nil
}

// Join starts one more broker.
func (c *Cluster) Join(ctx context.Context, target harness.Target) error {
	props := map[string]string{"default.replication.factor": "3", "min.insync.replicas": "2", "auto.leader.rebalance.enable": "false",
		"auto.create.topics.enable": "false", "replica.lag.time.max.ms": "10000"}
	maps.Copy(props, c.options.Props)
	if target == harness.Gokafka {
		maps.Copy(props, c.options.Own)
	}
	id := len(c.Brokers)
	for k, v := range props {
		props[k] = strings.ReplaceAll(v, "{id}", strconv.Itoa(id))
	}
	b, err := harness.NewBroker(target, filepath.Join(c.dir, strconv.Itoa(id)), harness.Options{ID: id, ZooKeeper: c.ZooKeeper.Addr, Props: props, JVM: c.options.JVM})
	if err != nil {
		return err
	}
	c.Brokers = append(c.Brokers, b)
	return b.Start(ctx)
}

// ClientOptions make a client that finds out as fast as a client can who leads: what is measured is the cluster.
func (c *Cluster) ClientOptions() []kgo.Opt {
	return []kgo.Opt{kgo.SeedBrokers(c.Seeds()...), kgo.MetadataMinAge(50 * time.Millisecond), kgo.RetryBackoffFn(func(int) time.Duration { return 50 * time.Millisecond }),
		kgo.RequestTimeoutOverhead(2 * time.Second), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0)}
}

// Seeds are the addresses of all brokers.
func (c *Cluster) Seeds() []string {
	var out []string
	for _, b := range c.Brokers {
		out = append(out, b.Addr())
	}
	return out
}

// Close ends everything.
func (c *Cluster) Close() {
	if c.Client != nil {
		c.Client.Close()
	}
	for _, b := range c.Brokers {
		b.Close()
	}
	c.ZooKeeper.Kill()
}

// CreateTopic creates a topic on all brokers and waits until its replicas are in sync.
func (c *Cluster) CreateTopic(ctx context.Context, name string, partitions int32, configs map[string]*string) error {
	if _, err := c.Admin.CreateTopic(ctx, partitions, int16(len(c.Brokers)), configs, name); err != nil {
		return fmt.Errorf("create %s: %w", name, err)
	}
	return c.AwaitState(ctx, "the topic's replicas are in sync", func(s *State) bool {
		led := 0
		for _, ps := range s.Leads[name] {
			led += len(ps)
		}
		return s.Complete && led == int(partitions)
	})
}

// State is what a broker says of the cluster.
type State struct {
	Controller int32
	// Leads is which partitions each broker leads, by topic and broker.
	Leads map[string]map[int32][]int32
	// Complete says that all brokers are there and all replicas in sync.
	Complete bool
	// Missing tells why it is not complete.
	Missing string
}

// State asks a broker.
func (c *Cluster) State(ctx context.Context) (*State, error) {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	m, err := c.Admin.Metadata(ctx)
	if err != nil {
		return nil, err
	}
	s := &State{Controller: m.Controller, Leads: map[string]map[int32][]int32{}, Complete: true}
	missing := func(format string, args ...any) { s.Complete, s.Missing = false, fmt.Sprintf(format, args...) }
	if len(m.Brokers) != len(c.Brokers) || m.Controller < 0 {
		missing("brokers %v, controller %d", m.Brokers.NodeIDs(), m.Controller)
	}
	for _, t := range m.Topics {
		if t.Err != nil {
			missing("topic %s: %v", t.Topic, t.Err)
		}
		s.Leads[t.Topic] = map[int32][]int32{}
		for _, p := range t.Partitions {
			if p.Leader < 0 || len(p.ISR) != len(p.Replicas) {
				missing("%s-%d: leader %d, replicas %v, ISR %v", t.Topic, p.Partition, p.Leader, p.Replicas, p.ISR)
			}
			s.Leads[t.Topic][p.Leader] = append(s.Leads[t.Topic][p.Leader], p.Partition)
		}
	}
	return s, nil
}

// Await tries until it works.
func Await(ctx context.Context, what string, try func() error) error {
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

// AwaitState waits until what a broker says fits.
func (c *Cluster) AwaitState(ctx context.Context, what string, fits func(*State) bool) error {
	return Await(ctx, what, func() error {
		s, err := c.State(ctx)
		if err == nil && !fits(s) {
			err = errors.New(s.Missing)
		}
		return err
	})
}

// AwaitComplete waits until all brokers are there and all replicas in sync.
func (c *Cluster) AwaitComplete(ctx context.Context) error {
	return c.AwaitState(ctx, "all replicas are in sync", func(s *State) bool { return s.Complete })
}

// Read reads a topic from its beginning to the end that it has now.
func (c *Cluster) Read(ctx context.Context, topic string) ([]history.Record, error) {
	ends, err := c.Admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, err
	}
	left, from := map[int32]int64{}, map[int32]kgo.Offset{}
	ends.Each(func(o kadm.ListedOffset) {
		if err = errors.Join(err, o.Err); o.Offset > 0 {
			left[o.Partition], from[o.Partition] = o.Offset-1, kgo.NewOffset().At(0)
		}
	})
	if err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(append(c.ClientOptions(), kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))...)
	if err != nil {
		return nil, err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var out []history.Record
	for len(left) > 0 {
		fs := cl.PollFetches(ctx)
		if err := fs.Err(); err != nil {
			return nil, fmt.Errorf("read %s, partitions left %v: %w", topic, slices.Sorted(maps.Keys(left)), err)
		}
		fs.EachRecord(func(r *kgo.Record) {
			out = append(out, history.Record{Partition: r.Partition, Offset: r.Offset, Value: string(r.Value)})
			if end, ok := left[r.Partition]; ok && r.Offset >= end {
				delete(left, r.Partition)
			}
		})
	}
	return out, nil
}
