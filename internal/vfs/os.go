package vfs

import (
	"io"
	"io/fs"
	"os"
	"syscall"
	"time"
)

// OS returns the file system of the operating system.
func OS() FS { return osFS{} }

// VolumeSyncer is an FS that can make everything written to a volume durable with one call. Many small files created
// together then cost one sync instead of one or two each. What is synced may include other programs' data.
type VolumeSyncer interface {
	// SyncVolume syncs the volume that holds name: data and directory entries. It returns errors.ErrUnsupported where the system
	// has no such call; the caller then syncs file by file.
	SyncVolume(name string) error
}

type osFS struct{}

func (osFS) OpenFile(name string, flag int, perm os.FileMode) (File, error) {
	f, err := os.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (osFS) MkdirAll(name string, perm os.FileMode) error { return os.MkdirAll(name, perm) }
func (osFS) Remove(name string) error                     { return os.Remove(name) }
func (osFS) RemoveAll(name string) error                  { return os.RemoveAll(name) }
func (osFS) Rename(oldname, newname string) error         { return os.Rename(oldname, newname) }
func (osFS) ReadDir(name string) ([]fs.DirEntry, error)   { return os.ReadDir(name) }
func (osFS) Stat(name string) (fs.FileInfo, error)        { return os.Stat(name) }
func (osFS) SyncDir(name string) error                    { return syncDir(name) }
func (osFS) SetModTime(name string, t time.Time) error    { return os.Chtimes(name, time.Time{}, t) }
func (osFS) SyncVolume(name string) error                 { return syncVolume(name) }
func (osFS) Lock(name string) (io.Closer, error)          { return lockFile(name) }
func (osFS) Space(name string) (uint64, uint64, error)    { return space(name) }

// osFile adds to *os.File what package os lacks. Name is the path the file was opened under, also after a rename.
type osFile struct{ *os.File }

func (f osFile) Size() (int64, error) {
	st, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

func (f osFile) Sync() error                { return syncData(f.File) }
func (f osFile) Reserve(off, n int64) error { return reserve(f.File, off, n) }

func (f osFile) SyscallConn() (syscall.RawConn, error) { return f.File.SyscallConn() }

var _ RawFile = osFile{}
