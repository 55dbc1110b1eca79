package record

import "io"

// scannerBufferBytes is the window through which a compressed batch is walked: memory for a check does not grow with what a
// batch decompresses to.
const scannerBufferBytes = 64 << 10

// scanner walks the records of a compressed batch while it is decompressed, with the checks of Iterator. Of records that exceed
// its buffer it skips keys, values and headers.
type scanner struct {
	c        *Codecs
	src      streamReader
	codec    Codec
	it       Iterator // counts and base values; its block is not used
	buf      []byte
	pos, end int   // of what is read and not consumed yet
	total    int64 // bytes decompressed
	maxBytes int64
	err      error // of src, io.EOF included
}

// skippedKey stands for a key that is there, but was skipped.
var skippedKey = []byte{}

// scan opens a compressed batch; close it. Errors are as of Decompress.
func (c *Codecs) scan(b Batch, maxBytes int64) (*scanner, error) {
	src, err := c.reader(b.Codec(), b.RecordsBlock())
	if err != nil {
		return nil, err
	}
	s, ok := c.scanners.Get().(*scanner)
	if !ok {
		s = &scanner{buf: make([]byte, scannerBufferBytes)}
	}
	*s = scanner{c: c, src: src, codec: b.Codec(), it: b.iterator(), buf: s.buf, maxBytes: maxBytes}
	if s.it.left < 0 {
		s.it.err = invalidRecord("found invalid record count %d in magic v2 batch", s.it.left)
	}
	return s, nil
}

func (s *scanner) close() {
	s.src.close(s.c)
	c := s.c
	s.src, s.c, s.it.err, s.err = nil, nil, nil, nil
	c.scanners.Put(s)
}

// Next reads the next record; r is valid until the one after.
func (s *scanner) Next(r *Record) bool {
	if s.it.left <= 0 || s.it.err != nil {
		return false
	}
	size, n := readVarint(s.peek(5))
	switch {
	case n <= 0 || size < 0:
		return s.fail("invalid record size, or premature end of the stream")
	case n+int(size) <= len(s.buf):
		rec := s.peek(n + int(size))
		if len(rec) < n+int(size) {
			return s.fail("size exceeds what remains of the stream")
		}
		if !r.parse(rec[n : n+int(size) : n+int(size)]) {
			return s.fail("found invalid record structure")
		}
		s.pos += len(rec)
	default:
		s.pos += n
		if !s.large(r, int(size)) {
			return s.fail("found invalid record structure")
		}
	}
	r.SizeBytes = n + int(size)
	s.it.resolve(r)
	if s.it.left--; s.it.left == 0 {
		if len(s.peek(1)) > 0 {
			s.it.err = errRemaining
			return false
		}
		if s.err != io.EOF {
			s.it.err = readError(s.codec, s.err)
			return false
		}
	}
	return true
}

// Err is the error that ended the walk, or nil.
func (s *scanner) Err() error { return s.it.err }

func (s *scanner) fail(what string) bool {
	if s.err != nil && s.err != io.EOF {
		s.it.err = readError(s.codec, s.err)
	} else {
		s.it.err = invalidRecord("record %d of %d: %s", s.it.total-s.it.left, s.it.total, what)
	}
	return false
}

// peek shows the next n <= len(buf) bytes, fewer only at the end of the stream or at an error.
func (s *scanner) peek(n int) []byte {
	if s.end-s.pos < n {
		s.end = copy(s.buf, s.buf[s.pos:s.end])
		s.pos = 0
		for s.end < n && s.err == nil {
			var got int
			got, s.err = s.src.Read(s.buf[s.end:])
			s.end += got
			if s.total += int64(got); s.total > s.maxBytes {
				s.err = ErrTooLarge
			}
		}
	}
	return s.buf[s.pos:min(s.pos+n, s.end)]
}

// large reads a record that does not fit the buffer, field by field.
func (s *scanner) large(r *Record, size int) bool {
	f := streamFields{s: s, left: size}
	*r = Record{Attributes: int8(f.byte())}
	r.timestampDelta = f.varlong()
	r.offsetDelta = f.varint()
	if f.skip(f.varint()) {
		r.Key = skippedKey
	}
	f.skip(f.varint())
	r.headerCount = f.varint()
	if r.headerCount < 0 {
		return false
	}
	for i := int32(0); i < r.headerCount && !f.bad; i++ {
		if !f.skip(f.varint()) {
			return false
		}
		f.skip(f.varint())
	}
	r.headerCount = 0 // they are not kept
	return !f.bad && f.left == 0
}

// streamFields is a fieldReader over the scanner, for a body of left bytes.
type streamFields struct {
	s    *scanner
	left int
	bad  bool
}

func (f *streamFields) consume(n int) {
	if n <= 0 || n > f.left {
		f.bad, f.left = true, 0
		return
	}
	f.left -= n
	f.s.pos += n
}

func (f *streamFields) peek(n int) []byte { return f.s.peek(min(n, f.left)) }

func (f *streamFields) byte() byte {
	b := f.peek(1)
	f.consume(len(b))
	if f.bad {
		return 0
	}
	return b[0]
}

func (f *streamFields) varint() int32 {
	v, n := readVarint(f.peek(5))
	f.consume(n)
	return v
}

func (f *streamFields) varlong() int64 {
	v, n := readVarlong(f.peek(10))
	f.consume(n)
	return v
}

// skip passes over n bytes; false for a null field.
func (f *streamFields) skip(n int32) bool {
	if n < 0 {
		return false
	}
	for left := int(n); left > 0 && !f.bad; {
		b := f.peek(min(left, len(f.s.buf)))
		f.consume(len(b))
		left -= len(b)
	}
	return true
}
