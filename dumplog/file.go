package dumplog

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
)

const (
	// maxFileBytes bounds every file, as Java's int positions do.
	maxFileBytes = math.MaxInt32
	// windowBytes is what is read ahead of small reads.
	windowBytes = 64 << 10
)

var errEndOfFile = errors.New("the file ends before what was expected there")

// content is what file needs of an *os.File.
type content interface {
	io.ReaderAt
	io.Closer
}

// file reads a file at any position through a window.
type file struct {
	f    content
	path string
	size int64 // when it was opened; what is appended later is not seen
	buf  []byte
	at   int64 // position of buf
}

func newFile(f content, path string, size int64) *file {
	return &file{f: f, path: path, size: size, buf: make([]byte, 0, min(size, windowBytes))}
}

// openFile opens a file of the disk.
func openFile(path string) (*file, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errors.New("not a regular file")
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	if info.Size() > maxFileBytes {
		f.Close()
		return nil, javaErrorf("The size of segment %s (%d) is larger than the maximum allowed segment size of %d", path, info.Size(), maxFileBytes)
	}
	return newFile(f, path, info.Size()), nil
}

// close ends the use of a file that was only read: an error would tell nothing.
func (f *file) close() { f.f.Close() }

// peek returns n <= windowBytes bytes at a position, valid until the next call. Fewer are errEndOfFile.
func (f *file) peek(at int64, n int) ([]byte, error) {
	if at < f.at || at+int64(n) > f.at+int64(len(f.buf)) {
		if n > cap(f.buf) {
			return nil, errEndOfFile
		}
		got, err := f.f.ReadAt(f.buf[:cap(f.buf)], at)
		f.at, f.buf = at, f.buf[:got]
		if err != nil && err != io.EOF {
			return nil, err
		}
		if got < n {
			return nil, errEndOfFile
		}
	}
	return f.buf[at-f.at:][:n], nil
}

// read fills b from a position.
func (f *file) read(b []byte, at int64) error {
	n, err := f.f.ReadAt(b, at)
	if n == len(b) {
		return nil
	}
	if err == io.EOF {
		return errEndOfFile
	}
	return err
}

// describe is FileRecords.toString of a whole file.
func (f *file) describe() string {
	return fmt.Sprintf("FileRecords(size=%d, file=%s, start=0, end=%d)", f.size, f.path, math.MaxInt32)
}

// slice is the part of a file that batches are read from: positions of the file, end exclusive.
type slice struct {
	f        *file
	pos, end int64
}

// slice is FileRecords.slice.
func (f *file) slice(position, size int32) (slice, error) {
	switch {
	case position < 0:
		return slice{}, javaErrorf("Invalid position: %d in read from %s", position, f.describe())
	case int64(position) > f.size:
		return slice{}, javaErrorf("Slice from position %d exceeds end position of %s", position, f.describe())
	case size < 0:
		return slice{}, javaErrorf("Invalid size: %d in read from %s", size, f.describe())
	}
	return slice{f: f, pos: int64(position), end: min(int64(position)+int64(size), f.size)}, nil
}
