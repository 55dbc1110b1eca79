package embedded

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"gokafka/internal/vfs"
)

func TestSnapshotHoldsAllState(t *testing.T) {
	fs := vfs.NewMem()
	history(t, fs, 24, 3)
	st, rec, err := openStore(fs, testDir, quiet(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer st.close()
	content := rec.machine.encodeSnapshot(st.id)
	m, h, err := decodeSnapshot(content)
	if err != nil || h.id != st.id {
		t.Fatal(err, h)
	}
	wantState(t, "snapshot", dumpState(m), dumpState(rec.machine))
	if m.nextSession != rec.machine.nextSession {
		t.Errorf("next session %d, want %d", m.nextSession, rec.machine.nextSession)
	}
	checkTables(t, m)
	for i := range content {
		bad := append([]byte(nil), content...)
		bad[i] ^= 1
		if _, _, err := decodeSnapshot(bad); err == nil {
			t.Fatalf("a flipped bit in byte %d was not noticed", i)
		}
		if _, _, err := decodeSnapshot(content[:i]); err == nil {
			t.Fatalf("a snapshot cut at %d was read", i)
		}
	}
}

// snapshotted runs a server through several snapshots and returns its state.
func snapshotted(t *testing.T, fs vfs.FS) string {
	t.Helper()
	s := open(t, fs, Options{SnapshotTransactions: 10})
	c := memSession(t, s, longTimeout)
	for i := range 100 {
		c.wantCode("create", codeOK, opCreate, createBody(fmt.Sprintf("/n%d", i), nil, 0))
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	st, rec, err := openStore(fs, testDir, quiet(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer st.close()
	return dumpState(rec.machine)
}

func TestTwoSnapshotsAndTheirLogsAreKept(t *testing.T) {
	fs := vfs.NewMem()
	want := snapshotted(t, fs)
	l, err := list(fs, testDir)
	if err != nil || len(l.snapshots) != 2 || len(l.tmp) != 0 {
		t.Fatalf("%+v %v", l, err)
	}
	// The newest is broken: the one before and the logs after it give the same state.
	newest := filepath.Join(testDir, snapshotName(l.snapshots[1]))
	content := readAll(t, fs, newest)
	content[len(content)/2] ^= 1
	if err := vfs.WriteFile(fs, newest, content, true); err != nil {
		t.Fatal(err)
	}
	got, err := reopen(t, fs)
	if err != nil {
		t.Fatal(err)
	}
	wantState(t, "from the older snapshot", got, want)
	// Both are broken: refused, as the first log is gone.
	older := filepath.Join(testDir, snapshotName(l.snapshots[0]))
	if err := vfs.WriteFile(fs, older, content, true); err != nil {
		t.Fatal(err)
	}
	if _, err := reopen(t, fs); err == nil || !strings.Contains(err.Error(), older) || !strings.Contains(err.Error(), newest) {
		t.Errorf("%v", err)
	}
}

// Snapshots, log switches and removals may fail: the log has everything, and goes on.
func TestFailingSnapshotsDoNoHarm(t *testing.T) {
	for name, fails := range map[string]func(vfs.Op) bool{
		"write":     func(op vfs.Op) bool { return op.Kind == vfs.OpWrite && strings.HasSuffix(op.Name, tmpSuffix) },
		"rename":    func(op vfs.Op) bool { return op.Kind == vfs.OpRename },
		"remove":    func(op vfs.Op) bool { return op.Kind == vfs.OpRemove && !strings.HasSuffix(op.Name, tmpSuffix) },
		"new log":   func(op vfs.Op) bool { return op.Kind == vfs.OpOpen && op.Flag&syscall.O_CREAT != 0 && isLog(op.Name) },
		"log's dir": func(op vfs.Op) bool { return op.Kind == vfs.OpSyncDir },
	} {
		t.Run(name, func(t *testing.T) {
			mem, f := vfs.NewMem(), &faults{}
			fs := vfs.NewFaulty(mem, f.call)
			s := open(t, fs, Options{SnapshotTransactions: 10})
			c := memSession(t, s, longTimeout)
			f.set(func(op vfs.Op) error {
				if fails(op) {
					return errors.New("not now")
				}
				return nil
			})
			for i := range 100 {
				c.wantCode("create", codeOK, opCreate, createBody(fmt.Sprintf("/n%d", i), nil, 0))
			}
			f.set(noFault)
			crashed := mem.CrashClone(vfs.CrashOptions{LoseUnsynced: true})
			for i := range 50 {
				c.wantCode("create", codeOK, opCreate, createBody(fmt.Sprintf("/m%d", i), nil, 0))
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			for fs, last := range map[*vfs.Mem]string{mem: "/m49", crashed: "/n99"} {
				st, rec, err := openStore(fs, testDir, quiet(), true)
				if err != nil {
					t.Fatal(err)
				}
				if rec.machine.tree.find(last) == nil {
					t.Errorf("%s is lost", last)
				}
				if err := st.close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
