package logstore

import (
	"fmt"
	"testing"

	"gokafka/config"
	"gokafka/internal/vfs"
	"gokafka/record"
)

func benchLog(b *testing.B, cfg *config.Topic) *Log {
	o := testOptions(vfs.OS(), cfg)
	o.Dir = b.TempDir() + "/t-0"
	return openLog(b, o)
}

// BenchmarkAppend writes batches of 64 records of 1 KiB, and of one of 1 KiB, to real files.
func BenchmarkAppend(b *testing.B) {
	for _, n := range []int{1, 64} {
		b.Run(fmt.Sprintf("%dx1KiB", n), func(b *testing.B) {
			l := benchLog(b, with(func(c *config.Topic) { c.SegmentBytes, c.RetentionBytes, c.FileDeleteDelay = 256<<20, 0, 0 }))
			payload := record.Batch(batch(b, n, 1024, 1))
			b.SetBytes(int64(len(payload)))
			b.ReportAllocs()
			for b.Loop() {
				payload.SetBaseOffset(0)
				if _, err := l.AppendAsLeader(payload, AppendOptions{LeaderEpoch: 1}); err != nil {
					b.Fatal(err)
				}
				if l.SizeBytes() > 1<<30 {
					l.UpdateHighWatermark(l.LogEndOffset())
					if _, err := l.DeleteOldSegments(); err != nil {
						b.Fatal(err)
					}
				}
			}
		})
	}
}

// BenchmarkRead reads 1 MiB at offsets all over the log, the bytes too (copy) or only where they are (range).
func BenchmarkRead(b *testing.B) {
	for _, perBatch := range []int{1, 64} {
		l := benchLog(b, with(func(c *config.Topic) { c.SegmentBytes = 64 << 20 }))
		for l.SizeBytes() < 128<<20 {
			mustAppend(b, l, batch(b, perBatch, 1024, 1))
		}
		end := l.LogEndOffset() - 1200
		buf := make([]byte, 1<<20)
		for _, mode := range []string{"range", "copy"} {
			b.Run(fmt.Sprintf("%s/%dx1KiB", mode, perBatch), func(b *testing.B) {
				b.ReportAllocs()
				b.SetBytes(1 << 20)
				offset := int64(0)
				for b.Loop() {
					res, err := l.Read(offset, 1<<20, LogEnd, true)
					if err != nil {
						b.Fatal(err)
					}
					if mode == "copy" {
						if err := res.Range.CopyTo(buf); err != nil {
							b.Fatal(err)
						}
					}
					res.Range.Release()
					offset = (offset + 1021) % end
				}
			})
		}
	}
}
