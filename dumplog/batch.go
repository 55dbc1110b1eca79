package dumplog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"gokafka/record"
)

const (
	// maxBatchBytes bounds a batch whose records are walked, and what its records decompress to: the heap that Apache's script gives
	// to its tool.
	maxBatchBytes = 256 << 20

	legacyHeader0Bytes = 18 // up to the key
	legacyHeader1Bytes = 26
	minLengthBytes     = 14
	crcAt              = 17
	attributesAt       = 21
	countAt            = 57
	legacyCRCAt        = 12
	magicAt            = 16
)

// batch is a batch of any magic in a file; its header was read, its records were not. What lies behind a batch too short for its
// header counts as header, as in Kafka, which finds that out later.
type batch struct {
	f      *file
	pos    int64
	size   int64 // whole
	magic  int8
	header record.Batch       // magic 2 and above, header only
	legacy record.LegacyBatch // below, header only
}

// next reads the batch at the slice's position and moves on; ok is false at the end, or before a batch that is not there as a whole
// (Kafka 3.9 FileLogInputStream.nextBatch).
func (s *slice) next() (b batch, ok bool, err error) {
	if s.pos >= s.end-record.HeaderSizeUpToMagicBytes {
		return b, false, nil
	}
	head, err := s.f.peek(s.pos, record.HeaderSizeUpToMagicBytes)
	if err != nil {
		return b, false, fmt.Errorf("log header at position %d: %w", s.pos, err)
	}
	length := int32(binary.BigEndian.Uint32(head[8:]))
	if length < minLengthBytes {
		return b, false, javaErrorf("Found record size %d smaller than minimum record overhead (%d) in file %s.", length, minLengthBytes, s.f.path)
	}
	b = batch{f: s.f, pos: s.pos, size: int64(length) + record.LogOverheadBytes, magic: int8(head[magicAt])}
	if s.pos > s.end-b.size {
		return b, false, nil
	}
	s.pos += b.size
	return b, true, nil
}

// load reads the header. It must be called before anything but isLegacy, lastOffset of a legacy batch, and size are asked for.
func (b *batch) load() error {
	n := record.HeaderSizeBytes
	switch {
	case b.magic == 0:
		n = legacyHeader0Bytes
	case b.magic == 1:
		n = legacyHeader1Bytes
	case b.magic < 0:
		return javaErrorf("Invalid magic used in LegacyRecord: %d", b.magic)
	}
	head, err := b.f.peek(b.pos, n)
	if err != nil {
		return javaErrorf("Failed to load record batch at position %d from %s: %w", b.pos, b.f.describe(), err)
	}
	head = append([]byte(nil), head...) // the window moves on
	if b.isLegacy() {
		b.legacy = head
	} else {
		b.header = head
	}
	return nil
}

// isLegacy: Kafka takes negative magics for legacy ones, and ones above 2 for 2.
func (b *batch) isLegacy() bool { return b.magic < 2 }

// lastOffset reads the header if need be.
func (b *batch) lastOffset() (int64, error) {
	if b.isLegacy() {
		head, err := b.f.peek(b.pos, 8)
		if err != nil {
			return 0, err
		}
		return int64(binary.BigEndian.Uint64(head)), nil
	}
	if b.header == nil {
		if err := b.load(); err != nil {
			return 0, err
		}
	}
	return b.header.LastOffset(), nil
}

func (b *batch) codec() record.Codec {
	if b.isLegacy() {
		return b.legacy.Codec()
	}
	return b.header.Codec()
}

func (b *batch) crc() uint32 {
	if b.isLegacy() {
		return b.legacy.CRC()
	}
	return b.header.CRC()
}

func (b *batch) maxTimestamp() int64 {
	if b.isLegacy() {
		return b.legacy.Timestamp()
	}
	return b.header.MaxTimestamp()
}

// timestampType is TimestampType.toString.
func (b *batch) timestampType() string {
	t := b.header.TimestampType
	if b.isLegacy() {
		t = b.legacy.TimestampType
	}
	switch {
	case b.magic == 0:
		return "NoTimestampType"
	case t() == record.LogAppendTime:
		return "LogAppendTime"
	}
	return "CreateTime"
}

func (b *batch) isControl() bool { return !b.isLegacy() && b.header.IsControl() }

// isValid compares the checksum with the bytes in the file, piece by piece.
func (b *batch) isValid() (bool, error) {
	table, at := crc32.MakeTable(crc32.Castagnoli), int64(attributesAt)
	if b.isLegacy() {
		table, at = crc32.IEEETable, magicAt
	} else if b.size < record.HeaderSizeBytes {
		return false, nil
	}
	crc := uint32(0)
	for at < b.size {
		part, err := b.f.peek(b.pos+at, int(min(b.size-at, windowBytes)))
		if err != nil {
			return false, javaErrorf("Failed to load record batch at position %d from %s: %w", b.pos, b.f.describe(), err)
		}
		crc = crc32.Update(crc, table, part)
		at += int64(len(part))
	}
	return crc == b.crc(), nil
}

// full reads the whole batch into buf, grown as needed up to limit.
func (b *batch) full(buf []byte, limit int) ([]byte, error) {
	if b.size > int64(limit) {
		return buf, fmt.Errorf("batch at position %d has %d bytes, at most %d can be looked into", b.pos, b.size, limit)
	}
	if int64(cap(buf)) < b.size {
		buf = make([]byte, b.size)
	}
	buf = buf[:b.size]
	if err := b.f.read(buf, b.pos); err != nil {
		return buf, javaErrorf("Failed to load record batch at position %d from %s: %w", b.pos, b.f.describe(), err)
	}
	return buf, nil
}
