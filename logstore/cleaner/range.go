package cleaner

import (
	"math"

	"gokafka/logstore"
)

// Job is a log and the part of it that is to be cleaned.
type Job struct {
	Log  *logstore.Log
	View logstore.CleanView

	FirstDirty       int64 // first offset that was never looked at
	FirstUncleanable int64 // base of the first segment that is left alone
	CleanBytes       int64 // of the segments before the dirty ones
	CleanableBytes   int64
	DelayMs          int64 // for how long max.compaction.lag.ms has been exceeded
	// Reset says that the checkpoint was not valid, and that FirstDirty is to replace it.
	Reset bool
}

// DirtyRatio is the part of the bytes that is dirty.
func (j *Job) DirtyRatio() float64 {
	return float64(j.CleanableBytes) / float64(j.CleanBytes+j.CleanableBytes)
}

// Due says whether the log is dirty enough, or has been dirty for long enough.
func (j *Job) Due() bool {
	return j.CleanBytes+j.CleanableBytes > 0 &&
		(j.DelayMs > 0 && j.CleanableBytes > 0 || j.DirtyRatio() > j.View.Config().MinCleanableRatio)
}

// Plan finds out what can be cleaned of a log: not the active segment, nothing at or beyond the last stable offset, nothing younger than
// min.compaction.lag.ms (Kafka 3.9 LogCleanerManager.cleanableOffsets, LogToClean).
func Plan(l *logstore.Log, nowMs int64) (*Job, error) {
	v := l.CleanView()
	j := &Job{Log: l, View: v}
	start, end := l.LogStartOffset(), l.LogEndOffset()
	dirty, cleaned := l.CleanedTo()
	if !cleaned {
		dirty = start
	}
	if dirty < start || dirty > end {
		dirty, j.Reset = start, true
	}
	j.FirstDirty = dirty
	limit := min(l.LastStableOffset(), v.Active())
	cfg := v.Config()
	sealed := v.Range(dirty, v.Active())
	if lag := cfg.MinCompactionLag.Milliseconds(); lag > 0 {
		for _, s := range sealed {
			ts, err := s.LargestTimestamp()
			if err != nil {
				return nil, err
			}
			if ts > nowMs-lag {
				limit = min(limit, s.Base())
				break
			}
		}
	}
	limit = max(limit, dirty)
	j.FirstUncleanable = v.Active()
	if rest := v.Range(limit, v.Active()); len(rest) > 0 {
		j.FirstUncleanable = rest[0].Base()
	}
	j.CleanBytes = sizeOf(v.Range(-1, dirty), dirty)
	j.CleanableBytes = sizeOf(v.Range(min(dirty, j.FirstUncleanable), j.FirstUncleanable), math.MaxInt64)
	return j, j.findDelay(sealed, nowMs-max(cfg.MaxCompactionLag.Milliseconds(), 0))
}

func sizeOf(segs []logstore.CleanSegment, below int64) (sum int64) {
	for _, s := range segs {
		if s.Base() < below {
			sum += s.SizeBytes()
		}
	}
	return sum
}

// findDelay looks for the oldest first timestamp of the dirty segments.
func (j *Job) findDelay(sealed []logstore.CleanSegment, untilMs int64) error {
	if untilMs <= 0 { // the default lag is for ever
		return nil
	}
	for _, s := range sealed {
		ts, err := s.FirstTimestamp()
		if err != nil {
			return err
		}
		if ts > 0 && ts < untilMs {
			j.DelayMs = max(j.DelayMs, untilMs-ts)
		}
	}
	return nil
}
