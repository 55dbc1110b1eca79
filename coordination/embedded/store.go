package embedded

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"

	"gokafka/internal/vfs"
)

// store is the directory: it gives a machine at open, and afterwards takes records and snapshots. The syncer goroutine
// owns it between Open and Close.
type store struct {
	fs     vfs.FS
	dir    string
	logger *slog.Logger
	sync   bool
	id     databaseID
	lock   io.Closer
	log    *logFile
}

// recovered is what load found.
type recovered struct {
	machine  *machine
	id       databaseID
	replayed int   // records since the snapshot
	bytes    int64 // of the logs read
	log      int64 // first zxid of the log to append to; 0 when a new one must be made
	end      int64 // its good length
	torn     bool  // bytes behind end are to be cut off
}

// openStore locks the directory, recovers the machine, cuts off a torn tail and opens the log for appending.
func openStore(fs vfs.FS, dir string, logger *slog.Logger, sync bool) (*store, recovered, error) {
	if err := makeDir(fs, dir); err != nil {
		return nil, recovered{}, fmt.Errorf("coordination directory: %w", err)
	}
	s := &store{fs: fs, dir: dir, logger: logger, sync: sync}
	var err error
	if s.lock, err = fs.Lock(filepath.Join(dir, lockName)); err != nil {
		return nil, recovered{}, fmt.Errorf("coordination directory %s: %w", dir, err)
	}
	rec, err := s.open()
	if err != nil {
		return nil, rec, errors.Join(err, s.close())
	}
	return s, rec, nil
}

// open does it under the lock.
func (s *store) open() (recovered, error) {
	if err := s.removeUnfinished(); err != nil {
		return recovered{}, err
	}
	rec, err := s.load()
	if err != nil {
		return rec, err
	}
	s.id = rec.id
	if rec.log == 0 {
		s.log, err = createLog(s.fs, s.dir, fileHeader{kind: kindLog, id: s.id, zxid: rec.machine.zxid + 1}, s.sync)
	} else {
		s.log, err = s.reopenLog(rec)
	}
	return rec, err
}

// makeDir makes a directory with what is missing above it, durably.
func makeDir(fs vfs.FS, dir string) error {
	_, err := fs.Stat(dir)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if parent != dir {
		if err := makeDir(fs, parent); err != nil {
			return err
		}
	}
	if err := fs.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return fs.SyncDir(parent)
}

// removeUnfinished removes snapshots that were being written when the process died.
func (s *store) removeUnfinished() error {
	l, err := list(s.fs, s.dir)
	if err != nil {
		return err
	}
	for _, name := range l.tmp {
		if err := s.fs.Remove(name); err != nil {
			return fmt.Errorf("coordination directory: %w", err)
		}
	}
	return nil
}

func (s *store) reopenLog(r recovered) (*logFile, error) {
	name := filepath.Join(s.dir, logName(r.log))
	f, err := s.fs.OpenFile(name, os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("coordination log: %w", err)
	}
	h := fileHeader{kind: kindLog, id: r.id, zxid: r.log}
	l := &logFile{f: f, name: name, seed: h.seed(), end: r.end, sync: s.sync}
	if r.torn {
		s.logger.Warn("coordination log: cut off an unfinished write at its end", "file", name, "offset", r.end)
		err = f.Truncate(r.end)
	}
	// What replay has read may still be in the page cache only (killed between write and sync): it is shown to clients
	// from now on, so it is synced first.
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return nil, fmt.Errorf("coordination log %s: %w", name, errors.Join(err, f.Close()))
	}
	return l, nil
}

// load reads the directory and changes nothing in it.
func (s *store) load() (recovered, error) {
	l, err := list(s.fs, s.dir)
	if err != nil {
		return recovered{}, err
	}
	r := recovered{machine: newMachine()}
	var bad error
	for i := len(l.snapshots) - 1; i >= 0 && r.machine.zxid == 0; i-- {
		name := filepath.Join(s.dir, snapshotName(l.snapshots[i]))
		m, h, err := s.readSnapshot(name)
		if err == nil {
			r.machine, r.id = m, h.id
			break
		}
		bad = errors.Join(bad, err)
		s.logger.Error("coordination snapshot is unusable, trying the one before", "file", name, "err", err)
	}
	if len(l.logs) == 0 && len(l.snapshots) == 0 {
		r.id = newDatabaseID()
		return r, nil
	}
	if bad != nil && r.machine.zxid == 0 && (len(l.logs) == 0 || l.logs[0] != 1) {
		return r, fmt.Errorf("coordination directory %s: no usable snapshot: %w", s.dir, bad)
	}
	return r, s.replayLogs(&r, l.logs)
}

func (s *store) readSnapshot(name string) (*machine, fileHeader, error) {
	content, err := vfs.ReadFile(s.fs, name, maxFileBytes)
	if err != nil {
		return nil, fileHeader{}, err
	}
	m, h, err := decodeSnapshot(content)
	if err != nil {
		return nil, h, fmt.Errorf("%s: %w", name, err)
	}
	return m, h, nil
}

// replayLogs applies what the logs hold beyond the snapshot.
func (s *store) replayLogs(r *recovered, logs []int64) error {
	if len(logs) > 0 && logs[0] > r.machine.zxid+1 {
		return fmt.Errorf("coordination directory %s: transactions %#x to %#x are missing: no log holds them",
			s.dir, r.machine.zxid+1, logs[0]-1)
	}
	for i, first := range logs {
		last := i == len(logs)-1
		if !last && logs[i+1] <= r.machine.zxid+1 {
			continue // the snapshot has all of it
		}
		if err := s.replayLog(r, first, last); err != nil {
			return err
		}
	}
	return nil
}

func (s *store) replayLog(r *recovered, first int64, last bool) error {
	name := filepath.Join(s.dir, logName(first))
	content, err := vfs.ReadFile(s.fs, name, maxFileBytes)
	if err != nil {
		return fmt.Errorf("coordination log: %w", err)
	}
	r.bytes += int64(len(content))
	h, err := parseFileHeader(content, kindLog)
	if err != nil {
		if last && len(content) <= fileHeaderBytes {
			// Killed while the file was made: no record was ever written to it.
			if r.id == (databaseID{}) {
				r.id = newDatabaseID()
			}
			return nil
		}
		return fmt.Errorf("%s: offset 0: %w", name, err)
	}
	if r.id == (databaseID{}) {
		r.id = h.id
	}
	if h.id != r.id || h.zxid != first {
		return fmt.Errorf("%s: offset 0: %w: of another directory, or renamed", name, errHeader)
	}
	off, zxid, err := s.replayRecords(r, name, content, h)
	if err != nil {
		return err
	}
	if off < len(content) {
		if !last || corruptAt(content, off, h.seed(), zxid) {
			return fmt.Errorf("%s: offset %d: corrupt record, followed by good ones", name, off)
		}
		r.torn = true
	}
	// A log that ends before the snapshot lost its tail to a power failure with syncs off: leave it, start a new one.
	if last && zxid >= r.machine.zxid {
		r.log, r.end = first, int64(off)
	}
	return nil
}

// replayRecords applies the good records of one log up to the first bad one. It returns the offset behind them, and the
// last zxid.
func (s *store) replayRecords(r *recovered, name string, content []byte, h fileHeader) (int, int64, error) {
	seed, off, zxid := h.seed(), fileHeaderBytes, h.zxid-1
	for {
		payload, next := nextRecord(content, off, seed)
		if payload == nil {
			return off, zxid, nil
		}
		if zxid = (&decoder{b: payload}).recordHeader().zxid; zxid > r.machine.zxid {
			if err := r.machine.replay(payload); err != nil {
				return off, zxid, fmt.Errorf("%s: offset %d: %w", name, off, err)
			}
			r.replayed++
		}
		off = next
	}
}

// roll switches to a new log, whose first transaction will be first. If that is not possible the old one stays, which
// is no harm: ok is false. An error means that the directory is in a state in which nothing may be written.
func (s *store) roll(first int64) (ok bool, err error) {
	if !s.sync {
		// All logs but the last are complete, whatever happens: that is how load tells a torn tail.
		if err := s.log.f.Sync(); err != nil {
			return false, fmt.Errorf("sync %s: %w", s.log.name, err)
		}
	}
	next, err := createLog(s.fs, s.dir, fileHeader{kind: kindLog, id: s.id, zxid: first}, s.sync)
	if err != nil {
		if _, stat := s.fs.Stat(filepath.Join(s.dir, logName(first))); !errors.Is(stat, os.ErrNotExist) {
			// Its name would claim that the old log ends before first.
			return false, fmt.Errorf("%w, and it could not be removed: %w", err, stat)
		}
		s.logger.Warn("coordination log goes on in its old file", "err", err)
		return false, nil
	}
	old := s.log
	s.log = next
	if err := old.f.Close(); err != nil {
		return true, fmt.Errorf("close %s: %w", old.name, err)
	}
	return true, nil
}

// clean removes what is not needed to open from either of the two newest snapshots.
func (s *store) clean() error {
	l, err := list(s.fs, s.dir)
	if err != nil {
		return err
	}
	n := len(l.snapshots)
	if n < 2 {
		return nil // all logs, from the first transaction on, stand in for the second snapshot
	}
	for _, zxid := range l.snapshots[:n-2] {
		err = errors.Join(err, s.fs.Remove(filepath.Join(s.dir, snapshotName(zxid))))
	}
	for i := 0; i+1 < len(l.logs) && l.logs[i+1] <= l.snapshots[n-2]+1; i++ {
		err = errors.Join(err, s.fs.Remove(filepath.Join(s.dir, logName(l.logs[i]))))
	}
	return errors.Join(err, s.fs.SyncDir(s.dir))
}

// close closes the log as it is and gives the directory free.
func (s *store) close() error {
	var err error
	if s.log != nil {
		err = s.log.f.Close()
	}
	return errors.Join(err, s.lock.Close())
}
