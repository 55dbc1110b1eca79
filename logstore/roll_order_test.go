package logstore

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"gokafka/internal/vfs"
	"gokafka/record"
)

// A kill in the middle of a roll leaves no index without its log, which Apache's tools stumble over.
func TestRollMakesTheLogFirst(t *testing.T) {
	var made []string
	fs := vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) error {
		if op.Kind == vfs.OpOpen && strings.Contains(op.Name, "00000000000000000003") {
			made = append(made, op.Name[strings.LastIndex(op.Name, "."):])
		}
		return nil
	})
	o := testOptions(fs, topicConfig())
	l := openLog(t, o)
	defer l.Close()
	rollAfterThree(t, l, o)
	if len(made) < 3 || made[0] != logSuffix {
		t.Errorf("a roll makes %v", made)
	}
}

func rollAfterThree(t *testing.T, l *Log, o Options) {
	t.Helper()
	if _, err := l.AppendAsLeader(specBatch(t, record.NewBatchSpec(), 3, 20, o.Clock.NowMs()), AppendOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := l.Roll(); err != nil {
		t.Fatal(err)
	}
}

// A roll that fails half-way leaves no empty segment: the old one grows beyond its base, and would be cut there at the next load.
func TestFailedRollLeavesNothing(t *testing.T) {
	for _, suffix := range []string{indexSuffix, timeSuffix, snapshotSuffix} {
		t.Run(suffix, func(t *testing.T) {
			mem := vfs.NewMem()
			full := false
			fs := vfs.NewFaulty(mem, func(op vfs.Op) error {
				if full && op.Kind == vfs.OpOpen && strings.HasSuffix(op.Name, suffix) {
					return syscall.ENOSPC
				}
				return nil
			})
			o := testOptions(fs, topicConfig())
			l := openLog(t, o)
			send := func(l *Log, seq int32) {
				t.Helper()
				spec := record.NewBatchSpec()
				spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence = 5, 0, seq
				if _, err := l.AppendAsLeader(specBatch(t, spec, 1, 20, o.Clock.NowMs()), AppendOptions{}); err != nil {
					t.Fatal(err)
				}
			}
			send(l, 0)
			full = true
			if err := l.Roll(); !errors.Is(err, syscall.ENOSPC) {
				t.Fatal("the roll was to fail:", err)
			}
			full = false
			send(l, 1)
			send(l, 2)
			o.FS = mem
			l = openLog(t, o) // after a kill
			defer l.Close()
			if end := l.LogEndOffset(); end != 3 {
				t.Errorf("the log ends at %d after a failed roll and a kill, want 3", end)
			}
		})
	}
}
