package record

import (
	"encoding/binary"
	"fmt"
	"math"
)

// LegacySpec describes a message set of magic 0 or 1.
type LegacySpec struct {
	Magic         int8
	Codec         Codec // up to LZ4
	Level         int   // of Codec
	BaseOffset    int64 // what the offsets in a wrapper of magic 1 are relative to; the first message's, usually
	TimestampType TimestampType
	AppendTimeMs  int64 // the timestamp of all messages with LogAppendTime
}

// LegacyBuilder makes a message set: without a codec entries one behind the other, else one wrapper. Its bytes equal those of
// Kafka 3.9 MemoryRecordsBuilder, up to what a compressor chooses. Start with Reset, which also makes it ready for the next set.
type LegacyBuilder struct {
	spec         LegacySpec
	block        []byte // entries, not compressed
	count        int
	lastOffset   int64
	maxTimestamp int64
}

// Reset starts a set, keeping the buffer of the last one.
func (b *LegacyBuilder) Reset(spec LegacySpec) {
	*b = LegacyBuilder{spec: spec, block: b.block[:0], maxTimestamp: NoTimestamp}
}

// Count is the number of messages so far.
func (b *LegacyBuilder) Count() int { return b.count }

// Append adds a message at an offset above the last. Nil key and value are null. Everything is copied.
func (b *LegacyBuilder) Append(offset, timestampMs int64, key, value []byte) error {
	switch {
	case b.count > 0 && offset <= b.lastOffset:
		return fmt.Errorf("illegal offset %d following previous offset %d: offsets must increase monotonically", offset, b.lastOffset)
	case offset-b.spec.BaseOffset > math.MaxInt32:
		return fmt.Errorf("offset %d is too far from the base offset %d of its set", offset, b.spec.BaseOffset)
	case timestampMs < NoTimestamp:
		return invalidRecord("invalid negative timestamp %d", timestampMs)
	}
	if b.spec.TimestampType == LogAppendTime {
		if timestampMs = b.spec.AppendTimeMs; timestampMs < NoTimestamp {
			return invalidRecord("invalid negative timestamp %d", timestampMs)
		}
	}
	inner := offset
	if b.spec.Magic > 0 && b.spec.Codec != None {
		inner -= b.spec.BaseOffset
	}
	start := len(b.block)
	b.block = b.spec.appendHead(b.block, inner, None, timestampMs)
	b.block = appendLegacyField(appendLegacyField(b.block, key), value)
	if err := finishLegacyEntry(b.block[start:]); err != nil {
		b.block = b.block[:start]
		return err
	}
	b.count++
	b.lastOffset = offset
	if b.spec.Magic > 0 {
		b.maxTimestamp = max(b.maxTimestamp, timestampMs)
	}
	return nil
}

// Build appends the set to dst, nothing if there are no messages. Codecs are only needed when the spec names a codec.
func (b *LegacyBuilder) Build(dst []byte, c *Codecs) ([]byte, error) {
	if b.count == 0 || b.spec.Codec == None {
		return append(dst, b.block...), nil
	}
	timestampMs := b.maxTimestamp
	if b.spec.TimestampType == LogAppendTime {
		timestampMs = b.spec.AppendTimeMs
	}
	start := len(dst)
	dst = b.spec.appendHead(dst, b.lastOffset, b.spec.Codec, timestampMs)
	dst = appendLegacyField(dst, nil) // a wrapper has no key
	at := len(dst)
	dst, err := c.compressLegacy(append(dst, 0, 0, 0, 0), b.spec.Codec, b.spec.Magic, b.spec.Level, b.block)
	if err != nil {
		return dst[:start], err
	}
	binary.BigEndian.PutUint32(dst[at:], uint32(len(dst)-at-4))
	if err := finishLegacyEntry(dst[start:]); err != nil {
		return dst[:start], err
	}
	return dst, nil
}

// appendHead appends what precedes the key; length and CRC come later.
func (s *LegacySpec) appendHead(dst []byte, offset int64, codec Codec, timestampMs int64) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(offset))
	attributes := byte(codec)
	if s.Magic > 0 && s.TimestampType == LogAppendTime {
		attributes |= attrLogAppendTime
	}
	dst = append(dst, 0, 0, 0, 0, 0, 0, 0, 0, byte(s.Magic), attributes)
	if s.Magic > 0 {
		dst = binary.BigEndian.AppendUint64(dst, uint64(timestampMs))
	}
	return dst
}

func appendLegacyField(dst, v []byte) []byte {
	if v == nil {
		return append(dst, 0xff, 0xff, 0xff, 0xff)
	}
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(v))), v...)
}

// finishLegacyEntry fills length and CRC of an entry whose other bytes are in place.
func finishLegacyEntry(entry []byte) error {
	if int64(len(entry)) > math.MaxInt32 {
		return fmt.Errorf("message of %d bytes exceeds the format", len(entry))
	}
	binary.BigEndian.PutUint32(entry[offLength:], uint32(len(entry)-LogOverheadBytes))
	binary.BigEndian.PutUint32(entry[legacyCRCAt:], LegacyBatch(entry).ComputeCRC())
	return nil
}
