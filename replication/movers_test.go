package replication

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gokafka/internal/clock"
	"gokafka/internal/vfs"
	"gokafka/metadata"
	"gokafka/quota"
)

// slowDirs is a quota that lets a first piece through and then nothing for long.
func slowDirs() *quota.Replication {
	q := quota.NewReplication(clock.New(), quota.Windows{Samples: 2, Window: time.Hour})
	q.SetLimit(1)
	q.Record(1 << 20)
	return q
}

// lead makes partitions of t that this node leads, with a record each.
func (n *node) lead(parts ...int32) {
	n.t.Helper()
	for _, p := range parts {
		s := state(n.brokerID, 0, 0, n.brokerID)
		s.TopicPartition.Partition = p
		must(n.t, n.apply(s))
		a := []Append{{Topic: []byte("t"), Partition: p, Records: produced(n.t, nil, "a"), Version: 9}}
		n.Append(AcksLeader, a)
		must(n.t, a[0].Err)
	}
}

// dirOf is the directory a partition's log is in, and the one beside it.
func (n *node) dirOf(p int32) (in, other string) {
	n.t.Helper()
	l, ok := n.logs.Get(metadata.TopicPartition{Topic: "t", Partition: p})
	if !ok {
		n.t.Fatalf("no log of t-%d", p)
	}
	in = filepath.Dir(l.Dir())
	a, b := fmt.Sprintf("/d%d-a", n.brokerID), fmt.Sprintf("/d%d-b", n.brokerID)
	if in == a {
		return in, b
	}
	return in, a
}

func (n *node) moveTo(p int32, dir string) error {
	n.t.Helper()
	list := []DirMove{{TopicPartition: metadata.TopicPartition{Topic: "t", Partition: p}, Dir: dir}}
	must(n.t, n.AlterLogDirs(n.t.Context(), list))
	return list[0].Err
}

// A move that waits for its turn ends when the directory it is to fails: a deletion of records does not wait for its future log.
func TestWaitingMoveIntoAFailedDirectory(t *testing.T) {
	n := newNode(t, 1, func(o *Options) { o.DirMovers = 1 })
	n.lead(0, 1)
	const behind = 1 // the one mover there is is kept at partition 0, which goes the other way
	_, other := n.dirOf(0)
	_, to := n.dirOf(behind)
	at, release := make(chan struct{}, 1), make(chan struct{})
	var failed atomic.Bool
	hook := func(op vfs.Op) error {
		switch {
		case op.Kind == vfs.OpWrite && strings.HasPrefix(op.Name, other+"/t-0.") && strings.HasSuffix(op.Name, ".log"):
			at <- struct{}{}
			<-release
		case failed.Load() && strings.HasPrefix(op.Name, to) && op.Kind != vfs.OpClose:
			return syscall.EIO
		}
		return nil
	}
	n.hook.Store(&hook)
	must(t, n.moveTo(0, other))
	<-at
	defer close(release)
	must(t, n.moveTo(behind, to))
	p := n.Partition(metadata.TopicPartition{Topic: "t", Partition: behind})
	if _, future := p.logPair(); future == nil {
		t.Fatal("there is no move")
	}
	failed.Store(true)
	_ = n.logs.CheckpointHighWatermarks()
	eventually(t, "the move is forgotten", func() bool { _, future := p.logPair(); return future == nil })
	n.live(1)
	d := []DeleteRecords{{TopicPartition: p.tp, Offset: ToHighWatermark}}
	n.DeleteRecords(d)
	if !n.Deleted(d, time.Hour, func() {}) || d[0].Err != nil || d[0].LowWatermark != 1 {
		t.Errorf("%+v", d[0])
	}
	n.movers.mu.Lock()
	defer n.movers.mu.Unlock()
	if n.movers.moves[p.tp] != nil {
		t.Error("the move is still in the queue")
	}
}

func mustDir(n *node, p int32) string { dir, _ := n.dirOf(p); return dir }

// A move that fails again and again, here because the disk is full for it, does not hold the next one back, and ends well when it can.
func TestFailingMoveLetsOthersGo(t *testing.T) {
	n := newNode(t, 1, func(o *Options) { o.DirMovers = 1 })
	n.lead(0, 1)
	var full atomic.Bool
	full.Store(true)
	hook := func(op vfs.Op) error {
		if full.Load() && strings.Contains(op.Name, "t-0") && strings.Contains(op.Name, "-future") && strings.HasSuffix(op.Name, ".log") && op.Kind == vfs.OpWrite {
			return syscall.ENOSPC
		}
		return nil
	}
	n.hook.Store(&hook)
	_, first := n.dirOf(0)
	_, second := n.dirOf(1)
	must(t, n.moveTo(0, first))
	must(t, n.moveTo(1, second))
	eventually(t, "the second move is made", func() bool { return mustDir(n, 1) == second })
	if mustDir(n, 0) == first {
		t.Fatal("the first move did not fail")
	}
	full.Store(false)
	eventually(t, "the first move is made", func() bool { return mustDir(n, 0) == first })
}

// A log was moving out of a directory that was then taken out of log.dirs: the partition's log is made anew, and where the future log is. That is dropped; swapping it
// in would find the name taken and fail the directory.
func TestFutureLogBesideItsLog(t *testing.T) {
	disk := vfs.NewMem()
	slow := func(o *Options) { o.DirQuota = slowDirs() }
	n := openNode(t, 1, disk, nil, slow)
	n.lead(0, 1, 2, 3)
	from, to := n.dirOf(0)
	must(t, n.moveTo(0, to))
	n.down()
	for _, path := range []string{from + "/t-0", to + "/t-1", to + "/t-3"} { // so that a new log is made in the emptier directory
		must(t, disk.RemoveAll(path))
	}
	n = openNode(t, 1, disk, nil, slow)
	s := state(1, 1, 1, 1)
	s.IsNew = false
	must(t, n.apply(s))
	if dir := mustDir(n, 0); dir != to {
		t.Fatalf("made in %s", dir)
	}
	if _, dir, ok := n.logs.Future(t0); ok {
		t.Errorf("it is still to be moved to %s", dir)
	}
	n.sendOK("b")
	if n.logs.OfflineDirs() {
		t.Error("a directory failed")
	}
}

// A topic is deleted whose log is gone with its directory and whose future log is not.
func TestDeletionOfAPartitionWithAFutureLogOnly(t *testing.T) {
	disk := vfs.NewMem()
	n := openNode(t, 1, disk, nil, func(o *Options) { o.DirQuota = slowDirs() })
	n.lead(0)
	from, to := n.dirOf(0)
	must(t, n.moveTo(0, to))
	n.down()
	must(t, disk.RemoveAll(from+"/t-0"))
	n = openNode(t, 1, disk, nil, nil)
	if _, _, ok := n.logs.Future(t0); !ok {
		t.Fatal("the future log is not found")
	}
	must(t, n.StopReplica(t.Context(), 1, []StopReplicaPartition{{TopicPartition: t0, LeaderEpoch: -2, Delete: true}}))
	if _, dir, ok := n.logs.Future(t0); ok {
		t.Errorf("there is still one in %s", dir)
	}
}

// A reassignment takes the replica away while it moves: nothing of it stays.
func TestReplicaIsTakenAwayWhileItMoves(t *testing.T) {
	n := newNode(t, 1, func(o *Options) { o.DirQuota = slowDirs() })
	n.lead(0)
	_, to := n.dirOf(0)
	must(t, n.moveTo(0, to))
	must(t, n.StopReplica(t.Context(), 1, []StopReplicaPartition{{TopicPartition: t0, LeaderEpoch: 1, Delete: true}}))
	if _, _, ok := n.logs.Future(t0); ok || n.log() != nil {
		t.Error("something stays")
	}
	must(t, n.apply(state(1, 2, 2, 1)))
	if dir := mustDir(n, 0); len(n.values()) != 0 {
		t.Errorf("the new log in %s has %v", dir, n.values())
	}
}

// A deletion of records waits for the future log, and ends when that has followed, though it is not swapped in yet.
func TestDeletionOfRecordsWaitsForTheFutureLog(t *testing.T) {
	n := newNode(t, 1, nil)
	n.lead(0)
	n.live(1)
	_, to := n.dirOf(0)
	at, release := make(chan struct{}, 1), make(chan struct{})
	var first sync.Once
	hook := func(op vfs.Op) error {
		switch {
		case op.Kind == vfs.OpWrite && strings.HasPrefix(op.Name, to+"/t-0.") && strings.HasSuffix(op.Name, ".log"):
			first.Do(func() {
				at <- struct{}{}
				<-release
			})
		case op.Kind == vfs.OpOpen && strings.HasSuffix(op.Name, "-swap"):
			return syscall.ENOSPC
		}
		return nil
	}
	n.hook.Store(&hook)
	must(t, n.moveTo(0, to))
	<-at
	d, done := n.deleteTo(ToHighWatermark), make(chan struct{})
	must(t, d[0].Err)
	if n.Deleted(d, time.Hour, func() { close(done) }) {
		t.Errorf("done while the future log has nothing: %+v", d[0])
	}
	close(release)
	<-done
	if d[0].Err != nil || d[0].LowWatermark != 1 || mustDir(n, 0) == to {
		t.Errorf("%+v", d[0])
	}
}

// A replica was moved to another broker while this one was down, and its log is gone with its directory: the future log is a stray.
func TestFutureLogOfAReplicaThatIsElsewhere(t *testing.T) {
	disk := vfs.NewMem()
	n := openNode(t, 1, disk, nil, func(o *Options) { o.DirQuota = slowDirs() })
	n.lead(0)
	from, to := n.dirOf(0)
	must(t, n.moveTo(0, to))
	n.down()
	must(t, disk.RemoveAll(from+"/t-0"))
	n = openNode(t, 1, disk, nil, func(o *Options) {
		o.Assigned = func(context.Context, string) (map[int32][]int32, error) { return map[int32][]int32{0: {2, 3}}, nil }
		o.Topics = func(context.Context) ([]string, error) { return []string{"t"}, nil }
	})
	_, _, err := n.UpdateMetadata(t.Context(), 1, metadata.Update{Topics: []metadata.TopicUpdate{{Name: "t", ID: topicID,
		Partitions: []metadata.PartitionUpdate{{Index: 0, PartitionState: metadata.PartitionState{Leader: 2, LeaderEpoch: 3, ISR: []int32{2, 3}}, Replicas: []int32{2, 3}}}}}})
	must(t, err)
	eventually(t, "the future log is deleted", func() bool { _, _, ok := n.logs.Future(t0); return !ok })
}
