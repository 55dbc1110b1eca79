package record

import (
	"bytes"
	"errors"
	"io"

	"github.com/klauspost/compress/zstd"
)

const (
	// zstdWholeBytes bounds the frames that are decoded at once, for which they must tell their size. This is the faster way.
	zstdWholeBytes = maxPooledBytes
	// zstdWindowBytes bounds the window of frames that are streamed: a window is allocated as declared. libzstd declares
	// 8 MiB at level 19, the highest below the "ultra" levels, and 2 MiB at the default level.
	zstdWindowBytes = 8 << 20
	// zstdUltraBytes bounds what frames with a larger window may decode to; they are decoded as a whole.
	zstdUltraBytes = 64 << 20
	// zstdBlockBytes is the most that a block holds.
	zstdBlockBytes = 128 << 10
	// zstdMaxWindowBytes is the largest window that libzstd accepts by default. Decoding as a whole allocates none.
	zstdMaxWindowBytes = 128 << 20
)

// zstdReader has a frame decoded as a whole, or a stream.
type zstdReader struct {
	src    bytes.Reader
	block  []byte
	plain  []byte
	stream *zstd.Decoder // nil: plain is all
}

func (c *Codecs) zstdReader(src []byte) (*zstdReader, error) {
	r, ok := c.zstdReaders.Get().(*zstdReader)
	if !ok {
		r = new(zstdReader)
	}
	if err := r.open(c, src); err != nil {
		r.close(c)
		return nil, err
	}
	return r, nil
}

func (r *zstdReader) open(c *Codecs, src []byte) error {
	var h zstd.Header
	if err := h.Decode(src); err != nil {
		return err
	}
	if h.HasFCS && h.FrameContentSize <= zstdWholeBytes {
		// A block is at least 4 bytes: a small frame gets no large buffer for what it declares.
		size := min(int(h.FrameContentSize), len(src)*(zstdBlockBytes/4))
		if err := r.whole(c, src, size); !errors.Is(err, zstd.ErrDecoderSizeExceeded) {
			return err
		}
	}
	window := h.WindowSize
	if h.SingleSegment {
		window = h.FrameContentSize
	}
	if window > zstdWindowBytes {
		return r.ultra(c, src)
	}
	d, ok := c.zstdStreams.Get().(*zstd.Decoder)
	if !ok {
		var err error
		d, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(zstdWindowBytes), zstd.WithDecodeBuffersBelow(0))
		if err != nil {
			return err
		}
	}
	r.src.Reset(src)
	r.stream = d
	return d.Reset(&r.src)
}

// whole decodes src into r.plain, which gets no larger than sizeBytes, or than the buffer already is; if that is too small, the error is
// zstd.ErrDecoderSizeExceeded.
func (r *zstdReader) whole(c *Codecs, src []byte, sizeBytes int) error {
	d, ok := c.zstdAll.Get().(*zstd.Decoder)
	if !ok {
		var err error
		d, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true),
			zstd.WithDecoderMaxWindow(zstdMaxWindowBytes), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			return err
		}
	}
	if cap(r.block) < sizeBytes {
		r.block = make([]byte, 0, sizeBytes)
	}
	out, err := d.DecodeAll(src, r.block[:0])
	c.zstdAll.Put(d)
	r.plain = out
	// The decoder has several errors for a buffer that is full; what they share is that the next block might not have fitted.
	if err != nil && cap(r.block)-len(out) < zstdBlockBytes {
		return zstd.ErrDecoderSizeExceeded
	}
	return err
}

// ultra decodes a frame whose window is too large to hold, in a buffer that grows as far as the frame fills it.
func (r *zstdReader) ultra(c *Codecs, src []byte) error {
	for size := 2 * zstdWindowBytes; size <= zstdUltraBytes; size *= 2 {
		if err := r.whole(c, src, size); !errors.Is(err, zstd.ErrDecoderSizeExceeded) {
			return err
		}
	}
	return ErrTooLarge
}

func (r *zstdReader) Read(p []byte) (int, error) {
	if r.stream != nil {
		return r.stream.Read(p)
	}
	if len(r.plain) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.plain)
	r.plain = r.plain[n:]
	return n, nil
}

func (r *zstdReader) close(c *Codecs) {
	if r.stream != nil {
		if r.stream.Reset(nil) == nil {
			c.zstdStreams.Put(r.stream)
		}
		r.stream = nil
	}
	r.src.Reset(nil)
	r.plain = nil
	if cap(r.block) > maxPooledBytes {
		r.block = nil
	}
	c.zstdReaders.Put(r)
}
