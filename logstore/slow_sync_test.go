package logstore

import (
	"strings"
	"testing"
	"time"

	"gokafka/internal/vfs"
	"gokafka/record"
)

// A truncation rebuilds the producers' state and writes a snapshot; readers and the next request do not wait for its sync.
func TestTruncationSyncsNoSnapshotUnderTheLock(t *testing.T) {
	var held func(vfs.Op)
	fs := vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) error {
		if held != nil && op.Kind == vfs.OpSync && strings.HasSuffix(op.Name, snapshotSuffix) {
			held(op)
		}
		return nil
	})
	o := testOptions(fs, topicConfig())
	l := openLog(t, o)
	defer l.Close()
	for i := range 4 {
		spec := record.NewBatchSpec()
		spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence = 7, 0, int32(i)
		if _, err := l.AppendAsLeader(specBatch(t, spec, 1, 20, o.Clock.NowMs()), AppendOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	held = func(op vfs.Op) {
		free := make(chan struct{})
		go func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			close(free)
		}()
		select {
		case <-free: // a flush of another moment may have held it for an instant
		case <-time.After(5 * time.Second):
			t.Errorf("%s is synced under the log's lock", op.Name)
		}
	}
	if _, err := l.TruncateTo(2); err != nil {
		t.Fatal(err)
	}
	if err := l.Flush(false); err != nil {
		t.Fatal(err)
	}
}
