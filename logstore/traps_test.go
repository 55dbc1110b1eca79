package logstore

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/config"
	"gokafka/internal/vfs"
	"gokafka/record"
)

// The tests of this file are named after mistakes that logs of other brokers made, or that a reader of Kafka's formats
// makes at first.

// killed is the file system after a kill: what was written stays, nothing was closed.
func killed(fs *vfs.Mem) *vfs.Mem { return fs.CrashClone(vfs.CrashOptions{KeepUnsynced: true}) }

// The last offset of a batch comes from its lastOffsetDelta: compaction took records out of it.
func TestTrapLastOffsetFromTheDeltaNotTheCount(t *testing.T) {
	fs := vfs.NewMem()
	o := testOptions(fs, topicConfig())
	l := openLog(t, o)
	compacted := batch(t, 3, 10, 1000)
	binary.BigEndian.PutUint32(compacted[23:], 9)
	binary.BigEndian.PutUint32(compacted[17:], crc32.Checksum(compacted[21:], crc32.MakeTable(crc32.Castagnoli)))
	if _, err := l.AppendAsFollower(compacted); err != nil {
		t.Fatal(err)
	}
	o.FS = killed(fs)
	after := openLog(t, o)
	if l.LogEndOffset() != 10 || after.LogEndOffset() != 10 {
		t.Errorf("ends at %d, recovered %d, want 10", l.LogEndOffset(), after.LogEndOffset())
	}
	if got := readAll(t, after, 7); len(got) != 1 || got[0].BaseOffset() != 0 {
		t.Errorf("offset 7, which compaction took: %d batches", len(got))
	}
}

// A read from the middle of a batch gives the whole batch.
func TestTrapReadFromTheMiddleOfABatch(t *testing.T) {
	l := openLog(t, testOptions(vfs.NewMem(), topicConfig()))
	mustAppend(t, l, batch(t, 5, 10, 1000))
	mustAppend(t, l, batch(t, 5, 10, 1000))
	if got := readAll(t, l, 3); len(got) != 2 || got[0].BaseOffset() != 0 {
		t.Errorf("from 3: %d batches", len(got))
	}
	if got := readAll(t, l, 5); len(got) != 1 || got[0].BaseOffset() != 5 {
		t.Errorf("from 5: %d batches", len(got))
	}
}

func smallIndexed() *config.Topic {
	return with(func(c *config.Topic) { c.IndexIntervalBytes = 100 })
}

// A broker that was killed leaves its active index preallocated with zeros: they are not entries.
func TestTrapZeroPaddedIndexAfterAKill(t *testing.T) {
	fs := vfs.NewMem()
	o := testOptions(fs, smallIndexed())
	l := openLog(t, o)
	for i := range int64(20) {
		mustAppend(t, l, batch(t, 1, 100, i))
	}
	fs = killed(fs)
	for _, suffix := range []string{indexSuffix, timeSuffix} {
		name := o.Dir + "/" + offsetName(0, suffix)
		b, err := vfs.ReadFile(fs, name, 11<<20)
		must(t, err)
		must(t, vfs.WriteFile(fs, name, append(b, make([]byte, 1200)...), false))
	}
	o.FS = fs
	after := openLog(t, o)
	for offset := range int64(20) {
		if got := readAll(t, after, offset); len(got) != 20-int(offset) || got[0].BaseOffset() != offset {
			t.Fatalf("from %d: %d batches", offset, len(got))
		}
	}
	if info := mustAppend(t, after, batch(t, 1, 100, 20)); info.FirstOffset != 20 {
		t.Errorf("next append at %d", info.FirstOffset)
	}
}

// After a clean close the indexes end at their last entry, and the time index has one for the last record: Apache takes
// zeros for entries, and finds times and retention by the last one.
func TestTrapIndexesOfACleanClose(t *testing.T) {
	fs := vfs.NewMem()
	o := testOptions(fs, smallIndexed())
	l := openLog(t, o)
	for i := range int64(20) {
		mustAppend(t, l, batch(t, 1, 100, 1000+i))
	}
	must(t, l.Close())
	offsets, err := vfs.ReadFile(fs, o.Dir+"/"+offsetName(0, indexSuffix), 11<<20)
	must(t, err)
	times, err := vfs.ReadFile(fs, o.Dir+"/"+offsetName(0, timeSuffix), 11<<20)
	must(t, err)
	if n := len(offsets); n == 0 || n%8 != 0 || binary.BigEndian.Uint64(offsets[n-8:]) == 0 {
		t.Errorf("offset index of %d bytes", n)
	}
	if n := len(times); n == 0 || n%12 != 0 || binary.BigEndian.Uint64(times[n-12:]) != 1019 || binary.BigEndian.Uint32(times[n-4:]) != 19 {
		t.Errorf("time index of %d bytes, last entry %x", n, times[max(0, n-12):])
	}
}

// Recovery begins at the segment that holds the recovery point: a batch that is broken there goes, and all behind it.
func TestTrapRecoveryBeginsAtTheSegmentOfTheRecoveryPoint(t *testing.T) {
	fs := vfs.NewMem()
	o := testOptions(fs, topicConfig())
	l := openLog(t, o)
	for i := range int64(10) {
		mustAppend(t, l, batch(t, 1, 100, i))
	}
	size := l.SizeBytes() / 10
	fs = killed(fs)
	name := o.Dir + "/" + offsetName(0, ".log")
	b, err := vfs.ReadFile(fs, name, 1<<20)
	must(t, err)
	b[7*size+80] ^= 1
	must(t, vfs.WriteFile(fs, name, b, false))
	o.FS, o.RecoveryPoint = fs, 5
	if after := openLog(t, o); after.LogEndOffset() != 7 || after.SizeBytes() != 7*size {
		t.Errorf("ends at %d with %d bytes, want 7 with %d", after.LogEndOffset(), after.SizeBytes(), 7*size)
	}
}

// Compaction leaves segments of zero bytes in the middle of a log, and segments whose first batch is above their name.
func TestTrapEmptySegmentInTheMiddle(t *testing.T) {
	fs := vfs.NewMem()
	o := testOptions(fs, with(func(c *config.Topic) { c.SegmentBytes = 600 }))
	l := openLog(t, o)
	for i := range int64(12) {
		mustAppend(t, l, batch(t, 1, 200, i))
	}
	segments := *l.segs.Load()
	if len(segments) < 4 {
		t.Fatalf("%d segments", len(segments))
	}
	empty, next := segments[1].base, segments[2].base
	must(t, l.Close())
	for _, suffix := range []string{".log", indexSuffix, timeSuffix} {
		must(t, vfs.WriteFile(fs, o.Dir+"/"+offsetName(empty, suffix), nil, false))
	}
	for _, clean := range []bool{true, false} {
		o.FS, o.CleanShutdown = fs.CrashClone(vfs.CrashOptions{KeepUnsynced: true}), clean
		o.RecoveryPoint = l.RecoveryPoint()
		after := openLog(t, o)
		if got := readAll(t, after, empty); len(got) == 0 || got[0].BaseOffset() != next || after.LogEndOffset() != 12 {
			t.Errorf("clean=%v: %d batches from the gap, end %d", clean, len(got), after.LogEndOffset())
		}
	}
}

// A fresh Apache directory has checkpoint files without a byte in them.
func TestTrapEmptyCheckpointFile(t *testing.T) {
	fs := vfs.NewMem()
	must(t, fs.MkdirAll("/data", 0o755))
	must(t, vfs.WriteFile(fs, "/data/recovery-point-offset-checkpoint", nil, false))
	if got, err := ReadOffsets(fs, "/data/recovery-point-offset-checkpoint"); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
}

// The partition is behind the last dash of a directory's name.
func TestTrapTopicsWithDashes(t *testing.T) {
	tp, suffix, err := ParseDirName("a-b-10-3")
	if err != nil || suffix != "" || tp.Topic != "a-b-10" || tp.Partition != 3 {
		t.Errorf("%v %q %v", tp, suffix, err)
	}
}

// A batch is a duplicate if its range of sequences is that of a known one. One that only overlaps was never written: to
// answer success would lose it.
func TestTrapOverlapIsNoDuplicate(t *testing.T) {
	l := openLog(t, testOptions(vfs.NewMem(), topicConfig()))
	sequences := func(from, n int) []byte {
		spec := record.NewBatchSpec()
		spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence = 7, 0, int32(from)
		return specBatch(t, spec, n, 10, 1000)
	}
	mustAppend(t, l, sequences(0, 10))
	for _, b := range [][]byte{sequences(0, 5), sequences(5, 5), sequences(5, 10)} {
		if info, err := l.AppendAsLeader(b, AppendOptions{}); !errors.Is(err, kerr.OutOfOrderSequenceNumber) {
			t.Errorf("%+v, %v", info, err)
		}
	}
	if info := mustAppend(t, l, sequences(0, 10)); !info.Duplicate || info.FirstOffset != 0 || l.LogEndOffset() != 10 {
		t.Errorf("%+v, end %d", info, l.LogEndOffset())
	}
}

// A producer that the log does not know may begin with any sequence: retention took its records.
func TestTrapUnknownProducerBeginsAnywhere(t *testing.T) {
	l := openLog(t, testOptions(vfs.NewMem(), topicConfig()))
	if info := mustAppend(t, l, idempotent(t, 4711)); info.FirstOffset != 0 {
		t.Errorf("%+v", info)
	}
}

// Truncation takes the snapshots above it along: what they know was cut off, and a batch that comes again is new.
func TestTrapSnapshotAboveTheTruncationPoint(t *testing.T) {
	fs := vfs.NewMem()
	o := testOptions(fs, topicConfig())
	l := openLog(t, o)
	for seq := range int32(4) {
		mustAppend(t, l, idempotent(t, seq))
		must(t, l.Roll())
	}
	if _, err := l.TruncateTo(2); err != nil {
		t.Fatal(err)
	}
	for _, n := range names(t, fs, o.Dir, ".snapshot") {
		if n == "3.snapshot" || n == "4.snapshot" {
			t.Errorf("%s is still there", n)
		}
	}
	o.FS = killed(fs)
	for _, log := range []*Log{l, openLog(t, o)} {
		if info := mustAppend(t, log, idempotent(t, 2)); info.Duplicate || info.FirstOffset != 2 {
			t.Errorf("%+v", info)
		}
	}
}
