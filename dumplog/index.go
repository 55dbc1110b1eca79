package dumplog

import (
	"cmp"
	"encoding/binary"
)

const (
	offsetEntryBytes = 8  // int32 offset - base, int32 position
	timeEntryBytes   = 12 // int64 timestamp, int32 offset - base
	// warmBytes at the end of an index are searched first (Kafka 3.9 AbstractIndex.warmEntries).
	warmBytes = 8192
)

// index is a file of entries of one size. What follows the last whole entry is not looked at.
type index struct {
	*file
	base      int64
	entrySize int
}

func (x *index) entries() int { return int(x.size) / x.entrySize }

func (x *index) entry(i int) ([]byte, error) { return x.peek(int64(i)*int64(x.entrySize), x.entrySize) }

// offsetEntry is an entry of an offset index. Offsets and positions may be negative in a broken file.
type offsetEntry struct {
	offset   int64
	position int32
}

func (x *index) offsetEntry(i int) (e offsetEntry, err error) {
	b, err := x.entry(i)
	if err != nil {
		return e, err
	}
	return offsetEntry{x.base + int64(int32(binary.BigEndian.Uint32(b))), int32(binary.BigEndian.Uint32(b[4:]))}, nil
}

// timeEntry is an entry of a time index.
type timeEntry struct {
	timestamp, offset int64
}

func (x *index) timeEntry(i int) (e timeEntry, err error) {
	b, err := x.entry(i)
	if err != nil {
		return e, err
	}
	return timeEntry{int64(binary.BigEndian.Uint64(b)), x.base + int64(int32(binary.BigEndian.Uint32(b[8:])))}, nil
}

// lookup is the position of an offset index's largest entry at or below target. In an index that is not sorted the answer depends on
// the search, which is Kafka's (AbstractIndex.indexSlotRangeFor and binarySearch).
func (x *index) lookup(target int64) (position int32, err error) {
	n := x.entries()
	if n == 0 {
		return 0, nil
	}
	compare := func(i int) int {
		var e offsetEntry
		if err == nil {
			e, err = x.offsetEntry(i)
		}
		return cmp.Compare(e.offset, target)
	}
	firstHot := max(0, n-1-warmBytes/x.entrySize)
	lo, hi := firstHot, n-1
	if compare(firstHot) >= 0 {
		if compare(0) > 0 {
			return 0, err
		}
		lo, hi = 0, firstHot
	}
	for lo < hi {
		mid := (lo + hi + 1) / 2
		switch c := compare(mid); {
		case c > 0:
			hi = mid - 1
		case c < 0:
			lo = mid
		default:
			lo, hi = mid, mid
		}
	}
	if err != nil {
		return 0, err
	}
	e, err := x.offsetEntry(lo)
	return e.position, err
}
