package logstore

import (
	"time"
)

// Flush makes everything up to the log end durable and raises the recovery point. With force the indexes of the active segment too,
// which otherwise are rebuilt after a crash.
func (l *Log) Flush(force bool) error {
	if err := l.usable(); err != nil {
		return err
	}
	return l.settle(l.flushTo(l.logEnd.Load(), force))
}

// FlushIfOlder flushes if records have been waiting for longer than flush.ms.
func (l *Log) FlushIfOlder() error {
	l.mu.Lock()
	due := l.logEnd.Load() > l.recoveryPoint.Load() && l.clock.Mono()-l.lastFlush >= l.cfg.Load().FlushInterval
	l.mu.Unlock()
	if !due || l.usable() != nil {
		return nil
	}
	return l.Flush(false)
}

// flushJob is what one flush has to sync, gathered under the lock.
type flushJob struct {
	segs        []*segment
	growing     *segment // among segs: its indexes are not synced unless forced
	snaps       []int64
	syncDir     bool
	truncations int64
}

func (j *flushJob) empty() bool { return len(j.segs) == 0 && len(j.snaps) == 0 && !j.syncDir }

// flushTo syncs what is below offset, and then raises the recovery point to it. The lock is not held over the syncs.
func (l *Log) flushTo(offset int64, force bool) error {
	// One flush at a time, or the second would take what the first is still syncing for synced. Only those wait who need the sync
	// themselves; having waited, they often find nothing left to do.
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	l.mu.Lock()
	offset = min(offset, l.logEnd.Load()) // it may have been truncated since
	job, err := l.gather(offset, force)
	l.mu.Unlock()
	if err != nil || job == nil {
		return err
	}
	if err := l.run(job, force); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.lastFlush = l.clock.Mono()
	// A truncation below offset, and appends since, make the sync say nothing about what is there now.
	if job.truncations == l.truncations && l.state.Load() != int32(stateOffline) && offset > l.recoveryPoint.Load() {
		l.recoveryPoint.Store(offset)
	}
	return nil
}

// gather lists what a flush up to offset has to sync; nil if there is nothing. Caller holds mu.
func (l *Log) gather(offset int64, force bool) (*flushJob, error) {
	rp := l.recoveryPoint.Load()
	if offset < rp || offset == rp && !force {
		return nil, nil
	}
	segs := *l.segs.Load()
	job := &flushJob{truncations: l.truncations, growing: segs[len(segs)-1], syncDir: l.dirChanged}
	l.dirChanged = false
	// The segment before may have been cut at the recovery point, where the next one begins.
	for i := max(0, floorSegment(segs, rp)-1); i < len(segs); i++ {
		s := segs[i]
		if s.base > offset || s.base == offset && !force {
			break
		}
		if s == job.growing && force {
			job.syncDir = job.syncDir || s.offsets.unmade() || s.times.unmade()
			if err := s.writeIndexes(); err != nil {
				return nil, err
			}
		}
		if s.dirty || s.offsets.needsSync() || s.times.needsSync() || s.txns.needsSync() {
			job.segs = append(job.segs, s)
			s.dirty = false
		}
		if !s.named {
			s.named, job.syncDir = true, true
		}
	}
	job.snaps = l.producers.takeUnsynced(offset)
	job.syncDir = job.syncDir || len(job.snaps) > 0
	return job, nil
}

func (l *Log) run(job *flushJob, force bool) error {
	for _, o := range job.snaps {
		if err := syncFile(l.env.fs, l.producers.snaps.path(o)); err != nil && !notExist(err) {
			return ioErr("sync producer snapshot", err)
		}
	}
	for _, s := range job.segs {
		if err := s.sync(force || s != job.growing); err != nil {
			return err
		}
	}
	if job.syncDir {
		if err := l.env.fs.SyncDir(l.dir.get()); err != nil && !notExist(err) {
			return ioErr("sync directory", &fatalError{err})
		}
	}
	return nil
}

// flushLater syncs up to offset in the background; one goroutine a log does so, and takes up what comes meanwhile. Caller holds mu.
func (l *Log) flushLater(offset int64) {
	l.flushTarget = max(l.flushTarget, offset)
	if l.flushing || l.usable() != nil {
		return
	}
	l.flushing = true
	l.bg.Add(1)
	go l.flushLoop()
}

// saveEpochsLater writes the leader epoch file in the background. Caller holds mu.
func (l *Log) saveEpochsLater() { l.flushLater(0) }

func (l *Log) flushLoop() {
	defer l.bg.Done()
	done := int64(-1)
	for {
		l.mu.Lock()
		target := l.flushTarget
		if epochsSaved := l.epochs.saved.Load() == l.epochs.version.Load(); target <= done && epochsSaved || l.usable() != nil {
			l.flushing = false
			l.mu.Unlock()
			return
		}
		l.mu.Unlock()
		err := l.epochs.save()
		if err == nil {
			err = l.flushTo(target, false)
		}
		if l.settle(err) != nil && IsShortage(err) {
			// Nothing was lost: the recovery point stays, and the next flush or checkpoint tries again.
			l.mu.Lock()
			l.flushing = false
			l.mu.Unlock()
			return
		}
		done = target
	}
}

// LastFlush is when the log was last flushed, on the clock's monotonic time.
func (l *Log) LastFlush() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.lastFlush
}
