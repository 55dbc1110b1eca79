package logstore

import (
	"slices"
	"time"
)

// Timestamps with a meaning for OffsetsBefore.
const (
	LatestTimestamp   int64 = -1
	EarliestTimestamp int64 = -2
)

// OffsetsBefore is the answer to ListOffsets 0, which knows segments only: the first offsets of those last written to at or before ts, and
// the log end, which counts as written now; the newest n of them, falling. For EarliestTimestamp only the first segment counts, for
// LatestTimestamp all (Kafka 3.9 UnifiedLog.legacyFetchOffsetsBefore).
func (l *Log) OffsetsBefore(ts int64, n int) ([]int64, error) {
	for attempt := 0; ; attempt++ {
		if err := l.usable(); err != nil {
			return nil, err
		}
		before := l.settled()
		found, err := l.offsetsBefore(ts, n)
		if l.changes.Load() == before || attempt == maxReadAttempts {
			return found, l.settle(err)
		}
	}
}

func (l *Log) offsetsBefore(ts int64, n int) ([]int64, error) {
	type start struct {
		offset     int64
		modifiedAt time.Time
	}
	segs, logStart := *l.segs.Load(), l.logStart.Load()
	starts := make([]start, 0, len(segs)+1)
	for _, s := range segs {
		var at time.Time
		if ts >= 0 { // else it does not matter
			var err error
			if at, err = s.lastModified(); err != nil {
				return nil, err
			}
		}
		starts = append(starts, start{max(s.base, logStart), at})
	}
	if segs[len(segs)-1].size.Load() > 0 {
		starts = append(starts, start{l.logEnd.Load(), time.UnixMilli(l.clock.NowMs())})
	}
	last := len(starts) - 1
	switch {
	case ts == EarliestTimestamp:
		last = 0
	case ts != LatestTimestamp:
		for last >= 0 && starts[last].modifiedAt.UnixMilli() > ts {
			last--
		}
	}
	offsets := make([]int64, 0, min(n, last+1))
	for ; last >= 0 && len(offsets) < n; last-- {
		offsets = append(offsets, starts[last].offset)
	}
	slices.SortStableFunc(offsets, func(a, b int64) int { return int(min(max(b-a, -1), 1)) })
	return offsets, nil
}
