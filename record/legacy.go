package record

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Byte positions in an entry of a message set of magic 0 or 1: offset, length and magic lie where every magic has them. Magic 1 adds
// the timestamp. All integers are big-endian.
const (
	legacyCRCAt        = 12 // of what follows it: the magic to the end
	legacyAttributesAt = 17
	legacyTimestampAt  = 18 // magic 1
	legacyKeyAt0       = 18 // int32 length, -1 null, and as many bytes; then the value likewise
	legacyKeyAt1       = 26
)

// LegacyBatch is a view on one whole entry of a message set, the format of magic 0 and 1 (Kafka before 0.11): either one message, or,
// with a codec, a wrapper whose value is a compressed message set. Kafka treats each entry as a batch, a plain one as a batch of one
// record. Obtain one from NextAny.
type LegacyBatch []byte

// Offset is the offset of the message, or of the last message in a wrapper.
func (b LegacyBatch) Offset() int64 { return int64(binary.BigEndian.Uint64(b)) }

// SizeBytes is the whole size of the entry as its length field tells it.
func (b LegacyBatch) SizeBytes() int {
	return int(int32(binary.BigEndian.Uint32(b[offLength:]))) + LogOverheadBytes
}

// Magic is the format version.
func (b LegacyBatch) Magic() int8 { return int8(b[offMagic]) }

// CRC is the stored checksum.
func (b LegacyBatch) CRC() uint32 { return binary.BigEndian.Uint32(b[legacyCRCAt:]) }

// ComputeCRC is the CRC-32 (IEEE, not Castagnoli) of everything behind the CRC field.
func (b LegacyBatch) ComputeCRC() uint32 { return crc32.ChecksumIEEE(b[offMagic:]) }

// Attributes are the raw attribute bits.
func (b LegacyBatch) Attributes() int8 { return int8(b[legacyAttributesAt]) }

// Codec is the compression of a wrapper's value, None for a plain message. Values above LZ4 are not valid in this format.
func (b LegacyBatch) Codec() Codec { return Codec(b.Attributes() & attrCodecMask) }

// TimestampType says who set the timestamp. Magic 0 knows no timestamps; it is CreateTime then.
func (b LegacyBatch) TimestampType() TimestampType {
	if b.Magic() > 0 && b.Attributes()&attrLogAppendTime != 0 {
		return LogAppendTime
	}
	return CreateTime
}

// Timestamp is the timestamp of the message, or the largest in a wrapper, in milliseconds; NoTimestamp with magic 0.
func (b LegacyBatch) Timestamp() int64 {
	if b.Magic() == 0 {
		return NoTimestamp
	}
	return int64(binary.BigEndian.Uint64(b[legacyTimestampAt:]))
}

// keyAt is the position of the key's length. Magics above 1 do not occur but in broken wrappers; like Kafka we read them as 1.
func (b LegacyBatch) keyAt() int {
	if b.Magic() == 0 {
		return legacyKeyAt0
	}
	return legacyKeyAt1
}

// hasKey says whether the key is there; ok is false for an entry too short to tell.
func (b LegacyBatch) hasKey() (has, ok bool) {
	at := b.keyAt()
	if len(b) < at+4 {
		return false, false
	}
	return int32(binary.BigEndian.Uint32(b[at:])) >= 0, true
}

// KeyValue are key and value; nil is null. What follows the value inside the entry is not looked at, as in Kafka. The error, for lengths
// beyond the entry, wraps kerr.InvalidRecord.
func (b LegacyBatch) KeyValue() (key, value []byte, err error) {
	key, at, ok := b.field(b.keyAt())
	if ok {
		value, _, ok = b.field(at)
	}
	if !ok {
		return nil, nil, invalidRecord("message at offset %d: key or value exceeds the %d bytes of the message", b.Offset(), len(b))
	}
	return key, value, nil
}

// field reads a length and as many bytes; a negative length is null, as in Java.
func (b LegacyBatch) field(at int) (v []byte, end int, ok bool) {
	if len(b) < at+4 {
		return nil, 0, false
	}
	n := int32(binary.BigEndian.Uint32(b[at:]))
	at += 4
	if n < 0 {
		return nil, at, true
	}
	if int(n) > len(b)-at {
		return nil, 0, false
	}
	end = at + int(n)
	return b[at:end:end], end, true
}

// NextAny cuts the first batch off buf, whatever its magic: raw is a Batch with magic 2, a LegacyBatch with 0 or 1. Otherwise it is as
// Next; a MagicError is for magics that no Kafka ever wrote.
func NextAny(buf []byte) (raw []byte, magic int8, rest []byte, err error) {
	size, magic, err := PeekHeader(buf)
	if m, ok := err.(MagicError); ok && m.IsLegacy() {
		err = nil
	}
	if err == ErrBatchLength && magic == 2 && LegacyBatch(buf).SizeBytes() > len(buf) {
		err = ErrShortBatch // too short for a header of magic 2, but cut short besides, which Kafka finds out first
	}
	if err == nil && size > int64(len(buf)) {
		err = ErrShortBatch
	}
	if err != nil {
		return nil, magic, buf, err
	}
	return buf[:size:size], magic, buf[size:], nil
}

// CheckCRC verifies the CRC of a whole batch, or of an entry of a legacy message set; the error is CORRUPT_MESSAGE.
func CheckCRC(raw []byte, magic int8) error {
	stored, computed := uint32(0), uint32(0)
	if magic >= 2 {
		stored, computed = Batch(raw).CRC(), Batch(raw).ComputeCRC()
	} else {
		stored, computed = LegacyBatch(raw).CRC(), LegacyBatch(raw).ComputeCRC()
	}
	if stored != computed {
		return fmt.Errorf("batch at offset %d is corrupt (stored crc = %d, computed crc = %d): %w", anyBatch(raw).offset, stored, computed, kerr.CorruptMessage)
	}
	return nil
}
