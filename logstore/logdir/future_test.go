package logdir

import (
	"errors"
	"strings"
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
		_, err = future.AppendAsFollower(buf)
		must(t, err)
	}
}

// A kill or a loss of power at each call to the file system of a move between directories: the next start has the partition once, with all its
// records; after a loss of power with those that were flushed. A second start finds nothing left to mend.
func TestMoveIsCutShortAnywhere(t *testing.T) {
	type crash struct {
		op        vfs.Op
		at        int
		kill, cut *vfs.Mem
		appended  int64 // log end offset at the moment
	}
	const flushed = 30
	var crashes []crash
	var moving bool
	var end func() int64
	mem := vfs.NewMem()
	n := 0
	fs := vfs.NewFaulty(mem, func(op vfs.Op) error {
		if moving {
			n++
			crashes = append(crashes, crash{op, n, mem.CrashClone(vfs.CrashOptions{KeepUnsynced: true}), mem.CrashClone(vfs.CrashOptions{LoseUnsynced: true}), end()})
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
	moving = true
	if l, err := m.MakeFuture(n0, "/d0"); err != nil || l != nil {
		t.Fatalf("to where it is: %v, %v", l, err)
	}
	future, err := m.MakeFuture(n0, "/d1")
	must(t, err)
	fill(t, current, future)
	must(t, future.Flush(true))
	must(t, m.Swap(n0.TopicPartition, func(swap func() error) error { return swap() }))
	if l, _ := m.Get(n0.TopicPartition); l != future || l.Dir() != "/d1/t-0" {
		t.Errorf("the log is in %s", l.Dir())
	}
	appendTo(t, future, 3)
	moving = false
	if len(crashes) < 20 {
		t.Fatalf("%d calls", len(crashes))
	}
	both := 0
	for _, c := range crashes {
		for name, disk := range map[string]*vfs.Mem{"kill": c.kill, "loss of power": c.cut} {
			want := int64(flushed)
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
				if !ok || l.LogEndOffset() < want || l.LogStartOffset() != 0 {
					t.Errorf("%s at call %d (%v %s), start %d: there %v, want end %d", name, c.at, c.op.Kind, c.op.Name, start, ok, want)
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
	future, err := m.MakeFuture(n, "/d0")
	must(t, err)
	if again, err := m.MakeFuture(n, "/d0"); err != nil || again != future {
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
	_, err = m.MakeFuture(n, "/d1")
	must(t, err)
	must(t, m.Delete(n.TopicPartition))
	must(t, m.Close())
	m = openManager(t, o)
	if len(m.All()) != 0 {
		t.Errorf("%d logs", len(m.All()))
	}
}
