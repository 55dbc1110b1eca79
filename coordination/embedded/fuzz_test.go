package embedded

import (
	"bytes"
	"testing"

	"gokafka/internal/vfs"
)

// FuzzRequest decodes any frame, applies it and encodes the reply; what was decoded is replayed from its own record.
func FuzzRequest(f *testing.F) {
	for _, seed := range [][]byte{
		rawRequest(1, opCreate, createBody("/a", []byte("x"), 3)), rawRequest(2, opMulti, multiOp(opCheck, text("/"), num(0)),
			multiOp(opCreate, createBody("/a", nil, 0)), multiOp(opDelete, text("/zz"), num(-1)), multiEnd()),
		rawRequest(3, opSetWatches2, long(0), appendTexts(nil, []string{"/"}), num(0), num(-1), num(0), num(0)),
		rawRequest(4, opMultiRead, multiOp(opGetData, watchBody("/", true)), multiEnd()), rawRequest(-2, opPing), rawRequest(5, opCreate, num(-1), num(1<<30)),
		rawRequest(6, opGetACL, text("/zookeeper/config")), rawRequest(7, opAddWatch, text("/"), num(1)), rawRequest(8, 77),
	} {
		f.Add(seed[4:])
	}
	f.Fuzz(func(t *testing.T, frame []byte) {
		decodeConnect(frame)
		q, ok := decodeRequest(frame)
		if !ok || q.code != codeOK {
			return
		}
		m, twin := newMachine(), newMachine()
		replay := func(out outcome) {
			if out.record != nil {
				if err := twin.replay(bytes.Clone(out.record)); err != nil {
					t.Fatal(err)
				}
			}
		}
		replay(m.createSession(1, 1000, 1))
		out := m.apply(&command{req: q, conn: 1, session: 1, ids: []authID{{"ip", "127.0.0.1"}, {"digest", "a:b"}}}, 2)
		replay(out)
		appendReply(nil, q.xid, m.zxid, &out.result)
		checkTables(t, m)
		if got, want := dumpState(twin), dumpState(m); got != want {
			t.Fatalf("replay: got\n%s\nwant\n%s", got, want)
		}
	})
}

// FuzzLog opens any file as the only log. It must not panic, and what opens must open again to the same state.
func FuzzLog(f *testing.F) {
	fs := vfs.NewMem()
	history(f, fs, 10, 2)
	content := readAll(f, fs, logFileOf(1))
	f.Add(content)
	f.Add(content[:len(content)-3])
	f.Fuzz(func(t *testing.T, content []byte) {
		fs := withLog(t, content)
		if _, err := reopen(t, fs); err != nil {
			return
		}
	})
}

// FuzzReplay replays any record payload: the CRC keeps chance away from it, so the fuzzer goes around the CRC.
func FuzzReplay(f *testing.F) {
	m := newMachine()
	f.Add(bytes.Clone(m.createSession(7, 1000, 1).record))
	out := m.apply(&command{session: 7, req: &request{op: opCreate, flags: 1, path: "/e", data: []byte("x"), acl: openEntries()}}, 2)
	f.Add(bytes.Clone(out.record))
	f.Add(bytes.Clone(m.closeSession(7, 3).record))
	f.Fuzz(func(t *testing.T, payload []byte) {
		m := newMachine()
		m.createSession(7, 1000, 1)
		if len(payload) >= recordHeaderBytes {
			payload = append([]byte(nil), payload...)
			copy(payload[5:], appendI64(nil, 2))
		}
		if err := m.replay(payload); err == nil {
			checkTables(t, m)
			dumpState(m)
		}
	})
}

// FuzzSnapshot decodes any content under a good CRC.
func FuzzSnapshot(f *testing.F) {
	fs := vfs.NewMem()
	history(f, fs, 10, 2)
	st, rec, err := openStore(fs, testDir, quiet(), true)
	if err != nil {
		f.Fatal(err)
	}
	content := rec.machine.encodeSnapshot(st.id)
	st.close()
	f.Add(content[fileHeaderBytes : len(content)-4])
	f.Fuzz(func(t *testing.T, body []byte) {
		h := fileHeader{kind: kindSnapshot, zxid: 5}
		content := append(h.append(nil), body...)
		content = appendI32(content, int32(snapshotCRC(h, content)))
		m, _, err := decodeSnapshot(content)
		if err != nil {
			return
		}
		checkTables(t, m)
		again, _, err := decodeSnapshot(m.encodeSnapshot(h.id))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := dumpState(again), dumpState(m); got != want {
			t.Fatalf("got\n%s\nwant\n%s", got, want)
		}
	})
}
