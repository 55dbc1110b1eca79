package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand"
	"testing"
)

// largeRun has batches of several sizes, some above a chunk, some dropped by conversion.
func largeRun(t testing.TB, c *Codecs) (run []byte, records int64) {
	t.Helper()
	r := rand.New(rand.NewSource(3))
	for _, size := range []int{10, 20000, 30000, 200000, 5, 140000, 40000, 40000, 40000, 1} {
		marker, err := AppendEndTxnMarker(nil, MarkerSpec{BaseOffset: records, TimestampMs: genNow, ProducerID: 1, Type: ControlCommit})
		if err != nil {
			t.Fatal(err)
		}
		b := build(t, c, goldenCase{spec: NewBatchSpec(), recs: []rec{{0, 1, nil, randomBlock(r, size), nil}}}, Gzip)
		Batch(b).SetBaseOffset(records + 1)
		run = append(append(run, marker...), b...)
		records += 2
	}
	return run, records
}

// What is converted chunk by chunk is what is converted at once, and a first batch that was forgotten comes back.
func TestDownConverterChunks(t *testing.T) {
	c, o := NewCodecs(), DownConversion{Magic: 1}
	run, end := largeRun(t, c)
	got, err := downConvert(c, run, &o)
	if err != nil || len(got) != len(run) {
		t.Fatal(len(got), len(run), err)
	}
	recs := readSet(t, c, got[:wholeEntries(got)])
	if first, last := offsetsOf(recs); first != 1 || last != end-1 || len(recs) != int(end)/2 {
		t.Fatalf("%d records, %d to %d", len(recs), first, last)
	}
	d, err := c.NewDownConverter(bytes.NewReader(run), int64(len(run)), o)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	held := d.HeldBytes()
	d.Forget()
	if d.HeldBytes() >= held {
		t.Error("nothing was let go of")
	}
	again := make([]byte, d.Len())
	if _, err := d.ReadAt(again, 0); err != nil || !bytes.Equal(again, got) {
		t.Error("other bytes after Forget", err)
	}
	if n, err := d.ReadAt(make([]byte, 1), int64(len(again))); n != 0 || err != io.EOF {
		t.Error(n, err)
	}
	if _, err := d.ReadAt(make([]byte, 1), 0); err == nil {
		t.Error("read backwards")
	}
}

// What is held does not grow with the source.
func TestDownConverterHoldsAChunk(t *testing.T) {
	c := NewCodecs()
	var run []byte
	for i := range int64(100) {
		run = append(run, batchAt(t, c, None, 10*i, 10, 2000)...)
	}
	d, err := c.NewDownConverter(bytes.NewReader(run), int64(len(run)), DownConversion{Magic: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	b := make([]byte, 1000)
	for at := 0; at+len(b) <= d.Len(); at += len(b) {
		if _, err := d.ReadAt(b, int64(at)); err != nil {
			t.Fatal(err)
		}
		if held := d.HeldBytes(); held > 3*convertChunkBytes {
			t.Fatalf("%d bytes held at %d of %d", held, at, d.Len())
		}
	}
}

// The rest is an overflow message longer than the answer, in pieces that bound the memory.
func TestDownConverterOverflow(t *testing.T) {
	c := NewCodecs()
	good := batchAt(t, c, Gzip, 0, 3, 20)
	zstd := build(t, c, goldenCase{spec: NewBatchSpec(), recs: []rec{{0, 1, nil, randomBlock(rand.New(rand.NewSource(1)), 600000), nil}}}, Zstd)
	run := append(bytes.Clone(good), zstd...)
	got, err := downConvert(c, run, &DownConversion{Magic: 1})
	if err != nil || len(got) != len(run) {
		t.Fatal(len(got), err)
	}
	rest := got[wholeEntries(got):]
	if binary.BigEndian.Uint64(rest) != 1<<64-1 || int(binary.BigEndian.Uint32(rest[8:])) != len(rest)+1 {
		t.Fatalf("%x", rest[:20])
	}
	// Each further piece begins as the first, as in Kafka; nobody looks at it.
	if binary.BigEndian.Uint64(rest[convertChunkBytes:]) != 1<<64-1 {
		t.Fatalf("%x", rest[convertChunkBytes:][:20])
	}
}

type failing struct {
	io.ReaderAt
	from int64
}

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if off+int64(len(p)) > f.from {
		return 0, errors.New("disk")
	}
	return f.ReaderAt.ReadAt(p, off)
}

// A disk that fails is not the end of the records.
func TestDownConverterReadFails(t *testing.T) {
	c := NewCodecs()
	run, _ := largeRun(t, c)
	if _, err := c.NewDownConverter(failing{bytes.NewReader(run), 0}, int64(len(run)), DownConversion{Magic: 1}); err == nil {
		t.Error("a first batch from a broken disk")
	}
	d, err := c.NewDownConverter(failing{bytes.NewReader(run), 140000}, int64(len(run)), DownConversion{Magic: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if n, err := d.ReadAt(make([]byte, d.Len()), 0); err == nil || err == io.EOF {
		t.Error(n, err)
	}
	if _, err := c.NewDownConverter(bytes.NewReader(run[:100]), int64(len(run)), DownConversion{Magic: 1}); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Error("a source shorter than it says", err)
	}
}
