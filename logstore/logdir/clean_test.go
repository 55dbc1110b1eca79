package logdir

import (
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"gokafka/config"
	"gokafka/internal/vfs"
	"gokafka/logstore"
	"gokafka/metadata"
	"gokafka/record"
)

func compactConfig() *config.Topic {
	c := *goldenConfig("t")
	c.CleanupCompact, c.CleanupDelete, c.SegmentBytes, c.MinCleanableRatio = true, false, 500, 0.1
	return &c
}

func cleanerDefaults() CleanerOptions {
	return CleanerOptions{Threads: 1, Backoff: 15 * time.Second, MapBytes: 4 << 20, LoadFactor: 0.9, IOBufferBytes: 64 << 10, MaxBytesPerSecond: 1e12}
}

// fillKeys writes n records of three keys and lets them be seen by consumers.
func fillKeys(t *testing.T, l *logstore.Log, n int) {
	t.Helper()
	for i := range n {
		b := record.NewBuilder(record.NewBatchSpec())
		must(t, b.Append(int64(1000+i), []byte(fmt.Sprint("k", i%3)), []byte("some value of a record")))
		raw, _, err := b.Build(nil, nil)
		must(t, err)
		_, err = l.AppendAsLeader(raw, logstore.AppendOptions{})
		must(t, err)
	}
	l.UpdateHighWatermark(l.LogEndOffset())
}

func cleanedIn(t *testing.T, fs vfs.FS, dir string) map[metadata.TopicPartition]int64 {
	t.Helper()
	offsets, err := logstore.ReadOffsets(fs, filepath.Join(dir, cleanerFile))
	must(t, err)
	return offsets
}

// TestCleanersRun: dirty logs of compacted topics are cleaned in the background, the checkpoint says how far, and a restart goes on from there. A topic whose
// policy becomes compact is cleaned from then on.
func TestCleanersRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewMem()
		o := testOptions(fs, "/a")
		o.TopicConfig = func(string) *config.Topic { return compactConfig() }
		m, err := Open(o, 7, "cluster")
		must(t, err)
		compacted, other := newLog("t", 0), newLog("u", 0)
		compacted.Config = compactConfig()
		plain := compactConfig()
		plain.CleanupCompact = false
		other.Config = plain
		logs, errs := m.CreateAll([]NewLog{compacted, other})
		must(t, errs[0])
		must(t, errs[1])
		fillKeys(t, logs[0], 100)
		fillKeys(t, logs[1], 100)
		before := logs[0].SizeBytes()
		m.StartCleaners(cleanerDefaults)
		time.Sleep(16 * time.Second)
		synctest.Wait()
		if got := logs[0].SizeBytes(); got > before/3 {
			t.Fatalf("%d bytes of %d are left", got, before)
		}
		to := cleanedIn(t, fs, "/a")
		if to[tpOf("t", 0)] < 90 || len(to) != 1 {
			t.Fatalf("checkpoint: %v", to)
		}
		logs[1].SetConfig(compactConfig())
		time.Sleep(16 * time.Second)
		synctest.Wait()
		if to := cleanedIn(t, fs, "/a"); to[tpOf("u", 0)] < 90 {
			t.Fatalf("checkpoint: %v", to)
		}
		must(t, m.Close())
		m, err = Open(o, 7, "cluster")
		must(t, err)
		l, _ := m.Get(tpOf("t", 0))
		if n, ok := l.CleanedTo(); !ok || n != to[tpOf("t", 0)] {
			t.Fatalf("after a restart the log is cleaned to %d", n)
		}
		// A truncation lowers the checkpoint, on the disk too.
		_, err = l.TruncateTo(20)
		must(t, err)
		if to := cleanedIn(t, fs, "/a"); to[tpOf("t", 0)] != 20 {
			t.Fatalf("checkpoint after a truncation: %v", to)
		}
		must(t, m.Delete(tpOf("t", 0)))
		if to := cleanedIn(t, fs, "/a"); len(to) != 1 {
			t.Fatalf("checkpoint after a deletion: %v", to)
		}
		must(t, m.Close())
	})
}

// TestCleanersLeaveMovesAlone: a log that is being moved is not cleaned, and its checkpoint goes with it.
func TestCleanersLeaveMovesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewMem()
		m := openManager(t, testOptions(fs, "/a", "/b"))
		n := newLog("t", 0)
		n.Config, n.Dir = compactConfig(), "/a"
		l, err := m.GetOrCreate(n)
		must(t, err)
		fillKeys(t, l, 100)
		m.StartCleaners(cleanerDefaults)
		time.Sleep(16 * time.Second)
		synctest.Wait()
		first := cleanedIn(t, fs, "/a")[tpOf("t", 0)]
		n.Dir = "/b"
		futures, errs := m.MakeFutures([]NewLog{n})
		must(t, errs[0])
		fillKeys(t, l, 100)
		time.Sleep(time.Minute)
		synctest.Wait()
		if to, _ := l.CleanedTo(); to != first {
			t.Fatalf("cleaned from %d to %d during a move", first, to)
		}
		must(t, futures[0].TruncateFullyAndStartAt(0))
		for offset := int64(0); offset < l.LogEndOffset(); {
			r, err := l.Read(offset, 1<<20, logstore.LogEnd, true)
			must(t, err)
			buf := make([]byte, r.Range.Len)
			must(t, r.Range.CopyTo(buf))
			r.Range.Release()
			info, err := futures[0].AppendAsFollower(buf)
			must(t, err)
			offset = info.LastOffset + 1
		}
		must(t, m.Swap(tpOf("t", 0), func(swap func() error) error { return swap() }))
		if to := cleanedIn(t, fs, "/b")[tpOf("t", 0)]; to != first {
			t.Fatalf("the checkpoint of the new directory says %d, not %d", to, first)
		}
		if to := cleanedIn(t, fs, "/a"); len(to) != 0 {
			t.Fatalf("the checkpoint of the old directory has %v", to)
		}
		moved, _ := m.Get(tpOf("t", 0))
		moved.UpdateHighWatermark(200)
		time.Sleep(time.Minute)
		synctest.Wait()
		if to, _ := moved.CleanedTo(); to <= first {
			t.Fatalf("not cleaned after the move: %d", to)
		}
	})
}

// TestCleanersDelete: what is too old in a log with cleanup.policy=compact,delete goes with the cleaner's pass.
func TestCleanersDelete(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := openManager(t, testOptions(vfs.NewMem(), "/a"))
		n := newLog("t", 0)
		n.Config = compactConfig()
		n.Config.CleanupDelete, n.Config.Retention = true, time.Hour
		l, err := m.GetOrCreate(n)
		must(t, err)
		fillKeys(t, l, 100) // long ago
		m.StartCleaners(cleanerDefaults)
		time.Sleep(2 * time.Hour) // a segment of which nothing is left counts from the time of its file, as in Kafka
		synctest.Wait()
		if start := l.LogStartOffset(); start != 100 {
			t.Fatalf("the log starts at %d", start)
		}
	})
}
