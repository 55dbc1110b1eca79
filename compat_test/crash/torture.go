package crash

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/harness"
	"gokafka/compat_test/history"
	"gokafka/compat_test/wire"
)

// Torture is one run.
type Torture struct {
	Broker *harness.Broker
	Kills  int
	Seed   uint64
	// StartUp is the longest time after a launch at which a kill in the middle of a start is placed; Load the same after
	// the broker serves.
	StartUp, Load time.Duration
	// InFlight is how many batches a producer sends before it waits. Apache 3.9 remembers after a restart only the last
	// batch of a producer, so it can be held to its word only with 1; the protocol's clients use 5.
	InFlight int
	// Logf tells of the progress.
	Logf func(format string, args ...any)
}

// Result is what a run did and what was wrong.
type Result struct {
	Kills, InStartUp, Acknowledged int
	BrokerEpochKnown               bool
	Problems                       []string
}

const (
	topic      = "torture"
	partitions = 4
)

// Run starts the broker, kills it Kills times and checks. An error means that the run could not go on, which is a
// finding too: a broker that does not come back.
func (t *Torture) Run(ctx context.Context) (*Result, error) {
	rnd := rand.New(rand.NewPCG(t.Seed, 1))
	res := &Result{}
	seen := newIDs()
	if err := t.Broker.Start(ctx); err != nil {
		return res, err
	}
	if err := t.create(ctx, topic); err != nil {
		return res, err
	}
	if err := t.observe(ctx, seen, res); err != nil {
		return res, err
	}
	ps, err := t.producers(ctx)
	if err != nil {
		return res, err
	}
	stop := make(chan struct{})
	loadCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	errs := make([]error, len(ps))
	var wg sync.WaitGroup
	for i, p := range ps {
		wg.Add(1)
		go func() { defer wg.Done(); errs[i] = p.run(loadCtx, stop) }()
	}
	killErr := t.kills(ctx, rnd, seen, res)
	close(stop)
	end := time.AfterFunc(time.Minute, cancel) // the last batches have a minute
	wg.Wait()
	end.Stop()
	for _, err := range errs {
		if err != nil {
			res.Problems = append(res.Problems, err.Error())
		}
	}
	if killErr != nil {
		return res, killErr
	}
	return res, t.verify(ctx, ps, res)
}

// kills is the storm: each round launches a dead broker, or takes the running one, and kills it.
func (t *Torture) kills(ctx context.Context, rnd *rand.Rand, seen *ids, res *Result) error {
	for i := range t.Kills {
		if rnd.IntN(3) == 0 { // in the middle of a start
			t.Broker.Kill()
			if err := t.Broker.Launch(ctx); err != nil {
				return err
			}
			time.Sleep(time.Duration(rnd.Int64N(int64(t.StartUp))))
			res.InStartUp++
		} else {
			time.Sleep(time.Duration(rnd.Int64N(int64(t.Load))))
		}
		t.Broker.Kill()
		res.Kills++
		if err := t.Broker.Start(ctx); err != nil {
			return fmt.Errorf("start %d after SIGKILL: %w", i, err)
		}
		if err := t.observe(ctx, seen, res); err != nil {
			return fmt.Errorf("after kill %d: %w", i, err)
		}
		if i%5 == 0 {
			if err := t.create(ctx, fmt.Sprintf("extra-%d", i)); err != nil {
				return err
			}
		}
		if i%10 == 9 {
			t.Logf("%d kills, %d in a start; producer id %d, broker epoch %d", res.Kills, res.InStartUp, seen.producer, seen.brokerEpoch)
		}
	}
	return nil
}

func (t *Torture) observe(ctx context.Context, seen *ids, res *Result) error {
	bad, err := seen.observe(ctx, t.Broker)
	res.Problems = append(res.Problems, bad...)
	res.BrokerEpochKnown = seen.brokerEpoch >= 0
	return err
}

func (t *Torture) producers(ctx context.Context) ([]*producer, error) {
	c, err := wire.Dial(ctx, t.Broker.Addr())
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var ps []*producer
	for i := range int32(partitions) {
		id, err := newProducerID(ctx, c)
		if err != nil {
			return nil, err
		}
		ps = append(ps, &producer{addr: t.Broker.Addr(), topic: topic, id: id, inFlight: t.InFlight,
			stream: history.Stream{Client: "torture", Codec: "none", Partition: i}})
	}
	return ps, nil
}

// create makes a topic, or finds that an earlier try, whose answer was lost, made it.
func (t *Torture) create(ctx context.Context, name string) error {
	c, err := wire.Dial(ctx, t.Broker.Addr())
	if err != nil {
		return err
	}
	defer c.Close()
	c.Timeout = 30 * time.Second
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 20000
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = name, partitions, 1
	req.Topics = append(req.Topics, rt)
	resp, err := c.Ask(req, 5)
	if err != nil {
		return err
	}
	code := resp.(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode
	if code != 0 && code != kerr.TopicAlreadyExists.Code {
		return fmt.Errorf("create %s: %w", name, kerr.ErrorForCode(code))
	}
	return nil
}

// verify reads the log and compares it with what was acknowledged.
func (t *Torture) verify(ctx context.Context, ps []*producer, res *Result) error {
	h := &history.History{}
	left, from := map[int32]int64{}, map[int32]kgo.Offset{}
	for _, p := range ps {
		h.Acks = append(h.Acks, p.acks...)
		if n := len(p.acks); n > 0 {
			left[p.stream.Partition], from[p.stream.Partition] = p.acks[n-1].Offset, kgo.NewOffset().At(0)
		}
	}
	res.Acknowledged = len(h.Acks)
	cl, err := kgo.NewClient(kgo.SeedBrokers(t.Broker.Addr()), kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}))
	if err != nil {
		return err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for len(left) > 0 {
		fs := cl.PollFetches(ctx)
		if err := fs.Err(); err != nil {
			return fmt.Errorf("read back, partitions left %v: %w", left, err)
		}
		fs.EachRecord(func(r *kgo.Record) {
			h.Log = append(h.Log, history.Record{Partition: r.Partition, Offset: r.Offset, Value: string(r.Value)})
			if end, ok := left[r.Partition]; ok && r.Offset >= end {
				delete(left, r.Partition)
			}
		})
	}
	res.Problems = append(res.Problems, h.Check()...)
	return nil
}
