package logstore

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/config"
	"gokafka/record"
)

// UnexpectedOffsetError is returned for replicated batches that begin before the log end. A follower whose log is empty may
// start its log at FirstOffset and try again (Kafka 3.9 UnexpectedAppendOffsetException).
type UnexpectedOffsetError struct {
	TopicPartition          string
	FirstOffset, LastOffset int64
	LogEndOffset            int64
}

func (e *UnexpectedOffsetError) Error() string {
	return fmt.Sprintf("%s: append of offsets %d to %d, but the next offset is %d", e.TopicPartition, e.FirstOffset, e.LastOffset, e.LogEndOffset)
}

// run is one or more whole batches that are written together.
type run struct {
	bytes       []byte
	firstOffset int64 // -1 if a legacy message set begins it
	lastOfFirst int64
	lastOffset  int64
	maxTs       int64
	maxTsOffset int64
	count       int
}

// AppendAsFollower writes batches as they were fetched from the leader. Gaps between offsets are fine, but they must increase.
// A batch that is cut short at the end is left out. A bad CRC is kerr.CorruptMessage, and nothing is written.
func (l *Log) AppendAsFollower(records []byte) (AppendInfo, error) {
	return l.appendAsFollower(records, l.afterAppend)
}

// AppendTail is AppendAsFollower under the guard of Rename: it leaves what flush.messages and new leader epochs ask for to a later Flush and SaveEpochs.
func (l *Log) AppendTail(records []byte) (AppendInfo, error) {
	return l.appendAsFollower(records, func(*config.Topic) error { return nil })
}

func (l *Log) appendAsFollower(records []byte, after func(*config.Topic) error) (AppendInfo, error) {
	if err := l.ready(); err != nil {
		return failedAppend(), err
	}
	r, err := parseRun(records, len(records))
	if err != nil {
		return failedAppend(), fmt.Errorf("%s: %w", l.tp, err)
	}
	if len(r.bytes) == 0 {
		return l.nothingAppended(), nil
	}
	cfg := l.cfg.Load()
	l.mu.Lock()
	err = l.appendRuns(r, cfg)
	l.mu.Unlock()
	if err == nil {
		err = after(cfg)
	}
	if err != nil {
		return failedAppend(), l.settle(err)
	}
	return AppendInfo{FirstOffset: r.firstOffset, LastOffset: r.lastOffset, LogAppendTime: record.NoTimestamp,
		LogStartOffset: l.logStart.Load(), Count: r.count, SizeBytes: len(r.bytes)}, nil
}

// parseRun checks batches and gathers those that fit maxBytes, at least one (Kafka 3.9 UnifiedLog.analyzeAndValidateRecords).
func parseRun(records []byte, maxBytes int) (run, error) {
	r := run{firstOffset: -1, lastOffset: -1, maxTs: record.NoTimestamp, maxTsOffset: -1}
	pos := 0
	err := eachBatch(records, func(raw []byte, in batchInfo) error {
		if pos > 0 && pos+len(raw) > maxBytes {
			return errStop
		}
		if in.lastOffset <= r.lastOffset {
			return fmt.Errorf("out of order offsets: %d does not follow %d: %w", in.lastOffset, r.lastOffset, kerr.InvalidRecord)
		}
		if err := record.CheckCRC(raw, in.magic); err != nil {
			return err
		}
		if pos == 0 {
			r.lastOfFirst = in.lastOffset
			if in.magic >= 2 {
				r.firstOffset = in.baseOffset
			}
		}
		if in.maxTimestamp > r.maxTs {
			r.maxTs, r.maxTsOffset = in.maxTimestamp, in.lastOffset
		}
		if in.magic >= 2 {
			r.count += int(record.Batch(raw).Count())
		}
		r.lastOffset = in.lastOffset
		pos += len(raw)
		return nil
	})
	r.bytes = records[:pos:pos]
	return r, err
}

var errStop = errors.New("stop")

// eachBatch calls visit for each whole batch; what is cut short at the end is left out. errStop ends it without an error.
func eachBatch(records []byte, visit func(raw []byte, in batchInfo) error) error {
	for pos := int64(0); ; {
		rest := records[pos:]
		size, magic, err := record.PeekHeader(rest)
		var m record.MagicError
		switch {
		case errors.Is(err, record.ErrShortHeader):
			return nil
		case err != nil && !(errors.As(err, &m) && m.IsLegacy()):
			return fmt.Errorf("at byte %d: %w", pos, err)
		case size > int64(len(rest)):
			return nil
		}
		if err := visit(rest[:size], parseInfo(rest[:size], pos, size, magic)); err != nil {
			if err == errStop {
				return nil
			}
			return err
		}
		pos += size
	}
}

// appendRuns writes a run, in pieces if it is larger than a segment may be: the leader's segments need not be as ours.
// Caller holds mu.
func (l *Log) appendRuns(r run, cfg *config.Topic) error {
	if err := l.usable(); err != nil {
		return err
	}
	first := r.firstOffset
	if first < 0 {
		first = r.lastOfFirst
	}
	if end := l.logEnd.Load(); first < end {
		return &UnexpectedOffsetError{l.label, first, r.lastOffset, end}
	}
	if len(r.bytes) <= int(cfg.SegmentBytes) {
		return l.appendRun(r)
	}
	for rest := r.bytes; len(rest) > 0; {
		piece, err := parseRun(rest, int(cfg.SegmentBytes))
		if err != nil {
			return err
		}
		if err := l.appendRun(piece); err != nil {
			return err
		}
		rest = rest[len(piece.bytes):]
	}
	return nil
}

func (l *Log) appendRun(r run) error {
	if err := l.followEpochs(r.bytes); err != nil {
		return err
	}
	rollAt := r.firstOffset
	if rollAt < 0 {
		// A legacy message set tells its last offset only; its first is not further away than this (Kafka 3.9 UnifiedLog.maybeRoll).
		rollAt = r.lastOffset - (1<<31 - 1)
	}
	s, err := l.maybeRoll(int64(len(r.bytes)), rollAt, r.lastOffset, r.maxTs)
	if err != nil {
		return err
	}
	p := l.producers.state.Prepare(record.Replication, 0, false)
	err = eachBatch(r.bytes, func(raw []byte, in batchInfo) error {
		if in.magic < 2 {
			return nil
		}
		_, err := p.Check(record.Batch(raw))
		return err
	})
	if err != nil {
		return err
	}
	for _, w := range p.Warnings() {
		l.logger.Warn("producer state", "warning", w)
	}
	if err := s.append(r.bytes, r.lastOffset, r.maxTs, r.maxTsOffset); err != nil {
		return l.writeFailed(err)
	}
	return l.appended(p, s, r.lastOffset)
}

// followEpochs takes over the leader epochs that the leader stamped on the batches.
func (l *Log) followEpochs(records []byte) error {
	return eachBatch(records, func(_ []byte, in batchInfo) error {
		switch {
		case in.magic < 2:
			// A leader that writes the old format forgets epochs: then followers must truncate by the high watermark.
			l.epochs.clear()
		case in.leaderEpoch >= 0:
			l.epochs.assign(in.leaderEpoch, in.baseOffset)
		}
		return nil
	})
}
