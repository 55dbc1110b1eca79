package logstore

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/internal/vfs"
	"gokafka/record"
)

// A producer may have five batches in flight when the broker is killed, and sends all five again. Each must be found to be there, also when segments rolled between them.
// After a clean shutdown the newest one is remembered, as in Apache.
func TestLastFiveBatchesAreKnownAfterAKill(t *testing.T) {
	for _, c := range []struct {
		name         string
		segmentBytes int32
		clean        bool
		known        int
	}{
		{"one segment", 1 << 30, false, 5},
		{"a segment for each two batches", 400, false, 5},
		{"clean shutdown", 1 << 30, true, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			fs := vfs.NewMem()
			o := testOptions(fs, topicConfig())
			o.Config.SegmentBytes = c.segmentBytes
			l := openLog(t, o)
			send := func(l *Log, producer int64, i int) (AppendInfo, error) {
				spec := record.NewBatchSpec()
				spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence = producer, 0, int32(3*i)
				return l.AppendAsLeader(specBatch(t, spec, 3, 20, o.Clock.NowMs()), AppendOptions{LeaderEpoch: 0})
			}
			first := map[int64][]int64{}
			for i := range 7 {
				for _, p := range []int64{100, 200} {
					info, err := send(l, p, i)
					if err != nil {
						t.Fatal(err)
					}
					first[p] = append(first[p], info.FirstOffset)
				}
			}
			end := l.LogEndOffset()
			o.RecoveryPoint = l.RecoveryPoint()
			if c.clean {
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				o.CleanShutdown, o.RecoveryPoint = true, end
			}
			l = openLog(t, o)
			for _, p := range []int64{100, 200} {
				for i := range 7 {
					info, err := send(l, p, i)
					if i < 7-c.known {
						if !errors.Is(err, kerr.OutOfOrderSequenceNumber) {
							t.Errorf("producer %d batch %d: %v", p, i, err)
						}
						continue
					}
					if err != nil || !info.Duplicate || info.FirstOffset != first[p][i] {
						t.Errorf("producer %d batch %d again: %+v %v, first offset was %d", p, i, info, err, first[p][i])
					}
				}
				if _, err := send(l, p, 7); err != nil {
					t.Errorf("the next batch: %v", err)
				}
			}
			if l.LogEndOffset() != end+6 {
				t.Errorf("log end %d", l.LogEndOffset())
			}
		})
	}
}
