package record

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
)

const legacySetsFile = "testdata/legacy-sets.txt.gz"

// legacySets are what Kafka 3.9.1's own MemoryRecordsBuilder made, by testdata/java/LegacySets.java.
func legacySets(t testing.TB) map[string][]byte {
	t.Helper()
	m := make(map[string][]byte)
	for _, line := range readLines(t, legacySetsFile) {
		name, text, _ := strings.Cut(line, " ")
		m[name] = unhex(t, text)
	}
	return m
}

// legacyCases is how LegacySets.java made the sets.
func legacyCases() map[string]goldenCase {
	big := make([]byte, 150000)
	for i := range big {
		big[i] = byte('a' + i/100%7)
	}
	s := func(base int64, tt TimestampType, at int64) BatchSpec {
		return BatchSpec{BaseOffset: base, TimestampType: tt, AppendTimeMs: at}
	}
	plain := goldenCase{spec: s(100, CreateTime, -1)}
	for i := range 20 {
		plain.recs = append(plain.recs, rec{offset: 100 + int64(i), ts: 1700000000000 + int64(i*37%11),
			key: fmt.Appendf(nil, "key-%d", i), value: fmt.Appendf(nil, "value value value %d", i)})
	}
	return map[string]goldenCase{
		"plain": plain,
		"nulls": {spec: s(0, CreateTime, -1), recs: []rec{
			{0, 1700000000005, nil, []byte("v"), nil}, {1, 1700000000001, []byte{}, nil, nil}, {2, -1, []byte("k"), []byte{}, nil}, {3, -1, nil, nil, nil}}},
		"logappend": {spec: s(5, LogAppendTime, 1700000099999), recs: []rec{
			{5, 1700000000005, []byte("a"), []byte("1"), nil}, {6, 1700000000006, []byte("b"), []byte("2"), nil}}},
		"gaps": {spec: s(200, CreateTime, -1), recs: []rec{
			{200, 10, []byte("a"), []byte("1"), nil}, {205, 20, []byte("b"), []byte("2"), nil}, {209, 15, []byte("c"), []byte("3"), nil}}},
		"big": {spec: s(1000, CreateTime, -1), recs: []rec{
			{1000, 1700000000000, []byte("big"), big, nil}, {1001, 1700000000000, []byte("small"), []byte("s"), nil}}},
		"one": {spec: s(0, CreateTime, -1), recs: []rec{{0, 1700000000000, []byte("k"), []byte("one"), nil}}},
	}
}

func buildLegacy(t testing.TB, c *Codecs, magic int8, codec Codec, g goldenCase) []byte {
	t.Helper()
	var b LegacyBuilder
	b.Reset(LegacySpec{Magic: magic, Codec: codec, Level: codec.DefaultLevel(), BaseOffset: g.spec.BaseOffset,
		TimestampType: g.spec.TimestampType, AppendTimeMs: g.spec.AppendTimeMs})
	for _, r := range g.recs {
		if err := b.Append(r.offset, r.ts, r.key, r.value); err != nil {
			t.Fatal(err)
		}
	}
	set, err := b.Build(nil, c)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

// readSet reads all records of batches of any magic.
func readSet(t testing.TB, c *Codecs, set []byte) (out []rec) {
	t.Helper()
	for len(set) > 0 {
		raw, magic, rest, err := NextAny(set)
		if err != nil {
			t.Fatalf("NextAny: %v", err)
		}
		if magic < 2 {
			if b := LegacyBatch(raw); b.CRC() != b.ComputeCRC() || b.SizeBytes() != len(raw) {
				t.Fatalf("entry at offset %d: CRC %x, computed %x", b.Offset(), b.CRC(), b.ComputeCRC())
			}
		}
		it, _, err := c.IterateAny(raw, nil, 1<<20)
		if err != nil {
			t.Fatalf("IterateAny: %v", err)
		}
		var r Record
		for it.Next(&r) {
			out = append(out, rec{offset: r.Offset, ts: r.Timestamp, key: r.Key, value: r.Value})
		}
		if it.Err() != nil {
			t.Fatalf("iterate: %v", it.Err())
		}
		set = rest
	}
	return out
}

// What Kafka builds we read, and build to the byte, or, under a codec, to the byte of what it compresses.
func TestGoldenLegacySets(t *testing.T) {
	c, sets := NewCodecs(), legacySets(t)
	for name, g := range legacyCases() {
		for magic := int8(0); magic <= 1; magic++ {
			for codec := None; codec <= LZ4; codec++ {
				t.Run(fmt.Sprintf("%s-%d-%v", name, magic, codec), func(t *testing.T) {
					set, ok := sets[fmt.Sprintf("%s-%d-%v", name, magic, codec)]
					if !ok {
						t.Fatal("no golden")
					}
					want := append([]rec(nil), g.recs...)
					for i := range want {
						if magic == 0 {
							want[i].ts = NoTimestamp
						}
					}
					checkRecords(t, readSet(t, c, set), want, magic == 1 && g.spec.TimestampType == LogAppendTime, g.spec.AppendTimeMs)
					if diff := sameSet(c, buildLegacy(t, c, magic, codec, g), set); diff != "" {
						t.Fatal(diff)
					}
				})
			}
		}
	}
	if len(sets) != len(legacyCases())*8 {
		t.Fatalf("%d goldens", len(sets))
	}
}

// sameSet says how sets differ, "" if only in what a compressor chooses.
func sameSet(c *Codecs, got, want []byte) string {
	for len(got) > 0 && len(want) > 0 {
		a, _, rest, err1 := NextAny(got)
		b, _, behind, err2 := NextAny(want)
		if err1 != nil || err2 != nil {
			return fmt.Sprint(err1, err2)
		}
		got, want = rest, behind
		if bytes.Equal(a, b) {
			continue
		}
		if diff := sameBatch(c, a, b); diff != "" {
			return diff
		}
	}
	if len(got) != len(want) {
		return fmt.Sprintf("%d bytes more, %d less", len(got), len(want))
	}
	return ""
}

// sameBatch compares two batches that differ, but perhaps only in what is compressed, length and CRC.
func sameBatch(c *Codecs, a, b []byte) string {
	x, y := anyBatch(a), anyBatch(b)
	if x != y || x.codec == None {
		return fmt.Sprintf("%x\n%x", a, b)
	}
	var plainA, plainB []byte
	var err1, err2 error
	if x.magic >= 2 {
		if !bytes.Equal(a[offAttributes:HeaderSizeBytes], b[offAttributes:HeaderSizeBytes]) || Batch(a).LeaderEpoch() != Batch(b).LeaderEpoch() {
			return fmt.Sprintf("headers\n%x\n%x", a[:HeaderSizeBytes], b[:HeaderSizeBytes])
		}
		plainA, err1 = c.Decompress(nil, x.codec, Batch(a).RecordsBlock(), 1<<20)
		plainB, err2 = c.Decompress(nil, x.codec, Batch(b).RecordsBlock(), 1<<20)
	} else {
		p, q := LegacyBatch(a), LegacyBatch(b)
		if p.CRC() != p.ComputeCRC() || p.Attributes() != q.Attributes() {
			return "CRC or attributes"
		}
		_, v, err := p.KeyValue()
		_, w, err3 := q.KeyValue()
		if err != nil || err3 != nil {
			return fmt.Sprint(err, err3)
		}
		if x.codec == LZ4 && !bytes.Equal(v[:7], w[:7]) {
			return fmt.Sprintf("lz4 frame headers %x, %x", v[:7], w[:7])
		}
		plainA, err1 = c.decompressLegacy(nil, x.codec, x.magic, v, 1<<20)
		plainB, err2 = c.decompressLegacy(nil, x.codec, x.magic, w, 1<<20)
	}
	if err1 != nil || err2 != nil || !bytes.Equal(plainA, plainB) {
		return fmt.Sprintf("contents (%v, %v)\n%x\n%x", err1, err2, plainA, plainB)
	}
	return ""
}
