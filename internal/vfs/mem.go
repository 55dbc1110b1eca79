package vfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"gokafka/internal/clock"
)

// Mem is a file system in memory that knows what a power failure would keep: data and length of a file as of its last Sync,
// entries of a directory as of its last SyncDir. CrashClone makes the file system that is found after such a failure.
// Safe for concurrent use. A removed file lives on for those who have it open.
type Mem struct {
	clock *clock.Clock

	// mu orders metadata operations and crash clones (write lock) against reads and writes of data (read lock).
	// Lock order: mu > memNode.mu.
	mu       sync.RWMutex
	root     *memNode
	seq      int64 // of the last metadata operation
	locked   map[string]bool
	capacity int64 // bytes, 0 = no limit

	usedMu sync.Mutex
	used   int64
}

// NewMem returns an empty file system. It has the root directory only, which is durable; relative names are below it.
func NewMem() *Mem {
	m := &Mem{clock: clock.New(), locked: map[string]bool{}}
	m.root = m.newDir()
	return m
}

// SetCapacity limits the sum of the lengths of all files; writes beyond are cut short and fail with ENOSPC. 0 is no limit.
func (m *Mem) SetCapacity(bytes int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.capacity = bytes
}

// memNode is a file or a directory (an inode): names are in the directories that hold it.
type memNode struct {
	mu    sync.RWMutex
	mtime time.Time

	// Directories; guarded by Mem.mu.
	children map[string]*memNode // nil for files
	stable   map[string]*memNode // as of the last SyncDir
	pending  []dirOp             // since the last SyncDir, oldest first

	// Files; guarded by mu.
	data      []byte
	syncedLen int64
	oldPages  map[int64][]byte // page number → its synced content, for pages changed since
	sizes     []int64          // lengths the file has had since the last Sync; see noteSize
}

// dirOp changes one directory: unbind takes a name away, bind gives a name to a node. A rename has both.
type dirOp struct {
	seq    int64
	unbind string
	bind   string
	node   *memNode // bound, and what unbind is expected to hold
}

func (m *Mem) newDir() *memNode {
	return &memNode{children: map[string]*memNode{}, stable: map[string]*memNode{}, mtime: m.clock.Now()}
}

func split(name string) []string {
	name = filepath.ToSlash(filepath.Clean(name))
	name = strings.TrimPrefix(name, filepath.ToSlash(filepath.VolumeName(name)))
	var parts []string
	for p := range strings.SplitSeq(name, "/") {
		if p != "" && p != "." {
			parts = append(parts, p)
		}
	}
	return parts
}

func (m *Mem) lookup(parts []string) *memNode {
	n := m.root
	for _, p := range parts {
		if n.children == nil {
			return nil
		}
		if n = n.children[p]; n == nil {
			return nil
		}
	}
	return n
}

// parent returns the directory that holds, or would hold, name, and the last part of name.
func (m *Mem) parent(op, name string) (*memNode, string, error) {
	parts := split(name)
	if len(parts) == 0 {
		return nil, "", &fs.PathError{Op: op, Path: name, Err: fs.ErrInvalid}
	}
	d := m.lookup(parts[:len(parts)-1])
	if d == nil || d.children == nil {
		return nil, "", &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
	}
	return d, parts[len(parts)-1], nil
}

func (m *Mem) note(d *memNode, op dirOp) {
	m.seq++
	op.seq = m.seq
	d.pending = append(d.pending, op)
}

// OpenFile implements FS.
func (m *Mem) OpenFile(name string, flag int, _ os.FileMode) (File, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, base, err := m.parent("open", name)
	if err != nil {
		return nil, err
	}
	n := d.children[base]
	switch {
	case n == nil && flag&os.O_CREATE == 0:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	case n == nil:
		n = &memNode{mtime: m.clock.Now()}
		d.children[base] = n
		m.note(d, dirOp{bind: base, node: n})
	case flag&(os.O_CREATE|os.O_EXCL) == os.O_CREATE|os.O_EXCL:
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrExist}
	case n.children != nil:
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("is a directory")}
	}
	if flag&os.O_TRUNC != 0 {
		n.mu.Lock()
		m.truncate(n, 0)
		n.mu.Unlock()
	}
	return &memFile{fs: m, node: n, name: name, readOnly: flag&(os.O_WRONLY|os.O_RDWR) == 0}, nil
}

// MkdirAll implements FS.
func (m *Mem) MkdirAll(name string, _ os.FileMode) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.root
	for _, p := range split(name) {
		child := n.children[p]
		if child == nil {
			child = m.newDir()
			n.children[p] = child
			m.note(n, dirOp{bind: p, node: child})
		} else if child.children == nil {
			return &fs.PathError{Op: "mkdir", Path: name, Err: errors.New("not a directory")}
		}
		n = child
	}
	return nil
}

// Remove implements FS.
func (m *Mem) Remove(name string) error { return m.remove(name, false) }

// RemoveAll implements FS.
func (m *Mem) RemoveAll(name string) error {
	if err := m.remove(name, true); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (m *Mem) remove(name string, all bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, base, err := m.parent("remove", name)
	if err != nil {
		return err
	}
	n := d.children[base]
	if n == nil {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	if !all && len(n.children) > 0 {
		return &fs.PathError{Op: "remove", Path: name, Err: errors.New("directory not empty")}
	}
	delete(d.children, base)
	m.note(d, dirOp{unbind: base, node: n})
	m.forget(n)
	return nil
}

// forget gives back the space of a node that lost its name. (Its data stay for those who have it open.)
func (m *Mem) forget(n *memNode) {
	for _, c := range n.children {
		m.forget(c)
	}
	n.mu.RLock()
	defer n.mu.RUnlock()
	m.usedMu.Lock()
	m.used -= int64(len(n.data))
	m.usedMu.Unlock()
}

// Rename implements FS.
func (m *Mem) Rename(oldname, newname string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	from, oldBase, err := m.parent("rename", oldname)
	if err != nil {
		return err
	}
	to, newBase, err := m.parent("rename", newname)
	if err != nil {
		return err
	}
	n := from.children[oldBase]
	if n == nil {
		return &fs.PathError{Op: "rename", Path: oldname, Err: fs.ErrNotExist}
	}
	if old := to.children[newBase]; old == n {
		return nil
	} else if old != nil {
		if len(old.children) > 0 || (old.children == nil) != (n.children == nil) {
			return &fs.PathError{Op: "rename", Path: newname, Err: fs.ErrExist}
		}
		m.forget(old)
	}
	delete(from.children, oldBase)
	to.children[newBase] = n
	if from == to {
		m.note(from, dirOp{unbind: oldBase, bind: newBase, node: n})
	} else {
		m.note(from, dirOp{unbind: oldBase, node: n})
		m.note(to, dirOp{bind: newBase, node: n})
	}
	return nil
}

// ReadDir implements FS.
func (m *Mem) ReadDir(name string) ([]fs.DirEntry, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	d := m.lookup(split(name))
	if d == nil || d.children == nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrNotExist}
	}
	entries := make([]fs.DirEntry, 0, len(d.children))
	for base, n := range d.children {
		entries = append(entries, fs.FileInfoToDirEntry(n.info(base)))
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, nil
}

// Stat implements FS.
func (m *Mem) Stat(name string) (fs.FileInfo, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n := m.lookup(split(name))
	if n == nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	return n.info(filepath.Base(name)), nil
}

// SetModTime sets when name was last modified.
func (m *Mem) SetModTime(name string, t time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	n := m.lookup(split(name))
	if n == nil {
		return &fs.PathError{Op: "chtimes", Path: name, Err: fs.ErrNotExist}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.mtime = t
	return nil
}

// SyncDir implements FS.
func (m *Mem) SyncDir(name string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	d := m.lookup(split(name))
	if d == nil || d.children == nil {
		return &fs.PathError{Op: "syncdir", Path: name, Err: fs.ErrNotExist}
	}
	d.syncEntries()
	return nil
}

func (d *memNode) syncEntries() {
	if len(d.pending) == 0 {
		return
	}
	d.pending = nil
	clear(d.stable)
	for base, n := range d.children {
		d.stable[base] = n
	}
}

// SyncVolume implements VolumeSyncer.
func (m *Mem) SyncVolume(string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	syncTree(m.root)
	return nil
}

func syncTree(n *memNode) {
	if n.children == nil {
		n.mu.Lock()
		n.markSynced()
		n.mu.Unlock()
		return
	}
	n.syncEntries()
	for _, c := range n.children {
		syncTree(c)
	}
}

// Lock implements FS.
func (m *Mem) Lock(name string) (io.Closer, error) {
	f, err := m.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	f.Close()
	key := strings.Join(split(name), "/")
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.locked[key] {
		return nil, fmt.Errorf("%s: %w", name, ErrLocked)
	}
	m.locked[key] = true
	return &memLock{fs: m, key: key}, nil
}

type memLock struct {
	fs   *Mem
	key  string
	once sync.Once
}

func (l *memLock) Close() error {
	l.once.Do(func() {
		l.fs.mu.Lock()
		defer l.fs.mu.Unlock()
		delete(l.fs.locked, l.key)
	})
	return nil
}

// Space implements FS.
func (m *Mem) Space(string) (totalBytes, usableBytes uint64, err error) {
	m.mu.RLock()
	total := m.capacity
	m.mu.RUnlock()
	if total == 0 {
		total = 1 << 40
	}
	m.usedMu.Lock()
	defer m.usedMu.Unlock()
	return uint64(total), uint64(max(0, total-m.used)), nil
}

// grow asks for n more bytes and returns how many there are.
func (m *Mem) grow(n int64) int64 {
	m.usedMu.Lock()
	defer m.usedMu.Unlock()
	if m.capacity > 0 {
		n = max(0, min(n, m.capacity-m.used))
	}
	m.used += n
	return n
}

func (n *memNode) info(base string) fs.FileInfo {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return memInfo{name: base, size: int64(len(n.data)), dir: n.children != nil, mtime: n.mtime}
}

type memInfo struct {
	name  string
	size  int64
	dir   bool
	mtime time.Time
}

func (i memInfo) Name() string       { return i.name }
func (i memInfo) Size() int64        { return i.size }
func (i memInfo) ModTime() time.Time { return i.mtime }
func (i memInfo) IsDir() bool        { return i.dir }
func (i memInfo) Sys() any           { return nil }
func (i memInfo) Mode() fs.FileMode {
	if i.dir {
		return fs.ModeDir | 0o755
	}
	return 0o644
}

var errNoSpace = syscall.ENOSPC
