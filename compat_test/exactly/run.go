package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/clients"
	"gokafka/compat_test/cluster"
	"gokafka/compat_test/harness"
)

// copiers are the clients that can copy.
var copiers = []string{"franz-go", "java", "java-4.1.1", "librdkafka"}

const (
	partitions = 3
	source     = "source"
	direct     = "direct" // what the writers of this program write
	// perClient is how many processes, each with a transactional id, copy with a client.
	perClient = 2
	// writers is how many producers without a group there are.
	writers = 2
	// patience bounds what is waited for once there are no more faults; who gets nowhere for so long as stuck is replaced.
	patience = 3 * time.Minute
	stuck    = 40 * time.Second
)

type options struct {
	length  time.Duration
	clients []string
	level   int16
	seed    uint64
}

// copier is the copies of one client.
type copier struct {
	client  clients.Client
	dir     string
	started int
	living  [perClient][]*clients.Job // of each transactional id: more than one while there is a zombie
	all     []*clients.Job
}

func (c *copier) topic() string { return "copy-" + c.client.Name }

func (c *copier) start(addrs []string, id int) error {
	c.started++
	protocol := "classic"
	if c.client.Name == "java-4.1.1" {
		protocol = "consumer" // KIP-848
	}
	j, err := c.client.Start(c.dir, map[string]string{"mode": "copy", "protocol": protocol, "bootstrap": strings.Join(addrs, ","), "topic": source, "to": c.topic(), "group": c.topic(),
		"txnid": fmt.Sprint(c.topic(), "-", id), "partitions": fmt.Sprint(partitions), "member": fmt.Sprint(c.started)})
	if err == nil {
		c.living[id] = append(c.living[id], j)
		c.all = append(c.all, j)
	}
	return err
}

// reap forgets the processes that have ended: those that were fenced.
func (c *copier) reap() {
	for id := range c.living {
		c.living[id] = slices.DeleteFunc(c.living[id], over)
	}
}

func over(j *clients.Job) bool {
	select {
	case <-j.Process.Done():
		return true
	default:
		return false
	}
}

// run runs it all in dir and returns what was wrong.
func run(ctx context.Context, dir string, o options, say func(string)) error {
	rnd := rand.New(rand.NewPCG(o.seed, 3))
	c, err := cluster.Start(ctx, dir, cluster.Options{Targets: slices.Repeat([]harness.Target{harness.Gokafka}, 3), Props: map[string]string{
		"transaction.state.log.replication.factor": "3", "transaction.state.log.min.isr": "2", "transaction.state.log.num.partitions": "6",
		"offsets.topic.replication.factor": "3", "offsets.topic.num.partitions": "6",
		"group.consumer.session.timeout.ms": "10000", "group.consumer.min.session.timeout.ms": "10000", "group.consumer.heartbeat.interval.ms": "500", "group.consumer.min.heartbeat.interval.ms": "500"}})
	if err != nil {
		return err
	}
	defer c.Close()
	if err := finalize(ctx, c, o.level); err != nil {
		return err
	}
	for _, topic := range []string{source, direct} {
		if err := c.CreateTopic(ctx, topic, partitions, nil); err != nil {
			return err
		}
	}
	var all []*copier
	for _, cl := range clients.Members() {
		if !slices.Contains(o.clients, cl.Name) {
			continue
		}
		if err := cl.Prepare(); err != nil {
			return fmt.Errorf("%s: %w", cl.Name, err)
		}
		x := &copier{client: cl, dir: dir}
		if err := c.CreateTopic(ctx, x.topic(), partitions, nil); err != nil {
			return err
		}
		all = append(all, x)
	}
	defer func() {
		for _, x := range all {
			for _, j := range x.all {
				j.Process.Kill()
			}
		}
	}()
	if len(all) != len(o.clients) {
		return fmt.Errorf("unknown client among %v", o.clients)
	}
	for _, x := range all {
		for id := range perClient {
			if err := x.start(c.Seeds(), id); err != nil {
				return err
			}
		}
	}
	feed := newFeed(c)
	ws := make([]*writer, writers)
	for i := range ws {
		ws[i] = newWriter(c, fmt.Sprint("writer-", i), rand.New(rand.NewPCG(o.seed, uint64(10+i))))
	}
	faults, err := storm(ctx, c, all, o.length, rnd)
	say(fmt.Sprintf("faults: %v", faults))
	n, feedErr := feed.stop()
	for _, w := range ws {
		w.stop()
	}
	if err := errors.Join(err, feedErr); err != nil {
		return err
	}
	say(fmt.Sprintf("%d records to copy", n))
	var errs []error
	for _, x := range all {
		errs = append(errs, x.finish(ctx, c, n, say))
	}
	for _, w := range ws {
		say(w.String())
	}
	errs = append(errs, checkWriters(ctx, c, ws), hanging(ctx, c))
	return errors.Join(errs...)
}

// finalize gives the cluster transaction.version.
func finalize(ctx context.Context, c *cluster.Cluster, level int16) error {
	if level == 0 {
		return nil
	}
	q := kmsg.NewPtrUpdateFeaturesRequest()
	q.FeatureUpdates = []kmsg.UpdateFeaturesRequestFeatureUpdate{{Feature: "transaction.version", MaxVersionLevel: level, UpgradeType: 1}}
	r, err := q.RequestWith(ctx, c.Client)
	if err == nil {
		err = kerr.ErrorForCode(r.ErrorCode)
	}
	return err
}

// storm is the faults, until it is time; then all brokers run, and each transactional id has a living process.
func storm(ctx context.Context, c *cluster.Cluster, all []*copier, length time.Duration, rnd *rand.Rand) (done map[string]int, err error) {
	between := func(a, b time.Duration) time.Duration { return a + time.Duration(rnd.Int64N(int64(b-a))) }
	done = map[string]int{}
	for end := time.Now().Add(length); time.Now().Before(end); {
		time.Sleep(between(500*time.Millisecond, 4*time.Second))
		x := all[rnd.IntN(len(all))]
		id := rnd.IntN(perClient)
		for _, y := range all {
			y.reap()
		}
		switch what := rnd.IntN(10); {
		case what < 6:
			b := c.Brokers[rnd.IntN(len(c.Brokers))]
			b.Kill()
			time.Sleep(between(50*time.Millisecond, 4*time.Second))
			err = b.Launch(ctx)
			done["broker killed"]++
		case what < 8:
			for _, j := range x.living[id] {
				j.Process.Kill()
			}
			x.living[id] = nil
			err = x.start(c.Seeds(), id)
			done["client killed"]++
		default:
			err = x.start(c.Seeds(), id)
			done["zombie made"]++
		}
		if err != nil {
			return done, err
		}
	}
	for _, b := range c.Brokers {
		if err := b.WaitReady(ctx); err != nil {
			return done, err
		}
	}
	return done, c.AwaitComplete(ctx)
}

// finish waits until the group has committed all of the source, ends the processes, and checks the copy.
func (c *copier) finish(ctx context.Context, cl *cluster.Cluster, n int, say func(string)) error {
	ends, err := cl.Admin.ListEndOffsets(ctx, source)
	if err != nil {
		return err
	}
	behind := "nothing is committed"
	was, moved := "", time.Now()
	for deadline := time.Now().Add(patience); behind != ""; time.Sleep(200 * time.Millisecond) {
		c.reap()
		switch {
		case behind != was:
			was, moved = behind, time.Now()
		case time.Since(moved) > stuck:
			// librdkafka can hang in send_offsets_to_transaction, whatever the timeout, once the group's coordinator has been away (its issues 5456 and 5511).
			say(fmt.Sprintf("%s: stuck at %s; its processes are replaced", c.client.Name, behind))
			for id := range c.living {
				for _, j := range c.living[id] {
					j.Process.Kill()
				}
				c.living[id] = nil
			}
			moved = time.Now()
		}
		for id := range c.living {
			if len(c.living[id]) == 0 {
				if err := c.start(cl.Seeds(), id); err != nil {
					return err
				}
			}
		}
		if time.Now().After(deadline) {
			var tails string
			for _, list := range c.living {
				for _, j := range list {
					tails += "\n" + j.Process.Tail(3000)
				}
			}
			return fmt.Errorf("%s: %s%s", c.client.Name, behind, tails)
		}
		at, err := cl.Admin.FetchOffsets(ctx, c.topic())
		if err != nil {
			behind = err.Error()
			continue
		}
		behind = ""
		for p := range int32(partitions) {
			end, _ := ends.Lookup(source, p)
			if o, ok := at.Lookup(source, p); !ok || o.At < end.Offset {
				behind = fmt.Sprintf("%d of %d in partition %d", o.At, end.Offset, p)
			}
		}
	}
	ctx2, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for _, list := range c.living {
		for _, j := range list {
			_ = j.Process.Terminate(ctx2)
		}
	}
	copied, err := read(ctx, cl, c.topic())
	if err != nil {
		return err
	}
	problems := checkCopy(copied, n)
	say(fmt.Sprintf("%s: %d records in the copy, %d problems", c.client.Name, len(copied), len(problems)))
	if len(problems) > 0 {
		return fmt.Errorf("%s:\n  %s", c.client.Name, strings.Join(problems, "\n  "))
	}
	return nil
}

// feed writes the source, until it is stopped.
type feed struct {
	cancel context.CancelFunc
	done   chan struct{}
	n      int
	err    error
}

func newFeed(c *cluster.Cluster) *feed {
	ctx, cancel := context.WithCancel(context.Background())
	f := &feed{cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(f.done)
		cl, err := kgo.NewClient(c.ClientOptions()...)
		if err != nil {
			f.err = err
			return
		}
		defer cl.Close()
		var mu sync.Mutex
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for ctx.Err() == nil {
			for range 10 {
				cl.Produce(context.Background(), &kgo.Record{Topic: source, Partition: int32(f.n % partitions), Value: fmt.Appendf(nil, "%d", f.n)}, func(_ *kgo.Record, err error) {
					mu.Lock()
					defer mu.Unlock()
					f.err = errors.Join(f.err, err)
				})
				f.n++
			}
			select {
			case <-tick.C:
			case <-ctx.Done():
			}
		}
		err = cl.Flush(context.Background())
		mu.Lock()
		defer mu.Unlock()
		f.err = errors.Join(f.err, err)
	}()
	return f
}

func (f *feed) stop() (n int, err error) {
	f.cancel()
	<-f.done
	return f.n, f.err
}
