package logstore

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/config"
	"gokafka/internal/vfs"
	"gokafka/record"
)

// flipLog is a log with several segments, leader epochs, producers, and committed, aborted and open transactions, in two states: shut down cleanly, and
// killed.
type flipLog struct {
	clean, killed *vfs.Mem
	opts          Options
	batches       []record.Batch
	times         []TimestampOffset      // by asking for each batch's largest timestamp
	maxTime       TimestampOffset        // the largest of all
	aborted       map[int64][]AbortedTxn // by the offset that is read
	producers     string
}

func newFlipLog(t *testing.T) *flipLog {
	t.Helper()
	mem := vfs.NewMem()
	f := &flipLog{opts: testOptions(mem, with(func(c *config.Topic) { c.SegmentBytes, c.IndexIntervalBytes = 1300, 150 })), aborted: map[int64][]AbortedTxn{}}
	l := openLog(t, f.opts)
	put := func(payload []byte, epoch int32, origin record.Origin) {
		t.Helper()
		_, err := l.AppendAsLeader(payload, AppendOptions{LeaderEpoch: epoch, Origin: origin})
		must(t, err)
	}
	seqs := map[int64]int32{}
	data := func(pid int64, txn bool, ts int64, epoch int32) {
		spec := record.NewBatchSpec()
		spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence, spec.Transactional = pid, 0, seqs[pid], txn
		seqs[pid] += 2
		put(specBatch(t, spec, 2, 20, ts), epoch, record.Client)
	}
	now := f.opts.Clock.NowMs()
	for i := range int64(8) {
		epoch := int32(i / 3)
		ts := now + 100*i
		data(1, true, ts, epoch)
		put(batch(t, 3, 30, ts+10), epoch, record.Client)
		data(2, true, ts-150, epoch) // older than what is there
		kind := record.ControlAbort
		if i%3 == 1 {
			kind = record.ControlCommit
		}
		end := func(pid int64, kind record.ControlType) {
			b, err := record.AppendEndTxnMarker(nil, record.MarkerSpec{ProducerID: pid, Type: kind, TimestampMs: ts})
			must(t, err)
			put(b, epoch, record.Coordinator)
		}
		end(1, kind)
		if i%2 == 0 {
			end(2, record.ControlAbort)
		}
		data(3, false, ts+50, epoch)
	}
	l.UpdateHighWatermark(l.LogEndOffset())
	f.batches = readAll(t, l, 0)
	f.killed = killed(mem)
	must(t, l.Close())
	f.clean = mem
	want := f.open(t, f.clean.CrashClone(vfs.CrashOptions{KeepUnsynced: true}), true)
	for _, b := range f.batches {
		found, ok, err := want.OffsetForTimestamp(b.MaxTimestamp())
		if err != nil || !ok {
			t.Fatalf("%v %v", ok, err)
		}
		f.times = append(f.times, found)
		aborted, last := f.abortedOf(t, want, b.BaseOffset())
		f.aborted[b.BaseOffset()] = slices.DeleteFunc(aborted, func(a AbortedTxn) bool { return a.FirstOffset > last })
	}
	f.maxTime, _, _ = want.OffsetForTimestamp(MaxTimestamp)
	f.producers = fmt.Sprint(want.ActiveProducers())
	if want.SegmentCount() < 4 || len(names(t, mem, f.opts.Dir, txnSuffix)) < 2 || len(names(t, mem, f.opts.Dir, snapshotSuffix)) < 4 {
		t.Fatalf("%d segments, files %v", want.SegmentCount(), names(t, mem, f.opts.Dir, ""))
	}
	return f
}

func (f *flipLog) open(t *testing.T, mem *vfs.Mem, clean bool) *Log {
	t.Helper()
	o := f.opts
	o.FS, o.CleanShutdown = mem, clean
	l, err := Open(o)
	if err != nil {
		if strings.Contains(err.Error(), "panic") {
			t.Fatal(err)
		}
		return nil
	}
	t.Cleanup(func() { l.Close() })
	l.UpdateHighWatermark(l.LogEndOffset())
	return l
}

// abortedOf is what a read_committed consumer is told that reads at offset, and the last offset it gets.
func (f *flipLog) abortedOf(t *testing.T, l *Log, offset int64) (aborted []AbortedTxn, last int64) {
	t.Helper()
	res, err := l.Read(offset, 400, TxnCommitted, true)
	if err != nil {
		return nil, -1
	}
	buf := make([]byte, res.Range.Len)
	must(t, res.Range.CopyTo(buf))
	res.Range.Release()
	for last = -1; len(buf) > 0; {
		b, rest, err := record.Next(buf)
		if err != nil {
			return res.Aborted, last
		}
		last, buf = b.LastOffset(), rest
	}
	return res.Aborted, last
}

// damages are the ways to damage a file: each byte with one bit flipped (each bit of the first 100 bytes in turn), runs of zeros, and cuts.
func damages(content []byte, step int) (list []string, apply func(i int) []byte) {
	type damage struct{ kind, at, n int }
	var all []damage
	for i := 0; i < len(content); i += step {
		for bit := range 8 {
			if i < 70 || bit == i%8 {
				all = append(all, damage{0, i, bit})
			}
		}
		if i%5 == 0 {
			all = append(all, damage{1, i, 1 + i%40}, damage{2, i, 0})
		}
	}
	for _, d := range all {
		list = append(list, fmt.Sprintf([]string{"bit %[2]d of byte %[1]d", "%[2]d zeros at %[1]d", "cut at %[1]d%[3]s"}[d.kind]+"%[3]s", d.at, d.n, ""))
	}
	return list, func(i int) []byte {
		b, d := slices.Clone(content), all[i]
		switch d.kind {
		case 0:
			b[d.at] ^= 1 << d.n
		case 1:
			clear(b[d.at:min(len(b), d.at+d.n)])
		default:
			b = b[:d.at]
		}
		return b
	}
}

// eachDamage calls check with a copy of the file system for each damage of each file with a suffix.
func eachDamage(t *testing.T, mem *vfs.Mem, dir, suffix string, check func(t *testing.T, what, file string, mem *vfs.Mem)) {
	t.Helper()
	step := 11
	switch {
	case os.Getenv("GOKAFKA_CRASH_SEEDS") != "":
		step = 1
	case testing.Short():
		step = 31
	}
	entries, err := mem.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), suffix) {
			continue
		}
		content, err := vfs.ReadFile(mem, dir+"/"+e.Name(), 1<<20)
		must(t, err)
		list, apply := damages(content, step)
		for i, what := range list {
			damaged := apply(i)
			if bytes.Equal(damaged, content) {
				continue
			}
			after := killed(mem)
			must(t, vfs.WriteFile(after, dir+"/"+e.Name(), damaged, false))
			var before, now runtime.MemStats
			runtime.ReadMemStats(&before)
			check(t, e.Name()+": "+what, e.Name(), after)
			if runtime.ReadMemStats(&now); now.TotalAlloc-before.TotalAlloc > 64<<20 {
				t.Errorf("%s: %s: %d bytes were allocated", e.Name(), what, now.TotalAlloc-before.TotalAlloc)
			}
			if t.Failed() {
				t.FailNow()
			}
		}
	}
}

// checkedRead reads what a client that checks CRCs takes for good: batches, until one is not.
func checkedRead(t *testing.T, what string, l *Log, offset int64) []record.Batch {
	t.Helper()
	var out []record.Batch
	for range 1000 {
		res, err := l.Read(offset, 400, LogEnd, true)
		if err != nil {
			if !errors.Is(err, kerr.CorruptMessage) && !errors.Is(err, kerr.OffsetOutOfRange) {
				t.Fatalf("%s: read at %d: %v", what, offset, err)
			}
			return out
		}
		if res.Range.Len == 0 {
			return out
		}
		buf := make([]byte, res.Range.Len)
		err = res.Range.CopyTo(buf)
		res.Range.Release()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		for len(buf) > 0 {
			b, rest, err := record.Next(buf)
			if err != nil || b.CRC() != b.ComputeCRC() {
				return out
			}
			if b.LastOffset() < offset {
				return out // a client would stop, too: its position must move
			}
			out = append(out, b)
			offset, buf = b.NextOffset(), rest
		}
	}
	t.Fatalf("%s: reading does not end", what)
	return nil
}

// uncovered are the fields in front of the CRC's range.
const uncovered = 21

// prefix checks that batches are the first ones of the log, as far as checksums tell, and returns how many.
func (f *flipLog) prefix(t *testing.T, what string, got []record.Batch) int {
	t.Helper()
	for i, b := range got {
		if i >= len(f.batches) || !bytes.Equal(b[uncovered:], f.batches[i][uncovered:]) {
			t.Fatalf("%s: batch %d (offset %d) is not what was written", what, i, b.BaseOffset())
		}
	}
	return len(got)
}

// at is the index of the batch at a position of a segment.
func (f *flipLog) at(file string, pos int) int {
	base, _, _ := parseOffsetName(file)
	for i, b := range f.batches {
		if b.BaseOffset() < base {
			continue
		}
		if pos -= len(b); pos < 0 {
			return i
		}
	}
	return len(f.batches)
}

// TestDamagedLogIsRecovered damages segments of a killed broker: recovery finds all that a checksum or the order of offsets can tell, keeps what is
// before, and the log goes on.
func TestDamagedLogIsRecovered(t *testing.T) {
	f := newFlipLog(t)
	eachDamage(t, f.killed, f.opts.Dir, logSuffix, func(t *testing.T, what, file string, mem *vfs.Mem) {
		l := f.open(t, mem, false)
		if l == nil {
			t.Fatalf("%s: not opened", what)
		}
		got := readAll(t, l, 0) // fails on what is no batch
		n := f.prefix(t, what, got)
		var pos int
		fmt.Sscanf(what[strings.LastIndexAny(what, " ")+1:], "%d", &pos)
		damaged := f.at(file, pos)
		if n < damaged {
			t.Fatalf("%s: %d batches left, the damage is in %d", what, n, damaged)
		}
		for i, b := range got {
			// The offset of the log's very last batch has no witness.
			if b.BaseOffset() != f.batches[i].BaseOffset() && damaged != len(f.batches)-1 {
				t.Fatalf("%s: batch %d has offset %d, want %d", what, i, b.BaseOffset(), f.batches[i].BaseOffset())
			}
		}
		end := l.LogEndOffset()
		if info, err := l.AppendAsLeader(batch(t, 1, 10, 5), AppendOptions{LeaderEpoch: 1 << 30}); err != nil || info.FirstOffset != end {
			t.Fatalf("%s: append at %d: %+v %v", what, end, info, err)
		}
		for i := range min(n, damaged) {
			f.checkTime(t, what, l, i)
		}
		must(t, l.Close())
	})
}

func (f *flipLog) checkTime(t *testing.T, what string, l *Log, i int) {
	t.Helper()
	got, ok, err := l.OffsetForTimestamp(f.batches[i].MaxTimestamp())
	want := f.times[i]
	if err != nil || !ok || got.Offset != want.Offset || got.Timestamp != want.Timestamp {
		t.Fatalf("%s: timestamp %d: %+v %v %v, want %+v", what, f.batches[i].MaxTimestamp(), got, ok, err, want)
	}
}

// TestDamagedIndexesAreRecovered damages indexes and snapshots of a killed broker: nothing of it is left after recovery.
func TestDamagedIndexesAreRecovered(t *testing.T) {
	f := newFlipLog(t)
	for _, suffix := range []string{indexSuffix, timeSuffix, txnSuffix, snapshotSuffix} {
		eachDamage(t, f.killed, f.opts.Dir, suffix, func(t *testing.T, what, _ string, mem *vfs.Mem) {
			l := f.open(t, mem, false)
			if l == nil {
				t.Fatalf("%s: not opened", what)
			}
			f.same(t, what, l)
			must(t, l.Close())
		})
	}
}

// same checks that a log answers all questions as the undamaged one.
func (f *flipLog) same(t *testing.T, what string, l *Log) {
	t.Helper()
	if n := f.prefix(t, what, checkedRead(t, what, l, 0)); n != len(f.batches) {
		t.Fatalf("%s: %d of %d batches", what, n, len(f.batches))
	}
	for i, b := range f.batches {
		res, err := l.Read(b.LastOffset(), 1, LogEnd, true)
		if err != nil || res.Range.Len != len(b) {
			t.Fatalf("%s: read of offset %d: %d bytes, want %d: %v", what, b.LastOffset(), res.Range.Len, len(b), err)
		}
		got := make([]byte, res.Range.Len)
		must(t, res.Range.CopyTo(got))
		res.Range.Release()
		if !bytes.Equal(got, b) {
			t.Fatalf("%s: read of offset %d gives another batch", what, b.LastOffset())
		}
		f.checkTime(t, what, l, i)
		aborted, last := f.abortedOf(t, l, b.BaseOffset())
		for _, a := range f.aborted[b.BaseOffset()] {
			if !slices.Contains(aborted, a) {
				t.Fatalf("%s: reading %d does not tell of %+v: %v", what, b.BaseOffset(), a, aborted)
			}
		}
		aborted = slices.DeleteFunc(aborted, func(a AbortedTxn) bool { return a.FirstOffset > last })
		if len(aborted) != len(f.aborted[b.BaseOffset()]) {
			t.Fatalf("%s: reading %d tells of %v, want %v", what, b.BaseOffset(), aborted, f.aborted[b.BaseOffset()])
		}
	}
	if found, ok, err := l.OffsetForTimestamp(MaxTimestamp); err != nil || !ok || found != f.maxTime {
		t.Fatalf("%s: largest timestamp %+v %v %v, want %+v", what, found, ok, err, f.maxTime)
	}
	if got := fmt.Sprint(l.ActiveProducers()); got != f.producers {
		t.Fatalf("%s: producers\n%s, want\n%s", what, got, f.producers)
	}
}

// TestDamagedIndexesOfACleanLog damages indexes of a broker that was shut down: none is read whole at start, but what is answered by them is checked.
func TestDamagedIndexesOfACleanLog(t *testing.T) {
	f := newFlipLog(t)
	for _, suffix := range []string{indexSuffix, timeSuffix} {
		eachDamage(t, f.clean, f.opts.Dir, suffix, func(t *testing.T, what, _ string, mem *vfs.Mem) {
			l := f.open(t, mem, true)
			if l == nil {
				t.Fatalf("%s: not opened", what)
			}
			f.same(t, what, l)
			must(t, l.Close())
		})
	}
}

// TestDamagedCleanLog damages what is not looked at when a log is loaded that was shut down cleanly: clients see the damage by the checksum, or as an
// error; nothing crashes, and nothing else is lost.
func TestDamagedCleanLog(t *testing.T) {
	f := newFlipLog(t)
	for _, suffix := range []string{logSuffix, txnSuffix, snapshotSuffix} {
		eachDamage(t, f.clean, f.opts.Dir, suffix, func(t *testing.T, what, file string, mem *vfs.Mem) {
			l := f.open(t, mem, true)
			if l == nil {
				if suffix != logSuffix {
					t.Fatalf("%s: not opened", what)
				}
				return // the end of the log cannot be told: offline, as in Kafka
			}
			for i := 0; i < len(f.batches); i += 1 + i/2 {
				b := f.batches[i]
				for _, got := range checkedRead(t, what, l, b.BaseOffset()) {
					i := slices.IndexFunc(f.batches, func(b record.Batch) bool { return bytes.Equal(b[uncovered:], got[uncovered:]) })
					if i < 0 {
						t.Fatalf("%s: batch at %d is not what was written", what, got.BaseOffset())
					}
				}
				found, ok, err := l.OffsetForTimestamp(b.MaxTimestamp())
				if ok && err == nil && !slices.ContainsFunc(f.batches, func(b record.Batch) bool {
					return b.BaseTimestamp() <= found.Timestamp && found.Timestamp <= b.MaxTimestamp()
				}) {
					t.Fatalf("%s: a record with timestamp %d was found at %d", what, found.Timestamp, found.Offset)
				}
				f.abortedOf(t, l, b.BaseOffset())
			}
			l.OffsetForTimestamp(MaxTimestamp)
			if suffix == snapshotSuffix {
				f.same(t, what, l)
			}
			l.Close()
		})
	}
}

// TestDamagedSmallFiles damages the files of leader epochs and of the topic id: the log does not open, or it has all its records.
func TestDamagedSmallFiles(t *testing.T) {
	f := newFlipLog(t)
	for _, state := range []struct {
		mem   *vfs.Mem
		clean bool
	}{{f.clean, true}, {f.killed, false}} {
		for _, file := range []string{epochFile, metadataFile} {
			eachDamage(t, state.mem, f.opts.Dir, file, func(t *testing.T, what, _ string, mem *vfs.Mem) {
				if l := f.open(t, mem, state.clean); l != nil {
					if n := f.prefix(t, what, checkedRead(t, what, l, 0)); n != len(f.batches) {
						t.Fatalf("%s: %d of %d batches", what, n, len(f.batches))
					}
					must(t, l.Close())
				}
			})
		}
	}
}

// TestActiveIndexOutOfOrder: entries in the middle of an index that goes on growing are damaged: it is made anew before Kafka sees it.
func TestActiveIndexOutOfOrder(t *testing.T) {
	for _, suffix := range []string{indexSuffix, timeSuffix} {
		mem := vfs.NewMem()
		o := testOptions(mem, smallIndexed())
		l := openLog(t, o)
		for i := range int64(20) {
			mustAppend(t, l, batch(t, 1, 100, 1000+i))
		}
		must(t, l.Close())
		name := o.Dir + "/" + offsetName(0, suffix)
		b, err := vfs.ReadFile(mem, name, 1<<20)
		must(t, err)
		size := map[string]int{indexSuffix: offsetEntryBytes, timeSuffix: timeEntryBytes}[suffix]
		b[2*size+1] ^= 0x40 // the third entry's offset, or timestamp
		must(t, vfs.WriteFile(mem, name, b, false))
		o.CleanShutdown, o.RecoveryPoint = true, 20
		l = openLog(t, o)
		for i := range int64(5) {
			mustAppend(t, l, batch(t, 1, 100, 1020+i))
		}
		must(t, l.Close())
		b, err = vfs.ReadFile(mem, name, 1<<20)
		must(t, err)
		for last := []byte{}; len(b) > 0; b = b[size:] {
			if bytes.Compare(b[:size], last) <= 0 {
				t.Fatalf("%s: %x follows %x", suffix, b[:size], last)
			}
			last = b[:size]
		}
	}
}
