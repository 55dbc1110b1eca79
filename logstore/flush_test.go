package logstore

import (
	"strings"
	"sync"
	"testing"

	"gokafka/config"
	"gokafka/internal/vfs"
)

// gate holds back syncs of segments while it is shut.
type gate struct {
	mu      sync.Mutex
	open    *sync.Cond
	shut    bool
	waiting int
}

func newGate() *gate {
	g := &gate{}
	g.open = sync.NewCond(&g.mu)
	return g
}

func (g *gate) hook(op vfs.Op) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if op.Kind == vfs.OpSync && strings.HasSuffix(op.Name, logSuffix) {
		g.waiting++
		g.open.Broadcast()
		for g.shut {
			g.open.Wait()
		}
		g.waiting--
	}
	return nil
}

func (g *gate) set(shut bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.shut = shut
	g.open.Broadcast()
}

// await returns when a sync is held back.
func (g *gate) await() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for g.waiting == 0 {
		g.open.Wait()
	}
}

// TestFlushOvertaken: while a flush syncs, the log is truncated and written anew. The sync says nothing about what is there now, and a
// flush that waits for its turn must not believe in the old end.
func TestFlushOvertaken(t *testing.T) {
	g := newGate()
	l := openLog(t, testOptions(vfs.NewFaulty(vfs.NewMem(), g.hook), with(func(c *config.Topic) { c.FileDeleteDelay = 0 })))
	for range 10 {
		mustAppend(t, l, batch(t, 1, 10, 1))
	}
	g.set(true)
	flushed := make(chan error)
	go func() { flushed <- l.Flush(false) }()
	g.await()
	must(t, l.Roll()) // its flush waits behind
	if _, err := l.TruncateTo(4); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, batch(t, 1, 10, 1))
	if rp := l.RecoveryPoint(); rp > 4 {
		t.Fatalf("recovery point %d after a truncation to 4", rp)
	}
	g.set(false)
	must(t, <-flushed)
	l.bg.Wait()
	if rp := l.RecoveryPoint(); rp > l.LogEndOffset() {
		t.Errorf("recovery point %d, log end %d", rp, l.LogEndOffset())
	}
}

// TestFlushOvertakenAlone is the same without another flush behind, which would sync what is there now.
func TestFlushOvertakenAlone(t *testing.T) {
	g := newGate()
	l := openLog(t, testOptions(vfs.NewFaulty(vfs.NewMem(), g.hook), topicConfig()))
	for range 10 {
		mustAppend(t, l, batch(t, 1, 10, 1))
	}
	g.set(true)
	flushed := make(chan error)
	go func() { flushed <- l.Flush(false) }()
	g.await()
	if _, err := l.TruncateTo(4); err != nil {
		t.Fatal(err)
	}
	for range 8 {
		mustAppend(t, l, batch(t, 1, 10, 1))
	}
	g.set(false)
	must(t, <-flushed)
	if rp := l.RecoveryPoint(); rp > 4 {
		t.Errorf("recovery point %d: nothing above 4 was synced since it was written", rp)
	}
}

// TestSecondFlushWaits: what one flush is still syncing is not yet flushed for another.
func TestSecondFlushWaits(t *testing.T) {
	g := newGate()
	fs := vfs.NewFaulty(vfs.NewMem(), g.hook)
	l := openLog(t, testOptions(fs, with(func(c *config.Topic) { c.FlushMessages = 1000 })))
	mustAppend(t, l, batch(t, 5, 10, 1))
	g.set(true)
	done := make(chan error, 2)
	go func() { done <- l.Flush(false) }()
	g.await()
	go func() { done <- l.Flush(true) }()
	if rp := l.RecoveryPoint(); rp != 0 || len(done) > 0 {
		t.Errorf("recovery point %d, %d flushes done, while the sync is held back", rp, len(done))
	}
	mustAppend(t, l, batch(t, 1, 10, 1)) // an append does not wait for a sync
	if _, err := l.Read(0, 10, LogEnd, true); err != nil {
		t.Error(err)
	}
	g.set(false)
	must(t, <-done)
	must(t, <-done)
	if rp := l.RecoveryPoint(); rp < 5 {
		t.Errorf("recovery point %d", rp)
	}
}

// TestFlushMessages: flush.messages=1 answers an append when it is on the disk.
func TestFlushMessages(t *testing.T) {
	mem := vfs.NewMem()
	o := testOptions(mem, with(func(c *config.Topic) { c.FlushMessages = 1 }))
	l := openLog(t, o)
	must(t, mem.SyncVolume("/"))
	for i := range 5 {
		mustAppend(t, l, batch(t, 1, 10, 1))
		o := o
		o.FS = mem.CrashClone(vfs.CrashOptions{Seed: uint64(i), LoseUnsynced: true})
		after := openLog(t, o)
		if after.LogEndOffset() != l.LogEndOffset() {
			t.Fatalf("log end %d after a power failure, %d was acknowledged", after.LogEndOffset(), l.LogEndOffset())
		}
	}
}

// TestIndexInterval: an entry is due when more than index.interval.bytes came before the append, not as many.
func TestIndexInterval(t *testing.T) {
	size := len(batch(t, 1, 100, 1))
	l := openLog(t, testOptions(vfs.NewMem(), with(func(c *config.Topic) { c.IndexIntervalBytes = int32(size) })))
	for i, want := range []int{0, 0, 1, 1, 2} {
		mustAppend(t, l, batch(t, 1, 100, 1))
		if got, err := l.active().offsets.entries(); got != want || err != nil {
			t.Errorf("%d entries after append %d, want %d", got, i+1, want)
		}
	}
}
