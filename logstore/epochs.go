package logstore

import (
	"bytes"
	"fmt"
	"sync"
	"sync/atomic"

	"gokafka/internal/vfs"
)

// EpochStart is a leader epoch and the offset of its first record.
type EpochStart struct {
	Epoch       int32
	StartOffset int64
}

// UndefinedEpoch and UndefinedEpochOffset answer questions about epochs that are not known.
const (
	UndefinedEpoch       int32 = -1
	UndefinedEpochOffset int64 = -1
)

// epochCache is the leader epochs of a log, ascending in epoch and in start offset, and their file. Readers need no lock;
// changes need Log.mu and mark the file as old, save writes it.
type epochCache struct {
	fs      vfs.FS
	dir     *dirRef
	entries atomic.Pointer[[]EpochStart] // never changed in place
	version atomic.Int64                 // counts changes

	// fileMu orders writers of the file, so that an older list never replaces a newer. It is held over a sync; only writers wait for it.
	fileMu  sync.Mutex
	saved   atomic.Int64 // version in the file
	deleted bool         // the directory is being removed
}

const maxEpochFileBytes = 64 << 20

func openEpochs(fs vfs.FS, dir *dirRef, first []EpochStart) (*epochCache, error) {
	c := &epochCache{fs: fs, dir: dir}
	c.entries.Store(&[]EpochStart{})
	path := dir.path(epochFile)
	exists, err := vfs.Exists(fs, path)
	if err != nil {
		return nil, ioErr("open leader epochs", err)
	}
	if !exists {
		var content []byte
		if len(first) > 0 {
			c.entries.Store(&first)
			content = c.encode()
		}
		if err := vfs.WriteFile(fs, path, content, false); err != nil {
			return nil, ioErr("create leader epochs", err)
		}
		return c, nil
	}
	list := []EpochStart{}
	content, err := readCheckpoint(fs, path, maxEpochFileBytes, func(fields []string) error {
		e, err := parseInt(fields, 2, 0, 32)
		if err != nil {
			return err
		}
		start, err := parseInt(fields, 2, 1, 64)
		if err != nil {
			return err
		}
		if e < 0 || start < 0 {
			return fmt.Errorf("leader epoch %d at %d: %w", e, start, errBadNumber)
		}
		list, _ = assignEpoch(list, EpochStart{int32(e), start})
		return nil
	})
	if err != nil {
		return nil, err
	}
	c.entries.Store(&list)
	if len(list) > 0 && !bytes.Equal(content, c.encode()) {
		c.version.Add(1) // what contradicted itself, or was written by other hands, is written anew
	}
	return c, nil
}

func (c *epochCache) list() []EpochStart { return *c.entries.Load() }

func (c *epochCache) set(list []EpochStart) {
	c.entries.Store(&list)
	c.version.Add(1)
}

// assignEpoch adds an entry, after taking away those from the end that it contradicts. Nothing happens if its epoch is the last one and
// does not start earlier (Kafka 3.9 LeaderEpochFileCache.assign).
func assignEpoch(list []EpochStart, e EpochStart) ([]EpochStart, bool) {
	n := len(list)
	if n > 0 && list[n-1].Epoch == e.Epoch && e.StartOffset >= list[n-1].StartOffset {
		return list, false
	}
	for n > 0 && (list[n-1].Epoch >= e.Epoch || list[n-1].StartOffset >= e.StartOffset) {
		n--
	}
	return append(list[:n:n], e), true
}

// assign notes that epoch starts at offset. It says whether that was news.
func (c *epochCache) assign(epoch int32, offset int64) bool {
	list := c.list()
	if n := len(list); n > 0 && list[n-1].Epoch == epoch && offset >= list[n-1].StartOffset {
		return false // the common case, without allocation
	}
	list, changed := assignEpoch(list, EpochStart{epoch, offset})
	if changed {
		c.set(list)
	}
	return changed
}

// latest is the last epoch, or UndefinedEpoch.
func (c *epochCache) latest() int32 {
	if list := c.list(); len(list) > 0 {
		return list[len(list)-1].Epoch
	}
	return UndefinedEpoch
}

// truncateFromEnd drops entries that start at or after end.
func (c *epochCache) truncateFromEnd(end int64) bool {
	list := c.list()
	n := len(list)
	for n > 0 && list[n-1].StartOffset >= end {
		n--
	}
	if n == len(list) {
		return false
	}
	c.set(list[:n:n])
	return true
}

// truncateFromStart drops entries that start at or before start, but keeps the last of them with its start raised. It says
// whether an entry was touched; raising a start to what it is already is not a change worth writing.
func (c *epochCache) truncateFromStart(start int64) bool {
	list := c.list()
	n := 0
	for n < len(list) && list[n].StartOffset <= start {
		n++
	}
	if n == 0 || n == 1 && list[0].StartOffset == start {
		return false
	}
	kept := append([]EpochStart{{list[n-1].Epoch, start}}, list[n:]...)
	c.set(kept)
	return true
}

func (c *epochCache) clear() bool {
	if len(c.list()) == 0 {
		return false
	}
	c.set([]EpochStart{})
	return true
}

// endOffsetFor is the largest known epoch not above the requested one, and where it ends (Kafka 3.9 LeaderEpochFileCache.endOffsetFor).
func (c *epochCache) endOffsetFor(requested int32, logEnd int64) (int32, int64) {
	list := c.list()
	if requested == UndefinedEpoch || len(list) == 0 {
		return UndefinedEpoch, UndefinedEpochOffset
	}
	if list[len(list)-1].Epoch == requested {
		return requested, logEnd
	}
	above := search(len(list), func(i int) bool { return list[i].Epoch <= requested })
	switch above {
	case len(list):
		return UndefinedEpoch, UndefinedEpochOffset
	case 0:
		return requested, list[0].StartOffset
	}
	return list[above-1].Epoch, list[above].StartOffset
}

// epochAt is the epoch of offset, or UndefinedEpoch.
func (c *epochCache) epochAt(offset int64) int32 {
	list := c.list()
	n := search(len(list), func(i int) bool { return list[i].StartOffset <= offset })
	if n == 0 {
		return UndefinedEpoch
	}
	return list[n-1].Epoch
}

// unsaved says whether the file is old.
func (c *epochCache) unsaved() bool { return c.version.Load() != c.saved.Load() }

// save writes the file if it is old, and syncs it.
func (c *epochCache) save() error {
	if !c.unsaved() {
		return nil
	}
	c.fileMu.Lock()
	defer c.fileMu.Unlock()
	version := c.version.Load()
	if version == c.saved.Load() || c.deleted {
		return nil
	}
	if err := c.stage(); err != nil {
		return err
	}
	path := c.dir.path(epochFile)
	if err := syncFile(c.fs, path+tmpSuffix); err != nil {
		return ioErr("sync leader epochs", err)
	}
	if err := c.fs.Rename(path+tmpSuffix, path); err != nil {
		return ioErr("rename leader epochs", err)
	}
	if err := c.fs.SyncDir(c.dir.get()); err != nil {
		return ioErr("sync directory", err)
	}
	c.saved.Store(version)
	return nil
}

func (c *epochCache) encode() []byte {
	list := c.list()
	lines := make([]string, 0, len(list))
	for _, e := range list {
		lines = append(lines, fmt.Sprintf("%d %d", e.Epoch, e.StartOffset))
	}
	return encodeCheckpoint(lines)
}

// stage writes the list to the temporary file, without syncing.
func (c *epochCache) stage() error {
	return ioErr("write leader epochs", vfs.WriteFile(c.fs, c.dir.path(epochFile)+tmpSuffix, c.encode(), false))
}

func (c *epochCache) markDeleted() {
	c.fileMu.Lock()
	defer c.fileMu.Unlock()
	c.deleted = true
}
