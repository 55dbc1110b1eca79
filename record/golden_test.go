package record

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand"
	"os"
	"strings"
	"testing"
)

// javaBatches are batches that Kafka 3.9.1's own MemoryRecordsBuilder made, one "name hex" a line.
func javaBatches(t testing.TB) map[string]Batch {
	t.Helper()
	f, err := os.Open("testdata/java-batches.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	m := make(map[string]Batch)
	sc := bufio.NewScanner(f)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		name, text, _ := strings.Cut(sc.Text(), " ")
		raw, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		b, rest, err := Next(raw)
		if err != nil || len(rest) != 0 {
			t.Fatalf("%s: Next: %v, %d bytes left", name, err, len(rest))
		}
		m[name] = b
	}
	if err := sc.Err(); err != nil || len(m) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	return m
}

type rec struct {
	offset, ts int64
	key, value []byte
	headers    []Header
}

func readAll(t testing.TB, c *Codecs, b Batch) []rec {
	t.Helper()
	block := b.RecordsBlock()
	if b.Codec() != None {
		var err error
		if block, err = c.Decompress(nil, b.Codec(), block, 1<<20); err != nil {
			t.Fatalf("Decompress: %v", err)
		}
	}
	var out []rec
	var r Record
	it := b.Iterate(block)
	for it.Next(&r) {
		x := rec{offset: r.Offset, ts: r.Timestamp, key: r.Key, value: r.Value}
		for h := range r.Headers() {
			x.headers = append(x.headers, h)
		}
		out = append(out, x)
	}
	if it.Err() != nil {
		t.Fatalf("iterate: %v", it.Err())
	}
	return out
}

var codecNames = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// goldenCase is how testdata/java/Batches.java made the goldens: spec and records.
type goldenCase struct {
	spec BatchSpec
	last int64 // overridden last offset, or 0
	recs []rec
}

// goldenCases takes the large value from the uncompressed golden, so that the codecs are compared with each other.
func goldenCases(big []byte) map[string]goldenCase {
	s := func(f func(*BatchSpec)) BatchSpec { x := NewBatchSpec(); f(&x); return x }
	plain := goldenCase{spec: s(func(s *BatchSpec) { s.BaseOffset, s.LeaderEpoch = 100, 7 })}
	for i := range 20 {
		plain.recs = append(plain.recs, rec{offset: 100 + int64(i), ts: 1700000000000 + int64(i*37%11),
			key: fmt.Appendf(nil, "key-%d", i), value: fmt.Appendf(nil, "value value value %d", i)})
	}
	return map[string]goldenCase{
		"plain": plain,
		"txn-headers-nulls": {
			spec: s(func(s *BatchSpec) {
				s.ProducerID, s.ProducerEpoch, s.BaseSequence, s.Transactional = 4711, 3, 1<<31-2, true
			}),
			recs: []rec{
				{0, 1700000000005, nil, []byte("v"), []Header{{[]byte("h1"), []byte("x")}, {[]byte("h2"), nil}, {[]byte{}, []byte{}}}},
				{1, 1700000000001, []byte{}, nil, nil},
				{2, 1700000000009, []byte("k"), []byte{}, []Header{{[]byte("h1"), []byte("y")}}},
				{3, -1, nil, nil, nil},
			},
		},
		"logappend": {
			spec: s(func(s *BatchSpec) {
				s.BaseOffset, s.LeaderEpoch, s.TimestampType, s.AppendTimeMs = 5, 0, LogAppendTime, 1700000099999
			}),
			recs: []rec{{5, 1700000000005, []byte("a"), []byte("1"), nil}, {6, 1700000000006, []byte("b"), []byte("2"), nil}},
		},
		"big": {
			spec: s(func(s *BatchSpec) { s.BaseOffset, s.LeaderEpoch = 1000, 1 }),
			recs: []rec{{1000, 1700000000000, []byte("big"), big, nil}, {1001, 1700000000000, []byte("small"), []byte("s"), nil}},
		},
		"gaps": {
			spec: s(func(s *BatchSpec) { s.BaseOffset, s.LeaderEpoch = 200, 1 }), last: 212,
			recs: []rec{{200, 10, []byte("a"), []byte("1"), nil}, {205, 20, []byte("b"), []byte("2"), nil}, {209, 15, []byte("c"), []byte("3"), nil}},
		},
		"horizon": {
			spec: s(func(s *BatchSpec) {
				s.BaseOffset, s.LeaderEpoch, s.DeleteHorizonMs = 300, 4, 1800000000000
				s.ProducerID, s.ProducerEpoch, s.BaseSequence, s.Transactional = 9, 1, 17, true
			}),
			recs: []rec{{301, 1700000000123, []byte("a"), nil, nil}},
		},
	}
}

func build(t testing.TB, c *Codecs, g goldenCase, codec Codec) Batch {
	t.Helper()
	g.spec.Codec, g.spec.Level = codec, codec.DefaultLevel()
	b := NewBuilder(g.spec)
	for _, r := range g.recs {
		if err := b.AppendAt(r.offset, r.ts, r.key, r.value, r.headers...); err != nil {
			t.Fatal(err)
		}
	}
	if g.last != 0 {
		b.OverrideLastOffset(g.last)
	}
	_, batch, err := b.Build(nil, c)
	if err != nil {
		t.Fatal(err)
	}
	return batch
}

func TestGoldenJavaBatches(t *testing.T) {
	golden, c := javaBatches(t), NewCodecs()
	big := readAll(t, c, golden["big-none"])[0].value
	for name, g := range goldenCases(big) {
		for codec, cn := range codecNames {
			t.Run(name+"-"+cn, func(t *testing.T) {
				want := golden[name+"-"+cn]
				if want.CRC() != want.ComputeCRC() {
					t.Fatalf("CRC %x, computed %x", want.CRC(), want.ComputeCRC())
				}
				got := readAll(t, c, want)
				logAppend := g.spec.TimestampType == LogAppendTime
				checkRecords(t, got, g.recs, logAppend, g.spec.AppendTimeMs)

				ours := build(t, c, g, Codec(codec))
				if codec == 0 && !bytes.Equal(ours, want) {
					t.Fatalf("our bytes differ\n%x\n%x", ours, want)
				}
				checkRecords(t, readAll(t, c, ours), g.recs, logAppend, g.spec.AppendTimeMs)
				// Header fields do not depend on the codec, except length, CRC and codec.
				if !bytes.Equal(ours[:offLength], want[:offLength]) || !bytes.Equal(ours[offLeaderEpoch:offCRC], want[offLeaderEpoch:offCRC]) ||
					!bytes.Equal(ours[offAttributes:HeaderSizeBytes], want[offAttributes:HeaderSizeBytes]) {
					t.Fatalf("headers differ\n%x\n%x", ours[:HeaderSizeBytes], want[:HeaderSizeBytes])
				}
			})
		}
	}
}

func checkRecords(t *testing.T, got, want []rec, logAppend bool, appendTime int64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d records, want %d", len(got), len(want))
	}
	for i, w := range want {
		if logAppend {
			w.ts = appendTime
		}
		g := got[i]
		if g.offset != w.offset || g.ts != w.ts || !same(g.key, w.key) || !same(g.value, w.value) || len(g.headers) != len(w.headers) {
			t.Fatalf("record %d: got %v, want %v", i, g, w)
		}
		for j := range w.headers {
			if !same(g.headers[j].Key, w.headers[j].Key) || !same(g.headers[j].Value, w.headers[j].Value) {
				t.Fatalf("record %d header %d: got %q, want %q", i, j, g.headers[j], w.headers[j])
			}
		}
	}
}

// same tells null from empty.
func same(a, b []byte) bool { return bytes.Equal(a, b) && (a == nil) == (b == nil) }

func TestGoldenControlAndEmptyBatches(t *testing.T) {
	golden := javaBatches(t)
	for name, spec := range map[string]MarkerSpec{
		"marker-commit": {55, 6, 1700000000777, 12, 4, ControlCommit, 33},
		"marker-abort":  {56, -1, 1700000000778, 12, 4, ControlAbort, 0},
	} {
		want := golden[name]
		got, err := AppendEndTxnMarker(nil, spec)
		if err != nil || !bytes.Equal(got, want) {
			t.Fatalf("%s: %v\n%x\n%x", name, err, got, []byte(want))
		}
		m, ok, err := want.EndTxnMarker()
		if err != nil || !ok || m != (EndTxnMarker{spec.Type, spec.CoordinatorEpoch, spec.BaseOffset, spec.TimestampMs}) {
			t.Fatalf("%s: %+v %v %v", name, m, ok, err)
		}
		if !want.IsControl() || !want.IsTransactional() || want.LastSequence() != NoSequence || len(want) != 78 {
			t.Fatalf("%s: header misread", name)
		}
	}

	empty := golden["empty"]
	spec := NewBatchSpec()
	spec.BaseOffset, spec.LeaderEpoch, spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence = 400, 8, 12, 4, 77
	spec.Transactional = true
	b := NewBuilder(spec)
	for i := range 10 {
		if err := b.Append(1700000000778-int64(i), []byte("k"), nil); err != nil {
			t.Fatal(err)
		}
	}
	_, full, err := b.Build(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := AppendEmptyBatch(nil, full); !bytes.Equal(got, empty) {
		t.Fatalf("empty batch\n%x\n%x", got, []byte(empty))
	}
	if empty.LastOffset() != 409 || empty.LastSequence() != 86 || len(readAll(t, nil, empty)) != 0 {
		t.Fatal("empty batch misread")
	}
	if _, ok, err := empty.EndTxnMarker(); ok || err != nil {
		t.Fatal("an emptied control batch has no marker")
	}
}

func randomBlock(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		if b[i] = byte('a' + r.Intn(4)); r.Intn(50) == 0 {
			b[i] = byte(r.Intn(256))
		}
	}
	return b
}
