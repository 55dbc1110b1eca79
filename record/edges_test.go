package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/twmb/franz-go/pkg/kerr"
)

// A marker on a topic with a codec of its own stays uncompressed: readers of markers do not decompress.
func TestMarkersAreNotCompressed(t *testing.T) {
	m, err := AppendEndTxnMarker(nil, MarkerSpec{TimestampMs: genNow, ProducerID: 1, Type: ControlCommit})
	if err != nil {
		t.Fatal(err)
	}
	o := checkOptions()
	o.Origin, o.KeepCodec, o.Codec = Coordinator, false, Gzip
	k, a, err := NewCodecs().Validate(m, o, 9, 1)
	if err != nil || k.Rebuilt() || a.Batch.Codec() != None || !a.Batch.IsControl() || a.LastOffset != 9 {
		t.Fatal(err)
	}
	if _, ok, err := a.Batch.EndTxnMarker(); !ok || err != nil {
		t.Fatal(err)
	}
	o.Origin = Client
	if _, _, err := NewCodecs().Validate(m, o, 9, 1); !errors.Is(err, kerr.InvalidRecord) {
		t.Fatal(err)
	}
}

func TestTimestampBounds(t *testing.T) {
	c, o := NewCodecs(), checkOptions()
	o.TimestampBeforeMaxMs, o.TimestampAfterMaxMs = 1000, 500
	for ts, ok := range map[int64]bool{genNow: true, genNow - 1000: true, genNow - 1001: false, genNow + 500: true, genNow + 501: false, NoTimestamp: true} {
		b := NewBuilder(NewBatchSpec())
		if err := b.Append(ts, nil, nil); err != nil {
			t.Fatal(err)
		}
		_, batch, err := b.Build(nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Check(batch, o); (err == nil) != ok || err != nil && !errors.Is(err, kerr.InvalidTimestamp) {
			t.Errorf("%d: %v", ts-genNow, err)
		}
	}
}

// The clock goes on between Check and Assign, also for a batch that was compressed anew.
func TestAppendTimeOfRebuiltBatch(t *testing.T) {
	c, o := NewCodecs(), checkOptions()
	o.KeepCodec, o.Codec, o.TimestampType = false, LZ4, LogAppendTime
	o.Level = LZ4.DefaultLevel()
	k, err := c.Check(clientBatch(t, c, None, 10, 10), o)
	if err != nil || !k.Rebuilt() {
		t.Fatal(err)
	}
	a := k.Assign(3, 1, genNow+7)
	if a.Batch.CRC() != a.Batch.ComputeCRC() || a.Batch.MaxTimestamp() != genNow+7 || a.Batch.TimestampType() != LogAppendTime {
		t.Fatal("the stamp spoiled the batch")
	}
	k.Release()
}

// A record larger than the scanner's window is judged as strictly as a small one.
func TestLargeRecordsAreChecked(t *testing.T) {
	c := NewCodecs()
	value := bytes.Repeat([]byte("v"), 3*scannerBufferBytes)
	b := NewBuilder(NewBatchSpec())
	if err := b.Append(5, []byte("k"), value, Header{[]byte("h"), nil}, Header{[]byte("i"), value}); err != nil {
		t.Fatal(err)
	}
	good := b.block
	size, n := readVarint(good)
	resize := func(body []byte) []byte { return append(appendVarint(nil, int32(len(body))), body...) }
	for name, block := range map[string][]byte{
		"good":                 good,
		"byte inside":          resize(append(bytes.Clone(good[n:]), 0)),
		"byte missing inside":  resize(good[n : len(good)-1]),
		"cut":                  good[:len(good)-1],
		"size too large":       append(appendVarint(nil, size+1), good[n:]...),
		"byte behind the last": append(bytes.Clone(good), 0),
		"null header key":      bytes.Replace(good, []byte{4, 2, 'h'}, []byte{4, 1, 'h'}, 1),
		"headers beyond":       bytes.Replace(good, []byte{4, 2, 'h'}, []byte{6, 2, 'h'}, 1),
	} {
		for codec := Gzip; codec <= Zstd; codec++ {
			packed, err := c.Compress(nil, codec, codec.DefaultLevel(), block)
			if err != nil {
				t.Fatal(err)
			}
			batch := rawBatch(t, 1, packed)
			batch.setAttributes(int16(codec))
			batch.UpdateCRC()
			o := checkOptions()
			o.Compacted = true // the key that is passed over is there
			k, err := c.Check(batch, o)
			if (err == nil) != (name == "good") || err != nil && !errors.Is(err, kerr.InvalidRecord) {
				t.Errorf("%s, %v: %v", name, codec, err)
			}
			if err == nil && (k.Assign(0, 0, 0).MaxTimestampMs != 0 || k.Count() != 1) {
				t.Errorf("%s, %v: misread", name, codec)
			}
		}
	}
}

func TestLZ4BlockAboveMaximum(t *testing.T) {
	frame := append(bytes.Clone(lz4Header[:]), 0, 0, 0, 0)
	binary.LittleEndian.PutUint32(frame[7:], 70000|lz4NotCompressed)
	frame = append(append(frame, make([]byte, 70000)...), 0, 0, 0, 0)
	if _, err := NewCodecs().Decompress(nil, LZ4, frame, 1<<20); !errors.Is(err, errLZ4BlockSize) {
		t.Fatal(err)
	}
	binary.LittleEndian.PutUint32(frame[7:], 65536|lz4NotCompressed)
	frame = append(frame[:11+65536], 0, 0, 0, 0)
	if out, err := NewCodecs().Decompress(nil, LZ4, frame, 1<<20); err != nil || len(out) != 65536 {
		t.Fatal(err)
	}
}

// Levels above 19 declare windows that are too large to hold, without telling the size, as Java's stream does.
func TestZstdWithLargeWindow(t *testing.T) {
	if testing.Short() || raceEnabled {
		t.Skip("compresses 100 MB")
	}
	c := NewCodecs()
	for size, ok := range map[int]bool{1000: true, 20 << 20: true, 100 << 20: false} {
		var packed bytes.Buffer
		w, err := zstd.NewWriter(&packed, zstd.WithWindowSize(64<<20), zstd.WithEncoderConcurrency(1))
		if err != nil {
			t.Fatal(err)
		}
		piece := bytes.Repeat([]byte("piece"), 1<<10)
		for left := size; left > 0; left -= len(piece) {
			if _, err := w.Write(piece[:min(left, len(piece))]); err != nil {
				t.Fatal(err)
			}
			if left == size {
				w.Flush() // more than one block: the writer knows no size
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		out, err := c.Decompress(nil, Zstd, packed.Bytes(), 1<<30)
		if (err == nil) != ok || ok && len(out) != size || !ok && !errors.Is(err, ErrTooLarge) {
			t.Fatalf("%d: %d bytes, %v", size, len(out), err)
		}
	}
}
