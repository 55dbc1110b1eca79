package logstore

import (
	"bytes"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/config"
	"gokafka/internal/vfs"
	"gokafka/metadata"
	"gokafka/record"
)

func names(tb testing.TB, fs vfs.FS, dir, suffix string) []string {
	tb.Helper()
	entries, err := fs.ReadDir(dir)
	if err != nil {
		tb.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), suffix) {
			out = append(out, strings.TrimLeft(e.Name(), "0"))
		}
	}
	return out
}

// TestRollConditions: size counts what is about to be written; age goes by the timestamps of messages, not by the clock.
func TestRollConditions(t *testing.T) {
	size := len(batch(t, 1, 100, 1))
	for name, c := range map[string]struct {
		cfg  func(*config.Topic)
		ts   []int64
		want []string
	}{
		"exactly full":      {func(c *config.Topic) { c.SegmentBytes = int32(2 * size) }, []int64{1, 2, 3}, []string{".log", "2.log"}},
		"one byte less":     {func(c *config.Topic) { c.SegmentBytes = int32(2*size - 1) }, []int64{1, 2, 3}, []string{".log", "1.log", "2.log"}},
		"age":               {func(c *config.Topic) { c.SegmentMaxAge = 10 * time.Millisecond }, []int64{1000, 1010, 1011, 1012, 1022}, []string{".log", "2.log", "4.log"}},
		"age of compacted":  {func(c *config.Topic) { c.CleanupCompact, c.MaxCompactionLag = true, 10*time.Millisecond }, []int64{1000, 1011}, []string{".log", "1.log"}},
		"offset index full": {func(c *config.Topic) { c.IndexIntervalBytes, c.SegmentIndexBytes = 0, 40 }, []int64{1, 1, 1, 1, 1, 1, 1}, []string{".log", "6.log"}},
		"time index full":   {func(c *config.Topic) { c.IndexIntervalBytes, c.SegmentIndexBytes = 0, 36 }, []int64{1, 2, 3, 4, 5}, []string{".log", "3.log"}},
	} {
		t.Run(name, func(t *testing.T) {
			mem := vfs.NewMem()
			l := openLog(t, testOptions(mem, with(c.cfg)))
			for _, ts := range c.ts {
				mustAppend(t, l, batch(t, 1, 100, ts))
			}
			if got := names(t, mem, l.Dir(), ".log"); !slices.Equal(got, c.want) {
				t.Errorf("segments %v, want %v", got, c.want)
			}
		})
	}
}

func TestRejectedAppends(t *testing.T) {
	l := openLog(t, testOptions(vfs.NewMem(), with(func(c *config.Topic) { c.SegmentBytes, c.MaxMessageBytes = 1000, 2000 })))
	bad := batch(t, 1, 10, 1)
	bad[len(bad)-1] ^= 1
	for name, c := range map[string]struct {
		payload []byte
		want    error
	}{
		"larger than max.message.bytes": {batch(t, 1, 3000, 1), kerr.MessageTooLarge},
		"larger than segment.bytes":     {batch(t, 1, 1500, 1), kerr.RecordListTooLarge},
		"CRC":                           {bad, kerr.CorruptMessage},
		"empty":                         {nil, kerr.InvalidRecord},
		"two batches":                   {append(batch(t, 1, 1, 1), batch(t, 1, 1, 1)...), kerr.InvalidRecord},
	} {
		info, err := l.AppendAsLeader(c.payload, AppendOptions{})
		if !errors.Is(err, c.want) || info.FirstOffset != -1 || l.LogEndOffset() != 0 || l.SizeBytes() != 0 {
			t.Errorf("%s: %+v %v, want %v; end %d", name, info, err, c.want, l.LogEndOffset())
		}
	}
	follower := record.Batch(batch(t, 1, 10, 1))
	follower.SetBaseOffset(5)
	_, err := l.AppendAsFollower(follower)
	must(t, err)
	var unexpected *UnexpectedOffsetError
	if _, err := l.AppendAsFollower(follower); !errors.As(err, &unexpected) || unexpected.FirstOffset != 5 || unexpected.LogEndOffset != 6 {
		t.Errorf("append behind the end: %v", err)
	}
	bad = slices.Clone(follower)
	record.Batch(bad).SetBaseOffset(6)
	bad[70] ^= 1
	if _, err := l.AppendAsFollower(bad); !errors.Is(err, kerr.CorruptMessage) || l.LogEndOffset() != 6 {
		t.Errorf("corrupt batch from the leader: %v, end %d", err, l.LogEndOffset())
	}
}

// TestFollowerLargerThanSegment: the leader's segments may be larger than ours.
func TestFollowerLargerThanSegment(t *testing.T) {
	l := openLog(t, testOptions(vfs.NewMem(), with(func(c *config.Topic) { c.SegmentBytes = 700 })))
	var payload []byte
	for i := range int64(6) {
		b := record.Batch(batch(t, 1, []int{100, 900}[i%2], 1))
		b.SetBaseOffset(i)
		payload = append(payload, b...)
	}
	_, err := l.AppendAsFollower(payload)
	must(t, err)
	if got := readAll(t, l, 0); len(got) != 6 || l.LogEndOffset() != 6 || l.SegmentCount() < 4 {
		t.Errorf("%d batches, end %d, %d segments", len(got), l.LogEndOffset(), l.SegmentCount())
	}
}

// TestPromisedRange: a range outlives roll, deletion and close; a truncation below its end breaks it, one above does not.
func TestPromisedRange(t *testing.T) {
	mem := vfs.NewMem()
	o := testOptions(mem, with(func(c *config.Topic) { c.FileDeleteDelay = 0 }))
	l := openLog(t, o)
	for range 4 {
		mustAppend(t, l, batch(t, 1, 100, 1))
	}
	read := func(from int64, max int) ReadResult {
		res, err := l.Read(from, max, LogEnd, true)
		must(t, err)
		return res
	}
	one, all := read(0, 1), read(0, 1<<20)
	want := make([]byte, all.Range.Len)
	must(t, all.Range.CopyTo(want))
	if _, err := l.TruncateTo(3); err != nil {
		t.Fatal(err)
	}
	if one.Range.Truncated() || !all.Range.Truncated() {
		t.Errorf("truncated: first batch %v, all %v", one.Range.Truncated(), all.Range.Truncated())
	}
	all.Range.Release()
	mustAppend(t, l, batch(t, 1, 100, 1))
	late := read(0, 1<<20)
	if late.Range.Truncated() {
		t.Error("a range made after the truncation is broken")
	}
	must(t, l.Roll())
	l.UpdateHighWatermark(4)
	_, err := l.IncrementLogStartOffset(4)
	must(t, err)
	if n, err := l.DeleteOldSegments(); n != 1 || err != nil {
		t.Fatalf("%d segments deleted: %v", n, err)
	}
	must(t, l.Close())
	if got := names(t, mem, o.Dir, "0.log"); len(names(t, mem, o.Dir, ".deleted")) > 0 || slices.Contains(got, ".log") {
		t.Errorf("files left after close: %v", got)
	}
	buf := make([]byte, late.Range.Len)
	if err := late.Range.CopyTo(buf); err != nil || !bytes.Equal(buf[:one.Range.Len], want[:one.Range.Len]) {
		t.Errorf("range after deletion and close: %v", err)
	}
	late.Range.Release()
	one.Range.Release()
	if _, err := late.Range.File.ReadAt(buf, 0); !errors.Is(err, fs.ErrClosed) {
		t.Errorf("the file is open after the last release: %v", err)
	}
}

// TestHighWatermarkHides: a consumer sees nothing at or above the high watermark, not even of a batch that straddles it.
func TestHighWatermarkHides(t *testing.T) {
	l := openLog(t, testOptions(vfs.NewMem(), with(func(c *config.Topic) { c.SegmentBytes = 400 })))
	for range 6 {
		mustAppend(t, l, batch(t, 3, 30, 1))
	}
	for hw := int64(0); hw <= 18; hw++ {
		l.UpdateHighWatermark(hw)
		for from := int64(0); from <= 18; from++ {
			end := from
			for {
				res, err := l.Read(end, 1<<20, HighWatermark, true)
				must(t, err)
				if res.Range.Len == 0 {
					break
				}
				buf := make([]byte, res.Range.Len)
				must(t, res.Range.CopyTo(buf))
				res.Range.Release()
				for len(buf) > 0 {
					b, rest, err := record.Next(buf)
					must(t, err)
					end, buf = b.NextOffset(), rest
				}
			}
			if want := max(from, hw/3*3); end != want {
				t.Fatalf("hw %d, from %d: read up to %d, want %d", hw, from, end, want)
			}
		}
	}
}

func TestRetention(t *testing.T) {
	now := time.Now().UnixMilli()
	fill := func(cfg *config.Topic, age time.Duration) *Log {
		cfg.SegmentBytes = 400
		l := openLog(t, testOptions(vfs.NewMem(), cfg))
		for range 5 {
			mustAppend(t, l, batch(t, 3, 60, now-age.Milliseconds()))
		}
		return l
	}
	size := int64(len(batch(t, 3, 60, now)))
	t.Run("nothing above the high watermark", func(t *testing.T) {
		l := fill(with(func(c *config.Topic) { c.Retention = time.Hour }), 2*time.Hour)
		l.UpdateHighWatermark(7)
		if n, err := l.DeleteOldSegments(); n != 2 || err != nil || l.LogStartOffset() != 6 {
			t.Errorf("%d deleted, start %d: %v", n, l.LogStartOffset(), err)
		}
	})
	t.Run("the active segment too", func(t *testing.T) {
		l := fill(with(func(c *config.Topic) { c.Retention = time.Hour }), 2*time.Hour)
		l.UpdateHighWatermark(15)
		n, err := l.DeleteOldSegments()
		if n != 5 || err != nil || l.LogStartOffset() != 15 || l.LogEndOffset() != 15 || l.SegmentCount() != 1 || l.SizeBytes() != 0 {
			t.Errorf("%d deleted, start %d, end %d, %d segments: %v", n, l.LogStartOffset(), l.LogEndOffset(), l.SegmentCount(), err)
		}
		if n, err := l.DeleteOldSegments(); n != 0 || err != nil {
			t.Errorf("an empty active segment was deleted: %d %v", n, err)
		}
		if info := mustAppend(t, l, batch(t, 1, 1, now)); info.FirstOffset != 15 {
			t.Errorf("append at %d", info.FirstOffset)
		}
	})
	t.Run("young", func(t *testing.T) {
		l := fill(with(func(c *config.Topic) { c.Retention = time.Hour }), time.Minute)
		l.UpdateHighWatermark(15)
		if n, err := l.DeleteOldSegments(); n != 0 || err != nil {
			t.Errorf("%d deleted: %v", n, err)
		}
	})
	t.Run("size", func(t *testing.T) {
		l := fill(with(func(c *config.Topic) { c.RetentionBytes = 3*size - 1 }), 0)
		l.UpdateHighWatermark(15)
		// 5 segments are 2*size+1 too many: two whole ones go.
		if n, err := l.DeleteOldSegments(); n != 2 || err != nil || l.LogStartOffset() != 6 {
			t.Errorf("%d deleted, start %d: %v", n, l.LogStartOffset(), err)
		}
	})
	t.Run("compaction only", func(t *testing.T) {
		l := fill(with(func(c *config.Topic) { c.CleanupDelete, c.CleanupCompact, c.Retention = false, true, 0 }), time.Hour)
		l.UpdateHighWatermark(15)
		_, err := l.IncrementLogStartOffset(7)
		must(t, err)
		if n, err := l.DeleteOldSegments(); n != 2 || err != nil || l.LogStartOffset() != 7 {
			t.Errorf("%d deleted, start %d: %v", n, l.LogStartOffset(), err)
		}
	})
	t.Run("delete beyond the high watermark", func(t *testing.T) {
		l := fill(topicConfig(), 0)
		l.UpdateHighWatermark(5)
		if _, err := l.IncrementLogStartOffset(6); !errors.Is(err, kerr.OffsetOutOfRange) {
			t.Error(err)
		}
	})
}

// TestEpochs follows storage.md: an epoch without records is replaced by the next.
func TestEpochs(t *testing.T) {
	mem := vfs.NewMem()
	o := testOptions(mem, topicConfig())
	l := openLog(t, o)
	must(t, l.AssignEpochStart(0, 0))
	appendAt := func(epoch int32) {
		if _, err := l.AppendAsLeader(batch(t, 10, 1, 1), AppendOptions{LeaderEpoch: epoch}); err != nil {
			t.Fatal(err)
		}
	}
	appendAt(0)
	must(t, l.AssignEpochStart(2, 10))
	must(t, l.AssignEpochStart(3, 10))
	appendAt(3)
	must(t, l.AssignEpochStart(3, 15)) // known
	must(t, l.AssignEpochStart(7, 20))
	check := func(file string, ends map[int32][2]int64) {
		t.Helper()
		b, err := vfs.ReadFile(mem, l.Dir()+"/"+epochFile, 1000)
		if err != nil || string(b) != file {
			t.Errorf("file %q %v, want %q", b, err, file)
		}
		for e, want := range ends {
			if epoch, end := l.EndOffsetForEpoch(e); int64(epoch) != want[0] || end != want[1] {
				t.Errorf("end of epoch %d: %d %d, want %v", e, epoch, end, want)
			}
		}
	}
	check("0\n3\n0 0\n3 10\n7 20\n", map[int32][2]int64{-1: {-1, -1}, 0: {0, 10}, 1: {0, 10}, 2: {0, 10}, 3: {3, 20}, 5: {3, 20}, 7: {7, 20}, 8: {-1, -1}})
	l.UpdateHighWatermark(20)
	_, err := l.IncrementLogStartOffset(13)
	must(t, err)
	must(t, l.Flush(false))
	if _, err := l.TruncateTo(20); err != nil { // removes the epoch that wrote nothing
		t.Fatal(err)
	}
	must(t, l.Close())
	check("0\n1\n3 13\n", map[int32][2]int64{0: {0, 13}, 3: {3, 20}})
	o.CleanShutdown, o.LogStartOffset = true, 13
	l = openLog(t, o)
	check("0\n1\n3 13\n", map[int32][2]int64{3: {3, 20}})
}

func TestTopicID(t *testing.T) {
	mem := vfs.NewMem()
	o := testOptions(mem, topicConfig())
	o.TopicID = metadata.TopicID{}
	l := openLog(t, o)
	if !l.TopicID().IsZero() || len(names(t, mem, o.Dir, metadataFile)) != 0 {
		t.Fatalf("topic id %s", l.TopicID())
	}
	id := metadata.NewTopicID()
	must(t, l.AssignTopicID(id))
	must(t, l.AssignTopicID(id))
	if err := l.AssignTopicID(metadata.NewTopicID()); !errors.Is(err, kerr.InconsistentTopicID) {
		t.Errorf("another id: %v", err)
	}
	must(t, l.Close())
	b, err := vfs.ReadFile(mem, o.Dir+"/"+metadataFile, 100)
	if err != nil || string(b) != "version: 0\ntopic_id: "+id.String() {
		t.Errorf("partition.metadata %q %v", b, err)
	}
	o.CleanShutdown = true
	l = openLog(t, o)
	if l.TopicID() != id {
		t.Errorf("topic id %s after a restart", l.TopicID())
	}
	must(t, l.Close())
	o.TopicID = metadata.NewTopicID()
	if _, err := Open(o); !errors.Is(err, kerr.InconsistentTopicID) {
		t.Errorf("opened with another id: %v", err)
	}
}

// TestInterruptedSwap: .swap files are finished, .cleaned and .deleted files go.
func TestInterruptedSwap(t *testing.T) {
	mem := vfs.NewMem()
	o := testOptions(mem, with(func(c *config.Topic) { c.SegmentBytes, c.CleanupCompact = 300, true }))
	l := openLog(t, o)
	for range 4 {
		mustAppend(t, l, batch(t, 2, 60, 1))
	}
	must(t, l.Close())
	path := func(base int64, suffix string) string { return o.Dir + "/" + offsetName(base, suffix) }
	// Segments 0 and 2 were cleaned into one that begins at 0 and keeps the last record.
	spec := record.NewBatchSpec()
	spec.BaseOffset = 3
	cleaned := specBatch(t, spec, 1, 60, 1)
	must(t, vfs.WriteFile(mem, path(0, ".log.swap"), cleaned, false))
	must(t, vfs.WriteFile(mem, path(0, ".index.swap"), nil, false))
	must(t, vfs.WriteFile(mem, path(0, ".timeindex.swap"), nil, false))
	must(t, vfs.WriteFile(mem, path(4, ".log.cleaned"), cleaned, false))
	must(t, vfs.WriteFile(mem, path(6, ".log.swap"), cleaned, false)) // of a split that was not complete
	must(t, vfs.WriteFile(mem, path(9, ".log.deleted"), cleaned, false))
	o.CleanShutdown = true
	l = openLog(t, o)
	got := readAll(t, l, 0)
	if len(got) != 3 || string(got[0]) != string(cleaned) || l.LogEndOffset() != 8 {
		t.Errorf("%d batches, end %d", len(got), l.LogEndOffset())
	}
	for _, suffix := range []string{swapSuffix, cleanedSuffix, deletedSuffix} {
		if left := names(t, mem, o.Dir, suffix); len(left) > 0 {
			t.Errorf("left: %v", left)
		}
	}
}

// TestMissingIndexes: without .index a segment is read again, also after a clean shutdown; without .timeindex an empty one is made.
func TestMissingIndexes(t *testing.T) {
	mem := vfs.NewMem()
	o := testOptions(mem, with(func(c *config.Topic) { c.SegmentBytes, c.IndexIntervalBytes = 3000, 100 }))
	l := openLog(t, o)
	for i := range int64(40) {
		mustAppend(t, l, batch(t, 2, 60, 100*i))
	}
	must(t, l.Close())
	want, err := vfs.ReadFile(mem, o.Dir+"/"+offsetName(0, indexSuffix), 10000)
	must(t, err)
	must(t, mem.Remove(o.Dir+"/"+offsetName(0, indexSuffix)))
	must(t, mem.Remove(o.Dir+"/"+offsetName((*l.segs.Load())[1].base, timeSuffix)))
	must(t, vfs.WriteFile(mem, o.Dir+"/"+offsetName(7777, indexSuffix), nil, false))
	o.CleanShutdown, o.RecoveryPoint = true, 80
	l = openLog(t, o)
	if got := readAll(t, l, 0); len(got) != 40 {
		t.Errorf("%d batches", len(got))
	}
	if got, err := vfs.ReadFile(mem, o.Dir+"/"+offsetName(0, indexSuffix), 10000); err != nil || len(got) < len(want)/2 {
		t.Errorf("index of %d bytes, had %d: %v", len(got), len(want), err)
	}
	if len(names(t, mem, o.Dir, "7777.index")) > 0 {
		t.Error("the index without a segment is still there")
	}
	if found, ok, err := l.OffsetForTimestamp(500); !ok || err != nil || found.Offset != 10 {
		t.Errorf("%+v %v %v", found, ok, err)
	}
}
