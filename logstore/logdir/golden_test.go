package logdir

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/config"
	"gokafka/internal/clock"
	"gokafka/internal/vfs"
	"gokafka/logstore"
	"gokafka/metadata"
	"gokafka/record"
)

const (
	goldenCluster = "9thMlP4YQlmMQOt2wz3mOA"
	goldenNowMs   = 1795340000000 // near the last batch: producers expire by batch timestamps
	goldenDir     = "../../testdata/apache-3.9/"
)

// unpack extracts a golden directory that Apache Kafka 3.9.1 wrote, and returns its path.
func unpack(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open(goldenDir + name + ".tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return filepath.Join(root, name)
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(root, h.Name)
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o755)
		} else {
			var b []byte
			if b, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(path, b, 0o644)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// files reads all files below the partition directories.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Dir(path) == dir {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		out[rel] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// goldenConfig has the topics' settings as MANIFEST.md lists them.
func goldenConfig(topic string) *config.Topic {
	c := &config.Topic{
		CleanupDelete: true, CompressionType: "producer", DeleteRetention: 24 * time.Hour, FileDeleteDelay: time.Minute,
		FlushMessages: math.MaxInt64, FlushInterval: math.MaxInt64, IndexIntervalBytes: 4096, MaxCompactionLag: math.MaxInt64,
		MaxMessageBytes: 1048588, MinInsyncReplicas: 1, RetentionBytes: -1, Retention: -1,
		SegmentBytes: 1 << 30, SegmentIndexBytes: 65536, SegmentMaxAge: 7 * 24 * time.Hour,
		TimestampBeforeMax: math.MaxInt64, TimestampAfterMax: math.MaxInt64,
	}
	switch topic {
	case "idem":
		c.IndexIntervalBytes, c.SegmentBytes = 256, 4096
	case "txn", "trimmed":
		c.SegmentBytes = 2048
	case "compacted":
		c.CleanupDelete, c.CleanupCompact, c.IndexIntervalBytes, c.SegmentBytes = false, true, 128, 1024
	case "compact-txn":
		c.CleanupDelete, c.CleanupCompact, c.SegmentBytes = false, true, 700
	case "__consumer_offsets", "__transaction_state":
		c.CleanupDelete, c.CleanupCompact, c.SegmentBytes = false, true, 1048576
	}
	return c
}

func goldenOptions(dir string) Options {
	c := clock.New()
	c.Move(time.UnixMilli(goldenNowMs).Sub(c.Now()))
	return Options{
		FS: vfs.OS(), Dirs: []string{dir}, Clock: c, Logger: slog.New(slog.DiscardHandler), Codecs: record.NewCodecs(),
		TopicConfig: goldenConfig, Producers: logstore.ProducerOptions{ExpirationMs: 86400000, MaxTxnTimeoutMs: 900000},
		RecoveryThreads: 2, FileDeleteDelay: time.Minute,
	}
}

type goldenPartition struct {
	LogStart      int64             `json:"log_start"`
	HW            int64             `json:"hw"`
	LSO           int64             `json:"lso"`
	LatestEpoch   int32             `json:"latest_epoch"`
	MaxTsRaw      []int64           `json:"max_ts"`
	Records       []json.RawMessage `json:"records"`
	Committed     []int64           `json:"committed_offsets"`
	Batches       []goldenBatch     `json:"batches"`
	EarliestEpoch int32             `json:"earliest_epoch"`
	Aborted       [][4]int64        `json:"aborted"`
	Segments      [][2]int64        `json:"segments"`
	Snapshot      *struct {
		Offset    int64
		Producers []string
	} `json:"newest_snapshot"`
}

func expectations(t *testing.T, name string) map[string]goldenPartition {
	t.Helper()
	b, err := os.ReadFile(goldenDir + name)
	if err != nil {
		t.Fatal(err)
	}
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]goldenPartition{}
	if err := json.NewDecoder(z).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out
}

func TestGoldenClean(t *testing.T) {
	dir := unpack(t, "apache-3.9-data-dir")
	before := files(t, dir)
	m, err := Open(goldenOptions(dir), 0, goldenCluster)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, cleanShutdownFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the clean shutdown marker is there while the logs are open: %v", err)
	}
	comparePartitions(t, m, expectations(t, "expected-clean.json.gz"))
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	// Opening and closing an Apache directory changes nothing in it.
	after := files(t, dir)
	for name, b := range before {
		// The snapshot above the last segment that is not the newest any more goes, as in Apache.
		if strings.HasSuffix(name, ".snapshot") && after[name] == "" {
			continue
		}
		if after[name] != b {
			t.Errorf("%s changed:\n%x\n%x", name, b, after[name])
		}
	}
	for name := range after {
		if _, ok := before[name]; !ok {
			t.Errorf("%s is new", name)
		}
	}
	marker, err := os.ReadFile(filepath.Join(dir, cleanShutdownFile))
	if err != nil || string(marker) != `{"version":0,"brokerEpoch":-1}` {
		t.Errorf("clean shutdown marker %q %v", marker, err)
	}
	if _, err := os.Stat(filepath.Join(dir, lockFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("lock file after a clean shutdown: %v", err)
	}
}

func TestGoldenUnclean(t *testing.T) {
	dir := unpack(t, "apache-3.9-data-dir-unclean")
	before := files(t, dir)
	m, err := Open(goldenOptions(dir), 0, goldenCluster)
	if err != nil {
		t.Fatal(err)
	}
	want := expectations(t, "expected-unclean.json.gz")
	comparePartitions(t, m, want)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	for name, b := range files(t, dir) {
		if strings.HasSuffix(name, ".log") && b != before[name] {
			t.Errorf("%s changed", name)
		}
	}
	// And again, as it is after our clean shutdown.
	if m, err = Open(goldenOptions(dir), 0, goldenCluster); err != nil {
		t.Fatal(err)
	}
	comparePartitions(t, m, want)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
}

func comparePartitions(t *testing.T, m *Manager, want map[string]goldenPartition) {
	t.Helper()
	if got := len(m.All()); got != len(want) {
		t.Errorf("%d logs, want %d", got, len(want))
	}
	for name, w := range want {
		tp, _, err := logstore.ParseDirName(name)
		if err != nil {
			t.Fatal(err)
		}
		l, ok := m.Get(tp)
		if !ok {
			t.Errorf("%s: no log", tp)
			continue
		}
		comparePartition(t, l, w)
	}
}

func comparePartition(t *testing.T, l *logstore.Log, w goldenPartition) {
	t.Helper()
	tp := l.TopicPartition()
	l.UpdateHighWatermark(math.MaxInt64) // the only replica leads
	if l.LogEndOffset() == 0 {
		// Loading drops epochs that start at the log end; the leader notes its epoch anew.
		if err := l.AssignEpochStart(0, 0); err != nil {
			t.Error(err)
		}
	}
	if got := [...]int64{l.LogStartOffset(), l.LogEndOffset(), l.LastStableOffset(), int64(l.LatestEpoch())}; got !=
		[...]int64{w.LogStart, w.HW, w.LSO, int64(w.LatestEpoch)} {
		t.Errorf("%s: start, end, lso, epoch %v, want %+v", tp, got, [...]int64{w.LogStart, w.HW, w.LSO, int64(w.LatestEpoch)})
	}
	found, ok, err := l.OffsetForTimestamp(logstore.MaxTimestamp)
	if !ok {
		found = logstore.TimestampOffset{Timestamp: -1, Offset: -1}
	}
	if err != nil || found.Offset != w.MaxTsRaw[0] || found.Timestamp != w.MaxTsRaw[1] {
		t.Errorf("%s: max timestamp %+v %v, want %v", tp, found, err, w.MaxTsRaw)
	}
	batches := readBatches(t, l, w.LogStart)
	i := 0
	for _, b := range w.Batches {
		if b.Last < w.LogStart {
			continue
		}
		if i >= len(batches) {
			t.Errorf("%s: batch %d-%d is missing", tp, b.Base, b.Last)
			break
		}
		g := batches[i]
		i++
		if g.BaseOffset() != b.Base || g.LastOffset() != b.Last || g.Count() != b.N || g.LeaderEpoch() != b.Ple || len(g) != b.Size || g.CRC() != b.Crc {
			t.Errorf("%s: batch %d-%d n %d epoch %d size %d, want %+v", tp, g.BaseOffset(), g.LastOffset(), g.Count(), g.LeaderEpoch(), len(g), b)
		}
	}
	if i != len(batches) {
		t.Errorf("%s: %d batches, want %d", tp, len(batches), i)
	}
	compareRecords(t, tp, batches, w)
	aborted, err := l.AbortedTransactions(0, math.MaxInt64)
	if err != nil {
		t.Errorf("%s: %v", tp, err)
	}
	got := [][4]int64{}
	for _, a := range aborted {
		got = append(got, [4]int64{a.ProducerID, a.FirstOffset, a.LastOffset, a.LastStableOffset})
	}
	if fmt.Sprint(got) != fmt.Sprint(append([][4]int64{}, w.Aborted...)) {
		t.Errorf("%s: aborted %v, want %v", tp, got, w.Aborted)
	}
	compareCommitted(t, l, w)
	if w.Snapshot != nil && w.Snapshot.Offset == l.LogEndOffset() {
		compareProducers(t, l, w.Snapshot.Producers)
	}
	if len(w.Segments) != l.SegmentCount() {
		t.Errorf("%s: %d segments, want %d", tp, l.SegmentCount(), len(w.Segments))
	}
	compareManifest(t, l, w)
}

func compareRecords(t *testing.T, tp metadata.TopicPartition, batches []record.Batch, w goldenPartition) {
	t.Helper()
	n := 0
	codecs := record.NewCodecs()
	for _, b := range batches {
		if b.IsControl() {
			continue
		}
		block, err := codecs.Decompress(nil, b.Codec(), b.RecordsBlock(), 1<<24)
		if err != nil {
			t.Fatalf("%s: %v", tp, err)
		}
		it := b.Iterate(block)
		var r record.Record
		for it.Next(&r) {
			if r.Offset < w.LogStart {
				continue
			}
			if n >= len(w.Records) {
				t.Errorf("%s: offset %d is one too many", tp, r.Offset)
				return
			}
			var want []any
			if err := json.Unmarshal(w.Records[n], &want); err != nil {
				t.Fatal(err)
			}
			n++
			headers := headersOf(&r)
			if int(want[1].(float64)) != int(b.TimestampType())+1 || int32(want[3].(float64)) != b.LeaderEpoch() || fmt.Sprint(headers) != fmt.Sprint(orEmpty(want[6])) {
				t.Errorf("%s: record %d: type %d, epoch %d, headers %v, want %v", tp, r.Offset, b.TimestampType()+1, b.LeaderEpoch(), headers, want)
			}
			if int64(want[0].(float64)) != r.Offset || int64(want[2].(float64)) != r.Timestamp || hexOrNil(r.Key) != orNil(want[4]) || hexOrNil(r.Value) != orNil(want[5]) {
				t.Errorf("%s: record %d %d %x, want %v", tp, r.Offset, r.Timestamp, r.Key, want[:5])
			}
		}
		if it.Err() != nil {
			t.Fatalf("%s: %v", tp, it.Err())
		}
	}
	if n != len(w.Records) {
		t.Errorf("%s: %d records, want %d", tp, n, len(w.Records))
	}
}

func orEmpty(v any) any {
	if v == nil {
		return []any{}
	}
	return v
}

func hexOrNil(b []byte) string {
	if b == nil {
		return "<nil>"
	}
	return hex.EncodeToString(b)
}

func orNil(v any) string {
	if v == nil {
		return "<nil>"
	}
	return v.(string)
}

// compareCommitted filters as a read_committed client does, with the lists of aborted transactions that reads return, batch by batch.
func compareCommitted(t *testing.T, l *logstore.Log, w goldenPartition) {
	t.Helper()
	var got []int64
	codecs := record.NewCodecs()
	for offset := w.LogStart; ; {
		res, err := l.Read(offset, 1, logstore.TxnCommitted, true)
		if err != nil {
			t.Fatalf("%s: %v", l.TopicPartition(), err)
		}
		if res.Aborted == nil {
			t.Errorf("%s: aborted list is nil", l.TopicPartition())
		}
		if res.Range.Len == 0 {
			break
		}
		buf := make([]byte, res.Range.Len)
		if err := res.Range.CopyTo(buf); err != nil {
			t.Fatal(err)
		}
		res.Range.Release()
		b, rest, err := record.Next(buf)
		if err != nil || len(rest) > 0 {
			t.Fatalf("%s: one byte asked, %d bytes got: %v", l.TopicPartition(), len(buf), err)
		}
		dropped := false
		for _, a := range res.Aborted {
			dropped = dropped || b.IsTransactional() && a.ProducerID == b.ProducerID() && a.FirstOffset <= b.BaseOffset() && b.BaseOffset() < a.LastOffset
		}
		if !b.IsControl() && !dropped {
			block, err := codecs.Decompress(nil, b.Codec(), b.RecordsBlock(), 1<<24)
			if err != nil {
				t.Fatal(err)
			}
			it := b.Iterate(block)
			var r record.Record
			for it.Next(&r) {
				if r.Offset >= w.LogStart {
					got = append(got, r.Offset)
				}
			}
		}
		offset = b.NextOffset()
	}
	if fmt.Sprint(got) != fmt.Sprint(w.Committed) {
		t.Errorf("%s: committed offsets\n%v, want\n%v", l.TopicPartition(), got, w.Committed)
	}
}

func compareProducers(t *testing.T, l *logstore.Log, want []string) {
	t.Helper()
	var got []string
	for _, p := range l.ActiveProducers() {
		txn := "OptionalLong.empty"
		if p.CurrentTxnFirstOffset >= 0 {
			txn = fmt.Sprintf("OptionalLong[%d]", p.CurrentTxnFirstOffset)
		}
		got = append(got, fmt.Sprintf("producerId: %d producerEpoch: %d coordinatorEpoch: %d currentTxnFirstOffset: %s lastTimestamp: %d",
			p.ProducerID, p.ProducerEpoch, p.CoordinatorEpoch, txn, p.TimestampMs))
	}
	if len(got) != len(want) {
		t.Errorf("%s: producers %v, want %v", l.TopicPartition(), got, want)
		return
	}
	for _, g := range got {
		ok := false
		for _, s := range want {
			ok = ok || strings.HasPrefix(s, g)
		}
		if !ok {
			t.Errorf("%s: producer %q, want one of %v", l.TopicPartition(), g, want)
		}
	}
}

func readBatches(t *testing.T, l *logstore.Log, offset int64) []record.Batch {
	t.Helper()
	var out []record.Batch
	for {
		res, err := l.Read(offset, 300, logstore.LogEnd, true)
		if err != nil {
			t.Fatalf("%s: %v", l.TopicPartition(), err)
		}
		if res.Range.Len == 0 {
			return out
		}
		buf := make([]byte, res.Range.Len)
		if err := res.Range.CopyTo(buf); err != nil {
			t.Fatal(err)
		}
		res.Range.Release()
		for len(buf) > 0 {
			b, rest, err := record.Next(buf)
			if err != nil {
				t.Fatalf("%s at %d: %v", l.TopicPartition(), offset, err)
			}
			out = append(out, b)
			offset, buf = b.NextOffset(), rest
		}
	}
}

// TestGoldenDuplicate: after a restart one batch a producer is known, from the snapshot.
func TestGoldenDuplicate(t *testing.T) {
	m, err := Open(goldenOptions(unpack(t, "apache-3.9-data-dir")), 0, goldenCluster)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	l, _ := m.Get(metadata.TopicPartition{Topic: "idem"})
	send := func(seq int32) (logstore.AppendInfo, error) {
		spec := record.NewBatchSpec()
		spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence = 2000, 0, seq
		b := record.NewBuilder(spec)
		for range 5 {
			if err := b.Append(goldenNowMs, nil, []byte("v")); err != nil {
				t.Fatal(err)
			}
		}
		payload, _, err := b.Build(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return l.AppendAsLeader(payload, logstore.AppendOptions{LeaderEpoch: 4})
	}
	if info, err := send(45); err != nil || !info.Duplicate || info.FirstOffset != 204 || l.LogEndOffset() != 209 {
		t.Errorf("duplicate: %+v %v, end %d", info, err, l.LogEndOffset())
	}
	if _, err := send(51); !errors.Is(err, kerr.OutOfOrderSequenceNumber) {
		t.Errorf("gap: %v", err)
	}
	if info, err := send(50); err != nil || info.FirstOffset != 209 {
		t.Errorf("next: %+v %v", info, err)
	}
}

// TestGoldenTornTail cuts each number of bytes off the last batch: the log ends at that batch's base offset then, nothing else changes.
func TestGoldenTornTail(t *testing.T) {
	whole := golden(t, unclean)
	path := segFile("plain-0", 0, ".log")
	content := whole.must(t, path)
	for cut := 1; cut <= 397; cut += 36 {
		mem := vfs.NewMem()
		whole[path] = content[:len(content)-cut]
		whole.write(t, mem, "/")
		o := goldenOptions("/d0")
		o.FS = mem
		m, err := Open(o, 0, goldenCluster)
		if err != nil {
			t.Fatal(err)
		}
		l, _ := m.Get(metadata.TopicPartition{Topic: "plain"})
		if l.LogEndOffset() != 28 || len(readBatches(t, l, 0)) != 9 {
			t.Errorf("cut %d: log end %d", cut, l.LogEndOffset())
		}
		if st, err := mem.Stat("/" + path); err != nil || st.Size() != 1440 {
			t.Errorf("cut %d: %v %v", cut, st.Size(), err)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
