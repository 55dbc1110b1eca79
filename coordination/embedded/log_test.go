package embedded

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"gokafka/internal/vfs"
)

const testDir = "/data"

// history writes n transactions, batched transactions to a sync, and returns the state after each, with the length the
// log had then.
func history(t testing.TB, fs vfs.FS, n, batched int) (states []string, ends []int64) {
	t.Helper()
	st, rec, err := openStore(fs, testDir, quiet(), true)
	if err != nil {
		t.Fatal(err)
	}
	m := rec.machine
	states, ends = append(states, dumpState(m)), append(ends, st.log.end)
	var records []byte
	for i := range n {
		var out outcome
		switch i % 5 {
		case 0:
			out = m.createSession(int64(1000+i), 30000, int64(i))
		case 1:
			out = m.apply(&command{session: int64(1000 + i - 1), req: &request{op: opCreate, flags: 3, path: "/s-", data: []byte("some data"), acl: openEntries()}}, int64(i))
		case 2:
			out = m.apply(&command{req: &request{op: opSetData, path: "/", data: []byte(fmt.Sprint(i)), version: -1}}, int64(i))
		case 3:
			out = m.apply(&command{req: &request{op: opMulti, ops: []request{
				{op: opCreate, path: fmt.Sprintf("/m%d", i), acl: []aclEntry{{31, "digest", "a:b"}}},
				{op: opCreate, path: fmt.Sprintf("/n%d", i), data: []byte{}, acl: openEntries()},
			}}}, int64(i))
		case 4:
			out = m.closeSession(int64(1000+i-4), int64(i))
		}
		if out.record == nil {
			t.Fatal("no record", i, out.result)
		}
		records = frameRecord(records, out.record)
		states, ends = append(states, dumpState(m)), append(ends, st.log.end+int64(len(records)))
		if (i+1)%batched == 0 || i == n-1 {
			if err := st.log.append(records); err != nil {
				t.Fatal(err)
			}
			records = nil
		}
	}
	if err := st.close(); err != nil {
		t.Fatal(err)
	}
	return states, ends
}

func logFileOf(first int64) string { return filepath.Join(testDir, logName(first)) }

func readAll(t testing.TB, fs vfs.FS, name string) []byte {
	t.Helper()
	b, err := vfs.ReadFile(fs, name, maxFileBytes)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// withLog is a fresh file system whose only log has this content.
func withLog(t testing.TB, content []byte) *vfs.Mem {
	t.Helper()
	fs := vfs.NewMem()
	if err := makeDir(fs, testDir); err != nil {
		t.Fatal(err)
	}
	if err := vfs.WriteFile(fs, logFileOf(1), content, true); err != nil {
		t.Fatal(err)
	}
	if err := fs.SyncDir(testDir); err != nil {
		t.Fatal(err)
	}
	return fs
}

// reopen opens the store, gives the state, and appends one more transaction to see that the log goes on well.
func reopen(t testing.TB, fs vfs.FS) (string, error) {
	t.Helper()
	st, rec, err := openStore(fs, testDir, quiet(), true)
	if err != nil {
		return "", err
	}
	checkTables(t, rec.machine)
	state := dumpState(rec.machine)
	out := rec.machine.apply(&command{req: &request{op: opCreate, path: "/after", acl: openEntries()}}, 99)
	if err := st.log.append(frameRecord(nil, out.record)); err != nil {
		t.Fatal(err)
	}
	after := dumpState(rec.machine)
	if err := st.close(); err != nil {
		t.Fatal(err)
	}
	st, rec, err = openStore(fs, testDir, quiet(), true)
	if err != nil {
		t.Fatal("second open:", err)
	}
	if got := dumpState(rec.machine); got != after {
		t.Errorf("second open: got\n%s\nwant\n%s", got, after)
	}
	return state, st.close()
}

func TestLogCutAtEveryByteOpensToAPrefix(t *testing.T) {
	fs := vfs.NewMem()
	states, ends := history(t, fs, 12, 1)
	content := readAll(t, fs, logFileOf(1))
	for cut := ends[len(ends)-4]; cut <= ends[len(ends)-1]; cut++ {
		want := 0
		for want+1 < len(ends) && ends[want+1] <= cut {
			want++
		}
		got, err := reopen(t, withLog(t, content[:cut]))
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		wantState(t, fmt.Sprint("cut at ", cut), got, states[want])
	}
	// A file cut within its header was never written to.
	for cut := range fileHeaderBytes + 1 {
		got, err := reopen(t, withLog(t, content[:cut]))
		if err != nil {
			t.Fatalf("cut at %d: %v", cut, err)
		}
		wantState(t, fmt.Sprint("cut at ", cut), got, states[0])
	}
}

func TestLogGarbageTailIsCutOff(t *testing.T) {
	fs := vfs.NewMem()
	states, ends := history(t, fs, 12, 1)
	content := readAll(t, fs, logFileOf(1))
	rng := rand.New(rand.NewPCG(1, 2))
	for range 50 {
		garbage := make([]byte, 1+rng.IntN(5000))
		if rng.IntN(2) == 0 {
			for i := range garbage {
				garbage[i] = byte(rng.Uint32())
			}
		}
		got, err := reopen(t, withLog(t, append(content[:ends[12]:ends[12]], garbage...)))
		if err != nil {
			t.Fatal(err)
		}
		wantState(t, "garbage", got, states[12])
	}
}

func TestFlippedByteIsAnErrorWithFileAndOffset(t *testing.T) {
	fs := vfs.NewMem()
	states, ends := history(t, fs, 12, 1)
	content := readAll(t, fs, logFileOf(1))
	for i := range content {
		bad := append([]byte(nil), content...)
		bad[i] ^= 0x10
		record := 0 // the one byte i is in
		for record < 12 && ends[record] <= int64(i) {
			record++
		}
		got, err := reopen(t, withLog(t, bad))
		if record == 12 && int64(i) >= ends[11] {
			// The last one: nothing tells it from a torn write.
			if err != nil {
				t.Fatalf("byte %d: %v", i, err)
			}
			wantState(t, fmt.Sprint("byte ", i), got, states[11])
			continue
		}
		offset := int64(0)
		if record > 0 {
			offset = ends[record-1]
		}
		if err == nil || !strings.Contains(err.Error(), logFileOf(1)) || !strings.Contains(err.Error(), fmt.Sprintf("offset %d:", offset)) {
			t.Fatalf("byte %d: %v, want file and offset %d", i, err, offset)
		}
	}
}

// A power failure may lose the first pages of an unsynced write and keep later ones. That is no corruption: nobody was
// told of any of it.
func TestHoleInTheLastBatchIsTorn(t *testing.T) {
	fs := vfs.NewMem()
	states, ends := history(t, fs, 12, 6)
	content := readAll(t, fs, logFileOf(1))
	clear(content[ends[6] : ends[6]+40])
	got, err := reopen(t, withLog(t, content))
	if err != nil {
		t.Fatal(err)
	}
	wantState(t, "hole", got, states[6])
	// The same hole in the batch before is one.
	content = readAll(t, fs, logFileOf(1))
	clear(content[ends[2] : ends[2]+40])
	if _, err := reopen(t, withLog(t, content)); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("offset %d:", ends[2])) {
		t.Errorf("hole in the middle: %v", err)
	}
}

// Bytes a client stores cannot pass for a record, not even the log itself.
func TestRecordsInsideDataAreNotRecords(t *testing.T) {
	fs := vfs.NewMem()
	_, ends := history(t, fs, 12, 1)
	content := readAll(t, fs, logFileOf(1))
	st, rec, err := openStore(fs, testDir, quiet(), true)
	if err != nil {
		t.Fatal(err)
	}
	// A forger who knows everything but the database id.
	forged := appendRecordHeader(nil, recordHeader{kind: recordOps, durable: 1 << 30, zxid: 14})
	h := fileHeader{kind: kindLog, zxid: 1}
	l := logFile{seed: h.seed(), end: 1 << 30, sync: true}
	framed := frameRecord(nil, forged)
	l.seal(framed)
	out := rec.machine.apply(&command{req: &request{op: opCreate, path: "/x", data: append(framed, content[ends[11]:]...), acl: openEntries()}}, 1)
	if err := st.log.append(frameRecord(nil, out.record)); err != nil {
		t.Fatal(err)
	}
	if err := st.close(); err != nil {
		t.Fatal(err)
	}
	whole := readAll(t, fs, logFileOf(1))
	if _, err := reopen(t, withLog(t, whole[:len(whole)-1])); err != nil {
		t.Error(err)
	}
}

func TestForeignAndNewerFilesAreRefused(t *testing.T) {
	a, b := vfs.NewMem(), vfs.NewMem()
	history(t, a, 3, 1)
	history(t, b, 3, 1)
	other := readAll(t, b, logFileOf(1))
	other = fileHeader{kind: kindLog, id: databaseID(other[16:32]), zxid: 4}.append(nil)
	if err := vfs.WriteFile(a, logFileOf(4), append(other, 0), true); err != nil {
		t.Fatal(err)
	}
	if _, err := reopen(t, a); err == nil || !strings.Contains(err.Error(), logFileOf(4)) {
		t.Errorf("foreign log: %v", err)
	}
	newer := readAll(t, b, logFileOf(1))
	newer[11]++
	if _, err := reopen(t, withLog(t, newer)); err == nil {
		t.Error("a newer format was read")
	}
	gap := vfs.NewMem()
	history(t, gap, 3, 1)
	if err := gap.Rename(logFileOf(1), logFileOf(3)); err != nil {
		t.Fatal(err)
	}
	if _, err := reopen(t, gap); err == nil || !strings.Contains(err.Error(), "missing") {
		t.Errorf("gap: %v", err)
	}
}

func TestDirectoryIsLocked(t *testing.T) {
	fs := vfs.NewMem()
	st, _, err := openStore(fs, testDir, quiet(), true)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := openStore(fs, testDir, quiet(), true); err == nil || !strings.Contains(err.Error(), testDir) {
		t.Errorf("opened twice: %v", err)
	}
	if err := st.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := reopen(t, fs); err != nil {
		t.Error(err)
	}
}

// The good records behind a hole must go: new ones might end exactly where one of them begins.
func TestTornTailIsRemoved(t *testing.T) {
	fs := vfs.NewMem()
	_, ends := history(t, fs, 12, 6)
	content := readAll(t, fs, logFileOf(1))
	clear(content[ends[6] : ends[6]+40])
	fs = withLog(t, content)
	st, _, err := openStore(fs, testDir, quiet(), true)
	if err != nil {
		t.Fatal(err)
	}
	for _, fs := range []*vfs.Mem{fs, fs.CrashClone(vfs.CrashOptions{LoseUnsynced: true})} {
		if got := readAll(t, fs, logFileOf(1)); int64(len(got)) != ends[6] {
			t.Errorf("%d bytes are left, want %d", len(got), ends[6])
		}
	}
	if err := st.close(); err != nil {
		t.Fatal(err)
	}
}
