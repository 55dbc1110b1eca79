package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"gokafka/config"
	"gokafka/coordination/embedded"
	"gokafka/internal/clock"
	"gokafka/internal/kafkalog"
	"gokafka/internal/vfs"
	"gokafka/logstore"
	"gokafka/metadata"
)

// cluster is some brokers in this process on one embedded coordination server. Brokers reach each other through gates.
type cluster struct {
	t       *testing.T
	dir     string
	fs      vfs.FS // of the brokers
	zk      *embedded.Server
	changes map[string]string
	brokers []*Broker // nil = down
	gates   []*gate
	ports   []int // of the clients' listeners, kept over restarts
}

func startCluster(t *testing.T, n int, changes map[string]string) *cluster {
	t.Helper()
	return startClusterOn(t, vfs.OS(), n, changes)
}

// startClusterOn starts it on a file system that fails as the test wants.
func startClusterOn(t *testing.T, fs vfs.FS, n int, changes map[string]string) *cluster {
	t.Helper()
	c := &cluster{t: t, dir: t.TempDir(), fs: fs, changes: changes, brokers: make([]*Broker, n), ports: make([]int, n)}
	clk := clock.New()
	var err error
	if c.zk, err = embedded.Open(t.Context(), embedded.Options{FS: vfs.OS(), Dir: filepath.Join(c.dir, "zk"), Clock: clk, Logger: slog.New(slog.DiscardHandler)}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.zk.Close() })
	for id := range n {
		c.gates = append(c.gates, newGate(t))
		c.start(id)
	}
	t.Cleanup(func() {
		for _, b := range c.brokers {
			if b != nil {
				b.kill()
			}
		}
	})
	for id := range n {
		c.ready(id)
	}
	c.eventually("all brokers know each other", func() bool {
		return !slices.ContainsFunc(c.brokers, func(b *Broker) bool { return len(b.cache.Image().BrokerIDs()) < n })
	})
	return c
}

// start starts broker id on its data.
func (c *cluster) start(id int) {
	c.t.Helper()
	props := map[string]string{
		"broker.id": strconv.Itoa(id), "log.dirs": filepath.Join(c.dir, strconv.Itoa(id)),
		"listeners":                      fmt.Sprintf("PLAINTEXT://127.0.0.1:%d,PEERS://127.0.0.1:0", c.ports[id]),
		"advertised.listeners":           fmt.Sprintf("PLAINTEXT://127.0.0.1:%d,PEERS://%s", c.ports[id], c.gates[id].addr()),
		"listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,PEERS:PLAINTEXT", "inter.broker.listener.name": "PEERS",
		"default.replication.factor": "3", "min.insync.replicas": "2", "zookeeper.session.timeout.ms": "6000",
		"replica.lag.time.max.ms": "1500", "replica.fetch.wait.max.ms": "100", "replica.fetch.backoff.ms": "200", "replica.socket.timeout.ms": "2000",
		"controller.socket.timeout.ms": "2000", "controlled.shutdown.retry.backoff.ms": "200", "auto.leader.rebalance.enable": "false",
		"offsets.topic.replication.factor": "1", "transaction.state.log.replication.factor": "1",
	}
	place := strings.NewReplacer("{dir}", filepath.Join(c.dir, strconv.Itoa(id)), "{id}", strconv.Itoa(id))
	for k, v := range c.changes {
		props[k] = place.Replace(v)
	}
	cfg, err := config.NewBroker(props)
	if err != nil {
		c.t.Fatal(err)
	}
	var logger *slog.Logger
	if os.Getenv("GOKAFKA_TEST_LOG") != "" {
		logger = slog.New(kafkalog.New(os.Stderr, clock.New(), slog.LevelDebug)).With("broker", id)
	}
	b, err := Start(context.Background(), Options{Config: cfg, Logger: logger, Coordination: c.zk, FS: c.fs})
	if err != nil {
		c.t.Fatal(err)
	}
	c.brokers[id] = b
	c.ports[id] = b.bound[0].sockets[0].Addr().(*net.TCPAddr).Port
	c.gates[id].open(b.bound[1].sockets[0].Addr().String())
}

func (c *cluster) ready(id int) {
	c.t.Helper()
	select {
	case <-c.brokers[id].Ready():
	case <-time.After(30 * time.Second):
		c.t.Fatalf("broker %d is not ready", id)
	}
}

// kill ends the broker as if its process had been killed: nothing is moved, nothing closed cleanly.
func (b *Broker) kill() {
	b.stopping.Store(true)
	b.server.Close()
	b.unwind()
}

func (c *cluster) kill(id int) {
	b := c.brokers[id]
	c.brokers[id] = nil
	c.gates[id].shut()
	b.kill()
}

func (c *cluster) stop(id int) {
	c.t.Helper()
	b := c.brokers[id]
	c.brokers[id] = nil
	if err := b.Stop(context.Background()); err != nil {
		c.t.Error(err)
	}
	c.gates[id].shut()
}

func (c *cluster) seeds() []string {
	var out []string
	for _, p := range c.ports {
		out = append(out, fmt.Sprintf("127.0.0.1:%d", p))
	}
	return out
}

func (c *cluster) client(opts ...kgo.Opt) *kgo.Client {
	c.t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(c.seeds()...), kgo.MetadataMinAge(50 * time.Millisecond), kgo.MetadataMaxAge(2 * time.Second), kgo.RetryTimeout(60 * time.Second), kgo.RecordRetries(1000),
		kgo.ProduceRequestTimeout(5 * time.Second),
	}, opts...)...)
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(cl.Close)
	return cl
}

func (c *cluster) create(topic string, partitions int32, rf int16, configs map[string]string) {
	c.t.Helper()
	cl := c.client()
	defer cl.Close()
	conf := map[string]*string{}
	for k, v := range configs {
		conf[k] = &v
	}
	resp, err := kadm.NewClient(cl).CreateTopics(c.t.Context(), partitions, rf, conf, topic)
	if err != nil || resp[topic].Err != nil {
		c.t.Fatal(err, resp[topic].Err)
	}
}

// state is what a live broker believes of a partition.
func (c *cluster) state(topic string, p int32) metadata.PartitionState {
	for _, b := range c.brokers {
		if b != nil {
			if part := b.cache.Image().Partition(metadata.TopicPartition{Topic: topic, Partition: p}); part != nil {
				return part.PartitionState
			}
		}
	}
	return metadata.PartitionState{Leader: -1}
}

func (c *cluster) eventually(what string, f func() bool) {
	c.t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !f() {
		if time.Now().After(deadline) {
			c.t.Fatalf("not within 30 s: %s", what)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func (c *cluster) awaitISR(topic string, p int32, want ...int32) {
	c.t.Helper()
	c.eventually(fmt.Sprintf("ISR of %s-%d is %v", topic, p, want), func() bool {
		isr := slices.Sorted(slices.Values(c.state(topic, p).ISR))
		return slices.Equal(isr, want)
	})
}

// logs are the logs of all live brokers of a partition.
func (c *cluster) logs(topic string, p int32) map[int]*logstore.Log {
	out := map[int]*logstore.Log{}
	for id, b := range c.brokers {
		if b == nil {
			continue
		}
		if l, ok := b.logs.Get(metadata.TopicPartition{Topic: topic, Partition: p}); ok {
			out[id] = l
		}
	}
	return out
}

// awaitSameLogs waits until all replicas end at the same offset, with the same high watermark, and compares their bytes and their knowledge of producers and epochs.
func (c *cluster) awaitSameLogs(topic string, p int32, replicas int) {
	c.t.Helper()
	c.eventually(fmt.Sprintf("replicas of %s-%d agree on their end", topic, p), func() bool {
		logs := c.logs(topic, p)
		ends := map[[2]int64]bool{}
		for _, l := range logs {
			ends[[2]int64{l.LogEndOffset(), l.HighWatermark()}] = true
		}
		return len(logs) == replicas && len(ends) == 1
	})
	var first []byte
	var producers any
	ref := -1
	for id, l := range c.logs(topic, p) {
		got := logBytes(c.t, l)
		state := l.ActiveProducers()
		if ref < 0 {
			ref, first, producers = id, got, state
			continue
		}
		if !slices.Equal(got, first) {
			c.t.Errorf("%s-%d: the logs of brokers %d and %d differ: %d and %d bytes", topic, p, ref, id, len(first), len(got))
		}
		if !reflect.DeepEqual(state, producers) {
			c.t.Errorf("%s-%d: brokers %d and %d know different producers:\n%+v\n%+v", topic, p, ref, id, producers, state)
		}
	}
}

func logBytes(t *testing.T, l *logstore.Log) []byte {
	t.Helper()
	var out []byte
	for off := l.LogStartOffset(); off < l.LogEndOffset(); {
		r, err := l.Read(off, 1<<20, logstore.LogEnd, true)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, r.Range.Len)
		if err := r.Range.CopyTo(buf); err != nil {
			t.Fatal(err)
		}
		r.Range.Release()
		out = append(out, buf...)
		off = nextOffset(buf)
	}
	return out
}

// nextOffset is the offset after the last batch in buf.
func nextOffset(buf []byte) int64 {
	next := int64(-1)
	for len(buf) >= 61 {
		be := func(at, n int) (v int64) {
			for _, b := range buf[at : at+n] {
				v = v<<8 | int64(b)
			}
			return v
		}
		next = be(0, 8) + be(23, 4) + 1
		buf = buf[12+be(8, 4):]
	}
	return next
}

// gate is the way to one broker's listener for brokers. While it is shut, connections are refused and open ones are cut.
type gate struct {
	ln net.Listener

	mu     sync.Mutex
	target string // empty = shut
	conns  map[net.Conn]struct{}
	wg     sync.WaitGroup
}

func newGate(t *testing.T) *gate {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	g := &gate{ln: ln, conns: map[net.Conn]struct{}{}}
	g.wg.Go(g.run)
	t.Cleanup(func() {
		ln.Close()
		g.shut()
		g.wg.Wait()
	})
	return g
}

func (g *gate) addr() string { return g.ln.Addr().String() }

func (g *gate) open(target string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.target = target
}

// shut cuts the broker off and returns what opens the gate again.
func (g *gate) shut() (target string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	target, g.target = g.target, ""
	for c := range g.conns {
		c.Close()
	}
	return target
}

func (g *gate) run() {
	for {
		in, err := g.ln.Accept()
		if err != nil {
			return
		}
		g.mu.Lock()
		target := g.target
		g.mu.Unlock()
		out, err := net.Dial("tcp", target)
		if target == "" || err != nil {
			in.Close()
			continue
		}
		g.mu.Lock()
		if g.target != target {
			in.Close()
			out.Close()
			g.mu.Unlock()
			continue
		}
		g.conns[in], g.conns[out] = struct{}{}, struct{}{}
		g.mu.Unlock()
		pipe := func(dst, src net.Conn) {
			io.Copy(dst, src)
			dst.Close()
			src.Close()
			g.mu.Lock()
			delete(g.conns, src)
			g.mu.Unlock()
		}
		g.wg.Go(func() { pipe(in, out) })
		g.wg.Go(func() { pipe(out, in) })
	}
}

// load is an idempotent producer that writes numbers to one partition, in order, until stopped.
type load struct {
	t      *testing.T
	cancel context.CancelFunc
	done   chan struct{}
	mu     sync.Mutex
	acked  map[int]int64 // number → offset
	sent   int
}

func (c *cluster) load(topic string) *load {
	cl := c.client(kgo.DefaultProduceTopic(topic), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0), kgo.MaxBufferedRecords(500))
	ctx, cancel := context.WithCancel(c.t.Context())
	l := &load{t: c.t, cancel: cancel, done: make(chan struct{}), acked: map[int]int64{}}
	go func() {
		defer close(l.done)
		for n := 0; ctx.Err() == nil; n++ {
			l.sent = n + 1
			cl.Produce(context.Background(), &kgo.Record{Value: []byte(strconv.Itoa(n)), Partition: 0}, func(r *kgo.Record, err error) {
				l.mu.Lock()
				defer l.mu.Unlock()
				if err != nil {
					c.t.Errorf("record %d was not taken: %v", n, err)
					return
				}
				l.acked[n] = r.Offset
			})
			if n%20 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		flush, stop := context.WithTimeout(context.Background(), 60*time.Second)
		defer stop()
		if err := cl.Flush(flush); err != nil {
			c.t.Error("flush:", err)
		}
		cl.Close()
	}()
	return l
}

func (l *load) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.acked)
}

func (l *load) stop() {
	l.cancel()
	<-l.done
}

// progress waits until n more records are acknowledged.
func (c *cluster) progress(l *load, n int) {
	c.t.Helper()
	from := l.count()
	c.eventually(fmt.Sprintf("%d more records are acknowledged", n), func() bool { return l.count() >= from+n })
}

// check reads the partition from its start and compares it with what was acknowledged: everything once, in order, where the answers said.
func (c *cluster) check(topic string, l *load) {
	c.t.Helper()
	cl := c.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))
	defer cl.Close()
	ctx, cancel := context.WithTimeout(c.t.Context(), 30*time.Second)
	defer cancel()
	next := 0
	for next < l.sent {
		fs := cl.PollFetches(ctx)
		if ctx.Err() != nil {
			c.t.Fatalf("after %d of %d records: %v", next, l.sent, ctx.Err())
		}
		fs.EachRecord(func(r *kgo.Record) {
			if string(r.Value) != strconv.Itoa(next) {
				c.t.Fatalf("at offset %d: record %s, want %d", r.Offset, r.Value, next)
			}
			if at, ok := l.acked[next]; ok && at != r.Offset {
				c.t.Errorf("record %d is at offset %d, its answer said %d", next, r.Offset, at)
			}
			next++
		})
	}
}

func TestClusterReplicates(t *testing.T) {
	c := startCluster(t, 3, nil)
	c.create("three", 3, 3, nil)
	cl := c.client(kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	produce(t, cl, "three", 0, 3000)
	for p := range int32(3) {
		c.awaitISR("three", p, 0, 1, 2)
		c.awaitSameLogs("three", p, 3)
	}
	if got := consume(t, c.brokers[1], "three", 3000); len(got) != 3000 {
		t.Errorf("%d records", len(got))
	}
	if del, err := kadm.NewClient(cl).DeleteTopics(t.Context(), "three"); err != nil || del["three"].Err != nil {
		t.Fatal(err, del)
	}
	c.eventually("the logs of the deleted topic are gone", func() bool { return len(c.logs("three", 0))+len(c.logs("three", 1))+len(c.logs("three", 2)) == 0 })
}

// A leader whom its followers cannot reach shrinks the ISR, refuses acks=all, and lets them in again when they are back.
func TestISRShrinksAndExpands(t *testing.T) {
	c := startCluster(t, 3, nil)
	c.create("isr", 3, 3, nil)
	part := int32(-1)
	for p := range int32(3) { // one whose leader is not the controller: the gate would cut that off from itself
		c.awaitISR("isr", p, 0, 1, 2)
		if c.state("isr", p).Leader != c.brokers[0].cache.Image().ControllerID {
			part = p
		}
	}
	leader := int(c.state("isr", part).Leader)
	produce := func(acks kgo.Acks, value string, opts ...kgo.Opt) error {
		cl := c.client(append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.DisableIdempotentWrite(), kgo.RequiredAcks(acks))...)
		defer cl.Close()
		return cl.ProduceSync(t.Context(), &kgo.Record{Topic: "isr", Partition: part, Value: []byte(value)}).FirstErr()
	}
	if err := produce(kgo.AllISRAcks(), "before"); err != nil {
		t.Fatal(err)
	}
	c.awaitSameLogs("isr", part, 3)
	target := c.gates[leader].shut()
	if err := produce(kgo.LeaderAck(), "alone"); err != nil {
		t.Fatal(err)
	}
	c.awaitISR("isr", part, int32(leader))
	if err := produce(kgo.AllISRAcks(), "refused", kgo.RecordRetries(0)); !errors.Is(err, kerr.NotEnoughReplicas) {
		t.Errorf("acks=all with an ISR of 1: %v", err)
	}
	if l := c.logs("isr", part)[leader]; l.HighWatermark() != 1 || l.LogEndOffset() != 2 {
		t.Errorf("high watermark %d, log end %d, with an ISR below min.insync.replicas", l.HighWatermark(), l.LogEndOffset())
	}
	c.gates[leader].open(target)
	c.awaitISR("isr", part, 0, 1, 2)
	if err := produce(kgo.AllISRAcks(), "after"); err != nil {
		t.Error(err)
	}
	c.awaitSameLogs("isr", part, 3)
}

// Leaders are killed under load, and come back: what was acknowledged is there once, in order, on all replicas.
func TestFailoverKeepsAcknowledged(t *testing.T) {
	c := startCluster(t, 3, nil)
	c.create("failover", 1, 3, nil)
	l := c.load("failover")
	c.progress(l, 100)
	for round := range 4 {
		leader := int(c.state("failover", 0).Leader)
		epoch := c.state("failover", 0).LeaderEpoch
		c.kill(leader)
		c.eventually("another leader", func() bool { s := c.state("failover", 0); return s.Leader >= 0 && s.LeaderEpoch > epoch })
		c.progress(l, 100)
		c.start(leader)
		c.ready(leader)
		c.awaitISR("failover", 0, 0, 1, 2)
		t.Logf("round %d: leader %d killed, %d acknowledged", round, leader, l.count())
	}
	l.stop()
	c.check("failover", l)
	c.awaitSameLogs("failover", 0, 3)
}

// A rolling restart moves the leaders before brokers go.
func TestRollingRestart(t *testing.T) {
	c := startCluster(t, 3, nil)
	c.create("rolling", 1, 3, nil)
	l := c.load("rolling")
	c.progress(l, 100)
	for id := range c.brokers {
		c.stop(id)
		c.progress(l, 100)
		c.start(id)
		c.ready(id)
		c.awaitISR("rolling", 0, 0, 1, 2)
	}
	l.stop()
	c.check("rolling", l)
	c.awaitSameLogs("rolling", 0, 3)
}
