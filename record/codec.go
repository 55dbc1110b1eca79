package record

import "fmt"

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

// codecInfo has name and level range of a codec. Sources: Kafka 3.9 CompressionType, KIP-390.
type codecInfo struct {
	name                         string
	minLevel, maxLevel, defLevel int
}

var codecInfos = [...]codecInfo{
	None:   {name: "none"},
	Gzip:   {name: "gzip", minLevel: 1, maxLevel: 9, defLevel: -1},
	Snappy: {name: "snappy"},
	LZ4:    {name: "lz4", minLevel: 1, maxLevel: 17, defLevel: 9},
	Zstd:   {name: "zstd", minLevel: -131072, maxLevel: 22, defLevel: 3},
}

// Known says whether c is one of the codecs above.
func (c Codec) Known() bool { return c >= None && c <= Zstd }

// String is the codec's name as in compression.type of a producer.
func (c Codec) String() string {
	if !c.Known() {
		return fmt.Sprintf("unknown(%d)", int8(c))
	}
	return codecInfos[c].name
}

// DefaultLevel is the level used where none is configured; 0 for codecs without levels.
func (c Codec) DefaultLevel() int {
	if !c.Known() {
		return 0
	}
	return codecInfos[c].defLevel
}

// LevelRange has the configurable levels, both ends included; the default level is always allowed too. Codecs without
// levels return 0, 0.
func (c Codec) LevelRange() (min, max int) {
	if !c.Known() {
		return 0, 0
	}
	return codecInfos[c].minLevel, codecInfos[c].maxLevel
}

// ParseCodec reads a codec's name: what String returns, and "uncompressed", which topics call "none".
func ParseCodec(name string) (Codec, error) {
	if name == "uncompressed" {
		return None, nil
	}
	for c, info := range codecInfos {
		if info.name == name {
			return Codec(c), nil
		}
	}
	return None, fmt.Errorf("unknown compression name %q", name)
}
