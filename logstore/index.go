package logstore

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"gokafka/internal/vfs"
)

// index is a file of fixed-size entries in ascending order. While its segment grows it is kept in memory, and its file lags
// behind until flush or seal; once sealed it is read from the file, which is opened when first needed.
//
// Readers run beside the one writer, who holds Log.mu.
type index struct {
	env       *env
	path      func() string
	entrySize int

	mu      sync.RWMutex
	active  bool     // data holds all entries
	data    []byte   // active only
	written int      // bytes of data that are in the file; active only
	missing bool     // the file is made with the first write; active only
	dirty   bool     // the file has changed since its last sync
	maxSize int      // segment.index.bytes of the time the segment was made
	count   int      // entries; -1 = sealed, and the file was not looked at yet
	file    vfs.File // only read from
	retired bool
	use     use
}

// newIndex is the index of a new segment. Its file is made at once, empty: a segment without an offset index file is one to recover. That of a log which
// is made together with thousands is made later, with the first flush, roll or close: until then nothing but an empty or unflushed segment, which is recovered
// in any case, could be found without it, and making files is what takes the time.
func newIndex(e *env, path func() string, entrySize, maxSize int, later bool) (*index, error) {
	x := &index{env: e, path: path, entrySize: entrySize, maxSize: maxSize, active: true, dirty: true, missing: later}
	if later {
		return x, nil
	}
	f, err := e.fs.OpenFile(path(), os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return nil, ioErr("create index", err)
	}
	return x, ioErr("create index", f.Close())
}

// openIndex is an index that exists, sealed. It is taken as full to its length: there is no scan for a tail of zeros, since an
// index that was active at a crash is always rebuilt (Kafka 3.9 AbstractIndex.createMappedBuffer).
func openIndex(e *env, path func() string, entrySize, maxSize int) *index {
	return &index{env: e, path: path, entrySize: entrySize, maxSize: maxSize, count: -1}
}

func (x *index) maxEntries() int { return x.maxSize / x.entrySize }

// entries is the number of entries.
func (x *index) entries() (int, error) {
	x.mu.RLock()
	n := x.count
	x.mu.RUnlock()
	if n >= 0 {
		return n, nil
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.count, x.openLocked()
}

func (x *index) open() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.openLocked()
}

// openLocked opens the file of a sealed index and counts its entries.
func (x *index) openLocked() error {
	x.use.mark()
	if x.active || x.file != nil {
		return nil
	}
	if x.retired {
		return errRetired
	}
	var f vfs.File
	err := x.env.files.again(func() (err error) {
		f, err = openRenamed(x.path, func(path string) (vfs.File, error) { return x.env.fs.OpenFile(path, os.O_RDWR, 0) })
		return err
	})
	if err != nil {
		return ioErr("open index", err)
	}
	size, err := f.Size()
	if err != nil {
		f.Close()
		return ioErr("open index", err)
	}
	if size > int64(maxIndexBytes) {
		f.Close()
		return ioErr("open index", fmt.Errorf("%s has %d bytes", x.path(), size))
	}
	x.file, x.count = f, int(size)/x.entrySize
	x.env.files.opened(x)
	return nil
}

func (x *index) closeIdle() bool {
	if !x.mu.TryLock() {
		return false
	}
	defer x.mu.Unlock()
	if x.file != nil && x.use.idle() {
		x.file.Close()
		x.file = nil
	}
	return x.file == nil
}

// maxIndexBytes bounds an index file: segment.index.bytes is an int32.
const maxIndexBytes = 1<<31 - 1

// activate reads a sealed index into memory so that it can grow.
func (x *index) activate(maxSize int) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.active {
		x.maxSize = maxSize
		return nil
	}
	if err := x.openLocked(); err != nil {
		return err
	}
	data := make([]byte, x.count*x.entrySize)
	if n, err := x.file.ReadAt(data, 0); n < len(data) {
		return ioErr("read index", orShort(err))
	}
	x.file.Close() // only read from
	x.file = nil
	x.active, x.data, x.written, x.maxSize = true, data, len(data), maxSize
	return nil
}

// reset makes the index active and empty, whatever its file holds.
func (x *index) reset(maxSize int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.file != nil {
		x.file.Close() // only read from
		x.file = nil
	}
	x.active, x.data, x.written, x.count, x.maxSize, x.dirty = true, nil, 0, 0, maxSize, true
}

func orShort(err error) error {
	if err == nil || errors.Is(err, io.EOF) {
		return errShortFile
	}
	return err
}

// append adds entries in memory. The caller checked that they are in order and fit.
func (x *index) append(entry []byte) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.data = append(x.data, entry...)
	x.count += len(entry) / x.entrySize
}

// truncate keeps the first n entries of an active index.
func (x *index) truncate(n int) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if n >= x.count {
		return
	}
	x.data = x.data[:n*x.entrySize]
	x.count = n
	x.written = min(x.written, len(x.data)) // what is in the file beyond is cut by the next write
}

// write brings an active index's file up to date: all entries and nothing else. It does not sync.
func (x *index) write() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.writeLocked()
}

func (x *index) writeLocked() error {
	if !x.active || x.retired {
		return nil
	}
	f, err := x.env.fs.OpenFile(x.path(), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return ioErr("open index", err)
	}
	defer f.Close()
	x.missing = false
	size, err := f.Size()
	if err != nil {
		return ioErr("write index", err)
	}
	x.written = min(x.written, int(size))
	if x.written < len(x.data) {
		x.dirty = true
		if n, err := f.WriteAt(x.data[x.written:], int64(x.written)); err != nil {
			return ioErr("write index", fmt.Errorf("%d of %d bytes at %d: %w", n, len(x.data)-x.written, x.written, err))
		}
		x.written = len(x.data)
	}
	if size > int64(len(x.data)) {
		x.dirty = true
		if err := f.Truncate(int64(len(x.data))); err != nil {
			return ioErr("trim index", err)
		}
	}
	return nil
}

// seal writes the file and lets go of the memory: the segment is no longer the active one.
func (x *index) seal() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.active {
		return nil
	}
	if err := x.writeLocked(); err != nil {
		return err
	}
	x.active, x.data = false, nil
	return nil
}

// growing says whether all entries are in memory.
func (x *index) growing() bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.active
}

// replace gives a sealed index other entries.
func (x *index) replace(data []byte) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.active || x.retired {
		return errRetired
	}
	f, err := x.env.fs.OpenFile(x.path(), os.O_RDWR, 0)
	if err != nil {
		return ioErr("open index", err)
	}
	defer f.Close()
	x.dirty = true
	if len(data) > 0 {
		if _, err := f.WriteAt(data, 0); err != nil {
			return ioErr("write index", err)
		}
	}
	if err := f.Truncate(int64(len(data))); err != nil {
		return ioErr("trim index", err)
	}
	x.count = len(data) / x.entrySize
	return nil
}

// unmade says whether there is no file yet.
func (x *index) unmade() bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.missing
}

// needsSync says whether the file has changed since its last sync.
func (x *index) needsSync() bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.dirty
}

// sync makes the file durable. What is only in memory stays there.
func (x *index) sync() error {
	x.mu.Lock()
	dirty := x.dirty
	x.dirty = false
	path := x.path()
	x.mu.Unlock()
	if !dirty {
		return nil
	}
	f, err := x.env.fs.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		err = final(f.Sync())
		f.Close() // the sync said what there is to say
	}
	if err != nil {
		x.mu.Lock()
		x.dirty = true
		x.mu.Unlock()
	}
	return ioErr("sync index", err)
}

// final marks the error of a sync: what is on the disk is not known, and another sync that succeeds would not tell.
func final(err error) error {
	if err == nil {
		return nil
	}
	return &fatalError{err}
}

func syncFile(fs vfs.FS, path string) error {
	f, err := fs.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// retire closes the file for ever. The files of a segment that is deleted, or of a log that is closed, are opened no more.
func (x *index) retire() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.retired = true
	if x.file != nil {
		x.file.Close()
		x.file = nil
	}
}

// floor finds the last entry for which le holds; entries for which it holds come first. slot is -1 if there is none.
// The entry is copied to into.
func (x *index) floor(into []byte, le func(entry []byte) bool) (slot int, err error) {
	x.mu.RLock()
	for !x.active && x.file == nil { // again if it is closed between the two locks
		x.mu.RUnlock()
		if err := x.open(); err != nil {
			return -1, err
		}
		x.mu.RLock()
	}
	defer x.mu.RUnlock()
	x.use.mark()
	if x.active {
		lo := search(x.count, func(i int) bool { return le(x.data[i*x.entrySize:]) })
		if lo > 0 {
			copy(into, x.data[(lo-1)*x.entrySize:lo*x.entrySize])
		}
		return lo - 1, nil
	}
	return x.floorInFile(into, le)
}

// floorInFile searches by pages, so that the last ten steps of a binary search are one read. Caller holds mu.
func (x *index) floorInFile(into []byte, le func([]byte) bool) (int, error) {
	page := x.env.buffers.getScan()
	defer x.env.buffers.putScan(page)
	perPage := len(*page) / x.entrySize
	lo, hi := 0, x.count // entries before lo hold, entries from hi on do not
	for lo < hi {
		first := (lo + hi) / 2 / perPage * perPage
		n := min(perPage, x.count-first)
		b := (*page)[:n*x.entrySize]
		if got, err := x.file.ReadAt(b, int64(first*x.entrySize)); got < len(b) {
			return -1, ioErr("read index", orShort(err))
		}
		k := search(n, func(i int) bool { return le(b[i*x.entrySize:]) })
		if k > 0 {
			lo = max(lo, first+k)
			copy(into, b[(k-1)*x.entrySize:k*x.entrySize])
		}
		if k < n {
			hi = min(hi, first+k)
		}
	}
	if lo > 0 { // the page read last need not be the one with the entry
		if got, err := x.file.ReadAt(into[:x.entrySize], int64((lo-1)*x.entrySize)); got < x.entrySize {
			return -1, ioErr("read index", orShort(err))
		}
	}
	return lo - 1, nil
}

// search is how many of n entries hold.
func search(n int, le func(i int) bool) int {
	lo, hi := 0, n
	for lo < hi {
		if mid := int(uint(lo+hi) >> 1); le(mid) {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// at reads entry i into a slice.
func (x *index) at(i int, into []byte) error {
	if _, err := x.entries(); err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if i < 0 || i >= x.count {
		return fmt.Errorf("index has no entry %d", i)
	}
	if x.active {
		copy(into, x.data[i*x.entrySize:(i+1)*x.entrySize])
		return nil
	}
	if err := x.openLocked(); err != nil {
		return err
	}
	if n, err := x.file.ReadAt(into[:x.entrySize], int64(i*x.entrySize)); n < x.entrySize {
		return ioErr("read index", orShort(err))
	}
	return nil
}
