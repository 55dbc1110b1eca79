package logdir

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/internal/vfs"
	"gokafka/logstore"
	"gokafka/metadata"
)

// dirFault fails calls below /d0, from the n-th on or only that.
type dirFault struct {
	t    *testing.T
	what string
	mem  *vfs.Mem
	opts Options

	mu     sync.Mutex
	left   int
	fail   error
	sticky bool
	op     *vfs.Op
	told   int  // failures of /d0 that were told
	wrote  bool // something was appended in /d0 in this life

	acked map[metadata.TopicPartition]int64 // log ends that were acknowledged
}

func (f *dirFault) hook(op vfs.Op) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail == nil || op.Kind == vfs.OpClose || !strings.HasPrefix(op.Name, "/d0") {
		return nil
	}
	if f.left--; f.left == 0 || f.sticky && f.left < 0 {
		if f.op == nil {
			f.op = &op
		}
		return f.fail
	}
	return nil
}

func (f *dirFault) heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fail = nil
}

func (f *dirFault) errorf(format string, args ...any) {
	f.t.Helper()
	at := "before any fault"
	if f.op != nil {
		at = fmt.Sprintf("at %v of %s", f.op.Kind, f.op.Name)
	}
	f.t.Fatalf("%s, %s: %s", f.what, at, fmt.Sprintf(format, args...))
}

// allow accepts an error of something that touched a directory: in /d1 there is none, in /d0 it is a storage error after the fault, and an I/O error
// takes the directory offline.
func (f *dirFault) allow(m *Manager, dir, what string, err error) {
	f.t.Helper()
	f.mu.Lock()
	op, fail := f.op, f.fail
	f.mu.Unlock()
	if err == nil {
		return
	}
	if dir != "/d0" || op == nil {
		f.errorf("%s in %s: %v", what, dir, err)
	}
	if !errors.Is(err, kerr.KafkaStorageError) && !errors.Is(err, fail) {
		f.errorf("%s: %v", what, err)
	}
	if m == nil || fail == nil || logstore.IsShortage(fail) {
		return
	}
	for deadline := time.Now().Add(10 * time.Second); !m.OfflineDirs(); runtime.Gosched() { // a log that flushes in the background tells after it is offline
		if time.Now().After(deadline) {
			f.errorf("%s: %v, and the directory is online", what, err)
		}
	}
}

func (f *dirFault) open() *Manager {
	f.t.Helper()
	m, err := Open(f.opts, 7, "cluster")
	if err != nil {
		f.errorf("open: %v", err) // /d1 is well
	}
	return m
}

func (f *dirFault) append(m *Manager, tp metadata.TopicPartition, dir string) {
	f.t.Helper()
	l, ok := m.Get(tp)
	if !ok {
		if dir == "/d1" {
			f.errorf("%s is gone", tp)
		}
		return
	}
	_, err := l.AppendAsLeader(payloadOf(f.t, 3), logstore.AppendOptions{LeaderEpoch: 1})
	f.allow(m, dir, "append", err)
	if err == nil {
		f.acked[tp] = l.LogEndOffset()
		f.wrote = f.wrote || dir == "/d0"
	}
}

// live is one life of the broker: partitions are made in both directories, written, checkpointed, deleted, and closed.
func (f *dirFault) live(topic string) {
	f.t.Helper()
	f.wrote = false
	m := f.open()
	var list []NewLog
	for p := range 4 {
		n := newLog(topic, p)
		n.Dir = fmt.Sprintf("/d%d", p%2)
		list = append(list, n)
	}
	logs, errs := m.CreateAll(list)
	dirOf := map[metadata.TopicPartition]string{}
	for i, n := range list {
		dirOf[n.TopicPartition] = n.Dir
		f.allow(m, n.Dir, "create", errs[i])
		if (logs[i] == nil) != (errs[i] != nil) {
			f.errorf("create: %v %v", logs[i], errs[i])
		}
		if logs[i] != nil && !strings.HasPrefix(logs[i].Dir(), n.Dir) {
			dirOf[n.TopicPartition] = "/d1" // the other was offline
		}
	}
	for tp, dir := range dirOf {
		f.append(m, tp, dir)
		if l, ok := m.Get(tp); ok {
			l.UpdateHighWatermark(l.LogEndOffset())
			_, err := l.IncrementLogStartOffset(min(1, l.LogEndOffset()))
			f.allow(m, dir, "log start", err)
			f.allow(m, dir, "roll", l.Roll())
		}
	}
	f.allow(m, "/d0", "checkpoint", m.CheckpointRecoveryPoints())
	f.allow(m, "/d0", "checkpoint", m.CheckpointLogStarts())
	f.allow(m, "/d0", "checkpoint", m.CheckpointHighWatermarks())
	for tp, dir := range dirOf {
		f.append(m, tp, dir)
	}
	for p := 2; p < 4; p++ {
		tp := tpOf(topic, p)
		if _, ok := m.Get(tp); ok {
			err := m.Delete(tp)
			f.allow(m, dirOf[tp], "delete", err)
			delete(f.acked, tp)
		}
	}
	m.ApplyRetention()
	m.flushOld()
	f.allow(nil, "/d0", "close", m.Close())
	for _, d := range []string{"/d0", "/d1"} {
		offline := false
		for _, i := range m.Dirs() {
			offline = offline || i.Path == d && i.Err != nil
		}
		if marker := exists(f.t, f.mem, d+"/"+cleanShutdownFile); marker && offline && f.wrote || !marker && d == "/d1" {
			f.errorf("%s: marker of a clean shutdown %v, offline %v", d, marker, offline)
		}
	}
}

// TestDirFaultMatrix fails each call below one of two log directories in the life of a broker: the other's partitions are not touched, the directory goes
// offline once and says so, or only the step is refused when the disk is merely full. When the disk is well again all that was acknowledged is there.
func TestDirFaultMatrix(t *testing.T) {
	for name, m := range map[string]struct {
		err    error
		sticky bool
	}{"full": {syscall.ENOSPC, false}, "full for long": {syscall.ENOSPC, true}, "broken": {syscall.EIO, false}, "broken for long": {syscall.EIO, true}} {
		t.Run(name, func(t *testing.T) {
			step := 1
			if testing.Short() {
				step = 11
			}
			for i := 1; ; i += step {
				f := &dirFault{t: t, what: fmt.Sprintf("%s, call %d", name, i), mem: vfs.NewMem(), acked: map[metadata.TopicPartition]int64{}}
				f.opts = testOptions(vfs.NewFaulty(f.mem, f.hook), "/d0", "/d1")
				f.opts.RecoveryThreads = 1
				f.opts.OnDirFailure = func(dir string, _ []metadata.TopicPartition, err error) {
					f.mu.Lock()
					defer f.mu.Unlock()
					if f.told++; dir != "/d0" || !errors.Is(err, m.err) {
						t.Errorf("%s: %s failed: %v", f.what, dir, err)
					}
				}
				f.live("t") // so that there is something to load
				f.left, f.fail, f.sticky = i, m.err, m.sticky
				f.live("u")
				f.heal()
				if f.told > 1 {
					f.errorf("told %d times that the directory failed", f.told)
				}
				after := f.open()
				for tp, end := range f.acked {
					l, ok := after.Get(tp)
					if !ok || l.LogEndOffset() < end { // what was refused because its sync failed may be there
						f.errorf("%s: %v, want the end at %d", tp, ok, end)
					}
					next := l.LogStartOffset()
					for _, b := range readBatches(t, l, next) {
						if b.NextOffset() <= next || b.CRC() != b.ComputeCRC() {
							f.errorf("%s: batch %d to %d, want %d", tp, b.BaseOffset(), b.LastOffset(), next)
						}
						next = b.NextOffset()
					}
				}
				must(t, after.Close())
				if f.op == nil {
					break
				}
			}
		})
	}
}
