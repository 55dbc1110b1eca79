package logdir

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path/filepath"
	"sync"

	"gokafka/internal/vfs"
	"gokafka/logstore"
	"gokafka/metadata"
)

// Load claims the directories for a broker of a cluster and loads the logs in them, RecoveryThreads at a time in each.
// A directory that cannot be loaded is offline; with none left, or with a name or an owner that does not fit, it is an error.
func (m *Manager) Load(brokerID int32, clusterID string) error {
	if _, _, err := m.Identity(); err != nil {
		return err
	}
	for _, d := range m.liveDirs() {
		err := d.claim(m.opts.FS, brokerID, clusterID, m.opts.Clock.Now())
		if fatal := new(MetaError); errors.As(err, &fatal) {
			return err
		}
		if err != nil {
			m.failDir(d, err)
		}
	}
	var wg sync.WaitGroup
	dirs := m.liveDirs()
	fatal := make([]error, len(dirs))
	for i, d := range dirs {
		wg.Go(func() { fatal[i] = m.loadDir(d) })
	}
	wg.Wait()
	if err := errors.Join(fatal...); err != nil {
		return err
	}
	m.dropSuperseded()
	if len(m.liveDirs()) == 0 {
		return m.noneLeft()
	}
	return nil
}

func (m *Manager) liveDirs() []*dir {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.dirs
}

// found is a partition directory to load.
type found struct {
	path   string
	tp     metadata.TopicPartition
	future bool
}

// loadDir loads one directory. It returns errors that must stop the broker; others take the directory offline.
func (m *Manager) loadDir(d *dir) error {
	list, err := m.scanDir(d)
	if bad := new(nameError); errors.As(err, &bad) {
		return err
	}
	var high map[metadata.TopicPartition]int64
	if err == nil {
		err = m.takeCleanMarker(d)
	}
	if err == nil {
		high, err = m.readCheckpoints(d)
	}
	if err == nil {
		m.logger.Info("loading logs", "dir", d.path, "logs", len(list), "cleanShutdown", d.clean)
		err = m.loadLogs(d, list, high)
	}
	if dup := new(duplicateError); errors.As(err, &dup) {
		return err
	}
	if err != nil {
		m.failDir(d, err)
		return nil
	}
	d.loaded = true
	return nil
}

// nameError is a directory that Kafka cannot have made.
type nameError struct{ err error }

func (e *nameError) Error() string { return e.err.Error() }
func (e *nameError) Unwrap() error { return e.err }

// duplicateError is a partition that is in two places.
type duplicateError struct{ err error }

func (e *duplicateError) Error() string { return e.err.Error() }
func (e *duplicateError) Unwrap() error { return e.err }

// scanDir lists the partitions of a directory. Directories of deleted partitions are removed later; those of replicas that do not belong here
// are left alone. Any other directory is fatal, as for Kafka: it may hold data under a wrong name.
func (m *Manager) scanDir(d *dir) ([]found, error) {
	entries, err := m.opts.FS.ReadDir(d.path)
	if err != nil {
		return nil, err
	}
	var list []found
	for _, e := range entries {
		if !e.IsDir() || e.Name() == remoteLogIndexDir {
			continue
		}
		path := filepath.Join(d.path, e.Name())
		tp, suffix, err := logstore.ParseDirName(e.Name())
		switch {
		case err != nil:
			return nil, &nameError{fmt.Errorf("found directory %s, which is not a partition's: %w; log directories must only contain directories that Kafka makes", path, err)}
		case tp.Topic == metadataTopic:
		case suffix == logstore.DeleteDirSuffix:
			m.removeLater(d, path, nil)
		case suffix == logstore.FutureDirSuffix:
			list = append(list, found{path, tp, true})
		case suffix != "":
			m.logger.Warn("leaving directory alone", "dir", path)
		default:
			list = append(list, found{path: path, tp: tp})
		}
	}
	return list, nil
}

// takeCleanMarker notes and deletes the marker of a clean shutdown, durably, before any log is loaded: a crash while loading, or
// later, must not pass for a clean shutdown.
func (m *Manager) takeCleanMarker(d *dir) error {
	path := filepath.Join(d.path, cleanShutdownFile)
	err := m.opts.FS.Remove(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	d.clean = true
	return m.opts.FS.SyncDir(d.path)
}

// readCheckpoints reads the directory's offset checkpoints, and returns the high watermarks.
func (m *Manager) readCheckpoints(d *dir) (high map[metadata.TopicPartition]int64, err error) {
	if d.recoveryPoints, err = m.readCheckpoint(d, recoveryPointFile); err != nil {
		return nil, err
	}
	if d.logStarts, err = m.readCheckpoint(d, logStartFile); err != nil {
		return nil, err
	}
	if d.cleaned, err = m.readCheckpoint(d, cleanerFile); err != nil {
		return nil, err
	}
	return m.readCheckpoint(d, highWatermarkFile)
}

// readCheckpoint reads an offset checkpoint. A missing one is made, empty. One that cannot be read, or that is no checkpoint, is an error, as it
// takes the directory offline in Kafka too (3.9 CheckpointFileWithFailureHandler.read); only one with a number that is none counts as empty.
func (m *Manager) readCheckpoint(d *dir, name string) (map[metadata.TopicPartition]int64, error) {
	path := filepath.Join(d.path, name)
	offsets, err := logstore.ReadOffsets(m.opts.FS, path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return map[metadata.TopicPartition]int64{}, vfs.WriteFile(m.opts.FS, path, nil, false)
	case logstore.IsBadNumber(err):
		m.logger.Warn("checkpoint cannot be read, taking it as empty", "file", path, "err", err)
		return map[metadata.TopicPartition]int64{}, nil
	}
	return offsets, err
}

func (m *Manager) loadLogs(d *dir, list []found, high map[metadata.TopicPartition]int64) error {
	work := make(chan found) // unbuffered: loaders take what they can do
	errs := make([]error, m.opts.RecoveryThreads)
	var wg sync.WaitGroup
	for i := range errs {
		wg.Go(func() {
			for f := range work {
				if errs[i] == nil {
					errs[i] = m.loadLog(d, f, high)
				}
			}
		})
	}
	for _, f := range list {
		work <- f
	}
	close(work)
	wg.Wait()
	return errors.Join(errs...)
}

func (m *Manager) loadLog(d *dir, f found, high map[metadata.TopicPartition]int64) error {
	o := m.logOptions(d, f.path, f.tp)
	o.Config = m.opts.TopicConfig(f.tp.Topic)
	o.RecoveryPoint, o.LogStartOffset, o.CleanShutdown = d.recoveryPoints[f.tp], d.logStarts[f.tp], d.clean
	if o.CleanedTo, o.Cleaned = d.cleaned[f.tp]; f.future {
		o.Cleaned = false
	}
	l, err := logstore.Open(o)
	if err != nil {
		return err
	}
	// Kafka applies the checkpoint when the replica gets its role. Doing it at once lets every checkpoint be written from the logs alone.
	l.UpdateHighWatermark(high[f.tp])
	return m.enter(f, d, l)
}

// enter puts a loaded log into the map. A partition that is in two places is an error, unless a move from one to the other was cut short.
func (m *Manager) enter(f found, d *dir, l *logstore.Log) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	logs := m.logs
	if f.future {
		logs = m.futures
	}
	other := logs[f.tp]
	if other == nil {
		logs[f.tp] = &entry{log: l, dir: d, cleanedTo: math.MaxInt64}
		return nil
	}
	mine := &entry{log: l, dir: d}
	var keep, drop *entry
	ok := !f.future
	if ok {
		keep, drop, ok = m.afterSwap(other, mine)
	}
	if !ok {
		return &duplicateError{fmt.Errorf("duplicate log directories for %s: %s and %s; delete one of them by hand, best the one in a log directory that failed lately",
			f.tp, f.path, other.log.Dir())}
	}
	m.logger.Warn("a move between log directories was cut short at its end; one of two logs is kept", "kept", keep.log.Dir(), "endOffset", keep.log.LogEndOffset(),
		"deleted", drop.log.Dir(), "deletedEndOffset", drop.log.LogEndOffset())
	m.logs[f.tp] = keep
	m.superseded = append(m.superseded, superseded{keep, drop})
	return nil
}

func (m *Manager) logOptions(d *dir, path string, tp metadata.TopicPartition) logstore.Options {
	return logstore.Options{
		FS: m.opts.FS, Dir: path, TopicPartition: tp, Clock: m.opts.Clock, Logger: m.logger, Codecs: m.opts.Codecs,
		Buffers: m.buffers, Files: m.files, Producers: m.producerOptions(),
		OnRecoveryPointLowered: func(l *logstore.Log) error {
			err := m.checkpointRecoveryPoints(d)
			if _, cleaned := l.CleanedTo(); cleaned {
				err = errors.Join(err, m.checkpointCleaned(d))
			}
			return err
		},
		OnIOError: func(err error) { m.failDir(d, err) },
	}
}
