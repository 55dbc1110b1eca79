package compat_test

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"gokafka/compat_test/cluster"
	"gokafka/compat_test/harness"
)

// A move between log directories that one program began and was killed in is taken up by the other, and by the first again: nothing is lost, nothing is left over. Apache
// begins it, gokafka ends it; then gokafka begins one and Apache ends it.
func TestMoveIsHandedOver(t *testing.T) {
	if heavy(t) == harness.Apache {
		t.Skip("both programs take their turns")
	}
	_, err := harness.JavaLibs()
	skips.Need(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	h := newHandOver(t, ctx)
	for i, of := range [][2]harness.Target{{harness.Apache, harness.Gokafka}, {harness.Gokafka, harness.Apache}} {
		from, to := h.dirs[i%2], h.dirs[(i+1)%2]
		h.start(of[0])
		if i == 0 {
			h.create(from)
			h.write(64)
		}
		h.throttle("1000")
		h.alter(to)
		h.await("some of it is copied", func(p []kadm.DescribedLogDirPartition) bool {
			return len(p) == 2 && future(p).Dir == to && future(p).Size > 0 && future(p).OffsetLag > 0 && current(p).Dir == from
		})
		h.write(8)
		h.broker.Kill()
		h.start(of[1])
		h.await("the move is under way again", func(p []kadm.DescribedLogDirPartition) bool { return len(p) == 2 && future(p).Dir == to })
		h.write(8)
		h.throttle("1000000000")
		h.await("the log is moved", func(p []kadm.DescribedLogDirPartition) bool {
			return len(p) == 1 && !p[0].IsFuture && p[0].Dir == to && p[0].OffsetLag == 0
		})
		h.write(8)
		h.check()
		h.broker.Kill()
		h.start(of[1])
		h.check()
		h.broker.Kill()
		for _, dir := range h.dirs {
			left, err := filepath.Glob(filepath.Join(dir, "t-0*"))
			skips.Need(t, err)
			for _, path := range left {
				if path != filepath.Join(to, "t-0") && !strings.HasSuffix(path, "-delete") {
					t.Errorf("%s is left over", path)
				}
			}
		}
	}
}

// handOver is a log directory that programs take over from each other.
type handOver struct {
	t       *testing.T
	ctx     context.Context
	dirs    [2]string
	brokers map[harness.Target]*harness.Broker
	broker  *harness.Broker // that runs
	client  *kgo.Client
	admin   *kadm.Client
	written int
}

func newHandOver(t *testing.T, ctx context.Context) *handOver {
	t.Helper()
	dir := t.TempDir()
	zk, err := harness.NewZooKeeper(dir)
	skips.Need(t, err)
	skips.Need(t, zk.Start(ctx))
	t.Cleanup(zk.Kill)
	port, err := harness.FreePorts(1)
	skips.Need(t, err)
	h := &handOver{t: t, ctx: ctx, dirs: [2]string{filepath.Join(dir, "a"), filepath.Join(dir, "b")}, brokers: map[harness.Target]*harness.Broker{}}
	for _, target := range []harness.Target{harness.Apache, harness.Gokafka} {
		b, err := harness.NewBroker(target, filepath.Join(dir, string(target)), harness.Options{ZooKeeper: zk.Addr, Port: port[0], Props: map[string]string{
			"log.dirs": filepath.ToSlash(h.dirs[0]) + "," + filepath.ToSlash(h.dirs[1]), "log.segment.bytes": "400000"}})
		skips.Need(t, err)
		t.Cleanup(b.Kill)
		h.brokers[target] = b
	}
	return h
}

func (h *handOver) start(target harness.Target) {
	h.t.Helper()
	h.broker = h.brokers[target]
	skips.Need(h.t, h.broker.Start(h.ctx))
	if h.client != nil {
		h.client.Close()
	}
	var err error
	h.client, err = kgo.NewClient(kgo.SeedBrokers(h.broker.Addr()), kgo.RecordPartitioner(kgo.ManualPartitioner()), kgo.ProducerBatchCompression(kgo.NoCompression()))
	skips.Need(h.t, err)
	h.t.Cleanup(h.client.Close)
	h.admin = kadm.NewClient(h.client)
}

// create makes the topic, whose log is to be in a directory.
func (h *handOver) create(dir string) {
	h.t.Helper()
	_, err := h.admin.CreateTopic(h.ctx, 1, 1, nil, "t")
	skips.Need(h.t, err)
	h.await("the log is there", func(p []kadm.DescribedLogDirPartition) bool { return len(p) == 1 })
	h.alter(dir)
	h.await("it is where the test begins", func(p []kadm.DescribedLogDirPartition) bool { return len(p) == 1 && p[0].Dir == dir })
}

func (h *handOver) alter(dir string) {
	h.t.Helper()
	var set kadm.TopicsSet
	set.Add("t", 0)
	var req kadm.AlterReplicaLogDirsReq
	req.Add(dir, set)
	resp, err := h.admin.AlterBrokerReplicaLogDirs(h.ctx, 0, req)
	if err == nil {
		err = resp["t"][0].Err
	}
	skips.Need(h.t, err)
}

func (h *handOver) throttle(rate string) {
	h.t.Helper()
	got, err := h.admin.AlterBrokerConfigs(h.ctx, []kadm.AlterConfig{{Op: kadm.SetConfig, Name: "replica.alter.log.dirs.io.max.bytes.per.second", Value: &rate}}, 0)
	if err == nil {
		err = got[0].Err
	}
	skips.Need(h.t, err)
	skips.Need(h.t, cluster.Await(h.ctx, "the limit is known", func() error {
		described, err := h.admin.DescribeBrokerConfigs(h.ctx, 0)
		if err != nil {
			return err
		}
		for _, c := range described[0].Configs {
			if c.Key == "replica.alter.log.dirs.io.max.bytes.per.second" && c.MaybeValue() == rate {
				return nil
			}
		}
		return fmt.Errorf("it is not %s", rate)
	}))
}

// write appends so many batches of 32 KiB.
func (h *handOver) write(n int) {
	h.t.Helper()
	for range n {
		r := &kgo.Record{Topic: "t", Key: fmt.Append(nil, h.written), Value: make([]byte, 32<<10)}
		skips.Need(h.t, h.client.ProduceSync(h.ctx, r).FirstErr())
		h.written++
	}
}

// check reads everything.
func (h *handOver) check() {
	h.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(h.broker.Addr()), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"t": {0: kgo.NewOffset().AtStart()}}))
	skips.Need(h.t, err)
	defer cl.Close()
	for next := 0; next < h.written; {
		fs := cl.PollFetches(h.ctx)
		skips.Need(h.t, fs.Err0())
		fs.EachRecord(func(r *kgo.Record) {
			if string(r.Key) != fmt.Sprint(next) || r.Offset != int64(next) {
				h.t.Fatalf("%s: record %s at offset %d where %d was due", h.broker.Target, r.Key, r.Offset, next)
			}
			next++
		})
	}
}

func (h *handOver) await(what string, fits func([]kadm.DescribedLogDirPartition) bool) {
	h.t.Helper()
	skips.Need(h.t, cluster.Await(h.ctx, what, func() error {
		dirs, err := h.admin.DescribeBrokerLogDirs(h.ctx, 0, nil)
		if err != nil {
			return err
		}
		var list []kadm.DescribedLogDirPartition
		dirs.EachPartition(func(p kadm.DescribedLogDirPartition) {
			if p.Topic == "t" {
				list = append(list, p)
			}
		})
		if !fits(list) {
			return fmt.Errorf("%s, under %s: %+v", what, h.broker.Target, list)
		}
		return nil
	}))
}

func pickReplica(list []kadm.DescribedLogDirPartition, isFuture bool) (out kadm.DescribedLogDirPartition) {
	for _, p := range list {
		if p.IsFuture == isFuture {
			out = p
		}
	}
	return out
}

func future(list []kadm.DescribedLogDirPartition) kadm.DescribedLogDirPartition {
	return pickReplica(list, true)
}

func current(list []kadm.DescribedLogDirPartition) kadm.DescribedLogDirPartition {
	return pickReplica(list, false)
}
