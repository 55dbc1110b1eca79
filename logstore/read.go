package logstore

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Isolation is how far a reader may see.
type Isolation int8

// The isolation levels: a follower reads to the log end, a consumer to the high watermark or the last stable offset.
const (
	LogEnd Isolation = iota
	HighWatermark
	TxnCommitted
)

// ReadResult is what a read found. Release the range when it has been sent.
type ReadResult struct {
	Range       FileRange
	StartOffset OffsetMetadata // the offset asked for, and the position of the batch that holds it

	LogStartOffset, HighWatermark, LastStableOffset, LogEndOffset int64

	// Aborted are the transactions a read_committed consumer must filter out; nil unless that was asked for.
	Aborted []AbortedTxn
	// FirstBatchBytes is the size of the batch that holds the offset, 0 if there is nothing to read. When it is above maxBytes and not
	// even one batch was demanded, the range is empty.
	FirstBatchBytes int
	// OlderSegment says that more records can be read of a later segment: what was read here ends with its own.
	OlderSegment bool
}

// Read finds the batches from offset on, at most maxBytes, but at least one batch if minOneBatch; whole batches, of one segment.
// The first may begin before offset. Before the log start, or beyond the log end, it is kerr.OffsetOutOfRange.
// It takes no lock that an append waits for, except to let a truncation or deletion finish (Kafka 3.9 LocalLog.read, LogSegment.read).
func (l *Log) Read(offset int64, maxBytes int, isolation Isolation, minOneBatch bool) (ReadResult, error) {
	for attempt := 0; ; attempt++ {
		if err := l.usable(); err != nil {
			return ReadResult{}, err
		}
		before := l.settled()
		res, err := l.read(before, offset, maxBytes, isolation, minOneBatch)
		if l.changes.Load() == before {
			if errors.Is(err, errRetired) { // closed or deleted since the first look
				err = fmt.Errorf("%w: %w", kerr.KafkaStorageError, err)
			}
			return res, l.settle(err)
		}
		// Segments were cut or deleted meanwhile. Whatever was found may be wrong.
		res.Range.Release()
		if attempt == maxReadAttempts {
			return ReadResult{}, fmt.Errorf("%s: the log changed under %d attempts to read it: %w", l.tp, attempt+1, kerr.KafkaStorageError)
		}
	}
}

// settled returns the count of changes once none is under way.
func (l *Log) settled() int64 {
	if n := l.changes.Load(); n%2 == 0 {
		return n
	}
	l.mu.Lock() // held until the change is done
	defer l.mu.Unlock()
	return l.changes.Load()
}

const maxReadAttempts = 100

func (l *Log) read(before, offset int64, maxBytes int, isolation Isolation, minOneBatch bool) (ReadResult, error) {
	l.offMu.Lock()
	end, high, stable, start := l.end, l.high, l.lastStableLocked(), l.logStart.Load()
	l.offMu.Unlock()
	res := ReadResult{LogStartOffset: start, HighWatermark: high.Offset, LastStableOffset: stable.Offset, LogEndOffset: end.Offset}
	if isolation == TxnCommitted {
		res.Aborted = []AbortedTxn{}
	}
	segs := *l.segs.Load()
	i := floorSegment(segs, offset)
	if offset < start || offset > end.Offset || i < 0 {
		return res, fmt.Errorf("%s: offset %d is not within [%d, %d]: %w", l.tp, offset, start, end.Offset, kerr.OffsetOutOfRange)
	}
	upper := end
	switch isolation {
	case HighWatermark:
		upper = high
	case TxnCommitted:
		upper = stable
	}
	if offset >= upper.Offset {
		if res.StartOffset = upper; offset > upper.Offset {
			res.StartOffset = OffsetOnly(offset)
		}
		var err error
		res.StartOffset, err = l.locate(segs, end, res.StartOffset)
		return res, err
	}
	upper, err := l.locateUpper(before, segs, end, upper)
	if err != nil {
		return res, err
	}
	for ; i < len(segs) && segs[i].base <= upper.SegmentBase; i++ {
		found, err := l.readSegment(segs, i, offset, maxBytes, upper, minOneBatch, &res)
		if err != nil {
			return res, err
		}
		if found {
			res.OlderSegment = segs[i].base < upper.SegmentBase
			if isolation == TxnCommitted {
				err = collectAborted(segs, i, offset, end.Offset, &res)
			}
			return res, err
		}
	}
	res.StartOffset = upper // the offset is in range, but its records are gone and nothing follows them
	return res, nil
}

// readSegment makes the range if segs[i] has a batch that reaches offset.
func (l *Log) readSegment(segs []*segment, i int, offset int64, maxBytes int, upper OffsetMetadata, minOne bool, res *ReadResult) (bool, error) {
	s := segs[i]
	in, ok, err := s.find(offset)
	if err != nil || !ok {
		return false, err
	}
	res.StartOffset = OffsetMetadata{offset, s.base, in.pos}
	limit := s.size.Load()
	if s.base == upper.SegmentBase {
		limit = min(limit, upper.Position)
	}
	if in.pos >= limit {
		return true, nil // the batch that holds the offset is not visible yet
	}
	res.FirstBatchBytes = int(in.size)
	n, err := s.wholeBatches(in, int64(maxBytes), limit, minOne)
	if err != nil || n == 0 {
		return true, err
	}
	gen := s.handle.cutGen.Load()
	f, err := s.handle.acquire()
	if err != nil {
		return false, ioErr("open segment", err)
	}
	res.Range = FileRange{File: f, Pos: in.pos, Len: int(n), handle: s.handle, gen: gen}
	return true, nil
}

// wholeBatches is how many bytes from the batch first on are whole batches, below limit and within maxBytes. limit is the end of a batch.
func (s *segment) wholeBatches(first batchInfo, maxBytes, limit int64, minOne bool) (int64, error) {
	if first.size > maxBytes {
		if minOne {
			return first.size, nil
		}
		return 0, nil
	}
	if limit-first.pos <= maxBytes {
		return limit - first.pos, nil
	}
	target := first.pos + maxBytes
	entry, from, err := s.offsets.lookupPosition(target)
	if err != nil {
		return 0, err
	}
	if from <= first.pos || from > target { // or an index that does not match its log
		from = first.pos
	}
	for {
		last, believed := from, from == first.pos
		err = s.scan(from, limit, func(in batchInfo) bool {
			if !believed && s.wrongEntry(entry, from, limit, in, true, nil) {
				return false
			}
			believed = true
			if in.pos+in.size > target {
				return false
			}
			last = in.pos + in.size
			return true
		})
		if believed || err != nil && !isCorrupt(err) {
			return last - first.pos, err
		}
		s.distrusted()
		from = first.pos
	}
}

// locateUpper finds the position of an upper bound, and remembers it where it is still the bound of a log that has not been cut since
// before: what is found while it is being cut may lie where another batch is then written.
func (l *Log) locateUpper(before int64, segs []*segment, end, m OffsetMetadata) (OffsetMetadata, error) {
	if m.Known() {
		return m, nil
	}
	found, err := l.locate(segs, end, m)
	if err != nil {
		return m, err
	}
	l.offMu.Lock()
	defer l.offMu.Unlock()
	if l.changes.Load() != before { // a cut that begins after this look sets the ends later, under offMu
		return found, nil
	}
	if l.high == m {
		l.high = found
	}
	if l.unstable == m {
		l.unstable = found
	}
	return found, nil
}

// locate finds the position of an offset that is within the log: that of the batch that holds it, or of the next one, else the end.
func (l *Log) locate(segs []*segment, end, m OffsetMetadata) (OffsetMetadata, error) {
	if m.Known() {
		return m, nil
	}
	if m.Offset == end.Offset {
		return end, nil
	}
	for i := floorSegment(segs, m.Offset); i >= 0 && i < len(segs); i++ {
		in, ok, err := segs[i].find(m.Offset)
		if err != nil {
			return m, err
		}
		if ok {
			return OffsetMetadata{m.Offset, segs[i].base, in.pos}, nil
		}
	}
	return OffsetMetadata{m.Offset, end.SegmentBase, end.Position}, nil
}

// collectAborted lists the aborted transactions that touch the range. Reporting more than needed is fine, missing one is not
// (Kafka 3.9 LocalLog.addAbortedTransactions).
func collectAborted(segs []*segment, i int, offset, end int64, res *ReadResult) error {
	upper, pos, ok, err := segs[i].offsets.entryAbove(res.StartOffset.Position + int64(res.Range.Len))
	if err == nil && ok {
		ok, err = segs[i].entryAt(upper, pos)
	}
	if err != nil {
		return err
	}
	if !ok {
		upper = end
		if i+1 < len(segs) {
			upper = segs[i+1].base
		}
	}
	for ; i < len(segs); i++ {
		complete, err := segs[i].txns.collect(offset, upper, func(t AbortedTxn) { res.Aborted = append(res.Aborted, t) })
		if err != nil || complete {
			return err
		}
	}
	return nil
}

// AbortedTransactions lists the aborted transactions that a reader of [from, upper) must know of.
func (l *Log) AbortedTransactions(from, upper int64) ([]AbortedTxn, error) {
	segs := *l.segs.Load()
	list := []AbortedTxn{}
	for i := max(0, floorSegment(segs, from)); i < len(segs); i++ {
		complete, err := segs[i].txns.collect(from, upper, func(t AbortedTxn) { list = append(list, t) })
		if err != nil {
			return nil, l.settle(err)
		}
		if complete {
			break
		}
	}
	return list, nil
}
