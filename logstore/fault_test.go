package logstore

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/config"
	"gokafka/internal/vfs"
	"gokafka/record"
)

// faultyLog is a log whose next call of a kind on a file with a suffix fails.
type faultyLog struct {
	*Log
	fs      *vfs.Faulty
	fault   atomic.Pointer[func(vfs.Op) error]
	offline atomic.Int32
}

func openFaulty(t *testing.T, cfg *config.Topic) (*faultyLog, Options) {
	f := &faultyLog{}
	f.fs = vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) error {
		if h := f.fault.Load(); h != nil {
			return (*h)(op)
		}
		return nil
	})
	o := testOptions(f.fs, cfg)
	o.OnIOError = func(error) { f.offline.Add(1) }
	f.Log = openLog(t, o)
	return f, o
}

func (f *faultyLog) fail(kind vfs.OpKind, suffix string, err error) {
	h := func(op vfs.Op) error {
		if op.Kind == kind && strings.HasSuffix(filepath.Base(op.Name), suffix) {
			return err
		}
		return nil
	}
	f.fault.Store(&h)
}

func (f *faultyLog) heal() { f.fault.Store(nil) }

// idempotent builds the seq-th batch of one record of a producer.
func idempotent(t *testing.T, seq int32) []byte {
	spec := record.NewBatchSpec()
	spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence = 7, 0, seq
	return specBatch(t, spec, 1, 100, 1000)
}

// TestDiskFull: a write that does not fit leaves the log as it was, sequences included, and the directory online.
func TestDiskFull(t *testing.T) {
	for _, written := range []int{0, 1, 60, 61, 100} {
		t.Run(fmt.Sprint(written), func(t *testing.T) {
			f, o := openFaulty(t, topicConfig())
			mustAppend(t, f.Log, idempotent(t, 0))
			f.fail(vfs.OpWrite, ".log", &vfs.ShortWrite{N: written, Err: syscall.ENOSPC})
			if _, err := f.AppendAsLeader(idempotent(t, 1), AppendOptions{}); !errors.Is(err, kerr.KafkaStorageError) || !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("append to a full disk: %v", err)
			}
			st, err := f.fs.Stat(o.Dir + "/00000000000000000000.log")
			if err != nil || st.Size() != f.SizeBytes() || f.LogEndOffset() != 1 {
				t.Fatalf("file of %d bytes, log of %d, end %d: %v", st.Size(), f.SizeBytes(), f.LogEndOffset(), err)
			}
			f.heal()
			if info := mustAppend(t, f.Log, idempotent(t, 1)); info.FirstOffset != 1 || info.Duplicate {
				t.Fatalf("the same batch again: %+v", info)
			}
			if got := readAll(t, f.Log, 0); len(got) != 2 || f.offline.Load() != 0 {
				t.Fatalf("%d batches, offline %d times", len(got), f.offline.Load())
			}
		})
	}
}

// TestOffline: after an error that leaves the disk in doubt nothing is answered any more, and the owner is told once.
func TestOffline(t *testing.T) {
	eio := syscall.EIO
	for name, c := range map[string]struct {
		kind   vfs.OpKind
		suffix string
		err    error
		also   func(*faultyLog) // makes the cut after the failed write fail
		do     func(*faultyLog) error
	}{
		"write":          {kind: vfs.OpWrite, suffix: ".log", err: eio},
		"fsync":          {kind: vfs.OpSync, suffix: ".log", err: eio, do: func(f *faultyLog) error { return f.Flush(false) }},
		"fsync of index": {kind: vfs.OpSync, suffix: ".index", err: eio, do: func(f *faultyLog) error { return f.Flush(true) }},
		"read": {kind: vfs.OpRead, suffix: ".log", err: eio, do: func(f *faultyLog) error {
			_, err := f.Read(0, 100, LogEnd, true)
			return err
		}},
		"truncate": {kind: vfs.OpTruncate, suffix: ".log", err: eio, do: func(f *faultyLog) error {
			_, err := f.TruncateTo(1)
			return err
		}},
		"truncate on a full disk": {kind: vfs.OpTruncate, suffix: ".log", err: syscall.ENOSPC, do: func(f *faultyLog) error {
			_, err := f.TruncateTo(1)
			return err
		}},
		"roll":   {kind: vfs.OpOpen, suffix: "2.log", err: eio, do: func(f *faultyLog) error { return f.Roll() }},
		"epochs": {kind: vfs.OpRename, suffix: epochFile + ".tmp", err: eio, do: func(f *faultyLog) error { return f.AssignEpochStart(9, 2) }},
	} {
		t.Run(name, func(t *testing.T) {
			f, _ := openFaulty(t, topicConfig())
			mustAppend(t, f.Log, batch(t, 1, 10, 1))
			mustAppend(t, f.Log, batch(t, 1, 10, 1))
			f.fail(c.kind, c.suffix, c.err)
			do := c.do
			if do == nil {
				do = func(f *faultyLog) error {
					_, err := f.AppendAsLeader(batch(t, 1, 10, 1), AppendOptions{})
					return err
				}
			}
			if err := do(f); !errors.Is(err, kerr.KafkaStorageError) {
				t.Fatalf("%v", err)
			}
			f.heal()
			if !f.Offline() || f.offline.Load() != 1 {
				t.Fatalf("offline %v, told %d times", f.Offline(), f.offline.Load())
			}
			if _, err := f.AppendAsLeader(batch(t, 1, 10, 1), AppendOptions{}); !errors.Is(err, kerr.KafkaStorageError) {
				t.Errorf("append after failure: %v", err)
			}
			if _, err := f.Read(0, 100, LogEnd, true); !errors.Is(err, kerr.KafkaStorageError) {
				t.Errorf("read after failure: %v", err)
			}
			if err := f.Close(); !errors.Is(err, kerr.KafkaStorageError) {
				t.Errorf("close after failure: %v", err)
			}
			if f.offline.Load() != 1 {
				t.Errorf("told %d times", f.offline.Load())
			}
		})
	}
}

// TestCutFails: if a failed write cannot be undone, a full disk is no excuse.
func TestCutFails(t *testing.T) {
	f, _ := openFaulty(t, topicConfig())
	mustAppend(t, f.Log, batch(t, 1, 10, 1))
	h := func(op vfs.Op) error {
		switch {
		case !strings.HasSuffix(op.Name, ".log"):
		case op.Kind == vfs.OpWrite:
			return &vfs.ShortWrite{N: 30, Err: syscall.ENOSPC}
		case op.Kind == vfs.OpTruncate:
			return syscall.ENOSPC
		}
		return nil
	}
	f.fault.Store(&h)
	if _, err := f.AppendAsLeader(batch(t, 1, 10, 1), AppendOptions{}); !errors.Is(err, kerr.KafkaStorageError) {
		t.Fatal(err)
	}
	if !f.Offline() || f.offline.Load() != 1 {
		t.Fatalf("offline %v, told %d times", f.Offline(), f.offline.Load())
	}
}

// TestRandomFaults lets one random call fail with a full disk: afterwards the log is offline, or it is as if the call had been made
// before or not at all. In both cases what was acknowledged is found when it is opened again.
func TestRandomFaults(t *testing.T) {
	for seed := range seeds(t, 60) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 2))
			var left atomic.Int64
			left.Store(1 << 40)
			mem := vfs.NewMem()
			fs := vfs.NewFaulty(mem, func(op vfs.Op) error {
				if op.Kind != vfs.OpClose && op.Kind != vfs.OpRead && left.Add(-1) == 0 {
					return syscall.ENOSPC
				}
				return nil
			})
			cfg := with(func(c *config.Topic) { c.SegmentBytes, c.IndexIntervalBytes = 4000, 300 })
			o := testOptions(fs, cfg)
			l := openLog(t, o)
			left.Store(int64(1 + rng.IntN(60)))
			acked := int64(0)
			for i := 0; i < 80 && !l.Offline(); i++ {
				info, err := l.AppendAsLeader(batch(t, 1+rng.IntN(3), rng.IntN(300), int64(i)), AppendOptions{LeaderEpoch: int32(i / 20)})
				if err != nil && !errors.Is(err, kerr.KafkaStorageError) {
					t.Fatal(err)
				}
				if err == nil {
					if info.FirstOffset < acked {
						t.Fatalf("appended at %d, %d was acknowledged", info.FirstOffset, acked)
					}
					acked = info.LastOffset + 1
				}
			}
			left.Store(1 << 40)
			o.RecoveryPoint = l.RecoveryPoint()
			o.CleanShutdown = l.Close() == nil
			l = openLog(t, o)
			if l.LogEndOffset() < acked {
				t.Fatalf("log end %d, acknowledged %d", l.LogEndOffset(), acked)
			}
			next := int64(0)
			for _, b := range readAll(t, l, 0) {
				if b.BaseOffset() != next {
					t.Fatalf("batch at %d, want %d", b.BaseOffset(), next)
				}
				next = b.NextOffset()
			}
		})
	}
}
