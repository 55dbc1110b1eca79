package embedded

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"os"
	"path/filepath"

	"gokafka/internal/vfs"
)

// logFile is the log being appended to. One goroutine owns it.
type logFile struct {
	f    vfs.File
	name string // full path
	seed uint32
	end  int64 // bytes in it; everything before is synced, unless syncs are off
	sync bool
}

// errDiskFull wraps a failed append after which the log is exactly as it was before it.
var errDiskFull = errors.New("no space for the coordination log")

// createLog makes an empty log whose header and name are durable.
func createLog(fs vfs.FS, dir string, h fileHeader, sync bool) (*logFile, error) {
	name := filepath.Join(dir, logName(h.zxid))
	f, err := fs.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create coordination log: %w", err)
	}
	l := &logFile{f: f, name: name, seed: h.seed(), end: fileHeaderBytes, sync: sync}
	if _, err = f.WriteAt(h.append(nil), 0); err == nil {
		if err = f.Sync(); err == nil {
			err = fs.SyncDir(dir)
		}
	}
	if err != nil {
		return nil, fmt.Errorf("create coordination log %s: %w", name, errors.Join(err, f.Close(), fs.Remove(name)))
	}
	return l, nil
}

// frameRecord appends a payload with room for what append fills in.
func frameRecord(b, payload []byte) []byte {
	b = appendI32(b, int32(len(payload)))
	b = appendI32(b, 0)
	return append(b, payload...)
}

// seal puts durable offset and CRC into framed records.
func (l *logFile) seal(records []byte) {
	durable := l.end
	if !l.sync {
		durable = fileHeaderBytes
	}
	for rest := records; len(rest) > 0; {
		n := recordPrefixBytes + int(binary.BigEndian.Uint32(rest))
		payload := rest[recordPrefixBytes:n]
		binary.BigEndian.PutUint32(payload[1:], uint32(min(durable, math.MaxUint32)))
		binary.BigEndian.PutUint32(rest[4:], crc32.Update(l.seed, castagnoli(), payload))
		rest = rest[n:]
	}
}

// append seals, writes and syncs framed records. An error that is not
// errDiskFull leaves the file in an unknown state: nothing may be appended or acknowledged any more, and the sync must
// not be tried again (after a failed one the kernel may report the next as good without the data on disk).
func (l *logFile) append(records []byte) error {
	if len(records) == 0 {
		return nil
	}
	l.seal(records)
	if _, err := l.f.WriteAt(records, l.end); err != nil {
		err = fmt.Errorf("append to %s at offset %d: %w", l.name, l.end, err)
		if !diskFull(err) {
			return err
		}
		if cut := l.f.Truncate(l.end); cut != nil {
			return fmt.Errorf("%w; and cutting it back failed: %w", err, cut)
		}
		return fmt.Errorf("%w: %w", errDiskFull, err)
	}
	if l.sync {
		if err := l.f.Sync(); err != nil {
			return fmt.Errorf("sync %s: %w", l.name, err)
		}
	}
	l.end += int64(len(records))
	return nil
}

// nextRecord returns the payload at off of a log's content, and where the next record starts. nil says that there is no
// good record at off.
func nextRecord(content []byte, off int, seed uint32) (payload []byte, next int) {
	if len(content)-off < recordPrefixBytes+recordHeaderBytes {
		return nil, off
	}
	n := int(binary.BigEndian.Uint32(content[off:]))
	if n < recordHeaderBytes || n > maxRecordBytes || n > len(content)-off-recordPrefixBytes {
		return nil, off
	}
	next = off + recordPrefixBytes + n
	payload = content[off+recordPrefixBytes : next : next]
	if crc32.Update(seed, castagnoli(), payload) != binary.BigEndian.Uint32(content[off+4:]) {
		return nil, off
	}
	return payload, next
}

// corruptAt says whether the bad record at off had been synced: a good record behind it knew the file to be durable
// beyond off. Otherwise it is the torn end of what was being written. zxid is that of the last good record before off.
func corruptAt(content []byte, off int, seed uint32, zxid int64) bool {
	limit := zxid + int64(len(content)-off)/(recordPrefixBytes+recordHeaderBytes) + 1
	for p := off + 1; p+recordPrefixBytes+recordHeaderBytes <= len(content); p++ {
		h := (&decoder{b: content[p+recordPrefixBytes:]}).recordHeader()
		if int64(h.durable) <= int64(off) || h.zxid <= zxid || h.zxid > limit {
			continue
		}
		if payload, _ := nextRecord(content, p, seed); payload != nil {
			return true
		}
	}
	return false
}
