package cleaner

import (
	"context"
	"errors"
	"fmt"
	"math"

	"gokafka/internal/clock"
	"gokafka/logstore"
	"gokafka/record"
)

// Config are the broker's settings, for one cleaner.
type Config struct {
	MapBytes      int64   // log.cleaner.dedupe.buffer.size, a thread's part
	LoadFactor    float64 // log.cleaner.io.buffer.load.factor
	IOBufferBytes int     // log.cleaner.io.buffer.size, a thread's part, half for reading and half for writing
}

// Cleaner cleans one log at a time.
type Cleaner struct {
	Config
	Clock  *clock.Clock
	Codecs *record.Codecs
	// Throttle is told of bytes read or written, and waits if they were too many.
	Throttle func(ctx context.Context, n int) error
	// Check is asked often whether to go on; its error ends the cleaning.
	Check func() error

	buf     []byte
	out     []byte
	block   []byte
	builder record.Builder
	old     record.LegacyBuilder
	offsets offsetMap
}

// Stats say what a cleaning did.
type Stats struct {
	MapRecords, MapEntries                   int
	BytesRead, BytesWritten                  int64
	RecordsRead, RecordsKept, RecordsInvalid int
}

// Clean compacts a log and returns the first offset that it did not look at. Segments that were replaced stay so if a later one fails.
// The error is logstore.ErrCleanAborted if the log changed meanwhile (Kafka 3.9 Cleaner.doClean).
func (c *Cleaner) Clean(ctx context.Context, j *Job) (next int64, st Stats, err error) {
	nowMs := c.Clock.NowMs()
	legacyHorizonMs := int64(0)
	if clean := j.View.Range(0, j.FirstDirty); len(clean) > 0 {
		t, err := clean[len(clean)-1].LastModified()
		if err != nil {
			return 0, st, err
		}
		legacyHorizonMs = t.UnixMilli() - j.View.Config().DeleteRetention.Milliseconds()
	}
	defer func() { c.offsets, c.block = offsetMap{}, nil }() // memory is held while it is needed
	if err := c.buildMap(ctx, j, &st); err != nil {
		return 0, st, c.fault(j, err)
	}
	next = c.offsets.latest + 1
	st.MapEntries = c.offsets.entries
	groups, err := group(j.View.Range(0, next), j)
	if err != nil {
		return 0, st, err
	}
	txns := newTxnState()
	for _, g := range groups {
		p := &pass{c: c, ctx: ctx, j: j, txns: txns, nowMs: nowMs, legacyHorizonMs: legacyHorizonMs, st: &st, last: j.Log.LastRecords()}
		if err := p.cleanGroup(g); err != nil {
			return 0, st, c.fault(j, err)
		}
	}
	return next, st, nil
}

// fault takes what was read of a log that was cut meanwhile for what it is: no damage.
func (c *Cleaner) fault(j *Job, err error) error {
	if !j.View.Valid() {
		return errors.Join(logstore.ErrCleanAborted, err)
	}
	return err
}

// buildMap takes the keys of the dirty segments into the map, until it is full.
func (c *Cleaner) buildMap(ctx context.Context, j *Job, st *Stats) error {
	slots := int(min(c.MapBytes, math.MaxInt32) / slotBytes)
	c.offsets.clear(slots)
	room := int(float64(slots) * c.LoadFactor)
	if room < 1 {
		return fmt.Errorf("a map of %d bytes has no room for one key: raise log.cleaner.dedupe.buffer.size, or lower log.cleaner.threads", c.MapBytes)
	}
	dirty := j.View.Range(j.FirstDirty, j.FirstUncleanable)
	txns := newTxnState()
	aborted, err := j.Log.AbortedTransactions(j.FirstDirty, j.FirstUncleanable)
	if err != nil {
		return err
	}
	txns.add(aborted)
	for i, s := range dirty {
		end := j.FirstUncleanable
		if i+1 < len(dirty) {
			end = dirty[i+1].Base()
		}
		pos := int64(0)
		if s.Base() < j.FirstDirty {
			if pos, err = s.PositionOf(j.FirstDirty); err != nil {
				return err
			}
		}
		full := false
		err := c.chunks(ctx, s, pos, int(j.View.Config().MaxMessageBytes), func(raw []byte, _ int) (more bool, err error) {
			full, err = c.mapBatch(raw, j.FirstDirty, room, txns, st)
			return !full, err
		}, func() (bool, error) { return !full, nil })
		if err != nil || full {
			return err
		}
		c.offsets.latest = end - 1 // there may be a gap before the next segment
	}
	return nil
}

// mapBatch takes the keys of a batch into the map; full says that there was no room for one.
func (c *Cleaner) mapBatch(raw []byte, from int64, room int, txns *txnState, st *Stats) (full bool, err error) {
	last := int64(0)
	if raw[16] >= 2 {
		b := record.Batch(raw)
		last = b.LastOffset()
		skip := false
		if b.IsControl() {
			_, err = txns.control(b)
			skip = true
		} else {
			skip = txns.data(b)
		}
		if err != nil || skip {
			if last >= from {
				c.offsets.latest = last
			}
			return false, err
		}
	} else {
		last = record.LegacyBatch(raw).Offset()
	}
	it, block, err := c.Codecs.IterateAny(raw, c.block, maxBlockBytes)
	c.block = block
	if err != nil {
		return false, err
	}
	for r := (record.Record{}); it.Next(&r); {
		if st.MapRecords++; r.Key == nil || r.Offset < from {
			continue
		}
		if c.offsets.entries >= room {
			return true, nil
		}
		c.offsets.put(r.Key, r.Offset)
	}
	if last >= from {
		c.offsets.latest = last
	}
	return false, it.Err()
}

// maxBlockBytes bounds what a batch may decompress to.
const maxBlockBytes = 1 << 30

// chunks reads a segment from a position on, and gives its batches one after the other with the size of the buffer, until batch wants no more of this
// buffer full; then it calls end, which says whether to go on. The buffer grows for a batch that is larger.
//
// What is written between two calls of end is one append, for which an index has one entry at most. So the sizes of buffers are Kafka's.
func (c *Cleaner) chunks(ctx context.Context, s logstore.CleanSegment, pos int64, maxMessageBytes int, batch func(raw []byte, bufBytes int) (more bool, err error),
	end func() (bool, error)) error {
	if c.buf == nil || len(c.buf) != c.IOBufferBytes {
		c.buf = make([]byte, max(c.IOBufferBytes, record.HeaderSizeBytes))
	}
	buf := c.buf
	for size := s.SizeBytes(); pos < size; {
		if err := errors.Join(c.Check(), ctx.Err()); err != nil {
			return err
		}
		n, err := s.ReadAt(buf, pos)
		if err == nil {
			err = c.Throttle(ctx, n)
		}
		if err != nil {
			return err
		}
		read := int64(0)
		for rest := buf[:n]; ; {
			raw, magic, next, err := record.NextAny(rest)
			if err == record.ErrShortHeader || err == record.ErrShortBatch {
				break
			}
			if err == nil {
				err = record.CheckCRC(raw, magic)
			}
			more := false
			if err == nil {
				more, err = batch(raw, len(buf))
			}
			if err != nil {
				return fmt.Errorf("segment %d at position %d: %w", s.Base(), pos+read, err)
			}
			read += int64(len(raw))
			if rest = next; !more {
				break
			}
		}
		if read == 0 {
			if buf, err = larger(buf[:n], maxMessageBytes, size-pos); err != nil {
				return fmt.Errorf("segment %d at position %d: %w", s.Base(), pos, err)
			}
			continue
		}
		pos += read
		if more, err := end(); err != nil || !more {
			return err
		}
	}
	return nil
}

// larger makes a buffer for the batch at the beginning of one that is too small.
// It doubles, up to max.message.bytes or the batch (Kafka 3.9 Cleaner.growBuffers).
func larger(buf []byte, maxMessageBytes int, left int64) ([]byte, error) {
	need := int64(2 * len(buf))
	if size, _, err := record.PeekHeader(buf); err != record.ErrShortHeader {
		need = size
	}
	if int64(len(buf)) >= left || need > left {
		return nil, fmt.Errorf("a batch of %d bytes, but %d bytes are left: %w", need, left, errCorrupt)
	}
	size := int64(len(buf))
	for size < need {
		size = min(2*size, max(need, int64(maxMessageBytes)))
	}
	return make([]byte, size), nil
}
