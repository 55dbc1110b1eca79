package logstore

import (
	"fmt"
	"io"
	"math"
	"os"
)

// overflowError says that a segment holds offsets which cannot be told relative to its base.
type overflowError struct{ seg *segment }

func (e *overflowError) Error() string {
	return fmt.Sprintf("offsets of segment %s span more than %d", e.seg.path(logSuffix), math.MaxInt32)
}

// part is a run of batches of a segment that is to become a segment of its own.
type part struct{ base, pos, end int64 }

// split replaces a segment by several, each named by its first offset, in the order that a crash may interrupt anywhere: .cleaned files are
// written and synced, then renamed to .swap, the highest first; finishSwaps does the rest (Kafka 3.9 LocalLog.splitOverflowedSegment).
func (ld *loader) split(s *segment) error {
	parts, err := s.parts()
	if err != nil {
		return err
	}
	ld.logger.Info("splitting a segment whose offsets span too much", "file", s.path(logSuffix), "parts", len(parts))
	f, err := s.handle.acquire()
	if err != nil {
		return ioErr("open segment", err)
	}
	defer s.handle.release()
	for _, p := range parts {
		name := ld.env.dir.path(offsetName(p.base, logSuffix) + cleanedSuffix)
		if err := copyRange(ld.env, f, p, name); err != nil {
			return ioErr("split segment", fmt.Errorf("%s: %w", name, err))
		}
	}
	if err := ld.env.fs.SyncDir(ld.env.dir.get()); err != nil {
		return ioErr("sync directory", err)
	}
	for i := len(parts) - 1; i >= 0; i-- {
		name := ld.env.dir.path(offsetName(parts[i].base, logSuffix))
		if err := ld.env.fs.Rename(name+cleanedSuffix, name+swapSuffix); err != nil {
			return ioErr("split segment", err)
		}
	}
	return ioErr("sync directory", ld.env.fs.SyncDir(ld.env.dir.get()))
}

// parts divides the segment where an offset cannot be told relative to the first of its part. What is behind the last whole batch is left out.
func (s *segment) parts() (list []part, err error) {
	err = s.scan(0, s.size.Load(), func(in batchInfo) bool {
		if n := len(list); n == 0 || in.lastOffset-list[n-1].base > math.MaxInt32 {
			list = append(list, part{base: in.baseOffset, pos: in.pos})
		}
		list[len(list)-1].end = in.pos + in.size
		return true
	})
	if isCorrupt(err) {
		err = nil
	}
	return list, err
}

func copyRange(e *env, from io.ReaderAt, p part, name string) (err error) {
	to, err := e.fs.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := to.Close(); err == nil {
			err = cerr
		}
	}()
	buf := e.buffers.getRecover()
	defer e.buffers.putRecover(buf)
	for pos := p.pos; pos < p.end; {
		b := (*buf)[:min(int64(len(*buf)), p.end-pos)]
		if n, err := from.ReadAt(b, pos); n < len(b) {
			return orShort(err)
		}
		if _, err := to.WriteAt(b, pos-p.pos); err != nil {
			return err
		}
		pos += int64(len(b))
	}
	return to.Sync()
}
