package broker

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"maps"
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
	"gokafka/coordination"
	"gokafka/coordination/embedded"
	"gokafka/coordination/znode"
	"gokafka/internal/clock"
	"gokafka/internal/vfs"
	"gokafka/logstore"
	"gokafka/metadata"
	"gokafka/record"
)

var (
	simSeed  = flag.Uint64("sim.seed", 0, "run this simulation only")
	simSeeds = flag.Int("sim.seeds", plainSimSeeds, "number of simulations")
	simSteps = flag.Int("sim.steps", 30, "steps of each simulation")
)

// Three to five whole brokers, controllers and stock clients included, on a network and disks in memory and a clock that runs as fast as it can. Brokers are
// killed and lose power, lose each other and ZooKeeper, or hear each other late; topics come, grow and go; partitions are moved and led by others on
// request. Then all is healed. What idempotent producers were told is there once and in order, and no reader has seen otherwise meanwhile; the replicas
// are the same and know the same of producers; brokers, znodes and directories agree, and nothing is left over.
//
// Power failures follow the promise (design: acknowledged is in the page cache of every ISR member): one broker at a time loses what it had not
// synced, while others are in sync with it, and it comes back when the ISRs have been told of it.
//
// A seed gives the same faults again; which goroutine is first is not in it.
func TestSimulation(t *testing.T) {
	first, n := uint64(1), *simSeeds
	if *simSeed != 0 {
		first, n = *simSeed, 1
	}
	for seed := first; seed < first+uint64(n); seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) { newSimulation(t, seed).run(*simSteps) })
		})
	}
}

const (
	simPartitions = 3
	simTopic      = "sim"
	simZK         = "10.0.0.100"
	simClients    = "10.0.0.200"
)

var simDirs = [2]string{"/data/a", "/data/b"}

type simulation struct {
	t       *testing.T
	seed    uint64
	props   map[string]string // of the brokers
	log     io.Writer
	rnd     *rand.Rand
	dirs    *rand.Rand // of moves between log directories, so that these leave the other steps as they are
	zk      *embedded.Server
	session *coordination.Session // of who looks on
	net     *simNet
	disks   []*vfs.Mem
	up      []*Broker  // nil = down
	upMu    sync.Mutex // of up, for those who look from other goroutines: living
	dark    int        // broker that lost power and may still be in an ISR; -1 = none
	steps   []string

	stop chan struct{}
	work sync.WaitGroup // writers, readers and administrators
	mu   sync.Mutex
	acks [simPartitions]map[int]int64 // sequence → offset
	sent [simPartitions]int
}

func newSimulation(t *testing.T, seed uint64) *simulation {
	return newSimulationOn(t, seed, 3+int(seed%3), func(*simNet) {})
}

// newSimulationOn starts brokers on a network that prepare has had its hands on.
func newSimulationOn(t *testing.T, seed uint64, brokers int, prepare func(*simNet)) *simulation {
	return newSimulationWith(t, seed, simOptions{brokers: brokers, prepare: prepare})
}

// simOptions say how a simulation begins.
type simOptions struct {
	brokers    int
	props      map[string]string // of all brokers
	prepare    func(*simNet)     // has its hands on the network first
	firstAlone bool              // broker 0 becomes the controller before the others start
	log        io.Writer         // of all brokers; nil = nowhere
}

func newSimulationWith(t *testing.T, seed uint64, o simOptions) *simulation {
	brokers := o.brokers
	s := &simulation{t: t, props: o.props, log: o.log, seed: seed, rnd: rand.New(rand.NewPCG(seed, 3)), dirs: rand.New(rand.NewPCG(seed, 4)), stop: make(chan struct{}), dark: -1,
		disks: make([]*vfs.Mem, brokers), up: make([]*Broker, brokers)}
	var err error
	if s.zk, err = embedded.Open(t.Context(), embedded.Options{FS: vfs.NewMem(), Dir: "/zk", Clock: clock.New(), Logger: slog.New(slog.DiscardHandler), TickTime: 500 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	s.net = newSimNet(s.zk)
	if o.prepare != nil {
		o.prepare(s.net)
	}
	if s.session, err = coordination.Open(t.Context(), coordination.Options{Servers: []string{zkAddr}, Clock: clock.New(), Logger: slog.New(slog.DiscardHandler),
		Dial: simHost{s.net, simClients}.Dial}); err != nil {
		t.Fatal(err)
	}
	for id := range s.up {
		s.disks[id] = vfs.NewMem()
		s.start(id)
		if o.firstAlone {
			<-s.up[id].Ready()
		}
	}
	for id := range s.up {
		<-s.up[id].Ready()
	}
	return s
}

func simHostOf(id int) string { return fmt.Sprintf("10.0.0.%d", id+1) }

func (s *simulation) start(id int) {
	host := simHostOf(id)
	props := map[string]string{
		"broker.id": strconv.Itoa(id), "log.dirs": simDirs[0] + "," + simDirs[1], "listeners": "PLAINTEXT://" + net.JoinHostPort(host, "9092"),
		"zookeeper.connect": zkAddr, "auto.leader.rebalance.enable": "false", "log.flush.offset.checkpoint.interval.ms": "7000",
		"replica.high.watermark.checkpoint.interval.ms": "3000", "zookeeper.session.timeout.ms": "6000", "zookeeper.connection.timeout.ms": "60000",
		"default.replication.factor": "3", "min.insync.replicas": "2", "auto.create.topics.enable": "false",
		"replica.lag.time.max.ms": "5000", "offsets.topic.replication.factor": "1", "transaction.state.log.replication.factor": "1",
	}
	maps.Copy(props, s.props)
	cfg, err := config.NewBroker(props)
	if err != nil {
		s.t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	if s.log != nil {
		logger = slog.New(slog.NewTextHandler(s.log, nil)).With("broker", id)
	}
	if os.Getenv("GOKAFKA_TEST_LOG") != "" {
		logger = slog.New(slog.NewTextHandler(os.Stderr, nil)).With("broker", id)
	}
	s.net.setDown(host, false)
	s.net.setCut(host, simZK, false) // a broker that cannot reach ZooKeeper gives up
	b, err := Start(context.Background(), Options{Config: cfg, FS: s.disks[id], Logger: logger, Network: simHost{s.net, host}})
	if err != nil {
		s.t.Fatalf("seed %d, broker %d: %v; %v", s.seed, id, err, s.steps)
	}
	s.upMu.Lock()
	s.up[id] = b
	s.upMu.Unlock()
}

// living are the brokers that run.
func (s *simulation) living() (list []*Broker) {
	s.upMu.Lock()
	defer s.upMu.Unlock()
	for _, b := range s.up {
		if b != nil {
			list = append(list, b)
		}
	}
	return list
}

// kill ends a broker as kill -9 does: what it wrote is there, nothing says good-bye, its ZooKeeper session stands.
func (s *simulation) kill(id int) {
	b := s.up[id]
	s.upMu.Lock()
	s.up[id] = nil
	s.upMu.Unlock()
	s.net.setDown(simHostOf(id), true)
	b.kill()
}

// powerOff is kill, but of what was not synced only a random part is left.
func (s *simulation) powerOff(id int) {
	disk := s.disks[id].CrashClone(vfs.CrashOptions{Seed: s.rnd.Uint64()})
	s.kill(id)
	s.disks[id] = disk
	s.dark = id
}

// states are the partition states in ZooKeeper.
func (s *simulation) states() map[metadata.TopicPartition]metadata.PartitionState {
	g := s.session.Current()
	topics, err := znode.ListTopics(s.t.Context(), g, false)
	if err != nil {
		s.t.Fatal(err)
	}
	var tps []metadata.TopicPartition
	for _, name := range topics {
		t, ok, err := znode.ReadTopic(s.t.Context(), g, name)
		if err != nil {
			s.t.Fatal(err)
		}
		for p := range t.Partitions {
			if ok {
				tps = append(tps, metadata.TopicPartition{Topic: name, Partition: p})
			}
		}
	}
	results, err := znode.ReadStates(s.t.Context(), g, tps)
	if err != nil {
		s.t.Fatal(err)
	}
	states := map[metadata.TopicPartition]metadata.PartitionState{}
	for i, r := range results {
		if r.OK {
			states[tps[i]] = r.State
		}
	}
	return states
}

// mayLosePower says whether each partition that the broker is in sync for has another live member of the ISR, which will stay there: all reach ZooKeeper,
// and no other broker is dark.
func (s *simulation) mayLosePower(id int) bool {
	for o := range s.up {
		if s.net.isCut(simHostOf(o), simZK) {
			return false
		}
	}
	for _, st := range s.states() {
		if slices.Contains(st.ISR, int32(id)) && !slices.ContainsFunc(st.ISR, func(o int32) bool { return int(o) != id && s.up[o] != nil }) {
			return false
		}
	}
	return s.dark < 0
}

// darkIsForgotten says whether no ISR counts on what a broker lost with its power. Until then nobody else goes: a member of an ISR that dies before the dark
// one is noticed would leave that one as the last of the ISR, and nothing is promised of its records.
func (s *simulation) darkIsForgotten() bool {
	for _, st := range s.states() {
		if slices.Contains(st.ISR, int32(s.dark)) {
			return false
		}
	}
	return true
}

func (s *simulation) client(opts ...kgo.Opt) *kgo.Client {
	var seeds []string
	for id := range s.up {
		seeds = append(seeds, net.JoinHostPort(simHostOf(id), "9092"))
	}
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(seeds...), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerLinger(0),
		kgo.MetadataMinAge(100 * time.Millisecond), kgo.AlwaysRetryEOF(), kgo.UnknownTopicRetries(-1), // the controller may die before it has told the others of a topic
		kgo.Dialer(func(ctx context.Context, _, addr string) (net.Conn, error) {
			return simHost{s.net, simClients}.Dial(ctx, addr)
		})}, opts...)...)
	if err != nil {
		s.t.Fatal(err)
	}
	return cl
}

// read follows a partition from its start. What it has seen stays there: each record comes once, in the order of its sequence.
func (s *simulation) read(p int) {
	defer s.work.Done()
	cl := s.client(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{simTopic: {int32(p): kgo.NewOffset().AtStart()}}), kgo.FetchMaxWait(500*time.Millisecond))
	defer cl.Close()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	go func() {
		select {
		case <-s.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	var told []string
	for next := 0; ctx.Err() == nil; {
		fs := cl.PollFetches(ctx)
		for _, e := range fs.Errors() {
			var lost net.Error
			// A leader that has been deposed unheard may tell a client, which believes it in the end, of older epochs than those it has read of. Apache's does
			// too. What is read again has to be the same.
			if loss := new(kgo.ErrDataLoss); errors.As(e.Err, &loss) && loss.ResetToEpoch < loss.ConsumedToEpoch {
				next = int(loss.ResetTo)
				continue
			}
			if ctx.Err() == nil && !errors.As(e.Err, &lost) && !slices.Contains(told, e.Err.Error()) {
				told = append(told, e.Err.Error())
				s.t.Errorf("partition %d: a reader was told: %v", p, e.Err)
			}
			time.Sleep(100 * time.Millisecond) // the client repeats some errors without a pause
		}
		fs.EachRecord(func(r *kgo.Record) {
			if string(r.Value) != strconv.Itoa(next) || r.Offset != int64(next) {
				s.t.Errorf("partition %d: a reader saw record %s at offset %d where %d was due", p, r.Value, r.Offset, next)
				cancel()
			}
			next++
		})
	}
}

// administer does something by request, behind the steps. Its outcome does not matter; that all agree in the end does.
func (s *simulation) administer(f func(ctx context.Context, adm *kadm.Client)) {
	s.work.Go(func() {
		cl := s.client(kgo.RetryTimeout(20 * time.Second))
		defer cl.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 25*time.Second)
		defer cancel()
		f(ctx, kadm.NewClient(cl))
	})
}

// write sends one record after the other to a partition, each again until it is acknowledged.
func (s *simulation) write(p int) {
	defer s.work.Done()
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
	s.eventually("all brokers know the topic", s.whole) // a leader that has never heard of it would deny it to readers
	for p := range simPartitions {
		s.acks[p] = map[int]int64{}
		s.work.Add(2)
		go s.write(p)
		go s.read(p)
	}
	for range steps {
		s.step()
	}
	s.heal()
	if s.t.Failed() {
		s.t.Logf("seed %d, %d brokers: %s", s.seed, len(s.up), strings.Join(s.steps, "; "))
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

// step is one fault, or the end of one, or a request, or time.
func (s *simulation) step() {
	id := s.rnd.IntN(len(s.up))
	other := (id + 1 + s.rnd.IntN(len(s.up)-1)) % len(s.up)
	what := ""
	if s.dark >= 0 && s.darkIsForgotten() {
		s.dark = -1
	}
	switch k := s.rnd.IntN(22); {
	case s.dark >= 0:
		// only time passes
	case k < 3 && s.up[id] != nil:
		what = fmt.Sprint("kill ", id)
		s.kill(id)
	case k == 3 && s.up[id] != nil && s.mayLosePower(id):
		what = fmt.Sprint("power fails at ", id)
		s.powerOff(id)
	case k < 7 && s.up[id] == nil:
		what = fmt.Sprint("start ", id)
		s.start(id)
	case k == 7:
		what = fmt.Sprintf("cut %d and %d", id, other)
		s.net.setCut(simHostOf(id), simHostOf(other), true)
	case k == 8:
		what = fmt.Sprintf("stall %d and %d", id, other)
		s.net.setStalled(simHostOf(id), simHostOf(other), true)
	case k == 9:
		what = fmt.Sprint("ZooKeeper is lost to ", id)
		s.net.setCut(simHostOf(id), simZK, true)
	case k == 10:
		what = fmt.Sprint("clients are stalled at ", id)
		s.net.setStalled(simHostOf(id), simClients, true)
	case k <= 13:
		what = fmt.Sprint("everybody reaches ", id)
		s.reach(id)
	case k == 14:
		p, to := s.rnd.IntN(simPartitions), s.rnd.Perm(len(s.up))[:3]
		what = fmt.Sprintf("move partition %d to %v", p, to)
		var r kadm.AlterPartitionAssignmentsReq
		r.Assign(simTopic, int32(p), sortedless(to))
		s.administer(func(ctx context.Context, adm *kadm.Client) { _, _ = adm.AlterPartitionAssignments(ctx, r) })
	case k == 15:
		what = "elect preferred leaders"
		s.administer(func(ctx context.Context, adm *kadm.Client) {
			_, _ = adm.ElectLeaders(ctx, kadm.ElectPreferredReplica, nil)
		})
	case k <= 18:
		what = s.changeTopics()
	case k <= 20:
		what = s.changeConfigs()
	}
	if what != "" {
		s.steps = append(s.steps, what)
	}
	if s.dirs.IntN(2) == 0 {
		s.moveDir()
	}
	time.Sleep(time.Duration(s.rnd.Int64N(int64(8 * time.Second))))
}

func sortedless(ids []int) []int32 {
	out := make([]int32, len(ids))
	for i, id := range ids {
		out[i] = int32(id)
	}
	return out
}

// changeTopics creates, extends or deletes one of a few other topics.
func (s *simulation) changeTopics() string {
	name := fmt.Sprint("extra-", s.rnd.IntN(3))
	switch s.rnd.IntN(3) {
	case 0:
		s.administer(func(ctx context.Context, adm *kadm.Client) { _, _ = adm.CreateTopics(ctx, 2, 2, nil, name) })
		return "create " + name
	case 1:
		s.administer(func(ctx context.Context, adm *kadm.Client) { _, _ = adm.CreatePartitions(ctx, 1, name) })
		return "extend " + name
	default:
		s.administer(func(ctx context.Context, adm *kadm.Client) { _, _ = adm.DeleteTopics(ctx, name) })
		return "delete " + name
	}
}

// moveDir asks a broker to have all its partitions of the topic in one of its directories, at once or so slowly that much happens meanwhile.
func (s *simulation) moveDir() {
	id, dir, rate := s.dirs.IntN(len(s.up)), simDirs[s.dirs.IntN(len(simDirs))], []string{"2000", noThrottle}[s.dirs.IntN(2)]
	s.steps = append(s.steps, fmt.Sprintf("move the logs of %d to %s, %s bytes a second", id, dir, rate))
	var set kadm.TopicsSet
	for p := range int32(simPartitions) {
		set.Add(simTopic, p)
	}
	var r kadm.AlterReplicaLogDirsReq
	r.Add(dir, set)
	s.administer(func(ctx context.Context, adm *kadm.Client) {
		_, _ = adm.AlterBrokerConfigs(ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: dirRate, Value: &rate}}, int32(id))
		_, _ = adm.AlterBrokerReplicaLogDirs(ctx, int32(id), r)
	})
}

const noThrottle = "1000000000"

// changeConfigs sets or takes away a config of a topic, or of all brokers.
func (s *simulation) changeConfigs() string {
	change := kadm.AlterConfig{Op: kadm.DeleteConfig, Name: "flush.ms"}
	of := []string{simTopic, "extra-0", ""}[s.rnd.IntN(3)]
	if of == "" {
		change.Name = "log.roll.ms"
	}
	if value := s.rnd.IntN(4); value > 0 {
		change.Op, change.Value = kadm.SetConfig, kadm.StringPtr(strconv.Itoa(1_000_000+value))
	}
	s.administer(func(ctx context.Context, adm *kadm.Client) {
		if of == "" {
			_, _ = adm.AlterBrokerConfigs(ctx, []kadm.AlterConfig{change})
		} else {
			_, _ = adm.AlterTopicConfigs(ctx, []kadm.AlterConfig{change}, of)
		}
	})
	return fmt.Sprintf("%s of %q", change.Name, of)
}

// unthrottle lets moves between log directories end.
func (s *simulation) unthrottle() {
	cl := s.client()
	defer cl.Close()
	adm := kadm.NewClient(cl)
	for id := range s.up {
		s.eventually(fmt.Sprintf("broker %d is told its new limit", id), func() bool {
			got, err := adm.AlterBrokerConfigs(context.Background(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: dirRate, Value: kadm.StringPtr(noThrottle)}}, int32(id))
			return err == nil && got[0].Err == nil
		})
	}
}

func (s *simulation) reach(id int) {
	for other := range s.up {
		s.net.setCut(simHostOf(id), simHostOf(other), false)
		s.net.setStalled(simHostOf(id), simHostOf(other), false)
	}
	s.net.setStalled(simHostOf(id), simClients, false)
	s.net.setCut(simHostOf(id), simZK, false)
}

// heal brings everybody back, lets the writers finish, and compares.
func (s *simulation) heal() {
	for id := range s.up {
		s.reach(id)
	}
	for id := range s.up {
		if s.up[id] == nil && s.dark != id {
			s.start(id)
		}
	}
	if id := s.dark; id >= 0 {
		s.eventually("no ISR counts on the broker without power", s.darkIsForgotten)
		s.start(id)
	}
	s.eventually("all replicas are in sync", func() bool { return s.whole() })
	close(s.stop)
	s.work.Wait()
	s.eventually("all replicas have all records", func() bool { return s.whole() && s.sameEnds() })
	if s.t.Failed() {
		return
	}
	for p := range simPartitions {
		s.check(p)
	}
	s.unthrottle()
	why := ""
	s.eventually("brokers, znodes and directories agree", func() bool { why = s.disagreement(); return why == "" })
	if why != "" {
		s.t.Error(why)
	}
}

// disagreement says where the brokers' pictures, the znodes and the log directories differ.
func (s *simulation) disagreement() string {
	g := s.session.Current()
	names, err := znode.ListTopics(s.t.Context(), g, false)
	if err != nil {
		return err.Error()
	}
	states := s.states()
	hosts := map[metadata.TopicPartition][]int32{}
	for id, b := range s.up {
		for _, l := range b.logs.All() {
			hosts[l.TopicPartition()] = append(hosts[l.TopicPartition()], int32(id))
		}
	}
	for tp := range hosts {
		if _, ok := states[tp]; !ok {
			return fmt.Sprintf("%s is on brokers %v and has no znode", tp, hosts[tp])
		}
	}
	first := s.up[0].cache.Image()
	for id, b := range s.up {
		im := b.cache.Image()
		if im.TopicCount() != len(names) || len(im.BrokerIDs()) != len(s.up) || im.ControllerID != first.ControllerID {
			return fmt.Sprintf("broker %d knows %d topics, brokers %v and controller %d; there are topics %v, and broker 0 knows controller %d",
				id, im.TopicCount(), im.BrokerIDs(), im.ControllerID, names, first.ControllerID)
		}
		for _, name := range names {
			if of, other := b.settings.Topic(name), s.up[0].settings.Topic(name); !reflect.DeepEqual(of, other) {
				return fmt.Sprintf("topic %s: broker %d has the configs %+v, broker 0 %+v", name, id, of, other)
			}
			zt, _, err := znode.ReadTopic(s.t.Context(), g, name)
			t := im.Topic(name)
			if err != nil || t == nil || t.ID != zt.ID || len(t.Partitions) != len(zt.Partitions) {
				return fmt.Sprintf("topic %s: broker %d has %+v, the znode %+v, %v", name, id, t, zt, err)
			}
			for _, p := range t.Partitions {
				tp := metadata.TopicPartition{Topic: name, Partition: p.Index}
				a, st := zt.Partitions[p.Index], states[tp]
				if !slices.Equal(p.Replicas, a.Replicas) || len(a.Adding)+len(a.Removing) > 0 || p.Leader != st.Leader || p.LeaderEpoch != st.LeaderEpoch || !slices.Equal(p.ISR, st.ISR) {
					return fmt.Sprintf("%s: broker %d has %+v, the znodes %+v and %+v", tp, id, p, a, st)
				}
				if want := slices.Sorted(slices.Values(a.Replicas)); !slices.Equal(hosts[tp], want) {
					return fmt.Sprintf("%s has replicas %v and is on brokers %v", tp, want, hosts[tp])
				}
			}
		}
	}
	for id, b := range s.up {
		if why := leftOver(s.disks[id], b); why != "" {
			return fmt.Sprintf("broker %d: %s", id, why)
		}
	}
	return s.dumpDiffers(states, len(names))
}

// leftOver names a directory of a disk that no log of the broker is in, and that is not about to be removed.
func leftOver(disk vfs.FS, b *Broker) string {
	there := map[string]bool{}
	for _, l := range b.logs.All() {
		if _, future, ok := b.logs.Future(l.TopicPartition()); ok {
			return fmt.Sprintf("%s is still being moved to %s", l.TopicPartition(), future)
		}
		there[l.Dir()] = true
	}
	for _, dir := range simDirs {
		entries, err := disk.ReadDir(dir)
		if err != nil {
			return err.Error()
		}
		for _, e := range entries {
			if path := dir + "/" + e.Name(); e.IsDir() && !there[path] && !strings.HasSuffix(e.Name(), logstore.DeleteDirSuffix) {
				return path + " is left over"
			}
		}
	}
	return ""
}

// dumpDiffers compares what the controller holds with the znodes.
func (s *simulation) dumpDiffers(states map[metadata.TopicPartition]metadata.PartitionState, topics int) string {
	id := s.up[0].cache.Image().ControllerID
	if id < 0 {
		return "no controller"
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
	defer cancel()
	d, err := s.up[id].controller.Dump(ctx)
	if err != nil {
		return err.Error()
	}
	if len(d.Brokers) != len(s.up) || len(d.Topics) != topics {
		return fmt.Sprintf("the controller holds brokers %+v and %d topics of %d", d.Brokers, len(d.Topics), topics)
	}
	for _, b := range d.Brokers {
		if b.ShuttingDown || b.Epoch != s.up[b.ID].epoch() {
			return fmt.Sprintf("the controller holds %+v of a broker whose epoch is %d", b, s.up[b.ID].epoch())
		}
	}
	for _, t := range d.Topics {
		for _, p := range t.Partitions {
			st, ok := states[metadata.TopicPartition{Topic: t.Name, Partition: p.Partition}]
			if !ok || p.Leadership == nil || !reflect.DeepEqual(*p.Leadership, st) || p.Assignment.IsBeingReassigned() || t.Deleting || p.State != "OnlinePartition" {
				return fmt.Sprintf("%s-%d: the controller holds %+v, the znode is %+v", t.Name, p.Partition, p, st)
			}
			for _, id := range p.Assignment.Replicas {
				if p.Replicas[id] != "OnlineReplica" || len(p.Replicas) != len(p.Assignment.Replicas) {
					return fmt.Sprintf("%s-%d: the controller holds replicas %v", t.Name, p.Partition, p.Replicas)
				}
			}
		}
	}
	return ""
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

// whole says whether every broker says of every partition that it is led and that all its replicas, three, are in sync.
func (s *simulation) whole() bool {
	for p := range simPartitions {
		for _, b := range s.up {
			part := b.cache.Image().Partition(tp(p))
			if part == nil || part.Leader < 0 || len(part.Replicas) != 3 || len(part.ISR) != 3 {
				return false
			}
		}
	}
	return true
}

func (s *simulation) replicas(p int) []int32 { return s.up[0].cache.Image().Partition(tp(p)).Replicas }

func (s *simulation) sameEnds() bool {
	for p := range simPartitions {
		end := int64(-1)
		for _, id := range s.replicas(p) {
			l, ok := s.up[id].logs.Get(tp(p))
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
	ids := s.replicas(p)
	first := int(ids[0])
	want := s.values(first, p)
	wantProducers := s.producers(first, p)
	for _, other := range ids[1:] {
		id := int(other)
		if got := s.values(id, p); !slices.Equal(got, want) {
			s.t.Errorf("partition %d: broker %d has %v\nbroker %d has %v", p, first, want, id, got)
		}
		if got := s.producers(id, p); !slices.Equal(got, wantProducers) {
			s.t.Errorf("partition %d: broker %d knows of producers %+v\nbroker %d knows %+v", p, first, wantProducers, id, got)
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
	s.work.Wait()
	for _, b := range s.up {
		if b != nil {
			b.kill()
		}
	}
	if err := s.session.Close(); err != nil {
		s.t.Error(err)
	}
	if err := s.zk.Close(); err != nil {
		s.t.Error(err)
	}
}
