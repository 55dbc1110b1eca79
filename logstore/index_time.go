package logstore

import (
	"encoding/binary"
	"math"

	"gokafka/record"
)

const timeEntryBytes = 12

// timeIndex maps timestamps to offsets: entries {timestamp, offset - base}, where offset is the last one of the batch that held the
// largest timestamp so far (Kafka 3.9 TimeIndex).
type timeIndex struct {
	*index
	base       int64
	lastTs     int64 // of the last entry, NoTimestamp if there is none. Guarded by Log.mu, valid while active
	lastOffset int64
}

func newTimeIndex(e *env, path func() string, base int64, maxSize int, later bool) (*timeIndex, error) {
	x, err := newIndex(e, path, timeEntryBytes, maxSize, later)
	return &timeIndex{index: x, base: base, lastTs: record.NoTimestamp, lastOffset: base}, err
}

func openTimeIndex(e *env, path func() string, base int64, maxSize int) *timeIndex {
	return &timeIndex{index: openIndex(e, path, timeEntryBytes, maxSize), base: base, lastTs: record.NoTimestamp, lastOffset: base}
}

func (x *timeIndex) activate(maxSize int) error {
	if err := x.index.activate(maxSize); err != nil {
		return err
	}
	var err error
	x.lastTs, x.lastOffset, err = x.lastEntry()
	return err
}

func (x *timeIndex) parse(e []byte) (ts, offset int64) {
	return int64(binary.BigEndian.Uint64(e)), x.base + int64(int32(binary.BigEndian.Uint32(e[8:])))
}

// lastEntry reads the last entry, or {NoTimestamp, base}.
func (x *timeIndex) lastEntry() (ts, offset int64, err error) {
	n, err := x.entries()
	if err != nil || n == 0 {
		return record.NoTimestamp, x.base, err
	}
	var e [timeEntryBytes]byte
	if err := x.at(n-1, e[:]); err != nil {
		return record.NoTimestamp, x.base, err
	}
	ts, offset = x.parse(e[:])
	return ts, offset, nil
}

// full keeps a slot for the entry written when the segment is sealed or closed.
func (x *timeIndex) full() bool { return x.count >= x.maxEntries()-1 }

// add appends an entry if ts is above the last one's, and its offset can be told relative to base: in a segment that is yet to be split it may not.
func (x *timeIndex) add(ts, offset int64) {
	if ts <= x.lastTs || offset-x.base > math.MaxInt32 {
		return
	}
	var e [timeEntryBytes]byte
	binary.BigEndian.PutUint64(e[:], uint64(ts))
	binary.BigEndian.PutUint32(e[8:], uint32(offset-x.base))
	x.append(e[:])
	x.lastTs, x.lastOffset = ts, offset
}

// lookup returns the last entry with a timestamp ≤ target, or {NoTimestamp, base}.
func (x *timeIndex) lookup(target int64) (ts, offset int64, err error) {
	var e [timeEntryBytes]byte
	slot, err := x.floor(e[:], func(e []byte) bool {
		t, _ := x.parse(e)
		return t <= target
	})
	if err != nil || slot < 0 {
		return record.NoTimestamp, x.base, err
	}
	ts, offset = x.parse(e[:])
	return ts, offset, nil
}

// cut removes the entries with an offset ≥ target.
func (x *timeIndex) cut(target int64) error {
	var e [timeEntryBytes]byte
	slot, err := x.floor(e[:], func(e []byte) bool {
		_, o := x.parse(e)
		return o < target
	})
	if err != nil {
		return err
	}
	x.truncate(slot + 1)
	x.lastTs, x.lastOffset, err = x.lastEntry()
	return err
}

// ascends says whether an active index's entries ascend in timestamp and do not fall in offset.
func (x *timeIndex) ascends(base int64) bool {
	x.mu.RLock()
	defer x.mu.RUnlock()
	lastTs, lastOffset := record.NoTimestamp, base
	for i := range x.count {
		ts, offset := x.parse(x.data[i*x.entrySize:])
		if ts <= lastTs || offset < lastOffset {
			return false
		}
		lastTs, lastOffset = ts, offset
	}
	return true
}
