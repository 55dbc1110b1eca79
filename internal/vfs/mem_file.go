package vfs

import (
	"io"
	"io/fs"
	"slices"
	"sync/atomic"
)

// pageBytes is the unit in which a crash keeps or loses written data.
const pageBytes = 4096

// memFile is an open file of a Mem.
type memFile struct {
	fs       *Mem
	node     *memNode
	name     string
	readOnly bool
	closed   atomic.Bool
}

func (f *memFile) Name() string { return f.name }

func (f *memFile) err(op string, err error) error {
	return &fs.PathError{Op: op, Path: f.name, Err: err}
}

func (f *memFile) ReadAt(p []byte, off int64) (int, error) {
	if f.closed.Load() {
		return 0, f.err("read", fs.ErrClosed)
	}
	if off < 0 {
		return 0, f.err("read", fs.ErrInvalid)
	}
	f.node.mu.RLock()
	defer f.node.mu.RUnlock()
	if off >= int64(len(f.node.data)) {
		if len(p) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	n := copy(p, f.node.data[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (f *memFile) WriteAt(p []byte, off int64) (int, error) {
	if f.closed.Load() {
		return 0, f.err("write", fs.ErrClosed)
	}
	if f.readOnly || off < 0 {
		return 0, f.err("write", fs.ErrPermission)
	}
	f.fs.mu.RLock()
	defer f.fs.mu.RUnlock()
	n := f.node
	n.mu.Lock()
	defer n.mu.Unlock()
	end := off + int64(len(p))
	var full error
	if more := end - int64(len(n.data)); more > 0 {
		if got := f.fs.grow(more); got < more {
			full = f.err("write", errNoSpace)
			end -= more - got
			if end < off { // the hole before off did not fit
				f.fs.grow(-got)
				return 0, full
			}
			p = p[:end-off]
		}
	}
	n.keepPages(off, end)
	if grown := end - int64(len(n.data)); grown > 0 {
		n.data = slices.Grow(n.data, int(grown))
		old := len(n.data)
		n.data = n.data[:end]
		clear(n.data[old:])
		n.noteSize()
	}
	copy(n.data[off:], p)
	n.mtime = f.fs.clock.Now()
	return len(p), full
}

func (f *memFile) Close() error {
	if f.closed.Swap(true) {
		return f.err("close", fs.ErrClosed)
	}
	return nil
}

func (f *memFile) Size() (int64, error) {
	if f.closed.Load() {
		return 0, f.err("stat", fs.ErrClosed)
	}
	f.node.mu.RLock()
	defer f.node.mu.RUnlock()
	return int64(len(f.node.data)), nil
}

func (f *memFile) Truncate(sizeBytes int64) error {
	if f.closed.Load() {
		return f.err("truncate", fs.ErrClosed)
	}
	if f.readOnly || sizeBytes < 0 {
		return f.err("truncate", fs.ErrInvalid)
	}
	f.fs.mu.RLock()
	defer f.fs.mu.RUnlock()
	f.node.mu.Lock()
	defer f.node.mu.Unlock()
	if more := sizeBytes - int64(len(f.node.data)); more > 0 {
		if got := f.fs.grow(more); got < more {
			f.fs.grow(-got)
			return f.err("truncate", errNoSpace)
		}
	}
	f.fs.truncate(f.node, sizeBytes)
	return nil
}

// truncate sets the length; growth has been paid for. Caller holds n.mu.
func (m *Mem) truncate(n *memNode, size int64) {
	old := int64(len(n.data))
	switch {
	case size < old:
		n.keepPages(size, old)
		m.grow(size - old)
		n.data = n.data[:size]
	case size > old:
		n.keepPages(old, size)
		n.data = slices.Grow(n.data, int(size-old))[:size]
		clear(n.data[old:])
	}
	n.noteSize()
	n.mtime = m.clock.Now()
}

func (f *memFile) Sync() error {
	if f.closed.Load() {
		return f.err("sync", fs.ErrClosed)
	}
	f.fs.mu.RLock()
	defer f.fs.mu.RUnlock()
	f.node.mu.Lock()
	defer f.node.mu.Unlock()
	f.node.markSynced()
	return nil
}

func (f *memFile) Reserve(int64, int64) error { return nil }

func (n *memNode) markSynced() {
	n.syncedLen = int64(len(n.data))
	clear(n.oldPages)
	n.sizes = n.sizes[:0]
}

// keepPages saves the synced content of the pages of [from, to) that are about to change for the first time since the last Sync.
func (n *memNode) keepPages(from, to int64) {
	for page := from / pageBytes; page*pageBytes < min(to, n.syncedLen); page++ {
		if _, kept := n.oldPages[page]; kept {
			continue
		}
		if n.oldPages == nil {
			n.oldPages = map[int64][]byte{}
		}
		// The file was never shorter than syncedLen before this change to the page, or the page would be kept already.
		n.oldPages[page] = slices.Clone(n.data[page*pageBytes : min((page+1)*pageBytes, n.syncedLen)])
	}
}

// noteSize remembers a length a crash may leave. The last 64 are enough.
func (n *memNode) noteSize() {
	if len(n.sizes) == 64 {
		n.sizes = n.sizes[:copy(n.sizes, n.sizes[32:])]
	}
	n.sizes = append(n.sizes, int64(len(n.data)))
}
