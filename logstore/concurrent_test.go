package logstore

import (
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/config"
	"gokafka/internal/vfs"
	"gokafka/record"
)

// TestConcurrentUse lets readers run while a log is appended to, rolled, flushed, truncated and shortened. What a reader gets is whole
// batches with good CRCs that follow each other, unless the range tells that a truncation broke it.
func TestConcurrentUse(t *testing.T) {
	rounds := 400
	if testing.Short() {
		rounds = 100
	}
	for name, fs := range map[string]vfs.FS{"mem": vfs.NewMem(), "os": vfs.OS()} {
		t.Run(name, func(t *testing.T) {
			o := testOptions(fs, with(func(c *config.Topic) { c.SegmentBytes, c.IndexIntervalBytes, c.FileDeleteDelay = 5000, 500, 0 }))
			if name == "os" {
				o.Dir = t.TempDir() + "/t-0"
			}
			o.OnIOError = func(err error) { t.Errorf("offline: %v", err) }
			l := openLog(t, o)
			var done atomic.Bool
			var wg sync.WaitGroup
			for i := range uint64(3) {
				wg.Go(func() {
					rng := rand.New(rand.NewPCG(i, 1))
					for !done.Load() {
						concurrentRead(t, l, rng)
					}
				})
			}
			wg.Go(func() {
				for !done.Load() {
					l.SizeBytes()
					l.Snapshot()
					l.EndOffsetForEpoch(1)
					if err := l.Flush(false); err != nil {
						t.Error(err)
						return
					}
				}
			})
			rng := rand.New(rand.NewPCG(9, 9))
			var high int64
			for i := range rounds {
				mustAppend(t, l, batch(t, 1+rng.IntN(3), rng.IntN(600), int64(i)))
				switch rng.IntN(10) {
				case 0:
					if _, err := l.TruncateTo(high + rng.Int64N(l.LogEndOffset()-high+1)); err != nil {
						t.Error(err)
					}
				case 1:
					if _, err := l.IncrementLogStartOffset(rng.Int64N(high + 1)); err != nil {
						t.Error(err)
					}
					if _, err := l.DeleteOldSegments(); err != nil {
						t.Error(err)
					}
				case 2, 3, 4:
					high = l.UpdateHighWatermark(l.LogEndOffset() - rng.Int64N(3))
				}
			}
			done.Store(true)
			wg.Wait()
		})
	}
}

func concurrentRead(t *testing.T, l *Log, rng *rand.Rand) {
	isolation := Isolation(rng.IntN(3))
	start, end := l.LogStartOffset(), l.LogEndOffset()
	offset := start + rng.Int64N(max(1, end-start))
	if rng.IntN(4) == 0 {
		if _, _, err := l.OffsetForTimestamp(rng.Int64N(400)); err != nil {
			t.Errorf("timestamp: %v", err)
		}
	}
	res, err := l.Read(offset, 1+rng.IntN(20000), isolation, true)
	if errors.Is(err, kerr.OffsetOutOfRange) {
		return // it was truncated or deleted meanwhile
	}
	if err != nil {
		t.Errorf("read %d: %v", offset, err)
		return
	}
	defer res.Range.Release()
	buf := make([]byte, res.Range.Len)
	err = res.Range.CopyTo(buf)
	bad := func(what string, args ...any) {
		if !res.Range.Truncated() {
			t.Errorf("read %d (isolation %d): "+what, append([]any{offset, isolation}, args...)...)
		}
	}
	if err != nil {
		bad("%v", err)
		return
	}
	for next := int64(-1); len(buf) > 0; {
		b, rest, err := record.Next(buf)
		switch {
		case err != nil:
			bad("%v", err)
			return
		case b.CRC() != b.ComputeCRC():
			bad("bad CRC at %d", b.BaseOffset())
		case next < 0 && (b.LastOffset() < offset || b.BaseOffset() > offset+3): // a truncation may leave a small gap
			bad("first batch %d to %d", b.BaseOffset(), b.LastOffset())
		case next >= 0 && b.BaseOffset() < next:
			bad("batch at %d after %d", b.BaseOffset(), next)
		case isolation == HighWatermark && b.LastOffset() >= res.HighWatermark:
			bad("batch to %d, high watermark %d", b.LastOffset(), res.HighWatermark)
		}
		next, buf = b.NextOffset(), rest
	}
}

// A reader that looked up the high watermark's position while the log was cut must not leave behind where it once was: the batch that
// is written there next would be sent in part.
func TestPositionFoundDuringACutIsForgotten(t *testing.T) {
	l := openLog(t, testOptions(vfs.NewMem(), topicConfig()))
	mustAppend(t, l, batch(t, 5, 100, 0))
	mustAppend(t, l, batch(t, 5, 100, 1))
	l.UpdateHighWatermark(7)

	before, segs, end := l.settled(), *l.segs.Load(), l.LogEndOffsetMetadata()
	if _, err := l.TruncateTo(8); err != nil {
		t.Fatal(err)
	}
	if _, err := l.locateUpper(before, segs, end, OffsetOnly(7)); err != nil {
		t.Fatal(err)
	}
	mustAppend(t, l, batch(t, 5, 1000, 2))
	res, err := l.Read(0, 1<<20, HighWatermark, true)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Range.Release()
	buf := make([]byte, res.Range.Len)
	if err := res.Range.CopyTo(buf); err != nil {
		t.Fatal(err)
	}
	for len(buf) > 0 {
		if _, buf, err = record.Next(buf); err != nil {
			t.Fatal(err)
		}
	}
}
