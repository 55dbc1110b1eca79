package logstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/internal/vfs"
	"gokafka/record"
)

// batchInfo is what walking a segment needs of a batch, of any magic. For magic 0 and 1 baseOffset is the offset field too, which is
// that of the last record of a compressed set.
type batchInfo struct {
	pos, size              int64
	magic                  int8
	baseOffset, lastOffset int64
	maxTimestamp           int64
	leaderEpoch            int32
}

// Lengths of the fixed parts that parseInfo reads, and positions in an entry of a legacy message set.
const (
	legacyAttributesAt = 17
	legacyTimestampAt  = 18
	legacyHeaderBytes  = 26
)

// parseInfo reads the header at the start of b, which holds infoBytes(magic) bytes of the batch or all of it.
func parseInfo(b []byte, pos, size int64, magic int8) batchInfo {
	base := int64(binary.BigEndian.Uint64(b))
	in := batchInfo{pos: pos, size: size, magic: magic, baseOffset: base, lastOffset: base,
		maxTimestamp: record.NoTimestamp, leaderEpoch: record.NoLeaderEpoch}
	switch {
	case magic >= 2:
		h := record.Batch(b)
		in.lastOffset, in.maxTimestamp, in.leaderEpoch = h.LastOffset(), h.MaxTimestamp(), h.LeaderEpoch()
	case magic == 1 && len(b) >= legacyHeaderBytes:
		in.maxTimestamp = int64(binary.BigEndian.Uint64(b[legacyTimestampAt:]))
	}
	return in
}

func infoBytes(magic int8) int64 {
	if magic >= 2 {
		return record.HeaderSizeBytes
	}
	return legacyHeaderBytes
}

// scanner walks batch headers of a file without reading what lies between them more than it must.
type scanner struct {
	file vfs.File
	pos  int64 // of the next batch
	end  int64 // nothing at or beyond is looked at
	buf  []byte

	bufPos int64 // file position of buf[0]
	bufLen int
	step   int // bytes to read next time

	header []byte // of the batch that next returned: what parseInfo needs, or more; valid until the next call
}

func newScanner(f vfs.File, pos, end int64, buf []byte) scanner {
	return scanner{file: f, pos: pos, end: end, buf: buf, step: len(buf)}
}

// next returns the next batch; ok is false at the end, where too little is left for a whole batch. A length or magic that
// no batch can have is kerr.CorruptMessage (as Kafka 3.9 FileLogInputStream.nextBatch).
func (s *scanner) next() (in batchInfo, ok bool, err error) {
	if s.end-s.pos < record.HeaderSizeUpToMagicBytes {
		return in, false, nil
	}
	b, err := s.window(record.HeaderSizeUpToMagicBytes)
	if err != nil {
		return in, false, err
	}
	size, magic, err := record.PeekHeader(b)
	var m record.MagicError
	if errors.As(err, &m) && m.IsLegacy() {
		err = nil
	}
	if err != nil {
		return in, false, fmt.Errorf("at position %d: %w", s.pos, err)
	}
	if s.end-s.pos < size {
		return in, false, nil
	}
	if b, err = s.window(min(infoBytes(magic), size)); err != nil {
		return in, false, err
	}
	s.header = b
	in = parseInfo(b, s.pos, size, magic)
	s.pos += size
	if s.step = len(s.buf); size > int64(len(s.buf))/2 {
		s.step = 2 * record.HeaderSizeBytes // the batch after a large one is probably large: read its header only
	}
	return in, true, nil
}

// window returns at least n bytes at pos.
func (s *scanner) window(n int64) ([]byte, error) {
	if s.pos < s.bufPos || s.pos+n > s.bufPos+int64(s.bufLen) {
		want := min(max(int64(s.step), n), s.end-s.pos)
		got, err := s.file.ReadAt(s.buf[:want], s.pos)
		if int64(got) < n {
			if err == nil || errors.Is(err, io.EOF) {
				err = errShortFile
			}
			return nil, ioErr("read", err)
		}
		s.bufPos, s.bufLen = s.pos, got
	}
	return s.buf[s.pos-s.bufPos : s.bufLen], nil
}

// errShortFile says that a file ended before the length the log knows: it was truncated meanwhile, or damaged.
var errShortFile = fmt.Errorf("segment file is shorter than expected: %w", io.ErrUnexpectedEOF)

// isCorrupt says that bytes, not the disk, are at fault.
func isCorrupt(err error) bool {
	return errors.Is(err, kerr.CorruptMessage) || errors.Is(err, kerr.InvalidRecord)
}
