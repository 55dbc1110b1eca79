package vfs

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/windows"
)

func syncData(f *os.File) error { return f.Sync() }

func reserve(*os.File, int64, int64) error { return nil }

// syncDir does nothing: Windows cannot sync a directory through an ordinary handle, NTFS journals its entries.
func syncDir(string) error { return nil }

func syncVolume(string) error { return errors.ErrUnsupported }

func lockFile(name string) (io.Closer, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	const wholeFile = ^uint32(0)
	err = windows.LockFileEx(windows.Handle(f.Fd()), windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY,
		0, wholeFile, wholeFile, new(windows.Overlapped))
	if err != nil {
		f.Close()
		if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
			return nil, fmt.Errorf("%s: %w", name, ErrLocked)
		}
		return nil, &os.PathError{Op: "lock", Path: name, Err: err}
	}
	return f, nil
}

func space(name string) (total, usable uint64, err error) {
	p, err := windows.UTF16PtrFromString(name)
	if err != nil {
		return 0, 0, &os.PathError{Op: "space", Path: name, Err: err}
	}
	if err := windows.GetDiskFreeSpaceEx(p, &usable, &total, nil); err != nil {
		return 0, 0, &os.PathError{Op: "space", Path: name, Err: err}
	}
	return total, usable, nil
}
