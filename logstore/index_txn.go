package logstore

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"gokafka/internal/vfs"
)

// txnEntryBytes is the size of an entry: int16 version, then producer id, first offset, last offset, last stable offset.
const txnEntryBytes = 34

// AbortedTxn is an aborted transaction: producer, first offset, offset of the abort marker, and the last stable offset
// that its completion left (Kafka 3.9 AbortedTxn).
type AbortedTxn struct {
	ProducerID                                int64
	FirstOffset, LastOffset, LastStableOffset int64
}

func (t AbortedTxn) encode(b []byte) []byte {
	b = binary.BigEndian.AppendUint16(b, 0)
	for _, v := range [...]int64{t.ProducerID, t.FirstOffset, t.LastOffset, t.LastStableOffset} {
		b = binary.BigEndian.AppendUint64(b, uint64(v))
	}
	return b
}

func decodeAborted(b []byte) (AbortedTxn, error) {
	if v := binary.BigEndian.Uint16(b); v != 0 {
		return AbortedTxn{}, fmt.Errorf("unknown version %d of an aborted transaction", v)
	}
	f := func(i int) int64 { return int64(binary.BigEndian.Uint64(b[2+8*i:])) }
	return AbortedTxn{f(0), f(1), f(2), f(3)}, nil
}

// txnIndex lists the transactions aborted in a segment, ascending by last offset. The file exists only when there are some.
// While the segment is active, entries are kept in memory and written with the other indexes.
type txnIndex struct {
	fs   vfs.FS
	path func() string

	mu      sync.RWMutex
	active  bool
	list    []AbortedTxn // active only
	written int          // entries of list that are in the file
	dirty   bool         // the file has changed since its last sync
	exists  bool
	retired bool
}

func newTxnIndex(fs vfs.FS, path func() string) *txnIndex {
	return &txnIndex{fs: fs, path: path, active: true}
}

func openTxnIndex(fs vfs.FS, path func() string, exists bool) *txnIndex {
	return &txnIndex{fs: fs, path: path, exists: exists}
}

func (x *txnIndex) activate() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.active {
		return nil
	}
	list, err := x.readFile()
	if err != nil {
		return err
	}
	x.active, x.list, x.written = true, list, len(list)
	return nil
}

// reset forgets all entries, of an index whose segment is recovered.
func (x *txnIndex) reset() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.active, x.list, x.written = true, nil, 0
}

func (x *txnIndex) add(t AbortedTxn) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.list = append(x.list, t)
}

// cut removes the entries from the first with a last offset ≥ target on.
func (x *txnIndex) cut(target int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for i, t := range x.list {
		if t.LastOffset >= target {
			x.list = x.list[:i]
			x.written = min(x.written, i)
			return
		}
	}
}

func (x *txnIndex) write() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.writeLocked()
}

func (x *txnIndex) writeLocked() error {
	if !x.active || x.retired || len(x.list) == 0 && !x.exists {
		return nil
	}
	f, err := x.fs.OpenFile(x.path(), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return ioErr("open transaction index", err)
	}
	defer f.Close()
	x.exists = true
	size, err := f.Size()
	if err != nil {
		return ioErr("write transaction index", err)
	}
	x.written = min(x.written, int(size)/txnEntryBytes)
	if x.written < len(x.list) {
		x.dirty = true
		var b []byte
		for _, t := range x.list[x.written:] {
			b = t.encode(b)
		}
		if _, err := f.WriteAt(b, int64(x.written*txnEntryBytes)); err != nil {
			return ioErr("write transaction index", err)
		}
		x.written = len(x.list)
	}
	if want := int64(len(x.list) * txnEntryBytes); size > want {
		x.dirty = true
		if err := f.Truncate(want); err != nil {
			return ioErr("trim transaction index", err)
		}
	}
	return nil
}

func (x *txnIndex) seal() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.active {
		return nil
	}
	if err := x.writeLocked(); err != nil {
		return err
	}
	x.active, x.list = false, nil
	return nil
}

func (x *txnIndex) needsSync() bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.dirty && x.exists
}

func (x *txnIndex) sync() error {
	x.mu.Lock()
	dirty := x.dirty && x.exists
	x.dirty = false
	path := x.path()
	x.mu.Unlock()
	if !dirty {
		return nil
	}
	f, err := x.fs.OpenFile(path, os.O_RDWR, 0)
	if err == nil {
		err = final(f.Sync())
		f.Close() // the sync said what there is to say
	}
	if err != nil {
		x.mu.Lock()
		x.dirty = true
		x.mu.Unlock()
	}
	return ioErr("sync transaction index", err)
}

func (x *txnIndex) retire() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.retired = true
}

func (x *txnIndex) present() bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.exists
}

// collect calls add for the transactions that a reader of [from, upper) must know of. complete says that no later segment has more.
func (x *txnIndex) collect(from, upper int64, add func(AbortedTxn)) (complete bool, err error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	list := x.list
	if !x.active {
		if !x.exists {
			return false, nil
		}
		if list, err = x.readFile(); err != nil {
			return false, err
		}
	}
	for _, t := range list {
		if t.LastOffset >= from && t.FirstOffset < upper {
			add(t)
		}
		if t.LastStableOffset >= upper {
			return true, nil
		}
	}
	return false, nil
}

// check says whether the index can be that of a segment with this base: whole entries, in the order of their ends, none below base
// (Kafka 3.9 TransactionIndex.sanityCheck looks for the last only), and each as a transaction can be.
func (x *txnIndex) check(base int64) error {
	list, torn, err := x.readAll()
	if err != nil {
		return err
	}
	last := base - 1
	for _, t := range list {
		if t.LastOffset <= last || t.ProducerID < 0 || t.FirstOffset < 0 || t.FirstOffset > t.LastOffset || t.LastStableOffset < 0 || t.LastStableOffset > t.LastOffset+1 {
			return fmt.Errorf("%s: aborted transaction %+v cannot follow offset %d: %w", x.path(), t, last, errCorruptIndex)
		}
		last = t.LastOffset
	}
	if torn > 0 {
		return fmt.Errorf("%s ends with %d bytes of an entry: %w", x.path(), torn, errCorruptIndex)
	}
	return nil
}

var errCorruptIndex = errors.New("index is corrupt")

// readFile reads all whole entries. Caller holds mu, or is the only user.
func (x *txnIndex) readFile() ([]AbortedTxn, error) {
	list, _, err := x.readAll()
	return list, err
}

// readAll is readFile, and says how many bytes are left behind the last whole entry.
func (x *txnIndex) readAll() (list []AbortedTxn, torn int, err error) {
	if !x.exists {
		return nil, 0, nil
	}
	b, err := vfs.ReadFile(x.fs, x.path(), maxIndexBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, 0, ioErr("read transaction index", err)
	}
	list = make([]AbortedTxn, 0, len(b)/txnEntryBytes)
	for ; len(b) >= txnEntryBytes; b = b[txnEntryBytes:] {
		t, err := decodeAborted(b)
		if err != nil {
			return nil, 0, fmt.Errorf("%s: %w: %w", x.path(), errCorruptIndex, err)
		}
		list = append(list, t)
	}
	return list, len(b), nil
}
