package logstore

import (
	"fmt"
)

// TruncateTo removes all batches that reach offset or beyond, whole, as a follower does before it follows a leader. The log end
// offset is offset afterwards. It says whether anything was removed (Kafka 3.9 UnifiedLog.truncateTo).
func (l *Log) TruncateTo(offset int64) (bool, error) {
	if err := l.usable(); err != nil {
		return false, err
	}
	if offset < 0 {
		return false, fmt.Errorf("%s: cannot truncate to %d", l.tp, offset)
	}
	l.swapMu.Lock()
	defer l.swapMu.Unlock()
	// Whole segments go first, and durably, before their place is written anew: if they came back after a crash, old batches would
	// follow new ones.
	if boundary := l.segmentAbove(offset); boundary >= 0 {
		if _, err := l.cutAt(boundary, true); err != nil {
			return false, l.settle(err)
		}
		if err := l.env.fs.SyncDir(l.dir.get()); err != nil {
			return false, l.settle(ioErr("sync directory", err))
		}
	}
	cut, err := l.cutAt(offset, false)
	return cut, l.settle(err)
}

// segmentAbove is the base of the first segment behind the one that holds offset, or -1 if there is none or offset is before the first.
func (l *Log) segmentAbove(offset int64) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	segs := *l.segs.Load()
	i := floorSegment(segs, offset)
	if i < 0 || i+1 >= len(segs) || offset >= l.logEnd.Load() {
		return -1
	}
	return segs[i+1].base
}

func (l *Log) cutAt(offset int64, wholeSegments bool) (bool, error) {
	if err := l.lockForCut(offset); err != nil {
		return false, err
	}
	defer l.mu.Unlock()
	return l.truncateTo(offset, wholeSegments)
}

// lockForCut returns with mu held and the recovery point on the disk not above offset, where the log is about to be cut.
func (l *Log) lockForCut(offset int64) error {
	for {
		l.mu.Lock()
		if err := l.usable(); err != nil { // closed meanwhile
			l.mu.Unlock()
			return err
		}
		cleaned := l.cleanedTo.Load()
		if offset < l.logEnd.Load() && cleaned > offset { // what is written there next was never looked at
			l.cleanedTo.Store(offset)
		}
		if l.checkpointed.Load() <= offset && cleaned <= offset || l.onLowered == nil || offset >= l.logEnd.Load() {
			return nil
		}
		l.recoveryPoint.Store(min(l.recoveryPoint.Load(), offset))
		l.mu.Unlock()
		if err := l.onLowered(l); err != nil {
			return ioErr("checkpoint recovery point", err)
		}
	}
}

// truncateTo removes what is at or above offset. With wholeSegments, offset is the base of a segment, which goes too instead of staying,
// empty. Caller holds mu.
func (l *Log) truncateTo(offset int64, wholeSegments bool) (bool, error) {
	end := l.logEnd.Load()
	if offset >= end && !wholeSegments {
		// A leader that wrote nothing leaves an epoch entry at its end, which another leader may contradict.
		if l.epochs.truncateFromEnd(end) {
			l.saveEpochsLater()
		}
		return false, nil
	}
	segs := *l.segs.Load()
	if segs[0].base > offset {
		return true, l.truncateFully(offset, offset)
	}
	l.changes.Add(1)
	defer l.changes.Add(1)
	l.truncations++
	// The recovery point falls first: if what follows is only half done when the machine dies, all of it is read again.
	l.recoveryPoint.Store(min(l.recoveryPoint.Load(), offset))
	keep := floorSegment(segs, offset) + 1
	if wholeSegments && keep > 1 && segs[keep-1].base == offset {
		keep--
	}
	gone := segs[keep:]
	l.setSegments(segs[:keep:keep])
	if err := l.deleteSegments(gone, true); err != nil {
		return true, err
	}
	last := segs[keep-1]
	if err := last.activate(l.cfg.Load()); err != nil {
		return true, asFatal(err)
	}
	if _, err := last.truncateTo(offset, l.clock.NowMs()); err != nil {
		return true, asFatal(err)
	}
	offset = min(offset, end) // a roll may have been ahead of the end
	l.setEnd(offset)
	if l.epochs.truncateFromEnd(offset) {
		l.saveEpochsLater()
	}
	start := min(offset, l.logStart.Load())
	l.logStart.Store(start)
	if err := l.producers.rebuild(*l.segs.Load(), start, offset, l.clock.NowMs(), rebuildMode{}); err != nil {
		return true, asFatal(err)
	}
	l.keepHighAtEnd()
	l.refreshUnstable()
	return true, nil
}

// asFatal marks an error after which the log in memory and its files may differ.
func asFatal(err error) error { return ioErr("truncate", &fatalError{err}) }

// TruncateFullyAndStartAt removes everything and lets the log begin at offset: a follower whose offsets the leader no longer has.
func (l *Log) TruncateFullyAndStartAt(offset int64) error {
	if err := l.usable(); err != nil {
		return err
	}
	if offset < 0 {
		return fmt.Errorf("%s: cannot start at %d", l.tp, offset)
	}
	l.swapMu.Lock()
	defer l.swapMu.Unlock()
	if err := l.lockForCut(offset); err != nil {
		return l.settle(err)
	}
	err := l.truncateFully(offset, offset)
	l.mu.Unlock()
	return l.settle(err)
}

// truncateFully leaves one empty segment at offset. Caller holds mu.
func (l *Log) truncateFully(offset, logStart int64) error {
	l.changes.Add(1)
	defer l.changes.Add(1)
	l.truncations++
	l.recoveryPoint.Store(min(l.recoveryPoint.Load(), offset))
	segs := *l.segs.Load()
	for _, s := range segs {
		s.handle.noteCut(0)
	}
	// The new segment may have the name of an old one, which therefore goes first. A crash in between leaves no segment: the log
	// then begins at the checkpointed log start, empty.
	if err := l.deleteSegments(segs, true); err != nil {
		return err
	}
	fresh, err := createSegment(l.env, offset, l.cfg.Load(), l.clock.NowMs())
	if err != nil {
		return asFatal(err)
	}
	l.setSegments([]*segment{fresh})
	if l.epochs.clear() {
		l.saveEpochsLater()
	}
	if err := l.producers.snaps.removeWhere(func(int64) bool { return true }); err != nil {
		return err
	}
	l.producers.state.TruncateFullyAndStartAt(offset)
	l.setEnd(offset)
	l.logStart.Store(logStart)
	l.updateHigh(l.LogEndOffsetMetadata())
	return l.producers.rebuild(*l.segs.Load(), logStart, offset, l.clock.NowMs(), rebuildMode{})
}
