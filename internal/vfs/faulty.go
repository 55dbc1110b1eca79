package vfs

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync/atomic"
	"time"
)

// OpKind names a call through the seam.
type OpKind int

// The calls.
const (
	OpOpen OpKind = iota
	OpMkdir
	OpRemove
	OpRename
	OpReadDir
	OpStat
	OpSyncDir
	OpSyncVolume
	OpLock
	OpRead
	OpWrite
	OpTruncate
	OpSync
	OpReserve
	OpClose
	opKinds
)

var opNames = [opKinds]string{"open", "mkdir", "remove", "rename", "readdir", "stat", "syncdir", "syncvolume", "lock",
	"read", "write", "truncate", "sync", "reserve", "close"}

func (k OpKind) String() string {
	if k < 0 || k >= opKinds {
		return fmt.Sprintf("op(%d)", int(k))
	}
	return opNames[k]
}

// Op is one call about to be made.
type Op struct {
	Kind    OpKind
	Name    string // the file or directory, as it was opened
	NewName string // OpRename only
	Off     int64  // OpRead, OpWrite, OpReserve; the new length for OpTruncate
	Len     int    // OpRead, OpWrite
	Flag    int    // OpOpen
}

// ShortWrite is what a hook returns to let a write store only its first N bytes and then fail with Err.
type ShortWrite struct {
	N   int
	Err error
}

func (e *ShortWrite) Error() string { return fmt.Sprintf("short write of %d bytes: %v", e.N, e.Err) }

// Unwrap returns the cause.
func (e *ShortWrite) Unwrap() error { return e.Err }

// Faulty is an FS that asks a hook before each call and counts the calls. When the hook returns an error the call is not made
// and fails with it (a ShortWrite is made in part). Its files offer no descriptor, so everything goes through the hook.
type Faulty struct {
	fs     FS
	hook   func(Op) error
	counts [opKinds]atomic.Int64
}

// NewFaulty wraps fs. A nil hook only counts. The hook is called concurrently.
func NewFaulty(fs FS, hook func(Op) error) *Faulty { return &Faulty{fs: fs, hook: hook} }

// Count is the number of calls of a kind so far, failed ones included.
func (f *Faulty) Count(k OpKind) int64 { return f.counts[k].Load() }

func (f *Faulty) before(op Op) error {
	f.counts[op.Kind].Add(1)
	if f.hook == nil {
		return nil
	}
	return f.hook(op)
}

// OpenFile implements FS.
func (f *Faulty) OpenFile(name string, flag int, perm os.FileMode) (File, error) {
	if err := f.before(Op{Kind: OpOpen, Name: name, Flag: flag}); err != nil {
		return nil, err
	}
	file, err := f.fs.OpenFile(name, flag, perm)
	if err != nil {
		return nil, err
	}
	return &faultyFile{File: file, fs: f, name: name}, nil
}

// MkdirAll implements FS.
func (f *Faulty) MkdirAll(name string, perm os.FileMode) error {
	if err := f.before(Op{Kind: OpMkdir, Name: name}); err != nil {
		return err
	}
	return f.fs.MkdirAll(name, perm)
}

// Remove implements FS.
func (f *Faulty) Remove(name string) error {
	if err := f.before(Op{Kind: OpRemove, Name: name}); err != nil {
		return err
	}
	return f.fs.Remove(name)
}

// RemoveAll implements FS.
func (f *Faulty) RemoveAll(name string) error {
	if err := f.before(Op{Kind: OpRemove, Name: name}); err != nil {
		return err
	}
	return f.fs.RemoveAll(name)
}

// Rename implements FS.
func (f *Faulty) Rename(oldname, newname string) error {
	if err := f.before(Op{Kind: OpRename, Name: oldname, NewName: newname}); err != nil {
		return err
	}
	return f.fs.Rename(oldname, newname)
}

// ReadDir implements FS.
func (f *Faulty) ReadDir(name string) ([]fs.DirEntry, error) {
	if err := f.before(Op{Kind: OpReadDir, Name: name}); err != nil {
		return nil, err
	}
	return f.fs.ReadDir(name)
}

// Stat implements FS.
func (f *Faulty) Stat(name string) (fs.FileInfo, error) {
	if err := f.before(Op{Kind: OpStat, Name: name}); err != nil {
		return nil, err
	}
	return f.fs.Stat(name)
}

// SetModTime passes on.
func (f *Faulty) SetModTime(name string, t time.Time) error { return f.fs.SetModTime(name, t) }

// SyncDir implements FS.
func (f *Faulty) SyncDir(name string) error {
	if err := f.before(Op{Kind: OpSyncDir, Name: name}); err != nil {
		return err
	}
	return f.fs.SyncDir(name)
}

// SyncVolume implements VolumeSyncer.
func (f *Faulty) SyncVolume(name string) error {
	if err := f.before(Op{Kind: OpSyncVolume, Name: name}); err != nil {
		return err
	}
	return SyncVolume(f.fs, name)
}

// Lock implements FS.
func (f *Faulty) Lock(name string) (io.Closer, error) {
	if err := f.before(Op{Kind: OpLock, Name: name}); err != nil {
		return nil, err
	}
	return f.fs.Lock(name)
}

// Space implements FS.
func (f *Faulty) Space(name string) (totalBytes, usableBytes uint64, err error) {
	return f.fs.Space(name)
}

type faultyFile struct {
	File
	fs   *Faulty
	name string
}

func (f *faultyFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.fs.before(Op{Kind: OpRead, Name: f.name, Off: off, Len: len(p)}); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

func (f *faultyFile) WriteAt(p []byte, off int64) (int, error) {
	err := f.fs.before(Op{Kind: OpWrite, Name: f.name, Off: off, Len: len(p)})
	if short, ok := err.(*ShortWrite); ok {
		n, werr := f.File.WriteAt(p[:min(short.N, len(p))], off)
		if werr != nil {
			return n, werr
		}
		return n, short.Err
	}
	if err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

func (f *faultyFile) Truncate(sizeBytes int64) error {
	if err := f.fs.before(Op{Kind: OpTruncate, Name: f.name, Off: sizeBytes}); err != nil {
		return err
	}
	return f.File.Truncate(sizeBytes)
}

func (f *faultyFile) Sync() error {
	if err := f.fs.before(Op{Kind: OpSync, Name: f.name}); err != nil {
		return err
	}
	return f.File.Sync()
}

func (f *faultyFile) Reserve(off, n int64) error {
	if err := f.fs.before(Op{Kind: OpReserve, Name: f.name, Off: off, Len: int(n)}); err != nil {
		return err
	}
	return f.File.Reserve(off, n)
}

func (f *faultyFile) Close() error {
	if err := f.fs.before(Op{Kind: OpClose, Name: f.name}); err != nil {
		f.File.Close()
		return err
	}
	return f.File.Close()
}
