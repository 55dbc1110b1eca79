package logdir

import (
	"errors"
	"maps"
	"path/filepath"

	"gokafka/logstore"
	"gokafka/metadata"
)

// checkpoint writes one of a directory's checkpoint files, unless it would not change. value is asked under checkpointMu, so that
// an older value never replaces a newer one; false leaves the partition out.
func (m *Manager) checkpoint(d *dir, name string, value func(*logstore.Log) (int64, bool)) error {
	d.checkpointMu.Lock()
	defer d.checkpointMu.Unlock()
	if d.failed {
		return nil
	}
	offsets := map[metadata.TopicPartition]int64{}
	for _, e := range m.entries() {
		if e.dir != d || e.log.Offline() {
			continue
		}
		if v, ok := value(e.log); ok {
			offsets[e.log.TopicPartition()] = v
		}
	}
	if old, known := d.written[name]; known && maps.Equal(old, offsets) {
		return nil
	}
	if err := logstore.WriteOffsets(m.opts.FS, filepath.Join(d.path, name), offsets); err != nil {
		return err
	}
	d.written[name] = offsets
	return nil
}

func (m *Manager) checkpointRecoveryPoints(d *dir) error {
	return m.checkpoint(d, recoveryPointFile, func(l *logstore.Log) (int64, bool) { return l.CheckpointRecoveryPoint(), true })
}

// checkpointLogStarts stores only starts that the segments do not tell.
func (m *Manager) checkpointLogStarts(d *dir) error {
	return m.checkpoint(d, logStartFile, func(l *logstore.Log) (int64, bool) {
		start := l.LogStartOffset()
		return start, start > l.FirstSegmentBase()
	})
}

func (m *Manager) checkpointHighWatermarks(d *dir) error {
	return m.checkpoint(d, highWatermarkFile, func(l *logstore.Log) (int64, bool) { return l.HighWatermark(), true })
}

// forDirs does something for all live directories; one that fails goes offline.
func (m *Manager) forDirs(f func(*dir) error) error {
	var errs []error
	for _, d := range m.liveDirs() {
		if err := f(d); err != nil {
			errs = append(errs, err)
			if !logstore.IsShortage(err) { // full: the old file is still there, and the next try may succeed
				m.failDir(d, err)
			}
		}
	}
	return errors.Join(errs...)
}

// CheckpointRecoveryPoints writes the recovery points of all logs.
func (m *Manager) CheckpointRecoveryPoints() error { return m.forDirs(m.checkpointRecoveryPoints) }

// CheckpointLogStarts writes the log start offsets of all logs.
func (m *Manager) CheckpointLogStarts() error { return m.forDirs(m.checkpointLogStarts) }

// CheckpointHighWatermarks writes the high watermarks of all logs.
func (m *Manager) CheckpointHighWatermarks() error { return m.forDirs(m.checkpointHighWatermarks) }
