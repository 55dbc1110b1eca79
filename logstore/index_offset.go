package logstore

import (
	"encoding/binary"
	"math"
)

const offsetEntryBytes = 8

// offsetIndex maps offsets to positions: entries {offset - base, position}. An entry says that scanning from its position meets
// its offset; the offset is the last of the append that starts at the position (Kafka 3.9 LogSegment.append, OffsetIndex).
type offsetIndex struct {
	*index
	base int64
	last int64 // offset of the last entry; base if there is none. Guarded by Log.mu, valid while active
}

func newOffsetIndex(e *env, path func() string, base int64, maxSize int, later bool) (*offsetIndex, error) {
	x, err := newIndex(e, path, offsetEntryBytes, maxSize, later)
	return &offsetIndex{index: x, base: base, last: base}, err
}

func openOffsetIndex(e *env, path func() string, base int64, maxSize int) *offsetIndex {
	return &offsetIndex{index: openIndex(e, path, offsetEntryBytes, maxSize), base: base, last: base}
}

func (x *offsetIndex) activate(maxSize int) error {
	if err := x.index.activate(maxSize); err != nil {
		return err
	}
	return x.loadLast()
}

func (x *offsetIndex) loadLast() error {
	n, err := x.entries()
	if err != nil {
		return err
	}
	x.last = x.base
	if n > 0 {
		var e [offsetEntryBytes]byte
		if err := x.at(n-1, e[:]); err != nil {
			return err
		}
		x.last, _ = x.parse(e[:])
	}
	return nil
}

func (x *offsetIndex) parse(e []byte) (offset, pos int64) {
	return x.base + int64(int32(binary.BigEndian.Uint32(e))), int64(int32(binary.BigEndian.Uint32(e[4:])))
}

// fits says whether offset can be stored relative to base.
func (x *offsetIndex) fits(offset int64) bool {
	return offset >= x.base && offset-x.base <= math.MaxInt32
}

func (x *offsetIndex) full() bool { return x.count >= x.maxEntries() }

// add appends an entry. It returns false if offset is not above the last one: the log's offsets went backwards.
func (x *offsetIndex) add(offset, pos int64) bool {
	if x.count > 0 && offset <= x.last {
		return false
	}
	var e [offsetEntryBytes]byte
	binary.BigEndian.PutUint32(e[:], uint32(offset-x.base))
	binary.BigEndian.PutUint32(e[4:], uint32(pos))
	x.append(e[:])
	x.last = offset
	return true
}

// lookup returns the last entry with an offset ≤ target, or {base, 0}. An entry with position 0, which none can have, is given as -1.
func (x *offsetIndex) lookup(target int64) (offset, pos int64, err error) {
	var e [offsetEntryBytes]byte
	slot, err := x.floor(e[:], func(e []byte) bool {
		o, _ := x.parse(e)
		return o <= target
	})
	if err != nil || slot < 0 {
		return x.base, 0, err
	}
	if offset, pos = x.parse(e[:]); pos == 0 {
		pos = -1
	}
	return offset, pos, nil
}

// lookupPosition returns the last entry with a position ≤ target, or {base, 0}.
func (x *offsetIndex) lookupPosition(target int64) (offset, pos int64, err error) {
	var e [offsetEntryBytes]byte
	slot, err := x.floor(e[:], func(e []byte) bool {
		_, p := x.parse(e)
		return p <= target
	})
	if err != nil || slot < 0 {
		return x.base, 0, err
	}
	offset, pos = x.parse(e[:])
	return offset, pos, nil
}

// entryAbove returns the first entry with a position ≥ target, or false.
func (x *offsetIndex) entryAbove(target int64) (offset, pos int64, ok bool, err error) {
	var e [offsetEntryBytes]byte
	slot, err := x.floor(e[:], func(e []byte) bool {
		_, p := x.parse(e)
		return p < target
	})
	if err != nil {
		return 0, 0, false, err
	}
	n, err := x.entries()
	if err != nil || slot+1 >= n {
		return 0, 0, false, err
	}
	if err := x.at(slot+1, e[:]); err != nil {
		return 0, 0, false, err
	}
	offset, pos = x.parse(e[:])
	return offset, pos, pos >= target, nil
}

// cut removes the entries with an offset ≥ target.
func (x *offsetIndex) cut(target int64) error {
	var e [offsetEntryBytes]byte
	slot, err := x.floor(e[:], func(e []byte) bool {
		o, _ := x.parse(e)
		return o < target
	})
	if err != nil {
		return err
	}
	x.truncate(slot + 1)
	return x.loadLast()
}

// ascends says whether an active index's entries ascend in offset and position, and stay within a segment of this size.
func (x *offsetIndex) ascends(size int64) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	lastOffset, lastPos := x.base-1, int64(0)
	for i := range x.count {
		offset, pos := x.parse(x.data[i*x.entrySize:])
		if offset <= lastOffset || pos <= lastPos || pos >= size {
			return false
		}
		lastOffset, lastPos = offset, pos
	}
	return true
}
