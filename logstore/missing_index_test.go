package logstore

import (
	"os"
	"testing"

	"gokafka/internal/vfs"
	"gokafka/record"
)

// A machine dies just after a roll: the end of the old segment is zeros, and the new one has no index yet, as with Apache, which makes that late. The torn end is
// cut first; only then is there something that the new segment could follow.
func TestTornSegmentBeforeOneWithoutIndex(t *testing.T) {
	fs := vfs.NewMem()
	o := testOptions(fs, topicConfig())
	l := openLog(t, o)
	send := func(l *Log, seq int32) {
		t.Helper()
		spec := record.NewBatchSpec()
		spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence = 5, 0, seq
		if _, err := l.AppendAsLeader(specBatch(t, spec, 1, 100, o.Clock.NowMs()), AppendOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	send(l, 0)
	send(l, 1)
	torn := l.active().size.Load() / 2
	if err := l.Roll(); err != nil {
		t.Fatal(err)
	}
	send(l, 2)
	l.endBackground()
	first, second := (*l.segs.Load())[0], (*l.segs.Load())[1]
	f, err := fs.OpenFile(first.path(logSuffix), os.O_RDWR, 0)
	must(t, err)
	_, err = f.WriteAt(make([]byte, first.size.Load()-torn), torn)
	must(t, err)
	must(t, f.Close())
	must(t, fs.Remove(second.path(indexSuffix)))
	must(t, fs.Remove(second.path(snapshotSuffix)))
	l = openLog(t, o)
	defer l.Close()
	if end := l.LogEndOffset(); end != 1 || l.SegmentCount() != 1 {
		t.Errorf("the log ends at %d, in %d segments", end, l.SegmentCount())
	}
	send(l, 1)
}
