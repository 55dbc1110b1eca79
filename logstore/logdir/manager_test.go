package logdir

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"go.uber.org/goleak"

	"gokafka/internal/clock"
	"gokafka/internal/vfs"
	"gokafka/logstore"
	"gokafka/metadata"
	"gokafka/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func tpOf(topic string, p int) metadata.TopicPartition {
	return metadata.TopicPartition{Topic: topic, Partition: int32(p)}
}

func testOptions(fsys vfs.FS, dirs ...string) Options {
	return Options{
		FS: fsys, Dirs: dirs, Clock: clock.New(), Logger: slog.New(slog.DiscardHandler), Codecs: record.NewCodecs(),
		TopicConfig: goldenConfig, Producers: logstore.ProducerOptions{ExpirationMs: 86400000, MaxTxnTimeoutMs: 900000},
		RecoveryThreads: 2, FileDeleteDelay: time.Minute,
	}
}

func openManager(t *testing.T, o Options) *Manager {
	t.Helper()
	m, err := Open(o, 7, "cluster")
	must(t, err)
	t.Cleanup(func() { m.Close() })
	return m
}

func newLog(topic string, p int) NewLog {
	return NewLog{TopicPartition: tpOf(topic, p), TopicID: metadata.TopicID{9}, Config: goldenConfig(topic), IsNew: true}
}

func payloadOf(t *testing.T, n int) []byte {
	t.Helper()
	b := record.NewBuilder(record.NewBatchSpec())
	for range n {
		must(t, b.Append(1000, []byte("k"), []byte("value")))
	}
	payload, _, err := b.Build(nil, nil)
	must(t, err)
	return payload
}

func appendTo(t *testing.T, l *logstore.Log, n int) {
	t.Helper()
	_, err := l.AppendAsLeader(payloadOf(t, n), logstore.AppendOptions{LeaderEpoch: 1})
	must(t, err)
}

func exists(t *testing.T, fsys vfs.FS, path string) bool {
	t.Helper()
	ok, err := vfs.Exists(fsys, path)
	must(t, err)
	return ok
}

// TestRestart: high watermarks, log starts and data come back after a clean and after a hard stop; the marker is there only between the two.
func TestRestart(t *testing.T) {
	mem := vfs.NewMem()
	o := testOptions(mem, "/d0", "/d1")
	m := openManager(t, o)
	for p := range 4 {
		l, err := m.GetOrCreate(newLog("a-b", p))
		must(t, err)
		appendTo(t, l, 10)
		l.UpdateHighWatermark(8)
		_, err = l.IncrementLogStartOffset(int64(p))
		must(t, err)
	}
	for _, d := range m.Dirs() {
		if len(d.Logs) != 2 || d.Err != nil {
			t.Errorf("%s has %d logs %v: not spread evenly", d.Path, len(d.Logs), d.Err)
		}
	}
	check := func(m *Manager) {
		t.Helper()
		for p := range 4 {
			l, ok := m.Get(tpOf("a-b", p))
			if !ok || l.LogEndOffset() != 10 || l.HighWatermark() != 8 || l.LogStartOffset() != int64(p) || l.TopicID() != (metadata.TopicID{9}) {
				t.Fatalf("%d: %v end %d hw %d start %d", p, ok, l.LogEndOffset(), l.HighWatermark(), l.LogStartOffset())
			}
		}
	}
	must(t, m.Close())
	if !exists(t, mem, "/d0/.kafka_cleanshutdown") || exists(t, mem, "/d0/.lock") {
		t.Error("no marker, or a lock, after a clean shutdown")
	}
	m = openManager(t, o)
	if exists(t, mem.CrashClone(vfs.CrashOptions{LoseUnsynced: true}), "/d0/.kafka_cleanshutdown") {
		t.Error("the marker is there, or comes back after a power failure, while the logs are open")
	}
	check(m)
	m.Abandon()
	m = openManager(t, o)
	check(m)
	must(t, m.Close())
	b, err := vfs.ReadFile(mem, "/d1/log-start-offset-checkpoint", 1000)
	if err != nil || strings.Contains(string(b), "a-b 0 ") || !strings.HasPrefix(string(b), "0\n2\n") && !strings.HasPrefix(string(b), "0\n1\n") {
		t.Errorf("log start checkpoint %q %v", b, err)
	}
}

// TestManyAtOnce: making a thousand partitions costs one sync for each directory, and so does noting their leader epochs.
func TestManyAtOnce(t *testing.T) {
	f := vfs.NewFaulty(vfs.NewMem(), nil)
	m := openManager(t, testOptions(f, "/d0", "/d1"))
	var list []NewLog
	for p := range 1000 {
		list = append(list, newLog("t", p))
	}
	syncs := func() int64 { return f.Count(vfs.OpSync) + f.Count(vfs.OpSyncDir) + f.Count(vfs.OpSyncVolume) }
	before := syncs()
	logs, errs := m.CreateAll(list)
	must(t, errors.Join(errs...))
	if n := syncs() - before; n != 2 {
		t.Errorf("%d syncs for 1000 partitions in 2 directories", n)
	}
	before = syncs()
	for _, l := range logs {
		must(t, l.StageEpochStart(1, 0))
	}
	must(t, m.SaveEpochs(logs))
	if n := syncs() - before; n != 2 {
		t.Errorf("%d syncs for 1000 leader epochs in 2 directories", n)
	}
	before = syncs()
	must(t, m.SaveEpochs(logs))
	appendTo(t, logs[5], 1) // its topic id and its epoch are on the disk
	if n := syncs() - before; n != 0 {
		t.Errorf("%d syncs for the first append", n)
	}
	var tps []metadata.TopicPartition
	for _, n := range list {
		tps = append(tps, n.TopicPartition)
	}
	before = syncs()
	must(t, errors.Join(m.DeleteAll(tps)...))
	// In each directory one for the renames, and two for each of three checkpoints.
	if n := syncs() - before; n != 14 {
		t.Errorf("%d syncs for deleting 1000 partitions in 2 directories", n)
	}
}

// TestCreatedIsDurable cuts the power right after CreateAll answered.
func TestCreatedIsDurable(t *testing.T) {
	mem := vfs.NewMem()
	m := openManager(t, testOptions(mem, "/d0"))
	var list []NewLog
	for p := range 20 {
		list = append(list, newLog("t", p))
	}
	_, errs := m.CreateAll(list)
	must(t, errors.Join(errs...))
	for seed := range uint64(20) {
		after := mem.CrashClone(vfs.CrashOptions{Seed: seed, LoseUnsynced: seed == 0})
		m := openManager(t, testOptions(after, "/d0"))
		for _, n := range list {
			l, ok := m.Get(n.TopicPartition)
			if !ok {
				t.Fatalf("%s is gone", n.TopicPartition)
			}
			// The rename of its topic id may be lost; the controller's next request brings it again.
			if id := l.TopicID(); id != n.TopicID && !id.IsZero() {
				t.Errorf("%s has topic id %s", n.TopicPartition, id)
			}
			must(t, l.AssignTopicID(n.TopicID))
		}
	}
}

func TestCreateConcurrently(t *testing.T) {
	m := openManager(t, testOptions(vfs.NewMem(), "/d0"))
	var wg sync.WaitGroup
	var got [8]*logstore.Log
	for i := range got {
		wg.Go(func() {
			logs, errs := m.CreateAll([]NewLog{newLog("t", 0), newLog("t", 1), newLog("t", 0)})
			if err := errors.Join(errs...); err != nil || logs[0] != logs[2] {
				t.Errorf("%v %v", logs, err)
			}
			got[i] = logs[0]
		})
	}
	wg.Wait()
	for _, l := range got {
		if l != got[0] || l == nil {
			t.Error("two logs of one partition")
		}
	}
	other := newLog("t", 0)
	other.TopicID = metadata.TopicID{8}
	if _, err := m.GetOrCreate(other); !errors.Is(err, kerr.InconsistentTopicID) {
		t.Errorf("another topic id: %v", err)
	}
}

func TestDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := vfs.NewMem()
		m := openManager(t, testOptions(mem, "/d0"))
		topic := strings.Repeat("x", 249)
		l, err := m.GetOrCreate(newLog(topic, 3))
		must(t, err)
		appendTo(t, l, 3)
		res, err := l.Read(0, 1000, logstore.LogEnd, true)
		must(t, err)
		must(t, m.Delete(tpOf(topic, 3)))
		if _, ok := m.Get(tpOf(topic, 3)); ok {
			t.Error("a deleted log is still there")
		}
		if _, err := l.Read(0, 10, logstore.LogEnd, true); !errors.Is(err, kerr.KafkaStorageError) {
			t.Errorf("read of a deleted log: %v", err)
		}
		if err := m.Delete(tpOf(topic, 3)); !errors.Is(err, kerr.UnknownTopicOrPartition) {
			t.Errorf("deleted twice: %v", err)
		}
		fresh, err := m.GetOrCreate(newLog(topic, 3))
		must(t, err)
		appendTo(t, fresh, 1)
		dirs := func() (out []string) {
			entries, err := mem.ReadDir("/d0")
			must(t, err)
			for _, e := range entries {
				if strings.HasSuffix(e.Name(), "-delete") && len(e.Name()) == 255 && strings.Contains(e.Name(), "-3.") {
					out = append(out, e.Name())
				}
			}
			return out
		}
		if len(dirs()) != 1 {
			t.Fatalf("directories to be deleted: %v", dirs())
		}
		time.Sleep(30 * time.Second)
		must(t, m.Close())
		if len(dirs()) != 1 {
			t.Fatalf("after close: %v", dirs())
		}
		buf := make([]byte, res.Range.Len) // still readable
		must(t, res.Range.CopyTo(buf))
		res.Range.Release()
		m = openManager(t, testOptions(mem, "/d0"))
		time.Sleep(61 * time.Second)
		synctest.Wait()
		if len(dirs()) != 0 {
			t.Errorf("not removed: %v", dirs())
		}
		if l, _ := m.Get(tpOf(topic, 3)); l == nil || l.LogEndOffset() != 1 {
			t.Error("the new log is gone")
		}
		m.Close()
	})
}

func TestOwnership(t *testing.T) {
	mem := vfs.NewMem()
	o := testOptions(mem, "/d0")
	m := openManager(t, o)
	if _, err := Prepare(o); !errors.Is(err, vfs.ErrLocked) {
		t.Errorf("locked twice: %v", err)
	}
	must(t, m.Close())
	before, err := vfs.ReadFile(mem, "/d0/meta.properties", 1000)
	must(t, err)
	var fatal *MetaError
	if _, err := Open(o, 8, "cluster"); !errors.As(err, &fatal) || !strings.Contains(err.Error(), "broker.id 8 doesn't match stored broker.id 7") {
		t.Errorf("another broker: %v", err)
	}
	if _, err := Open(o, 7, "other"); !errors.As(err, &fatal) || !strings.Contains(err.Error(), "doesn't match stored clusterId") {
		t.Errorf("another cluster: %v", err)
	}
	must(t, openManager(t, o).Close())
	if after, _ := vfs.ReadFile(mem, "/d0/meta.properties", 1000); string(after) != string(before) {
		t.Errorf("meta.properties was rewritten: %q %q", before, after)
	}
	o.Dirs = append(o.Dirs, "/new") // a new disk gets the file
	m = openManager(t, o)
	if id, cluster, err := m.Identity(); id != 7 || cluster != "cluster" || err != nil || !exists(t, mem, "/new/meta.properties") {
		t.Errorf("%d %s %v", id, cluster, err)
	}
	must(t, m.Close())
	must(t, mem.MkdirAll("/d0/lost+found", 0o755))
	if _, err := Open(o, 7, "cluster"); err == nil || !strings.Contains(err.Error(), "lost+found") {
		t.Errorf("unknown directory: %v", err)
	}
	must(t, mem.Remove("/d0/lost+found"))
	must(t, mem.MkdirAll("/d0/t-0", 0o755))
	must(t, mem.MkdirAll("/new/t-0", 0o755))
	if _, err := Open(o, 7, "cluster"); err == nil || !strings.Contains(err.Error(), "duplicate log directories for t-0") {
		t.Errorf("a partition in two directories: %v", err)
	}
	must(t, mem.RemoveAll("/new/t-0"))
	for _, name := range []string{"remote-log-index-cache", "__cluster_metadata-0", "t-1.0123456789abcdef0123456789abcdef-stray", "t-2.0123456789abcdef0123456789abcdef-future"} {
		must(t, mem.MkdirAll("/d0/"+name, 0o755))
	}
	m = openManager(t, o)
	if len(m.All()) != 2 {
		t.Errorf("%d logs", len(m.All()))
	}
}

func TestParseMeta(t *testing.T) {
	for text, want := range map[string]string{
		"#\n#Sun Nov 22 09:24:58 UTC 2026\nbroker.id=0\nversion=0\ncluster.id=9thMlP4YQlmMQOt2wz3mOA\n": "{0 0 9thMlP4YQlmMQOt2wz3mOA } <nil>",
		"cluster.id=c\nversion=0\n": "{0 -1 c } <nil>",
		"version=1\ndirectory.id=sISKvzxTq7SXvhLMDjBzfw\nnode.id=3\ncluster.id=c": "{1 3 c sISKvzxTq7SXvhLMDjBzfw} <nil>",
		"version=1\nnode.id=3\n": "{1 3  } version 1 without cluster.id or node.id",
		"version=2\n":            `{0 -1  } version "2" is not 0 or 1`,
		"":                       `{0 -1  } <nil>`,
		"version=0\nbroker.id=x": `{0 -1  } broker.id "x" is not a broker id`,
	} {
		m, err := parseMeta([]byte(text))
		if got := fmt.Sprint(m, " ", err); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}

// TestDirFailure: an I/O error takes one directory offline, with its partitions, and only that.
func TestDirFailure(t *testing.T) {
	var broken atomic.Bool
	f := vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) error {
		if broken.Load() && strings.HasPrefix(op.Name, "/d0/") && op.Kind != vfs.OpClose {
			return syscall.EIO
		}
		return nil
	})
	type failure struct {
		dir  string
		lost []metadata.TopicPartition
	}
	failures := make(chan failure, 10)
	o := testOptions(f, "/d0", "/d1")
	o.OnDirFailure = func(dir string, lost []metadata.TopicPartition, err error) {
		if !errors.Is(err, syscall.EIO) {
			t.Errorf("%v", err)
		}
		failures <- failure{dir, lost}
	}
	m := openManager(t, o)
	for p := range 4 {
		n := newLog("t", p)
		n.Dir = fmt.Sprintf("/d%d", p%2)
		l, err := m.GetOrCreate(n)
		must(t, err)
		appendTo(t, l, 1)
	}
	broken.Store(true)
	l0, _ := m.Get(tpOf("t", 0))
	if err := l0.Flush(false); !errors.Is(err, kerr.KafkaStorageError) {
		t.Errorf("flush: %v", err)
	}
	got := <-failures
	slices.SortFunc(got.lost, func(a, b metadata.TopicPartition) int { return int(a.Partition - b.Partition) })
	if got.dir != "/d0" || fmt.Sprint(got.lost) != "[t-0 t-2]" {
		t.Errorf("failure %+v", got)
	}
	if _, ok := m.Get(tpOf("t", 2)); ok || !m.OfflineDirs() {
		t.Error("a partition of the failed directory is still there")
	}
	l1, ok := m.Get(tpOf("t", 1))
	if !ok {
		t.Fatal("a partition of the other directory is gone")
	}
	appendTo(t, l1, 1)
	unknown := newLog("t", 2)
	unknown.IsNew = false
	if _, err := m.GetOrCreate(unknown); !errors.Is(err, kerr.KafkaStorageError) {
		t.Errorf("a log that may be in the failed directory was made again: %v", err)
	}
	if _, err := m.GetOrCreate(newLog("u", 0)); err != nil {
		t.Errorf("a new log: %v", err)
	}
	must(t, m.CheckpointHighWatermarks())
	must(t, m.Close())
	broken.Store(false)
	if exists(t, f, "/d0/.kafka_cleanshutdown") || !exists(t, f, "/d1/.kafka_cleanshutdown") {
		t.Error("marker in the failed directory, or none in the other")
	}
	if len(failures) > 0 {
		t.Errorf("told again: %+v", <-failures)
	}
	m = openManager(t, o)
	if len(m.All()) != 5 {
		t.Errorf("%d logs after the disk came back", len(m.All()))
	}
}

func TestAllDirsFail(t *testing.T) {
	f := vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) error {
		if op.Kind == vfs.OpMkdir {
			return syscall.EROFS
		}
		return nil
	})
	if _, err := Prepare(testOptions(f, "/d0", "/d1")); !errors.Is(err, syscall.EROFS) {
		t.Errorf("%v", err)
	}
}

// TestPeriodic runs the periodic work in virtual time.
func TestPeriodic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		mem := vfs.NewMem()
		o := testOptions(mem, "/d0")
		o.InitialDelay = 30 * time.Second
		o.RetentionCheckInterval, o.FlushCheckInterval, o.RecoveryPointCheckpointInterval = 5*time.Minute, time.Second, time.Minute
		o.LogStartCheckpointInterval, o.HighWatermarkCheckpointInterval, o.ProducerExpirationInterval = time.Minute, 5*time.Second, 10*time.Minute
		m := openManager(t, o)
		cfg := *goldenConfig("t")
		cfg.FlushInterval, cfg.RetentionBytes = 10*time.Second, 0
		n := newLog("t", 0)
		n.Config = &cfg
		l, err := m.GetOrCreate(n)
		must(t, err)
		appendTo(t, l, 5)
		l.UpdateHighWatermark(5)
		file := func(name string) string {
			b, err := vfs.ReadFile(mem, filepath.Join("/d0", name), 1000)
			must(t, err)
			return string(b)
		}
		if file(highWatermarkFile) != "" {
			t.Errorf("written at once: %q", file(highWatermarkFile))
		}
		time.Sleep(36 * time.Second)
		synctest.Wait()
		if got := file(highWatermarkFile); got != "0\n1\nt 0 5\n" || l.RecoveryPoint() != 5 {
			t.Errorf("high watermark checkpoint %q, recovery point %d", got, l.RecoveryPoint())
		}
		time.Sleep(6 * time.Minute)
		synctest.Wait()
		if l.LogStartOffset() != 5 {
			t.Errorf("log start %d: retention did not run", l.LogStartOffset())
		}
		if got := file(recoveryPointFile); got != "0\n1\nt 0 5\n" {
			t.Errorf("recovery point checkpoint %q", got)
		}
		must(t, m.Close())
	})
}

// TestManagerCrash cuts the power before a random call, in the midst of creation, appends, checkpoints and clean shutdown: what was flushed, or
// was there when Close returned, is found.
func TestManagerCrash(t *testing.T) {
	n := uint64(60)
	if testing.Short() {
		n = 10
	}
	for seed := range n {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { managerCrash(t, seed) })
	}
}

func managerCrash(t *testing.T, seed uint64) {
	rng := rand.New(rand.NewPCG(seed, 3))
	mem := vfs.NewMem()
	must(t, mem.MkdirAll("/", 0o755))
	var mu sync.Mutex
	var after *vfs.Mem
	left := 1 + rng.IntN(250)
	flushed, atCrash := map[int]int64{}, map[int]int64{}
	crash := func() {
		for p, o := range flushed {
			atCrash[p] = o
		}
		after = mem.CrashClone(vfs.CrashOptions{Seed: seed, LoseUnsynced: seed%5 == 0})
	}
	f := vfs.NewFaulty(mem, func(vfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if left--; left == 0 {
			crash()
		}
		return nil
	})
	note := func(p int, l *logstore.Log) {
		mu.Lock()
		defer mu.Unlock()
		flushed[p] = l.LogEndOffset()
	}
	for range 3 {
		m := openManager(t, testOptions(f, "/d0"))
		for range 10 {
			p := rng.IntN(4)
			l, err := m.GetOrCreate(newLog("idem", p))
			must(t, err)
			appendTo(t, l, 1+rng.IntN(3))
			switch rng.IntN(4) {
			case 0:
				must(t, l.Flush(false))
				note(p, l)
			case 1:
				must(t, m.CheckpointRecoveryPoints())
			}
		}
		must(t, m.Close())
		for p := range 4 {
			if l, ok := m.Get(tpOf("idem", p)); ok {
				note(p, l)
			}
		}
	}
	mu.Lock()
	if after == nil {
		crash()
	}
	mu.Unlock()
	m := openManager(t, testOptions(after, "/d0"))
	for p, want := range atCrash {
		l, ok := m.Get(tpOf("idem", p))
		if !ok || l.LogEndOffset() < want {
			t.Fatalf("idem-%d: %v, log end below %d", p, ok, want)
		}
	}
	for _, l := range m.All() {
		next := int64(0)
		for _, b := range readBatches(t, l, 0) {
			if b.BaseOffset() != next || b.CRC() != b.ComputeCRC() {
				t.Fatalf("%s: batch at %d, want %d", l.TopicPartition(), b.BaseOffset(), next)
			}
			next = b.NextOffset()
		}
		if next != l.LogEndOffset() {
			t.Fatalf("%s: batches end at %d, log at %d", l.TopicPartition(), next, l.LogEndOffset())
		}
	}
}

func FuzzMeta(f *testing.F) {
	f.Add([]byte("#\nbroker.id=0\nversion=0\ncluster.id=c\n"))
	f.Add([]byte("version=1\nnode.id=3\ncluster.id=c\ndirectory.id=sISKvzxTq7SXvhLMDjBzfw\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := parseMeta(b)
		if err != nil || m.BrokerID < 0 || strings.ContainsFunc(m.ClusterID, func(r rune) bool { return r < '0' || r > 'z' || r == '\\' }) {
			return
		}
		if again, err := parseMeta(encodeMeta(m, time.Unix(0, 0))); err != nil || again != m {
			t.Fatalf("%+v %v, want %+v", again, err, m)
		}
	})
}
