package logstore

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/config"
	"gokafka/internal/vfs"
	"gokafka/record"
)

func TestAppendReadReopen(t *testing.T) {
	fs := vfs.NewMem()
	o := testOptions(fs, with(func(c *config.Topic) { c.SegmentBytes, c.IndexIntervalBytes = 5000, 300 }))
	l := openLog(t, o)
	for i := range int64(100) {
		info := mustAppend(t, l, batch(t, 3, 50, 1000+i))
		if info.FirstOffset != 3*i || info.LastOffset != 3*i+2 {
			t.Fatalf("append %d: %+v", i, info)
		}
	}
	check := func(l *Log) {
		t.Helper()
		if l.LogEndOffset() != 300 || l.SegmentCount() < 3 {
			t.Fatalf("end %d, %d segments", l.LogEndOffset(), l.SegmentCount())
		}
		for offset := int64(0); offset < 300; offset += 7 {
			got := readAll(t, l, offset)
			if want := 100 - int(offset/3); len(got) != want {
				t.Fatalf("from %d: %d batches, want %d", offset, len(got), want)
			}
			if b := got[0]; b.BaseOffset() != offset/3*3 || b.CRC() != b.ComputeCRC() {
				t.Fatalf("from %d: first batch at %d", offset, b.BaseOffset())
			}
		}
		found, ok, err := l.OffsetForTimestamp(1050)
		if err != nil || !ok || found.Offset != 48*3+2 || found.Timestamp != 1050 {
			t.Fatalf("offset for timestamp: %+v %v %v", found, ok, err)
		}
		found, ok, err = l.OffsetForTimestamp(MaxTimestamp)
		if err != nil || !ok || found.Offset != 299 {
			t.Fatalf("max timestamp: %+v %v %v", found, ok, err)
		}
	}
	check(l)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := l.AppendAsLeader(batch(t, 1, 1, 1), AppendOptions{}); !errors.Is(err, kerr.KafkaStorageError) {
		t.Fatalf("append to a closed log: %v", err)
	}
	for _, clean := range []bool{true, false} {
		o.CleanShutdown = clean
		l = openLog(t, o)
		check(l)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A log that is cut to nothing forgets its largest timestamp: closed like that, its time index would name a place that later holds other records, and a search
// would begin behind what it looks for.
func TestTruncationToNothingForgetsTheTimestamps(t *testing.T) {
	fs := vfs.NewMem()
	o := testOptions(fs, with(func(c *config.Topic) { c.IndexIntervalBytes = 0 }))
	l := openLog(t, o)
	if _, err := l.AppendAsLeader(batch(t, 4, 0, 1000), AppendOptions{}); err != nil { // 1000 to 1003
		t.Fatal(err)
	}
	if _, err := l.TruncateTo(0); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	o.CleanShutdown = true
	l = openLog(t, o)
	var payload []byte
	for i, ts := range []int64{1000, 1004} { // offsets 0 and 1
		spec := record.NewBatchSpec()
		spec.BaseOffset = int64(i)
		payload = append(payload, specBatch(t, spec, 1, 0, ts)...)
	}
	spec := record.NewBatchSpec()
	spec.BaseOffset = 2
	payload = append(payload, specBatch(t, spec, 2, 0, 1002)...) // 1002 and 1003
	if _, err := l.AppendAsFollower(payload); err != nil {
		t.Fatal(err)
	}
	if got, ok, err := l.OffsetForTimestamp(1003); err != nil || !ok || got.Offset != 1 {
		t.Errorf("timestamp 1003: %+v %v %v, want offset 1", got, ok, err)
	}
}
