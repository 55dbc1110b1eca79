package record

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"pgregory.net/rapid"
)

func smallBatch(t testing.TB, values ...string) Batch {
	t.Helper()
	b := NewBuilder(NewBatchSpec())
	for i, v := range values {
		if err := b.Append(int64(i), []byte("key"), []byte(v)); err != nil {
			t.Fatal(err)
		}
	}
	_, batch, err := b.Build(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return batch
}

func TestNext(t *testing.T) {
	one, two := smallBatch(t, "a"), smallBatch(t, "b", "c")
	buf := append(bytes.Clone(one), two...)
	b, rest, err := Next(buf)
	if err != nil || !bytes.Equal(b, one) || cap(b) != len(b) {
		t.Fatal(err)
	}
	if b, rest, err = Next(rest); err != nil || !bytes.Equal(b, two) || len(rest) != 0 {
		t.Fatal(err)
	}
	for cut := range len(one) {
		want := ErrShortBatch
		if cut < HeaderSizeUpToMagicBytes {
			want = ErrShortHeader
		}
		if b, rest, err := Next(one[:cut]); err != want || b != nil || len(rest) != cut {
			t.Fatalf("cut at %d: %v", cut, err)
		}
	}
	with := func(at int, v ...byte) []byte { c := bytes.Clone(one); copy(c[at:], v); return c }
	for name, c := range map[string]struct {
		buf  []byte
		want error
	}{
		"length 0: a preallocated tail": {make([]byte, 100), ErrBatchLength},
		"length 13":                     {with(offLength, 0, 0, 0, 13), ErrBatchLength},
		"length 48 of magic 2":          {with(offLength, 0, 0, 0, 48), ErrBatchLength},
		"negative length":               {with(offLength, 0xff, 0xff, 0xff, 0xff), ErrBatchLength},
		"length MaxInt32":               {with(offLength, 0x7f, 0xff, 0xff, 0xff), ErrShortBatch},
		"magic 0":                       {with(offMagic, 0), MagicError(0)},
		"magic 1":                       {with(offMagic, 1), MagicError(1)},
		"magic 3":                       {with(offMagic, 3), MagicError(3)},
		"magic -1":                      {with(offMagic, 0xff), MagicError(-1)},
	} {
		if b, _, err := Next(c.buf); err != c.want || b != nil {
			t.Errorf("%s: %v", name, err)
		}
		if n := testing.AllocsPerRun(10, func() { Next(c.buf) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	if !errors.Is(MagicError(1), kerr.InvalidRecord) || !errors.Is(MagicError(9), kerr.CorruptMessage) || !errors.Is(ErrBatchLength, kerr.CorruptMessage) {
		t.Error("Kafka errors")
	}
	if size, magic, err := PeekHeader(with(offMagic, 1)); size != int64(len(one)) || magic != 1 || !errors.As(err, new(MagicError)) {
		t.Error("the size of a legacy entry is known", size, magic, err)
	}
}

func TestSequenceArithmetic(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		seq, by := rapid.Int32Range(0, math.MaxInt32).Draw(t, "seq"), rapid.Int32Range(0, math.MaxInt32).Draw(t, "by")
		sum := IncrementSequence(seq, by)
		if want := int32((int64(seq) + int64(by)) % (1 << 31)); sum != want {
			t.Fatalf("%d + %d = %d, want %d", seq, by, sum, want)
		}
		if back := DecrementSequence(sum, by); back != seq {
			t.Fatalf("%d - %d = %d, want %d", sum, by, back, seq)
		}
	})
}

func TestVarints(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		v, w := rapid.Int32().Draw(t, "v"), rapid.Int64().Draw(t, "w")
		b := appendVarint(nil, v)
		if got, n := readVarint(b); got != v || n != len(b) || n != sizeVarint(v) {
			t.Fatalf("%d: %d in %d of %x", v, got, n, b)
		}
		b = appendVarlong(nil, w)
		if got, n := readVarlong(b); got != w || n != len(b) || n != sizeVarlong(w) {
			t.Fatalf("%d: %d in %d of %x", w, got, n, b)
		}
		if _, n := readVarlong(b[:len(b)-1]); n > 0 {
			t.Fatal("cut varlong is read")
		}
	})
	if _, n := readVarint([]byte{0x80, 0x80, 0x80, 0x80, 0x80, 0}); n > 0 {
		t.Error("a varint of 6 bytes is read")
	}
	if _, n := readVarlong(bytes.Repeat([]byte{0x80}, 11)); n > 0 {
		t.Error("a varlong of 11 bytes is read")
	}
}

// rawBatch makes an uncompressed batch of hand-made record bytes.
func rawBatch(t testing.TB, count int32, block []byte) Batch {
	t.Helper()
	b := append(smallBatch(t, "x")[:HeaderSizeBytes:HeaderSizeBytes], block...)
	spec := NewBatchSpec()
	b.writeHeader(&spec, count-1, 0, 0, count)
	return b
}

func TestIteratorIsStrict(t *testing.T) {
	good := []byte{16, 0, 0, 0, 1, 1, 2, 0, 0} // no key, no value, a header with an empty key and an empty value
	withHeaderKey := func(n byte) []byte { g := bytes.Clone(good); g[7] = n; return g }
	for name, c := range map[string]struct {
		count int32
		block []byte
		ok    bool
	}{
		"good":                     {1, good, true},
		"two":                      {2, append(bytes.Clone(good), good...), true},
		"fewer than declared":      {2, good, false},
		"more than declared":       {1, append(bytes.Clone(good), good...), false},
		"byte behind the last":     {1, append(bytes.Clone(good), 0), false},
		"byte inside a record":     {1, append([]byte{18}, append(bytes.Clone(good[1:]), 0)...), false},
		"record cut":               {1, good[:len(good)-1], false},
		"size beyond the block":    {1, []byte{18, 0, 0, 0, 1, 1, 2, 0, 0}, false},
		"negative size":            {1, []byte{1, 0, 0, 0, 1, 1, 0}, false},
		"size does not end":        {1, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, false},
		"null header key":          {1, withHeaderKey(1), false},
		"header key beyond record": {1, withHeaderKey(8), false},
		"negative header count":    {1, []byte{12, 0, 0, 0, 1, 1, 1}, false},
		"2^30 headers":             {1, []byte{20, 0, 0, 0, 1, 1, 0x80, 0x80, 0x80, 0x80, 0x08}, false},
		"key beyond the record":    {1, []byte{12, 0, 0, 0, 8, 1, 0}, false},
		"key of -2 is null":        {1, []byte{12, 0, 0, 0, 3, 1, 0}, true},
		"negative count":           {-1, nil, false},
		"none, but bytes":          {0, good, false},
		"none":                     {0, nil, true},
	} {
		b := rawBatch(t, c.count, c.block)
		var r Record
		it := b.Iterate(b.RecordsBlock())
		n := int32(0)
		for it.Next(&r) {
			n++
		}
		if err := it.Err(); (err == nil) != c.ok || err != nil && !errors.Is(err, kerr.InvalidRecord) || c.ok && n != c.count {
			t.Errorf("%s: %d records, %v", name, n, err)
		}
		if c.count <= 0 {
			continue
		}
		// The same through the window of a scanner, compressed.
		codecs := NewCodecs()
		packed, err := codecs.Compress(nil, Gzip, -1, c.block)
		if err != nil {
			t.Fatal(err)
		}
		z := rawBatch(t, c.count, packed)
		z.setAttributes(int16(Gzip))
		s, err := codecs.scan(z, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		n = 0
		for s.Next(&r) {
			n++
		}
		if err := s.Err(); (err == nil) != c.ok || err != nil && !errors.Is(err, kerr.InvalidRecord) || c.ok && n != c.count {
			t.Errorf("%s, compressed: %d records, %v", name, n, err)
		}
		s.close()
	}
}

func TestIterationDoesNotAllocate(t *testing.T) {
	b := smallBatch(t, "a", "b", "c")
	if n := testing.AllocsPerRun(100, func() {
		var r Record
		it := b.Iterate(b.RecordsBlock())
		for it.Next(&r) {
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzNext walks whatever it is given, and builds again what it could read.
func FuzzNext(f *testing.F) {
	for _, b := range javaBatches(f) {
		f.Add([]byte(b))
	}
	c := NewCodecs()
	f.Fuzz(func(t *testing.T, buf []byte) {
		for len(buf) > 0 {
			b, rest, err := Next(buf)
			if err != nil {
				return
			}
			if len(b) < HeaderSizeBytes || b.SizeBytes() != len(b) || len(b)+len(rest) != len(buf) {
				t.Fatal("sizes do not add up")
			}
			buf = rest
			if _, _, err := b.EndTxnMarker(); err != nil && !errors.Is(err, kerr.InvalidRecord) {
				t.Fatal(err)
			}
			it, _, err := c.Iterate(b, nil, 1<<20)
			if err != nil {
				continue
			}
			rebuild(t, b, &it)
		}
	})
}

func rebuild(t *testing.T, b Batch, it *Iterator) {
	spec := NewBatchSpec()
	spec.BaseOffset = b.BaseOffset()
	builder := NewBuilder(spec)
	var recs []Record
	var r Record
	for it.Next(&r) {
		if builder.AppendRecord(r.Offset, &r) != nil { // offsets or timestamps out of order
			return
		}
		recs = append(recs, r)
	}
	if it.Err() != nil || len(recs) == 0 {
		return
	}
	_, again, err := builder.Build(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	it2 := again.Iterate(again.RecordsBlock())
	for i := 0; it2.Next(&r); i++ {
		w := recs[i]
		if r.Offset != w.Offset || r.Timestamp != w.Timestamp || !same(r.Key, w.Key) || !same(r.Value, w.Value) || !bytes.Equal(r.headers, w.headers) {
			t.Fatalf("record %d: %+v, want %+v", i, r, w)
		}
	}
	if it2.Err() != nil {
		t.Fatal(it2.Err())
	}
}
