package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/klauspost/compress/snappy"
)

// Java writes snappy in the framing of snappy-java's SnappyOutputStream ("xerial"): a magic, two versions, then blocks with their
// compressed size in front. librdkafka and others write one raw snappy block; readers take both.
const (
	xerialHeaderBytes = 16
	xerialBlockBytes  = 32 << 10 // of plain bytes in a block that we write, SnappyOutputStream's default
)

var xerialHeader = [xerialHeaderBytes]byte{0x82, 'S', 'N', 'A', 'P', 'P', 'Y', 0, 0, 0, 0, 1, 0, 0, 0, 1}

func appendXerial(dst, src []byte) []byte {
	dst = append(dst, xerialHeader[:]...)
	for len(src) > 0 {
		block := src[:min(len(src), xerialBlockBytes)]
		src = src[len(block):]
		start := len(dst)
		dst = append(dst, make([]byte, 4+snappy.MaxEncodedLen(len(block)))...)
		n := len(snappy.Encode(dst[start+4:], block))
		binary.BigEndian.PutUint32(dst[start:], uint32(n))
		dst = dst[:start+4+n]
	}
	return dst
}

var (
	errSnappyCut  = errors.New("snappy block is cut short")
	errSnappySize = errors.New("snappy block declares more than it can hold")
)

// snappyReader decodes block after block. Only a raw block, which has no framing, is decoded as a whole.
type snappyReader struct {
	src   []byte // blocks to come
	raw   bool   // src is one raw block
	block []byte // decoded buffer
	plain []byte // part of block not read yet
}

func (c *Codecs) snappyReader(src []byte) (*snappyReader, error) {
	r, ok := c.snappyReaders.Get().(*snappyReader)
	if !ok {
		r = new(snappyReader)
	}
	r.plain = nil
	// Versions are not compared: a reader that knows version 1 is asked for no more than its compatible version, always 1.
	if len(src) >= xerialHeaderBytes && bytes.Equal(src[:8], xerialHeader[:8]) {
		r.src, r.raw = src[xerialHeaderBytes:], false
	} else {
		r.src, r.raw = src, true
	}
	return r, nil
}

func (r *snappyReader) Read(p []byte) (int, error) {
	for len(r.plain) == 0 {
		if len(r.src) < 4 && !r.raw { // less than a block's length is not looked at, as in Java
			return 0, io.EOF
		}
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.plain)
	r.plain = r.plain[n:]
	return n, nil
}

func (r *snappyReader) next() error {
	block := r.src
	switch {
	case r.raw:
		r.raw, r.src = false, nil
	case len(r.src) >= xerialHeaderBytes && bytes.Equal(r.src[:8], xerialHeader[:8]):
		r.src = r.src[xerialHeaderBytes:] // SnappyInputStream accepts streams put one behind the other
		return nil
	default:
		size := int32(binary.BigEndian.Uint32(r.src))
		if size < 0 || int(size) > len(r.src)-4 {
			return errSnappyCut
		}
		block, r.src = r.src[4:4+size], r.src[4+size:]
		if size == 0 {
			return nil
		}
	}
	// No element of snappy makes more than 64 bytes out of 3, so a larger claim is a lie, and no reason to allocate.
	n, err := snappy.DecodedLen(block)
	if err != nil {
		return err
	}
	if n/22 > len(block) {
		return errSnappySize
	}
	if cap(r.block) < n {
		r.block = make([]byte, n)
	}
	r.plain, err = snappy.Decode(r.block[:cap(r.block)], block)
	return err
}

func (r *snappyReader) close(c *Codecs) {
	r.src, r.plain = nil, nil
	if cap(r.block) <= maxPooledBytes {
		c.snappyReaders.Put(r)
	}
}
