package record

import "fmt"

// lz4BrokenChecksum is the header checksum in LZ4 frames of magic 0: Kafka 0.8 computed it over the frame's magic too, and its clients
// want it so. Readers of magic 0 do not look at it (Kafka 3.9 Lz4BlockOutputStream, KIP-57).
const lz4BrokenChecksum = 0x1a

// compressLegacy is Compress for the value of a wrapper.
func (c *Codecs) compressLegacy(dst []byte, codec Codec, magic int8, level int, src []byte) ([]byte, error) {
	if codec > LZ4 {
		return dst, fmt.Errorf("cannot compress a message set of magic %d with codec %v", magic, codec)
	}
	start := len(dst)
	dst, err := c.Compress(dst, codec, level, src)
	if err == nil && codec == LZ4 && magic == 0 {
		dst[start+len(lz4Header)-1] = lz4BrokenChecksum
	}
	return dst, err
}

// decompressLegacy is Decompress for the value of a wrapper.
func (c *Codecs) decompressLegacy(dst []byte, codec Codec, magic int8, src []byte, maxBytes int) ([]byte, error) {
	if codec != LZ4 || magic != 0 {
		return c.Decompress(dst, codec, src, maxBytes)
	}
	r, err := c.lz4Reader(src, true)
	if err != nil {
		return dst, readError(codec, err)
	}
	defer r.close(c)
	return drain(dst, codec, r, len(src), maxBytes)
}
