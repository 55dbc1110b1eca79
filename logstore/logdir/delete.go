package logdir

import (
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/internal/clock"
	"gokafka/logstore"
	"gokafka/metadata"
)

// Delete deletes a partition's log: its directory is renamed at once and removed after FileDeleteDelay.
func (m *Manager) Delete(tp metadata.TopicPartition) error {
	return m.DeleteAll([]metadata.TopicPartition{tp})[0]
}

// DeleteAll deletes many, with one sync for each directory. Errors are in the order of the partitions.
//
// A future log goes before the log that it was to replace: the other way round it would be found alone after a crash.
func (m *Manager) DeleteAll(list []metadata.TopicPartition) []error {
	m.dropFutures(list)
	return m.retire(list, (*logstore.Log).MarkDeleted, true)
}

// MarkStray sets aside the logs of partitions that metadata says are not here. Their data are kept, under another name.
func (m *Manager) MarkStray(list []metadata.TopicPartition) []error {
	return m.retire(list, (*logstore.Log).MarkStray, false)
}

func (m *Manager) retire(list []metadata.TopicPartition, rename func(*logstore.Log) error, remove bool) []error {
	entries := make([]*entry, len(list))
	for i, tp := range list {
		entries[i] = m.forget(tp)
	}
	return m.retireEntries(list, entries, rename, remove)
}

// retireEntries is for logs that are out of the map already; nil = there was none.
func (m *Manager) retireEntries(list []metadata.TopicPartition, entries []*entry, rename func(*logstore.Log) error, remove bool) []error {
	errs := make([]error, len(list))
	touched := map[*dir]bool{}
	for i, tp := range list {
		e := entries[i]
		if e == nil {
			errs[i] = fmt.Errorf("no log of %s: %w", tp, kerr.UnknownTopicOrPartition)
			continue
		}
		if err := rename(e.log); err != nil {
			// The log is closed, and its directory has the partition's name still: it would be there again at the next start. Of a log that is offline
			// already the directory fails with what took it there.
			if logstore.IsIOError(err) {
				m.failDir(e.dir, err)
			} else {
				e.log.Close() // waits until that is told: nobody else knows of the log any more
			}
			errs[i] = fmt.Errorf("%w: %w", kerr.KafkaStorageError, err)
			continue
		}
		touched[e.dir] = true
		if remove {
			m.removeLater(e.dir, e.log.Dir(), e.log)
		}
	}
	for d := range touched {
		if err := m.opts.FS.SyncDir(d.path); err != nil {
			m.failDir(d, err)
			for i := range errs {
				errs[i] = errors.Join(errs[i], fmt.Errorf("%s: %w: %w", d.path, kerr.KafkaStorageError, err))
			}
			continue
		}
		m.checkpointWithout(d)
	}
	return errs
}

// checkpointWithout takes logs that went out of the checkpoints. A log that is made under the name of one would, after a crash, pass for
// flushed up to the other's recovery point, be deleted if it ends below the other's start, and not be compacted up to where the other was
// (Kafka 3.9 LogManager.asyncDelete).
func (m *Manager) checkpointWithout(d *dir) {
	err := m.checkpointCleaned(d)
	if err == nil {
		err = m.checkpointRecoveryPoints(d)
	}
	if err == nil {
		err = m.checkpointLogStarts(d)
	}
	switch {
	case err == nil:
	case logstore.IsShortage(err): // the next periodic checkpoint may succeed
		m.warn("checkpoint of a directory after deletions", err)
	default:
		m.failDir(d, err)
	}
}

func (m *Manager) forget(tp metadata.TopicPartition) *entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	e := m.logs[tp]
	delete(m.logs, tp)
	delete(m.wished, tp)
	return e
}

// removal is the delayed removal of a directory.
type removal struct {
	dir   *dir
	path  string
	log   *logstore.Log // nil for a directory found at start
	timer *clock.Timer
}

func (m *Manager) removeLater(d *dir, path string, l *logstore.Log) {
	r := &removal{dir: d, path: path, log: l}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return
	}
	m.removals[r] = struct{}{}
	m.bg.Add(1)
	r.timer = m.opts.Clock.AfterFunc(max(m.opts.FileDeleteDelay, time.Nanosecond), func() { m.runRemoval(r) })
}

func (m *Manager) runRemoval(r *removal) {
	m.mu.Lock()
	_, mine := m.removals[r]
	delete(m.removals, r)
	m.mu.Unlock()
	if !mine {
		return
	}
	defer m.bg.Done()
	err := m.opts.FS.RemoveAll(r.path)
	if err == nil {
		err = m.opts.FS.SyncDir(r.dir.path)
	}
	if err != nil {
		m.failDir(r.dir, err)
		return
	}
	m.logger.Info("deleted log", "dir", r.path)
}

// stopRemovals leaves what is still delayed to the next start, which finds the directories by their names.
func (m *Manager) stopRemovals() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for r := range m.removals {
		r.timer.Stop()
		delete(m.removals, r)
		m.bg.Done()
	}
}
