package logdir

import (
	"errors"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/internal/vfs"
	"gokafka/logstore"
)

// fill makes future equal to current.
func fill(t *testing.T, current, future *logstore.Log) {
	t.Helper()
	for future.LogEndOffset() < current.LogEndOffset() {
		res, err := current.Read(future.LogEndOffset(), 1<<20, logstore.LogEnd, true)
		must(t, err)
		buf := make([]byte, res.Range.Len)
		must(t, res.Range.CopyTo(buf))
		res.Range.Release()
		_, err = future.AppendTail(buf)
		must(t, err)
	}
}

func makeFuture(m *Manager, n NewLog, dir string) (*logstore.Log, error) {
	n.Dir = dir
	logs, errs := m.MakeFutures([]NewLog{n})
	return logs[0], errs[0]
}

// Many moves at once cost one sync for each directory: roles are not given meanwhile.
func TestManyMovesBeginWithFewSyncs(t *testing.T) {
	syncs := 0
	fs := vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) error {
		if op.Kind == vfs.OpSync || op.Kind == vfs.OpSyncDir || op.Kind == vfs.OpSyncVolume {
			syncs++
		}
		return nil
	})
	m := openManager(t, testOptions(fs, "/d0", "/d1", "/d2"))
	var list []NewLog
	for p := range 300 {
		n := newLog("t", p)
		n.Dir = "/d0"
		list = append(list, n)
	}
	_, errs := m.CreateAll(list)
	must(t, errors.Join(errs...))
	for i := range list {
		list[i].Dir = []string{"/d0", "/d1", "/d2"}[i%3]
	}
	syncs = 0
	logs, errs := m.MakeFutures(list)
	must(t, errors.Join(errs...))
	for i, l := range logs {
		if (l == nil) != (i%3 == 0) {
			t.Errorf("partition %d: %v", i, l)
		}
	}
	if syncs > 10 {
		t.Errorf("%d syncs", syncs)
	}
}

// A kill or a loss of power at each call to the file system of a move between directories: the next start has the partition once, with all its
// records; after a loss of power with those that were flushed, though the future log's own end was not. Records that were deleted, as the checkpoint says, stay so.
// A second start finds nothing left to mend.
func TestMoveIsCutShortAnywhere(t *testing.T) {
	type crash struct {
		op        vfs.Op
		at        int
		kill, cut *vfs.Mem
		appended  int64 // log end offset at the moment
		flushed   int64 // up to where it is on the disk
		start     int64 // log start offset
	}
	const deleted = 4 // in the middle of a batch
	flushed := int64(30)
	var crashes []crash
	var moving bool
	var end func() int64
	start := int64(0)
	mem := vfs.NewMem()
	n := 0
	var mu sync.Mutex // leader epochs are saved in the background
	fs := vfs.NewFaulty(mem, func(op vfs.Op) error {
		mu.Lock()
		defer mu.Unlock()
		if moving {
			n++
			crashes = append(crashes, crash{op, n, mem.CrashClone(vfs.CrashOptions{KeepUnsynced: true}), mem.CrashClone(vfs.CrashOptions{LoseUnsynced: true}), end(), flushed, start})
		}
		return nil
	})
	m := openManager(t, testOptions(fs, "/d0", "/d1"))
	n0 := newLog("t", 0)
	n0.Dir = "/d0"
	current, err := m.GetOrCreate(n0)
	must(t, err)
	for range 10 {
		appendTo(t, current, 3)
	}
	must(t, current.Flush(true))
	end = func() int64 {
		if l, ok := m.Get(n0.TopicPartition); ok {
			return l.LogEndOffset()
		}
		return flushed
	}
	set := func(f func()) {
		mu.Lock()
		defer mu.Unlock()
		f()
	}
	set(func() { moving = true })
	if l, err := makeFuture(m, n0, "/d0"); err != nil || l != nil {
		t.Fatalf("to where it is: %v, %v", l, err)
	}
	future, err := makeFuture(m, n0, "/d1")
	must(t, err)
	fill(t, current, future)
	must(t, future.Flush(true))
	appendTo(t, current, 3)
	must(t, current.Flush(false))
	set(func() { flushed += 3 })
	current.UpdateHighWatermark(flushed)
	_, err = current.IncrementLogStartOffset(deleted)
	must(t, err)
	must(t, m.CheckpointLogStarts())
	set(func() { start = deleted })
	must(t, m.Swap(n0.TopicPartition, func(swap func() error) error {
		fill(t, current, future)
		future.UpdateHighWatermark(flushed)
		if _, err := future.IncrementLogStartOffset(deleted); err != nil {
			return err
		}
		return swap()
	}))
	if l, _ := m.Get(n0.TopicPartition); l != future || l.Dir() != "/d1/t-0" {
		t.Errorf("the log is in %s", l.Dir())
	}
	appendTo(t, future, 3)
	set(func() { moving = false })
	if len(crashes) < 20 {
		t.Fatalf("%d calls", len(crashes))
	}
	both := 0
	for _, c := range crashes {
		for name, disk := range map[string]*vfs.Mem{"kill": c.kill, "loss of power": c.cut} {
			want := c.flushed
			if name == "kill" {
				want = c.appended
			}
			a, _ := vfs.Exists(disk, "/d0/t-0")
			b, _ := vfs.Exists(disk, "/d1/t-0")
			if a && b {
				both++
			}
			for start := range 2 {
				o := testOptions(disk, "/d0", "/d1")
				m, err := Open(o, 7, "cluster")
				if err != nil {
					t.Fatalf("%s at call %d (%v %s), start %d: %v", name, c.at, c.op.Kind, c.op.Name, start, err)
				}
				l, ok := m.Get(n0.TopicPartition)
				if !ok || l.LogEndOffset() < want || l.LogStartOffset() != c.start && l.LogStartOffset() != deleted {
					t.Errorf("%s at call %d (%v %s), start %d: there %v, want end %d and start %d", name, c.at, c.op.Kind, c.op.Name, start, ok, want, c.start)
				} else if start == 1 && strings.Contains(l.Dir(), "future") {
					t.Errorf("the log is in %s", l.Dir())
				}
				must(t, m.Close())
				if a, _ := vfs.Exists(disk, "/d0/t-0"); a {
					if b, _ := vfs.Exists(disk, "/d1/t-0"); b {
						t.Errorf("%s at call %d (%v %s): there are two of them still", name, c.at, c.op.Kind, c.op.Name)
					}
				}
			}
		}
	}
	if both == 0 {
		t.Error("no crash left two directories of one name: this test does not test what it says")
	}
}

// The directory that a log is moved out of fails when its name is to change: the log goes on in the other one. When the first is back the later log is kept, by its
// leader epoch, even if it is the shorter one.
func TestDirectoryFailsAtTheEndOfAMove(t *testing.T) {
	mem := vfs.NewMem()
	var broken bool
	fs := vfs.NewFaulty(mem, func(op vfs.Op) error {
		if broken && op.Kind == vfs.OpRename && op.Name == "/d0/t-0" {
			return syscall.EIO
		}
		return nil
	})
	m := openManager(t, testOptions(fs, "/d0", "/d1"))
	n0 := newLog("t", 0)
	n0.Dir = "/d0"
	current, err := m.GetOrCreate(n0)
	must(t, err)
	appendTo(t, current, 3)
	appendTo(t, current, 3)
	future, err := makeFuture(m, n0, "/d1")
	must(t, err)
	fill(t, current, future)
	broken = true
	if err := m.Swap(n0.TopicPartition, func(swap func() error) error { return swap() }); !errors.Is(err, kerr.KafkaStorageError) {
		t.Errorf("%v", err)
	}
	if l, _ := m.Get(n0.TopicPartition); l != future || !m.OfflineDirs() {
		t.Fatal("the log does not go on in the other directory")
	}
	_, err = future.TruncateTo(0) // by a leader that had less, as unclean elections give
	must(t, err)
	_, err = future.AppendAsLeader(payloadOf(t, 3), logstore.AppendOptions{LeaderEpoch: 2})
	must(t, err)
	_ = m.Close()
	for start := range 2 {
		m, err := Open(testOptions(mem, "/d0", "/d1"), 7, "cluster")
		must(t, err)
		if l, ok := m.Get(n0.TopicPartition); !ok || l.Dir() != "/d1/t-0" || l.LatestEpoch() != 2 || l.LogEndOffset() != 3 {
			t.Errorf("start %d: in %s, epoch %d, end %d", start, l.Dir(), l.LatestEpoch(), l.LogEndOffset())
		}
		must(t, m.Close())
		if there, _ := vfs.Exists(mem, "/d0/t-0"); there {
			t.Error("the other log is still there")
		}
		if there, _ := vfs.Exists(mem, "/d1/t-0/"+swapMarker); there {
			t.Error("the marker is still there")
		}
	}
}

// The directory that a log is moved out of fails while the other one is renamed: the log goes on in the new one.
func TestDirectoryFailsInTheMiddleOfASwap(t *testing.T) {
	var m *Manager
	fs := vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) error {
		if m != nil && op.Kind == vfs.OpRename && strings.HasSuffix(op.Name, logstore.FutureDirSuffix) {
			m.failDir(m.dirs[0], syscall.EIO)
		}
		return nil
	})
	opened := openManager(t, testOptions(fs, "/d0", "/d1"))
	n := newLog("t", 0)
	n.Dir = "/d0"
	current, err := opened.GetOrCreate(n)
	must(t, err)
	appendTo(t, current, 3)
	future, err := makeFuture(opened, n, "/d1")
	must(t, err)
	fill(t, current, future)
	m = opened
	must(t, m.Swap(n.TopicPartition, func(swap func() error) error { return swap() }))
	if l, _ := m.Get(n.TopicPartition); l != future || !m.OfflineDirs() {
		t.Error("the log does not go on in the other directory")
	}
}

// A full disk at the swap fails no directory; the move can end later.
func TestSwapOnAFullDisk(t *testing.T) {
	var full bool
	fs := vfs.NewFaulty(vfs.NewMem(), func(op vfs.Op) error {
		if full && op.Kind == vfs.OpOpen && strings.HasSuffix(op.Name, swapMarker) {
			return syscall.ENOSPC
		}
		return nil
	})
	m := openManager(t, testOptions(fs, "/d0", "/d1"))
	n := newLog("t", 0)
	n.Dir = "/d0"
	_, err := m.GetOrCreate(n)
	must(t, err)
	future, err := makeFuture(m, n, "/d1")
	must(t, err)
	swap := func(swap func() error) error { return swap() }
	full = true
	if err := m.Swap(n.TopicPartition, swap); err == nil || future.Offline() || m.OfflineDirs() {
		t.Errorf("%v", err)
	}
	full = false
	must(t, m.Swap(n.TopicPartition, swap))
}

// Wanted directories of partitions that are not here are not noted without end.
func TestWishesAreBounded(t *testing.T) {
	m := openManager(t, testOptions(vfs.NewMem(), "/d0", "/d1"))
	for p := range maxWishes + 10 {
		m.Wish(tpOf("t", p), "/d1")
	}
	m.Wish(tpOf("t", 0), "/d0")
	if len(m.wished) != maxWishes || m.wished[tpOf("t", 0)] != "/d0" {
		t.Errorf("%d", len(m.wished))
	}
}

// Two directories of one partition that no move left are the operator's affair, as in Apache.
func TestTwoLogsWithoutAMove(t *testing.T) {
	mem := vfs.NewMem()
	m := openManager(t, testOptions(mem, "/d0"))
	_, err := m.GetOrCreate(newLog("t", 0))
	must(t, err)
	must(t, m.Close())
	other := openManager(t, testOptions(mem, "/d1"))
	_, err = other.GetOrCreate(newLog("t", 0))
	must(t, err)
	must(t, other.Close())
	if _, err := Open(testOptions(mem, "/d0", "/d1"), 7, "cluster"); err == nil || !strings.Contains(err.Error(), "duplicate log directories for t-0") {
		t.Errorf("%v", err)
	}
}

func TestWhereALogCanMove(t *testing.T) {
	m := openManager(t, testOptions(vfs.NewMem(), "/d0", "/d1"))
	n := newLog("t", 0)
	if err := m.CanMove(n.TopicPartition, "/d2"); !errors.Is(err, kerr.LogDirNotFound) {
		t.Errorf("%v", err)
	}
	if err := m.CanMove(tpOf(strings.Repeat("t", 250), 0), "/d1"); !errors.Is(err, kerr.InvalidTopicException) {
		t.Errorf("%v", err)
	}
	m.Wish(n.TopicPartition, "/d1")
	l, err := m.GetOrCreate(n)
	must(t, err)
	if l.Dir() != "/d1/t-0" {
		t.Errorf("made in %s", l.Dir())
	}
	future, err := makeFuture(m, n, "/d0")
	must(t, err)
	if again, err := makeFuture(m, n, "/d0"); err != nil || again != future {
		t.Errorf("asked twice: %v", err)
	}
	m.failDir(m.dirs[0], errors.New("broken"))
	if _, _, ok := m.Future(n.TopicPartition); ok || !future.Offline() {
		t.Error("the future log outlives its directory")
	}
	if _, ok := m.Get(n.TopicPartition); !ok {
		t.Error("the log went with the directory of its future")
	}
	if err := m.CanMove(n.TopicPartition, "/d0"); !errors.Is(err, kerr.KafkaStorageError) {
		t.Errorf("%v", err)
	}
}

// Deleting a partition deletes its future log too, which goes first.
func TestDeletionTakesTheFutureLog(t *testing.T) {
	mem := vfs.NewMem()
	o := testOptions(mem, "/d0", "/d1")
	o.FileDeleteDelay = 0
	m := openManager(t, o)
	n := newLog("t", 0)
	n.Dir = "/d0"
	_, err := m.GetOrCreate(n)
	must(t, err)
	_, err = makeFuture(m, n, "/d1")
	must(t, err)
	must(t, m.Delete(n.TopicPartition))
	must(t, m.Close())
	m = openManager(t, o)
	if len(m.All()) != 0 {
		t.Errorf("%d logs", len(m.All()))
	}
}
