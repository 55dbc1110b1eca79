package record

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Header is one header of a record.
type Header struct {
	Key   []byte // UTF-8 by convention, never null
	Value []byte // nil is null
}

// Record is one record of a batch. Slices alias the block they were read from.
type Record struct {
	SizeBytes  int // with the length in front
	Attributes int8
	Offset     int64
	Timestamp  int64  // milliseconds; the batch's maximum with LogAppendTime
	Key        []byte // nil is null
	Value      []byte // nil is null

	timestampDelta int64
	offsetDelta    int32
	headerCount    int32
	headers        []byte // checked
}

// HeaderCount is the number of headers.
func (r *Record) HeaderCount() int { return int(r.headerCount) }

// Headers returns a function that gives one header after the other; it has no errors, since the iterator checks headers before
// it hands out the record. Keys may repeat.
func (r *Record) Headers() func(yield func(Header) bool) {
	return func(yield func(Header) bool) {
		p := fieldReader{b: r.headers}
		for range r.headerCount {
			var h Header
			if h.Key, h.Value = p.bytes(), p.bytes(); !yield(h) {
				return
			}
		}
	}
}

// Iterator walks the records of one batch. It checks what it reads as strictly as Kafka 3.9 DefaultRecord.readFrom and
// DefaultRecordBatch.RecordIterator do: varints in bounds, sizes that add up, header keys not null, exactly the declared
// number of records and nothing after them. Errors wrap kerr.InvalidRecord.
//
//	it := b.Iterate(block)
//	for it.Next(&r) { … }
//	if err := it.Err(); err != nil { … }
type Iterator struct {
	rest          []byte
	left          int32
	total         int32
	baseOffset    int64
	baseTimestamp int64
	logAppend     bool
	appendTime    int64
	err           error
}

// Iterate walks the records in block, the batch's records block after decompression. The iterator allocates nothing
// as long as it meets no error.
func (b Batch) Iterate(block []byte) Iterator {
	it := b.iterator()
	it.rest = block
	switch {
	case it.left < 0:
		it.err = invalidRecord("found invalid record count %d in magic v2 batch", it.left)
	case it.left == 0 && len(block) > 0 && b.Codec() == None:
		it.err = errRemaining // a compressed empty block is not empty
	}
	return it
}

// iterator sets all but the block.
func (b Batch) iterator() Iterator {
	return Iterator{
		left:          b.Count(),
		total:         b.Count(),
		baseOffset:    b.BaseOffset(),
		baseTimestamp: b.BaseTimestamp(),
		logAppend:     b.TimestampType() == LogAppendTime,
		appendTime:    b.MaxTimestamp(),
	}
}

var errRemaining = invalidRecord("incorrect declared batch size, records still remaining")

// Next reads the next record into r. It returns false at the end and on error.
func (it *Iterator) Next(r *Record) bool {
	if it.left <= 0 || it.err != nil {
		return false
	}
	size, n := readVarint(it.rest)
	if n <= 0 || size < 0 || int(size) > len(it.rest)-n {
		it.err = invalidRecord("record %d of %d: size exceeds the %d bytes that remain of the batch",
			it.total-it.left, it.total, len(it.rest))
		return false
	}
	end := n + int(size)
	if !r.parse(it.rest[n:end:end]) {
		it.err = invalidRecord("record %d of %d: found invalid record structure", it.total-it.left, it.total)
		return false
	}
	r.SizeBytes = end
	it.resolve(r)
	it.rest = it.rest[end:]
	it.left--
	if it.left == 0 && len(it.rest) > 0 {
		it.err = errRemaining
		return false
	}
	return true
}

// resolve turns deltas into offset and timestamp.
func (it *Iterator) resolve(r *Record) {
	r.Offset = it.baseOffset + int64(r.offsetDelta)
	r.Timestamp = it.baseTimestamp + r.timestampDelta
	if it.logAppend {
		r.Timestamp = it.appendTime
	}
}

// Err is the error that ended the walk, or nil.
func (it *Iterator) Err() error { return it.err }

// parse reads a record's body, which must be filled exactly.
func (r *Record) parse(body []byte) bool {
	p := fieldReader{b: body}
	r.Attributes = p.int8()
	r.timestampDelta = p.varlong()
	r.offsetDelta = p.varint()
	r.Key = p.bytes()
	r.Value = p.bytes()
	r.headerCount = p.varint()
	if p.bad || r.headerCount < 0 {
		return false
	}
	r.headers = p.b
	for i := int32(0); i < r.headerCount; i++ {
		if key := p.bytes(); key == nil {
			return false
		}
		p.bytes()
		if p.bad { // stop here: the count is the sender's
			return false
		}
	}
	return len(p.b) == 0
}

// fieldReader cuts fields off b; after a field that does not fit, bad is set and every field is zero.
type fieldReader struct {
	b   []byte
	bad bool
}

func (p *fieldReader) fail() { p.b, p.bad = nil, true }

func (p *fieldReader) int8() int8 {
	if len(p.b) == 0 {
		p.fail()
		return 0
	}
	v := int8(p.b[0])
	p.b = p.b[1:]
	return v
}

func (p *fieldReader) varint() int32 {
	v, n := readVarint(p.b)
	if n <= 0 {
		p.fail()
		return 0
	}
	p.b = p.b[n:]
	return v
}

func (p *fieldReader) varlong() int64 {
	v, n := readVarlong(p.b)
	if n <= 0 {
		p.fail()
		return 0
	}
	p.b = p.b[n:]
	return v
}

// bytes reads a length and as many bytes; a negative length is null, as in Java.
func (p *fieldReader) bytes() []byte {
	n := p.varint()
	if n < 0 || p.bad {
		return nil
	}
	if int(n) > len(p.b) {
		p.fail()
		return nil
	}
	v := p.b[:n:n]
	p.b = p.b[n:]
	return v
}

func invalidRecord(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, kerr.InvalidRecord)...)
}
