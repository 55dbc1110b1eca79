package logstore

import (
	"encoding/binary"
	"fmt"

	"gokafka/internal/vfs"
	"gokafka/record"
)

// Indexes have no checksums, and those of segments below the recovery point are never rebuilt. So no entry is believed: where it leads there must be a
// batch that it can mean. An entry that is wrong costs a longer scan; a sealed segment's indexes are then made anew, once.

// maxDistrust is how many entries in a row may be wrong before a search begins at the start of the segment.
const maxDistrust = 3

// wrongEntry says that an offset index entry does not lead to a batch that it can mean: in, ok and err are what was found at its position. The offset
// of an entry is in the append that begins there, so that the first batch cannot begin above it. Position 0 has no entry.
func (s *segment) wrongEntry(offset, pos, size int64, in batchInfo, ok bool, err error) bool {
	switch {
	case pos == 0:
		return offset != s.base
	case pos == size: // of an append that is under way
		return false
	case err != nil:
		return isCorrupt(err)
	}
	return !ok || in.baseOffset > offset || in.baseOffset < s.base
}

// seek opens a scan at a batch that a scan for offset meets, and returns it as the first: ok is false if there is none at all.
func (s *segment) seek(f vfs.File, offset int64, buf []byte) (sc scanner, in batchInfo, ok bool, err error) {
	for target, distrust := offset, 0; ; distrust++ {
		entry, pos, err := s.offsets.lookup(target)
		if err != nil {
			return sc, in, false, err
		}
		size := s.size.Load()
		if distrust == maxDistrust {
			entry, pos = s.base, 0
		}
		if pos >= 0 && pos <= size {
			sc = newScanner(f, pos, size, buf)
			in, ok, err = sc.next()
			if distrust == maxDistrust || !s.wrongEntry(entry, pos, size, in, ok, err) {
				if err != nil {
					err = fmt.Errorf("%s: %w", s.path(logSuffix), err)
				}
				return sc, in, ok, err
			}
		}
		if target = entry - 1; s.distrusted() {
			target = offset // made anew
		}
	}
}

// entryAt says whether an offset index entry with this offset and position can be believed.
func (s *segment) entryAt(offset, pos int64) (bool, error) {
	size := s.size.Load()
	if pos < 0 || pos > size {
		s.distrusted()
		return false, nil
	}
	f, err := s.handle.acquire()
	if err != nil {
		return false, ioErr("open segment", err)
	}
	defer s.handle.release()
	var header [record.HeaderSizeBytes]byte
	sc := newScanner(f, pos, size, header[:])
	in, ok, err := sc.next()
	if s.wrongEntry(offset, pos, size, in, ok, err) {
		s.distrusted()
		return false, nil
	}
	return true, err
}

// distrusted makes the indexes of a sealed segment anew, the first time that an entry is found wrong. It says whether it did.
func (s *segment) distrusted() bool {
	if s.offsets.growing() || !s.reindexed.CompareAndSwap(false, true) {
		return false
	}
	offsets, times, err := s.index()
	if err == nil {
		err = s.offsets.replace(offsets)
	}
	if err == nil {
		err = s.times.replace(times)
	}
	if s.env.logger != nil {
		s.env.logger.Warn("the indexes of a segment are damaged and were made anew", "file", s.path(logSuffix), "err", err)
	}
	return err == nil
}

// index makes the entries of both indexes from the headers of the batches, as recovery does. Damaged batches end it.
func (s *segment) index() (offsets, times []byte, err error) {
	lastEntry, lastOffset, entryTs := int64(0), s.base-1, record.NoTimestamp
	maxTs, maxOffset := record.NoTimestamp, s.base
	noteTime := func() {
		if maxTs > entryTs {
			times = binary.BigEndian.AppendUint64(times, uint64(maxTs))
			times = binary.BigEndian.AppendUint32(times, uint32(maxOffset-s.base))
			entryTs = maxTs
		}
	}
	err = s.scan(0, s.size.Load(), func(in batchInfo) bool {
		if s.inSequence(in, lastOffset) != nil || !s.offsets.fits(in.lastOffset) {
			return false
		}
		if in.maxTimestamp > maxTs {
			maxTs, maxOffset = in.maxTimestamp, in.lastOffset
		}
		if in.pos-lastEntry > s.intervalBytes {
			offsets = binary.BigEndian.AppendUint32(offsets, uint32(in.lastOffset-s.base))
			offsets = binary.BigEndian.AppendUint32(offsets, uint32(in.pos))
			noteTime()
			lastEntry = in.pos
		}
		lastOffset = in.lastOffset
		return true
	})
	noteTime()
	if isCorrupt(err) {
		err = nil
	}
	return offsets, times, err
}

// timeEntry returns the last time index entry with a timestamp ≤ target, or {NoTimestamp, base} where there is none that can be believed: the
// batch with its offset must have its timestamp as the largest.
func (s *segment) timeEntry(target int64) (ts, offset int64, err error) {
	for {
		ts, offset, err = s.times.lookup(target)
		if err != nil || ts == record.NoTimestamp {
			return ts, offset, err
		}
		in, ok, err := s.find(offset)
		if err != nil && !isCorrupt(err) {
			return ts, offset, err
		}
		if err == nil && ok && in.maxTimestamp == ts {
			return ts, offset, nil
		}
		if !s.distrusted() {
			return record.NoTimestamp, s.base, nil
		}
	}
}

// findMaxTs finds the largest timestamp of a segment that was loaded: that of the last time index entry, if it can be believed and nothing behind
// it is larger, else that of a scan.
func (s *segment) findMaxTs() (ts, offset int64, err error) {
	size := s.size.Load()
	if size == 0 {
		return record.NoTimestamp, s.base, nil
	}
	ts, offset, err = s.times.lastEntry()
	if err != nil {
		return ts, offset, err
	}
	from := int64(0)
	in, ok, err := s.find(offset)
	switch {
	case err != nil && !isCorrupt(err):
		return ts, offset, err
	case err == nil && ok && ts != record.NoTimestamp && in.maxTimestamp == ts:
		from = in.pos
	default:
		if ts != record.NoTimestamp {
			s.distrusted()
		}
		ts, offset = record.NoTimestamp, s.base
	}
	err = s.scan(from, size, func(in batchInfo) bool {
		if in.maxTimestamp > ts {
			ts, offset = in.maxTimestamp, in.lastOffset
		}
		return in.magic > 0 // magic 0 has no timestamps
	})
	if isCorrupt(err) {
		err = nil
	}
	return ts, offset, err
}

// checkGrowing looks at the indexes of the active segment that was loaded without recovery, while they are read anyway: entries out of order, or
// beyond the segment, mean that all are made anew.
func (s *segment) checkGrowing(maxIndexBytes int32) error {
	if s.offsets.ascends(s.size.Load()) && s.times.ascends(s.base) {
		return nil
	}
	offsets, times, err := s.index()
	if err != nil {
		return err
	}
	s.offsets.reset(int(maxIndexBytes))
	s.offsets.append(offsets)
	s.times.reset(int(maxIndexBytes))
	s.times.append(times)
	if s.env.logger != nil {
		s.env.logger.Warn("the indexes of the active segment were damaged and were made anew", "file", s.path(logSuffix))
	}
	if err := s.offsets.loadLast(); err != nil {
		return err
	}
	s.times.lastTs, s.times.lastOffset, err = s.times.lastEntry()
	return err
}
