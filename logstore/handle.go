package logstore

import (
	"errors"
	"io"
	"os"
	"sync"
	"sync/atomic"

	"gokafka/internal/vfs"
)

// fileHandle is a segment's .log file: opened when first needed, and counted, so that a file that was deleted, or whose log was
// closed, stays open until the last answer that promises its bytes is sent.
type fileHandle struct {
	fs    vfs.FS
	files *Files
	path  func() string // where it is now
	use   use
	// unsynced says that something was written since the last sync began.
	unsynced atomic.Bool

	mu     sync.Mutex
	file   vfs.File
	refs   int  // answers and readers that hold file
	retire bool // close the file when refs reaches 0, and open it no more

	cutGen atomic.Int64 // counts truncations; starts at 0
	cutMu  sync.Mutex
	cuts   []cut // ascending in gen and in size: a later, deeper cut replaces those before it
}

// cut is a truncation to a length, the gen-th of this file.
type cut struct{ gen, size int64 }

var errRetired = errors.New("segment file is closed")

// acquire opens the file if need be and holds it. The caller releases it.
func (h *fileHandle) acquire() (vfs.File, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.file == nil {
		if h.retire {
			return nil, errRetired
		}
		if err := h.files.again(h.openLocked); err != nil {
			return nil, err
		}
		h.files.opened(h)
	}
	h.refs++
	h.use.mark()
	return h.file, nil
}

func (h *fileHandle) openLocked() (err error) {
	h.file, err = openRenamed(h.path, func(path string) (vfs.File, error) { return h.fs.OpenFile(path, os.O_RDWR, 0) })
	return err
}

// created takes over the file of a new segment.
func (h *fileHandle) created(f vfs.File) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.file = f
	h.use.mark()
	h.files.opened(h)
}

func (h *fileHandle) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.refs--
	if h.refs == 0 && h.retire {
		h.closeLocked()
	}
}

// retireNow closes the file as soon as nobody holds it.
func (h *fileHandle) retireNow() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.retire = true
	if h.refs == 0 {
		h.closeLocked()
	}
}

func (h *fileHandle) closeIdle() bool {
	if !h.mu.TryLock() {
		return false
	}
	defer h.mu.Unlock()
	if h.file != nil && h.use.idle() && h.refs == 0 && !h.unsynced.Load() {
		h.closeLocked()
	}
	return h.file == nil
}

// closeUnused closes the file of a log that was loaded, until it is needed.
func (h *fileHandle) closeUnused() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.refs == 0 && !h.unsynced.Load() {
		h.closeLocked()
	}
}

func (h *fileHandle) closeLocked() {
	if h.file != nil {
		h.file.Close() // read only from here on, or synced before: nothing is lost by an error
		h.file = nil
	}
}

// noteCut records that the file was truncated, so that ranges promised before can be told to be broken.
func (h *fileHandle) noteCut(size int64) {
	h.cutMu.Lock()
	defer h.cutMu.Unlock()
	gen := h.cutGen.Add(1)
	for n := len(h.cuts); n > 0 && h.cuts[n-1].size >= size; n = len(h.cuts) {
		h.cuts = h.cuts[:n-1]
	}
	h.cuts = append(h.cuts, cut{gen, size})
}

// cutSince says whether a truncation after the gen-th went below end.
func (h *fileHandle) cutSince(gen, end int64) bool {
	h.cutMu.Lock()
	defer h.cutMu.Unlock()
	for _, c := range h.cuts {
		if c.gen > gen && c.size < end {
			return true
		}
	}
	return false
}

// FileRange is a run of bytes of a segment file, promised to a reader. The zero value is an empty range that needs no Release.
// A range with bytes holds a reference on the open file: deletion, roll and Close of the log leave it readable.
type FileRange struct {
	File vfs.File // nil if the range is empty
	Pos  int64
	Len  int

	handle *fileHandle
	gen    int64
}

// Retain takes another reference. Each needs its own Release.
func (r FileRange) Retain() {
	if r.handle != nil {
		r.handle.mu.Lock()
		r.handle.refs++
		r.handle.mu.Unlock()
	}
}

// Release gives the reference back; the range must not be used afterwards.
func (r FileRange) Release() {
	if r.handle != nil {
		r.handle.release()
	}
}

// Truncated says that the log was truncated below the range's end since the range was made: what was sent of it may be wrong and
// the connection must be closed. Ask after sending.
func (r FileRange) Truncated() bool {
	return r.handle != nil && r.handle.cutGen.Load() != r.gen && r.handle.cutSince(r.gen, r.Pos+int64(r.Len))
}

// ReadAt reads from position off within the range.
func (r FileRange) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 || off >= int64(r.Len) {
		return 0, io.EOF
	}
	short := false
	if left := int64(r.Len) - off; int64(len(p)) > left {
		p, short = p[:left], true
	}
	n, err := r.File.ReadAt(p, r.Pos+off)
	if err == nil && short {
		err = io.EOF
	}
	if n == len(p) && !short && errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

// CopyTo reads the whole range into dst, which has at least Len bytes.
func (r FileRange) CopyTo(dst []byte) error {
	if r.Len == 0 {
		return nil
	}
	n, err := r.File.ReadAt(dst[:r.Len], r.Pos)
	if n == r.Len {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		err = io.ErrUnexpectedEOF
	}
	return err
}
