package logstore

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/internal/vfs"
	"gokafka/record"
)

// batchReader reads whole batches of a file one after the other.
type batchReader struct {
	file vfs.File
	pos  int64 // of the next batch
	end  int64
	buf  *[]byte

	bufPos int64
	have   int
}

// next returns the bytes of the next batch, valid until the next call. ok is false at the end, or where what is left is not a whole batch.
// Errors that are isCorrupt say that what is there is no batch.
func (r *batchReader) next() (raw []byte, in batchInfo, ok bool, err error) {
	if r.end-r.pos < record.HeaderSizeUpToMagicBytes {
		return nil, in, false, nil
	}
	raw, err = r.window(record.HeaderSizeUpToMagicBytes)
	if err != nil {
		return nil, in, false, err
	}
	size, magic, err := record.PeekHeader(raw)
	var m record.MagicError
	if errors.As(err, &m) && m.IsLegacy() {
		err = nil
	}
	if err != nil {
		return nil, in, false, fmt.Errorf("at position %d: %w", r.pos, err)
	}
	if r.end-r.pos < size {
		return nil, in, false, nil
	}
	if raw, err = r.window(size); err != nil {
		return nil, in, false, err
	}
	raw = raw[:size]
	in = parseInfo(raw, r.pos, size, magic)
	if err := record.CheckCRC(raw, magic); err != nil {
		return nil, in, false, fmt.Errorf("at position %d: %w", r.pos, err)
	}
	r.pos += size
	return raw, in, true, nil
}

// window returns at least n bytes at pos. The buffer grows with batches that are in the file, never with a declared length alone.
func (r *batchReader) window(n int64) ([]byte, error) {
	if r.pos < r.bufPos || r.pos+n > r.bufPos+int64(r.have) {
		if int64(len(*r.buf)) < n {
			*r.buf = make([]byte, n)
		}
		b := (*r.buf)[:min(int64(len(*r.buf)), r.end-r.pos)]
		got, err := r.file.ReadAt(b, r.pos)
		if int64(got) < n {
			return nil, ioErr("read", orShort(err))
		}
		r.bufPos, r.have = r.pos, got
	}
	return (*r.buf)[r.pos-r.bufPos : r.have], nil
}

// recover reads the whole segment, cuts it behind the last valid batch, and makes its indexes anew; leader epochs and producer state
// follow the batches. It returns how many bytes were cut. The segment is active afterwards (Kafka 3.9 LogSegment.recover).
func (l *loader) recover(s *segment, p *producers) (cutBytes int64, err error) {
	s.resetIndexes(l.opts.Config.SegmentIndexBytes)
	f, err := s.handle.acquire()
	if err != nil {
		return 0, ioErr("open segment", err)
	}
	defer s.handle.release()
	size, err := f.Size()
	if err != nil {
		return 0, ioErr("recover segment", err)
	}
	buf := l.env.buffers.getRecover()
	defer l.env.buffers.putRecover(buf)
	r := &batchReader{file: f, end: size, buf: buf}
	valid, lastEntry, lastOffset := int64(0), int64(0), s.base-1
	var prev batchInfo
	prevLast := lastOffset // of the batch before prev
	for {
		raw, in, ok, err := r.next()
		if err == nil && ok {
			if err = s.inSequence(in, lastOffset); err != nil && prev.size > 0 && misplaced(prevLast, prev, in) {
				return 0, &misplacedError{prev.pos, err}
			}
			if err == nil && !s.offsets.fits(in.lastOffset) {
				err = l.tooFar(s, r, in)
			}
		}
		if err != nil && !isCorrupt(err) {
			return 0, err
		}
		if err != nil {
			l.logger.Warn("found invalid batch, cutting the segment there", "file", s.path(logSuffix), "position", valid, "err", err)
			break
		}
		if !ok {
			break
		}
		s.noteTimestamp(in.maxTimestamp, in.lastOffset)
		if valid-lastEntry > s.intervalBytes {
			s.addEntry(in.lastOffset, valid)
			lastEntry = valid
		}
		if !s.firstKnown {
			s.firstTimestamp, s.firstKnown = in.maxTimestamp, true
		}
		if in.magic >= 2 {
			b := record.Batch(raw)
			l.gaps = l.gaps || in.baseOffset > lastOffset+1 && prev.size > 0 || b.Count() != b.LastOffsetDelta()+1
		}
		prev, prevLast, valid, lastOffset = in, lastOffset, r.pos, in.lastOffset
		if in.magic >= 2 {
			l.learn(s, p, record.Batch(raw), in)
		}
	}
	s.size.Store(valid)
	s.dirty = true // a crash may have left it in the page cache only, and the recovery point says so
	if size > valid {
		if err := f.Truncate(valid); err != nil {
			return 0, ioErr("truncate segment", err)
		}
	}
	s.closeTimeIndex()
	return size - valid, s.writeIndexes()
}

// inSequence says whether a batch may follow lastOffset in the segment. The CRC does not cover a batch's base offset.
func (s *segment) inSequence(in batchInfo, lastOffset int64) error {
	if in.lastOffset < s.base || in.lastOffset <= lastOffset || in.magic >= 2 && (in.baseOffset <= lastOffset || in.lastOffset < in.baseOffset) {
		return fmt.Errorf("offsets %d to %d cannot follow %d in segment %d: %w", in.baseOffset, in.lastOffset, lastOffset, s.base, kerr.CorruptMessage)
	}
	return nil
}

// misplaced says of two batches, the second of which cannot follow the first, that the first is the wrong one: it left a gap behind it in which
// it has room itself, together with the second. A damaged base offset looks like that.
func misplaced(before int64, first, second batchInfo) bool {
	return first.magic >= 2 && first.baseOffset > before+1 && second.baseOffset > before && second.baseOffset-(before+1) > first.lastOffset-first.baseOffset
}

// misplacedError says that the batch at pos has a wrong offset, which only the one behind it told. What was learnt of it must be forgotten.
type misplacedError struct {
	pos int64
	err error
}

func (e *misplacedError) Error() string { return e.err.Error() }
func (e *misplacedError) Unwrap() error { return e.err }

// tooFar judges a batch whose offset cannot be told relative to the segment's base. In segments that old versions compacted there are such
// batches: the segment is to be split. One batch alone is that only in a compacted topic; elsewhere its offset is damaged.
func (l *loader) tooFar(s *segment, r *batchReader, in batchInfo) error {
	_, next, ok, err := r.next()
	if err != nil && !isCorrupt(err) {
		return err
	}
	if err == nil && ok && s.inSequence(next, in.lastOffset) == nil || l.opts.Config.CleanupCompact && (err != nil || !ok) {
		return &overflowError{s}
	}
	return fmt.Errorf("offset %d is too far from segment %d: %w", in.lastOffset, s.base, kerr.CorruptMessage)
}

// learn takes leader epoch and producer state from a recovered batch.
func (l *loader) learn(s *segment, p *producers, b record.Batch, in batchInfo) {
	if in.leaderEpoch >= 0 && in.leaderEpoch > l.epochs.latest() {
		l.epochs.assign(in.leaderEpoch, in.baseOffset)
	}
	if b.HasProducerID() {
		p.apply(s, b, func(t AbortedTxn) { s.txns.add(t) })
	}
	p.state.UpdateMapEndOffset(in.lastOffset + 1)
}

// resetIndexes empties the indexes of a segment that is about to be read anew.
func (s *segment) resetIndexes(maxSize int32) {
	s.offsets.reset(int(maxSize))
	s.offsets.last = s.base
	s.times.reset(int(maxSize))
	s.times.lastTs, s.times.lastOffset = record.NoTimestamp, s.base
	s.txns.reset()
	s.tsMu.Lock()
	s.maxTs, s.maxTsOffset, s.maxTsUnknown = record.NoTimestamp, s.base, false
	s.tsMu.Unlock()
	s.firstKnown = false
}
