// Package vfs is the seam between gokafka and the file system. All files of a log directory are read and written
// through it, so that tests can replace the disk by memory, lose what was not synced, count syncs, and fail any call.
//
// Names are paths as the operating system writes them. No implementation buffers: a Write that returned is in the
// page cache (or in what stands for it) and survives the death of the process; only Sync and SyncDir make data and
// directory entries survive a power failure.
package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// FS is a file system. Errors satisfy errors.Is with fs.ErrNotExist, fs.ErrExist and the like, as package os's do.
type FS interface {
	// OpenFile opens name with the flags of package os (O_RDONLY, O_RDWR, O_CREATE, O_EXCL, O_TRUNC). O_APPEND is not supported.
	OpenFile(name string, flag int, perm os.FileMode) (File, error)
	MkdirAll(name string, perm os.FileMode) error
	// Remove removes a file or an empty directory.
	Remove(name string) error
	RemoveAll(name string) error
	// Rename replaces newname atomically if it is a file. Not durable before SyncDir of the parent directories.
	Rename(oldname, newname string) error
	// ReadDir lists a directory, sorted by name.
	ReadDir(name string) ([]fs.DirEntry, error)
	Stat(name string) (fs.FileInfo, error)
	// SetModTime sets when name was last modified.
	SetModTime(name string, t time.Time) error
	// SyncDir makes the entries of directory name durable.
	SyncDir(name string) error
	// Lock takes an exclusive advisory lock on file name, created if missing, and fails at once with ErrLocked if
	// another process (or another holder in this one) has it. Closing the result releases the lock and leaves the file.
	Lock(name string) (io.Closer, error)
	// Space gives the total and the usable bytes of the volume that holds name.
	Space(name string) (totalBytes, usableBytes uint64, err error)
}

// File is an open file. ReadAt and WriteAt may run concurrently; the owner orders writes, truncations and Close.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	Name() string
	// Size is the length in bytes.
	Size() (int64, error)
	Truncate(sizeBytes int64) error
	// Sync makes the file's data and length durable. After an error the state of the unsynced data is unknown:
	// callers must not retry it as success.
	Sync() error
	// Reserve asks for disk blocks for [off, off+n) without changing the file's length. Best effort: an
	// implementation without it returns nil. A full disk is an error.
	Reserve(off, n int64) error
}

// RawFile is a File whose descriptor can be handed to the kernel (sendfile, pwritev).
type RawFile interface {
	File
	SyscallConn() (syscall.RawConn, error)
}

// ErrLocked says that another holder has the lock.
var ErrLocked = errors.New("locked by another process")
