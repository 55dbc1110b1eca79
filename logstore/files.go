package logstore

import (
	"errors"
	"sync"
	"sync/atomic"
)

// Files keeps the number of files that a broker's logs hold open near a limit: what was not used lately is closed, and opened again when it is needed. Files with
// unsynced writes stay open, or the system might forget to tell of an error; Pressed asks for them to be flushed. Safe for concurrent use.
type Files struct {
	limit   int
	pressed chan struct{} // capacity 1

	mu   sync.Mutex // a leaf
	list []idler    // in the order of opening; what was closed by its owner leaves it when its turn comes
}

// idler is an open file that can be closed while nobody uses it.
type idler interface {
	// closeIdle closes the file, unless it was used since the last call, is in use, or has unsynced writes. It says whether the file is closed. It waits for no lock.
	closeIdle() bool
}

// looks bounds how many files are looked at for one that is opened.
const looks = 32

// NewFiles keeps about limit files open.
func NewFiles(limit int) *Files {
	return &Files{limit: max(limit, 1), pressed: make(chan struct{}, 1)}
}

// Pressed is signalled when the files that are open beyond the limit cannot be closed: they are in use, or their writes are not synced.
func (f *Files) Pressed() <-chan struct{} { return f.pressed }

// Over says by how many files the limit is exceeded.
func (f *Files) Over() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return max(0, len(f.list)-f.limit)
}

// opened notes an open file and closes others if there are too many. The caller may hold the lock of x.
func (f *Files) opened(x idler) {
	f.mu.Lock()
	f.list = append(f.list, x)
	f.mu.Unlock()
	if f.closeSome(f.limit, looks) {
		return
	}
	select {
	case f.pressed <- struct{}{}:
	default:
	}
}

// Trim closes what it can until the limit holds, and says whether it does.
func (f *Files) Trim() bool {
	f.mu.Lock()
	n := len(f.list)
	f.mu.Unlock()
	return f.closeSome(f.limit, 2*n) // once for those that were used, once more to close them
}

// closeSome looks at up to n files, oldest first, and closes them until no more than keep are open.
func (f *Files) closeSome(keep, n int) bool {
	for range n {
		f.mu.Lock()
		if len(f.list) <= keep {
			f.mu.Unlock()
			return true
		}
		x := f.list[0]
		f.list[0] = nil
		f.list = f.list[1:]
		f.mu.Unlock()
		if !x.closeIdle() {
			f.mu.Lock()
			f.list = append(f.list, x)
			f.mu.Unlock()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.list) <= keep
}

// again calls open, and if the process has no descriptor left, once more after half of what is open was closed.
func (f *Files) again(open func() error) error {
	err := open()
	if !isTooManyFiles(err) {
		return err
	}
	f.mu.Lock()
	n := len(f.list)
	f.mu.Unlock()
	f.closeSome(n/2, 2*n)
	return open()
}

// use is the mark of a file that was used since it was last looked at.
type use struct{ lately atomic.Bool }

func (u *use) mark() {
	if !u.lately.Load() { // readers share the cache line
		u.lately.Store(true)
	}
}

// idle says whether the file was not used since the last call.
func (u *use) idle() bool { return !u.lately.Swap(false) }

func isTooManyFiles(err error) bool {
	return err != nil && (errors.Is(err, errProcessFiles) || errors.Is(err, errSystemFiles))
}
