package logstore

import (
	"errors"
	"fmt"
	"path/filepath"

	"gokafka/internal/vfs"
)

// Many partitions are made, or change their leader, by one request. Syncing each of their small files alone would cost two syncs a
// partition; instead all are written, one sync of the volume makes them durable, and then each is renamed into place.

// OpenStaged is Open for a log that is made together with others: nothing is synced. The caller syncs all at once, with SyncStaged, and
// then calls Commit on each.
func OpenStaged(opts Options) (*Log, error) {
	l, err := open(&opts, true)
	if err != nil {
		return nil, fmt.Errorf("log of %s in %s: %w", opts.TopicPartition, opts.Dir, err)
	}
	return l, nil
}

// SyncStaged makes durable what OpenStaged wrote for logs in parent: by one call where the file system can, else file by file.
func SyncStaged(fs vfs.FS, parent string, logs []*Log) error {
	err := vfs.SyncVolume(fs, parent)
	if !errors.Is(err, errors.ErrUnsupported) {
		return ioErr("sync volume", err)
	}
	for _, l := range logs {
		if err := l.syncEach(); err != nil {
			return err
		}
	}
	return ioErr("sync directory", fs.SyncDir(parent))
}

func (l *Log) syncEach() error {
	entries, err := l.env.fs.ReadDir(l.dir.get())
	if err != nil {
		return ioErr("list directory", err)
	}
	for _, e := range entries {
		if err := syncFile(l.env.fs, l.dir.path(e.Name())); err != nil {
			return ioErr("sync "+e.Name(), err)
		}
	}
	return ioErr("sync directory", l.env.fs.SyncDir(l.dir.get()))
}

// Commit puts the staged files of a new log in place.
func (l *Log) Commit() error { return l.settle(l.commitTopicID()) }

// SaveAllEpochs makes the leader epochs of many logs durable with one sync for each volume. Calls must not run concurrently: each
// holds the epoch files of its logs.
func SaveAllEpochs(fs vfs.FS, logs []*Log) error {
	staged := map[string][]*Log{}
	defer func() {
		for _, list := range staged {
			for _, l := range list {
				l.epochs.fileMu.Unlock()
			}
		}
	}()
	versions := map[*Log]int64{}
	for _, l := range logs {
		if _, twice := versions[l]; twice || l.epochs.version.Load() == l.epochs.saved.Load() {
			continue
		}
		l.epochs.fileMu.Lock()
		parent := filepath.Dir(l.dir.get())
		staged[parent] = append(staged[parent], l)
		versions[l] = l.epochs.version.Load()
		if l.epochs.deleted {
			continue
		}
		if err := l.epochs.stage(); err != nil {
			return l.settle(err)
		}
	}
	for parent, list := range staged {
		if err := syncEpochFiles(fs, parent, list); err != nil {
			return list[0].settle(err)
		}
		for _, l := range list {
			if l.epochs.deleted {
				continue
			}
			path := l.dir.path(epochFile)
			if err := fs.Rename(path+tmpSuffix, path); err != nil {
				return l.settle(ioErr("rename leader epochs", err))
			}
			l.epochs.saved.Store(versions[l])
		}
	}
	return nil
}

func syncEpochFiles(fs vfs.FS, parent string, logs []*Log) error {
	err := vfs.SyncVolume(fs, parent)
	if !errors.Is(err, errors.ErrUnsupported) {
		return ioErr("sync volume", err)
	}
	for _, l := range logs {
		if l.epochs.deleted {
			continue
		}
		if err := syncFile(fs, l.dir.path(epochFile)+tmpSuffix); err != nil {
			return ioErr("sync leader epochs", err)
		}
	}
	return nil
}
