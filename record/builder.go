package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// BatchSpec is what a batch says about itself besides its records. Start from NewBatchSpec: the zero value would claim
// producer id 0.
type BatchSpec struct {
	BaseOffset    int64
	LeaderEpoch   int32
	Codec         Codec
	Level         int // of Codec
	TimestampType TimestampType
	AppendTimeMs  int64 // the maximum timestamp with LogAppendTime
	ProducerID    int64
	ProducerEpoch int16
	BaseSequence  int32
	Transactional bool
	Control       bool
	// DeleteHorizonMs, if not NoTimestamp, is stored as base timestamp, with its attribute bit (KIP-534).
	DeleteHorizonMs int64
}

// NewBatchSpec describes an uncompressed CreateTime batch without a producer, at offset 0, stored by no leader yet.
func NewBatchSpec() BatchSpec {
	return BatchSpec{
		LeaderEpoch:     NoLeaderEpoch,
		ProducerID:      NoProducerID,
		ProducerEpoch:   NoProducerEpoch,
		BaseSequence:    NoSequence,
		AppendTimeMs:    NoTimestamp,
		DeleteHorizonMs: NoTimestamp,
	}
}

// validate refuses what no reader would accept (Kafka 3.9 MemoryRecordsBuilder.validateProducerState).
func (s *BatchSpec) validate() error {
	switch {
	case !s.Codec.Known():
		return fmt.Errorf("cannot build a batch with codec %v", s.Codec)
	case s.Transactional && s.ProducerID == NoProducerID:
		return errors.New("cannot build a transactional batch without a producer id")
	case s.ProducerID != NoProducerID && s.ProducerEpoch < 0:
		return errors.New("cannot build an idempotent batch with a negative producer epoch")
	case s.ProducerID != NoProducerID && s.BaseSequence < 0 && !s.Control:
		return errors.New("cannot build an idempotent batch with a negative sequence")
	}
	return nil
}

func (s *BatchSpec) attributes() int16 {
	a := int16(s.Codec)
	if s.TimestampType == LogAppendTime {
		a |= attrLogAppendTime
	}
	if s.Transactional {
		a |= attrTransactional
	}
	if s.Control {
		a |= attrControl
	}
	if s.DeleteHorizonMs >= 0 {
		a |= attrDeleteHorizon
	}
	return a
}

// Builder makes one batch from records. Its bytes equal those of Kafka 3.9 MemoryRecordsBuilder, up to what a compressor
// chooses. A Builder serves one batch; Reset makes it ready for the next one, keeping its buffer.
type Builder struct {
	spec          BatchSpec
	block         []byte // records, not compressed
	count         int32
	lastOffset    int64
	baseTimestamp int64
	maxTimestamp  int64
}

// NewBuilder starts a batch.
func NewBuilder(spec BatchSpec) *Builder {
	b := new(Builder)
	b.Reset(spec)
	return b
}

// Reset starts another batch.
func (b *Builder) Reset(spec BatchSpec) {
	*b = Builder{
		spec:          spec,
		block:         b.block[:0],
		lastOffset:    spec.BaseOffset - 1,
		baseTimestamp: NoTimestamp,
		maxTimestamp:  NoTimestamp,
	}
	if spec.DeleteHorizonMs >= 0 {
		b.baseTimestamp = spec.DeleteHorizonMs
	}
}

// Append adds a record at the next offset. Nil key and value are null. Everything is copied.
func (b *Builder) Append(timestampMs int64, key, value []byte, headers ...Header) error {
	return b.AppendAt(b.lastOffset+1, timestampMs, key, value, headers...)
}

// AppendAt is Append at an offset of one's choice above the last; compaction leaves gaps.
func (b *Builder) AppendAt(offset, timestampMs int64, key, value []byte, headers ...Header) error {
	if err := b.begin(offset, timestampMs); err != nil {
		return err
	}
	tsDelta, offDelta := timestampMs-b.baseTimestamp, int32(offset-b.spec.BaseOffset)
	size := bodySize(tsDelta, offDelta, key, value) + sizeVarint(int32(len(headers)))
	for _, h := range headers {
		size += sizeBytesField(h.Key) + sizeBytesField(h.Value)
	}
	b.block = appendRecordStart(b.block, size, tsDelta, offDelta, key, value)
	b.block = appendVarint(b.block, int32(len(headers)))
	for _, h := range headers {
		if h.Key == nil {
			h.Key = []byte{} // a header key is never null
		}
		b.block = appendBytesField(appendBytesField(b.block, h.Key), h.Value)
	}
	b.end(offset, timestampMs)
	return nil
}

// AppendRecord adds a record that came from an Iterator, headers and all, at an offset above the last.
func (b *Builder) AppendRecord(offset int64, r *Record) error {
	if err := b.begin(offset, r.Timestamp); err != nil {
		return err
	}
	tsDelta, offDelta := r.Timestamp-b.baseTimestamp, int32(offset-b.spec.BaseOffset)
	size := bodySize(tsDelta, offDelta, r.Key, r.Value) + sizeVarint(r.headerCount) + len(r.headers)
	b.block = appendRecordStart(b.block, size, tsDelta, offDelta, r.Key, r.Value)
	b.block = appendVarint(b.block, r.headerCount)
	b.block = append(b.block, r.headers...)
	b.end(offset, r.Timestamp)
	return nil
}

func (b *Builder) begin(offset, timestampMs int64) error {
	switch {
	case offset <= b.lastOffset:
		return fmt.Errorf("illegal offset %d following previous offset %d: offsets must increase monotonically", offset, b.lastOffset)
	case offset-b.spec.BaseOffset > math.MaxInt32:
		return fmt.Errorf("offset %d is too far from the base offset %d of its batch", offset, b.spec.BaseOffset)
	case timestampMs < 0 && timestampMs != NoTimestamp:
		return invalidRecord("invalid negative timestamp %d", timestampMs)
	}
	if b.count == 0 && b.spec.DeleteHorizonMs < 0 {
		b.baseTimestamp = timestampMs
	}
	return nil
}

func (b *Builder) end(offset, timestampMs int64) {
	b.count++
	b.lastOffset = offset
	b.maxTimestamp = max(b.maxTimestamp, timestampMs)
}

// Count is the number of records so far.
func (b *Builder) Count() int { return int(b.count) }

// MaxTimestamp is the largest timestamp so far, in milliseconds, or NoTimestamp.
func (b *Builder) MaxTimestamp() int64 { return b.maxTimestamp }

// UncompressedSizeBytes is the size that the batch would have without compression.
func (b *Builder) UncompressedSizeBytes() int { return HeaderSizeBytes + len(b.block) }

// OverrideLastOffset makes the batch end at an offset above its last record: compaction keeps the range of what it cleans.
func (b *Builder) OverrideLastOffset(offset int64) { b.lastOffset = offset }

// Build appends the batch to dst and returns dst, with the batch, which aliases it, at the end. Codecs are only needed
// when the spec names a codec.
func (b *Builder) Build(dst []byte, c *Codecs) ([]byte, Batch, error) {
	if err := b.spec.validate(); err != nil {
		return dst, nil, err
	}
	if b.count == 0 {
		return dst, nil, errors.New("cannot build a batch without records")
	}
	start := len(dst)
	dst = append(dst, make([]byte, HeaderSizeBytes)...)
	if b.spec.Codec == None {
		dst = append(dst, b.block...)
	} else {
		var err error
		if dst, err = c.Compress(dst, b.spec.Codec, b.spec.Level, b.block); err != nil {
			return dst[:start], nil, err
		}
	}
	batch := Batch(dst[start:len(dst):len(dst)])
	if int64(len(batch)) > math.MaxInt32 {
		return dst[:start], nil, fmt.Errorf("record batch of %d bytes exceeds the format", len(batch))
	}
	maxTimestamp := b.maxTimestamp
	if b.spec.TimestampType == LogAppendTime {
		maxTimestamp = b.spec.AppendTimeMs
	}
	batch.writeHeader(&b.spec, int32(b.lastOffset-b.spec.BaseOffset), b.baseTimestamp, maxTimestamp, b.count)
	return dst, batch, nil
}

// writeHeader fills the header of a batch whose records are in place.
func (b Batch) writeHeader(s *BatchSpec, lastOffsetDelta int32, baseTimestamp, maxTimestamp int64, count int32) {
	be := binary.BigEndian
	be.PutUint64(b[offBaseOffset:], uint64(s.BaseOffset))
	be.PutUint32(b[offLength:], uint32(len(b)-LogOverheadBytes))
	be.PutUint32(b[offLeaderEpoch:], uint32(s.LeaderEpoch))
	b[offMagic] = 2
	be.PutUint16(b[offAttributes:], uint16(s.attributes()))
	be.PutUint32(b[offLastOffsetDelta:], uint32(lastOffsetDelta))
	be.PutUint64(b[offBaseTimestamp:], uint64(baseTimestamp))
	be.PutUint64(b[offMaxTimestamp:], uint64(maxTimestamp))
	be.PutUint64(b[offProducerID:], uint64(s.ProducerID))
	be.PutUint16(b[offProducerEpoch:], uint16(s.ProducerEpoch))
	be.PutUint32(b[offBaseSequence:], uint32(s.BaseSequence))
	be.PutUint32(b[offCount:], uint32(count))
	b.UpdateCRC()
}

// AppendEmptyBatch appends to dst a batch without records that keeps from's offsets, producer and maximum timestamp: what
// compaction leaves of the last batch of a live producer (Kafka 3.9 MemoryRecords.filterTo).
func AppendEmptyBatch(dst []byte, from Batch) []byte {
	spec := NewBatchSpec()
	spec.BaseOffset, spec.LeaderEpoch = from.BaseOffset(), from.LeaderEpoch()
	spec.TimestampType = from.TimestampType()
	spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence = from.ProducerID(), from.ProducerEpoch(), from.BaseSequence()
	spec.Transactional, spec.Control = from.IsTransactional(), from.IsControl()
	start := len(dst)
	dst = append(dst, make([]byte, HeaderSizeBytes)...)
	Batch(dst[start:]).writeHeader(&spec, from.LastOffsetDelta(), NoTimestamp, from.MaxTimestamp(), 0)
	return dst
}

// bodySize is the size of attributes, deltas, key and value.
func bodySize(tsDelta int64, offDelta int32, key, value []byte) int {
	return 1 + sizeVarlong(tsDelta) + sizeVarint(offDelta) + sizeBytesField(key) + sizeBytesField(value)
}

func appendRecordStart(dst []byte, size int, tsDelta int64, offDelta int32, key, value []byte) []byte {
	dst = appendVarint(dst, int32(size))
	dst = append(dst, 0) // attributes
	dst = appendVarlong(dst, tsDelta)
	dst = appendVarint(dst, offDelta)
	return appendBytesField(appendBytesField(dst, key), value)
}

func sizeBytesField(v []byte) int {
	if v == nil {
		return sizeVarint(-1)
	}
	return sizeVarint(int32(len(v))) + len(v)
}

func appendBytesField(dst, v []byte) []byte {
	if v == nil {
		return appendVarint(dst, -1)
	}
	return append(appendVarint(dst, int32(len(v))), v...)
}
