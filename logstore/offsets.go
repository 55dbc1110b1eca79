package logstore

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// OffsetSnapshot is the ends of a log at one moment.
type OffsetSnapshot struct {
	LogStartOffset   int64
	LogEndOffset     OffsetMetadata
	HighWatermark    OffsetMetadata
	LastStableOffset OffsetMetadata
}

// Snapshot returns the ends of the log at one moment. Positions are filled in where they are known.
func (l *Log) Snapshot() OffsetSnapshot {
	l.offMu.Lock()
	defer l.offMu.Unlock()
	return OffsetSnapshot{l.logStart.Load(), l.end, l.high, l.lastStableLocked()}
}

// LogEndOffsetMetadata is the log end offset with its position.
func (l *Log) LogEndOffsetMetadata() OffsetMetadata {
	l.offMu.Lock()
	defer l.offMu.Unlock()
	return l.end
}

func (l *Log) lastStableLocked() OffsetMetadata {
	if l.unstable.Offset >= 0 && l.unstable.Offset < l.high.Offset {
		return l.unstable
	}
	return l.high
}

// setEnd moves the log end offset to what the active segment holds. Caller holds mu.
func (l *Log) setEnd(offset int64) {
	active := l.active()
	l.offMu.Lock()
	l.end = OffsetMetadata{offset, active.base, active.size.Load()}
	l.logEnd.Store(offset)
	l.offMu.Unlock()
	if l.recoveryPoint.Load() > offset {
		l.recoveryPoint.Store(offset)
	}
}

// setHigh stores a high watermark and what depends on it. Caller holds mu.
func (l *Log) setHigh(m OffsetMetadata) {
	l.offMu.Lock()
	l.high = m
	l.highWatermark.Store(m.Offset)
	l.offMu.Unlock()
	l.producers.state.OnHighWatermarkUpdated(m.Offset)
	l.refreshUnstable()
}

// refreshUnstable takes the first unstable offset over from the producer state. Caller holds mu.
func (l *Log) refreshUnstable() {
	first := int64(-1)
	if o, ok := l.producers.state.FirstUnstableOffset(); ok {
		first = max(o, l.logStart.Load())
	}
	l.offMu.Lock()
	defer l.offMu.Unlock()
	if l.unstable.Offset != first {
		l.unstable = OffsetOnly(first)
	}
	l.lastStable.Store(l.lastStableLocked().Offset)
}

// UpdateHighWatermark sets the high watermark, kept within log start and log end, and returns what it became. It may fall.
func (l *Log) UpdateHighWatermark(offset int64) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.updateHigh(OffsetOnly(offset))
}

func (l *Log) updateHigh(m OffsetMetadata) int64 {
	if start := l.logStart.Load(); m.Offset < start {
		m = OffsetOnly(start)
	}
	if end := l.LogEndOffsetMetadata(); m.Offset >= end.Offset {
		m = end
	}
	l.setHigh(m)
	return m.Offset
}

// MaybeUpdateHighWatermark sets the high watermark, as a follower does, and says whether it moved.
func (l *Log) MaybeUpdateHighWatermark(offset int64) (newOffset int64, changed bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	old := l.highWatermark.Load()
	start, end := l.logStart.Load(), l.logEnd.Load()
	if want := min(max(offset, start), end); want == old {
		return old, false // also when the position is not known yet: it is found when it is needed
	}
	newOffset = l.updateHigh(OffsetOnly(offset))
	return newOffset, newOffset != old
}

// MaybeIncrementHighWatermark raises the high watermark to m, as a leader does, and returns what it was and whether it rose; a
// position on a newer segment counts as a rise. A value beyond the log end offset is an error.
func (l *Log) MaybeIncrementHighWatermark(m OffsetMetadata) (old OffsetMetadata, rose bool, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if end := l.logEnd.Load(); m.Offset > end {
		return old, false, fmt.Errorf("%s: high watermark %d is beyond the log end offset %d", l.tp, m.Offset, end)
	}
	l.offMu.Lock()
	old = l.high
	l.offMu.Unlock()
	if old.Offset < m.Offset || old.Offset == m.Offset && old.Known() && m.Known() && old.SegmentBase < m.SegmentBase {
		l.setHigh(m)
		return old, true, nil
	}
	return old, false, nil
}

// keepHighAtEnd follows the log end offset where the high watermark is not below it: after a truncation, or when
// a roll moved the end to a new segment. Caller holds mu.
func (l *Log) keepHighAtEnd() {
	if end := l.LogEndOffsetMetadata(); l.highWatermark.Load() >= end.Offset {
		l.setHigh(end)
	}
}

// raiseLogStart sets the log start offset and what must not be below it. Caller holds mu.
func (l *Log) raiseLogStart(offset int64) {
	l.logStart.Store(offset)
	if l.highWatermark.Load() < offset {
		l.updateHigh(OffsetOnly(offset))
	}
	if l.recoveryPoint.Load() < offset {
		l.recoveryPoint.Store(offset)
	}
}

// IncrementLogStartOffset raises the log start offset, and says whether it rose. Beyond the high watermark it is
// kerr.OffsetOutOfRange. It is on the disk with the next log start checkpoint; segments below go with the next retention pass.
func (l *Log) IncrementLogStartOffset(offset int64) (bool, error) {
	if err := l.usable(); err != nil {
		return false, err
	}
	l.mu.Lock()
	rose, err := l.incrementLogStart(offset)
	l.mu.Unlock()
	return rose, err
}

func (l *Log) incrementLogStart(offset int64) (bool, error) {
	if hw := l.highWatermark.Load(); offset > hw {
		return false, fmt.Errorf("%s: log start offset %d would be beyond the high watermark %d: %w", l.tp, offset, hw, kerr.OffsetOutOfRange)
	}
	if offset <= l.logStart.Load() {
		return false, nil
	}
	l.raiseLogStart(offset)
	if l.epochs.truncateFromStart(offset) {
		l.saveEpochsLater()
	}
	l.producers.onLogStartIncremented(offset)
	l.refreshUnstable()
	return true, nil
}

// LatestEpoch is the last leader epoch, or UndefinedEpoch.
func (l *Log) LatestEpoch() int32 { return l.epochs.latest() }

// EpochStarts are all leader epochs known, ascending.
func (l *Log) EpochStarts() []EpochStart { return append([]EpochStart(nil), l.epochs.list()...) }

// EpochForOffset is the leader epoch of a record at offset, or UndefinedEpoch.
func (l *Log) EpochForOffset(offset int64) int32 { return l.epochs.epochAt(offset) }

// EarliestEpoch is the leader epoch of the log start offset, or UndefinedEpoch if no entry reaches down to it.
func (l *Log) EarliestEpoch() int32 {
	if list := l.epochs.list(); len(list) > 0 && list[0].StartOffset <= l.logStart.Load() {
		return list[0].Epoch
	}
	return UndefinedEpoch
}

// EndOffsetForEpoch is the largest known epoch that is not above epoch, and the offset where it ends; both are -1 if epoch is
// above all that is known.
func (l *Log) EndOffsetForEpoch(epoch int32) (int32, int64) {
	return l.epochs.endOffsetFor(epoch, l.logEnd.Load())
}

// AssignEpochStart notes that a leader epoch begins at offset, and returns when that is on the disk.
func (l *Log) AssignEpochStart(epoch int32, offset int64) error {
	if err := l.StageEpochStart(epoch, offset); err != nil {
		return err
	}
	return l.settle(l.epochs.save())
}

// StageEpochStart is AssignEpochStart without the sync: the epoch holds, but is on the disk only after the next SaveEpochs or append.
func (l *Log) StageEpochStart(epoch int32, offset int64) error {
	if err := l.usable(); err != nil {
		return err
	}
	if epoch < 0 || offset < 0 {
		return fmt.Errorf("%s: leader epoch %d cannot start at %d", l.tp, epoch, offset)
	}
	l.mu.Lock()
	l.epochs.assign(epoch, offset)
	l.mu.Unlock()
	return nil
}

// SaveEpochs makes the leader epochs durable.
func (l *Log) SaveEpochs() error { return l.settle(l.epochs.save()) }
