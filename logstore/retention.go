package logstore

import (
	"slices"
	"time"

	"gokafka/internal/clock"
	"gokafka/internal/vfs"
)

// DeleteOldSegments applies retention: segments below the log start, and by size and age if cleanup.policy has "delete". It returns
// how many segments went (Kafka 3.9 UnifiedLog.deleteOldSegments).
func (l *Log) DeleteOldSegments() (int, error) {
	if err := l.usable(); err != nil {
		return 0, err
	}
	l.mu.Lock()
	n, err := l.deleteOld()
	l.mu.Unlock()
	return n, l.settle(err)
}

func (l *Log) deleteOld() (int, error) {
	if err := l.usable(); err != nil { // closed meanwhile
		return 0, err
	}
	start := l.logStart.Load()
	n, err := l.deleteWhile("log start offset", func(s, next *segment) (bool, error) {
		return next != nil && next.base <= start, nil
	})
	cfg := l.cfg.Load()
	if err != nil || !cfg.CleanupDelete {
		return n, err
	}
	if excess := l.SizeBytes() - cfg.RetentionBytes; cfg.RetentionBytes >= 0 && excess >= 0 {
		k, err := l.deleteWhile("retention size", func(s, _ *segment) (bool, error) {
			if excess -= s.size.Load(); excess < 0 {
				return false, nil
			}
			return true, nil
		})
		if n += k; err != nil {
			return n, err
		}
	}
	if cfg.Retention < 0 {
		return n, nil
	}
	now := l.clock.NowMs()
	k, err := l.deleteWhile("retention time", func(s, _ *segment) (bool, error) {
		ts, err := s.largestTimestamp()
		return now-ts > cfg.Retention.Milliseconds(), err
	})
	return n + k, err
}

// deleteWhile deletes the oldest segments as long as gone holds, never one that reaches the high watermark, nor an empty active one.
// If all go, a new active segment is rolled first. Caller holds mu.
func (l *Log) deleteWhile(reason string, gone func(s, next *segment) (bool, error)) (int, error) {
	segs := *l.segs.Load()
	n := 0
	for ; n < len(segs); n++ {
		s, next, end := segs[n], (*segment)(nil), l.logEnd.Load()
		if n+1 < len(segs) {
			next = segs[n+1]
			end = next.base
		}
		if l.highWatermark.Load() < end || next == nil && s.size.Load() == 0 {
			break
		}
		yes, err := gone(s, next)
		if err != nil {
			return 0, err
		}
		if !yes {
			break
		}
	}
	if n == 0 {
		return 0, nil
	}
	if n == len(segs) {
		if _, err := l.roll(0); err != nil {
			return 0, err
		}
		segs = *l.segs.Load()
	}
	l.changes.Add(1)
	defer l.changes.Add(1)
	if _, err := l.incrementLogStart(segs[n].base); err != nil { // before the files go
		return 0, err
	}
	l.logger.Info("deleting segments", "reason", reason, "count", n, "below", segs[n].base)
	l.setSegments(segs[n:])
	return n, l.deleteSegments(segs[:n], false)
}

// deleteSegments takes away the files of segments that are no longer in the list: renamed at once, removed after
// file.delete.delay.ms, with their producer snapshots. A crash in between leaves the newer ones, or with newestFirst the older ones.
// Caller holds mu.
func (l *Log) deleteSegments(gone []*segment, newestFirst bool) error {
	if len(gone) == 0 {
		return nil
	}
	l.dirChanged = true
	var names []string
	var firstErr error
	if newestFirst {
		gone = slices.Clone(gone)
		slices.Reverse(gone)
	}
	for _, s := range gone {
		s.retire()
		if err := s.renameDeleted(); err != nil && firstErr == nil {
			firstErr = err
			continue
		}
		for _, suffix := range []string{logSuffix, indexSuffix, timeSuffix, txnSuffix} {
			names = append(names, offsetName(s.base, suffix)+deletedSuffix)
		}
		if l.producers.snaps.drop(s.base) {
			path := l.producers.snaps.path(s.base)
			if err := l.env.fs.Rename(path, path+deletedSuffix); err != nil && !notExist(err) && firstErr == nil {
				firstErr = ioErr("rename producer snapshot", err)
			}
			names = append(names, offsetName(s.base, snapshotSuffix)+deletedSuffix)
		}
	}
	l.removeLater(names, l.cfg.Load().FileDeleteDelay)
	return firstErr
}

// delayedDelete removes files some time after they were renamed, so that slow readers without an open file still find them.
type delayedDelete struct {
	names []string
	timer *clock.Timer
}

// removeLater starts the timer of a delayed deletion. It runs at most once: by the timer, or by finishDeletes.
func (l *Log) removeLater(names []string, delay time.Duration) {
	d := &delayedDelete{names: names}
	l.delMu.Lock()
	defer l.delMu.Unlock()
	if l.deletes == nil { // closed
		return
	}
	l.deletes[d] = struct{}{}
	l.bg.Add(1)
	d.timer = l.clock.AfterFunc(delay, func() { l.runDelete(d) })
}

func (l *Log) runDelete(d *delayedDelete) {
	l.delMu.Lock()
	_, mine := l.deletes[d]
	delete(l.deletes, d)
	l.delMu.Unlock()
	if !mine {
		return
	}
	defer l.bg.Done()
	for _, name := range d.names {
		if err := vfs.RemoveIfExists(l.env.fs, l.dir.path(name)); err != nil {
			l.settle(ioErr("remove "+name, err))
			return
		}
	}
}

// finishDeletes runs what is still delayed at once; nothing can be added afterwards.
func (l *Log) finishDeletes() {
	l.delMu.Lock()
	var due []*delayedDelete
	for d := range l.deletes {
		due = append(due, d)
		d.timer.Stop()
	}
	l.delMu.Unlock()
	for _, d := range due {
		l.runDelete(d)
	}
	l.delMu.Lock()
	l.deletes = nil
	l.delMu.Unlock()
}
