package logstore

import (
	"fmt"
)

// maybeRoll returns the segment for an append, a new one if the active one is full or old. Caller holds mu.
func (l *Log) maybeRoll(n, firstOffset, lastOffset, maxTs int64) (*segment, error) {
	s := l.active()
	roll, err := s.shouldRoll(l.cfg.Load(), n, maxTs, lastOffset, l.clock.NowMs())
	if err != nil || !roll {
		return s, err
	}
	return l.roll(firstOffset)
}

// roll makes a new active segment. Its base is the larger of the next offset expected and the log end. On error the log is as
// before. Caller holds mu (Kafka 3.9 LocalLog.roll, UnifiedLog.roll).
func (l *Log) roll(expectedNext int64) (*segment, error) {
	base := max(expectedNext, l.logEnd.Load())
	segs := *l.segs.Load()
	old := segs[len(segs)-1]
	if base == old.base {
		if old.size.Load() == 0 {
			return l.renewEmpty(old)
		}
		return nil, fmt.Errorf("%s: cannot roll at offset %d: the active segment begins there", l.tp, base)
	}
	if base < old.base {
		return nil, fmt.Errorf("%s: cannot roll at offset %d, below the active segment's %d", l.tp, base, old.base)
	}
	old.closeTimeIndex()
	if err := old.writeIndexes(); err != nil {
		return nil, err
	}
	fresh, err := createSegment(l.env, base, l.cfg.Load(), l.clock.NowMs())
	if err != nil {
		return nil, err
	}
	l.producers.state.UpdateMapEndOffset(base)
	err = l.producers.takeSnapshot(false)
	if err == nil {
		err = old.seal()
	}
	if err != nil {
		fresh.retire()
		if rerr := fresh.remove(); rerr != nil { // what is left would cut off what the old segment will hold
			return nil, ioErr("roll", &fatalError{fmt.Errorf("%w; and the new segment could not be removed: %w", err, rerr)})
		}
		return nil, err
	}
	l.setSegments(append(segs[:len(segs):len(segs)], fresh))
	l.setEnd(l.logEnd.Load())
	l.keepHighAtEnd()
	l.logger.Debug("rolled new segment", "base", base)
	l.flushLater(base)
	return fresh, nil
}

// renewEmpty replaces an active segment without data, which is to be rolled because its index has no room
// (segment.index.bytes was raised meanwhile). Caller holds mu.
func (l *Log) renewEmpty(old *segment) (*segment, error) {
	fresh, err := createSegment(l.env, old.base, l.cfg.Load(), l.clock.NowMs())
	if err != nil { // the old segment's files went with it
		return nil, ioErr("replace segment", &fatalError{err})
	}
	segs := *l.segs.Load()
	list := append(segs[:len(segs)-1:len(segs)-1], fresh)
	l.setSegments(list)
	l.changes.Add(2)
	old.retire()
	l.setEnd(l.logEnd.Load())
	return fresh, nil
}

// setSegments publishes a new list. Caller holds mu.
func (l *Log) setSegments(segs []*segment) { l.segs.Store(&segs) }

// Roll begins a new segment at the log end, if the active one has data.
func (l *Log) Roll() error {
	if err := l.usable(); err != nil {
		return err
	}
	l.mu.Lock()
	err := l.usable()
	if err == nil && l.active().size.Load() > 0 {
		_, err = l.roll(0)
	}
	l.mu.Unlock()
	return l.settle(err)
}
