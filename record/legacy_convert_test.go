package record

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math/rand"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

// batchAt has n records from offset base on.
func batchAt(t testing.TB, c *Codecs, codec Codec, base int64, n, valueBytes int) Batch {
	t.Helper()
	b := clientBatch(t, c, codec, n, valueBytes)
	b.SetBaseOffset(base)
	return b
}

func offsetsOf(recs []rec) (first, last int64) {
	if len(recs) == 0 {
		return -1, -1
	}
	return recs[0].offset, recs[len(recs)-1].offset
}

// The first batch is answered whole, whatever it grows to; what follows stays within the size of what was read.
func TestDownConvertKeepsTheSizeOfTheRange(t *testing.T) {
	c, o := NewCodecs(), &DownConversion{Magic: 1}
	one := batchAt(t, c, None, 0, 50, 1)
	alone, err := downConvert(c, one, o)
	if err != nil || len(alone) <= len(one) {
		t.Fatalf("%d bytes of %d, %v", len(alone), len(one), err)
	}
	if first, last := offsetsOf(readSet(t, c, alone)); first != 0 || last != 49 {
		t.Fatal(first, last)
	}
	var run []byte
	for base := int64(0); base < 500; base += 50 {
		run = append(run, batchAt(t, c, None, base, 50, 1)...)
	}
	set, err := downConvert(c, run, o)
	if err != nil || len(set) != len(run) {
		t.Fatalf("%d bytes of %d, %v", len(set), len(run), err)
	}
	recs := readSet(t, c, set[:wholeEntries(set)])
	for i, r := range recs { // nothing is left out in between
		if r.offset != int64(i) {
			t.Fatalf("record %d at offset %d", i, r.offset)
		}
	}
	if len(recs) < 150 || len(recs) >= 500 {
		t.Fatal(len(recs))
	}
}

// A wrapper that does not fit ends the set, though what follows it would fit.
func TestDownConvertLeavesNoGap(t *testing.T) {
	c := NewCodecs()
	tiny := batchAt(t, c, None, 0, 20, 0)
	large := build(t, c, goldenCase{spec: NewBatchSpec(), recs: []rec{{0, 1, nil, randomBlock(rand.New(rand.NewSource(1)), 3000), nil}}}, Gzip)
	large.SetBaseOffset(200)
	filler := batchAt(t, c, None, 201, 40, 0)
	run := bytes.Join([][]byte{tiny, tiny, large, filler}, nil)
	Batch(run[len(tiny):]).SetBaseOffset(20)
	got, err := downConvert(c, run, &DownConversion{Magic: 1})
	if err != nil {
		t.Fatal(err)
	}
	whole := wholeEntries(got)
	if len(run)-whole < 37 {
		t.Fatal("there is no room left: the test proves nothing")
	}
	if _, last := offsetsOf(readSet(t, c, got[:whole])); last != 39 {
		t.Fatal("the set ends at", last)
	}
}

func TestDownConvertFirstOffset(t *testing.T) {
	c := NewCodecs()
	for codec := None; codec <= LZ4; codec++ {
		set, err := downConvert(c, batchAt(t, c, codec, 100, 10, 5), &DownConversion{Magic: 0, FirstOffset: 104})
		if err != nil {
			t.Fatal(err)
		}
		set = set[:wholeEntries(set)]
		want := int64(100) // a wrapper is not cut
		if codec == None {
			want = 104
		}
		if first, last := offsetsOf(readSet(t, c, set)); first != want || last != 109 {
			t.Errorf("%v: %d to %d", codec, first, last)
		}
	}
	// Stored messages of the target's magic are sent as they are.
	stored := legacySets(t)["plain-1-none"]
	if set, err := downConvert(c, stored, &DownConversion{Magic: 1, FirstOffset: 110}); err != nil || !bytes.Equal(set, stored) {
		t.Error("stored messages were changed", err)
	}
	set, err := downConvert(c, stored, &DownConversion{Magic: 0, FirstOffset: 110})
	set = set[:wholeEntries(set)]
	if first, last := offsetsOf(readSet(t, c, set)); err != nil || first != 110 || last != 119 {
		t.Error(first, last, err)
	}
}

func TestDownConvertDropsWhatTheFormatLacks(t *testing.T) {
	c, o := NewCodecs(), &DownConversion{Magic: 1}
	marker, err := AppendEndTxnMarker(nil, MarkerSpec{BaseOffset: 10, TimestampMs: genNow, ProducerID: 1, Type: ControlCommit})
	if err != nil {
		t.Fatal(err)
	}
	empty := AppendEmptyBatch(nil, batchAt(t, c, None, 0, 3, 1))
	const overflow = "ffffffffffffffff0000003d"
	for name, run := range map[string][]byte{"marker": marker, "empty batch": empty, "both": append(bytes.Clone(empty), marker...)} {
		if set, err := downConvert(c, run, o); err != nil || hex.EncodeToString(set) != overflow {
			t.Errorf("%s: %x %v", name, set, err)
		}
	}
	for name, run := range map[string][]byte{"nothing": nil, "less than a batch": marker[:70]} {
		if set, err := downConvert(c, run, o); err != nil || len(set) > 0 {
			t.Errorf("%s: %x %v", name, set, err)
		}
	}
	data := batchAt(t, c, None, 11, 2, 200)
	set, err := downConvert(c, append(append(bytes.Clone(marker), data...), marker...), o)
	if err != nil {
		t.Fatal(err)
	}
	if recs := readSet(t, c, set[:wholeEntries(set)]); len(recs) != 2 || recs[0].offset != 11 { // not twice, as Kafka 3.9 sends it
		t.Fatal(recs)
	}
}

// zstd, or what is corrupt, is an error only where nothing precedes it.
func TestDownConvertStopsAtWhatItCannot(t *testing.T) {
	c, o := NewCodecs(), &DownConversion{Magic: 1}
	good, zstd := batchAt(t, c, Gzip, 0, 3, 20), batchAt(t, c, Zstd, 3, 3, 20)
	corrupt := batchAt(t, c, None, 3, 3, 20)
	corrupt[HeaderSizeBytes] = 0x7f // a record larger than the batch
	flipped := bytes.Clone(corrupt)
	corrupt.UpdateCRC()
	marker, err := AppendEndTxnMarker(nil, MarkerSpec{TimestampMs: genNow, ProducerID: 1, Type: ControlCommit})
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]struct {
		bad  []byte
		want error
	}{
		"zstd": {zstd, kerr.UnsupportedCompressionType}, "corrupt": {corrupt, kerr.InvalidRecord}, "no batch": {make([]byte, 100), kerr.CorruptMessage},
		"wrong CRC":     {flipped, kerr.CorruptMessage},
		"unknown magic": {append(bytes.Clone(good[:offMagic]), append([]byte{9}, good[offMagic+1:]...)...), kerr.CorruptMessage},
	} {
		for _, before := range [][]byte{nil, marker} {
			if set, err := downConvert(c, append(bytes.Clone(before), x.bad...), o); !errors.Is(err, x.want) || set != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		run := bytes.Join([][]byte{good, x.bad, good}, nil)
		set, err := downConvert(c, run, o)
		if err != nil || len(set) != len(run) {
			t.Errorf("%s behind a good one: %d bytes of %d, %v", name, len(set), len(run), err)
		}
		set = set[:wholeEntries(set)]
		if first, last := offsetsOf(readSet(t, c, set)); first != 0 || last != 2 {
			t.Errorf("%s behind a good one: %d to %d", name, first, last)
		}
	}
}
