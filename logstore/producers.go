package logstore

import (
	"fmt"
	"log/slog"
	"slices"

	"gokafka/internal/vfs"
	"gokafka/producerstate"
	"gokafka/record"
)

// ProducerOptions are the broker's settings for producers.
type ProducerOptions = producerstate.Options

// maxSnapshotBytes bounds a producer snapshot: 46 bytes a producer.
const maxSnapshotBytes = 1 << 30

// maxMarkerBytes bounds a control batch that is read back; Kafka's have 78 bytes.
const maxMarkerBytes = 1 << 20

// snapshots are the producer snapshot files of a log. Guarded by Log.mu.
type snapshots struct {
	fs      vfs.FS
	dir     *dirRef
	offsets []int64 // ascending
}

func (s *snapshots) path(offset int64) string { return s.dir.path(offsetName(offset, snapshotSuffix)) }

// newest is the offset of the newest snapshot, or -1.
func (s *snapshots) newest() int64 {
	if len(s.offsets) == 0 {
		return -1
	}
	return s.offsets[len(s.offsets)-1]
}

func (s *snapshots) add(offset int64) {
	if i, ok := slices.BinarySearch(s.offsets, offset); !ok {
		s.offsets = slices.Insert(s.offsets, i, offset)
	}
}

func (s *snapshots) drop(offset int64) bool {
	i, ok := slices.BinarySearch(s.offsets, offset)
	if ok {
		s.offsets = slices.Delete(s.offsets, i, i+1)
	}
	return ok
}

func (s *snapshots) remove(offset int64) error {
	if !s.drop(offset) {
		return nil
	}
	return ioErr("remove producer snapshot", vfs.RemoveIfExists(s.fs, s.path(offset)))
}

// removeWhere deletes the snapshots for which gone holds.
func (s *snapshots) removeWhere(gone func(offset int64) bool) error {
	for _, o := range slices.Clone(s.offsets) {
		if gone(o) {
			if err := s.remove(o); err != nil {
				return err
			}
		}
	}
	return nil
}

// removeStrays keeps the snapshots at segment bases, and the largest of the others if it is above the last base
// (Kafka 3.9 ProducerStateManager.removeStraySnapshots).
func (s *snapshots) removeStrays(segs []*segment) error {
	stray, last := int64(-1), int64(-1)
	bases := map[int64]bool{}
	for _, seg := range segs {
		bases[seg.base] = true
		last = seg.base
	}
	for _, o := range s.offsets {
		if !bases[o] {
			stray = o
		}
	}
	return s.removeWhere(func(o int64) bool { return !bases[o] && (o != stray || stray < last) })
}

// producers is the producer state of a log with its snapshots. Guarded by Log.mu.
type producers struct {
	state  *producerstate.Manager
	snaps  *snapshots
	logger *slog.Logger
	// unsynced are offsets of snapshots that the next flush syncs. One that a crash tears fails its checksum, and an older one is used.
	unsynced []int64
}

func newProducers(label string, opts ProducerOptions, snaps *snapshots, logger *slog.Logger) *producers {
	return &producers{state: producerstate.New(label, opts), snaps: snaps, logger: logger}
}

// takeSnapshot writes the state to a file named by its end offset, unless nothing moved since the last. Without sync the next flush syncs it.
func (p *producers) takeSnapshot(sync bool) error {
	if !p.state.SnapshotNeeded() {
		return nil
	}
	offset := p.state.MapEndOffset()
	if err := vfs.WriteFile(p.snaps.fs, p.snaps.path(offset), p.state.EncodeSnapshot(), sync); err != nil {
		return ioErr("write producer snapshot", err)
	}
	p.snaps.add(offset)
	p.state.SnapshotTaken()
	if !sync {
		p.unsynced = append(p.unsynced, offset)
	}
	return nil
}

// takeUnsynced gives the unsynced snapshots up to offset to the caller, who syncs them.
func (p *producers) takeUnsynced(offset int64) []int64 {
	var taken []int64
	kept := p.unsynced[:0]
	for _, o := range p.unsynced {
		if o <= offset {
			taken = append(taken, o)
		} else {
			kept = append(kept, o)
		}
	}
	p.unsynced = kept
	return taken
}

func (p *producers) onLogStartIncremented(offset int64) {
	p.state.OnLogStartOffsetIncremented(offset, p.snaps.newest())
}

// truncateAndReload fits the state to a log that has [start, end): snapshots outside are deleted, and if the state reflects another end
// the newest one is loaded (Kafka 3.9 ProducerStateManager.truncateAndReload).
func (p *producers) truncateAndReload(start, end, nowMs int64) error {
	if err := p.snaps.removeWhere(func(o int64) bool { return o > end || o <= start }); err != nil {
		return err
	}
	if !p.state.Truncate(start, end, p.snaps.newest()) {
		return nil
	}
	for newest := p.snaps.newest(); newest >= 0; newest = p.snaps.newest() {
		b, err := vfs.ReadFile(p.snaps.fs, p.snaps.path(newest), maxSnapshotBytes)
		if err != nil {
			return ioErr("read producer snapshot", err)
		}
		entries, err := producerstate.DecodeSnapshot(b)
		if err == nil {
			p.state.Load(entries, newest, nowMs)
			return nil
		}
		p.logger.Warn("producer snapshot is not usable, trying an older one", "file", p.snaps.path(newest), "err", err)
		if err := p.snaps.remove(newest); err != nil {
			return err
		}
	}
	p.state.StartAt(start)
	return nil
}

// rebuildMode is why and how a state is rebuilt.
type rebuildMode struct {
	clean bool // the log was shut down cleanly
	sync  bool // snapshots are synced at once, which needs that nobody waits for the log's lock
}

// rebuild makes the state reflect the log up to end (Kafka 3.9 UnifiedLog.rebuildProducerState).
func (p *producers) rebuild(segs []*segment, start, end, nowMs int64, mode rebuildMode) error {
	n := len(segs)
	if p.snaps.newest() < 0 && mode.clean {
		// No snapshot after a clean shutdown: written by a version without producer state. Reading the whole log would help nobody.
		for _, s := range segs[max(0, n-2):] {
			if err := p.snapshotAt(s.base, mode.sync); err != nil {
				return err
			}
		}
		return p.snapshotAt(end, mode.sync)
	}
	// A log that never had producers before a truncation has none after it either.
	idle := p.state.IsEmpty() && p.state.MapEndOffset() >= end
	if err := p.truncateAndReload(start, end, nowMs); err != nil {
		return err
	}
	if end > p.state.MapEndOffset() && !idle {
		last := floorSegment(segs, end)
		for i := max(0, floorSegment(segs, p.state.MapEndOffset())); i < n && segs[i].base < end; i++ {
			s := segs[i]
			from := max(s.base, p.state.MapEndOffset(), start)
			p.state.UpdateMapEndOffset(from)
			if i >= n-2 {
				if err := p.takeSnapshot(mode.sync); err != nil {
					return err
				}
			}
			limit := s.size.Load()
			if i == last {
				if in, ok, err := s.find(end); err != nil {
					return err
				} else if ok {
					limit = in.pos
				}
			}
			if err := p.replay(s, from, limit); err != nil {
				return err
			}
		}
	}
	return p.snapshotAt(end, mode.sync)
}

func (p *producers) snapshotAt(offset int64, sync bool) error {
	p.state.UpdateMapEndOffset(offset)
	return p.takeSnapshot(sync)
}

// replay applies the batches of a segment from the one that holds offset from, up to position limit.
func (p *producers) replay(s *segment, from, limit int64) error {
	first, ok, err := s.find(from)
	if err != nil || !ok {
		return err
	}
	f, err := s.handle.acquire()
	if err != nil {
		return ioErr("open segment", err)
	}
	defer s.handle.release()
	buf := s.env.buffers.getScan()
	defer s.env.buffers.putScan(buf)
	sc := newScanner(f, first.pos, limit, *buf)
	for {
		in, ok, err := sc.next()
		if err != nil {
			return fmt.Errorf("%s: %w", s.path(logSuffix), err)
		}
		if !ok {
			return nil
		}
		if in.magic < 2 {
			continue
		}
		b := record.Batch(sc.header)
		if !b.HasProducerID() {
			continue
		}
		if b.IsControl() {
			if in.size > maxMarkerBytes {
				p.logger.Warn("control batch is too large to be a marker", "file", s.path(logSuffix), "position", in.pos)
				continue
			}
			b = make(record.Batch, in.size)
			if n, err := f.ReadAt(b, in.pos); n < len(b) {
				return ioErr("read marker", orShort(err))
			}
		}
		p.apply(s, b, nil)
	}
}

// apply replays one batch; aborted is told of a transaction that it aborts, before that is complete. What does not fit the state is
// logged and applied all the same, or left out if it cannot be read.
func (p *producers) apply(s *segment, b record.Batch, aborted func(AbortedTxn)) {
	a := p.state.Prepare(record.Replication, 0, false)
	_, err := a.Check(b)
	if err == nil {
		a.Update()
		for _, t := range a.Completed() {
			if t.Aborted && aborted != nil {
				aborted(AbortedTxn{t.ProducerID, t.FirstOffset, t.LastOffset, p.state.LastStableOffset(t)})
			}
			if err = p.state.CompleteTxn(t); err != nil {
				break
			}
		}
	}
	for _, w := range a.Warnings() {
		p.logger.Warn("producer state", "segment", s.base, "warning", w)
	}
	if err != nil {
		p.logger.Warn("producer state: batch left out", "segment", s.base, "offset", b.BaseOffset(), "err", err)
	}
}
