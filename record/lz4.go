package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/pierrec/lz4/v4"
)

// The LZ4 frame format, as far as Kafka uses it: independent blocks of at most 64 KiB (written) or 4 MiB (read), no content
// size and no checksums when written. Sources: Kafka 3.9 Lz4BlockOutputStream and Lz4BlockInputStream, lz4_Frame_format.md.
const (
	lz4Magic           = 0x184D2204
	lz4BlockBytes      = 64 << 10
	lz4NotCompressed   = 1 << 31
	lz4FlagIndependent = 1 << 5
	lz4FlagBlockSum    = 1 << 4
	lz4FlagContentSize = 1 << 3
	lz4FlagContentSum  = 1 << 2
)

// lz4Header is the header of every frame we write: magic, version 1 with independent blocks, 64 KiB blocks, checksum.
var lz4Header = [7]byte{0x04, 0x22, 0x4D, 0x18, 0x40 | lz4FlagIndependent, 4 << 4, 0x82}

// lz4Writer holds the hash tables of the compressors.
type lz4Writer struct {
	fast lz4.Compressor
	high lz4.CompressorHC
	buf  []byte
}

// appendFrame compresses src into one frame. The default level is the fast compressor, others the high one, as in Java.
func (w *lz4Writer) appendFrame(dst []byte, level int, src []byte) ([]byte, error) {
	if w.buf == nil {
		w.buf = make([]byte, lz4.CompressBlockBound(lz4BlockBytes))
	}
	dst = append(dst, lz4Header[:]...)
	for len(src) > 0 {
		plain := src[:min(len(src), lz4BlockBytes)]
		src = src[len(plain):]
		block, flag, err := w.compress(level, plain)
		if err != nil {
			return dst, err
		}
		dst = binary.LittleEndian.AppendUint32(dst, uint32(len(block))|flag)
		dst = append(dst, block...)
	}
	return binary.LittleEndian.AppendUint32(dst, 0), nil
}

func (w *lz4Writer) compress(level int, plain []byte) (block []byte, flag uint32, err error) {
	var n int
	if level == LZ4.DefaultLevel() {
		n, err = w.fast.CompressBlock(plain, w.buf)
	} else {
		w.high.Level = lz4.CompressionLevel(1 << (8 + min(max(level, 1), 9)))
		n, err = w.high.CompressBlock(plain, w.buf)
	}
	if err != nil {
		return nil, 0, fmt.Errorf("lz4: %w", err)
	}
	if n == 0 || n >= len(plain) {
		return plain, lz4NotCompressed, nil
	}
	return w.buf[:n], 0, nil
}

var (
	errLZ4Cut        = errors.New("lz4 frame is cut short")
	errLZ4Magic      = errors.New("lz4 frame has an invalid magic")
	errLZ4Descriptor = errors.New("lz4 frame descriptor is corrupt or not supported")
	errLZ4BlockSize  = errors.New("lz4 block exceeds the maximum of its frame")
	errLZ4BlockSum   = errors.New("lz4 block checksum does not match")
)

// lz4Reader decodes block after block. Bytes behind the end mark are not looked at, and the content checksum is not
// compared, as in Java.
type lz4Reader struct {
	src      []byte
	maxBlock int
	blockSum bool
	block    []byte // decoded buffer
	plain    []byte // not read yet; part of block, or of src
	done     bool
}

// lz4Reader opens a frame; with anyChecksum its header's checksum is not compared, as in message sets of magic 0.
func (c *Codecs) lz4Reader(src []byte, anyChecksum bool) (*lz4Reader, error) {
	r, ok := c.lz4Readers.Get().(*lz4Reader)
	if !ok {
		r = new(lz4Reader)
	}
	*r = lz4Reader{src: src, block: r.block}
	if err := r.header(anyChecksum); err != nil {
		r.close(c)
		return nil, err
	}
	return r, nil
}

func (r *lz4Reader) header(anyChecksum bool) error {
	if len(r.src) < 7 {
		return errLZ4Cut
	}
	if binary.LittleEndian.Uint32(r.src) != lz4Magic {
		return errLZ4Magic
	}
	flags, bd := r.src[4], r.src[5]
	size := bd >> 4 & 7
	if flags>>6 != 1 || flags&3 != 0 || flags&lz4FlagIndependent == 0 || bd&0x8f != 0 || size < 4 {
		return errLZ4Descriptor
	}
	end := 6
	if flags&lz4FlagContentSize != 0 {
		end += 8
	}
	if len(r.src) <= end {
		return errLZ4Cut
	}
	if !anyChecksum && byte(xxh32(r.src[4:end])>>8) != r.src[end] {
		return errLZ4Descriptor
	}
	r.src = r.src[end+1:]
	r.maxBlock = 1 << (2*size + 8)
	r.blockSum = flags&lz4FlagBlockSum != 0
	return nil
}

func (r *lz4Reader) Read(p []byte) (int, error) {
	for len(r.plain) == 0 {
		if r.done {
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

func (r *lz4Reader) next() error {
	if len(r.src) < 4 {
		return errLZ4Cut
	}
	word := binary.LittleEndian.Uint32(r.src)
	r.src = r.src[4:]
	size := int64(word &^ lz4NotCompressed)
	switch {
	case size == 0:
		r.done = true
		return nil
	case size > int64(r.maxBlock):
		return errLZ4BlockSize
	case size > int64(len(r.src)):
		return errLZ4Cut
	}
	block := r.src[:size]
	r.src = r.src[size:]
	if r.blockSum {
		if len(r.src) < 4 {
			return errLZ4Cut
		}
		if binary.LittleEndian.Uint32(r.src) != xxh32(block) {
			return errLZ4BlockSum
		}
		r.src = r.src[4:]
	}
	if word&lz4NotCompressed != 0 {
		r.plain = block
		return nil
	}
	// A byte of lz4 makes at most 255: a small block needs no buffer of the frame's maximum.
	limit := min(r.maxBlock, 255*len(block)+64)
	if cap(r.block) < limit {
		r.block = make([]byte, limit)
	}
	n, err := uncompressLZ4(block, r.block[:limit])
	r.plain = r.block[:n]
	return err
}

func (r *lz4Reader) close(c *Codecs) {
	r.src, r.plain = nil, nil
	c.lz4Readers.Put(r)
}
