package logstore

import (
	"fmt"
)

// Rename gives an open log's directory another name in the same log directory: a future log becomes the partition's own (KIP-113). While
// guard runs nothing of the log is synced, so that guard can take what keeps it from being written to and call rename, which only renames;
// guard may also return without. The caller syncs the parent directory afterwards.
func (l *Log) Rename(path string, guard func(rename func() error) error) error {
	l.finishDeletes()
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	l.epochs.fileMu.Lock()
	defer l.epochs.fileMu.Unlock()
	return guard(func() error {
		l.mu.Lock()
		defer l.mu.Unlock()
		if s := logState(l.state.Load()); s != stateOpen {
			return fmt.Errorf("log of %s is %s: %w", l.tp, s, errNotOpen)
		}
		if err := l.env.fs.Rename(l.dir.get(), path); err != nil {
			return l.settle(ioErr("rename directory", err))
		}
		l.dir.set(path)
		return nil
	})
}

// openRenamed opens a file of a log whose directory may be renamed at that moment: it is looked for once more under the new name.
func openRenamed[F any](path func() string, open func(path string) (F, error)) (F, error) {
	at := path()
	f, err := open(at)
	if notExist(err) {
		if now := path(); now != at {
			return open(now)
		}
	}
	return f, err
}
