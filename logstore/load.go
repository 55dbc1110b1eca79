package logstore

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/internal/clock"
	"gokafka/internal/vfs"
	"gokafka/metadata"
)

// loader brings one log into memory. Source of the order of steps: Kafka 3.9 LogLoader.load.
type loader struct {
	opts   *Options
	env    *env
	logger *slog.Logger
	snaps  *snapshots
	epochs *epochCache
	nowMs  int64
	staged bool // made together with others

	segs []*segment

	logStart, logEnd, recoveryPoint int64
	gaps                            bool // some were seen between or in batches: the log was compacted once
	producers                       *producers
}

// Open loads the log in a directory, recovering it unless it was shut down cleanly, or makes a new one.
func Open(opts Options) (*Log, error) {
	l, err := open(&opts, false)
	if err != nil {
		return nil, fmt.Errorf("log of %s in %s: %w", opts.TopicPartition, opts.Dir, err)
	}
	return l, nil
}

func open(opts *Options, staged bool) (*Log, error) {
	if opts.Buffers == nil {
		opts.Buffers = new(Buffers)
	}
	if opts.Files == nil {
		opts.Files = NewFiles(math.MaxInt)
	}
	if opts.Clock == nil {
		opts.Clock = clock.New()
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	logger := opts.Logger.With("topic", opts.TopicPartition.Topic, "partition", opts.TopicPartition.Partition)
	dir := &dirRef{}
	dir.set(opts.Dir)
	if err := opts.FS.MkdirAll(opts.Dir, 0o755); err != nil {
		return nil, ioErr("create directory", err)
	}
	l := &Log{
		tp: opts.TopicPartition, label: opts.TopicPartition.String(), dir: dir, env: &env{opts.FS, dir, opts.Buffers, opts.Files, logger}, clock: opts.Clock, logger: logger,
		codecs: opts.Codecs, onIOError: opts.OnIOError, onLowered: opts.OnRecoveryPointLowered, deletes: map[*delayedDelete]struct{}{},
	}
	l.cfg.Store(opts.Config)
	ld := &loader{opts: opts, env: l.env, logger: logger, staged: staged, nowMs: opts.Clock.NowMs(), snaps: &snapshots{fs: opts.FS, dir: dir}}
	ld.producers = newProducers(opts.TopicPartition.String(), opts.Producers, ld.snaps, logger)
	if err := ld.load(); err != nil {
		ld.closeAll()
		return nil, err
	}
	l.adopt(ld)
	for _, s := range ld.segs {
		s.handle.closeUnused() // a partition that nobody uses holds no descriptors
	}
	if err := l.initTopicID(opts.TopicID, staged); err != nil {
		ld.closeAll()
		return nil, err
	}
	if !staged {
		if err := l.epochs.save(); err != nil {
			ld.closeAll()
			return nil, err
		}
	}
	return l, nil
}

// adopt takes over what was loaded, and puts the offsets into order.
func (l *Log) adopt(ld *loader) {
	l.segs.Store(&ld.segs)
	l.epochs, l.producers = ld.epochs, ld.producers
	l.lastFlush = l.clock.Mono()
	if l.cleanedTo.Store(-1); ld.opts.Cleaned {
		l.cleanedTo.Store(ld.opts.CleanedTo)
	}
	l.recoveryPoint.Store(max(ld.recoveryPoint, ld.logStart))
	l.checkpointed.Store(ld.opts.RecoveryPoint)
	l.logStart.Store(ld.logStart)
	l.unstable = OffsetOnly(-1)
	l.high = OffsetOnly(ld.logStart)
	l.setEnd(ld.logEnd)
	l.updateHigh(l.high)
}

func (l *Log) initTopicID(given metadata.TopicID, staged bool) error {
	path := l.dir.path(metadataFile)
	b, err := vfs.ReadFile(l.env.fs, path, maxMetadataFileBytes)
	switch {
	case err == nil:
		id, err := decodeTopicID(b)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		l.topicID.Store(&id)
	case !errors.Is(err, fs.ErrNotExist):
		return ioErr("read topic id", err)
	}
	if given.IsZero() {
		return nil
	}
	if err := l.noteTopicID(given); err != nil {
		return err
	}
	if staged {
		return l.stageTopicID()
	}
	return l.saveTopicID()
}

func (ld *loader) closeAll() {
	for _, s := range ld.segs {
		s.retire()
	}
}

func (ld *loader) load() (err error) {
	if ld.epochs, err = openEpochs(ld.env.fs, ld.env.dir, ld.opts.FirstEpochs); err != nil {
		return err
	}
	if err := ld.loadAndRecover(); err != nil {
		return err
	}
	last := ld.segs[len(ld.segs)-1]
	for _, s := range ld.segs[:len(ld.segs)-1] {
		if err := s.seal(); err != nil {
			return err
		}
	}
	if err := last.activate(ld.opts.Config); err != nil {
		return err
	}
	if err := last.checkGrowing(ld.opts.Config.SegmentIndexBytes); err != nil {
		return err
	}
	if _, _, err := last.maxTimestamp(); err != nil { // what is appended is compared with it
		return err
	}
	ld.epochs.truncateFromEnd(ld.logEnd)
	ld.logStart = max(ld.opts.LogStartOffset, ld.segs[0].base)
	ld.epochs.truncateFromStart(ld.opts.LogStartOffset)
	if err := ld.snaps.removeStrays(ld.segs); err != nil {
		return err
	}
	if err := ld.producers.rebuild(ld.segs, ld.logStart, ld.logEnd, ld.nowMs, rebuildMode{clean: ld.opts.CleanShutdown, sync: true}); err != nil {
		return err
	}
	if ld.opts.CleanShutdown {
		return nil // no batch was in flight
	}
	return ld.producers.widen(ld.segs)
}

// loadAndRecover opens the segments and recovers what must be. Where that meets a segment whose offsets span too much, it splits it and begins anew.
func (ld *loader) loadAndRecover() error {
	for {
		files, err := ld.finishSwaps()
		if err != nil {
			return err
		}
		ld.snaps.offsets = ld.snaps.offsets[:0]
		for _, f := range files {
			if o, suffix, ok := parseOffsetName(f.Name()); ok && suffix == snapshotSuffix && f.Name() == offsetName(o, suffix) {
				ld.snaps.add(o)
			}
		}
		if err = ld.loadSegments(files); err == nil {
			err = ld.recoverLog()
		}
		var over *overflowError
		if !errors.As(err, &over) {
			return err
		}
		err = ld.split(over.seg)
		over.seg.retire()
		if err != nil {
			return err
		}
		ld.closeAll()
		ld.segs = nil
	}
}

// finishSwaps removes temporary files and finishes a replacement of segments that a crash interrupted. It returns the files left.
func (ld *loader) finishSwaps() ([]fs.DirEntry, error) {
	files, err := ld.list()
	if err != nil {
		return nil, err
	}
	changed := false
	minCleaned := int64(math.MaxInt64)
	remove := func(name string) error {
		changed = true
		return ioErr("remove "+name, vfs.RemoveIfExists(ld.env.fs, ld.env.dir.path(name)))
	}
	for _, f := range files {
		switch name := f.Name(); {
		case strings.HasSuffix(name, deletedSuffix), name == epochFile+tmpSuffix, name == metadataFile+tmpSuffix:
			err = remove(name)
		case strings.HasSuffix(name, cleanedSuffix):
			if o, _, ok := parseOffsetName(name); ok {
				minCleaned = min(minCleaned, o)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	var swaps []string
	for _, f := range files {
		name := f.Name()
		o, _, ok := parseOffsetName(name)
		switch {
		case !ok: // not ours
		case strings.HasSuffix(name, cleanedSuffix):
			err = remove(name)
		case !strings.HasSuffix(name, swapSuffix):
		case o >= minCleaned: // a split that was not complete
			err = remove(name)
		default:
			swaps = append(swaps, name)
		}
		if err != nil {
			return nil, err
		}
	}
	if len(swaps) > 0 {
		changed = true
		if err := ld.completeSwaps(files, swaps); err != nil {
			return nil, err
		}
	}
	if changed {
		return ld.list()
	}
	return files, nil
}

// completeSwaps deletes the segments that the .swap files replace and puts those in place.
func (ld *loader) completeSwaps(files []fs.DirEntry, swaps []string) error {
	from, to := int64(math.MaxInt64), int64(math.MinInt64)
	for _, name := range swaps {
		base, suffix, _ := parseOffsetName(name)
		if suffix != logSuffix+swapSuffix {
			continue
		}
		next, err := ld.swapEnd(name, base)
		if err != nil {
			return err
		}
		from, to = min(from, base), max(to, next)
	}
	for _, f := range files {
		o, suffix, ok := parseOffsetName(f.Name())
		if ok && !strings.HasSuffix(suffix, swapSuffix) && !strings.HasSuffix(suffix, cleanedSuffix) && !strings.HasSuffix(suffix, deletedSuffix) &&
			o >= from && o < to {
			if err := vfs.RemoveIfExists(ld.env.fs, ld.env.dir.path(f.Name())); err != nil {
				return ioErr("remove replaced segment", err)
			}
		}
	}
	// The replaced segments must not come back beside what replaces them.
	if err := ld.env.fs.SyncDir(ld.env.dir.get()); err != nil {
		return ioErr("sync directory", err)
	}
	for _, name := range swaps {
		path := ld.env.dir.path(name)
		if err := ld.env.fs.Rename(path, strings.TrimSuffix(path, swapSuffix)); err != nil {
			return ioErr("finish swap", err)
		}
	}
	return nil
}

// swapEnd is the offset after the last batch of a .log.swap file. All of it is read, and checked: the segments that it replaces are about to be
// deleted. A damaged one ends the load, as it does in Kafka where that sees it; what to do is not for a program to decide.
func (ld *loader) swapEnd(name string, base int64) (int64, error) {
	path := ld.env.dir.path(name)
	f, err := ld.env.fs.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return 0, ioErr("open swap file", err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return 0, ioErr("open swap file", err)
	}
	buf := ld.env.buffers.getRecover()
	defer ld.env.buffers.putRecover(buf)
	r := &batchReader{file: f, end: size, buf: buf}
	next := base
	for {
		_, in, ok, err := r.next()
		if err == nil && ok && in.lastOffset < next {
			err = fmt.Errorf("offset %d at position %d cannot follow %d: %w", in.lastOffset, in.pos, next-1, kerr.CorruptMessage)
		}
		if err == nil && !ok && r.pos < size {
			err = fmt.Errorf("no whole batch at position %d of %d bytes: %w", r.pos, size, kerr.CorruptMessage)
		}
		if err != nil {
			return 0, fmt.Errorf("%s, which is to replace segments, is damaged: %w", path, err)
		}
		if !ok {
			return next, nil
		}
		next = in.lastOffset + 1
	}
}

func (ld *loader) list() ([]fs.DirEntry, error) {
	entries, err := ld.env.fs.ReadDir(ld.env.dir.get())
	if err != nil {
		return nil, ioErr("list directory", err)
	}
	return slices.DeleteFunc(entries, func(e fs.DirEntry) bool { return e.IsDir() }), nil
}

// loadSegments opens the segments in order. One without an offset index, or with a damaged transaction index, is recovered.
func (ld *loader) loadSegments(files []fs.DirEntry) error {
	names := make(map[string]bool, len(files))
	for _, f := range files {
		names[f.Name()] = true
	}
	for _, f := range files {
		base, suffix, ok := parseOffsetName(f.Name())
		switch {
		case !ok && strings.HasSuffix(f.Name(), logSuffix): // it may hold data under a wrong name
			return fmt.Errorf("file %s is named like a segment, but not by an offset", ld.env.dir.path(f.Name()))
		case !ok:
		case (suffix == indexSuffix || suffix == timeSuffix || suffix == txnSuffix) && !names[offsetName(base, logSuffix)]:
			ld.logger.Warn("removing index without segment", "file", f.Name())
			if err := vfs.RemoveIfExists(ld.env.fs, ld.env.dir.path(f.Name())); err != nil {
				return ioErr("remove orphaned index", err)
			}
		case suffix == logSuffix && f.Name() == offsetName(base, logSuffix):
			if err := ld.loadSegment(f, base, names); err != nil {
				return err
			}
		case suffix == logSuffix:
			return fmt.Errorf("segment %s should be named %s", ld.env.dir.path(f.Name()), offsetName(base, logSuffix))
		}
	}
	return nil
}

func (ld *loader) loadSegment(f fs.DirEntry, base int64, names map[string]bool) error {
	info, err := f.Info()
	if err != nil {
		return ioErr("stat segment", err)
	}
	s, err := openSegment(ld.env, base, ld.opts.Config, ld.nowMs, info.Size(), names[offsetName(base, txnSuffix)])
	if err != nil {
		return err
	}
	if !names[offsetName(base, timeSuffix)] {
		if err := vfs.WriteFile(ld.env.fs, s.path(timeSuffix), nil, false); err != nil {
			return ioErr("create time index", err)
		}
		s.times.dirty = true
	}
	damaged := error(nil)
	if !names[offsetName(base, indexSuffix)] {
		damaged = errors.New("the offset index is missing")
		if err := vfs.WriteFile(ld.env.fs, s.path(indexSuffix), nil, false); err != nil {
			return ioErr("create offset index", err)
		}
	} else if err := s.txns.check(base); err != nil {
		if !errors.Is(err, errCorruptIndex) {
			return err
		}
		damaged = err
	}
	// What is to be recovered anyway waits for its turn: the segments before it may end in what a crash left, which must be cut first.
	if later := !ld.opts.CleanShutdown && base >= ld.opts.RecoveryPoint; damaged != nil && !later {
		ld.logger.Error("recovering segment", "file", s.path(logSuffix), "reason", damaged)
		if _, err := ld.recoverSegment(s); err != nil {
			if over := new(overflowError); !errors.As(err, &over) { // else it is split first
				s.retire()
			}
			return err
		}
	}
	ld.segs = append(ld.segs, s)
	return nil
}

// recoverSegment recovers one segment, with a producer state that reflects the log before it.
func (ld *loader) recoverSegment(s *segment) (cutBytes int64, err error) {
	for {
		p := newProducers(ld.opts.TopicPartition.String(), ld.opts.Producers, ld.snaps, ld.logger)
		if err := p.rebuild(ld.segs, ld.opts.LogStartOffset, s.base, ld.nowMs, rebuildMode{sync: true}); err != nil {
			return 0, err
		}
		n, err := ld.recover(s, p)
		if cutBytes += n; err == nil {
			return cutBytes, p.takeSnapshot(true)
		}
		var wrong *misplacedError
		if !errors.As(err, &wrong) {
			return 0, err
		}
		ld.logger.Warn("a batch has the wrong offset, cutting the segment before it", "file", s.path(logSuffix), "position", wrong.pos, "err", err)
		cutBytes += s.size.Load() - wrong.pos
		if err := s.cutFile(wrong.pos); err != nil {
			return 0, err
		}
	}
}

// recoverLog reads again what may not have been on the disk, and finds the ends of the log.
func (ld *loader) recoverLog() error {
	if !ld.opts.CleanShutdown {
		if err := ld.recoverUnflushed(); err != nil {
			return err
		}
	}
	ld.logEnd = ld.opts.LogStartOffset
	if n := len(ld.segs); n > 0 {
		end, err := ld.segs[n-1].nextOffset()
		if err != nil {
			return err
		}
		ld.logEnd = end
		if end < ld.opts.LogStartOffset {
			ld.logger.Warn("deleting all segments: the log end is below the log start", "logEnd", end, "logStart", ld.opts.LogStartOffset)
			if err := ld.dropFrom(0); err != nil {
				return err
			}
			ld.epochs.clear()
			if err := ld.snaps.removeWhere(func(int64) bool { return true }); err != nil {
				return err
			}
			ld.producers.state.TruncateFullyAndStartAt(ld.opts.LogStartOffset)
		}
	}
	if len(ld.segs) == 0 {
		s, err := createSegmentAs(ld.env, ld.opts.LogStartOffset, "", ld.opts.Config, ld.nowMs, ld.staged)
		if err != nil {
			return err
		}
		ld.segs = []*segment{s}
		ld.logEnd = ld.opts.LogStartOffset
		ld.recoveryPoint = min(ld.opts.RecoveryPoint, ld.logEnd)
		return nil
	}
	if ld.recoveryPoint = min(ld.opts.RecoveryPoint, ld.logEnd); ld.opts.CleanShutdown {
		ld.recoveryPoint = ld.logEnd
	}
	return nil
}

// recoverUnflushed recovers the segments from the one that holds the recovery point on. What follows the first that was cut is deleted.
func (ld *loader) recoverUnflushed() error {
	first := max(0, floorSegment(ld.segs, ld.opts.RecoveryPoint))
	// The segment before may have been cut where this one begins, and the cut may be half lost.
	lost, err := ld.fit(first - 1)
	if isCorrupt(err) {
		if _, err = ld.recoverSegment(ld.segs[first-1]); err == nil {
			lost, err = ld.fit(first - 1)
		}
	}
	if err != nil {
		return err
	}
	if lost {
		ld.logger.Warn("there is a gap before the segment with the recovery point", "file", ld.segs[first].path(logSuffix))
	}
	for i := first; i < len(ld.segs); i++ {
		s := ld.segs[i]
		cutBytes, err := ld.recoverSegment(s)
		if err != nil {
			return err
		}
		lost, err := ld.fit(i)
		if err != nil {
			return err
		}
		if cutBytes > 0 || lost {
			if i+1 < len(ld.segs) {
				ld.logger.Warn("deleting the segments behind a damaged one", "damaged", s.path(logSuffix), "deleted", len(ld.segs)-i-1)
			}
			return ld.dropFrom(i + 1)
		}
	}
	return nil
}

// fit makes the i-th segment end where the next begins, after a power failure. It may reach into the next, if its truncation was lost but
// not what was written since: then it is cut again. Or it may end before, because its unsynced end was lost without leaving a torn batch: then
// what follows must go, and lost is true, or a hole would stay that no replica ever fills. Kafka 3.9 leaves both. In a compacted topic gaps
// are common, and nothing tells one from the other.
func (ld *loader) fit(i int) (lost bool, err error) {
	if i < 0 || i+1 >= len(ld.segs) {
		return false, nil
	}
	s, next := ld.segs[i], ld.segs[i+1].base
	end, err := s.nextOffset()
	if err != nil || end <= next {
		return end < next && !ld.mayHaveGaps(), err
	}
	ld.logger.Warn("cutting a segment that reaches into the next", "file", s.path(logSuffix), "end", end, "next", next)
	if err := s.activate(ld.opts.Config); err != nil {
		return false, err
	}
	if _, err := s.truncateTo(next, ld.nowMs); err != nil {
		return false, err
	}
	// The old batch that is cut may have begun further below.
	end, err = s.nextOffset()
	return end < next && !ld.mayHaveGaps(), err
}

// mayHaveGaps says whether gaps may be the work of a cleaner, today or before the topic's policy was changed.
func (ld *loader) mayHaveGaps() bool {
	return ld.opts.Config.CleanupCompact || ld.opts.Cleaned || ld.gaps
}

// dropFrom deletes the segments from the i-th on, with their snapshots.
func (ld *loader) dropFrom(i int) error {
	for _, s := range ld.segs[i:] {
		s.retire()
		if err := s.remove(); err != nil {
			return err
		}
		if err := ld.snaps.remove(s.base); err != nil {
			return err
		}
	}
	ld.segs = slices.Clip(ld.segs[:i])
	return nil
}
