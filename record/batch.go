package record

import (
	"encoding/binary"
	"hash/crc32"
)

// Byte positions in a record batch of magic 2. All integers are big-endian.
const (
	offBaseOffset      = 0
	offLength          = 8
	offLeaderEpoch     = 12
	offMagic           = 16
	offCRC             = 17
	offAttributes      = 21
	offLastOffsetDelta = 23
	offBaseTimestamp   = 27
	offMaxTimestamp    = 35
	offProducerID      = 43
	offProducerEpoch   = 51
	offBaseSequence    = 53
	offCount           = 57

	// HeaderSizeBytes is the size of a batch without records.
	HeaderSizeBytes = 61
	// LogOverheadBytes is the size of base offset and length, the part every magic shares; the length field counts
	// what follows it.
	LogOverheadBytes = 12

	// NoProducerID, NoProducerEpoch and NoSequence stand in batches of producers without idempotence.
	NoProducerID    int64 = -1
	NoProducerEpoch int16 = -1
	NoSequence      int32 = -1
	// NoTimestamp is the timestamp of a record without one.
	NoTimestamp int64 = -1
	// NoLeaderEpoch is the partition leader epoch of a batch that no leader has stored.
	NoLeaderEpoch int32 = -1
)

// Attribute bits of a batch.
const (
	attrCodecMask     = 0x07
	attrLogAppendTime = 1 << 3
	attrTransactional = 1 << 4
	attrControl       = 1 << 5
	attrDeleteHorizon = 1 << 6

	// attrKnownMask has the bits that stay when a leader stamps a timestamp; bit 3 it sets itself.
	attrKnownMask = attrCodecMask | attrTransactional | attrControl | attrDeleteHorizon
)

// TimestampType says who set the timestamps of a batch.
type TimestampType int8

// The timestamp types, as in message.timestamp.type.
const (
	CreateTime    TimestampType = 0
	LogAppendTime TimestampType = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Batch is a view on the bytes of one whole record batch of magic 2: header and records. Methods read and patch the
// bytes in place. A Batch shorter than HeaderSizeBytes, or whose SizeBytes differs from its len, must not be used:
// obtain one from Next.
type Batch []byte

// BaseOffset is the offset of the first record the batch ever had.
func (b Batch) BaseOffset() int64 { return int64(binary.BigEndian.Uint64(b[offBaseOffset:])) }

// SetBaseOffset patches the base offset; the CRC does not cover it.
func (b Batch) SetBaseOffset(o int64) { binary.BigEndian.PutUint64(b[offBaseOffset:], uint64(o)) }

// SizeBytes is the whole size of the batch as its length field tells it.
func (b Batch) SizeBytes() int {
	return int(int32(binary.BigEndian.Uint32(b[offLength:]))) + LogOverheadBytes
}

// LeaderEpoch is the partition leader epoch of the leader that stored the batch.
func (b Batch) LeaderEpoch() int32 { return int32(binary.BigEndian.Uint32(b[offLeaderEpoch:])) }

// SetLeaderEpoch patches the partition leader epoch; the CRC does not cover it.
func (b Batch) SetLeaderEpoch(e int32) { binary.BigEndian.PutUint32(b[offLeaderEpoch:], uint32(e)) }

// Magic is the format version.
func (b Batch) Magic() int8 { return int8(b[offMagic]) }

// CRC is the checksum stored in the header.
func (b Batch) CRC() uint32 { return binary.BigEndian.Uint32(b[offCRC:]) }

// ComputeCRC is the CRC-32C of everything behind the CRC field.
func (b Batch) ComputeCRC() uint32 { return crc32.Checksum(b[offAttributes:], castagnoli) }

// UpdateCRC stores ComputeCRC in the header.
func (b Batch) UpdateCRC() { binary.BigEndian.PutUint32(b[offCRC:], b.ComputeCRC()) }

// Attributes are the raw attribute bits.
func (b Batch) Attributes() int16 { return int16(binary.BigEndian.Uint16(b[offAttributes:])) }

func (b Batch) setAttributes(a int16) { binary.BigEndian.PutUint16(b[offAttributes:], uint16(a)) }

// Codec is the compression of the records block. Values above Zstd come only from a broken client.
func (b Batch) Codec() Codec { return Codec(b.Attributes() & attrCodecMask) }

// TimestampType says who set the timestamps.
func (b Batch) TimestampType() TimestampType {
	if b.Attributes()&attrLogAppendTime != 0 {
		return LogAppendTime
	}
	return CreateTime
}

// IsTransactional says whether the batch belongs to a transaction (data or marker).
func (b Batch) IsTransactional() bool { return b.Attributes()&attrTransactional != 0 }

// IsControl says whether the batch is a control batch, invisible to applications.
func (b Batch) IsControl() bool { return b.Attributes()&attrControl != 0 }

// HasDeleteHorizon says whether the base timestamp field holds the delete horizon (KIP-534).
func (b Batch) HasDeleteHorizon() bool { return b.Attributes()&attrDeleteHorizon != 0 }

// LastOffsetDelta is the difference of last and base offset; compaction keeps it although records go.
func (b Batch) LastOffsetDelta() int32 { return int32(binary.BigEndian.Uint32(b[offLastOffsetDelta:])) }

// LastOffset is the offset of the last record the batch ever had.
func (b Batch) LastOffset() int64 { return b.BaseOffset() + int64(b.LastOffsetDelta()) }

// NextOffset is the offset after the batch.
func (b Batch) NextOffset() int64 { return b.LastOffset() + 1 }

// BaseTimestamp is what the timestamp deltas of the records are relative to, in milliseconds.
func (b Batch) BaseTimestamp() int64 { return int64(binary.BigEndian.Uint64(b[offBaseTimestamp:])) }

// MaxTimestamp is the largest record timestamp, or the append time with LogAppendTime, in milliseconds.
func (b Batch) MaxTimestamp() int64 { return int64(binary.BigEndian.Uint64(b[offMaxTimestamp:])) }

// ProducerID is the producer's id or NoProducerID.
func (b Batch) ProducerID() int64 { return int64(binary.BigEndian.Uint64(b[offProducerID:])) }

// HasProducerID says whether the batch comes from an idempotent producer.
func (b Batch) HasProducerID() bool { return b.ProducerID() > NoProducerID }

// ProducerEpoch is the producer's epoch or NoProducerEpoch.
func (b Batch) ProducerEpoch() int16 { return int16(binary.BigEndian.Uint16(b[offProducerEpoch:])) }

// BaseSequence is the sequence of the first record or NoSequence.
func (b Batch) BaseSequence() int32 { return int32(binary.BigEndian.Uint32(b[offBaseSequence:])) }

// LastSequence is the sequence of the last record, wrapped to 0 after MaxInt32 (Kafka 3.9 DefaultRecordBatch.lastSequence).
func (b Batch) LastSequence() int32 {
	if b.BaseSequence() == NoSequence {
		return NoSequence
	}
	return IncrementSequence(b.BaseSequence(), b.LastOffsetDelta())
}

// Count is the number of records the header declares.
func (b Batch) Count() int32 { return int32(binary.BigEndian.Uint32(b[offCount:])) }

// RecordsBlock is what follows the header, compressed as Codec says. It aliases the batch.
func (b Batch) RecordsBlock() []byte { return b[HeaderSizeBytes:] }

// SetMaxTimestamp stores type and maximum timestamp as a leader does. When both are there already nothing is written, so that
// the producer's CRC stays; otherwise unknown attribute bits are dropped and the CRC is made anew
// (Kafka 3.9 DefaultRecordBatch.setMaxTimestamp).
func (b Batch) SetMaxTimestamp(t TimestampType, ts int64) {
	if b.TimestampType() == t && b.MaxTimestamp() == ts {
		return
	}
	a := b.Attributes() & attrKnownMask
	if t == LogAppendTime {
		a |= attrLogAppendTime
	}
	b.setAttributes(a)
	binary.BigEndian.PutUint64(b[offMaxTimestamp:], uint64(ts))
	b.UpdateCRC()
}

// IncrementSequence adds by to a sequence, wrapping from MaxInt32 to 0 (Kafka 3.9 DefaultRecordBatch.incrementSequence).
func IncrementSequence(seq, by int32) int32 {
	if seq > (1<<31-1)-by {
		return by - ((1<<31 - 1) - seq) - 1
	}
	return seq + by
}

// DecrementSequence subtracts by from a sequence, wrapping from 0 to MaxInt32.
func DecrementSequence(seq, by int32) int32 {
	if seq < by {
		return (1<<31 - 1) - (by - seq) + 1
	}
	return seq - by
}
