package broker

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"gokafka/config"
	"gokafka/coordination/embedded"
	"gokafka/internal/clock"
	"gokafka/internal/vfs"
	"gokafka/logstore"
	"gokafka/metadata"
	"gokafka/record"
)

var (
	simSeed  = flag.Uint64("sim.seed", 0, "run this simulation only")
	simSeeds = flag.Int("sim.seeds", 0, "number of simulations; 0 = none")
)

// Three whole brokers, controllers and stock clients included, on a network and disks in memory and a clock that runs as fast as it can. Brokers are killed, lose
// each other and lose ZooKeeper; then all is healed. What idempotent producers were told is there once and in order, the replicas are the same, know the
// same of producers, and all brokers say the same of the cluster.
//
// A seed gives the same faults again; which goroutine is first is not in it.
func TestSimulation(t *testing.T) {
	first, n := uint64(1), *simSeeds
	switch {
	case *simSeed != 0:
		first, n = *simSeed, 1
	case n <= 0:
		t.Skip("a command of its own: go test ./broker -run TestSimulation -sim.seeds 50")
	}
	for seed := first; seed < first+uint64(n); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { newSimulation(t, seed).run(25) })
		})
	}
}

const (
	simBrokers    = 3
	simPartitions = 3
	simTopic      = "sim"
)

type simulation struct {
	t     *testing.T
	seed  uint64
	rnd   *rand.Rand
	zk    *embedded.Server
	net   *simNet
	disks [simBrokers]*vfs.Mem
	up    [simBrokers]*Broker // nil = down
	steps []string

	stop    chan struct{}
	writers sync.WaitGroup
	mu      sync.Mutex
	acks    [simPartitions]map[int]int64 // sequence → offset
	sent    [simPartitions]int
}

func newSimulation(t *testing.T, seed uint64) *simulation {
	s := &simulation{t: t, seed: seed, rnd: rand.New(rand.NewPCG(seed, 3)), stop: make(chan struct{})}
	var err error
	if s.zk, err = embedded.Open(t.Context(), embedded.Options{FS: vfs.NewMem(), Dir: "/zk", Clock: clock.New(), Logger: slog.New(slog.DiscardHandler), TickTime: 500 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	s.net = newSimNet(s.zk)
	for id := range simBrokers {
		s.disks[id] = vfs.NewMem()
		s.start(id)
	}
	for id := range simBrokers {
		<-s.up[id].Ready()
	}
	return s
}

func simHostOf(id int) string { return fmt.Sprintf("10.0.0.%d", id+1) }

func (s *simulation) start(id int) {
	host := simHostOf(id)
	props := map[string]string{
		"broker.id": strconv.Itoa(id), "log.dirs": "/data", "listeners": "PLAINTEXT://" + net.JoinHostPort(host, "9092"),
		"zookeeper.connect": zkAddr, "zookeeper.session.timeout.ms": "6000", "zookeeper.connection.timeout.ms": "60000",
		"default.replication.factor": "3", "min.insync.replicas": "2", "auto.create.topics.enable": "false",
		"replica.lag.time.max.ms": "5000", "offsets.topic.replication.factor": "1", "transaction.state.log.replication.factor": "1",
	}
	cfg, err := config.NewBroker(props)
	if err != nil {
		s.t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	if os.Getenv("GOKAFKA_TEST_LOG") != "" {
		logger = slog.New(slog.NewTextHandler(os.Stderr, nil)).With("broker", id)
	}
	s.net.setDown(host, false)
	s.net.setCut(host, "10.0.0.100", false) // a broker that cannot reach ZooKeeper gives up
	b, err := Start(context.Background(), Options{Config: cfg, FS: s.disks[id], Logger: logger, Network: simHost{s.net, host}})
	if err != nil {
		s.t.Fatalf("seed %d, broker %d: %v; %v", s.seed, id, err, s.steps)
	}
	s.up[id] = b
}

// kill ends a broker as kill -9 does: what it wrote is there, nothing says good-bye, its ZooKeeper session stands.
func (s *simulation) kill(id int) {
	b := s.up[id]
	s.up[id] = nil
	s.net.setDown(simHostOf(id), true)
	b.kill()
}

func (s *simulation) client(opts ...kgo.Opt) *kgo.Client {
	var seeds []string
	for id := range simBrokers {
		seeds = append(seeds, net.JoinHostPort(simHostOf(id), "9092"))
	}
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(seeds...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0),
		kgo.MetadataMinAge(100 * time.Millisecond), kgo.AlwaysRetryEOF(), kgo.UnknownTopicRetries(-1), // the controller may die before it has told the others of a topic
		kgo.Dialer(func(ctx context.Context, _, addr string) (net.Conn, error) {
			return simHost{s.net, "10.0.0.200"}.Dial(ctx, addr)
		})}, opts...)...)
	if err != nil {
		s.t.Fatal(err)
	}
	return cl
}

// write sends one record after the other to a partition, each again until it is acknowledged.
func (s *simulation) write(p int) {
	defer s.writers.Done()
	cl := s.client()
	defer cl.Close()
	for seq := 0; ; seq++ {
		select {
		case <-s.stop:
			return
		case <-time.After(50 * time.Millisecond):
		}
		s.mu.Lock()
		s.sent[p] = seq + 1
		s.mu.Unlock()
		r, err := cl.ProduceSync(context.Background(), &kgo.Record{Topic: simTopic, Partition: int32(p), Value: []byte(strconv.Itoa(seq))}).First()
		s.mu.Lock()
		if err != nil {
			s.t.Errorf("partition %d: record %d was given up: %v", p, seq, err)
			s.mu.Unlock()
			return
		}
		s.acks[p][seq] = r.Offset
		s.mu.Unlock()
	}
}

func (s *simulation) run(steps int) {
	defer s.end()
	s.create()
	for p := range simPartitions {
		s.acks[p] = map[int]int64{}
		s.writers.Add(1)
		go s.write(p)
	}
	for range steps {
		s.step()
	}
	s.heal()
	if s.t.Failed() {
		s.t.Logf("seed %d: %s", s.seed, strings.Join(s.steps, "; "))
	}
}

func (s *simulation) create() {
	cl := s.client()
	defer cl.Close()
	adm := kadm.NewClient(cl)
	s.eventually("the topic is created", func() bool {
		resp, err := adm.CreateTopics(s.t.Context(), simPartitions, 3, nil, simTopic)
		return err == nil && resp[simTopic].Err == nil
	})
}

// step is one fault, or the end of one, or time.
func (s *simulation) step() {
	id := s.rnd.IntN(simBrokers)
	other := (id + 1 + s.rnd.IntN(simBrokers-1)) % simBrokers
	what := ""
	switch k := s.rnd.IntN(12); {
	case k < 3 && s.up[id] != nil:
		what = fmt.Sprint("kill ", id)
		s.kill(id)
	case k < 6 && s.up[id] == nil:
		what = fmt.Sprint("start ", id)
		s.start(id)
	case k == 6:
		what = fmt.Sprintf("cut %d and %d", id, other)
		s.net.setCut(simHostOf(id), simHostOf(other), true)
	case k == 7:
		what = fmt.Sprint("ZooKeeper is lost to ", id)
		s.net.setCut(simHostOf(id), "10.0.0.100", true)
	case k <= 9:
		what = fmt.Sprint("everybody reaches ", id)
		s.reach(id)
	}
	if what != "" {
		s.steps = append(s.steps, what)
	}
	time.Sleep(time.Duration(s.rnd.Int64N(int64(8 * time.Second))))
}

func (s *simulation) reach(id int) {
	for other := range simBrokers {
		s.net.setCut(simHostOf(id), simHostOf(other), false)
	}
	s.net.setCut(simHostOf(id), "10.0.0.100", false)
}

// heal brings everybody back, lets the writers finish, and compares.
func (s *simulation) heal() {
	for id := range simBrokers {
		s.reach(id)
		if s.up[id] == nil {
			s.start(id)
		}
	}
	s.eventually("all replicas are in sync", func() bool { return s.whole() })
	close(s.stop)
	s.writers.Wait()
	s.eventually("all replicas have all records", func() bool { return s.whole() && s.sameEnds() })
	if s.t.Failed() {
		return
	}
	for p := range simPartitions {
		s.check(p)
	}
	s.eventually("all brokers say the same of the cluster", func() bool {
		a := s.up[0].cache.Image()
		return !slices.ContainsFunc(s.up[1:], func(b *Broker) bool {
			return !reflect.DeepEqual(b.cache.Image().Topic(simTopic), a.Topic(simTopic)) || !slices.Equal(b.cache.Image().BrokerIDs(), a.BrokerIDs()) || b.cache.Image().ControllerID != a.ControllerID
		})
	})
}

func (s *simulation) eventually(what string, ok func() bool) {
	s.t.Helper()
	for range 900 {
		if ok() {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	s.t.Errorf("not within 3 minutes: %s", what)
}

func tp(p int) metadata.TopicPartition {
	return metadata.TopicPartition{Topic: simTopic, Partition: int32(p)}
}

func (s *simulation) whole() bool {
	for p := range simPartitions {
		for _, b := range s.up {
			part := b.cache.Image().Partition(tp(p))
			if part == nil || part.Leader < 0 || len(part.ISR) != simBrokers {
				return false
			}
		}
	}
	return true
}

func (s *simulation) sameEnds() bool {
	for p := range simPartitions {
		end := int64(-1)
		for _, b := range s.up {
			l, ok := b.logs.Get(tp(p))
			if !ok || end >= 0 && l.LogEndOffset() != end || l.HighWatermark() != l.LogEndOffset() {
				return false
			}
			end = l.LogEndOffset()
		}
	}
	return true
}

// check compares the replicas with each other and with what the producer was told.
func (s *simulation) check(p int) {
	want := s.values(0, p)
	wantProducers := s.producers(0, p)
	for id := 1; id < simBrokers; id++ {
		if got := s.values(id, p); !slices.Equal(got, want) {
			s.t.Errorf("partition %d: broker 0 has %v\nbroker %d has %v", p, want, id, got)
		}
		if got := s.producers(id, p); !slices.Equal(got, wantProducers) {
			s.t.Errorf("partition %d: broker 0 knows of producers %+v\nbroker %d knows %+v", p, wantProducers, id, got)
		}
	}
	for i, v := range want {
		if v != strconv.Itoa(i) {
			s.t.Errorf("partition %d: offset %d holds record %s", p, i, v)
			return
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(want) != s.sent[p] {
		s.t.Errorf("partition %d: %d records in the log, %d were sent and acknowledged", p, len(want), s.sent[p])
	}
	for seq, offset := range s.acks[p] {
		if offset != int64(seq) {
			s.t.Errorf("partition %d: record %d was acknowledged at offset %d", p, seq, offset)
		}
	}
}

func (s *simulation) producers(id, p int) []logstore.ProducerEntry {
	l, _ := s.up[id].logs.Get(tp(p))
	return l.ActiveProducers()
}

func (s *simulation) values(id, p int) (out []string) {
	l, _ := s.up[id].logs.Get(tp(p))
	codecs := record.NewCodecs()
	for off := l.LogStartOffset(); off < l.LogEndOffset(); {
		r, err := l.Read(off, 1<<20, logstore.LogEnd, true)
		if err != nil {
			s.t.Fatal(err)
		}
		buf := make([]byte, r.Range.Len)
		err = r.Range.CopyTo(buf)
		r.Range.Release()
		for err == nil && len(buf) > 0 {
			var b record.Batch
			if b, buf, err = record.Next(buf); err != nil {
				break
			}
			off = b.LastOffset() + 1
			it, _, ierr := codecs.Iterate(b, nil, 1<<20)
			err = ierr
			for rec := (record.Record{}); err == nil && it.Next(&rec); {
				out = append(out, string(rec.Value))
			}
		}
		if err != nil {
			s.t.Fatal(err)
		}
	}
	return out
}

func (s *simulation) end() {
	select {
	case <-s.stop:
	default:
		close(s.stop)
	}
	s.writers.Wait()
	for _, b := range s.up {
		if b != nil {
			b.kill()
		}
	}
	if err := s.zk.Close(); err != nil {
		s.t.Error(err)
	}
}
