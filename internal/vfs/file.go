package vfs

import (
	"errors"
	"io"
	"io/fs"
	"os"
)

// SyncVolume syncs the volume that holds name if fsys can, and else returns errors.ErrUnsupported.
func SyncVolume(fsys FS, name string) error {
	if v, ok := fsys.(VolumeSyncer); ok {
		return v.SyncVolume(name)
	}
	return errors.ErrUnsupported
}

// ReadFile reads a whole file of at most maxBytes; a longer one is an error, so that a broken file cannot fill the memory.
func ReadFile(fsys FS, name string, maxBytes int64) ([]byte, error) {
	f, err := fsys.OpenFile(name, os.O_RDONLY, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, err
	}
	if size > maxBytes {
		return nil, &fs.PathError{Op: "read", Path: name, Err: errors.New("file is too long")}
	}
	b := make([]byte, size)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return b[:n], nil
}

// WriteFile writes name anew. With sync, the content is durable when it returns; the directory entry is not.
func WriteFile(fsys FS, name string, content []byte, sync bool) error {
	f, err := fsys.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	if len(content) > 0 {
		_, err = f.WriteAt(content, 0)
	}
	if err == nil && sync {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// Exists says whether name exists; an error other than "does not exist" is returned.
func Exists(fsys FS, name string) (bool, error) {
	_, err := fsys.Stat(name)
	switch {
	case err == nil:
		return true, nil
	case errors.Is(err, fs.ErrNotExist):
		return false, nil
	}
	return false, err
}

// RemoveIfExists removes a file that may be missing.
func RemoveIfExists(fsys FS, name string) error {
	if err := fsys.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
