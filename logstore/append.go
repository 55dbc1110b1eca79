package logstore

import (
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/config"
	"gokafka/producerstate"
	"gokafka/record"
)

// AppendOptions say where an append comes from.
type AppendOptions struct {
	LeaderEpoch int32
	Origin      record.Origin // Client or Coordinator
	Guard       Guard         // of a verified transaction, or zero
	Raised      bool          // markers are of an epoch above that of their transaction
	Legacy      bool          // Produce below version 3: the payload may be a message set of magic 0 or 1
	RefuseZstd  bool          // Produce below version 7
}

// AppendInfo is what an append did.
type AppendInfo struct {
	FirstOffset, LastOffset int64
	// LogAppendTime is what a Produce response has: the append time with LogAppendTime, for a duplicate the first append's largest
	// timestamp, else -1.
	LogAppendTime  int64
	LogStartOffset int64
	Duplicate      bool // the batch was there already; nothing was written
	MustSync       bool // AppendUnsynced: the answer has to wait for SyncAppended
	Count          int  // records
	SizeBytes      int  // written
}

// AppendAsLeader checks one record batch from a producer or a coordinator, gives it offsets, leader epoch and, with LogAppendTime, the
// time, and writes it. The payload is patched in place and written from where it is; it is not kept. With Legacy, messages of magic 0
// and 1 become a batch of magic 2; a payload without a whole message is a success that appends nothing, with offsets of -1.
//
// Errors wrap kerr values; one that names records is a *record.BatchError. A legacy message set is a record.MagicError. After an
// error nothing of the batch is in the log, unless it was the sync that failed, which flush.messages or a new leader epoch asks for
// (Kafka 3.9 UnifiedLog.append).
func (l *Log) AppendAsLeader(payload []byte, o AppendOptions) (AppendInfo, error) {
	info, err := l.AppendUnsynced(payload, o)
	if err == nil && info.MustSync {
		err = l.SyncAppended()
	}
	if err != nil {
		return failedAppend(), err
	}
	return info, nil
}

// AppendUnsynced is AppendAsLeader without the sync: if the result has MustSync, the caller calls SyncAppended before it answers, and holds no
// lock when it does.
func (l *Log) AppendUnsynced(payload []byte, o AppendOptions) (AppendInfo, error) {
	if err := l.ready(); err != nil {
		return failedAppend(), err
	}
	cfg := l.cfg.Load()
	co, err := l.checkOptions(cfg, &o)
	if err != nil {
		return failedAppend(), err
	}
	k, err := l.check(payload, &co, o.Legacy)
	if errors.Is(err, record.ErrNoMessages) {
		return l.nothingAppended(), nil
	}
	if err != nil {
		return failedAppend(), err
	}
	l.mu.Lock()
	info, err := l.appendChecked(&k, cfg, &o)
	l.mu.Unlock()
	k.Release()
	if err != nil {
		return failedAppend(), l.settle(err)
	}
	// Of a duplicate too: the first append may still be at its sync.
	info.MustSync = l.epochs.unsaved() || l.flushDue(cfg)
	return info, nil
}

// SyncAppended makes durable what must be before an append is answered. Without locks.
func (l *Log) SyncAppended() error { return l.settle(l.afterAppend(l.cfg.Load())) }

// flushDue says whether flush.messages asks for a sync.
func (l *Log) flushDue(cfg *config.Topic) bool {
	return l.logEnd.Load()-l.recoveryPoint.Load() >= cfg.FlushMessages
}

// check makes a batch that may be appended of the payload, whichever format it has.
func (l *Log) check(payload []byte, co *record.CheckOptions, legacy bool) (record.Checked, error) {
	if legacy {
		return l.codecs.CheckLegacy(payload, co)
	}
	return l.codecs.Check(payload, co)
}

// nothingAppended is the success of an append without records.
func (l *Log) nothingAppended() AppendInfo {
	info := failedAppend()
	info.LogStartOffset = l.logStart.Load()
	return info
}

func failedAppend() AppendInfo {
	return AppendInfo{FirstOffset: -1, LastOffset: -1, LogAppendTime: record.NoTimestamp, LogStartOffset: -1}
}

// ready says whether the log takes appends; its topic id must be on the disk before its data.
func (l *Log) ready() error {
	if err := l.usable(); err != nil {
		return err
	}
	return l.settle(l.saveTopicID())
}

func (l *Log) checkOptions(cfg *config.Topic, o *AppendOptions) (record.CheckOptions, error) {
	co := record.CheckOptions{
		Label:                l.label,
		Origin:               o.Origin,
		Compacted:            cfg.CleanupCompact,
		KeepCodec:            cfg.CompressionType == "producer",
		TimestampType:        record.CreateTime,
		TimestampBeforeMaxMs: noLimitMs(cfg.TimestampBeforeMax),
		TimestampAfterMaxMs:  noLimitMs(cfg.TimestampAfterMax),
		NowMs:                l.clock.NowMs(),
		MaxMessageBytes:      int(cfg.MaxMessageBytes),
		RefuseZstd:           o.RefuseZstd,
	}
	if cfg.LogAppendTime {
		co.TimestampType = record.LogAppendTime
	}
	if co.KeepCodec {
		return co, nil
	}
	codec, err := record.ParseCodec(cfg.CompressionType)
	if err != nil {
		return co, fmt.Errorf("%s: compression.type: %w", l.tp, err)
	}
	co.Codec = codec
	switch codec {
	case record.Gzip:
		co.Level = int(cfg.CompressionGzipLevel)
	case record.LZ4:
		co.Level = int(cfg.CompressionLz4Level)
	case record.Zstd:
		co.Level = int(cfg.CompressionZstdLevel)
	}
	return co, nil
}

// noLimitMs is a bound in milliseconds; the largest duration is no bound.
func noLimitMs(d time.Duration) int64 {
	if d == math.MaxInt64 {
		return math.MaxInt64
	}
	return d.Milliseconds()
}

// appendChecked gives a batch its place. Caller holds mu.
func (l *Log) appendChecked(k *record.Checked, cfg *config.Topic, o *AppendOptions) (AppendInfo, error) {
	if err := l.usable(); err != nil {
		return failedAppend(), err
	}
	a := k.Assign(l.logEnd.Load(), o.LeaderEpoch, l.clock.NowMs())
	if o.LeaderEpoch >= 0 {
		l.epochs.assign(o.LeaderEpoch, a.Batch.BaseOffset())
	}
	if k.SizeBytes() > int(cfg.SegmentBytes) {
		return failedAppend(), fmt.Errorf("batch of %d bytes in append to %s exceeds segment.bytes %d: %w", k.SizeBytes(), l.tp, cfg.SegmentBytes, kerr.RecordListTooLarge)
	}
	s, err := l.maybeRoll(int64(k.SizeBytes()), a.FirstOffset, a.LastOffset, a.MaxTimestampMs)
	if err != nil {
		return failedAppend(), err
	}
	p := l.producers.state.Prepare(o.Origin, o.Guard, o.Raised)
	v, err := p.Check(a.Batch)
	if err != nil {
		return failedAppend(), err
	}
	info := AppendInfo{FirstOffset: a.FirstOffset, LastOffset: a.LastOffset, LogAppendTime: a.AppendTimeMs,
		LogStartOffset: l.logStart.Load(), Count: k.Count(), SizeBytes: k.SizeBytes()}
	if v.Duplicate {
		info.FirstOffset, info.LastOffset, info.LogAppendTime = v.FirstOffset, v.LastOffset, v.TimestampMs
		info.Duplicate, info.SizeBytes = true, 0
		return info, nil
	}
	if err := s.append(a.Batch, a.LastOffset, a.MaxTimestampMs, a.LastOffset); err != nil {
		return failedAppend(), l.writeFailed(err)
	}
	return info, l.appended(p, s, a.LastOffset)
}

// writeFailed stops the log at once if a failed write could not be undone: nobody must append behind what is left of it.
func (l *Log) writeFailed(err error) error {
	if asFatalError(err) {
		l.state.CompareAndSwap(int32(stateOpen), int32(stateOffline))
	}
	return err
}

// appended makes the end offset and the producers follow what was written. Caller holds mu.
func (l *Log) appended(p *producerstate.Append, s *segment, lastOffset int64) error {
	l.setEnd(lastOffset + 1)
	l.keepHighAtEnd()
	p.Update()
	for _, t := range p.Completed() {
		if t.Aborted {
			s.txns.add(AbortedTxn{t.ProducerID, t.FirstOffset, t.LastOffset, l.producers.state.LastStableOffset(t)})
		}
		if err := l.producers.state.CompleteTxn(t); err != nil {
			l.logger.Error("producer state", "err", err)
		}
	}
	l.producers.state.UpdateMapEndOffset(lastOffset + 1)
	l.refreshUnstable()
	return nil
}

// afterAppend makes durable what must be before an append is answered. Without locks.
func (l *Log) afterAppend(cfg *config.Topic) error {
	if err := l.epochs.save(); err != nil {
		return err
	}
	if l.flushDue(cfg) {
		return l.flushTo(l.logEnd.Load(), false)
	}
	return nil
}
