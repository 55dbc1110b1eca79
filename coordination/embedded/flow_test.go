package embedded

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"gokafka/internal/vfs"
)

// A client that sends requests and reads no answers is held back before its output fills the memory, and does not hinder
// others. Once it reads, it gets everything, in order.
func TestUnreadRepliesHoldTheirConnectionBack(t *testing.T) {
	s := open(t, vfs.NewMem(), Options{})
	greedy, other := memSession(t, s, longTimeout), memSession(t, s, longTimeout)
	greedy.wantCode("create", codeOK, opCreate, createBody("/big", make([]byte, 500_000), 0))
	const n = 200
	go func() {
		for i := range int32(n) {
			if _, err := greedy.nc.Write(rawRequest(100+i, opGetData, watchBody("/big", false))); err != nil {
				return
			}
		}
	}()
	eventually(t, "output piles up", func() bool { return s.unsent.Load() > connOutputBytes })
	for i := range 100 {
		other.wantCode("other", codeOK, opCreate, createBody(fmt.Sprintf("/o%d", i), nil, 0))
		if unsent := s.unsent.Load(); unsent > connOutputBytes+1_000_000 {
			t.Fatalf("%d bytes unsent", unsent)
		}
	}
	for i := range int32(n) {
		if p := greedy.reply(); p.xid != 100+i || len(p.body) != 4+500_000+68 {
			t.Fatalf("%d: xid %d, %d bytes", i, p.xid, len(p.body))
		}
	}
	eventually(t, "everything is accounted for", func() bool { return s.unsent.Load() == 0 && s.flow.inUse() == 0 })
}

// A client that does not read its events is dropped, and only it.
func TestUnreadEventsDropTheirConnection(t *testing.T) {
	s := open(t, vfs.NewMem(), Options{})
	deaf, writer := memSession(t, s, longTimeout), memSession(t, s, longTimeout)
	path := "/" + string(make500k())
	writer.wantCode("create", codeOK, opCreate, createBody(path, nil, 0))
	deaf.wantCode("watch", codeOK, opAddWatch, text(path), num(0))
	for range 40 {
		writer.wantCode("set", codeOK, opSetData, setBody(path, nil, -1))
	}
	eventually(t, "dropped", func() bool { return len(s.connections()) == 1 })
	writer.wantCode("alive", codeOK, opExists, watchBody("/", false))
	eventually(t, "everything is accounted for", func() bool { return s.unsent.Load() == 0 && s.flow.inUse() == 0 })
}

func make500k() []byte {
	b := make([]byte, 500_000)
	for i := range b {
		b[i] = 'a'
	}
	return b
}

// Requests that wait for a slow disk are bounded: beyond that a connection is read no further.
func TestOutstandingRequestsAreBounded(t *testing.T) {
	mem, f := vfs.NewMem(), &faults{}
	s := open(t, vfs.NewFaulty(mem, f.call), Options{})
	c := memSession(t, s, longTimeout)
	hang := make(chan struct{})
	f.set(func(op vfs.Op) error {
		if op.Kind == vfs.OpSync {
			<-hang
		}
		return nil
	})
	const n = 100
	var sent atomic.Int32
	go func() {
		for i := range int32(n) {
			if _, err := c.nc.Write(rawRequest(100+i, opSetData, setBody("/", make([]byte, 500_000), -1))); err != nil {
				return
			}
			sent.Add(1)
		}
	}()
	eventually(t, "the bound is reached", func() bool { return s.flow.inUse() > connRequestBytes*3/4 })
	if used := s.flow.inUse(); used > connRequestBytes {
		t.Errorf("%d bytes outstanding", used)
	}
	if sent.Load() == n {
		t.Error("everything was read")
	}
	f.set(noFault)
	close(hang)
	for i := range int32(n) {
		if p := c.reply(); p.xid != 100+i || p.code != codeOK {
			t.Fatalf("%+v", p)
		}
	}
	eventually(t, "everything is accounted for", func() bool { return s.unsent.Load() == 0 && s.flow.inUse() == 0 })
}

// Nothing is answered before its sync has returned; requests that came meanwhile share the next one.
func TestNothingIsAnsweredBeforeItsSync(t *testing.T) {
	mem, f := vfs.NewMem(), &faults{}
	faulty := vfs.NewFaulty(mem, f.call)
	s := open(t, faulty, Options{})
	c, reader := memSession(t, s, longTimeout), memSession(t, s, longTimeout)
	hang := make(chan struct{})
	var syncing atomic.Int32
	f.set(func(op vfs.Op) error {
		if op.Kind == vfs.OpSync {
			syncing.Add(1)
			<-hang
		}
		return nil
	})
	const n = 50
	c.write(rawRequest(100, opCreate, createBody("/s-", nil, flagSequential)))
	eventually(t, "first sync", func() bool { return syncing.Load() == 1 })
	reader.write(rawRequest(7, opExists, watchBody("/s-0000000000", false))) // shows what is not yet durable
	if b, err := reader.tryRead(20 * time.Millisecond); err == nil {
		t.Fatalf("a read overtook the sync: %x", b)
	}
	for i := range int32(n - 1) {
		c.write(rawRequest(101+i, opCreate, createBody("/s-", nil, flagSequential)))
	}
	eventually(t, "all are in", func() bool { return s.flow.inUse() > n*requestCost })
	for _, r := range []*raw{c, reader} {
		if b, err := r.tryRead(20 * time.Millisecond); err == nil {
			t.Fatalf("answered before the sync: %x", b)
		}
	}
	close(hang)
	for i := range int32(n) {
		if p := c.reply(); p.xid != 100+i || p.code != codeOK {
			t.Fatalf("%+v", p)
		}
	}
	if p := reader.reply(); p.xid != 7 || p.code != codeOK {
		t.Errorf("%+v", p)
	}
	if got := syncing.Load(); got > 4 {
		t.Errorf("%d syncs for %d requests", got, n)
	}
}

// A snapshot may be due while a batch is being gathered: what comes behind it belongs to the new log.
func TestSnapshotInTheMiddleOfABatch(t *testing.T) {
	mem, f := vfs.NewMem(), &faults{}
	s := open(t, vfs.NewFaulty(mem, f.call), Options{SnapshotTransactions: 10})
	c := memSession(t, s, longTimeout)
	hang := make(chan struct{})
	var syncing atomic.Int32
	f.set(func(op vfs.Op) error {
		if op.Kind == vfs.OpSync {
			syncing.Add(1)
			<-hang
		}
		return nil
	})
	const n = 30
	c.write(rawRequest(100, opCreate, createBody("/s-", nil, flagSequential)))
	eventually(t, "first sync", func() bool { return syncing.Load() == 1 })
	for i := range int32(n - 1) {
		c.write(rawRequest(101+i, opCreate, createBody("/s-", nil, flagSequential)))
	}
	eventually(t, "all are in", func() bool { return s.flow.inUse() > n*requestCost })
	close(hang)
	for range n {
		c.reply()
	}
	eventually(t, "snapshot", func() bool {
		l, err := list(mem, testDir)
		return err == nil && len(l.snapshots) > 0 && len(l.tmp) == 0
	})
	st, rec, err := openStore(mem.CrashClone(vfs.CrashOptions{LoseUnsynced: true}), testDir, quiet(), true)
	if err != nil {
		t.Fatal(err)
	}
	if got := rec.machine.tree.find("/"); len(got.children) != n+1 {
		t.Errorf("%d nodes, want %d", len(got.children), n+1)
	}
	if err := st.close(); err != nil {
		t.Fatal(err)
	}
}
