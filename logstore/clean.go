package logstore

import (
	"errors"
	"slices"
	"time"

	"gokafka/config"
	"gokafka/internal/vfs"
)

// ErrCleanAborted says that a log was cut, closed or deleted, or lost segments, while it was being cleaned. Nothing was changed.
var ErrCleanAborted = errors.New("cleaning was aborted: the log changed")

// CleanView is what the cleaner sees of a log: its segments at one moment, the active one last. While it works on them they may be cut or deleted;
// then Replace refuses.
type CleanView struct {
	log         *Log
	segs        []*segment
	truncations int64
}

// CleanView returns the segments as they are.
func (l *Log) CleanView() CleanView {
	l.mu.Lock()
	defer l.mu.Unlock()
	return CleanView{l, *l.segs.Load(), l.truncations}
}

// Valid says that the log is in use and was not truncated since the view was made.
func (v CleanView) Valid() bool {
	v.log.mu.Lock()
	defer v.log.mu.Unlock()
	return v.log.usable() == nil && v.log.truncations == v.truncations
}

// Active is the base offset of the active segment, which is never cleaned.
func (v CleanView) Active() int64 { return v.segs[len(v.segs)-1].base }

// Range are the sealed segments that hold offsets from from on, and begin below to (Kafka 3.9 LogSegments.values).
func (v CleanView) Range(from, to int64) []CleanSegment {
	if from >= to {
		return nil
	}
	var out []CleanSegment
	sealed := v.segs[:len(v.segs)-1]
	for _, s := range sealed[max(0, floorSegment(sealed, from)):] {
		if s.base < to {
			out = append(out, CleanSegment{v.log, s})
		}
	}
	return out
}

// CleanedTo is the first offset that the cleaner has not looked at; false for a log that was never cleaned. A truncation lowers it.
func (l *Log) CleanedTo() (int64, bool) {
	n := l.cleanedTo.Load()
	return n, n >= 0
}

// SetCleanedTo notes how far the log is cleaned; -1 is not at all.
func (l *Log) SetCleanedTo(offset int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cleanedTo.Store(min(offset, l.logEnd.Load()))
}

// NoteCleaned is SetCleanedTo for the one who cleaned the segments of a view; ErrCleanAborted if the log was truncated since.
func (l *Log) NoteCleaned(v CleanView, offset int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.usable() != nil || l.truncations != v.truncations {
		return ErrCleanAborted
	}
	l.cleanedTo.Store(offset)
	return nil
}

// CleanSegment is a sealed segment that is read by the cleaner.
type CleanSegment struct {
	log *Log
	s   *segment
}

// Base is the segment's base offset.
func (c CleanSegment) Base() int64 { return c.s.base }

// SizeBytes is the size of its .log.
func (c CleanSegment) SizeBytes() int64 { return c.s.size.Load() }

// IndexSizeBytes are the sizes of its offset index and its time index.
func (c CleanSegment) IndexSizeBytes() (offsets, times int64, err error) {
	n, err := c.s.offsets.entries()
	if err != nil {
		return 0, 0, c.log.settle(err)
	}
	m, err := c.s.times.entries()
	return int64(n) * offsetEntryBytes, int64(m) * timeEntryBytes, c.log.settle(err)
}

// LargestTimestamp is that of its records, or the time of its last change, in milliseconds.
func (c CleanSegment) LargestTimestamp() (int64, error) {
	ts, err := c.s.largestTimestamp()
	return ts, c.log.settle(err)
}

// FirstTimestamp is the largest timestamp of its first batch, NoTimestamp if it is empty.
func (c CleanSegment) FirstTimestamp() (ts int64, err error) {
	ts = -1
	err = c.s.scan(0, c.s.size.Load(), func(in batchInfo) bool {
		ts = in.maxTimestamp
		return false
	})
	return ts, c.log.settle(err)
}

// LastModified is the time of the last change of its .log; cleaning keeps it.
func (c CleanSegment) LastModified() (time.Time, error) {
	t, err := c.s.lastModified()
	return t, c.log.settle(err)
}

// NextOffset is the offset after its last batch.
func (c CleanSegment) NextOffset() (int64, error) {
	n, err := c.s.nextOffset()
	return n, c.log.settle(err)
}

// PositionOf is a position from which a walk meets offset.
func (c CleanSegment) PositionOf(offset int64) (int64, error) {
	in, ok, err := c.s.find(offset)
	if err != nil || !ok {
		return c.s.size.Load(), c.log.settle(err)
	}
	return in.pos, nil
}

// ReadAt fills b from a position of the .log on; fewer bytes only at its end.
func (c CleanSegment) ReadAt(b []byte, pos int64) (int, error) {
	f, err := c.s.handle.acquire()
	if err != nil {
		return 0, c.log.settle(ioErr("open segment", err))
	}
	defer c.s.handle.release()
	b = b[:min(int64(len(b)), c.s.size.Load()-pos)]
	if n, err := f.ReadAt(b, pos); n < len(b) {
		return n, c.log.settle(ioErr("read segment", orShort(err)))
	}
	return len(b), nil
}

// Cleaned is a segment that is to take the place of others. Its files end in ".cleaned" until then.
type Cleaned struct {
	log *Log
	s   *segment
}

// NewCleaned makes an empty one. Replace or Discard it (Kafka 3.9 UnifiedLog.createNewCleanedSegment).
func (l *Log) NewCleaned(base int64) (*Cleaned, error) {
	for _, suffix := range []string{logSuffix, indexSuffix, timeSuffix, txnSuffix} { // leftovers
		if err := vfs.RemoveIfExists(l.env.fs, l.dir.path(offsetName(base, suffix)+cleanedSuffix)); err != nil {
			return nil, l.settle(ioErr("remove segment", err))
		}
	}
	cfg := *l.cfg.Load()
	cfg.Preallocate = false // what it will hold is known soon
	s, err := createSegmentAs(l.env, base, cleanedSuffix, &cfg, l.clock.NowMs(), false)
	if err != nil {
		return nil, l.settle(err)
	}
	return &Cleaned{l, s}, nil
}

// Append writes whole batches. lastOffset is the last one in them that is kept; maxTsOffset that of the batch with the largest timestamp.
func (c *Cleaned) Append(b []byte, lastOffset, maxTs, maxTsOffset int64) error {
	return c.log.settle(c.s.append(b, lastOffset, maxTs, maxTsOffset))
}

// AddAborted adds to the transaction index.
func (c *Cleaned) AddAborted(t AbortedTxn) { c.s.txns.add(t) }

// Discard removes the files.
func (c *Cleaned) Discard() error {
	c.s.retire()
	return c.log.settle(c.s.remove())
}

// Replace puts the cleaned segment into the place of segments of a view, one behind the other. It is synced first. A crash in between leaves the old
// segments, or a ".swap" that the next load completes (Kafka 3.9 LocalLog.replaceSegments; the syncs of the directory are ours: without them a loss of
// power could keep the removal and lose the replacement). The error is ErrCleanAborted, and the files are gone, if the log changed.
func (c *Cleaned) Replace(v CleanView, old []CleanSegment) error {
	l := c.log
	if err := c.seal(old[len(old)-1].s); err != nil {
		return errors.Join(l.settle(err), c.Discard())
	}
	l.swapMu.Lock()
	err := c.swap(v, old)
	if errors.Is(err, ErrCleanAborted) { // gone before the log is cut: a ".swap" would bring back what was cut
		c.s.retire()
		if rerr := c.s.remove(); rerr != nil {
			err = ioErr("swap segment", &fatalError{rerr})
		} else if serr := l.env.fs.SyncDir(l.dir.get()); serr != nil && !notExist(serr) {
			err = ioErr("sync directory", &fatalError{serr})
		}
	}
	l.swapMu.Unlock()
	if errors.Is(err, ErrCleanAborted) {
		return err
	}
	if err == nil {
		if err = l.env.fs.SyncDir(l.dir.get()); err != nil && !notExist(err) {
			err = ioErr("sync directory", &fatalError{err})
		}
	}
	return l.settle(err)
}

func (c *Cleaned) seal(last *segment) error {
	if err := c.s.seal(); err != nil {
		return err
	}
	c.s.named = true
	if err := c.s.sync(true); err != nil {
		return err
	}
	c.s.dirty = false
	modified, err := last.lastModified()
	if err != nil {
		return err
	}
	return ioErr("set time of segment", c.log.env.fs.SetModTime(c.s.path(logSuffix), modified))
}

// swap does the renames. Caller holds swapMu.
func (c *Cleaned) swap(v CleanView, old []CleanSegment) error {
	l := c.log
	if !v.Valid() {
		return ErrCleanAborted
	}
	if err := c.s.changeSuffix(swapSuffix); err != nil {
		return ioErr("swap segment", &fatalError{err})
	}
	if err := l.env.fs.SyncDir(l.dir.get()); err != nil {
		return ioErr("sync directory", &fatalError{err})
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	segs := *l.segs.Load()
	at := slices.Index(segs, old[0].s)
	if l.usable() != nil || l.truncations != v.truncations || at < 0 {
		return ErrCleanAborted
	}
	for i, o := range old {
		if at+i >= len(segs)-1 || segs[at+i] != o.s {
			return ErrCleanAborted
		}
	}
	l.changes.Add(1)
	defer l.changes.Add(1)
	list := append(append(segs[:at:at], c.s), segs[at+len(old):]...)
	if err := l.replaced(segs[at:at+len(old)], c.s.base); err != nil {
		return ioErr("swap segment", &fatalError{err})
	}
	if err := c.s.changeSuffix(""); err != nil {
		return ioErr("swap segment", &fatalError{err})
	}
	l.setSegments(list)
	l.forgetPositions(c.s.base, list[at+1].base)
	return nil
}

// replaced takes away the files of segments that a cleaned one replaces. The producer snapshot at the new one's base stays. Caller holds mu.
func (l *Log) replaced(gone []*segment, base int64) error {
	if l.producers.snaps.drop(base) {
		defer l.producers.snaps.add(base)
	}
	return l.deleteSegments(gone, false)
}

// forgetPositions has those be looked for again that lie in segments from base from on, below base to. Caller holds mu.
func (l *Log) forgetPositions(from, to int64) {
	l.offMu.Lock()
	defer l.offMu.Unlock()
	for _, m := range []*OffsetMetadata{&l.high, &l.unstable} {
		if m.Known() && m.SegmentBase >= from && m.SegmentBase < to {
			*m = OffsetOnly(m.Offset)
		}
	}
}

// LastRecord is what must be kept of a producer: its last batch of records, or else its last marker.
type LastRecord struct {
	DataOffset int64 // last offset of the batch, -1 = none
	Epoch      int16
}

// LastRecords has the last records of the producers that are known (Kafka 3.9 ProducerStateManager, lastRecordsOfActiveProducers).
func (l *Log) LastRecords() map[int64]LastRecord {
	out := map[int64]LastRecord{}
	for _, p := range l.ActiveProducers() {
		out[p.ProducerID] = LastRecord{p.LastOffset, p.ProducerEpoch}
	}
	return out
}

// Config is what the cleaner needs of the topic's settings, as of now.
func (v CleanView) Config() *config.Topic { return v.log.cfg.Load() }
