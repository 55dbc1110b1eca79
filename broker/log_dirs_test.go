package broker

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"gokafka/internal/vfs"
	"gokafka/metadata"
	"gokafka/quota"
)

// twoDirs are log directories of a broker of its own.
func twoDirs(dir string) (a, b string, props map[string]string) {
	a, b = filepath.Join(dir, "a"), filepath.Join(dir, "b")
	return a, b, map[string]string{"log.dirs": a + "," + b, "replica.fetch.backoff.ms": "100"}
}

// where is the directory a replica is in, and the one it is moving to.
func where(b *Broker, tp metadata.TopicPartition) (dir, future string) {
	if l, ok := b.logs.Get(tp); ok {
		dir = filepath.Dir(l.Dir())
	}
	_, future, _ = b.logs.Future(tp)
	return dir, future
}

func alterDir(t *testing.T, adm *kadm.Client, broker int32, topic, dir string) error {
	t.Helper()
	var set kadm.TopicsSet
	set.Add(topic, 0)
	var req kadm.AlterReplicaLogDirsReq
	req.Add(dir, set)
	resp, err := adm.AlterBrokerReplicaLogDirs(t.Context(), broker, req)
	if err != nil {
		t.Fatal(err)
	}
	return resp[topic][0].Err
}

const dirRate = "replica.alter.log.dirs.io.max.bytes.per.second"

// setBroker sets a dynamic config of a broker.
func setBroker(t *testing.T, adm *kadm.Client, id int32, key, value string) {
	t.Helper()
	got, err := adm.AlterBrokerConfigs(t.Context(), []kadm.AlterConfig{{Op: kadm.SetConfig, Name: key, Value: &value}}, id)
	if err == nil {
		err = got[0].Err
	}
	if err != nil {
		t.Fatal(err)
	}
}

func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// writer writes numbered records until it is told to stop, and then says how many were acknowledged.
func writer(t *testing.T, cl *kgo.Client, topic string) (stop func() int) {
	ctx, cancel := context.WithCancel(t.Context())
	acked := 0
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			for range 20 {
				cl.Produce(t.Context(), &kgo.Record{Topic: topic, Value: fmt.Appendf(nil, "%d", acked)}, func(_ *kgo.Record, err error) {
					if err != nil {
						t.Error(err)
					}
				})
				acked++
			}
			if err := cl.Flush(t.Context()); err != nil {
				t.Error(err)
				return
			}
		}
	})
	return func() int {
		cancel()
		wg.Wait()
		return acked
	}
}

// checkRecords reads a topic of one partition and wants exactly the numbers below n, in order.
func checkRecords(t *testing.T, topic string, n int, opts ...kgo.Opt) {
	t.Helper()
	cl, err := kgo.NewClient(append(opts, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}}))...)
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for next := 0; next < n; {
		fs := cl.PollFetches(ctx)
		if err := fs.Err0(); err != nil {
			t.Fatalf("after %d of %d: %v", next, n, err)
		}
		fs.EachRecord(func(r *kgo.Record) {
			if string(r.Value) != fmt.Sprint(next) {
				t.Fatalf("record %d is %s", next, r.Value)
			}
			next++
		})
	}
}

// A leader's log moves to and fro between directories while an idempotent producer writes to it: each record is there once, in order, and on the disk in one
// place.
func TestLogMovesBetweenDirectoriesUnderLoad(t *testing.T) {
	a, b, props := twoDirs(t.TempDir())
	br := startBroker(t, "", props)
	cl := client(t, br, kgo.ProducerLinger(0))
	adm := kadm.NewClient(cl)
	if _, err := adm.CreateTopic(t.Context(), 1, 1, map[string]*string{"segment.bytes": kadm.StringPtr("65536")}, "t"); err != nil {
		t.Fatal(err)
	}
	tp := metadata.TopicPartition{Topic: "t"}
	stop := writer(t, cl, "t")
	for round := range 6 {
		to := b
		if from, _ := where(br, tp); from == b {
			to = a
		}
		if err := alterDir(t, adm, 0, "t", to); err != nil {
			t.Fatal(err)
		}
		eventually(t, fmt.Sprintf("round %d: it is in %s", round, to), func() bool { dir, future := where(br, tp); return dir == to && future == "" })
	}
	n := stop()
	checkRecords(t, "t", n, kgo.SeedBrokers(br.addr(0)))
	dirs, err := adm.DescribeBrokerLogDirs(t.Context(), 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	dirs.EachPartition(func(p kadm.DescribedLogDirPartition) {
		if found++; p.IsFuture || p.OffsetLag != 0 || p.Size == 0 || p.Topic != "t" {
			t.Errorf("%+v", p)
		}
	})
	if found != 1 || dirs[a].TotalBytes <= 0 || dirs[b].UsableBytes <= 0 {
		t.Errorf("%d replicas, %+v", found, dirs)
	}
	if err := br.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	again := startBroker(t, "", props)
	checkRecords(t, "t", n, kgo.SeedBrokers(again.addr(0)))
}

// A throttled move outlives restarts of the broker; it is visible, can be turned elsewhere, and ends where it began when it is told to.
func TestThrottledMove(t *testing.T) {
	dir := t.TempDir()
	a, b, props := twoDirs(dir)
	c := filepath.Join(dir, "c")
	props["log.dirs"] += "," + c
	br := startBroker(t, "", props)
	cl := client(t, br, kgo.ProducerBatchCompression(kgo.NoCompression()))
	adm := kadm.NewClient(cl)
	setBroker(t, adm, 0, dirRate, "1000")
	if _, err := adm.CreateTopic(t.Context(), 1, 1, nil, "t"); err != nil {
		t.Fatal(err)
	}
	for i := range 80 { // of 32 KiB, a batch each
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: []byte(strings.Repeat(fmt.Sprint(i%10), 32<<10))}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	tp := metadata.TopicPartition{Topic: "t"}
	if err := alterDir(t, adm, 0, "nothing", b); !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("a topic that does not exist: %v", err)
	}
	from, _ := where(br, tp)
	dirs := slices.DeleteFunc([]string{a, b, c}, func(d string) bool { return d == from })
	if err := alterDir(t, adm, 0, "t", dirs[0]); err != nil {
		t.Fatal(err)
	}
	future := func() (out kadm.DescribedLogDirPartition) {
		t.Helper()
		got, err := adm.DescribeBrokerLogDirs(t.Context(), 0, nil)
		if err != nil {
			t.Fatal(err)
		}
		got.EachPartition(func(p kadm.DescribedLogDirPartition) {
			if p.IsFuture {
				out = p
			}
		})
		return out
	}
	eventually(t, "some of it is copied", func() bool { return future().Size > 0 })
	if f := future(); f.Dir != dirs[0] || f.OffsetLag <= 0 || f.OffsetLag >= 80 {
		t.Errorf("%+v", f)
	}
	br.kill()
	br = startBroker(t, "", props)
	cl = client(t, br)
	adm = kadm.NewClient(cl)
	if f := future(); f.Dir != dirs[0] {
		t.Errorf("after a kill: %+v", f)
	}
	if br.throttles.dirs.Record(1 << 20); !br.throttles.dirs.Exceeded() {
		t.Error("the limit was forgotten")
	}
	// Elsewhere: the first future log goes.
	eventually(t, "the partition is served", func() bool { return alterDir(t, adm, 0, "t", dirs[1]) == nil })
	if dir, to := where(br, tp); dir != from || to != dirs[1] {
		t.Errorf("in %s, moving to %s", dir, to)
	}
	if err := alterDir(t, adm, 0, "t", from); err != nil {
		t.Fatal(err)
	}
	if dir, to := where(br, tp); dir != from || to != "" {
		t.Errorf("in %s, moving to %s", dir, to)
	}
	// Without the throttle it is quick.
	if err := alterDir(t, adm, 0, "t", dirs[0]); err != nil {
		t.Fatal(err)
	}
	setBroker(t, adm, 0, dirRate, "1000000000")
	eventually(t, "it is moved", func() bool { dir, _ := where(br, tp); return dir == dirs[0] })
	if l, _ := br.logs.Get(tp); l.LogEndOffset() != 80 {
		t.Errorf("%d records", l.LogEndOffset())
	}
}

// The limits that were set by request are there after a restart, before anything changes again.
func TestThrottlesOutliveARestart(t *testing.T) {
	dir := t.TempDir()
	br := startBroker(t, dir, nil)
	adm := kadm.NewClient(client(t, br))
	for _, key := range []string{"leader.replication.throttled.rate", "follower.replication.throttled.rate", dirRate} {
		setBroker(t, adm, 0, key, "1000")
	}
	br.kill()
	br = startBroker(t, dir, nil)
	for what, q := range map[string]*quota.Replication{"leader": br.throttles.leader, "follower": br.throttles.follower, "directories": br.throttles.dirs} {
		if q.Record(1 << 20); !q.Exceeded() {
			t.Errorf("the limit of the %s was forgotten", what)
		}
	}
}

// The topic is deleted while its log is being moved: nothing of it stays in any directory, and the name is free.
func TestTopicIsDeletedWhileItMoves(t *testing.T) {
	a, b, props := twoDirs(t.TempDir())
	props["log.segment.delete.delay.ms"] = "0"
	br := startBroker(t, "", props)
	cl := client(t, br)
	adm := kadm.NewClient(cl)
	setBroker(t, adm, 0, dirRate, "1")
	tp := metadata.TopicPartition{Topic: "t"}
	for range 3 {
		eventually(t, "the name is free", func() bool {
			_, err := adm.CreateTopic(t.Context(), 1, 1, nil, "t")
			if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
				t.Fatal(err)
			}
			return err == nil
		})
		for range 3 {
			if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: make([]byte, 1<<19)}).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		to := b
		if from, _ := where(br, tp); from == b {
			to = a
		}
		if err := alterDir(t, adm, 0, "t", to); err != nil {
			t.Fatal(err)
		}
		if _, err := adm.DeleteTopic(t.Context(), "t"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "nothing is left", func() bool {
			left, err := filepath.Glob(filepath.Join(filepath.Dir(a), "*", "t-0*"))
			return err == nil && len(left) == 0 && len(br.logs.All()) == 0
		})
		cl.PurgeTopicsFromClient("t")
	}
}

// Replicas move between directories while a cluster is written to: followers' and the leader's, then the leader is killed. A replica that is to come is made
// where it is wanted.
func TestReplicasMoveBetweenDirectories(t *testing.T) {
	c := startCluster(t, 3, map[string]string{"log.dirs": "{dir}/a,{dir}/b"})
	cl := c.client(kgo.ProducerLinger(0))
	adm := kadm.NewClient(cl)
	if _, err := adm.CreateTopic(t.Context(), 1, 2, map[string]*string{"segment.bytes": kadm.StringPtr("65536"), "min.insync.replicas": kadm.StringPtr("1")}, "t"); err != nil {
		t.Fatal(err)
	}
	tp := metadata.TopicPartition{Topic: "t"}
	c.eventually("all replicas are in sync", func() bool {
		p := c.brokers[0].cache.Image().Partition(tp)
		return p != nil && len(p.ISR) == 2
	})
	replicas := c.brokers[0].cache.Image().Partition(tp).Replicas
	c.eventually("both have made their logs", func() bool {
		first, _ := where(c.brokers[replicas[0]], tp)
		second, _ := where(c.brokers[replicas[1]], tp)
		return first != "" && second != ""
	})
	stop := writer(t, cl, "t")
	other := func(id int32) string {
		dir, _ := where(c.brokers[id], tp)
		return filepath.Join(filepath.Dir(dir), map[string]string{"a": "b", "b": "a"}[filepath.Base(dir)])
	}
	for range 2 {
		for _, id := range replicas {
			to := other(id)
			if err := alterDir(t, adm, id, "t", to); err != nil {
				t.Fatal(err)
			}
			c.eventually("the replica is in "+to, func() bool { dir, future := where(c.brokers[id], tp); return dir == to && future == "" })
		}
	}
	third := 3 - replicas[0] - replicas[1]
	wanted := filepath.Join(c.dir, fmt.Sprint(third), "b")
	if err := alterDir(t, adm, third, "t", wanted); !errors.Is(err, kerr.ReplicaNotAvailable) {
		t.Errorf("a replica that is not there: %v", err)
	}
	if err := c.move("t", replicas[0], replicas[1], third); err != nil {
		t.Fatal(err)
	}
	c.awaitMoved("t", replicas[0], replicas[1], third)
	if dir, _ := where(c.brokers[third], tp); dir != wanted {
		t.Errorf("it was made in %s", dir)
	}
	c.kill(int(replicas[0]))
	n := stop()
	checkRecords(t, "t", n, kgo.SeedBrokers(c.seeds()...))
	c.start(int(replicas[0]))
	c.ready(int(replicas[0]))
	c.eventually("all replicas have all records", func() bool {
		for _, b := range c.brokers {
			if l, ok := b.logs.Get(tp); !ok || l.LogEndOffset() != int64(n) {
				return false
			}
		}
		return true
	})
}

// A log directory fails on one broker of three: its replicas are led by others, the rest goes on, and a move into it ends where it began.
func TestFailedDirectoryInACluster(t *testing.T) {
	var broken atomic.Pointer[string]
	fs := vfs.NewFaulty(vfs.OS(), func(op vfs.Op) error {
		if p := broken.Load(); p != nil && strings.HasPrefix(op.Name, *p) && op.Kind != vfs.OpClose {
			return syscall.EIO
		}
		return nil
	})
	c := startClusterOn(t, fs, 3, map[string]string{"log.dirs": "{dir}/a,{dir}/b"})
	cl := c.client(kgo.ProducerLinger(0), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	adm := kadm.NewClient(cl)
	if _, err := adm.CreateTopic(t.Context(), 6, 3, map[string]*string{"min.insync.replicas": kadm.StringPtr("2")}, "t"); err != nil {
		t.Fatal(err)
	}
	b := c.brokers[1]
	c.eventually("the broker has all its replicas", func() bool { return len(b.logs.All()) == 6 })
	var moved metadata.TopicPartition
	bad := filepath.Join(c.dir, "1", "b")
	for _, l := range b.logs.All() {
		if filepath.Dir(l.Dir()) != bad {
			moved = l.TopicPartition()
		}
	}
	for p := range int32(6) {
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Partition: p, Value: make([]byte, 1000)}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	setBroker(t, adm, 1, dirRate, "0")
	c.eventually("the limit is known", func() bool { return b.settings.Broker().DirMoveRate == 0 })
	var set kadm.TopicsSet
	set.Add("t", moved.Partition)
	var req kadm.AlterReplicaLogDirsReq
	req.Add(bad, set)
	if resp, err := adm.AlterBrokerReplicaLogDirs(t.Context(), 1, req); err != nil || resp["t"][moved.Partition].Err != nil {
		t.Fatal(resp, err)
	}
	broken.Store(&bad)
	for p := range int32(6) { // those that meet it are told no by the broker, and go on with another leader
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Partition: p, Value: []byte("x")}).FirstErr(); err != nil {
			t.Errorf("partition %d: %v", p, err)
		}
	}
	c.eventually("others lead what was there, and all partitions are led", func() bool {
		im := c.brokers[0].cache.Image()
		for p := range int32(6) {
			tp := metadata.TopicPartition{Topic: "t", Partition: p}
			st := im.Partition(tp)
			_, here := b.logs.Get(tp)
			if st == nil || st.Leader < 0 || !here && (st.Leader == 1 || slices.Contains(st.ISR, 1) || !slices.Contains(st.OfflineReplicas, 1)) {
				return false
			}
		}
		return true
	})
	dirs, err := adm.DescribeBrokerLogDirs(t.Context(), 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !errors.Is(dirs[bad].Err, kerr.KafkaStorageError) || len(dirs) != 2 {
		t.Errorf("%+v", dirs)
	}
	if _, _, ok := b.logs.Future(moved); ok {
		t.Error("there is still a move into the failed directory")
	}
	for p := range int32(6) {
		if err := cl.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Partition: p, Value: []byte("x")}).FirstErr(); err != nil {
			t.Errorf("partition %d: %v", p, err)
		}
	}
	if err := alterDir(t, adm, 1, "t", bad); !errors.Is(err, kerr.KafkaStorageError) {
		t.Errorf("a move into the failed directory: %v", err)
	}
}
