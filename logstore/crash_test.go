package logstore

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"

	"gokafka/config"
	"gokafka/internal/vfs"
	"gokafka/record"
)

// seeds is how many histories a randomized test runs: GOKAFKA_CRASH_SEEDS, or def.
func seeds(t *testing.T, def int) uint64 {
	if s := os.Getenv("GOKAFKA_CRASH_SEEDS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return uint64(n)
	}
	if testing.Short() {
		def /= 5
	}
	return uint64(def)
}

// crasher runs a random history on a log and cuts the power before a random call to the file system.
type crasher struct {
	t   *testing.T
	rng *rand.Rand
	mem *vfs.Mem
	log *Log
	end int64

	mu         sync.Mutex
	callsLeft  int
	after      *vfs.Mem
	options    vfs.CrashOptions
	written    map[int64][]string // by base offset, all batches ever given to the log there
	checkpoint int64              // recovery point in the checkpoint file
	flushed    int64              // recovery point at the crash
	crashPoint int64              // checkpoint at the crash
	truncates  bool
	bases      []int64 // of the batches in the log
}

// hook is called before each call; it may be called by the goroutine that flushes too.
func (c *crasher) hook(vfs.Op) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.callsLeft--; c.callsLeft == 0 {
		c.crash()
	}
	return nil
}

func (c *crasher) crash() {
	if c.log != nil {
		c.flushed = c.log.RecoveryPoint() // before the clone: what is flushed later counts too, but need not
	}
	c.crashPoint = c.checkpoint
	c.after = c.mem.CrashClone(c.options)
}

func (c *crasher) append() {
	n := 1 + c.rng.IntN(3)
	payload := batch(c.t, n, c.rng.IntN(1500), 1000+c.end)
	want := record.Batch(append([]byte(nil), payload...))
	want.SetBaseOffset(c.end)
	want.SetLeaderEpoch(1)
	c.mu.Lock()
	c.written[c.end] = append(c.written[c.end], string(want))
	c.mu.Unlock()
	info, err := c.log.AppendAsLeader(payload, AppendOptions{LeaderEpoch: 1})
	if err != nil {
		c.t.Fatal(err)
	}
	c.bases = append(c.bases, info.FirstOffset)
	c.end = info.LastOffset + 1
}

func (c *crasher) takeCheckpoint(l *Log) error {
	rp := l.CheckpointRecoveryPoint()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.checkpoint = rp
	return nil
}

func (c *crasher) step() {
	var err error
	switch k := c.rng.IntN(20); {
	case k < 12:
		c.append()
	case k < 14:
		err = c.log.Flush(c.rng.IntN(2) == 0)
	case k < 16:
		err = c.log.Roll()
	case k < 18:
		err = c.takeCheckpoint(c.log)
	case c.truncates:
		// At a batch, as the start of a leader epoch is: truncation within one would leave a gap.
		if k := c.rng.IntN(len(c.bases) + 1); k < len(c.bases) {
			_, err = c.log.TruncateTo(c.bases[k])
			c.end, c.bases = c.bases[k], c.bases[:k]
		}
	}
	if err != nil {
		c.t.Fatal(err)
	}
}

func TestCrash(t *testing.T) {
	for seed := range seeds(t, 60) {
		t.Run(strconv.FormatUint(seed, 10), func(t *testing.T) { crashOnce(t, seed) })
	}
}

func crashOnce(t *testing.T, seed uint64) {
	c := &crasher{t: t, rng: rand.New(rand.NewPCG(seed, 1)), mem: vfs.NewMem(), written: map[int64][]string{},
		options: vfs.CrashOptions{Seed: seed, LoseUnsynced: seed%7 == 0}, truncates: seed%2 == 0}
	c.callsLeft = 1 + c.rng.IntN(300)
	must(t, c.mem.MkdirAll("/data", 0o755))
	must(t, c.mem.SyncDir("/"))
	cfg := with(func(cfg *config.Topic) {
		cfg.SegmentBytes, cfg.IndexIntervalBytes = 8000, int32(c.rng.IntN(4000))
		if c.rng.IntN(4) == 0 {
			cfg.FlushMessages = 1
		}
	})
	o := testOptions(vfs.NewFaulty(c.mem, c.hook), cfg)
	o.OnRecoveryPointLowered = c.takeCheckpoint
	l := openLog(t, o)
	must(t, c.mem.SyncDir("/data")) // as the caller of Open does who makes a partition
	c.mu.Lock()
	c.log = l
	c.mu.Unlock()
	for range 100 {
		c.step()
		c.mu.Lock()
		crashed := c.after != nil
		c.mu.Unlock()
		if crashed {
			break
		}
	}
	c.mu.Lock()
	if c.after == nil {
		c.crash()
	}
	c.mu.Unlock()
	c.verify(cfg)
}

// verify opens what the crash left: all that was flushed is there, what follows is a run of whole batches that were written there, and the
// log can be used.
func (c *crasher) verify(cfg *config.Topic) {
	t := c.t
	o := testOptions(c.after, cfg)
	o.RecoveryPoint = c.crashPoint
	l, err := Open(o)
	if err != nil {
		t.Fatalf("open after the crash: %v", err)
	}
	if l.LogEndOffset() < c.flushed {
		t.Fatalf("log end %d, but everything below %d was flushed", l.LogEndOffset(), c.flushed)
	}
	c.compare(l)
	end := l.LogEndOffset()
	info := mustAppend(t, l, batch(t, 2, 10, 5000))
	if info.FirstOffset != end {
		t.Fatalf("append after the crash at %d, want %d", info.FirstOffset, end)
	}
	must(t, l.Close())
	o.CleanShutdown, o.RecoveryPoint = true, l.RecoveryPoint()
	l = openLog(t, o)
	if l.LogEndOffset() != end+2 {
		t.Fatalf("log end %d after a clean restart, want %d", l.LogEndOffset(), end+2)
	}
	found, ok, err := l.OffsetForTimestamp(5000)
	if err != nil || !ok || found.Offset != end {
		t.Fatalf("timestamp search after a restart: %+v %v %v, want %d", found, ok, err, end)
	}
}

func (c *crasher) compare(l *Log) {
	next := int64(0)
	for _, b := range readAll(c.t, l, 0) {
		known := false
		for _, w := range c.written[b.BaseOffset()] {
			known = known || w == string(b)
		}
		if b.BaseOffset() != next || !known {
			c.t.Fatalf("batch at %d, want %d; one that was written: %v", b.BaseOffset(), next, known)
		}
		next = b.NextOffset()
	}
	if next != l.LogEndOffset() {
		c.t.Fatalf("batches end at %d, the log at %d", next, l.LogEndOffset())
	}
	for offset := int64(0); offset < next; offset += 3 {
		if got := readAll(c.t, l, offset); len(got) == 0 || got[0].BaseOffset() > offset || got[0].LastOffset() < offset {
			c.t.Fatalf("read from %d finds %v", offset, fmt.Sprint(len(got)))
		}
	}
}
