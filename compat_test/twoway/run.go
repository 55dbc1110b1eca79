package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/datadir"
	"gokafka/compat_test/harness"
	"gokafka/compat_test/wire"
)

// run is one history of a broker's directories, passed on between the two programs.
type run struct {
	zk      *harness.ZooKeeper
	brokers [2]*harness.Broker // gokafka, Apache; same id, port, directories and ZooKeeper
	dirs    []datadir.Dir
	addr    string
	batches int
	rnd     *rand.Rand
	logf    func(string, ...any)

	parts        []*partition
	ids          map[string][16]byte
	leaderEpochs map[string]int32
	gone         map[string]bool // deleted topics
	cluster      string
	made         int
	txns         transactions
	turns        int

	kills, stumbles, stops, read, files, landed, reset int
}

// options of a run.
type options struct {
	dir     string
	rounds  int
	batches int // appended to each partition under each broker
	seed    uint64
	logf    func(string, ...any)
}

// do runs rounds of gokafka and then Apache, and gokafka once more. The error says what was wrong.
func do(ctx context.Context, o options) (*run, error) {
	r := &run{batches: o.batches, rnd: rand.New(rand.NewPCG(o.seed, 1)), logf: o.logf,
		ids: map[string][16]byte{}, leaderEpochs: map[string]int32{}, gone: map[string]bool{}}
	if err := r.prepare(ctx, o.dir); err != nil {
		return r, err
	}
	defer func() {
		r.brokers[0].Kill()
		r.brokers[1].Kill()
		r.zk.Kill()
	}()
	clean := true
	for i := range 2*o.rounds + 1 {
		b := r.brokers[i%2]
		if i > 2 && r.rnd.IntN(3) == 0 {
			if err := r.stumble(ctx); err != nil {
				return r, fmt.Errorf("before turn %d: %w", i, err)
			}
			clean = false
		}
		if err := r.elect(b); err != nil {
			return r, fmt.Errorf("before turn %d: %w", i, err)
		}
		end, err := r.turn(ctx, b, i, clean)
		if err != nil {
			return r, fmt.Errorf("turn %d, %s: %w\n--- %s", i, b.Target, err, b.LogTail())
		}
		clean = end
	}
	return r, nil
}

// elect raises the leader epochs of half of the partitions.
func (r *run) elect(b *harness.Broker) error {
	partitions := map[string]int32{}
	for _, p := range r.parts {
		partitions[p.name] = p.partitions
	}
	return b.RaiseLeaderEpochs(func(string, int32) int32 { return max(0, r.rnd.Int32N(4)-1) }, partitions)
}

// stumble starts one of the two and kills it in the middle of that, or soon after: the next finds a recovery half done.
func (r *run) stumble(ctx context.Context) error {
	b, longest := r.brokers[0], 200*time.Millisecond
	if r.rnd.IntN(2) == 0 {
		b, longest = r.brokers[1], 5*time.Second
	}
	if err := b.Launch(ctx); err != nil {
		return err
	}
	after := time.Duration(r.rnd.Int64N(int64(longest)))
	time.Sleep(after)
	b.Kill()
	r.stumbles++
	r.logf("%s was killed %v after its launch", b.Target, after.Round(time.Millisecond))
	return nil
}

func (r *run) prepare(ctx context.Context, dir string) error {
	var err error
	if r.zk, err = harness.NewZooKeeper(dir); err != nil {
		return err
	}
	if err := r.zk.Start(ctx); err != nil {
		return err
	}
	port, err := harness.FreePorts(1)
	if err != nil {
		return err
	}
	var paths []string
	for _, n := range []string{"data-a", "data-b"} {
		r.dirs = append(r.dirs, datadir.Dir(filepath.Join(dir, n)))
		paths = append(paths, filepath.ToSlash(filepath.Join(dir, n)))
	}
	props := map[string]string{
		"log.dirs":                                strings.Join(paths, ","),
		"log.cleaner.backoff.ms":                  "200",
		"log.cleaner.dedupe.buffer.size":          "4194304",
		"log.retention.check.interval.ms":         "1000",
		"transaction.state.log.num.partitions":    "1",
		"log.flush.offset.checkpoint.interval.ms": "500",
	}
	for i, t := range []harness.Target{harness.Gokafka, harness.Apache} {
		r.brokers[i], err = harness.NewBroker(t, filepath.Join(dir, string(t)), harness.Options{ZooKeeper: r.zk.Addr, Port: port[0], Props: props})
		if err != nil {
			r.zk.Kill()
			return err
		}
		r.brokers[i].ReadyTimeout = 3 * time.Minute
		r.addr = r.brokers[i].Addr()
	}
	return nil
}

// turn starts one broker on what the other left, checks, writes, and ends it; clean is how the one before ended.
func (r *run) turn(ctx context.Context, b *harness.Broker, i int, clean bool) (bool, error) {
	begin := time.Now()
	if err := b.Start(ctx); err != nil {
		return false, err
	}
	up := time.Since(begin)
	c, err := wire.Dial(ctx, b.Addr())
	if err != nil {
		return false, err
	}
	defer c.Close()
	c.Timeout = 30 * time.Second
	if i == 0 {
		if err := r.create(ctx, c, topics()...); err != nil {
			return false, err
		}
	}
	if err := r.verify(ctx, c, clean); err != nil {
		return false, err
	}
	if r.txns.made {
		if err := r.txns.verify(ctx, r.addr, c); err != nil {
			return false, fmt.Errorf("%s: %w", txnTopic, err)
		}
	}
	r.turns = i
	if err := r.load(ctx, c); err != nil {
		return false, err
	}
	if err := r.loadTransactions(ctx, b, c); err != nil {
		return false, err
	}
	stop := i > 1 && r.rnd.IntN(4) == 0 // both directions have a kill in the shortest run
	if err := r.end(ctx, b, c, stop); err != nil {
		return false, err
	}
	if err := r.atRest(ctx, b.Target, stop); err != nil {
		return false, fmt.Errorf("at rest, clean stop %v: %w", stop, err)
	}
	r.logf("turn %d: %s up in %v, %v in all, clean stop %v; %d records read, %d files checked so far", i, b.Target, up.Round(time.Millisecond),
		time.Since(begin).Round(time.Millisecond), stop, r.read, r.files)
	return stop, nil
}

// create makes topics, with a producer for each partition.
func (r *run) create(ctx context.Context, c *wire.Conn, ts ...topic) error {
	for _, t := range ts {
		if err := createTopic(c, t); err != nil {
			return err
		}
		for i := range t.partitions {
			id, err := newProducerID(ctx, c)
			if err != nil {
				return err
			}
			r.parts = append(r.parts, &partition{topic: t, index: i, pid: id, rnd: r.rnd})
		}
	}
	return nil
}

func (r *run) load(ctx context.Context, c *wire.Conn) error {
	for _, p := range r.parts {
		if err := p.append(c, 1+r.rnd.IntN(2*r.batches)); err != nil {
			return err
		}
	}
	if r.rnd.IntN(2) == 0 { // a topic of this broker's making
		r.made++
		t := topic{name: fmt.Sprintf("extra-%d", r.made), partitions: 2, configs: map[string]string{"segment.bytes": "3000"}}
		if err := r.create(ctx, c, t); err != nil {
			return err
		}
		if err := r.verify(ctx, c, true); err != nil {
			return err
		}
		for _, p := range r.parts[len(r.parts)-2:] {
			if err := p.append(c, r.batches); err != nil {
				return err
			}
		}
	}
	if r.rnd.IntN(3) == 0 {
		if err := r.delete(ctx, c); err != nil {
			return err
		}
	}
	return r.deleteRecords(c)
}

// delete deletes the oldest topic that was made on the way.
func (r *run) delete(ctx context.Context, c *wire.Conn) error {
	i := slices.IndexFunc(r.parts, func(p *partition) bool { return strings.HasPrefix(p.name, "extra-") })
	if i < 0 {
		return nil
	}
	name := r.parts[i].name
	if err := deleteTopic(c, name); err != nil {
		return err
	}
	r.parts = slices.DeleteFunc(r.parts, func(p *partition) bool { return p.name == name })
	r.gone[name] = true
	return r.awaitTopics(ctx, c)
}

// deleteRecords moves a log start, if the broker serves that.
func (r *run) deleteRecords(c *wire.Conn) error {
	resp, err := c.Ask(kmsg.NewPtrApiVersionsRequest(), 0)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(resp.(*kmsg.ApiVersionsResponse).ApiKeys, func(k kmsg.ApiVersionsResponseApiKey) bool { return k.ApiKey == int16(kmsg.DeleteRecords) }) {
		return nil
	}
	for _, p := range r.parts {
		if !p.deletes || p.end-p.start < 10 {
			continue
		}
		to := p.start + r.rnd.Int64N((p.end-p.start)/2)
		req := kmsg.NewPtrDeleteRecordsRequest()
		req.TimeoutMillis = 10000
		rt, rp := kmsg.NewDeleteRecordsRequestTopic(), kmsg.NewDeleteRecordsRequestTopicPartition()
		rp.Partition, rp.Offset = p.index, to
		rt.Topic, rt.Partitions = p.name, append(rt.Partitions, rp)
		req.Topics = append(req.Topics, rt)
		resp, err := c.Ask(req, 1)
		if err != nil {
			return err
		}
		a := resp.(*kmsg.DeleteRecordsResponse).Topics[0].Partitions[0]
		if a.ErrorCode != 0 || a.LowWatermark != to {
			return fmt.Errorf("%s: delete records to %d: error %d, low watermark %d", p, to, a.ErrorCode, a.LowWatermark)
		}
		p.startAt(to)
	}
	return nil
}

// end ends the broker: by SIGTERM, or by SIGKILL with a batch under way to half of the partitions.
func (r *run) end(ctx context.Context, b *harness.Broker, c *wire.Conn, stop bool) error {
	if stop {
		r.stops++
		return b.Stop(ctx)
	}
	for _, p := range r.parts {
		if r.rnd.IntN(2) == 0 {
			p.pending = p.next(true)
			if err := c.Send(wire.ProduceRequest(p.name, p.index, p.pending.bytes), 9); err != nil {
				return err
			}
		}
	}
	time.Sleep(time.Duration(r.rnd.IntN(20)) * time.Millisecond)
	b.Kill()
	r.kills++
	return nil
}
