package logstore

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/internal/vfs"
)

// Close shuts the log down cleanly: everything is synced, the producer state is in a snapshot at the log end, the indexes are complete.
// Without an error the directory can be loaded without recovery. Ranges that were handed out stay readable until released.
func (l *Log) Close() error {
	job, err := l.beginClose()
	if err == nil && job != nil {
		err = l.run(job, true)
	}
	return l.endClose(job, err)
}

// manyDirty is from how many logs on CloseAll syncs the volume instead of each file: that may have to write what others left unsynced.
const manyDirty = 16

// CloseAll closes the logs of one log directory. Where many have something to sync, one sync of the volume does it.
func CloseAll(fs vfs.FS, parent string, logs []*Log) []error {
	jobs, errs := make([]*flushJob, len(logs)), make([]error, len(logs))
	dirty := 0
	for i, l := range logs {
		if jobs[i], errs[i] = l.beginClose(); jobs[i] != nil && !jobs[i].empty() {
			dirty++
		}
	}
	all := errors.ErrUnsupported
	if dirty >= manyDirty {
		all = vfs.SyncVolume(fs, parent)
	}
	for i, l := range logs {
		switch {
		case errs[i] != nil || jobs[i] == nil:
		case errors.Is(all, errors.ErrUnsupported):
			errs[i] = l.run(jobs[i], true)
		default:
			errs[i] = ioErr("sync volume", all)
		}
		errs[i] = l.endClose(jobs[i], errs[i])
	}
	return errs
}

// beginClose ends the log's use and writes what a clean directory has. The job is what is to be synced, nil if the log was not open.
// It leaves flushMu held: a flush under way is over, and no other begins before endClose.
func (l *Log) beginClose() (*flushJob, error) {
	l.swapMu.Lock() // a swap of cleaned segments is over, and none begins on a log that is closed
	defer l.swapMu.Unlock()
	l.flushMu.Lock()
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.state.CompareAndSwap(int32(stateOpen), int32(stateClosed)) {
		return nil, nil
	}
	return l.prepareClose()
}

func (l *Log) endClose(job *flushJob, err error) error {
	l.flushMu.Unlock()
	if err == nil && job != nil {
		if err = l.saveTopicID(); err == nil {
			err = l.epochs.save()
		}
		if err == nil {
			l.recoveryPoint.Store(l.logEnd.Load())
		}
	}
	l.endBackground()
	l.retireAll()
	if err != nil {
		return l.settle(err)
	}
	if l.Offline() {
		return l.usable()
	}
	if l.reported.Load() { // a flush in the background failed just when the log was closed, and what it had to sync is not synced
		return fmt.Errorf("log of %s failed while it was closed: %w", l.tp, kerr.KafkaStorageError)
	}
	return nil
}

// prepareClose writes what a clean directory has. Caller holds mu; the state is closed, so that nothing is appended any more.
func (l *Log) prepareClose() (*flushJob, error) {
	if err := l.producers.takeSnapshot(false); err != nil {
		return nil, err
	}
	active := l.active()
	active.closeTimeIndex()
	if err := active.writeIndexes(); err != nil {
		return nil, err
	}
	if err := active.trim(); err != nil {
		return nil, err
	}
	return l.gather(l.logEnd.Load(), true)
}

// endBackground ends delayed deletions and waits for the background.
func (l *Log) endBackground() {
	l.finishDeletes()
	l.bg.Wait()
}

func (l *Log) retireAll() {
	for _, s := range *l.segs.Load() {
		s.retire()
	}
}

// MarkDeleted ends the log's use and renames its directory, which then awaits Remove: to "<topic>-<partition>.<id>-delete". The caller
// syncs the parent directory, once for many.
func (l *Log) MarkDeleted() error { return l.retireAs(DeleteDirSuffix) }

// MarkStray is MarkDeleted for a replica that is not to be here, but whose data are kept.
func (l *Log) MarkStray() error { return l.retireAs(StrayDirSuffix) }

func (l *Log) retireAs(suffix string) error {
	l.swapMu.Lock()
	defer l.swapMu.Unlock()
	l.mu.Lock()
	if s := logState(l.state.Load()); s != stateOpen {
		l.mu.Unlock()
		return fmt.Errorf("log of %s is %s: %w", l.tp, s, errNotOpen)
	}
	l.state.Store(int32(stateDeleted))
	l.mu.Unlock()
	l.epochs.markDeleted()
	l.endBackground()
	l.mu.Lock()
	old := l.dir.get()
	name := filepath.Join(filepath.Dir(old), DirName(l.tp, suffix))
	err := l.env.fs.Rename(old, name)
	if err == nil {
		l.dir.set(name)
	}
	l.changes.Add(2)
	l.mu.Unlock()
	l.retireAll()
	return l.settle(ioErr("rename directory", err))
}

var errNotOpen = errors.New("it cannot be deleted")

// Remove deletes the directory of a log that MarkDeleted was called for. Open ranges stay readable where the system allows it.
func (l *Log) Remove() error {
	if s := logState(l.state.Load()); s != stateDeleted {
		return fmt.Errorf("log of %s is %s, not deleted", l.tp, s)
	}
	if err := l.env.fs.RemoveAll(l.dir.get()); err != nil {
		return l.settle(ioErr("remove directory", err))
	}
	return nil
}
