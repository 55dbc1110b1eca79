package logstore

import (
	"bytes"
	"fmt"
	"os"
	"testing"

	"gokafka/config"
	"gokafka/internal/vfs"
	"gokafka/record"
)

// legacySet is n messages of an old magic from an offset on, one a millisecond from ts on, wrapped if there is a codec.
func legacySet(tb fataler, magic int8, codec record.Codec, base int64, n int, ts int64) []byte {
	tb.Helper()
	var b record.LegacyBuilder
	b.Reset(record.LegacySpec{Magic: magic, Codec: codec, Level: codec.DefaultLevel(), BaseOffset: base})
	for i := range int64(n) {
		if err := b.Append(base+i, ts+i, fmt.Appendf(nil, "k%d", i), bytes.Repeat([]byte{'v'}, 40)); err != nil {
			tb.Fatal(err)
		}
	}
	set, err := b.Build(nil, record.NewCodecs())
	if err != nil {
		tb.Fatal(err)
	}
	return set
}

// mixedLog has segments as a log has whose topic went through the formats: per 100 offsets magic 0, magic 1, then batches. Times begin at
// 1000 for each hundred, but for magic 0, which has none. It returns all bytes.
func mixedLog(t *testing.T, fs vfs.FS, cfg *config.Topic) (*Log, Options, []byte) {
	t.Helper()
	o := testOptions(fs, cfg)
	l := openLog(t, o)
	var all []byte
	for base := int64(0); base < 300; base += 20 {
		var set []byte
		switch {
		case base < 200:
			magic := int8(base / 100)
			set = append(legacySet(t, magic, record.Gzip, base, 10, 1000*int64(magic)+base), legacySet(t, magic, record.None, base+10, 10, 1000*int64(magic)+base+10)...)
		default:
			spec := record.NewBatchSpec()
			spec.BaseOffset, spec.LeaderEpoch, spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence = base, 7, 9, 0, int32(base-200)
			set = specBatch(t, spec, 20, 40, 3000+base)
		}
		if _, err := l.AppendAsFollower(set); err != nil {
			t.Fatal(err)
		}
		all = append(all, set...)
	}
	return l, o, all
}

// rawFrom reads all bytes from an offset on.
func rawFrom(t *testing.T, l *Log, offset int64) []byte {
	t.Helper()
	var out []byte
	for {
		r, err := l.Read(offset, 1<<20, LogEnd, true)
		if err != nil {
			t.Fatal(err)
		}
		if r.Range.Len == 0 {
			return out
		}
		b := make([]byte, r.Range.Len)
		if err := r.Range.CopyTo(b); err != nil {
			t.Fatal(err)
		}
		r.Range.Release()
		out = append(out, b...)
		for len(b) > 0 {
			raw, magic, rest, err := record.NextAny(b)
			if err != nil {
				t.Fatal(err)
			}
			offset, b = parseInfo(raw, 0, int64(len(raw)), magic).lastOffset+1, rest
		}
	}
}

func smallSegments(c *config.Topic) { c.SegmentBytes, c.IndexIntervalBytes = 2000, 100 }

// Old message sets are kept, found by offset and by time, and survive a kill and a clean stop, byte for byte.
func TestMessageSetsOfAllFormats(t *testing.T) {
	fs := vfs.NewMem()
	l, o, all := mixedLog(t, fs, with(smallSegments))
	check := func(what string, l *Log) {
		t.Helper()
		if l.LogEndOffset() != 300 || l.LogStartOffset() != 0 {
			t.Fatalf("%s: %d to %d", what, l.LogStartOffset(), l.LogEndOffset())
		}
		if got := rawFrom(t, l, 0); !bytes.Equal(got, all) {
			t.Fatalf("%s: %d bytes, %d were written", what, len(got), len(all))
		}
		for _, offset := range []int64{1, 9, 10, 15, 19, 20, 105, 111, 199, 200, 219, 299} {
			b := rawFrom(t, l, offset)
			if !bytes.HasSuffix(all, b) || len(b) == 0 {
				t.Fatalf("%s: from %d", what, offset)
			}
			if raw, magic, _, err := record.NextAny(b); err != nil || parseInfo(raw, 0, int64(len(raw)), magic).lastOffset < offset {
				t.Fatalf("%s: from %d: %v", what, offset, err)
			}
		}
		// Messages in a wrapper are found one by one.
		for _, x := range []TimestampOffset{{1100, 100, -1}, {1105, 105, -1}, {1109, 109, -1}, {1115, 115, -1}, {1143, 143, -1}, {3200, 200, 7}, {3299, 299, 7}} {
			if got, ok, err := l.OffsetForTimestamp(x.Timestamp); err != nil || !ok || got != x {
				t.Errorf("%s: time %d is %+v %v %v, want %+v", what, x.Timestamp, got, ok, err, x)
			}
		}
		if got, ok, err := l.OffsetForTimestamp(MaxTimestamp); err != nil || !ok || got != (TimestampOffset{3299, 299, 7}) {
			t.Errorf("%s: the largest time is %+v %v %v", what, got, ok, err)
		}
		if epoch, end := l.EndOffsetForEpoch(7); epoch != 7 || end != 300 {
			t.Errorf("%s: epoch 7 ends at %d, %d", what, epoch, end)
		}
	}
	check("new", l)
	fs = killed(fs)
	o.FS = fs
	l = openLog(t, o)
	check("after a kill", l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	o.CleanShutdown, o.RecoveryPoint = true, 300
	l = openLog(t, o)
	check("after a clean stop", l)
	if _, err := l.AppendAsFollower(legacySet(t, 1, record.LZ4, 300, 5, 9000)); err != nil {
		t.Fatal(err)
	}
	if epoch, _ := l.EndOffsetForEpoch(7); epoch >= 0 { // a leader that writes the old format forgets epochs
		t.Error("epoch 7 is still known:", epoch)
	}
}

// Wrappers at rest are checked by their CRCs: recovery cuts at the first that is wrong or torn, whole.
func TestRecoveryCutsMessageSets(t *testing.T) {
	for name, damage := range map[string]func(b []byte) []byte{
		"torn":    func(b []byte) []byte { return b[:len(b)-3] },
		"flipped": func(b []byte) []byte { b[len(b)-3] ^= 4; return b },
		"zeros":   func(b []byte) []byte { return append(b[:len(b)-60], make([]byte, 60)...) },
	} {
		for _, codec := range []record.Codec{record.None, record.Gzip} {
			fs := vfs.NewMem()
			o := testOptions(fs, topicConfig())
			l := openLog(t, o)
			good := legacySet(t, 1, record.Gzip, 0, 10, 1000)
			last := legacySet(t, 1, codec, 10, 10, 2000)
			for _, set := range [][]byte{good, last} {
				if _, err := l.AppendAsFollower(set); err != nil {
					t.Fatal(err)
				}
			}
			fs = killed(fs)
			path := "/data/t-0/" + offsetName(0, logSuffix)
			if err := vfs.WriteFile(fs, path, damage(append(bytes.Clone(good), last...)), true); err != nil {
				t.Fatal(err)
			}
			o.FS = fs
			l = openLog(t, o)
			want := int64(10)
			if codec == record.None { // each message stands for itself
				want = 19
			}
			if end := l.LogEndOffset(); end != want {
				t.Errorf("%s, %v: the log ends at %d, want %d", name, codec, end, want)
			}
			if got := rawFrom(t, l, 0); !bytes.HasPrefix(append(bytes.Clone(good), last...), got) {
				t.Errorf("%s, %v: other bytes", name, codec)
			}
		}
	}
}

// A truncation inside a wrapper takes the wrapper whole.
func TestTruncateInsideAWrapper(t *testing.T) {
	fs := vfs.NewMem()
	l, o, all := mixedLog(t, fs, with(smallSegments))
	if _, err := l.TruncateTo(125); err != nil {
		t.Fatal(err)
	}
	if l.LogEndOffset() != 125 {
		t.Fatal("the log ends at", l.LogEndOffset())
	}
	got := rawFrom(t, l, 0)
	if !bytes.HasPrefix(all, got) {
		t.Fatal("other bytes")
	}
	if next, _, _, err := record.NextAny(all[len(got):]); err != nil || record.LegacyBatch(next).Offset() != 129 {
		t.Fatal("the wrapper of 120 to 129 should be the first that is gone", err)
	}
	if _, err := l.AppendAsFollower(legacySet(t, 1, record.Gzip, 125, 5, 1125)); err != nil {
		t.Fatal(err)
	}
	if got, ok, err := l.OffsetForTimestamp(1126); err != nil || !ok || got.Offset != 126 {
		t.Errorf("%+v %v %v", got, ok, err)
	}
	o.FS = killed(fs)
	if l = openLog(t, o); l.LogEndOffset() != 130 {
		t.Fatal("after a kill the log ends at", l.LogEndOffset())
	}
}

// Messages without timestamps make no entries in the time index, and a log of nothing else has no largest time.
func TestTimesOfMagic0(t *testing.T) {
	fs := vfs.NewMem()
	o := testOptions(fs, with(smallSegments))
	l := openLog(t, o)
	for base := int64(0); base < 100; base += 10 {
		if _, err := l.AppendAsFollower(legacySet(t, 0, record.None, base, 10, 0)); err != nil {
			t.Fatal(err)
		}
	}
	for _, ts := range []int64{0, 5, MaxTimestamp} {
		if got, ok, err := l.OffsetForTimestamp(ts); ok || err != nil {
			t.Errorf("time %d: %+v %v", ts, got, err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := fs.ReadDir("/data/t-0")
	if err != nil {
		t.Fatal(err)
	}
	sealed := 0
	for _, f := range files {
		if info, err := f.Info(); err == nil && bytes.HasSuffix([]byte(f.Name()), []byte(timeSuffix)) {
			if sealed++; info.Size() != 0 {
				t.Errorf("%s has %d bytes", f.Name(), info.Size())
			}
		}
	}
	if sealed < 2 {
		t.Fatal("the log has one segment: the test proves little")
	}
	// A batch whose records have no timestamps is found, as in Kafka.
	l2 := openLog(t, testOptions(vfs.NewMem(), topicConfig()))
	spec := record.NewBatchSpec()
	b := record.NewBuilder(spec)
	if err := b.AppendAt(0, record.NoTimestamp, nil, []byte("v")); err != nil {
		t.Fatal(err)
	}
	raw, _, err := b.Build(nil, record.NewCodecs())
	if err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l2, raw)
	if got, ok, err := l2.OffsetForTimestamp(MaxTimestamp); err != nil || !ok || got.Offset != 0 || got.Timestamp != -1 {
		t.Errorf("%+v %v %v", got, ok, err)
	}
}

// What Produce 0 to 2 brings is one batch of magic 2, and a set without a whole message is nothing.
func TestAppendLegacy(t *testing.T) {
	l := openLog(t, testOptions(vfs.NewMem(), topicConfig()))
	old := AppendOptions{Legacy: true, LeaderEpoch: 3}
	info, err := l.AppendAsLeader(legacySet(t, 1, record.Snappy, 77, 4, 1000), old)
	if err != nil || info.FirstOffset != 0 || info.LastOffset != 3 || info.Count != 4 {
		t.Fatalf("%+v %v", info, err)
	}
	info, err = l.AppendAsLeader(nil, old)
	if err != nil || info.FirstOffset != -1 || info.LastOffset != -1 || info.LogStartOffset != 0 || l.LogEndOffset() != 4 {
		t.Fatalf("%+v %v", info, err)
	}
	if _, err := l.AppendAsLeader(legacySet(t, 1, record.None, 0, 1, 0), AppendOptions{}); err == nil {
		t.Error("a message set in a request of later versions")
	}
	got := readAll(t, l, 0)
	if len(got) != 1 || got[0].Magic() != 2 || got[0].Codec() != record.Snappy || got[0].LeaderEpoch() != 3 || got[0].LastOffset() != 3 {
		t.Error(got)
	}
}

// OffsetsBefore goes by the segments' files.
func TestOffsetsBefore(t *testing.T) {
	dir := t.TempDir()
	o := testOptions(vfs.OS(), with(smallSegments))
	o.Dir = dir + "/t-0"
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		t.Fatal(err)
	}
	l := openLog(t, o)
	ask := func(ts int64, n int) string {
		t.Helper()
		got, err := l.OffsetsBefore(ts, n)
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprint(got)
	}
	if got := ask(LatestTimestamp, 5); got != "[0]" {
		t.Error("empty:", got)
	}
	for range 30 {
		mustAppend(t, l, batch(t, 10, 40, 1000))
	}
	segs := *l.segs.Load()
	if len(segs) < 4 {
		t.Fatal("too few segments")
	}
	for i, s := range segs {
		at := o.Clock.Now().AddDate(0, 0, i-10-len(segs))
		if err := os.Chtimes(s.path(logSuffix), at, at); err != nil {
			t.Fatal(err)
		}
	}
	second, err := segs[1].lastModified()
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range []struct {
		ts   int64
		n    int
		want []int64
	}{
		{LatestTimestamp, 1, []int64{300}}, {LatestTimestamp, 2, []int64{300, segs[len(segs)-1].base}}, {EarliestTimestamp, 9, []int64{0}}, {0, 9, nil},
		{second.UnixMilli(), 9, []int64{segs[1].base, 0}}, {second.UnixMilli() - 1, 9, []int64{0}}, {second.UnixMilli(), 1, []int64{segs[1].base}},
		{o.Clock.NowMs() - 60000, 1, []int64{segs[len(segs)-1].base}}, {o.Clock.NowMs() + 60000, 1, []int64{300}},
	} {
		if got := ask(x.ts, x.n); got != fmt.Sprint(x.want) {
			t.Errorf("time %d, %d offsets: %v, want %v", x.ts, x.n, got, x.want)
		}
	}
}
