package logstore

import (
	"testing"

	"gokafka/internal/vfs"
	"gokafka/record"
)

// A topic that was compacted once and is not any more has gaps between its segments, which after a kill must not pass for records that a power failure lost:
// what follows them would be deleted.
func TestGapsOfATopicThatWasCompactedOnce(t *testing.T) {
	for _, c := range []struct {
		what    string
		cleaned bool
		inner   bool // a gap within a segment as well
		keeps   int64
	}{
		{"never compacted: the hole is a loss", false, false, 2},
		{"the cleaner's checkpoint knows it", true, false, 12},
		{"its batches show it", false, true, 12},
	} {
		t.Run(c.what, func(t *testing.T) {
			fs := vfs.NewMem()
			o := testOptions(fs, topicConfig())
			small := *o.Config
			small.SegmentBytes = 1
			l := openLog(t, o)
			follow := func(base int64) {
				t.Helper()
				spec := record.NewBatchSpec()
				spec.BaseOffset = base
				if _, err := l.AppendAsFollower(specBatch(t, spec, 1, 20, o.Clock.NowMs())); err != nil {
					t.Fatal(err)
				}
			}
			follow(0)
			follow(1)
			if c.inner {
				follow(4)
			}
			// The next segment begins above the end of this one.
			l.SetConfig(&small)
			follow(10)
			l.SetConfig(o.Config)
			follow(11)
			if l.SegmentCount() < 2 {
				t.Fatal("one segment only")
			}
			o.Cleaned = c.cleaned // and no recovery point: everything is looked at
			l = openLog(t, o)
			if end := l.LogEndOffset(); end != c.keeps {
				t.Errorf("the log ends at %d, want %d", end, c.keeps)
			}
		})
	}
}
