package producerstate

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"errors"
	"hash/crc32"
	"io"
	"os"
	"strings"
	"testing"

	"gokafka/record"

	"github.com/twmb/franz-go/pkg/kerr"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

func TestSnapshotGolden(t *testing.T) {
	// From the directory of a live Apache Kafka 3.9.1 broker.
	for text, want := range map[string][]Entry{
		"0001 48674bc7 00000000": {},
		"0001 148e699a 00000001 0000000000000008 0000 00000001 0000000000000002 00000001 000001a202933c15 ffffffff 0000000000000001": {
			{8, 0, 1, 2, 1, 0x1a202933c15, -1, 1}},
	} {
		raw := unhex(text)
		got, err := DecodeSnapshot(raw)
		if err != nil || len(got) != len(want) || len(want) > 0 && got[0] != want[0] {
			t.Fatalf("%s: %+v %v", text, got, err)
		}
		if enc := AppendSnapshot([]byte("x"), got); !bytes.Equal(enc[1:], raw) {
			t.Fatalf("%x, want %x", enc[1:], raw)
		}
		m := New("t-0", testOptions())
		m.Load(got, 3, 0)
		if enc := m.EncodeSnapshot(); !bytes.Equal(enc, raw) {
			t.Fatalf("%x, want %x", enc, raw)
		}
	}
}

// Every snapshot that Apache wrote into the test directories goes through entries, and through a Manager, and comes out the same.
func TestSnapshotsOfApacheDirectories(t *testing.T) {
	found := 0
	for _, name := range []string{"apache-3.9-data-dir", "apache-3.9-data-dir-unclean"} {
		f, err := os.Open("../testdata/apache-3.9/" + name + ".tar.gz")
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		z, err := gzip.NewReader(f)
		if err != nil {
			t.Fatal(err)
		}
		for tr := tar.NewReader(z); ; {
			h, err := tr.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			if !strings.HasSuffix(h.Name, ".snapshot") {
				continue
			}
			raw, err := io.ReadAll(tr)
			if err != nil {
				t.Fatal(err)
			}
			entries, err := DecodeSnapshot(raw)
			if err != nil {
				t.Fatalf("%s: %v", h.Name, err)
			}
			if enc := AppendSnapshot(nil, entries); !bytes.Equal(enc, raw) {
				t.Fatalf("%s: %x, want %x", h.Name, enc, raw)
			}
			m := New("t-0", testOptions())
			m.Load(entries, 1, 0)
			if enc := m.EncodeSnapshot(); len(enc) != len(raw) {
				t.Fatalf("%s: %d bytes, want %d", h.Name, len(enc), len(raw))
			}
			found += len(entries)
		}
	}
	if found < 10 {
		t.Fatalf("only %d entries found", found)
	}
}

func TestSnapshotCorrupt(t *testing.T) {
	good := AppendSnapshot(nil, []Entry{{ProducerID: 1}, {ProducerID: 2}})
	recrc := func(b []byte) []byte {
		c := crc32.Checksum(b[6:], crc32.MakeTable(crc32.Castagnoli))
		b[2], b[3], b[4], b[5] = byte(c>>24), byte(c>>16), byte(c>>8), byte(c)
		return b
	}
	with := func(at int, v byte) []byte { b := bytes.Clone(good); b[at] = v; return b }
	for name, b := range map[string][]byte{
		"empty":            nil,
		"header only":      good[:9],
		"version 0":        with(1, 0),
		"version 2":        with(1, 2),
		"flipped bit":      with(20, 1),
		"cut":              recrc(bytes.Clone(good[:len(good)-1])),
		"trailing byte":    recrc(append(bytes.Clone(good), 0)),
		"too many entries": recrc(with(9, 3)),
		"negative count":   recrc(with(6, 0xff)),
		"huge count":       recrc(with(6, 0x7f)),
	} {
		if e, err := DecodeSnapshot(b); !errors.Is(err, ErrCorruptSnapshot) {
			t.Errorf("%s: %v %v", name, e, err)
		}
	}
}

// After a reload one batch of each producer is known, not five.
func TestReloadKeepsOneBatch(t *testing.T) {
	m := New("t-0", testOptions())
	for i := range int32(5) {
		mustAppend(t, m, record.Client, data{pid: 1, seq: i, offset: int64(i)}.batch())
	}
	mustAppend(t, m, record.Client, data{pid: 2, offset: 5, txn: true}.batch())
	if !m.SnapshotNeeded() {
		t.Fatal("the end has moved")
	}
	raw := m.EncodeSnapshot()
	m.SnapshotTaken()
	if m.SnapshotNeeded() || m.LastSnapshotOffset() != 6 {
		t.Fatal("the snapshot is at the end")
	}

	entries, err := DecodeSnapshot(raw)
	if err != nil {
		t.Fatal(err)
	}
	m = New("t-0", testOptions())
	m.Load(entries, 6, testNow)
	if m.Len() != 2 || m.MapEndOffset() != 6 || m.SnapshotNeeded() {
		t.Fatal(m.Len(), m.MapEndOffset())
	}
	wantUnstable(t, m, 5)
	v, _, err := appendOne(m, record.Client, 0, data{pid: 1, seq: 4, offset: 6}.batch())
	if err != nil || !v.Duplicate || v.FirstOffset != 4 {
		t.Fatal(v, err)
	}
	mustRefuse(t, m, record.Client, data{pid: 1, seq: 3, offset: 6}.batch(), kerr.OutOfOrderSequenceNumber)
	mustAppend(t, m, record.Client, data{pid: 1, seq: 5, offset: 6}.batch())
	if done := mustAppend(t, m, record.Coordinator, marker{pid: 2, offset: 7}.batch()); len(done) != 1 || done[0].FirstOffset != 5 {
		t.Fatal(done)
	}
}

// Expiry goes by the producer's own timestamps, when time passes and when a snapshot is loaded; open transactions never expire.
func TestExpiry(t *testing.T) {
	m := New("t-0", testOptions())
	mustAppend(t, m, record.Client, data{pid: 1, ts: 1000}.batch())
	mustAppend(t, m, record.Client, data{pid: 2, ts: 1000, offset: 1, txn: true}.batch())
	mustAppend(t, m, record.Client, data{pid: 3, ts: testNow, offset: 2}.batch())
	raw := m.EncodeSnapshot()
	check := func(m *Manager, want ...int64) {
		t.Helper()
		got := m.ActiveProducers()
		if len(got) != len(want) || m.Len() != len(want) {
			t.Fatalf("%+v, want %v", got, want)
		}
		for i := range want {
			if got[i].ProducerID != want[i] {
				t.Fatalf("%+v, want %v", got, want)
			}
		}
	}
	m.RemoveExpired(1000 + 86_400_000 - 1)
	check(m, 1, 2, 3)
	m.RemoveExpired(1000 + 86_400_000)
	check(m, 2, 3)
	// What has expired may come back with any sequence.
	mustAppend(t, m, record.Client, data{pid: 1, seq: 9, offset: 3}.batch())

	entries, err := DecodeSnapshot(raw)
	if err != nil {
		t.Fatal(err)
	}
	m = New("t-0", testOptions())
	m.Load(entries, 3, testNow+86_400_000)
	check(m, 2)
}

func TestTruncate(t *testing.T) {
	m := New("t-0", testOptions())
	for i := range int32(4) {
		mustAppend(t, m, record.Client, data{pid: 1, seq: i, offset: int64(i), txn: true}.batch())
	}
	if m.Truncate(0, 4, -1) {
		t.Fatal("nothing was cut")
	}
	if !m.Truncate(0, 2, -1) || m.Len() != 0 {
		t.Fatal("the state must go: acknowledging what is lost would be a phantom duplicate")
	}
	wantUnstable(t, m, -1)
	m.StartAt(0)
	if _, _, err := m.Replay(data{pid: 1, seq: 0, offset: 0, txn: true}.batch(), data{pid: 1, seq: 1, offset: 1, txn: true}.batch()); err != nil {
		t.Fatal(err)
	}
	wantUnstable(t, m, 0)
	mustAppend(t, m, record.Client, data{pid: 1, seq: 2, offset: 2, txn: true}.batch())

	m.TruncateFullyAndStartAt(100)
	if m.Len() != 0 || m.MapEndOffset() != 100 || m.LastSnapshotOffset() != 0 || !m.IsEmpty() {
		t.Fatal("not empty")
	}
}

func FuzzDecodeSnapshot(f *testing.F) {
	f.Add(AppendSnapshot(nil, nil))
	f.Add(AppendSnapshot(nil, []Entry{{ProducerID: 1, CurrentTxnFirstOffset: -1}, {ProducerID: 2, LastOffset: -1}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		entries, err := DecodeSnapshot(b)
		if err != nil {
			return
		}
		if enc := AppendSnapshot(nil, entries); !bytes.Equal(enc, b) {
			t.Fatalf("%x became %x", b, enc)
		}
		m := New("t-0", testOptions())
		m.Load(entries, 10, testNow)
		again, err := DecodeSnapshot(m.EncodeSnapshot())
		if err != nil || len(again) != m.Len() {
			t.Fatal(err)
		}
	})
}
