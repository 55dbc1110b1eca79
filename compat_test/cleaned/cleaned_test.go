package cleaned

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"gokafka/compat_test/harness"
	"gokafka/config"
	"gokafka/internal/clock"
	"gokafka/internal/vfs"
	"gokafka/logstore"
	"gokafka/logstore/cleaner"
	"gokafka/metadata"
	"gokafka/record"
)

var skips harness.Skips

func TestMain(m *testing.M) { skips.Main(m) }

func topic() *config.Topic {
	return &config.Topic{
		CleanupCompact: true, CompressionType: "producer", DeleteRetention: time.Hour, FlushMessages: math.MaxInt64, FlushInterval: math.MaxInt64,
		IndexIntervalBytes: 200, MaxCompactionLag: math.MaxInt64, MaxMessageBytes: 1 << 20, MinInsyncReplicas: 1, RetentionBytes: -1, Retention: -1,
		SegmentBytes: 2000, SegmentIndexBytes: 65536, SegmentMaxAge: math.MaxInt64, TimestampBeforeMax: math.MaxInt64, TimestampAfterMax: math.MaxInt64,
	}
}

func open(t *testing.T, dir string, clk *clock.Clock) *logstore.Log {
	t.Helper()
	l, err := logstore.Open(logstore.Options{FS: vfs.OS(), Dir: filepath.Join(dir, "t-0"), TopicPartition: metadata.TopicPartition{Topic: "t"},
		TopicID: metadata.TopicID{1}, Config: topic(), Clock: clk, Logger: slog.New(slog.DiscardHandler), Codecs: record.NewCodecs(),
		Producers: logstore.ProducerOptions{ExpirationMs: math.MaxInt32, MaxTxnTimeoutMs: 900000}})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// write makes a log as producers with and without ids, and with transactions, make it.
func write(t *testing.T, l *logstore.Log, clk *clock.Clock, rng *rand.Rand, codec func() record.Codec) {
	t.Helper()
	var seq [4]int32
	var began [4]bool
	end := func(p int) {
		raw, err := record.AppendEndTxnMarker(nil, record.MarkerSpec{BaseOffset: l.LogEndOffset(), TimestampMs: clk.NowMs(), ProducerID: int64(p), Type: record.ControlType(rng.IntN(2))})
		must(t, err)
		_, err = l.AppendAsFollower(raw)
		must(t, err)
		began[p] = false
	}
	for range 300 {
		p := rng.IntN(4)
		if p >= 2 && began[p] && rng.IntN(3) == 0 {
			end(p)
			continue
		}
		spec := record.NewBatchSpec()
		spec.BaseOffset, spec.LeaderEpoch, spec.Codec = l.LogEndOffset()+int64(rng.IntN(20)/19), 3, codec()
		spec.Level = spec.Codec.DefaultLevel()
		if rng.IntN(4) == 0 {
			spec.TimestampType, spec.AppendTimeMs = record.LogAppendTime, clk.NowMs()
		}
		n := 1 + rng.IntN(5)
		if p > 0 {
			spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence, spec.Transactional = int64(p), 0, seq[p], p >= 2
			seq[p] += int32(n)
			began[p] = p >= 2
		}
		b := record.NewBuilder(spec)
		for i := range n {
			value := bytes.Repeat([]byte{byte('a' + i)}, rng.IntN(60))
			if rng.IntN(5) == 0 {
				value = nil
			}
			must(t, b.AppendAt(spec.BaseOffset+int64(i), clk.NowMs()-int64(rng.IntN(1000)), []byte(fmt.Sprint("k", rng.IntN(40))), value, record.Header{Key: []byte("h"), Value: []byte{byte(i)}}))
		}
		raw, _, err := b.Build(nil, record.NewCodecs())
		must(t, err)
		_, err = l.AppendAsFollower(raw)
		must(t, err)
	}
	for p := range began {
		if began[p] {
			end(p)
		}
	}
	l.UpdateHighWatermark(l.LogEndOffset())
	must(t, l.Roll())
}

// files are the files of the segments below base, by name. Offset indexes are sparse, and are not always cut at the same batches.
func files(t *testing.T, dir string, below int64) map[string]string {
	t.Helper()
	out := map[string]string{}
	entries, err := os.ReadDir(filepath.Join(dir, "t-0"))
	must(t, err)
	for _, e := range entries {
		base, err := strconv.ParseInt(strings.SplitN(e.Name(), ".", 2)[0], 10, 64)
		if ext := filepath.Ext(e.Name()); err != nil || base >= below || ext != ".log" && ext != ".timeindex" && ext != ".txnindex" {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, "t-0", e.Name()))
		must(t, err)
		out[e.Name()] = string(b)
	}
	return out
}

// records lists the batches of the segments below base, without what a compressor chooses.
func records(t *testing.T, dir string, below int64) (lines []string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "t-0", "*.log"))
	must(t, err)
	for _, name := range names {
		if base, err := strconv.ParseInt(strings.TrimSuffix(filepath.Base(name), ".log"), 10, 64); err != nil || base >= below {
			continue
		}
		buf, err := os.ReadFile(name)
		must(t, err)
		for b, rest, err := record.Next(buf); err == nil; b, rest, err = record.Next(rest) {
			lines = append(lines, fmt.Sprint(b.BaseOffset(), b.LastOffset(), b.LeaderEpoch(), b.Attributes(), b.BaseTimestamp(), b.MaxTimestamp(), b.ProducerID(), b.ProducerEpoch(), b.BaseSequence(), b.Count()))
			if b.Count() == 0 {
				continue
			}
			it, _, err := record.NewCodecs().Iterate(b, nil, 1<<20)
			must(t, err)
			for r := (record.Record{}); it.Next(&r); {
				lines = append(lines, fmt.Sprint(" ", r.Offset, r.Timestamp, string(r.Key), r.Value == nil, string(r.Value), r.HeaderCount()))
			}
		}
	}
	return lines
}

// TestAsApache has both clean copies of one log three times: at once, again, and when the delete horizons are over. Without compression the segments, time
// indexes and transaction indexes are equal byte for byte; with it the batches and records are.
func TestAsApache(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a JVM: not with -short")
	}
	classes, err := harness.JavaClasses("CleanLog.java")
	skips.Need(t, err)
	for seed := range uint64(4) {
		ours, theirs := t.TempDir(), t.TempDir()
		codec := func() record.Codec { return record.None }
		if seed%2 == 1 {
			i := 0
			codec = func() record.Codec { i++; return record.Codec(i % 5) }
		}
		var times []string
		var active int64
		synctest.Test(t, func(t *testing.T) {
			clk := clock.New()
			l := open(t, ours, clk)
			write(t, l, clk, rand.New(rand.NewPCG(seed, 1)), codec)
			must(t, l.Flush(true))
			must(t, os.CopyFS(theirs, os.DirFS(ours)))
			c := &cleaner.Cleaner{Config: cleaner.Config{MapBytes: 1 << 20, LoadFactor: 0.9, IOBufferBytes: 512}, Clock: clk, Codecs: record.NewCodecs(),
				Throttle: func(context.Context, int) error { return nil }, Check: func() error { return nil }}
			for _, d := range []time.Duration{0, time.Minute, 2 * time.Hour} {
				clk.Move(d)
				times = append(times, fmt.Sprint(clk.NowMs()))
				l.SetCleanedTo(0)
				j, err := cleaner.Plan(l, clk.NowMs())
				must(t, err)
				active = j.FirstUncleanable
				_, _, err = c.Clean(t.Context(), j)
				must(t, err)
			}
			must(t, l.Close())
		})
		out, err := exec.Command("java", append([]string{"-XX:TieredStopAtLevel=1", "-cp", classes, "CleanLog", theirs}, times...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		a, b := records(t, theirs, active), records(t, ours, active)
		for i := range max(len(a), len(b)) {
			if i >= len(a) || i >= len(b) || a[i] != b[i] {
				t.Fatalf("seed %d: line %d of %d and %d:\nApache:  %s\ngokafka: %s", seed, i, len(a), len(b), at(a, i), at(b, i))
			}
		}
		if seed%2 == 1 {
			continue
		}
		want, got := files(t, theirs, active), files(t, ours, active)
		for name, w := range want {
			if got[name] != w {
				t.Errorf("seed %d: %s differs: Apache %d bytes, gokafka %d", seed, name, len(w), len(got[name]))
			}
		}
		if len(want) == 0 || len(want) != len(got) {
			t.Errorf("seed %d: Apache has %d files, gokafka %d", seed, len(want), len(got))
		}
	}
}

func at(list []string, i int) string {
	if i < len(list) {
		return list[i]
	}
	return "nothing"
}
