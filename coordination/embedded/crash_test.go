package embedded

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"gokafka/internal/vfs"
)

// crashPoint is a file system as a kill or a power failure left it, and what clients had been told before.
type crashPoint struct {
	fs    *vfs.Mem
	acked map[string]bool
	zxid  int64
}

// Several clients write while the file system is cloned as by kill -9 and by power failures. Whatever was acknowledged
// before a clone was made is in it: nodes, sessions, ephemerals, the sequence, the zxid.
func TestCrashLosesNothingAcknowledged(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, fs, Options{SnapshotTransactions: 40}) // many snapshots and log switches among the crashes
	var mu sync.Mutex
	acked, zxid := map[string]bool{}, int64(0)
	var stop atomic.Bool
	var wg sync.WaitGroup
	memSession(t, s, longTimeout).wantCode("create", codeOK, opCreate, createBody("/p", nil, 0))
	clients := make([]*raw, 4)
	for i := range clients {
		clients[i] = memSession(t, s, longTimeout)
	}
	for _, c := range clients {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for n := 0; !stop.Load(); n++ {
				flags := int32(flagSequential)
				if n%10 == 0 {
					flags |= flagEphemeral
				}
				p := c.call(opCreate, createBody("/p/s-", []byte("data"), flags))
				d := decoder{b: p.body}
				path := d.text()
				mu.Lock()
				if acked[path] {
					t.Errorf("%s was given twice", path)
				}
				acked[path] = true
				zxid = max(zxid, p.zxid)
				mu.Unlock()
			}
		}()
	}
	var points []crashPoint
	for i := range 60 {
		time.Sleep(time.Millisecond) // let them write; how much does not matter
		point := crashPoint{acked: map[string]bool{}}
		mu.Lock()
		for path := range acked {
			point.acked[path] = true
		}
		point.zxid = zxid
		mu.Unlock()
		point.fs = fs.CrashClone(vfs.CrashOptions{Seed: uint64(i), LoseUnsynced: i%3 == 0, KeepUnsynced: i%3 == 1, UnorderedMetadata: i%2 == 0})
		points = append(points, point)
	}
	stop.Store(true)
	wg.Wait()
	for i, point := range points {
		st, rec, err := openStore(point.fs, testDir, quiet(), true)
		if err != nil {
			t.Fatalf("crash %d: %v", i, err)
		}
		m := rec.machine
		checkTables(t, m)
		if m.zxid < point.zxid {
			t.Errorf("crash %d: zxid %d, %d was acknowledged", i, m.zxid, point.zxid)
		}
		for path := range point.acked {
			n := m.tree.find(path)
			if n == nil {
				t.Fatalf("crash %d: %s is lost", i, path)
			}
			if _, ok := m.sessions[n.owner]; n.owner != 0 && !ok {
				t.Errorf("crash %d: the owner of %s is lost", i, path)
			}
		}
		for _, c := range clients {
			if _, ok := m.sessions[c.session]; !ok {
				t.Errorf("crash %d: session lost", i)
			}
		}
		if err := st.close(); err != nil {
			t.Fatal(err)
		}
	}
}

// Without syncs a kill loses nothing still, and a power failure leaves a directory that opens, to an earlier state.
func TestCrashWithoutSyncs(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, fs, Options{NoSync: true, SnapshotTransactions: 30})
	c := memSession(t, s, longTimeout)
	var points []*vfs.Mem
	for i := range 200 {
		c.wantCode("create", codeOK, opCreate, createBody(fmt.Sprintf("/n%d", i), make([]byte, 300), 0))
		points = append(points, fs.CrashClone(vfs.CrashOptions{Seed: uint64(i), KeepUnsynced: i%2 == 0, UnorderedMetadata: i%4 == 1}))
	}
	for i, fs := range points {
		st, rec, err := openStore(fs, testDir, quiet(), false)
		if err != nil {
			t.Fatalf("crash %d: %v", i, err)
		}
		checkTables(t, rec.machine)
		if i%2 == 0 && rec.machine.tree.find(fmt.Sprintf("/n%d", i)) == nil {
			t.Errorf("crash %d: a node is lost", i)
		}
		out := rec.machine.apply(&command{req: &request{op: opCreate, path: "/after", acl: openEntries()}}, 99)
		if err := st.log.append(frameRecord(nil, out.record)); err != nil {
			t.Fatal(err)
		}
		if err := st.close(); err != nil {
			t.Fatal(err)
		}
		if st, rec, err = openStore(fs, testDir, quiet(), false); err != nil || rec.machine.tree.find("/after") == nil {
			t.Fatalf("crash %d, second open: %v", i, err)
		}
		if err := st.close(); err != nil {
			t.Fatal(err)
		}
	}
}

// A server process on a real disk is killed under load, several times.
func TestKilledProcessLosesNothingAcknowledged(t *testing.T) {
	notShort(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	tg := &target{addr: l.Addr().String()}
	l.Close()
	dir := t.TempDir()
	var cmd *exec.Cmd
	start := func() {
		cmd = exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), "GOKAFKA_EMBEDDED_LISTEN="+tg.addr, "GOKAFKA_EMBEDDED_DIR="+dir)
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "process serves", func() bool { return serving(tg.addr) })
	}
	start()
	owner := rawSession(t, tg, longTimeout)
	owner.wantCode("create", codeOK, opCreate, createBody("/e", nil, flagEphemeral))
	seen := map[string]bool{}
	for range 4 {
		c := rawSession(t, tg, longTimeout)
		go func() {
			for i := int32(0); ; i++ {
				if _, err := c.nc.Write(rawRequest(i, opCreate, createBody("/s-", make([]byte, 100), flagSequential))); err != nil {
					return
				}
			}
		}()
		for n := 0; ; n++ {
			b, err := c.tryRead(20 * time.Second)
			if err != nil {
				break
			}
			d := decoder{b: parseReply(t, b).body}
			path := d.text()
			if seen[path] {
				t.Errorf("%s was given twice", path)
			}
			seen[path] = true
			if n == 300 {
				if err := cmd.Process.Kill(); err != nil {
					t.Fatal(err)
				}
			}
		}
		c.nc.Close()
		cmd.Wait() // killed: that is its error
		start()
	}
	back := dialRaw(t, tg)
	back.connect(longTimeout, owner.session, owner.password)
	back.wantCode("ephemeral", codeOK, opExists, watchBody("/e", false))
	p := back.wantCode("children", codeOK, opGetChildren, watchBody("/", false))
	d := decoder{b: p.body}
	names := map[string]bool{}
	for _, name := range d.texts() {
		names["/"+name] = true
	}
	for path := range seen {
		if !names[path] {
			t.Errorf("%s is lost", path)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
}

// faults is a hook for vfs.Faulty whose behaviour a test changes.
type faults struct {
	hook atomic.Pointer[func(vfs.Op) error]
}

func (f *faults) set(hook func(vfs.Op) error) { f.hook.Store(&hook) }

func (f *faults) call(op vfs.Op) error {
	if hook := f.hook.Load(); hook != nil {
		return (*hook)(op)
	}
	return nil
}

func isLog(name string) bool { return strings.HasPrefix(filepath.Base(name), logPrefix) }

func TestFullDiskRefusesChangesAndKeepsSessions(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, fs, Options{SnapshotTransactions: 50})
	owner, writer := memSession(t, s, longTimeout), memSession(t, s, longTimeout)
	owner.wantCode("create", codeOK, opCreate, createBody("/e", nil, flagEphemeral))
	fs.SetCapacity(spaceUsed(t, fs) + 2000)
	written := 0
	var last rawReply
	for { // fill it
		writer.xid++
		writer.write(rawRequest(writer.xid, opCreate, createBody(fmt.Sprintf("/n%d", written), make([]byte, 100), 0)))
		b, err := writer.tryRead(20 * time.Second)
		if err != nil {
			break
		}
		if last = parseReply(t, b); last.code != codeOK {
			t.Fatalf("%+v", last)
		}
		written++
	}
	// All connections were closed when it became full. Sessions are found again; reads and pings go on.
	back := memRaw(t, s)
	back.connect(longTimeout, owner.session, owner.password)
	if back.session != owner.session {
		t.Fatal("session lost")
	}
	for range 3 {
		back.write(rawRequest(-2, opPing))
		if p := back.reply(); p.xid != -2 {
			t.Errorf("%+v", p)
		}
		back.wantCode("ephemeral", codeOK, opExists, watchBody("/e", false))
	}
	if p := back.wantCode("children", codeOK, opGetChildren2, watchBody("/", false)); true {
		d := decoder{b: p.body}
		if names := d.texts(); len(names) != written+2 {
			t.Errorf("%d names, %d were acknowledged", len(names), written)
		}
		if p.zxid < last.zxid {
			t.Errorf("zxid fell from %d to %d", last.zxid, p.zxid)
		}
	}
	// A change closes its connection, and only that.
	second := memRaw(t, s)
	second.connect(longTimeout, writer.session, writer.password)
	second.write(rawRequest(1, opSetData, setBody("/e", []byte("v"), -1)))
	second.wantEOF()
	newcomer := memRaw(t, s)
	newcomer.write(frame(connectBody(0, longTimeout, 0, nil)))
	newcomer.wantEOF() // a new session is a change as well
	back.wantCode("reads go on", codeOK, opExists, watchBody("/e", false))

	crashed := fs.CrashClone(vfs.CrashOptions{LoseUnsynced: true})
	crashed.SetCapacity(0)
	fs.SetCapacity(0)
	eventually(t, "changes are taken again", func() bool {
		r := memRaw(t, s)
		r.connect(longTimeout, writer.session, writer.password)
		r.write(rawRequest(1, opSetData, setBody("/e", []byte("v"), -1)))
		b, err := r.tryRead(20 * time.Second)
		return err == nil && parseReply(t, b).code == codeOK
	})
	back.wantCode("same connection", codeOK, opSetData, setBody("/e", []byte("w"), -1))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, fs := range []*vfs.Mem{fs, crashed} {
		st, rec, err := openStore(fs, testDir, quiet(), true)
		if err != nil {
			t.Fatal(err)
		}
		for i := range written {
			if rec.machine.tree.find(fmt.Sprintf("/n%d", i)) == nil {
				t.Errorf("/n%d is lost", i)
			}
		}
		if err := st.close(); err != nil {
			t.Fatal(err)
		}
	}
}

// spaceUsed sums the files of the directory.
func spaceUsed(t *testing.T, fs vfs.FS) int64 {
	t.Helper()
	entries, err := fs.ReadDir(testDir)
	if err != nil {
		t.Fatal(err)
	}
	sum := int64(0)
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		sum += info.Size()
	}
	return sum
}

// A short write that ends in ENOSPC leaves no trace, wherever it stops.
func TestFullDiskCutsTheLogBack(t *testing.T) {
	for _, n := range []int{0, 1, 7, 8, 40, 1000} {
		mem, f := vfs.NewMem(), &faults{}
		st, rec, err := openStore(vfs.NewFaulty(mem, f.call), testDir, quiet(), true)
		if err != nil {
			t.Fatal(err)
		}
		m := rec.machine
		create := func(path string) error {
			out := m.apply(&command{req: &request{op: opCreate, path: path, data: make([]byte, 2000), acl: openEntries()}}, 1)
			return st.log.append(frameRecord(nil, out.record))
		}
		if err := create("/a"); err != nil {
			t.Fatal(err)
		}
		before := dumpState(m)
		f.set(func(op vfs.Op) error {
			if op.Kind == vfs.OpWrite {
				return &vfs.ShortWrite{N: n, Err: syscall.ENOSPC}
			}
			return nil
		})
		if err := create("/b"); !errors.Is(err, errDiskFull) {
			t.Errorf("%v", err)
		}
		f.set(noFault)
		again, err := st.load()
		if err != nil {
			t.Fatal(err)
		}
		wantState(t, "after the failure", dumpState(again.machine), before)
		if again.torn {
			t.Error("the failed write left something")
		}
		if err := st.close(); err != nil {
			t.Fatal(err)
		}
	}
}

func noFault(vfs.Op) error { return nil }

// A failing disk stops the server at once: what could not be made durable is never answered.
func TestFailingDiskStopsTheServer(t *testing.T) {
	broken := errors.New("the disk is broken")
	for name, hook := range map[string]func(vfs.Op) error{
		"write": func(op vfs.Op) error {
			if op.Kind == vfs.OpWrite && isLog(op.Name) {
				return broken
			}
			return nil
		},
		"sync": func(op vfs.Op) error {
			if op.Kind == vfs.OpSync && isLog(op.Name) {
				return broken
			}
			return nil
		},
		"full, and truncate": func(op vfs.Op) error {
			switch op.Kind {
			case vfs.OpWrite:
				return &vfs.ShortWrite{N: 10, Err: syscall.ENOSPC}
			case vfs.OpTruncate:
				return broken
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			mem, f := vfs.NewMem(), &faults{}
			s := open(t, vfs.NewFaulty(mem, f.call), Options{})
			c := memSession(t, s, longTimeout)
			c.wantCode("create", codeOK, opCreate, createBody("/a", nil, 0))
			f.set(hook)
			c.write(rawRequest(9, opCreate, createBody("/b", nil, 0)))
			c.wantEOF()
			<-s.Done()
			if err := s.Err(); !errors.Is(err, broken) {
				t.Errorf("%v", err)
			}
			if _, err := s.Dial(); err == nil {
				t.Error("a stopped server can be dialled")
			}
			f.set(noFault)
			if err := s.Close(); !errors.Is(err, broken) {
				t.Errorf("%v", err)
			}
			s, err := Open(context.Background(), Options{FS: mem, Dir: testDir, Logger: quiet()})
			if err != nil {
				t.Fatal(err)
			}
			again := memRaw(t, s)
			again.connect(longTimeout, c.session, c.password)
			again.wantCode("acknowledged", codeOK, opExists, watchBody("/a", false))
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}
