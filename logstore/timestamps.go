package logstore

import (
	"fmt"
	"math"

	"gokafka/record"
)

// TimestampOffset is a record found by its timestamp. LeaderEpoch is that of its batch, or UndefinedEpoch.
type TimestampOffset struct {
	Timestamp   int64
	Offset      int64
	LeaderEpoch int32
}

// MaxTimestamp asks OffsetForTimestamp for the first record with the largest timestamp (KIP-734), as in ListOffsets.
const MaxTimestamp int64 = -3

// OffsetForTimestamp finds the first record whose timestamp is at or above ts and whose offset is not below the log start; or, for
// MaxTimestamp, the first record that has the largest timestamp (Kafka 3.9 UnifiedLog.fetchOffsetByTimestamp).
func (l *Log) OffsetForTimestamp(ts int64) (TimestampOffset, bool, error) {
	for attempt := 0; ; attempt++ {
		if err := l.usable(); err != nil {
			return TimestampOffset{}, false, err
		}
		before := l.settled()
		var found TimestampOffset
		var ok bool
		var err error
		if ts == MaxTimestamp {
			found, ok, err = l.findMaxTimestamp()
		} else {
			found, ok, err = l.findTimestamp(ts)
		}
		if l.changes.Load() == before || attempt == maxReadAttempts {
			return found, ok, l.settle(err)
		}
	}
}

func (l *Log) findTimestamp(ts int64) (TimestampOffset, bool, error) {
	start := l.logStart.Load()
	for _, s := range *l.segs.Load() {
		largest, err := s.largestTimestamp()
		if err != nil {
			return TimestampOffset{}, false, err
		}
		if largest < ts {
			continue
		}
		_, near, err := s.timeEntry(ts)
		if err != nil {
			return TimestampOffset{}, false, err
		}
		in, ok, err := s.find(max(near, start))
		if err != nil {
			return TimestampOffset{}, false, err
		}
		if !ok {
			continue
		}
		// A segment whose only match lies below the log start does not end the search, as it does in Kafka.
		if found, ok, err := l.searchRecords(s, in.pos, ts, start); ok || err != nil {
			return found, ok, err
		}
	}
	return TimestampOffset{}, false, nil
}

func (l *Log) findMaxTimestamp() (TimestampOffset, bool, error) {
	var best *segment
	bestTs, bestOffset := int64(math.MinInt64), int64(0)
	for _, s := range *l.segs.Load() {
		ts, o, err := s.maxTimestamp()
		if err != nil {
			return TimestampOffset{}, false, err
		}
		if ts > bestTs {
			best, bestTs, bestOffset = s, ts, o
		}
	}
	if best == nil {
		return TimestampOffset{}, false, nil
	}
	in, ok, err := best.find(bestOffset)
	if err != nil || !ok {
		return TimestampOffset{}, false, err
	}
	return l.searchRecords(best, in.pos, bestTs, 0)
}

// searchRecords looks from position pos on for the first record with a timestamp at or above ts and an offset at or above start.
func (l *Log) searchRecords(s *segment, pos, ts, start int64) (TimestampOffset, bool, error) {
	var found TimestampOffset
	var ok bool
	var inner error
	err := s.scan(pos, s.size.Load(), func(in batchInfo) bool {
		if in.maxTimestamp < ts || in.lastOffset < start {
			return true
		}
		if in.magic == 0 {
			return false // it has no timestamps, and ts says that nobody has: Kafka does not look further
		}
		found, ok, inner = l.searchBatch(s, in, ts, start)
		return inner == nil && !ok
	})
	if inner != nil {
		err = inner
	}
	return found, ok, err
}

func (l *Log) searchBatch(s *segment, in batchInfo, ts, start int64) (TimestampOffset, bool, error) {
	f, err := s.handle.acquire()
	if err != nil {
		return TimestampOffset{}, false, ioErr("open segment", err)
	}
	defer s.handle.release()
	b := make([]byte, in.size)
	if n, err := f.ReadAt(b, in.pos); n < len(b) {
		return TimestampOffset{}, false, ioErr("read batch", orShort(err))
	}
	if err := record.CheckCRC(b, in.magic); err != nil { // a place found among damaged records would be none
		return TimestampOffset{}, false, fmt.Errorf("%s at position %d: %w", s.path(logSuffix), in.pos, err)
	}
	timestamp, offset, ok, err := l.codecs.FindTimestamp(b, ts, start)
	if err != nil {
		return TimestampOffset{}, false, fmt.Errorf("%s at position %d: %w", s.path(logSuffix), in.pos, err)
	}
	return TimestampOffset{timestamp, offset, in.leaderEpoch}, ok, nil
}
