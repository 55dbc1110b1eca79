package embedded

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"gokafka/internal/vfs"
)

const (
	filePrefix     = ".gokafka-coordination."
	logPrefix      = filePrefix + "log."
	snapshotPrefix = filePrefix + "snapshot."
	lockName       = filePrefix + "lock"
	tmpSuffix      = ".tmp"

	fileVersion     = 1
	fileHeaderBytes = 44
	maxFileBytes    = 4 << 30 // offsets in records are u32
)

const (
	kindLog      = 'L'
	kindSnapshot = 'S'
)

// databaseID is drawn when a directory is first used and stands in every file of it. It is also the key from which
// session passwords are made, so the files are readable by their owner only.
type databaseID [16]byte

func newDatabaseID() (id databaseID) {
	rand.Read(id[:]) // never fails (Go 1.24)
	return id
}

// fileHeader starts every file. Its CRC is the seed of all CRCs in the file.
type fileHeader struct {
	kind byte
	id   databaseID
	zxid int64 // log: the first it may hold; snapshot: its last
}

func magic() []byte { return []byte("gkcoord\n") }

func castagnoli() *crc32.Table { return crc32.MakeTable(crc32.Castagnoli) } // made once by the standard library

func (h fileHeader) append(b []byte) []byte {
	start := len(b)
	b = append(b, magic()...)
	b = appendI32(b, fileVersion)
	b = append(b, h.kind, 0, 0, 0)
	b = append(b, h.id[:]...)
	b = appendI64(b, h.zxid)
	return appendI32(b, int32(crc32.Checksum(b[start:], castagnoli())))
}

// seed is the CRC in the header.
func (h fileHeader) seed() uint32 {
	var scratch [fileHeaderBytes]byte
	b := h.append(scratch[:0])
	return crc32.Checksum(b[:fileHeaderBytes-4], castagnoli())
}

var errHeader = errors.New("bad file header")

func parseFileHeader(b []byte, kind byte) (h fileHeader, err error) {
	if len(b) < fileHeaderBytes {
		return h, fmt.Errorf("%w: %d bytes", errHeader, len(b))
	}
	d := decoder{b: b[:fileHeaderBytes]}
	if !bytes.Equal(d.take(8), magic()) {
		return h, fmt.Errorf("%w: not a coordination file", errHeader)
	}
	version := d.i32()
	h.kind = d.u8()
	d.take(3)
	copy(h.id[:], d.take(16))
	h.zxid = d.i64()
	if crc := uint32(d.i32()); crc != crc32.Checksum(b[:fileHeaderBytes-4], castagnoli()) {
		return h, fmt.Errorf("%w: CRC does not match", errHeader)
	}
	if version != fileVersion {
		return h, fmt.Errorf("%w: format version %d, this build reads %d", errHeader, version, fileVersion)
	}
	if h.kind != kind {
		return h, fmt.Errorf("%w: kind %q, want %q", errHeader, h.kind, kind)
	}
	return h, nil
}

func logName(first int64) string     { return fmt.Sprintf("%s%016x", logPrefix, first) }
func snapshotName(last int64) string { return fmt.Sprintf("%s%016x", snapshotPrefix, last) }

// listing is what a directory holds, by ascending zxid.
type listing struct {
	logs, snapshots []int64
	tmp             []string
}

func list(fs vfs.FS, dir string) (l listing, err error) {
	entries, err := fs.ReadDir(dir)
	if err != nil {
		return l, fmt.Errorf("coordination directory: %w", err)
	}
	for _, e := range entries {
		name := e.Name()
		if strings.HasPrefix(name, filePrefix) && strings.HasSuffix(name, tmpSuffix) {
			l.tmp = append(l.tmp, filepath.Join(dir, name))
		} else if zxid, ok := zxidOf(name, logPrefix); ok {
			l.logs = append(l.logs, zxid)
		} else if zxid, ok := zxidOf(name, snapshotPrefix); ok {
			l.snapshots = append(l.snapshots, zxid)
		}
	}
	slices.Sort(l.logs)
	slices.Sort(l.snapshots)
	return l, nil
}

func zxidOf(name, prefix string) (int64, bool) {
	hex, ok := strings.CutPrefix(name, prefix)
	if !ok || len(hex) != 16 {
		return 0, false
	}
	zxid, err := strconv.ParseInt(hex, 16, 64)
	return zxid, err == nil
}
