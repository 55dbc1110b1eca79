package record

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/pierrec/lz4/v4"
	"github.com/twmb/franz-go/pkg/kerr"
)

// Codecs compresses and decompresses. It pools encoders, decoders and buffers; make one for each broker and share it.
// Safe for concurrent use. What it writes, Kafka's Java clients and librdkafka read.
type Codecs struct {
	gzipWriters [11]sync.Pool // *gzip.Writer by level + 1
	lz4Writers  sync.Pool     // *lz4Writer
	zstdWriters [5]sync.Pool  // *zstd.Encoder by zstd.EncoderLevel

	gzipReaders   sync.Pool // *gzip.Reader
	snappyReaders sync.Pool // *snappyReader
	lz4Readers    sync.Pool // *lz4Reader
	zstdReaders   sync.Pool // *zstdReader
	zstdAll       sync.Pool // *zstd.Decoder, whole frames up to zstdWholeBytes
	zstdStreams   sync.Pool // *zstd.Decoder, block after block, windows up to zstdWindowBytes

	// conversions has a token for each conversion that may hold a decompressed batch at a time: they take processor time only, so that more
	// of them at once would take memory and give nothing.
	conversions chan struct{}

	scanners sync.Pool // *scanner
	buffers  sync.Pool // *[]byte
	builders sync.Pool // *Builder
}

// NewCodecs returns empty pools.
func NewCodecs() *Codecs { return &Codecs{conversions: make(chan struct{}, runtime.GOMAXPROCS(0))} }

// enter begins work that holds a decompressed batch in memory; leave ends it. It does not nest.
func (c *Codecs) enter() { c.conversions <- struct{}{} }
func (c *Codecs) leave() { <-c.conversions }

// maxPooledBytes bounds what a pooled buffer keeps; larger ones are left to the collector.
const maxPooledBytes = 4 << 20

// buffer borrows an empty buffer; give it back with recycle.
func (c *Codecs) buffer() *[]byte {
	if b, ok := c.buffers.Get().(*[]byte); ok {
		return b
	}
	return new([]byte)
}

func (c *Codecs) recycle(b *[]byte) {
	if cap(*b) <= maxPooledBytes {
		*b = (*b)[:0]
		c.buffers.Put(b)
	}
}

// builder borrows a builder; give it back with recycleBuilder.
func (c *Codecs) builder(spec BatchSpec) *Builder {
	b, ok := c.builders.Get().(*Builder)
	if !ok {
		b = new(Builder)
	}
	b.Reset(spec)
	return b
}

func (c *Codecs) recycleBuilder(b *Builder) {
	if cap(b.block) <= maxPooledBytes {
		c.builders.Put(b)
	}
}

// Compress appends src, compressed, to dst. A level outside the codec's range is taken as the nearest one; codecs without
// levels ignore it.
func (c *Codecs) Compress(dst []byte, codec Codec, level int, src []byte) ([]byte, error) {
	switch codec {
	case None:
		return append(dst, src...), nil
	case Gzip:
		return c.compressGzip(dst, level, src)
	case Snappy:
		return appendXerial(dst, src), nil
	case LZ4:
		return c.compressLZ4(dst, level, src)
	case Zstd:
		return c.compressZstd(dst, level, src)
	}
	return dst, fmt.Errorf("cannot compress with codec %v", codec)
}

// sliceWriter is an io.Writer onto a slice.
type sliceWriter struct{ b []byte }

func (w *sliceWriter) Write(p []byte) (int, error) {
	w.b = append(w.b, p...)
	return len(p), nil
}

func (c *Codecs) compressGzip(dst []byte, level int, src []byte) ([]byte, error) {
	if level != gzip.DefaultCompression {
		level = min(max(level, gzip.BestSpeed), gzip.BestCompression)
	}
	out := &sliceWriter{dst}
	pool := &c.gzipWriters[level+1]
	w, ok := pool.Get().(*gzip.Writer)
	if ok {
		w.Reset(out)
	} else {
		var err error
		if w, err = gzip.NewWriterLevel(out, level); err != nil {
			return dst, fmt.Errorf("gzip: %w", err)
		}
	}
	_, err := w.Write(src)
	if err = errors.Join(err, w.Close()); err != nil {
		return dst, fmt.Errorf("gzip: %w", err)
	}
	w.Reset(nil) // do not hold dst
	pool.Put(w)
	return out.b, nil
}

func (c *Codecs) compressLZ4(dst []byte, level int, src []byte) ([]byte, error) {
	w, ok := c.lz4Writers.Get().(*lz4Writer)
	if !ok {
		w = new(lz4Writer)
	}
	out, err := w.appendFrame(dst, level, src)
	if err != nil {
		return dst, err
	}
	c.lz4Writers.Put(w)
	return out, nil
}

func (c *Codecs) compressZstd(dst []byte, level int, src []byte) ([]byte, error) {
	el := zstd.EncoderLevelFromZstd(level)
	pool := &c.zstdWriters[el]
	w, ok := pool.Get().(*zstd.Encoder)
	if !ok {
		var err error
		// As Java's: no checksum of the content, which the CRC of the batch covers. No goroutines.
		w, err = zstd.NewWriter(nil, zstd.WithEncoderLevel(el), zstd.WithEncoderConcurrency(1), zstd.WithEncoderCRC(false),
			zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(2<<20), zstd.WithZeroFrames(true))
		if err != nil {
			return dst, fmt.Errorf("zstd: %w", err)
		}
	}
	dst = w.EncodeAll(src, dst)
	pool.Put(w)
	return dst, nil
}

// ErrTooLarge is returned when the decompressed bytes exceed the caller's bound. It wraps kerr.MessageTooLarge, at which
// producers split a batch.
var ErrTooLarge = fmt.Errorf("decompressed records exceed the bound: %w", kerr.MessageTooLarge)

// corruptStream is the error for bytes that do not decompress. Kafka 3.9 answers UNKNOWN_SERVER_ERROR there; a definite error
// serves clients better, and a retriable one (CORRUPT_MESSAGE) would make them send the same bytes for ever.
func corruptStream(codec Codec, err error) error {
	return fmt.Errorf("failed to decompress %v record stream: %w: %w", codec, err, kerr.InvalidRecord)
}

// Decompress appends src, decompressed, to dst, at most maxBytes of it: memory grows with the bytes that come out, never with a
// declared length. Errors wrap kerr.InvalidRecord, or are ErrTooLarge. With codec None it copies.
func (c *Codecs) Decompress(dst []byte, codec Codec, src []byte, maxBytes int) ([]byte, error) {
	if codec == None {
		if len(src) > maxBytes {
			return dst, ErrTooLarge
		}
		return append(dst, src...), nil
	}
	r, err := c.reader(codec, src)
	if err != nil {
		return dst, err
	}
	defer r.close(c)
	return drain(dst, codec, r, len(src), maxBytes)
}

// drain appends all that r decompresses, from srcBytes, to dst.
func drain(dst []byte, codec Codec, r streamReader, srcBytes, maxBytes int) ([]byte, error) {
	start := len(dst)
	if cap(dst)-len(dst) < srcBytes {
		dst = append(dst, make([]byte, min(2*srcBytes, maxBytes))...)[:start]
	}
	for {
		if len(dst) == cap(dst) {
			dst = append(dst, 0)[:len(dst)]
		}
		room := min(cap(dst)-len(dst), maxBytes+1-(len(dst)-start)) // one more, to tell "just" from "too much"
		n, err := r.Read(dst[len(dst) : len(dst)+room])
		dst = dst[:len(dst)+n]
		switch {
		case len(dst)-start > maxBytes:
			return dst[:start], ErrTooLarge
		case err == io.EOF:
			return dst, nil
		case err != nil:
			return dst[:start], readError(codec, err)
		}
	}
}

func readError(codec Codec, err error) error {
	if errors.Is(err, ErrTooLarge) {
		return err
	}
	return corruptStream(codec, err)
}

// streamReader is a pooled decompressor over one compressed block.
type streamReader interface {
	io.Reader
	close(c *Codecs) // gives it back to its pool; it must not be used afterwards
}

// reader opens src with a codec other than None.
func (c *Codecs) reader(codec Codec, src []byte) (streamReader, error) {
	var r streamReader
	var err error
	switch codec {
	case Gzip:
		r, err = c.gzipReader(src)
	case Snappy:
		r, err = c.snappyReader(src)
	case LZ4:
		r, err = c.lz4Reader(src, false)
	case Zstd:
		r, err = c.zstdReader(src)
	default:
		return nil, invalidRecord("unknown compression type id: %d", int8(codec))
	}
	if err != nil {
		return nil, readError(codec, err)
	}
	return r, nil
}

// gzipReader reads one member after the other. Bytes behind a member that do not start another one are not looked at, as in
// java.util.zip.GZIPInputStream.
type gzipReader struct {
	src bytes.Reader
	gzip.Reader
}

func (c *Codecs) gzipReader(src []byte) (*gzipReader, error) {
	r, ok := c.gzipReaders.Get().(*gzipReader)
	if !ok {
		r = new(gzipReader)
	}
	r.src.Reset(src)
	if err := r.next(); err != nil {
		r.close(c)
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return r, nil
}

func (r *gzipReader) next() error {
	err := r.Reset(&r.src)
	r.Multistream(false)
	return err
}

func (r *gzipReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != io.EOF || r.next() != nil {
		return n, err
	}
	return n, nil
}

func (r *gzipReader) close(c *Codecs) {
	r.src.Reset(nil)
	c.gzipReaders.Put(r)
}

var errLZ4Block = errors.New("lz4 block does not decompress")

func uncompressLZ4(src, dst []byte) (int, error) {
	n, err := lz4.UncompressBlock(src, dst)
	if err != nil {
		return 0, errLZ4Block
	}
	return n, nil
}

// Iterate walks the records of b, which it decompresses into buf[:0] if need be. The records alias the batch or block, which is
// buf, grown as needed, for use with the next batch. Errors are as of Decompress.
func (c *Codecs) Iterate(b Batch, buf []byte, maxBytes int) (it Iterator, block []byte, err error) {
	if b.Codec() == None {
		return b.Iterate(b.RecordsBlock()), buf, nil
	}
	block, err = c.Decompress(buf[:0], b.Codec(), b.RecordsBlock(), maxBytes)
	if err != nil {
		return Iterator{}, buf, err
	}
	return b.Iterate(block), block, nil
}
