package logstore

import (
	"math/rand/v2"
	"syscall"
	"testing"

	"gokafka/config"
	"gokafka/internal/vfs"
)

// TestReserve: blocks are reserved ahead of a large segment without changing its length, and given back at roll and close.
func TestReserve(t *testing.T) {
	o := testOptions(vfs.OS(), with(func(c *config.Topic) { c.SegmentBytes = 16 << 20 }))
	o.Dir = t.TempDir() + "/t-0"
	l := openLog(t, o)
	blocks := func(base int64) (size, allocated int64) {
		var st syscall.Stat_t
		must(t, syscall.Stat(o.Dir+"/"+offsetName(base, logSuffix), &st))
		return st.Size, st.Blocks * 512
	}
	fill := func(until int64) {
		for l.active().size.Load() < until {
			mustAppend(t, l, batch(t, 1, 500000+rand.IntN(1000), 1))
		}
	}
	fill(5 << 20)
	size, allocated := blocks(0)
	if size != l.active().size.Load() {
		t.Fatalf("file of %d bytes, segment of %d", size, l.active().size.Load())
	}
	if allocated < size+2<<20 {
		t.Skipf("this file system does not reserve: %d bytes for %d", allocated, size)
	}
	must(t, l.Roll())
	if size, allocated := blocks(0); allocated > size+1<<20 {
		t.Errorf("after the roll: %d bytes for %d", allocated, size)
	}
	base := l.active().base
	fill(5 << 20)
	l.MarkOffline() // as a kill -9
	l.Close()
	if size, allocated := blocks(base); allocated < size+2<<20 {
		t.Errorf("not reserved: %d bytes for %d", allocated, size)
	}
	l = openLog(t, o)
	must(t, l.Close())
	if size, allocated := blocks(base); allocated > size+1<<20 {
		t.Errorf("after recovery and close: %d bytes for %d", allocated, size)
	}
}
