package cleaner

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"gokafka/config"
	"gokafka/internal/clock"
	"gokafka/internal/vfs"
	"gokafka/logstore"
	"gokafka/metadata"
	"gokafka/record"
)

var codecs = record.NewCodecs()

func topic() *config.Topic {
	return &config.Topic{
		CleanupCompact: true, CompressionType: "producer", DeleteRetention: time.Hour, FileDeleteDelay: time.Minute,
		FlushMessages: math.MaxInt64, FlushInterval: math.MaxInt64, IndexIntervalBytes: 200, MaxCompactionLag: math.MaxInt64,
		MaxMessageBytes: 1048588, MinInsyncReplicas: 1, RetentionBytes: -1, Retention: -1,
		SegmentBytes: 2000, SegmentIndexBytes: 10 << 20, SegmentMaxAge: math.MaxInt64, MinCleanableRatio: 0,
		TimestampBeforeMax: math.MaxInt64, TimestampAfterMax: math.MaxInt64,
		CompressionGzipLevel: -1, CompressionLz4Level: 9, CompressionZstdLevel: 3,
	}
}

func open(t *testing.T, fs vfs.FS, clk *clock.Clock, cfg *config.Topic) (*logstore.Log, error) {
	t.Helper()
	l, err := logstore.Open(logstore.Options{
		FS: fs, Dir: "/data/t-0", TopicPartition: metadata.TopicPartition{Topic: "t"}, TopicID: metadata.TopicID{1}, Config: cfg, Clock: clk,
		Logger: slog.New(slog.DiscardHandler), Codecs: codecs, Producers: logstore.ProducerOptions{ExpirationMs: 1 << 40, MaxTxnTimeoutMs: 900000},
	})
	if err == nil {
		t.Cleanup(func() { l.Close() })
	}
	return l, err
}

func newCleaner(clk *clock.Clock) *Cleaner {
	return &Cleaner{Config: Config{MapBytes: 1 << 20, LoadFactor: 0.9, IOBufferBytes: 512}, Clock: clk, Codecs: codecs,
		Throttle: func(context.Context, int) error { return nil }, Check: func() error { return nil }}
}

func clean(t *testing.T, c *Cleaner, l *logstore.Log) error {
	t.Helper()
	j, err := Plan(l, c.Clock.NowMs())
	if err != nil {
		return err
	}
	next, _, err := c.Clean(t.Context(), j)
	if err == nil {
		err = l.NoteCleaned(j.View, next)
	}
	return err
}

type rec struct {
	offset    int64
	key       string
	value     string
	null      bool
	writtenMs int64
}

// writer writes to a log as a leader would, and knows what must be read.
type writer struct {
	rng     *rand.Rand
	l       *logstore.Log
	clk     *clock.Clock
	seq     [4]int32
	open    [4][]rec // of transactions
	began   [4]bool
	all     map[int64]rec   // committed, by offset
	latest  map[string]rec  // committed, by key
	aborted map[string]bool // values that must never be seen
}

func newWriter(seed uint64, l *logstore.Log, clk *clock.Clock) *writer {
	return &writer{rng: rand.New(rand.NewPCG(seed, 7)), l: l, clk: clk, all: map[int64]rec{}, latest: map[string]rec{}, aborted: map[string]bool{}}
}

func (w *writer) commit(list []rec) {
	for _, r := range list {
		w.all[r.offset] = r
		if last, ok := w.latest[r.key]; !ok || last.offset < r.offset {
			w.latest[r.key] = r
		}
	}
}

// step writes one batch: producer 0 is plain, 1 idempotent, 2 and 3 transactional.
func (w *writer) step(t *testing.T) {
	t.Helper()
	p := w.rng.IntN(4)
	end := w.l.LogEndOffset()
	if p >= 2 && w.began[p] && w.rng.IntN(3) == 0 {
		w.end(t, p, w.rng.IntN(2) == 0)
		return
	}
	spec := record.NewBatchSpec()
	spec.BaseOffset, spec.LeaderEpoch = end, 0
	spec.Codec = record.Codec(w.rng.IntN(5))
	spec.Level = spec.Codec.DefaultLevel()
	n := 1 + w.rng.IntN(5)
	if p > 0 {
		spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence, spec.Transactional = int64(p), 0, w.seq[p], p >= 2
		w.seq[p] += int32(n)
	}
	b := record.NewBuilder(spec)
	var list []rec
	for i := range n {
		r := rec{offset: end + int64(i), key: fmt.Sprint("k", w.rng.IntN(12)), value: fmt.Sprint("v", end+int64(i), "-", p), null: w.rng.IntN(5) == 0, writtenMs: w.clk.NowMs()}
		value := []byte(r.value)
		if r.null {
			value = nil
		}
		if err := b.AppendAt(r.offset, r.writtenMs, []byte(r.key), value, record.Header{Key: []byte("h"), Value: []byte{byte(i)}}); err != nil {
			t.Fatal(err)
		}
		list = append(list, r)
	}
	raw, _, err := b.Build(nil, codecs)
	if err == nil {
		_, err = w.l.AppendAsFollower(raw)
	}
	if err != nil {
		t.Fatal(err)
	}
	if p >= 2 {
		w.began[p] = true
		w.open[p] = append(w.open[p], list...)
	} else {
		w.commit(list)
	}
}

// plain writes one record of a producer without an id.
func (w *writer) plain(t *testing.T, key string) {
	t.Helper()
	spec := record.NewBatchSpec()
	spec.BaseOffset, spec.LeaderEpoch = w.l.LogEndOffset(), 0
	b := record.NewBuilder(spec)
	r := rec{offset: spec.BaseOffset, key: key, value: "plain", writtenMs: w.clk.NowMs()}
	err := b.Append(r.writtenMs, []byte(key), []byte(r.value))
	if err == nil {
		var raw []byte
		if raw, _, err = b.Build(nil, codecs); err == nil {
			_, err = w.l.AppendAsFollower(raw)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	w.commit([]rec{r})
}

func (w *writer) end(t *testing.T, p int, commit bool) {
	t.Helper()
	m := record.MarkerSpec{BaseOffset: w.l.LogEndOffset(), TimestampMs: w.clk.NowMs(), ProducerID: int64(p), Type: record.ControlAbort}
	if commit {
		m.Type = record.ControlCommit
	}
	raw, err := record.AppendEndTxnMarker(nil, m)
	if err == nil {
		_, err = w.l.AppendAsFollower(raw)
	}
	if err != nil {
		t.Fatal(err)
	}
	if commit {
		w.commit(w.open[p])
	} else {
		for _, r := range w.open[p] {
			w.aborted[r.value] = true
		}
	}
	w.open[p], w.began[p] = nil, false
}

func (w *writer) raiseHigh() { w.l.UpdateHighWatermark(w.l.LogEndOffset()) }

// readCommitted reads as a consumer with read_committed does, filtering by the list of aborted transactions.
func readCommitted(t *testing.T, l *logstore.Log) []rec {
	t.Helper()
	var out []rec
	offset, lastOffset := l.LogStartOffset(), int64(-1)
	aborted := map[int64]bool{}
	var pending []logstore.AbortedTxn
	for {
		r, err := l.Read(offset, 700, logstore.TxnCommitted, true)
		if err != nil {
			t.Fatal(err)
		}
		if r.Range.Len == 0 {
			return out
		}
		buf := make([]byte, r.Range.Len)
		if err := r.Range.CopyTo(buf); err != nil {
			t.Fatal(err)
		}
		r.Range.Release()
		pending = r.Aborted
		slices.SortFunc(pending, func(a, b logstore.AbortedTxn) int { return cmp.Compare(a.FirstOffset, b.FirstOffset) })
		clear(aborted)
		for len(buf) > 0 {
			b, rest, err := record.Next(buf)
			if err != nil || b.CRC() != b.ComputeCRC() {
				t.Fatalf("batch at %d: %v", offset, err)
			}
			if b.BaseOffset() <= lastOffset {
				t.Fatalf("batch %d follows %d", b.BaseOffset(), lastOffset)
			}
			lastOffset, offset, buf = b.LastOffset(), b.NextOffset(), rest
			for len(pending) > 0 && pending[0].FirstOffset <= b.LastOffset() {
				aborted[pending[0].ProducerID] = true
				pending = pending[1:]
			}
			if b.IsControl() {
				if m, ok, _ := b.EndTxnMarker(); ok && m.Type == record.ControlAbort {
					delete(aborted, b.ProducerID())
				}
				continue
			}
			if b.IsTransactional() && aborted[b.ProducerID()] {
				continue
			}
			it, _, err := codecs.Iterate(b, nil, 1<<20)
			if err != nil {
				t.Fatal(err)
			}
			for x := (record.Record{}); it.Next(&x); {
				out = append(out, rec{x.Offset, string(x.Key), string(x.Value), x.Value == nil, x.Timestamp})
			}
		}
	}
}

// check compares what is read with what was written. complete: the log was cleaned up to its active segment, and of what is before that nothing obsolete is left.
func (w *writer) check(t *testing.T, what string, l *logstore.Log) {
	t.Helper()
	stable := l.LastStableOffset()
	seen := map[int64]bool{}
	for _, r := range readCommitted(t, l) {
		want, ok := w.all[r.offset]
		if !ok || w.aborted[r.value] {
			t.Fatalf("%s: offset %d has %+v, which was never committed", what, r.offset, r)
		}
		if want.key != r.key || want.null != r.null || !r.null && want.value != r.value || want.writtenMs != r.writtenMs {
			t.Fatalf("%s: offset %d is %+v, was %+v", what, r.offset, r, want)
		}
		seen[r.offset] = true
	}
	for key, r := range w.latest {
		if r.offset >= stable || seen[r.offset] {
			continue
		}
		if !r.null {
			t.Fatalf("%s: the last record of %s, %+v, is missing", what, key, r)
		}
		if age := w.clk.NowMs() - r.writtenMs; age < time.Hour.Milliseconds() {
			t.Fatalf("%s: tombstone %+v went after %d ms", what, r, age)
		}
	}
}

func TestModel(t *testing.T) {
	for seed := range uint64(60) {
		clk := clock.New()
		l, err := open(t, vfs.NewMem(), clk, topic())
		if err != nil {
			t.Fatal(err)
		}
		w := newWriter(seed, l, clk)
		c := newCleaner(clk)
		if seed%3 == 0 {
			c.MapBytes = 9 * slotBytes // a pass takes what fits
		}
		for i := range 400 {
			w.step(t)
			switch w.rng.IntN(25) {
			case 0:
				w.raiseHigh()
				if err := clean(t, c, l); err != nil {
					t.Fatalf("seed %d: %v", seed, err)
				}
				w.check(t, fmt.Sprintf("seed %d step %d", seed, i), l)
			case 1:
				clk.Move(20 * time.Minute)
			case 2:
				w.raiseHigh()
			}
		}
		w.converges(t, c, seed)
	}
}

// converges cleans until nothing changes: each key is there once, and tombstones, markers and aborted records are gone.
func (w *writer) converges(t *testing.T, c *Cleaner, seed uint64) {
	t.Helper()
	for p := range w.began {
		if w.began[p] {
			w.end(t, p, true)
		}
	}
	w.raiseHigh()
	if err := w.l.Roll(); err != nil {
		t.Fatal(err)
	}
	for range 4 {
		for range 40 { // as many as a small map needs
			if err := clean(t, c, w.l); err != nil {
				t.Fatalf("seed %d: %v", seed, err)
			}
		}
		w.l.SetCleanedTo(0)
		w.clk.Move(61 * time.Minute)
		w.check(t, fmt.Sprintf("seed %d at the end", seed), w.l)
	}
	if c.MapBytes < 1<<20 {
		return
	}
	keys := map[string]int{}
	for _, r := range readCommitted(t, w.l) {
		if keys[r.key]++; r.null || keys[r.key] > 1 {
			t.Fatalf("seed %d: obsolete record %+v", seed, r)
		}
	}
	aborted, err := w.l.AbortedTransactions(0, math.MaxInt64)
	if err != nil {
		t.Fatal(err)
	}
	last := w.l.LastRecords()
	for _, a := range aborted { // those stay whose batch stays, empty, because it is its producer's last
		if o := last[a.ProducerID].DataOffset; o < a.FirstOffset || o > a.LastOffset {
			t.Fatalf("seed %d: transaction index has %+v", seed, a)
		}
	}
	// The last batch of each producer is known still, whatever is left of it.
	for _, p := range w.l.ActiveProducers() {
		if p.LastSequence != w.seq[p.ProducerID]-1 {
			t.Fatalf("seed %d: producer %d ended with %d, is at %d", seed, p.ProducerID, w.seq[p.ProducerID]-1, p.LastSequence)
		}
	}
}

var errInjected = errors.New("injected")

// TestCrashAtEveryCall cleans while the n-th call to the disk, and all that follow, fail; then the machine loses what was not synced, or only the process dies.
func TestCrashAtEveryCall(t *testing.T) {
	for _, power := range []bool{false, true} {
		for n := 0; ; n++ {
			clk := clock.New()
			mem := vfs.NewMem()
			var left int
			armed := false
			fs := vfs.NewFaulty(mem, func(vfs.Op) error {
				if !armed {
					return nil
				}
				if left--; left < 0 {
					return errInjected
				}
				return nil
			})
			l, err := open(t, fs, clk, topic())
			if err != nil {
				t.Fatal(err)
			}
			w := newWriter(3, l, clk)
			for range 80 {
				w.step(t)
			}
			for p := range w.began {
				if w.began[p] {
					w.end(t, p, p == 2)
				}
			}
			w.raiseHigh()
			if err := errors.Join(l.Roll(), l.Flush(true)); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(mem.SyncDir("/"), mem.SyncDir("/data")); err != nil {
				t.Fatal(err)
			}
			end := l.LogEndOffset()
			armed, left = true, n
			err = clean(t, newCleaner(clk), l)
			armed = false
			crashed := mem
			if power {
				crashed = mem.CrashClone(vfs.CrashOptions{Seed: uint64(n), UnorderedMetadata: n%2 == 0})
			} else {
				l.MarkOffline()
			}
			again, oerr := logstore.Open(logstore.Options{
				FS: crashed, Dir: "/data/t-0", TopicPartition: metadata.TopicPartition{Topic: "t"}, TopicID: metadata.TopicID{1}, Config: topic(), Clock: clk,
				Codecs: codecs, Producers: logstore.ProducerOptions{ExpirationMs: 1 << 40, MaxTxnTimeoutMs: 900000}, RecoveryPoint: end,
			})
			if oerr != nil {
				t.Fatalf("call %d (power %v): %v", n, power, oerr)
			}
			if got := again.LogEndOffset(); got != end {
				t.Fatalf("call %d (power %v): log ends at %d, not %d", n, power, got, end)
			}
			again.UpdateHighWatermark(end)
			w.check(t, fmt.Sprintf("call %d (power %v)", n, power), again)
			if cerr := clean(t, newCleaner(clk), again); cerr != nil {
				t.Fatalf("call %d (power %v): cleaning again: %v", n, power, cerr)
			}
			w.check(t, fmt.Sprintf("call %d (power %v), cleaned again", n, power), again)
			if cerr := again.Close(); cerr != nil {
				t.Fatal(cerr)
			}
			if err == nil {
				break
			}
		}
	}
}

// TestTruncationEndsCleaning cuts the log, and writes other records, between the map and the swap.
func TestTruncationEndsCleaning(t *testing.T) {
	clk := clock.New()
	l, err := open(t, vfs.NewMem(), clk, topic())
	if err != nil {
		t.Fatal(err)
	}
	w := newWriter(1, l, clk)
	for range 100 {
		w.step(t)
	}
	w.raiseHigh()
	j, err := Plan(l, clk.NowMs())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.TruncateTo(5); err != nil {
		t.Fatal(err)
	}
	if _, _, err := newCleaner(clk).Clean(t.Context(), j); !errors.Is(err, logstore.ErrCleanAborted) {
		t.Fatalf("got %v", err)
	}
	if err := l.NoteCleaned(j.View, 50); !errors.Is(err, logstore.ErrCleanAborted) {
		t.Fatalf("got %v", err)
	}
	l.SetCleanedTo(5)
	if _, err := l.TruncateTo(3); err != nil {
		t.Fatal(err)
	}
	if to, _ := l.CleanedTo(); to > 3 {
		t.Fatalf("cleaned to %d of a log that was cut at 3", to)
	}
}

// TestReadersDuringSwaps read each last record however often segments are replaced under them.
func TestReadersDuringSwaps(t *testing.T) {
	clk := clock.New()
	l, err := open(t, vfs.NewMem(), clk, topic())
	if err != nil {
		t.Fatal(err)
	}
	w := newWriter(2, l, clk)
	for range 200 {
		w.step(t)
	}
	for p := range w.began {
		if w.began[p] {
			w.end(t, p, true)
		}
	}
	w.raiseHigh()
	done := make(chan error, 1)
	go func() {
		c := newCleaner(clk)
		for range 20 {
			l.SetCleanedTo(0)
			j, err := Plan(l, clk.NowMs())
			if err == nil {
				_, _, err = c.Clean(context.Background(), j)
			}
			if err != nil {
				done <- err
				return
			}
		}
		done <- nil
	}()
	for {
		w.check(t, "while segments are replaced", l)
		select {
		case err := <-done:
			if err != nil {
				t.Fatal(err)
			}
			return
		default:
		}
	}
}

func TestOffsetMap(t *testing.T) {
	var m offsetMap
	m.clear(5000)
	for i := range 4500 {
		m.put([]byte(fmt.Sprint(i)), int64(i))
	}
	m.put([]byte("7"), 9000)
	for i := range 4500 {
		want := int64(i)
		if i == 7 {
			want = 9000
		}
		if got := m.get([]byte(fmt.Sprint(i))); got != want {
			t.Fatalf("%d: %d", i, got)
		}
	}
	if m.get([]byte("no")) != -1 || m.entries != 4500 || bytes.Equal(m.slots, nil) {
		t.Fatal("a key that was not put")
	}
}

// TestLastSequenceIsInTheLog forgets all that is known of producers but what the compacted segments say.
func TestLastSequenceIsInTheLog(t *testing.T) {
	clk, mem := clock.New(), vfs.NewMem()
	l, err := open(t, mem, clk, topic())
	if err != nil {
		t.Fatal(err)
	}
	w := newWriter(4, l, clk)
	for range 150 {
		w.step(t)
	}
	for p := range w.began {
		if w.began[p] {
			w.end(t, p, true)
		}
	}
	for k := range 12 { // the last word on each key is another's
		w.plain(t, fmt.Sprint("k", k))
	}
	w.converges(t, newCleaner(clk), 4)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	entries, err := mem.ReadDir("/data/t-0")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".snapshot") {
			if err := mem.Remove("/data/t-0/" + e.Name()); err != nil {
				t.Fatal(err)
			}
		}
	}
	l, err = open(t, mem, clk, topic()) // not a clean shutdown: all is read
	if err != nil {
		t.Fatal(err)
	}
	found := map[int64]int32{}
	for _, p := range l.ActiveProducers() {
		found[p.ProducerID] = p.LastSequence
	}
	for p := 1; p < 4; p++ {
		if found[int64(p)] != w.seq[p]-1 {
			t.Fatalf("producer %d ended with %d, the log says %d", p, w.seq[p]-1, found[int64(p)])
		}
	}
}

// TestMarkers: a marker stays for the pass that drops the last record of its transaction, is then given a delete horizon, and goes when that is over.
func TestMarkers(t *testing.T) {
	clk := clock.New()
	cfg := topic()
	l, err := open(t, vfs.NewMem(), clk, cfg)
	if err != nil {
		t.Fatal(err)
	}
	w := newWriter(4, l, clk)
	spec := record.NewBatchSpec()
	for i := range int32(2) { // two transactions: the last batch of the second is the producer's last
		spec.BaseOffset, spec.LeaderEpoch, spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence, spec.Transactional = l.LogEndOffset(), 0, 2, 0, i, true
		b := record.NewBuilder(spec)
		if err := b.Append(clk.NowMs(), []byte("a"), []byte("aborted")); err != nil {
			t.Fatal(err)
		}
		raw, _, err := b.Build(nil, codecs)
		if err == nil {
			_, err = l.AppendAsFollower(raw)
		}
		if err != nil {
			t.Fatal(err)
		}
		w.end(t, 2, i == 1)
	}
	w.raiseHigh()
	if err := l.Roll(); err != nil {
		t.Fatal(err)
	}
	marker := func() (found, horizon bool) {
		r, err := l.Read(0, 1<<20, logstore.LogEnd, true)
		if err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, r.Range.Len)
		if err := r.Range.CopyTo(buf); err != nil {
			t.Fatal(err)
		}
		r.Range.Release()
		for b, rest, err := record.Next(buf); err == nil; b, rest, err = record.Next(rest) {
			if b.BaseOffset() == 1 && b.IsControl() {
				return true, b.HasDeleteHorizon()
			}
		}
		return false, false
	}
	for i, want := range [][2]bool{{true, false}, {true, true}, {true, true}, {false, false}} {
		if i == 3 {
			clk.Move(cfg.DeleteRetention + time.Minute)
		}
		l.SetCleanedTo(0)
		if err := clean(t, newCleaner(clk), l); err != nil {
			t.Fatal(err)
		}
		if found, horizon := marker(); found != want[0] || horizon != want[1] {
			t.Fatalf("pass %d: marker is there: %v, with horizon: %v", i, found, horizon)
		}
	}
}
