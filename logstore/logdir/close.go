package logdir

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/internal/vfs"
	"gokafka/logstore"
)

// Close shuts down: it closes all logs, writes the checkpoints, and in each directory where all went well leaves the marker of a
// clean shutdown, last. Nothing may use the logs any more.
func (m *Manager) Close() error {
	m.mu.Lock()
	if m.closed {
		m.mu.Unlock()
		return nil
	}
	m.closed = true
	m.mu.Unlock()
	m.cancel()
	m.stopRemovals()
	m.bg.Wait()
	dirs := m.liveDirs()
	errs := make([]error, len(dirs))
	var wg sync.WaitGroup
	for i, d := range dirs {
		wg.Go(func() { errs[i] = m.closeDir(d) })
	}
	wg.Wait()
	m.finishLeftover()
	return errors.Join(errs...)
}

func (m *Manager) closeDir(d *dir) error {
	err := m.closeLogs(d)
	if err == nil && !slices.Contains(m.liveDirs(), d) {
		err = fmt.Errorf("log directory %s failed while it was closed: %w", d.path, kerr.KafkaStorageError)
	}
	write := func(f func(*dir) error) {
		if err == nil {
			err = f(d)
		}
	}
	// Even after an error the checkpoints of what was flushed would be right, but they save nothing then.
	write(m.checkpointRecoveryPoints)
	write(m.checkpointLogStarts)
	write(m.checkpointHighWatermarks)
	write(func(*dir) error {
		if !d.loaded {
			return nil
		}
		path := filepath.Join(d.path, cleanShutdownFile)
		if err := vfs.WriteFile(m.opts.FS, path, []byte(cleanShutdownValue), true); err != nil {
			return err
		}
		return m.opts.FS.SyncDir(d.path)
	})
	if err == nil {
		err = vfs.RemoveIfExists(m.opts.FS, filepath.Join(d.path, lockFile))
	}
	return errors.Join(err, d.lock.Close())
}

// closeBatch is how many logs are closed together: their syncs become one.
const closeBatch = 1000

func (m *Manager) closeLogs(d *dir) error {
	var logs []*logstore.Log
	for _, e := range m.entries() {
		if e.dir == d {
			logs = append(logs, e.log)
		}
	}
	var errs []error
	for batch := range slices.Chunk(logs, closeBatch) {
		errs = append(errs, logstore.CloseAll(m.opts.FS, d.path, batch)...)
	}
	return errors.Join(errs...)
}
