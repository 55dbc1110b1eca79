package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"pgregory.net/rapid"
)

// rawEntry makes an entry of any attributes, with a valid CRC.
func rawEntry(t testing.TB, magic int8, attributes byte, offset, ts int64, key, value []byte) []byte {
	t.Helper()
	e := (&LegacySpec{Magic: magic}).appendHead(nil, offset, None, ts)
	e[legacyAttributesAt] = attributes
	e = appendLegacyField(appendLegacyField(e, key), value)
	if err := finishLegacyEntry(e); err != nil {
		t.Fatal(err)
	}
	return e
}

func resized(t testing.TB, e []byte) []byte {
	t.Helper()
	e = bytes.Clone(e)
	if err := finishLegacyEntry(e); err != nil {
		t.Fatal(err)
	}
	return e
}

func wrapEntries(t testing.TB, c *Codecs, magic int8, codec Codec, offset int64, entries ...[]byte) []byte {
	t.Helper()
	value, err := c.compressLegacy([]byte{}, codec, magic, codec.DefaultLevel(), bytes.Join(entries, nil))
	if err != nil {
		t.Fatal(err)
	}
	return rawEntry(t, magic, byte(codec), offset, genNow, nil, value)
}

func TestNextAny(t *testing.T) {
	sets := legacySets(t)
	old, one := sets["one-1-none"], smallBatch(t, "a")
	buf := append(bytes.Clone(old), one...)
	raw, magic, rest, err := NextAny(buf)
	if err != nil || magic != 1 || !bytes.Equal(raw, old) || cap(raw) != len(raw) {
		t.Fatal(magic, err)
	}
	if raw, magic, rest, err = NextAny(rest); err != nil || magic != 2 || !bytes.Equal(raw, one) || len(rest) != 0 {
		t.Fatal(magic, err)
	}
	for cut := range len(old) {
		want := ErrShortBatch
		if cut < HeaderSizeUpToMagicBytes {
			want = ErrShortHeader
		}
		if raw, _, rest, err := NextAny(old[:cut]); err != want || raw != nil || len(rest) != cut {
			t.Fatalf("cut at %d: %v", cut, err)
		}
	}
	with := func(at int, v ...byte) []byte { c := bytes.Clone(old); copy(c[at:], v); return c }
	for name, c := range map[string]struct {
		buf  []byte
		want error
	}{
		"length 0: a preallocated tail":  {make([]byte, 100), ErrBatchLength},
		"length 13":                      {with(offLength, 0, 0, 0, 13), ErrBatchLength},
		"negative length":                {with(offLength, 0xff, 0xff, 0xff, 0xff), ErrBatchLength},
		"length MaxInt32":                {with(offLength, 0x7f, 0xff, 0xff, 0xff), ErrShortBatch},
		"magic 2, too short":             {with(offMagic, 2), ErrBatchLength},
		"magic 2, too short and cut off": {with(offMagic, 2)[:30], ErrShortBatch},
		"magic 3":                        {with(offMagic, 3), MagicError(3)},
		"magic 3, cut off":               {with(offMagic, 3)[:30], MagicError(3)},
		"magic -1":                       {with(offMagic, 0xff), MagicError(-1)},
	} {
		if raw, _, _, err := NextAny(c.buf); err != c.want || raw != nil {
			t.Errorf("%s: %v", name, err)
		}
		if n := testing.AllocsPerRun(10, func() { NextAny(c.buf) }); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func TestLZ4BrokenChecksum(t *testing.T) {
	if got := byte(xxh32(lz4Header[:6]) >> 8); got != lz4BrokenChecksum {
		t.Fatalf("%x", got)
	}
	c := NewCodecs()
	frame, err := c.compressLegacy(nil, LZ4, 0, LZ4.DefaultLevel(), []byte("content"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.decompressLegacy(nil, LZ4, 1, frame, 100); !errors.Is(err, errLZ4Descriptor) {
		t.Fatal("magic 1 compares the checksum", err)
	}
	for sum := range 256 { // magic 0 does not, and so right ones are read too
		frame[6] = byte(sum)
		if out, err := c.decompressLegacy(nil, LZ4, 0, frame, 100); err != nil || string(out) != "content" {
			t.Fatal(sum, err)
		}
	}
}

// The offset rules of wrappers: relative in magic 1, but for a wrapper at 0; absolute in magic 0.
func TestWrapperOffsets(t *testing.T) {
	c := NewCodecs()
	entry := func(magic int8, offset int64) []byte { return rawEntry(t, magic, 0, offset, genNow, nil, []byte("v")) }
	for name, x := range map[string]struct {
		magic, inner int8
		wrapper      int64
		offsets      []int64
		want         []int64 // nil: refused
	}{
		"relative":                    {1, 1, 102, []int64{0, 1, 2}, []int64{100, 101, 102}},
		"relative with gaps":          {1, 1, 109, []int64{0, 4, 9}, []int64{100, 104, 109}},
		"absolute in magic 1":         {1, 1, 102, []int64{100, 101, 102}, []int64{100, 101, 102}},
		"wrapper of old librdkafka":   {1, 1, 0, []int64{0, 1, 2}, []int64{0, 1, 2}},
		"wrapper below its messages":  {1, 1, 1, []int64{0, 1, 2}, nil},
		"all at the same offset":      {1, 1, 7, []int64{0, 0, 0}, []int64{7, 7, 7}},
		"absolute in magic 0":         {0, 0, 102, []int64{100, 101, 102}, []int64{100, 101, 102}},
		"any wrapper offset, magic 0": {0, 0, 5, []int64{100, 101, 102}, []int64{100, 101, 102}},
		"other magic inside":          {1, 0, 102, []int64{0, 1, 2}, []int64{100, 101, 102}},
	} {
		var entries [][]byte
		for _, o := range x.offsets {
			entries = append(entries, entry(x.inner, o))
		}
		it, _, err := c.IterateLegacy(wrapEntries(t, c, x.magic, Gzip, x.wrapper, entries...), nil, 1<<20)
		if x.want == nil {
			if !errors.Is(err, kerr.InvalidRecord) {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		var got []int64
		for r := (Record{}); it.Next(&r); {
			got = append(got, r.Offset)
		}
		if it.Err() != nil || fmt.Sprint(got) != fmt.Sprint(x.want) {
			t.Errorf("%s: %v, %v %v", name, got, err, it.Err())
		}
	}
}

// With LogAppendTime the wrapper's timestamp is that of all its messages of magic 1.
func TestWrapperTimestamps(t *testing.T) {
	c := NewCodecs()
	entries := [][]byte{rawEntry(t, 1, 0, 0, 5, nil, nil), rawEntry(t, 0, 0, 1, 0, nil, nil), rawEntry(t, 1, attrLogAppendTime, 2, 7, nil, nil)}
	value, err := c.Compress([]byte{}, Gzip, Gzip.DefaultLevel(), bytes.Join(entries, nil))
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		magic      int8
		attributes byte
		want       string
	}{
		"create time":     {1, 0, "[5 -1 7]"},
		"log append time": {1, attrLogAppendTime, "[99 -1 99]"},
		"magic 0":         {0, attrLogAppendTime, "[5 -1 7]"}, // knows no such bit
	} {
		it, _, err := c.IterateLegacy(rawEntry(t, x.magic, byte(Gzip)|x.attributes, 2, 99, nil, value), nil, 1<<20)
		var got []int64
		for r := (Record{}); it.Next(&r); {
			got = append(got, r.Timestamp)
		}
		if err != nil || it.Err() != nil || fmt.Sprint(got) != x.want {
			t.Errorf("%s: %v, %v %v", name, got, err, it.Err())
		}
	}
}

func TestWrapperStructure(t *testing.T) {
	c := NewCodecs()
	good := rawEntry(t, 1, 0, 0, genNow, []byte("k"), []byte("v"))
	short := bytes.Clone(good)
	binary.BigEndian.PutUint32(short[offLength:], 13)
	for name, x := range map[string]struct {
		b     []byte
		count int
		want  error
	}{
		"good":                      {wrapEntries(t, c, 1, Snappy, 1, good, good), 2, nil},
		"last message cut short":    {wrapEntries(t, c, 1, Snappy, 1, good, good[:len(good)-1]), 1, nil},
		"less than a head behind":   {wrapEntries(t, c, 1, Snappy, 1, good, good[:11]), 1, nil},
		"no messages":               {wrapEntries(t, c, 1, Snappy, 1), 0, kerr.InvalidRecord},
		"only a part of one":        {wrapEntries(t, c, 1, Snappy, 1, good[:20]), 0, kerr.InvalidRecord},
		"message of length 13":      {wrapEntries(t, c, 1, Snappy, 1, good, short), 0, kerr.CorruptMessage},
		"null value":                {rawEntry(t, 1, byte(Gzip), 0, 0, nil, nil), 0, kerr.InvalidRecord},
		"empty value":               {rawEntry(t, 1, byte(Gzip), 0, 0, nil, []byte{}), 0, kerr.InvalidRecord},
		"zstd":                      {rawEntry(t, 1, byte(Zstd), 0, 0, nil, []byte("x")), 0, kerr.InvalidRecord},
		"codec 7":                   {rawEntry(t, 1, 7, 0, 0, nil, []byte("x")), 0, kerr.InvalidRecord},
		"a wrapper in a wrapper":    {wrapEntries(t, c, 1, Gzip, 1, good, wrapEntries(t, c, 1, Gzip, 1, good)), 1, kerr.InvalidRecord},
		"key beyond a plain one":    {resized(t, append(bytes.Clone(good[:legacyKeyAt1]), 0, 0, 0, 99, 0, 0, 0, 0)), 0, kerr.InvalidRecord},
		"magic 1 in magic 0's size": {resized(t, good[:legacyKeyAt0+8]), 0, kerr.InvalidRecord},
	} {
		it, _, err := c.IterateLegacy(x.b, nil, 1<<20)
		n := 0
		if err == nil {
			for r := (Record{}); it.Next(&r); n++ {
			}
			err = it.Err()
		}
		if n != x.count || !errors.Is(err, x.want) {
			t.Errorf("%s: %d messages, %v", name, n, err)
		}
	}
}

// A wrapper of a few bytes may not take the memory it claims.
func TestWrapperBounds(t *testing.T) {
	c := NewCodecs()
	bomb := rawEntry(t, 1, 0, 0, genNow, nil, make([]byte, 10<<20))
	for codec := Gzip; codec <= LZ4; codec++ {
		b := wrapEntries(t, c, 1, codec, 0, bomb)
		if len(b) > 1<<20 {
			t.Fatal("not a bomb")
		}
		if _, block, err := c.IterateLegacy(b, nil, 1<<20); err != ErrTooLarge || cap(block) > 4<<20 {
			t.Errorf("%v: %v, %d bytes", codec, err, cap(block))
		}
		o := checkOptions()
		o.MaxDecompressedBytes = 1 << 20
		if _, err := c.CheckLegacy(b, o); !errors.Is(err, kerr.MessageTooLarge) {
			t.Errorf("%v: %v", codec, err)
		}
		if _, err := downConvert(c, b, &DownConversion{Magic: 0, MaxDecompressedBytes: 1 << 20}); !errors.Is(err, kerr.MessageTooLarge) {
			t.Errorf("%v: %v", codec, err)
		}
	}
	huge := rawEntry(t, 1, 0, 0, genNow, nil, []byte("v"))
	binary.BigEndian.PutUint32(huge[offLength:], math.MaxInt32)
	if _, _, err := c.IterateLegacy(wrapEntries(t, c, 1, Gzip, 0, huge), nil, 1<<20); !errors.Is(err, kerr.InvalidRecord) {
		t.Error("a declared length of 2 GiB", err)
	}
}

func TestLegacyBuilderRefuses(t *testing.T) {
	var b LegacyBuilder
	b.Reset(LegacySpec{Magic: 1, BaseOffset: 5})
	for _, x := range []struct {
		offset, ts int64
		ok         bool
	}{{5, 1, true}, {5, 1, false}, {4, 1, false}, {6, -2, false}, {6, -1, true}, {6 + 1<<31, 1, false}} {
		if err := b.Append(x.offset, x.ts, nil, nil); (err == nil) != x.ok {
			t.Errorf("%+v: %v", x, err)
		}
	}
	if b.Count() != 2 {
		t.Error(b.Count())
	}
	b.Reset(LegacySpec{Magic: 1, Codec: Gzip})
	if out, err := b.Build([]byte("x"), NewCodecs()); err != nil || string(out) != "x" {
		t.Error("an empty set has no wrapper", err)
	}
	b.Reset(LegacySpec{Magic: 1, Codec: Zstd})
	if err := b.Append(0, 0, nil, nil); err != nil {
		t.Error(err)
	}
	if out, err := b.Build([]byte("x"), NewCodecs()); err == nil || string(out) != "x" {
		t.Error("zstd in the old format", err)
	}
}

// drawRecords draws records, their offsets rising with gaps.
func drawRecords(t *rapid.T, base int64) (recs []rec) {
	offset := base
	for range rapid.IntRange(1, 8).Draw(t, "n") {
		field := func(name string) []byte {
			if rapid.IntRange(0, 3).Draw(t, name+"Null") == 0 {
				return nil
			}
			return rapid.SliceOfN(rapid.Byte(), 0, 50).Draw(t, name)
		}
		recs = append(recs, rec{offset: offset, ts: rapid.Int64Range(-1, 1<<50).Draw(t, "ts"), key: field("key"), value: field("value")})
		offset += rapid.Int64Range(1, 3).Draw(t, "gap")
	}
	return recs
}

func same2(a, b rec) bool {
	return a.offset == b.offset && a.ts == b.ts && same(a.key, b.key) && same(a.value, b.value)
}

// A set of the old format comes back from its conversion, as records, with consecutive offsets.
func TestUpConversionKeepsRecords(t *testing.T) {
	c := NewCodecs()
	rapid.Check(t, func(rt *rapid.T) {
		magic := int8(rapid.IntRange(0, 1).Draw(rt, "magic"))
		codec := Codec(rapid.IntRange(0, 3).Draw(rt, "codec"))
		recs := drawRecords(rt, rapid.Int64Range(0, 1000).Draw(rt, "base"))
		o := checkOptions()
		o.KeepCodec, o.Codec = rapid.Bool().Draw(rt, "keep"), Codec(rapid.IntRange(0, 4).Draw(rt, "target"))
		o.Level = o.Codec.DefaultLevel()
		target := o.Codec
		if o.KeepCodec {
			target = codec
		}
		if rapid.Bool().Draw(rt, "logAppend") {
			o.TimestampType = LogAppendTime
		}
		set := buildLegacy(t, c, magic, codec, goldenCase{spec: BatchSpec{BaseOffset: recs[0].offset}, recs: recs})
		sent := bytes.Clone(set)
		k, err := c.CheckLegacy(set, o)
		if err != nil || !k.Rebuilt() || k.Count() != len(recs) {
			rt.Fatal(err)
		}
		for _, now := range []int64{genNow + 5, genNow - 5} { // assigned twice: a retry under the lock
			a := k.Assign(77, 3, now)
			b := a.Batch
			if b.CRC() != b.ComputeCRC() || b.Codec() != target || b.HasProducerID() || b.LeaderEpoch() != 3 || b.BaseOffset() != 77 || a.LastOffset != b.LastOffset() ||
				b.LastOffset() != 76+int64(len(recs)) || b.TimestampType() != o.TimestampType || a.MaxTimestampMs != b.MaxTimestamp() || len(b) != k.SizeBytes() {
				rt.Fatalf("%+v", a)
			}
			for i, got := range readAll(t, c, b) {
				want := recs[i]
				if want.offset = 77 + int64(i); magic == 0 {
					want.ts = NoTimestamp
				}
				if o.TimestampType == LogAppendTime {
					want.ts = now
				}
				if !same2(got, want) {
					rt.Fatalf("record %d: %v, want %v", i, got, want)
				}
			}
		}
		k.Release()
		k.Release()
		if !bytes.Equal(set, sent) {
			rt.Fatal("the payload was written to")
		}
	})
}

// Batches of magic 2 keep offsets, keys and values in the old format, and timestamps in magic 1.
func TestDownConversionKeepsRecords(t *testing.T) {
	c := NewCodecs()
	rapid.Check(t, func(rt *rapid.T) {
		g := goldenCase{spec: NewBatchSpec(), recs: drawRecords(rt, 100)}
		g.spec.BaseOffset = 100 - rapid.Int64Range(0, 3).Draw(rt, "cleaned")
		if rapid.Bool().Draw(rt, "logAppend") {
			g.spec.TimestampType, g.spec.AppendTimeMs = LogAppendTime, genNow
		}
		g.recs[0].headers = []Header{{Key: []byte("h"), Value: []byte("x")}}
		codec := Codec(rapid.IntRange(0, 3).Draw(rt, "codec"))
		batch := build(t, c, g, codec)
		magic := int8(rapid.IntRange(0, 1).Draw(rt, "magic"))
		first := rapid.Int64Range(95, 115).Draw(rt, "first")
		set, err := c.downConvertBatch(nil, batch, &DownConversion{Magic: magic, FirstOffset: first})
		if err != nil {
			rt.Fatal(err)
		}
		var want []rec
		for _, r := range g.recs {
			if g.spec.TimestampType == LogAppendTime {
				r.ts = genNow
			}
			if magic == 0 {
				r.ts = NoTimestamp
			}
			if codec != None || r.offset >= first {
				want = append(want, r)
			}
		}
		got := readSet(t, c, set)
		if len(got) != len(want) {
			rt.Fatalf("%d records, want %d", len(got), len(want))
		}
		for i := range got {
			if !same2(got[i], want[i]) {
				rt.Fatalf("record %d: %v, want %v", i, got[i], want[i])
			}
		}
		for rest := set; len(rest) > 0; {
			raw, m, behind, err := NextAny(rest)
			if err != nil || m != magic || LegacyBatch(raw).Codec() != codec || codec != None && len(behind) > 0 {
				rt.Fatal("not one wrapper, or not of the magic", m, err)
			}
			rest = behind
		}
		if magic == 0 { // two steps lead to the same place as one
			mid, err := c.downConvertBatch(nil, batch, &DownConversion{Magic: 1, FirstOffset: first})
			if err != nil {
				rt.Fatal(err)
			}
			again, err := downConvert(c, mid, &DownConversion{Magic: 0, FirstOffset: first})
			if err != nil && len(mid) > 0 {
				rt.Fatal(err)
			}
			if diff := sameSet(c, again[:wholeEntries(again)], set); diff != "" && len(set) > 0 {
				rt.Fatal(diff)
			}
		}
	})
}

func FuzzCheckLegacy(f *testing.F) {
	for _, set := range legacySets(f) {
		if len(set) < 10000 {
			f.Add(set, uint16(0))
			f.Add(set, uint16(0xff))
		}
	}
	for _, b := range javaBatches(f) {
		if len(b) < 10000 {
			f.Add([]byte(b), uint16(0))
		}
	}
	c := NewCodecs()
	f.Fuzz(func(t *testing.T, payload []byte, settings uint16) {
		o := checkOptions()
		o.Compacted, o.KeepCodec = settings&1 != 0, settings&2 == 0
		o.Codec = Codec(settings >> 2 & 7 % 5)
		if settings&32 != 0 {
			o.TimestampType = LogAppendTime
		}
		if settings&64 != 0 {
			o.TimestampBeforeMaxMs, o.TimestampAfterMaxMs = 1000, 1000
		}
		o.MaxDecompressedBytes = 1 << 20
		payload = bytes.Clone(payload)
		fixCRCs(payload)
		k, err := c.CheckLegacy(payload, o)
		if err != nil {
			var be *BatchError
			if err != ErrNoMessages && !errors.As(err, &be) && !errors.As(err, new(MagicError)) {
				t.Fatalf("untyped error %v", err)
			}
			return
		}
		defer k.Release()
		a := k.Assign(0, 1, genNow)
		if a.Batch.CRC() != a.Batch.ComputeCRC() || int(a.LastOffset) != k.Count()-1 {
			t.Fatalf("%+v", a)
		}
		var before []rec
		if payload[offMagic] < 2 {
			before = readSetUpTo(t, c, payload)
		}
		after := readAll(t, c, a.Batch)
		for i := range before {
			if !same(before[i].key, after[i].key) || !same(before[i].value, after[i].value) {
				t.Fatalf("record %d: %v, was %v", i, after[i], before[i])
			}
		}
		if before != nil && len(before) != len(after) {
			t.Fatalf("%d records, were %d", len(after), len(before))
		}
	})
}

// readSetUpTo reads whole batches, the checks being made.
func readSetUpTo(t testing.TB, c *Codecs, set []byte) []rec {
	end := 0
	for {
		raw, _, _, err := NextAny(set[end:])
		if err != nil {
			return readSet(t, c, set[:end])
		}
		end += len(raw)
	}
}

// fixCRCs lets a fuzzer get past the checksums of the outer entries.
func fixCRCs(buf []byte) {
	for {
		raw, magic, rest, err := NextAny(buf)
		if err != nil {
			return
		}
		if magic < 2 {
			binary.BigEndian.PutUint32(raw[legacyCRCAt:], crc32.ChecksumIEEE(raw[offMagic:]))
		} else {
			Batch(raw).UpdateCRC()
		}
		buf = rest
	}
}

func FuzzDownConvert(f *testing.F) {
	for _, set := range legacySets(f) {
		if len(set) < 10000 {
			f.Add(set, uint8(0), int64(0))
		}
	}
	for _, b := range javaBatches(f) {
		if len(b) < 10000 {
			f.Add([]byte(b), uint8(0), int64(103))
			f.Add(append(bytes.Clone(b), b...), uint8(1), int64(0))
		}
	}
	c := NewCodecs()
	f.Fuzz(func(t *testing.T, records []byte, magic uint8, first int64) {
		o := &DownConversion{Magic: int8(magic & 1), FirstOffset: first, MaxDecompressedBytes: 1 << 20}
		records = bytes.Clone(records)
		fixCRCs(records)
		in := bytes.Clone(records)
		out, err := downConvert(c, records, o)
		if !bytes.Equal(in, records) {
			t.Fatal("the input was written to")
		}
		if err != nil {
			return
		}
		for out = out[:wholeEntries(out)]; len(out) > 0; {
			raw, m, rest, err := NextAny(out)
			if err != nil || m > o.Magic {
				t.Fatalf("magic %d, %v", m, err)
			}
			out = rest
			if it, _, err := c.IterateLegacy(raw, nil, 1<<20); err == nil {
				for r := (Record{}); it.Next(&r); {
				}
			}
		}
	})
}
