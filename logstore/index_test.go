package logstore

import (
	"testing"

	"pgregory.net/rapid"

	"gokafka/internal/vfs"
)

// TestIndexLookup compares lookups with a list, while the index is in memory and after it was sealed.
func TestIndexLookup(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		const base = 1000
		mem := vfs.NewMem()
		path := func() string { return "/i" }
		x, err := newOffsetIndex(&env{fs: mem, buffers: new(Buffers), files: NewFiles(100)}, path, base, 1<<20, false)
		must(t, err)
		type entry struct{ offset, pos int64 }
		var list []entry
		o, p := int64(base), int64(0)
		for range rapid.SampledFrom([]int{0, 1, 2, 10, 511, 512, 513, 1200}).Draw(t, "entries") {
			o += rapid.Int64Range(1, 5).Draw(t, "o")
			p += rapid.Int64Range(1, 9000).Draw(t, "p")
			if !x.add(o, p) {
				t.Fatal("not added")
			}
			list = append(list, entry{o, p})
		}
		if len(list) > 0 && x.add(o, p+1) {
			t.Fatal("an offset was added twice")
		}
		check := func() {
			for range 20 {
				target := rapid.Int64Range(base-2, o+3).Draw(t, "target")
				want, wantAbove := entry{base, 0}, entry{}
				position := rapid.Int64Range(0, p+10).Draw(t, "position")
				atPosition := entry{base, 0}
				for _, e := range list {
					if e.offset <= target {
						want = e
					}
					if e.pos <= position {
						atPosition = e
					}
					if wantAbove == (entry{}) && e.pos >= position {
						wantAbove = e
					}
				}
				o, p, err := x.lookup(target)
				if err != nil || o != want.offset || p != want.pos {
					t.Fatalf("lookup %d: %d %d %v, want %v", target, o, p, err, want)
				}
				o, p, err = x.lookupPosition(position)
				if err != nil || o != atPosition.offset || p != atPosition.pos {
					t.Fatalf("lookup of position %d: %d %d %v, want %v", position, o, p, err, atPosition)
				}
				o, _, ok, err := x.entryAbove(position)
				if err != nil || ok != (wantAbove != entry{}) || o != wantAbove.offset {
					t.Fatalf("first above position %d: %d %v %v, want %v", position, o, ok, err, wantAbove)
				}
			}
		}
		check()
		must(t, x.seal())
		check()
		must(t, x.activate(1<<20))
		cut := rapid.Int64Range(base, o+2).Draw(t, "cut")
		must(t, x.cut(cut))
		for len(list) > 0 && list[len(list)-1].offset >= cut {
			list = list[:len(list)-1]
		}
		check()
		must(t, x.write())
		if st, err := mem.Stat("/i"); err != nil || st.Size() != int64(len(list)*offsetEntryBytes) {
			t.Fatalf("file of %d bytes for %d entries: %v", st.Size(), len(list), err)
		}
	})
}

// FuzzDirectory opens a directory whose files hold arbitrary bytes, without and with a clean shutdown, and uses the log.
// Nothing may panic, nor be read beyond the log end.
func FuzzDirectory(f *testing.F) {
	mem := vfs.NewMem()
	l := openLog(f, testOptions(mem, topicConfig()))
	for i := range int64(5) {
		mustAppend(f, l, batch(f, 2, 10, i))
	}
	must(f, l.Close())
	read := func(name string) []byte {
		b, err := vfs.ReadFile(mem, l.Dir()+"/"+name, 1<<20)
		must(f, err)
		return b
	}
	log, index, times := read(offsetName(0, logSuffix)), read(offsetName(0, indexSuffix)), read(offsetName(0, timeSuffix))
	f.Add(log, index, times, []byte{}, []byte{}, read(epochFile), true)
	f.Add(log[:len(log)-3], index, times, []byte{}, []byte{}, []byte("0\n1\n0 0\n"), false)
	f.Add(append(log, make([]byte, 500)...), []byte{0, 0, 0, 1, 0x7f, 0xff, 0xff, 0xff}, times, make([]byte, 34), read(offsetName(10, snapshotSuffix)), []byte("0\n2\n5 9\n4 4\n"), true)
	f.Fuzz(func(t *testing.T, log, index, times, txns, snapshot, epochs []byte, clean bool) {
		mem := vfs.NewMem()
		o := testOptions(mem, topicConfig())
		o.CleanShutdown = clean
		must(t, mem.MkdirAll(o.Dir, 0o755))
		for name, b := range map[string][]byte{offsetName(0, logSuffix): log, offsetName(0, indexSuffix): index, offsetName(0, timeSuffix): times,
			offsetName(0, txnSuffix): txns, offsetName(7, snapshotSuffix): snapshot, epochFile: epochs} {
			must(t, vfs.WriteFile(mem, o.Dir+"/"+name, b, false))
		}
		l, err := Open(o)
		if err != nil {
			return
		}
		defer l.Close()
		end := l.LogEndOffset()
		for _, offset := range []int64{l.LogStartOffset(), end / 2, end} {
			res, err := l.Read(offset, 200, LogEnd, true)
			if err == nil && res.Range.Len > 0 {
				if res.Range.Pos+int64(res.Range.Len) > l.SizeBytes() {
					t.Fatalf("range %d+%d of a log of %d bytes", res.Range.Pos, res.Range.Len, l.SizeBytes())
				}
				res.Range.Release()
			}
		}
		l.OffsetForTimestamp(1)
		l.OffsetForTimestamp(MaxTimestamp)
		if info, err := l.AppendAsLeader(batch(t, 1, 1, 1), AppendOptions{}); err == nil && info.FirstOffset != end {
			t.Fatalf("append at %d, the log ended at %d", info.FirstOffset, end)
		}
		if _, err := l.TruncateTo(max(0, end-1)); err == nil && l.LogEndOffset() > end {
			t.Fatalf("log end %d after a truncation to %d", l.LogEndOffset(), end-1)
		}
	})
}

func FuzzCheckpoint(f *testing.F) {
	f.Add([]byte("0\n1\na 0 5\n"))
	f.Add([]byte(""))
	f.Add([]byte("0\n-1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		mem := vfs.NewMem()
		must(t, vfs.WriteFile(mem, "/c", b, false))
		offsets, err := ReadOffsets(mem, "/c")
		if err != nil {
			return
		}
		must(t, WriteOffsets(mem, "/c", offsets))
		again, err := ReadOffsets(mem, "/c")
		if err != nil || len(again) != len(offsets) {
			t.Fatalf("%v %v, want %v", again, err, offsets)
		}
	})
}
