package record

// Codec is a compression type, as in the lowest three attribute bits.
type Codec int8

// The codecs, by their number on the wire.
const (
	None   Codec = 0
	Gzip   Codec = 1
	Snappy Codec = 2
	LZ4    Codec = 3
	Zstd   Codec = 4
)
