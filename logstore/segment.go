package logstore

import (
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"gokafka/config"
	"gokafka/internal/vfs"
	"gokafka/record"
)

// segment is one .log file with its indexes, named by its base offset. Changes need Log.mu; readers use size, the indexes and the handle.
type segment struct {
	env  *env
	base int64

	handle  *fileHandle
	offsets *offsetIndex
	times   *timeIndex
	txns    *txnIndex

	size atomic.Int64 // bytes of whole batches in the file

	suffix atomic.Pointer[string] // "", ".deleted", or those of a segment that is being cleaned

	// Guarded by Log.mu.
	dirty          bool  // the .log has changed since its last sync
	named          bool  // the directory was synced since the files were made
	preallocated   bool  // blocks beyond size were asked for
	reservedTo     int64 // position up to which they were
	maxBytes       int64 // segment.bytes of the time the segment was opened
	intervalBytes  int64 // index.interval.bytes of the time the segment was opened
	sinceEntry     int64 // bytes since the last index entry
	firstTimestamp int64 // max timestamp of the first append, the clock of segment.ms
	firstKnown     bool
	createdMs      int64
	jitterMs       int64

	reindexed atomic.Bool // the indexes were found damaged and made anew, or that failed

	tsMu         sync.Mutex
	maxTs        int64 // largest timestamp so far and the last offset of its batch
	maxTsOffset  int64
	maxTsUnknown bool // ask the time index
}

// env is what the segments of a log share.
type env struct {
	fs      vfs.FS
	dir     *dirRef
	buffers *Buffers
	files   *Files
	logger  *slog.Logger // nil: nobody listens
}

func (s *segment) path(suffix string) string {
	return s.env.dir.path(offsetName(s.base, suffix) + *s.suffix.Load())
}

func newSegmentShell(e *env, base int64, cfg *config.Topic, nowMs int64) *segment {
	s := &segment{env: e, base: base, intervalBytes: int64(cfg.IndexIntervalBytes), maxBytes: int64(cfg.SegmentBytes), createdMs: nowMs}
	s.suffix.Store(new(string))
	s.handle = &fileHandle{fs: e.fs, files: e.files, path: func() string { return s.path(logSuffix) }}
	if jitter := min(cfg.SegmentJitter, maxSegmentAge(cfg)).Milliseconds(); jitter > 0 {
		s.jitterMs = rand.Int64N(jitter)
	}
	return s
}

// maxSegmentAge is segment.ms, or less for a compacted topic (Kafka 3.9 LogConfig.maxSegmentMs).
func maxSegmentAge(cfg *config.Topic) time.Duration {
	if cfg.CleanupCompact && cfg.MaxCompactionLag > 0 {
		return min(cfg.MaxCompactionLag, cfg.SegmentMaxAge)
	}
	return cfg.SegmentMaxAge
}

// createSegment makes the files of a new active segment; leftovers of the same name are replaced. The .log is the first, as in Kafka: a kill leaves no
// index without a log. After an error none is left: an empty .log would cut off, at the next load, what the segment before it holds by then.
func createSegment(e *env, base int64, cfg *config.Topic, nowMs int64) (*segment, error) {
	return createSegmentAs(e, base, "", cfg, nowMs, false)
}

// createSegmentAs is createSegment with a suffix behind the names of the files, and perhaps with indexes that are made later.
func createSegmentAs(e *env, base int64, suffix string, cfg *config.Topic, nowMs int64, indexesLater bool) (*segment, error) {
	s := newSegmentShell(e, base, cfg, nowMs)
	s.suffix.Store(&suffix)
	s.maxTs, s.maxTsOffset, s.dirty = record.NoTimestamp, base, true
	if err := vfs.RemoveIfExists(e.fs, s.path(txnSuffix)); err != nil {
		return nil, ioErr("remove old transaction index", err)
	}
	f, err := e.fs.OpenFile(s.path(logSuffix), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return nil, ioErr("create segment", err)
	}
	s.handle.created(f)
	if err := s.createRest(f, cfg, indexesLater); err != nil {
		s.handle.retireNow()
		if rerr := s.remove(); rerr != nil {
			return nil, ioErr("create segment", &fatalError{fmt.Errorf("%w; and what was made could not be removed: %w", err, rerr)})
		}
		return nil, err
	}
	return s, nil
}

func (s *segment) createRest(f vfs.File, cfg *config.Topic, indexesLater bool) (err error) {
	if s.offsets, err = newOffsetIndex(s.env, s.indexPath(indexSuffix), s.base, int(cfg.SegmentIndexBytes), indexesLater); err != nil {
		return err
	}
	if s.times, err = newTimeIndex(s.env, s.indexPath(timeSuffix), s.base, int(cfg.SegmentIndexBytes), indexesLater); err != nil {
		return err
	}
	s.txns = newTxnIndex(s.env.fs, s.indexPath(txnSuffix))
	if cfg.Preallocate {
		s.preallocated, s.reservedTo = true, s.maxBytes
		if err := f.Reserve(0, int64(cfg.SegmentBytes)); err != nil {
			return ioErr("preallocate segment", err)
		}
	}
	return nil
}

func (s *segment) indexPath(suffix string) func() string {
	return func() string { return s.path(suffix) }
}

// openSegment is a segment found in the directory, sealed. present tells which of its files are there.
func openSegment(e *env, base int64, cfg *config.Topic, nowMs, sizeBytes int64, hasTxn bool) (*segment, error) {
	if sizeBytes > math.MaxInt32 {
		return nil, fmt.Errorf("segment %s has %d bytes, more than a segment can have", e.dir.path(offsetName(base, logSuffix)), sizeBytes)
	}
	s := newSegmentShell(e, base, cfg, nowMs)
	s.maxTsUnknown = true
	s.offsets = openOffsetIndex(e, s.indexPath(indexSuffix), base, int(cfg.SegmentIndexBytes))
	s.times = openTimeIndex(e, s.indexPath(timeSuffix), base, int(cfg.SegmentIndexBytes))
	s.txns = openTxnIndex(e.fs, s.indexPath(txnSuffix), hasTxn)
	s.size.Store(sizeBytes)
	return s, nil
}

// activate lets a segment grow: its indexes go to memory.
func (s *segment) activate(cfg *config.Topic) error {
	if err := s.offsets.activate(int(cfg.SegmentIndexBytes)); err != nil {
		return err
	}
	if err := s.times.activate(int(cfg.SegmentIndexBytes)); err != nil {
		return err
	}
	s.preallocated = s.size.Load() >= reserveFromBytes // perhaps, before a crash
	return s.txns.activate()
}

// shouldRoll says whether an append of n bytes, with this largest timestamp and last offset, needs a new segment
// (Kafka 3.9 LogSegment.shouldRoll).
func (s *segment) shouldRoll(cfg *config.Topic, n, maxTs, lastOffset, nowMs int64) (bool, error) {
	size := s.size.Load()
	if size > int64(cfg.SegmentBytes)-n || s.offsets.full() || s.times.full() || !s.offsets.fits(lastOffset) {
		return true, nil
	}
	if size == 0 {
		return false, nil
	}
	waited, err := s.timeWaited(maxTs, nowMs)
	return waited > maxSegmentAge(cfg).Milliseconds()-s.jitterMs, err
}

// timeWaited is how long the segment has been growing: by the timestamps of messages, or by the clock if they have none.
func (s *segment) timeWaited(maxTs, nowMs int64) (int64, error) {
	if err := s.loadFirstTimestamp(); err != nil {
		return 0, err
	}
	if s.firstKnown && s.firstTimestamp >= 0 {
		return maxTs - s.firstTimestamp, nil
	}
	return nowMs - s.createdMs, nil
}

func (s *segment) loadFirstTimestamp() error {
	if s.firstKnown || s.size.Load() == 0 {
		return nil
	}
	return s.scan(0, s.size.Load(), func(in batchInfo) bool {
		s.firstTimestamp, s.firstKnown = in.maxTimestamp, true
		return false
	})
}

// append writes a run of whole batches behind the last one and, only once they are in the file, notes them in the indexes.
// lastOffset is that of the run; maxTsOffset the last offset of the batch with its largest timestamp.
func (s *segment) append(b []byte, lastOffset, maxTs, maxTsOffset int64) error {
	pos := s.size.Load()
	if !s.offsets.fits(lastOffset) {
		return fmt.Errorf("offset %d does not fit into segment %d", lastOffset, s.base)
	}
	if int64(len(b)) > math.MaxInt32-pos {
		return fmt.Errorf("append of %d bytes does not fit into segment %d of %d bytes", len(b), s.base, pos)
	}
	f, err := s.handle.acquire()
	if err != nil {
		return ioErr("open segment", err)
	}
	defer s.handle.release()
	s.reserve(f, pos+int64(len(b)))
	s.handle.unsynced.Store(true)
	if n, err := f.WriteAt(b, pos); err != nil {
		err = fmt.Errorf("%s: wrote %d of %d bytes at %d: %w", s.path(logSuffix), n, len(b), pos, err)
		s.reservedTo = 0 // the cut gives back what was reserved
		if cerr := f.Truncate(pos); cerr != nil {
			return ioErr("append", &fatalError{fmt.Errorf("%w; and cutting back failed: %w", err, cerr)})
		}
		return ioErr("append", err)
	}
	s.dirty = true
	if pos == 0 {
		s.firstTimestamp, s.firstKnown = maxTs, true
	}
	s.noteTimestamp(maxTs, maxTsOffset)
	if s.sinceEntry > s.intervalBytes {
		s.addEntry(lastOffset, pos)
		s.sinceEntry = 0
	}
	s.sinceEntry += int64(len(b))
	s.size.Store(pos + int64(len(b)))
	return nil
}

// Bounds of reserving ahead: small segments are left alone, there may be thousands of them.
const (
	reserveFromBytes = 4 << 20
	reserveStepBytes = 64 << 20
)

// reserve asks for disk blocks ahead of end, which saves a tenth of the cost of appends. It grows with the segment and does not change the
// file's length. It is only a hint: if there is no room, the write will say so.
func (s *segment) reserve(f vfs.File, end int64) {
	if end <= s.reservedTo || end < reserveFromBytes {
		return
	}
	step := min(end, reserveStepBytes, s.maxBytes-end)
	s.reservedTo = end + max(step, 0)
	if step <= 0 {
		return
	}
	s.preallocated = true
	if err := f.Reserve(end, step); err != nil {
		s.reservedTo = math.MaxInt64 // not again
	}
}

func (s *segment) noteTimestamp(ts, offset int64) {
	s.tsMu.Lock()
	defer s.tsMu.Unlock()
	if s.maxTsUnknown { // a reopened segment that nobody asked yet; its time index is in memory
		s.maxTs, s.maxTsOffset, s.maxTsUnknown = s.times.lastTs, s.times.lastOffset, false
	}
	if ts > s.maxTs {
		s.maxTs, s.maxTsOffset = ts, offset
	}
}

// maxTimestamp is the largest timestamp in the segment and the last offset of its batch, or NoTimestamp.
func (s *segment) maxTimestamp() (ts, offset int64, err error) {
	s.tsMu.Lock()
	defer s.tsMu.Unlock()
	if s.maxTsUnknown {
		if s.maxTs, s.maxTsOffset, err = s.findMaxTs(); err != nil {
			return 0, 0, err
		}
		s.maxTsUnknown = false
	}
	return s.maxTs, s.maxTsOffset, nil
}

// addEntry adds an entry to both indexes. It returns false if the offset does not increase.
func (s *segment) addEntry(lastOffset, pos int64) bool {
	if !s.offsets.add(lastOffset, pos) {
		return false
	}
	s.tsMu.Lock()
	ts, o := s.maxTs, s.maxTsOffset
	s.tsMu.Unlock()
	s.times.add(ts, o)
	return true
}

// closeTimeIndex adds the largest timestamp as the last entry, so that retention and searches by time find it.
func (s *segment) closeTimeIndex() {
	s.tsMu.Lock()
	ts, o, unknown := s.maxTs, s.maxTsOffset, s.maxTsUnknown
	s.tsMu.Unlock()
	if !unknown && s.times.active {
		s.times.add(ts, o)
	}
}

// writeIndexes brings the index files of an active segment up to date.
func (s *segment) writeIndexes() error {
	if err := s.offsets.write(); err != nil {
		return err
	}
	if err := s.times.write(); err != nil {
		return err
	}
	return s.txns.write()
}

// seal ends the segment's growth (Kafka 3.9 LogSegment.onBecomeInactiveSegment). When it fails the segment stays active.
func (s *segment) seal() error {
	s.closeTimeIndex()
	if err := s.writeIndexes(); err != nil {
		return err
	}
	if err := s.trim(); err != nil {
		return err
	}
	if err := s.offsets.seal(); err != nil {
		return err
	}
	if err := s.times.seal(); err != nil {
		return err
	}
	return s.txns.seal()
}

// trim gives back the blocks that were asked for beyond the end.
func (s *segment) trim() error {
	if !s.preallocated {
		return nil
	}
	f, err := s.handle.acquire()
	if err != nil {
		return ioErr("open segment", err)
	}
	defer s.handle.release()
	s.handle.unsynced.Store(true)
	if err := f.Truncate(s.size.Load()); err != nil {
		return ioErr("trim segment", err)
	}
	s.preallocated, s.reservedTo = false, 0
	return nil
}

// scan calls visit for the batches from position from, which starts one, to end, until it returns false.
func (s *segment) scan(from, end int64, visit func(batchInfo) bool) error {
	f, err := s.handle.acquire()
	if err != nil {
		return ioErr("open segment", err)
	}
	defer s.handle.release()
	buf := s.env.buffers.getScan()
	defer s.env.buffers.putScan(buf)
	sc := newScanner(f, from, end, *buf)
	for {
		in, ok, err := sc.next()
		if err != nil {
			return fmt.Errorf("%s: %w", s.path(logSuffix), err)
		}
		if !ok || !visit(in) {
			return nil
		}
	}
}

// find returns the first batch whose last offset is at or above offset.
func (s *segment) find(offset int64) (in batchInfo, ok bool, err error) {
	f, err := s.handle.acquire()
	if err != nil {
		return in, false, ioErr("open segment", err)
	}
	defer s.handle.release()
	buf := s.env.buffers.getScan()
	defer s.env.buffers.putScan(buf)
	sc, in, ok, err := s.seek(f, offset, *buf)
	for err == nil && ok && in.lastOffset < offset {
		if in, ok, err = sc.next(); err != nil {
			err = fmt.Errorf("%s: %w", s.path(logSuffix), err)
		}
	}
	return in, ok && err == nil, err
}

// nextOffset is the offset after the segment's last batch, or its base.
func (s *segment) nextOffset() (int64, error) {
	last := s.base
	if n, err := s.offsets.entries(); err != nil {
		return 0, err
	} else if n > 0 {
		var e [offsetEntryBytes]byte
		if err := s.offsets.at(n-1, e[:]); err != nil {
			return 0, err
		}
		last, _ = s.offsets.parse(e[:])
	}
	in, ok, err := s.find(last)
	if err != nil {
		return 0, err
	}
	from := in.pos
	if !ok { // there is nothing, or the index is wrong
		from = 0
	}
	next := s.base
	err = s.scan(from, s.size.Load(), func(in batchInfo) bool {
		next = in.lastOffset + 1
		return true
	})
	return next, err
}

// truncateTo removes all batches from the first that reaches offset on, whole. The segment is active.
// It returns how many bytes went (Kafka 3.9 LogSegment.truncateTo).
func (s *segment) truncateTo(offset, nowMs int64) (int64, error) {
	in, found, err := s.find(offset)
	if err != nil {
		return 0, err
	}
	if err := s.offsets.cut(offset); err != nil {
		return 0, err
	}
	if err := s.times.cut(offset); err != nil {
		return 0, err
	}
	s.txns.cut(offset)
	var cutBytes int64
	if found {
		cutBytes = s.size.Load() - in.pos
		if err := s.cutFile(in.pos); err != nil {
			return 0, err
		}
	}
	if s.size.Load() == 0 {
		s.createdMs, s.firstKnown = nowMs, false
	}
	s.sinceEntry = 0
	return cutBytes, s.reloadMaxTimestamp()
}

// cutFile sets the length of the .log; promised ranges beyond it are broken. A failure leaves the log unusable.
func (s *segment) cutFile(size int64) error {
	f, err := s.handle.acquire()
	if err != nil {
		return ioErr("open segment", err)
	}
	defer s.handle.release()
	s.size.Store(size)
	s.handle.noteCut(size)
	s.dirty, s.reservedTo = true, 0
	s.handle.unsynced.Store(true)
	if err := f.Truncate(size); err != nil {
		return ioErr("truncate segment", &fatalError{fmt.Errorf("%s to %d bytes: %w", s.path(logSuffix), size, err)})
	}
	return nil
}

// reloadMaxTimestamp finds the largest timestamp after a truncation: that of the last time index entry, or of what follows it.
func (s *segment) reloadMaxTimestamp() error {
	ts, o := s.times.lastTs, s.times.lastOffset
	var err error
	if s.size.Load() > 0 { // an empty segment has no largest timestamp: a stale one would become an entry of the time index
		var in batchInfo
		if in, _, err = s.find(o); err != nil {
			return err
		}
		err = s.scan(in.pos, s.size.Load(), func(in batchInfo) bool {
			if in.maxTimestamp > ts {
				ts, o = in.maxTimestamp, in.lastOffset
			}
			return true
		})
	}
	s.tsMu.Lock()
	defer s.tsMu.Unlock()
	s.maxTs, s.maxTsOffset, s.maxTsUnknown = ts, o, false
	return err
}

// sync makes the segment's log durable, and its indexes unless it is still growing: those of an active segment are rebuilt after a crash.
func (s *segment) sync(indexes bool) error {
	f, err := s.handle.acquire()
	if err != nil {
		if errors.Is(err, errRetired) || notExist(err) {
			return nil // deleted meanwhile: nothing left to keep
		}
		return ioErr("open segment", err)
	}
	s.handle.unsynced.Store(false) // what is written from here on is not in this sync
	if err = f.Sync(); err != nil {
		s.handle.unsynced.Store(true)
	}
	s.handle.release()
	if err != nil {
		return ioErr("sync segment", &fatalError{fmt.Errorf("%s: %w", s.path(logSuffix), err)})
	}
	if !indexes {
		return nil
	}
	for _, x := range []interface{ sync() error }{s.offsets, s.times, s.txns} {
		if err := x.sync(); err != nil && !notExist(err) {
			return err
		}
	}
	return nil
}

// retire closes the segment's files as soon as no reader holds them.
func (s *segment) retire() {
	s.handle.retireNow()
	s.offsets.retire()
	s.times.retire()
	s.txns.retire()
}

// lastModified is the time of the last change of the .log, the fallback where no record has a timestamp.
func (s *segment) lastModified() (time.Time, error) {
	st, err := s.env.fs.Stat(s.path(logSuffix))
	if err != nil {
		return time.Time{}, ioErr("stat segment", err)
	}
	return st.ModTime(), nil
}

// largestTimestamp is what retention and searches by time go by, in milliseconds (Kafka 3.9 LogSegment.largestTimestamp).
func (s *segment) largestTimestamp() (int64, error) {
	ts, _, err := s.maxTimestamp()
	if err != nil || ts >= 0 {
		return ts, err
	}
	t, err := s.lastModified()
	return t.UnixMilli(), err
}

// renameDeleted marks the files for removal. What is missing does not matter.
func (s *segment) renameDeleted() error { return s.changeSuffix(deletedSuffix) }

// changeSuffix renames the files, the .log first. What is missing does not matter to a deletion.
func (s *segment) changeSuffix(to string) error {
	old := *s.suffix.Load()
	for _, suffix := range []string{logSuffix, indexSuffix, timeSuffix, txnSuffix} {
		name := s.env.dir.path(offsetName(s.base, suffix))
		if suffix == txnSuffix && !s.txns.present() {
			continue
		}
		if err := s.env.fs.Rename(name+old, name+to); err != nil && (to != deletedSuffix || !notExist(err)) {
			return ioErr("rename segment", err)
		}
	}
	s.suffix.Store(&to)
	return nil
}

// remove deletes the files.
func (s *segment) remove() error {
	for _, suffix := range []string{logSuffix, indexSuffix, timeSuffix, txnSuffix} {
		if err := vfs.RemoveIfExists(s.env.fs, s.path(suffix)); err != nil {
			return ioErr("remove segment", err)
		}
	}
	return nil
}
