package logstore

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/config"
	"gokafka/internal/vfs"
	"gokafka/record"
)

// life leads a log through everything that touches the disk, with one call of the file system failing somewhere.
type life struct {
	t    *testing.T
	what string
	mem  *vfs.Mem
	fs   *vfs.Faulty
	opts Options
	log  *Log
	seq  int32

	refused map[string]bool
	acked   map[int64][]byte // by base offset: what was acknowledged, and not taken away since
	end     int64            // of what was acknowledged
	sure    int64            // what is below was not in a truncation that failed
	start   int64            // the log start may have moved here
	flushed int64            // Flush returned, or Close

	mu     sync.Mutex
	kind   vfs.OpKind // of the call that fails
	left   int        // calls of the kind up to it
	sticky bool       // all calls from the failing one on fail, until heal
	fail   error
	short  bool // a failing write leaves half its bytes
	fired  bool
	op     vfs.Op
}

// isBestEffort are calls whose failure need not be told: closing what was only read from.
func isBestEffort(op vfs.Op) bool { return op.Kind == vfs.OpClose }

func (f *life) hook(op vfs.Op) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail == nil || isBestEffort(op) {
		return nil
	}
	if op.Kind == f.kind {
		f.left--
	}
	if !(op.Kind == f.kind && f.left == 0) && !(f.sticky && f.left <= 0) {
		return nil
	}
	if !f.fired {
		f.fired, f.op = true, op
	}
	if f.short && op.Kind == vfs.OpWrite {
		return &vfs.ShortWrite{N: op.Len / 2, Err: f.fail}
	}
	return f.fail
}

func (f *life) heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = nil
}

func (f *life) errorf(format string, args ...any) {
	f.t.Helper()
	f.t.Fatalf("%s, at %v of %s: %s", f.what, f.op.Kind, f.op.Name, fmt.Sprintf(format, args...))
}

// do runs a step. One that a full disk refused is run again when there is room; one that took the log offline, after opening it anew. The step
// may find itself done.
func (f *life) do(name string, step func() error) {
	f.t.Helper()
	for attempt := range 3 {
		err := step()
		if err == nil {
			return
		}
		f.mu.Lock()
		fired, cause := f.fired, f.fail
		f.mu.Unlock()
		switch {
		case !fired || attempt == 2:
			f.errorf("%s: %v", name, err)
		case f.log != nil && !errors.Is(err, kerr.KafkaStorageError):
			f.errorf("%s: %v is not a storage error", name, err)
		case f.log != nil && cause != nil && !IsShortage(cause) && !f.log.Offline():
			f.errorf("%s: %v, and the log is online", name, err)
		}
		f.heal()
		if f.log == nil {
			continue
		}
		if f.log.Offline() {
			f.reopen(false)
		}
	}
}

// reopen opens what is there: after a clean shutdown, or as it was left.
func (f *life) reopen(clean bool) {
	f.t.Helper()
	rp := f.log.RecoveryPoint()
	if !clean {
		f.log.MarkOffline()
		f.log.Close()
	}
	f.opts.RecoveryPoint, f.opts.CleanShutdown, f.log = rp, clean, nil
	f.do("open", func() (err error) {
		f.log, err = Open(f.opts)
		return err
	})
	f.verify("reopened")
}

// verify compares the log with what was acknowledged.
func (f *life) verify(when string) {
	f.t.Helper()
	f.do(when, func() error { return f.check(when, f.log, f.end) })
}

// check compares a log with what was acknowledged below end. It returns errors of reading.
func (f *life) check(when string, l *Log, end int64) error {
	f.t.Helper()
	next := l.LogStartOffset()
	first := true
	found := map[int64]bool{}
	for {
		offset := next
		res, err := l.Read(offset, 1<<20, LogEnd, true)
		if err != nil {
			return err
		}
		if res.Range.Len == 0 {
			break
		}
		buf := make([]byte, res.Range.Len)
		err = res.Range.CopyTo(buf)
		res.Range.Release()
		if err != nil { // the answer breaks off; nobody tells the log
			l.goOffline(err)
			return fmt.Errorf("%w: %w", kerr.KafkaStorageError, err)
		}
		for len(buf) > 0 {
			b, rest, err := record.Next(buf)
			if err != nil || b.CRC() != b.ComputeCRC() {
				f.errorf("%s: batch at %d: %v", when, offset, err)
			}
			if !first && b.BaseOffset() != next {
				f.errorf("%s: batch at %d, want %d", when, b.BaseOffset(), next)
			}
			if want, ok := f.acked[b.BaseOffset()]; b.BaseOffset() < end && !f.refused[string(b[uncovered:])] && (!ok || !bytes.Equal(want[uncovered:], b[uncovered:])) {
				f.errorf("%s: the batch at %d is not one that was acknowledged (%v)", when, b.BaseOffset(), ok)
			}
			found[b.BaseOffset()], first = true, false
			next, buf = b.NextOffset(), rest
		}
	}
	for base := range f.acked {
		if base < end && base >= f.start && !found[base] {
			f.errorf("%s: the batch at %d is gone; log %d to %d", when, base, l.LogStartOffset(), l.LogEndOffset())
		}
	}
	if l.LogStartOffset() > f.start {
		f.errorf("%s: log start %d, want at most %d", when, l.LogStartOffset(), f.start)
	}
	return nil
}

func (f *life) append(payload []byte, origin record.Origin) {
	f.t.Helper()
	f.do("append", func() error {
		b := bytes.Clone(payload)
		info, err := f.log.AppendAsLeader(b, AppendOptions{LeaderEpoch: 3, Origin: origin})
		if err != nil {
			f.refused[string(b[uncovered:])] = true // it may be there if it was the sync that failed
			return err
		}
		if info.FirstOffset < f.end {
			f.errorf("appended at %d, %d was acknowledged", info.FirstOffset, f.end)
		}
		f.acked[info.FirstOffset], f.end = b, info.LastOffset+1
		f.sure = max(f.sure, f.end)
		return nil
	})
}

func (f *life) produce(txn bool) {
	f.t.Helper()
	spec := record.NewBatchSpec()
	spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence, spec.Transactional = 7, 0, f.seq, txn
	f.seq += 2
	f.append(specBatch(f.t, spec, 2, 60, f.opts.Clock.NowMs()), record.Client)
}

func (f *life) live() {
	t := f.t
	f.do("create", func() (err error) {
		f.log, err = Open(f.opts)
		return err
	})
	must(t, errors.Join(f.mem.SyncDir("/"), f.mem.SyncDir("/data"))) // as the owner of the directory does
	f.do("epoch", func() error { return f.log.AssignEpochStart(3, f.log.LogEndOffset()) })
	for range 3 {
		f.produce(false)
	}
	f.do("roll", func() error { return f.log.Roll() })
	f.produce(true)
	abort := marker(t, 7, record.ControlAbort)
	f.append(abort, record.Coordinator)
	f.produce(false)
	f.do("flush", func() error { return f.log.Flush(true) })
	f.noteFlushed()
	f.produce(false)
	f.produce(false)
	cut := f.end - 2
	f.do("truncate", func() error {
		f.dropFrom(cut) // some of it may go even if it fails
		_, err := f.log.TruncateTo(cut)
		return err
	})
	f.seq -= 2
	f.produce(false)
	f.do("read", func() error {
		res, err := f.log.Read(f.end-1, 100, LogEnd, true)
		res.Range.Release()
		return err
	})
	f.do("search by time", func() error {
		_, _, err := f.log.OffsetForTimestamp(f.opts.Clock.NowMs() - 1000000)
		return err
	})
	f.start = (*f.log.segs.Load())[len(*f.log.segs.Load())-1].base
	f.do("delete", func() error {
		f.log.UpdateHighWatermark(f.log.LogEndOffset())
		if _, err := f.log.IncrementLogStartOffset(f.start); err != nil {
			return err
		}
		_, err := f.log.DeleteOldSegments()
		return err
	})
	f.produce(false)
	f.verify("before close")
	f.close()
	f.produce(false)
	f.reopen(false) // killed
	f.produce(false)
	f.start = 1000
	f.do("truncate fully", func() error {
		f.dropFrom(0)
		return f.log.TruncateFullyAndStartAt(1000)
	})
	f.end, f.seq = 1000, 0
	spec := record.NewBatchSpec()
	f.append(specBatch(t, spec, 1, 10, 5), record.Client)
	f.close()
}

func (f *life) noteFlushed() { f.flushed = f.end }

// dropFrom forgets what was acknowledged from an offset on.
func (f *life) dropFrom(offset int64) {
	for base := range f.acked {
		if base >= offset {
			delete(f.acked, base)
		}
	}
	f.end, f.flushed = min(f.end, offset), min(f.flushed, offset)
}

func (f *life) close() {
	f.t.Helper()
	err := f.log.Close()
	if err == nil {
		f.noteFlushed()
		f.reopen(true)
		return
	}
	if !errors.Is(err, kerr.KafkaStorageError) || !f.fired {
		f.errorf("close: %v", err)
	}
	f.heal()
	f.reopen(false)
}

// TestFaultMatrix fails each call of the file system in the life of a log, one in a run: with a full disk the step is refused and can be repeated; with
// an I/O error the log goes offline. What was acknowledged is there when the log is opened again, once; and after a power failure, what was flushed.
func TestFaultMatrix(t *testing.T) {
	for name, m := range map[string]struct {
		err           error
		short, sticky bool
	}{
		"full":            {err: syscall.ENOSPC},
		"full, short":     {err: syscall.ENOSPC, short: true},
		"full, for long":  {err: syscall.ENOSPC, sticky: true},
		"broken":          {err: syscall.EIO},
		"broken, short":   {err: syscall.EIO, short: true},
		"broken for long": {err: syscall.EIO, sticky: true},
		"read-only":       {err: syscall.EROFS, sticky: true},
	} {
		t.Run(name, func(t *testing.T) {
			step := 1
			if testing.Short() {
				step = 5
			}
			for _, kind := range []vfs.OpKind{vfs.OpOpen, vfs.OpMkdir, vfs.OpRemove, vfs.OpRename, vfs.OpReadDir, vfs.OpStat, vfs.OpSyncDir, vfs.OpRead, vfs.OpWrite, vfs.OpTruncate, vfs.OpSync} {
				if m.short && kind != vfs.OpWrite {
					continue
				}
				for i := 1; ; i += step {
					f := &life{t: t, what: fmt.Sprintf("%s, %v %d", name, kind, i), mem: vfs.NewMem(), acked: map[int64][]byte{}, refused: map[string]bool{},
						kind: kind, left: i, fail: m.err, short: m.short, sticky: m.sticky}
					f.fs = vfs.NewFaulty(f.mem, f.hook)
					f.opts = testOptions(f.fs, with(func(c *config.Topic) { c.SegmentBytes, c.IndexIntervalBytes = 1000, 200 }))
					f.live()
					f.verify("at the end")
					f.powerFailure()
					f.log.Close()
					if !f.fired && i == 1 {
						t.Errorf("there was no %v to fail", kind)
					}
					if !f.fired {
						break
					}
				}
			}
		})
	}
}

// powerFailure opens what a power failure leaves: all that was flushed.
func (f *life) powerFailure() {
	f.t.Helper()
	o := f.opts
	o.FS, o.RecoveryPoint, o.CleanShutdown = f.mem.CrashClone(vfs.CrashOptions{LoseUnsynced: true}), f.log.RecoveryPoint(), false
	l, err := Open(o)
	if err != nil {
		f.errorf("after a power failure: %v", err)
	}
	if err := f.check("after a power failure", l, f.flushed); err != nil {
		f.errorf("after a power failure: %v", err)
	}
	l.Close()
}

// TestFailedSyncIsFinal: after a failed sync nobody knows what is on the disk, whatever the error says. A second flush must not pass for one that synced it.
func TestFailedSyncIsFinal(t *testing.T) {
	for name, kind := range map[string]vfs.OpKind{"file": vfs.OpSync, "directory": vfs.OpSyncDir} {
		t.Run(name, func(t *testing.T) {
			f, _ := openFaulty(t, topicConfig())
			mustAppend(t, f.Log, batch(t, 1, 10, 1))
			must(t, f.Flush(true))
			if kind == vfs.OpSyncDir {
				must(t, f.Roll())
			}
			mustAppend(t, f.Log, batch(t, 1, 10, 1))
			f.fail(kind, "", syscall.ENOSPC)
			if err := f.Flush(false); !errors.Is(err, kerr.KafkaStorageError) {
				t.Fatal(err)
			}
			f.heal()
			if err := f.Flush(false); err == nil || f.RecoveryPoint() == f.LogEndOffset() || !f.Offline() {
				t.Errorf("flushed again: %v, recovery point %d", err, f.RecoveryPoint())
			}
		})
	}
}
