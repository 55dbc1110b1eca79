package cleaner

import (
	"context"
	"errors"
	"math"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/logstore"
	"gokafka/record"
)

var errCorrupt = kerr.CorruptMessage

// group puts segments together that fit one, by the sizes of logs and indexes and by their offsets (Kafka 3.9 Cleaner.groupSegmentsBySize).
func group(segs []logstore.CleanSegment, j *Job) (groups [][]logstore.CleanSegment, err error) {
	cfg := j.View.Config()
	var sum, sumOffsets, sumTimes int64
	for i, s := range segs {
		size := s.SizeBytes()
		offsets, times, err := s.IndexSizeBytes()
		if err != nil {
			return nil, err
		}
		last := j.FirstUncleanable - 1
		if i+1 < len(segs) {
			last = segs[i+1].Base() - 1
		}
		n := len(groups)
		if n > 0 && sum+size <= int64(cfg.SegmentBytes) && sumOffsets+offsets <= int64(cfg.SegmentIndexBytes) && sumTimes+times <= int64(cfg.SegmentIndexBytes) &&
			(size == 0 || last-groups[n-1][len(groups[n-1])-1].Base() <= math.MaxInt32 && last-groups[n-1][0].Base() <= math.MaxInt32) {
			groups[n-1] = append(groups[n-1], s)
			sum, sumOffsets, sumTimes = sum+size, sumOffsets+offsets, sumTimes+times
			continue
		}
		groups = append(groups, []logstore.CleanSegment{s})
		sum, sumOffsets, sumTimes = size, offsets, times
	}
	return groups, nil
}

// pass copies one group of segments.
type pass struct {
	c               *Cleaner
	ctx             context.Context
	j               *Job
	txns            *txnState
	nowMs           int64
	legacyHorizonMs int64
	last            map[int64]logstore.LastRecord
	st              *Stats

	dest          *logstore.Cleaned
	retainDeletes bool // of old formats

	// Of the current buffer full.
	maxOffset, maxTs, maxTsOffset int64
}

func (p *pass) cleanGroup(segs []logstore.CleanSegment) error {
	var err error
	if p.dest, err = p.j.Log.NewCleaned(segs[0].Base()); err != nil {
		return err
	}
	p.txns.retained = p.dest.AddAborted
	for i, s := range segs {
		if err := p.cleanSegment(segs, i, s); err != nil {
			return errors.Join(err, p.dest.Discard())
		}
	}
	return p.dest.Replace(p.j.View, segs)
}

func (p *pass) cleanSegment(segs []logstore.CleanSegment, i int, s logstore.CleanSegment) error {
	upper := int64(0)
	var err error
	if i+1 < len(segs) {
		upper = segs[i+1].Base()
	} else if upper, err = s.NextOffset(); err != nil {
		return err
	}
	aborted, err := p.j.Log.AbortedTransactions(s.Base(), upper)
	if err != nil {
		return err
	}
	p.txns.add(aborted)
	modified, err := s.LastModified()
	if err != nil {
		return err
	}
	p.retainDeletes = modified.UnixMilli() > p.legacyHorizonMs
	p.begin()
	return p.c.chunks(p.ctx, s, 0, int(p.j.View.Config().MaxMessageBytes), func(raw []byte, bufBytes int) (more bool, err error) {
		err = p.batch(raw)
		return len(p.c.out) <= bufBytes, err // Kafka writes before its buffer grows again
	}, p.flush)
}

func (p *pass) begin() {
	p.c.out = p.c.out[:0]
	p.maxOffset, p.maxTs, p.maxTsOffset = -1, record.NoTimestamp, -1
}

// flush writes what was kept of a buffer full, as one append.
func (p *pass) flush() (bool, error) {
	if len(p.c.out) > 0 {
		if err := p.dest.Append(p.c.out, p.maxOffset, p.maxTs, p.maxTsOffset); err != nil {
			return false, err
		}
		p.st.BytesWritten += int64(len(p.c.out))
		if err := p.c.Throttle(p.ctx, len(p.c.out)); err != nil {
			return false, err
		}
	}
	p.begin()
	return true, nil
}

func (p *pass) kept(maxOffset, maxTs, maxTsOffset int64) {
	p.maxOffset = max(p.maxOffset, maxOffset)
	if maxTs > p.maxTs {
		p.maxTs, p.maxTsOffset = maxTs, maxTsOffset
	}
}

func (p *pass) batch(raw []byte) error {
	p.st.BytesRead += int64(len(raw))
	if raw[16] < 2 {
		return p.legacy(raw)
	}
	b := record.Batch(raw)
	var discard bool
	var err error
	if b.IsControl() {
		discard, err = p.txns.control(b)
	} else {
		discard = p.txns.data(b)
	}
	if err != nil {
		return err
	}
	markerOfNothing := discard && b.IsControl()
	if b.IsControl() {
		discard = discard && b.HasDeleteHorizon() && b.BaseTimestamp() <= p.nowMs
	}
	lastOfProducer := b.HasProducerID() && p.isLast(b)
	if discard && !lastOfProducer {
		return nil
	}
	return p.filter(b, discard, markerOfNothing, lastOfProducer)
}

// isLast says whether a batch must stay, empty if need be, for what it tells of its producer: the last sequence, or the epoch.
func (p *pass) isLast(b record.Batch) bool {
	last, ok := p.last[b.ProducerID()]
	switch {
	case !ok:
		return false
	case last.DataOffset >= 0:
		return b.LastOffset() == last.DataOffset
	}
	return b.IsControl() && b.ProducerEpoch() == last.Epoch
}

// filter keeps what is to be kept of a batch: as it is where nothing goes, else built anew (Kafka 3.9 MemoryRecords.filterTo).
func (p *pass) filter(b record.Batch, discard, markerOfNothing, lastOfProducer bool) error {
	c := p.c
	it, block, err := c.Codecs.Iterate(b, c.block, maxBlockBytes)
	c.block = block
	if err != nil {
		return err
	}
	all, tombstones, count, maxOffset := true, markerOfNothing, 0, int64(-1)
	scan := it
	for r := (record.Record{}); scan.Next(&r); {
		p.st.RecordsRead++
		if !p.retain(b, &r, discard) {
			all = false
			continue
		}
		count++
		maxOffset = max(maxOffset, r.Offset)
		tombstones = tombstones || r.Value == nil
	}
	if err := scan.Err(); err != nil {
		return err
	}
	p.st.RecordsKept += count
	setHorizon := tombstones && !b.HasDeleteHorizon()
	switch {
	case count == 0 && !lastOfProducer:
	case count == 0:
		c.out = record.AppendEmptyBatch(c.out, b)
		p.kept(b.LastOffset(), b.MaxTimestamp(), b.LastOffset())
	case all && !setHorizon:
		c.out = append(c.out, b...)
		p.kept(b.LastOffset(), b.MaxTimestamp(), b.LastOffset())
	default:
		return p.rebuild(b, it, discard, setHorizon, maxOffset)
	}
	return nil
}

func (p *pass) rebuild(b record.Batch, it record.Iterator, discard, setHorizon bool, maxOffset int64) error {
	spec := record.NewBatchSpec()
	spec.BaseOffset, spec.LeaderEpoch = b.BaseOffset(), b.LeaderEpoch()
	spec.Codec, spec.Level = b.Codec(), b.Codec().DefaultLevel()
	if spec.TimestampType = b.TimestampType(); spec.TimestampType == record.LogAppendTime {
		spec.AppendTimeMs = b.MaxTimestamp()
	}
	spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence = b.ProducerID(), b.ProducerEpoch(), b.BaseSequence()
	spec.Transactional, spec.Control = b.IsTransactional(), b.IsControl()
	switch {
	case setHorizon:
		spec.DeleteHorizonMs = p.nowMs + p.j.View.Config().DeleteRetention.Milliseconds()
	case b.HasDeleteHorizon():
		spec.DeleteHorizonMs = b.BaseTimestamp()
	}
	c := p.c
	c.builder.Reset(spec)
	for r := (record.Record{}); it.Next(&r); {
		if p.retain(b, &r, discard) {
			if err := c.builder.AppendRecord(r.Offset, &r); err != nil {
				return err
			}
		}
	}
	c.builder.OverrideLastOffset(b.LastOffset())
	out, built, err := c.builder.Build(c.out, c.Codecs)
	if err != nil {
		return err
	}
	c.out = out
	p.kept(maxOffset, built.MaxTimestamp(), built.LastOffset())
	return nil
}

// retain says whether a record of a batch of magic 2 is kept.
func (p *pass) retain(b record.Batch, r *record.Record, discard bool) bool {
	switch {
	case discard:
		return false
	case b.IsControl():
		return true
	}
	return p.retainRecord(r, !b.HasDeleteHorizon() || p.nowMs < b.BaseTimestamp())
}

// retainRecord says whether a record is the last of its key, and not a tombstone whose time has come (Kafka 3.9 Cleaner.shouldRetainRecord).
func (p *pass) retainRecord(r *record.Record, retainDeletes bool) bool {
	if r.Offset > p.c.offsets.latest {
		return true
	}
	if r.Key == nil {
		p.st.RecordsInvalid++
		return false
	}
	return r.Offset >= p.c.offsets.get(r.Key) && (r.Value != nil || retainDeletes)
}

// legacy is filter for a message, or a wrapper of messages, of magic 0 or 1.
func (p *pass) legacy(raw record.LegacyBatch) error {
	c := p.c
	it, block, err := c.Codecs.IterateLegacy(raw, c.block, maxBlockBytes)
	c.block = block
	if err != nil {
		return err
	}
	type kept struct {
		offset, ts int64
		key, value []byte
	}
	var list []kept
	all := true
	for r := (record.Record{}); it.Next(&r); {
		p.st.RecordsRead++
		if p.retainRecord(&r, p.retainDeletes) {
			list = append(list, kept{r.Offset, r.Timestamp, r.Key, r.Value})
		} else {
			all = false
		}
	}
	if err := it.Err(); err != nil || len(list) == 0 {
		return err
	}
	p.st.RecordsKept += len(list)
	if all {
		c.out = append(c.out, raw...)
		p.kept(raw.Offset(), raw.Timestamp(), raw.Offset())
		return nil
	}
	c.old.Reset(record.LegacySpec{Magic: raw.Magic(), Codec: raw.Codec(), Level: raw.Codec().DefaultLevel(), BaseOffset: list[0].offset,
		TimestampType: raw.TimestampType(), AppendTimeMs: raw.Timestamp()})
	maxTs := record.NoTimestamp
	for _, r := range list {
		if err := c.old.Append(r.offset, r.ts, r.key, r.value); err != nil {
			return err
		}
		maxTs = max(maxTs, r.ts)
	}
	if c.out, err = c.old.Build(c.out, c.Codecs); err != nil {
		return err
	}
	if raw.Magic() == 0 {
		maxTs = record.NoTimestamp
	}
	last := list[len(list)-1].offset
	p.kept(last, maxTs, last)
	return nil
}
