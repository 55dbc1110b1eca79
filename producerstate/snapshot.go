package producerstate

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
)

// A snapshot is, big-endian: int16 version 1, uint32 CRC-32C of all that follows, int32 number of entries, entries.
const (
	snapshotVersion    = 1
	snapshotHeadBytes  = 10
	snapshotCRCAt      = 2
	snapshotCoveredAt  = 6
	snapshotEntryBytes = 46
)

// ErrCorruptSnapshot is returned for a snapshot that cannot be used; an older one may do.
var ErrCorruptSnapshot = errors.New("producer snapshot is corrupt")

// Entry is one producer in a snapshot. Only its last batch is kept.
type Entry struct {
	ProducerID            int64
	ProducerEpoch         int16
	LastSequence          int32 // NoSequence without a batch
	LastOffset            int64 // of the last batch of records, or -1
	OffsetDelta           int32 // of the last batch: last minus first sequence
	TimestampMs           int64 // of the last batch or marker
	CoordinatorEpoch      int32 // of the last marker, or -1
	CurrentTxnFirstOffset int64 // of the ongoing transaction, or -1
}

// AppendSnapshot appends a snapshot of the entries, in their order, to dst.
func AppendSnapshot(dst []byte, entries []Entry) []byte {
	start := len(dst)
	be := binary.BigEndian
	dst = be.AppendUint16(dst, snapshotVersion)
	dst = be.AppendUint32(dst, 0)
	dst = be.AppendUint32(dst, uint32(len(entries)))
	for _, e := range entries {
		dst = be.AppendUint64(dst, uint64(e.ProducerID))
		dst = be.AppendUint16(dst, uint16(e.ProducerEpoch))
		dst = be.AppendUint32(dst, uint32(e.LastSequence))
		dst = be.AppendUint64(dst, uint64(e.LastOffset))
		dst = be.AppendUint32(dst, uint32(e.OffsetDelta))
		dst = be.AppendUint64(dst, uint64(e.TimestampMs))
		dst = be.AppendUint32(dst, uint32(e.CoordinatorEpoch))
		dst = be.AppendUint64(dst, uint64(e.CurrentTxnFirstOffset))
	}
	s := dst[start:]
	be.PutUint32(s[snapshotCRCAt:], snapshotCRC(s))
	return dst
}

// EncodeSnapshot is the snapshot of the Manager at MapEndOffset, producers by id.
func (m *Manager) EncodeSnapshot() []byte {
	entries := m.inTableOrder()
	return AppendSnapshot(make([]byte, 0, snapshotHeadBytes+snapshotEntryBytes*len(entries)), entries)
}

// DecodeSnapshot reads a snapshot. Errors wrap ErrCorruptSnapshot.
func DecodeSnapshot(b []byte) ([]Entry, error) {
	if len(b) < snapshotHeadBytes {
		return nil, fmt.Errorf("%w: %d bytes", ErrCorruptSnapshot, len(b))
	}
	be := binary.BigEndian
	if v := int16(be.Uint16(b)); v != snapshotVersion {
		return nil, fmt.Errorf("%w: unknown version %d", ErrCorruptSnapshot, v)
	}
	if stored, computed := be.Uint32(b[snapshotCRCAt:]), snapshotCRC(b); stored != computed {
		return nil, fmt.Errorf("%w: stored CRC %08x, computed CRC %08x", ErrCorruptSnapshot, stored, computed)
	}
	n, body := int64(int32(be.Uint32(b[snapshotCoveredAt:]))), b[snapshotHeadBytes:]
	if n*snapshotEntryBytes != int64(len(body)) {
		return nil, fmt.Errorf("%w: %d entries in %d bytes", ErrCorruptSnapshot, n, len(body))
	}
	entries := make([]Entry, n)
	for i := range entries {
		p := body[i*snapshotEntryBytes:]
		entries[i] = Entry{
			ProducerID:            int64(be.Uint64(p)),
			ProducerEpoch:         int16(be.Uint16(p[8:])),
			LastSequence:          int32(be.Uint32(p[10:])),
			LastOffset:            int64(be.Uint64(p[14:])),
			OffsetDelta:           int32(be.Uint32(p[22:])),
			TimestampMs:           int64(be.Uint64(p[26:])),
			CoordinatorEpoch:      int32(be.Uint32(p[34:])),
			CurrentTxnFirstOffset: int64(be.Uint64(p[38:])),
		}
	}
	return entries, nil
}

func snapshotCRC(b []byte) uint32 {
	return crc32.Checksum(b[snapshotCoveredAt:], crc32.MakeTable(crc32.Castagnoli))
}
