package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// convertChunkBytes is how much of the source is read and converted at a time, or one batch if that is larger.
const convertChunkBytes = 128 << 10

// overflowBytes is the least that an overflow message needs: offset and length.
const overflowBytes = LogOverheadBytes

// DownConverter is records of any magic as a message set of an old one, converted while it is read: what Kafka answers to Fetch 0 to 3.
// Its length must be told before all is converted. It is that of the source, or of the first batch converted if that is more, so that
// one batch always comes whole. What does not fit is cut; where the messages take less room the rest is an overflow message, one that
// claims to be longer than the answer: consumers take it for the part of a message that they know to drop.
//
// If there are batches and all of them are dropped, as control batches are, the overflow message is all there is: without it consumers of
// these versions would ask for the same batch for ever. A batch that cannot be converted, zstd or corrupt, ends what is told; the consumer's
// next request begins there and gets the error. One that Kafka has no answer to, a wrong CRC, is found here too: the CRCs of what is made
// would hide it.
//
// It holds the source bytes and the messages of one chunk at a time. Reads go from the first byte to the last. Not for concurrent use.
//
// Source: Kafka 3.9 LazyDownConversionRecords, LazyDownConversionRecordsSend, KIP-283. It gives the first data batch twice when batches
// precede it that are dropped; here it comes once.
type DownConverter struct {
	c   *Codecs
	src io.ReaderAt
	o   DownConversion

	size int64 // of src
	pos  int64 // of the first byte in src that is not converted yet

	length, given int64   // of what is read: in all, and so far
	out           *[]byte // of the pool: the messages of the last chunk
	rest          []byte  // what of out is not given yet
	again         int64   // the position to begin at once more, after Forget; -1 none
	ended         bool    // overflow from here on
}

// NewDownConverter converts the first batch of size bytes of src that is not empty afterwards. The error is one of src, or tells why a
// batch before any other cannot be converted: kerr.UnsupportedCompressionType for zstd, kerr.CorruptMessage, else one of IterateAny, or of
// what the old format cannot hold. Close it.
func (c *Codecs) NewDownConverter(src io.ReaderAt, size int64, o DownConversion) (*DownConverter, error) {
	d := &DownConverter{c: c, src: src, size: size, o: o, out: c.buffer(), again: -1}
	for {
		at := d.pos
		ok, err := d.convert(firstOnly)
		switch {
		case err != nil:
			d.Close()
			return nil, err
		case len(d.rest) > 0:
			d.length, d.again = max(size, int64(len(d.rest))), at
			return d, nil
		case !ok:
			d.ended = true
			if d.pos > 0 {
				d.length = overflowBytes
			}
			return d, nil
		}
	}
}

// Len is the number of bytes to be read.
func (d *DownConverter) Len() int { return int(d.length) }

// HeldBytes is the memory of what is converted and not read yet.
func (d *DownConverter) HeldBytes() int { return cap(*d.out) }

// Forget lets go of the first batch, for answers of very many partitions: it will be converted once more. Only before the first read.
func (d *DownConverter) Forget() {
	if d.given > 0 || d.again < 0 {
		return
	}
	d.pos, d.rest = d.again, nil
	d.c.recycle(d.out)
	d.out = new([]byte)
}

// Close gives the buffers back.
func (d *DownConverter) Close() {
	if d.out != nil {
		d.c.recycle(d.out)
		d.out, d.rest = nil, nil
	}
}

// ReadAt fills p with the bytes at off, which must be the next ones.
func (d *DownConverter) ReadAt(p []byte, off int64) (int, error) {
	if off != d.given {
		return 0, fmt.Errorf("down-converted records are read at %d, not at %d", d.given, off)
	}
	n := 0
	for n < len(p) && d.given < d.length {
		if len(d.rest) == 0 {
			if err := d.more(); err != nil {
				return n, err
			}
		}
		k := copy(p[n:], d.rest[:min(int64(len(d.rest)), d.length-d.given)])
		d.rest = d.rest[k:]
		d.given += int64(k)
		n += k
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// more makes the next bytes.
func (d *DownConverter) more() error {
	for !d.ended {
		chunk := convertChunkBytes
		if d.given == 0 {
			chunk = firstOnly // after Forget, as its length was told
		}
		ok, err := d.convert(chunk)
		var src sourceError
		switch {
		case errors.As(err, &src):
			return err
		case err != nil, !ok:
			d.ended = true
		case len(d.rest) > 0:
			return nil
		}
	}
	d.overflow()
	return nil
}

// overflow makes the message that ends an answer, or as much of it as a chunk holds.
func (d *DownConverter) overflow() {
	left := d.length - d.given
	n := min(max(left, overflowBytes), convertChunkBytes)
	b := (*d.out)[:0]
	b = binary.BigEndian.AppendUint64(b, 1<<64-1)
	b = binary.BigEndian.AppendUint32(b, uint32(max(left+1, HeaderSizeBytes)))
	*d.out = append(b, make([]byte, n-overflowBytes)...)
	d.rest = *d.out
}

// sourceError is an error of the disk, not of the records.
type sourceError struct{ error }

func (e sourceError) Unwrap() error { return e.error }

// firstOnly makes convert stop behind the first batch that is not empty afterwards.
const firstOnly = 0

// convert makes messages of the next batches, of chunk bytes at most, but of one at least. ok is false if there is none. If one of them
// cannot be converted those before it are lost too, as in Kafka: the next request begins there.
func (d *DownConverter) convert(chunk int) (ok bool, err error) {
	buf := d.c.buffer()
	defer d.c.recycle(buf)
	src, err := d.load(buf)
	if err != nil {
		return false, err
	}
	d.c.enter()
	defer d.c.leave()
	*d.out, d.rest = (*d.out)[:0], nil
	taken := 0
	for chunk != firstOnly || len(*d.out) == 0 {
		raw, magic, behind, err := NextAny(src[taken:])
		if err == ErrShortHeader || err == ErrShortBatch {
			break
		}
		if err == nil && chunk != firstOnly && taken > 0 && taken+len(raw) > chunk {
			break
		}
		if err == nil && magic > d.o.Magic {
			err = CheckCRC(raw, magic)
		}
		if err == nil {
			*d.out, err = d.c.downConvertBatch(*d.out, raw, &d.o)
		}
		if err != nil {
			return false, err
		}
		taken = len(src) - len(behind)
	}
	d.pos += int64(taken)
	d.rest = *d.out
	return taken > 0, nil
}

// load reads the next chunk of the source, or one batch if that is larger. Memory grows with what the source has.
func (d *DownConverter) load(buf *[]byte) ([]byte, error) {
	left := d.size - d.pos
	for n := convertChunkBytes; ; {
		want := int(min(int64(n), left))
		if cap(*buf) < want {
			*buf = make([]byte, want)
		}
		b := (*buf)[:want]
		if k, err := d.src.ReadAt(b, d.pos); k < want {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return nil, sourceError{fmt.Errorf("read records to convert: %w", err)}
		}
		size, _, err := PeekHeader(b)
		m, legacy := err.(MagicError)
		if err != nil && !(legacy && m.IsLegacy()) || size <= int64(want) || size > left {
			return b, nil
		}
		n = int(size)
	}
}
