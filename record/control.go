package record

import (
	"encoding/binary"
	"fmt"
)

// ControlType is the type of a control record.
type ControlType int16

// The control types that end a transaction. Others exist in KRaft only.
const (
	ControlAbort  ControlType = 0
	ControlCommit ControlType = 1
)

// EndTxnMarker is the content of a commit or abort marker.
type EndTxnMarker struct {
	Type             ControlType
	CoordinatorEpoch int32
	Offset           int64 // of the batch
	TimestampMs      int64
}

// MarkerSpec describes a marker batch to build.
type MarkerSpec struct {
	BaseOffset       int64
	LeaderEpoch      int32
	TimestampMs      int64
	ProducerID       int64
	ProducerEpoch    int16
	Type             ControlType
	CoordinatorEpoch int32
}

// AppendEndTxnMarker appends a control batch of one marker to dst: 78 bytes, transactional and control bit, no sequence
// (Kafka 3.9 MemoryRecords.withEndTransactionMarker).
func AppendEndTxnMarker(dst []byte, m MarkerSpec) ([]byte, error) {
	if m.Type != ControlAbort && m.Type != ControlCommit {
		return dst, fmt.Errorf("control type %d does not end a transaction", m.Type)
	}
	var key [4]byte
	binary.BigEndian.PutUint16(key[2:], uint16(m.Type))
	var value [6]byte
	binary.BigEndian.PutUint32(value[2:], uint32(m.CoordinatorEpoch))

	spec := NewBatchSpec()
	spec.BaseOffset, spec.LeaderEpoch = m.BaseOffset, m.LeaderEpoch
	spec.ProducerID, spec.ProducerEpoch = m.ProducerID, m.ProducerEpoch
	spec.Transactional, spec.Control = true, true
	b := NewBuilder(spec)
	if err := b.Append(m.TimestampMs, key[:], value[:]); err != nil {
		return dst, err
	}
	dst, _, err := b.Build(dst, nil)
	return dst, err
}

// EndTxnMarker reads the marker of a control batch. ok is false for a control batch that compaction has emptied. Versions
// above 0 are read as 0; control types other than commit and abort are an error, as in Kafka 3.9 EndTransactionMarker.
// Markers are never compressed. Errors wrap kerr.InvalidRecord.
func (b Batch) EndTxnMarker() (m EndTxnMarker, ok bool, err error) {
	if b.Count() == 0 {
		return m, false, nil
	}
	if b.Codec() != None {
		return m, false, invalidRecord("control batch at offset %d is compressed with %v", b.BaseOffset(), b.Codec())
	}
	var r Record
	it := b.Iterate(b.RecordsBlock())
	if !it.Next(&r) {
		return m, false, fmt.Errorf("control batch at offset %d: %w", b.BaseOffset(), it.Err())
	}
	m, err = parseEndTxnMarker(&r)
	if err != nil {
		return m, false, fmt.Errorf("control batch at offset %d: %w", b.BaseOffset(), err)
	}
	m.Offset = b.BaseOffset()
	return m, true, nil
}

// ParseControlType reads the type from the key of a control record.
func ParseControlType(key []byte) (ControlType, error) {
	if len(key) < 4 {
		return 0, invalidRecord("control record key of %d bytes, at least 4 are needed", len(key))
	}
	if v := int16(binary.BigEndian.Uint16(key)); v < 0 {
		return 0, invalidRecord("invalid version %d of a control record key", v)
	}
	return ControlType(binary.BigEndian.Uint16(key[2:])), nil
}

func parseEndTxnMarker(r *Record) (m EndTxnMarker, err error) {
	if m.Type, err = ParseControlType(r.Key); err != nil {
		return m, err
	}
	if m.Type != ControlAbort && m.Type != ControlCommit {
		return m, invalidRecord("control type %d does not end a transaction", m.Type)
	}
	if len(r.Value) < 6 {
		return m, invalidRecord("end transaction marker of %d bytes, at least 6 are needed", len(r.Value))
	}
	if v := int16(binary.BigEndian.Uint16(r.Value)); v < 0 {
		return m, invalidRecord("invalid version %d of an end transaction marker", v)
	}
	m.CoordinatorEpoch = int32(binary.BigEndian.Uint32(r.Value[2:]))
	m.TimestampMs = r.Timestamp
	return m, nil
}
