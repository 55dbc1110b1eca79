package replication

import (
	"slices"
	"syscall"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/internal/vfs"
	"gokafka/logstore"
)

// Consumer is the replica id of a fetch that does not come from a follower.
const Consumer int32 = -1

// Timestamps with a meaning in ListOffsets.
const (
	TimestampLatest        int64 = -1
	TimestampEarliest      int64 = -2
	TimestampMax           int64 = -3
	TimestampEarliestLocal int64 = -4
	TimestampLatestTiered  int64 = -5
)

// Isolation is how far a reader may see.
type Isolation int8

// The isolations: a follower sees the log's end, a consumer the high watermark or the last stable offset.
const (
	ReadUncommitted Isolation = 0
	ReadCommitted   Isolation = 1
	ReadLogEnd      Isolation = 2
)

// ReadRequest is what to read of one partition.
type ReadRequest struct {
	ReplicaID        int32 // broker id of a follower, or below 0
	CurrentEpoch     int32 // or NoEpoch
	FetchOffset      int64
	LastFetchedEpoch int32 // or NoEpoch
	LogStartOffset   int64 // the follower's, -1 from consumers
	MaxBytes         int
	MinOneBatch      bool // give the first batch even if it is larger than MaxBytes
	Isolation        Isolation
	OnlyLeader       bool
}

// ReadResult is what was read. Its offsets are those from before the read.
type ReadResult struct {
	// Records is nil when there are none; else the caller releases it.
	Records          *Records
	HighWatermark    int64
	LastStableOffset int64
	LogStartOffset   int64
	LogEndOffset     int64
	LeaderEpoch      int32 // under which it was read
	Aborted          []logstore.AbortedTxn
	// FirstBatchBytes is the size of the batch that holds the offset, 0 if there is nothing to read; with neither room nor MinOneBatch it is not in Records.
	FirstBatchBytes int
	OlderSegment    bool // a later segment has records too; one read gives those of one segment
	// Diverged says that the reader's log branched off: DivergingEpoch and EndOffset tell where. There are no records then.
	Diverged        bool
	DivergingEpoch  int32
	DivergingOffset int64
}

// Read reads from the partition. Kafka 3.9 Partition.fetchRecords.
func (p *Partition) Read(q *ReadRequest) (ReadResult, error) {
	p.leadership.RLock()
	defer p.leadership.RUnlock()
	log, err := p.logFor(q.CurrentEpoch, q.OnlyLeader)
	if err != nil {
		return ReadResult{}, err
	}
	if q.ReplicaID >= 0 && p.follower(q.ReplicaID) == nil {
		// With a matching epoch the assignment may just not have arrived here yet; the follower retries on this code.
		code := error(kerr.NotLeaderForPartition)
		if q.CurrentEpoch != NoEpoch {
			code = kerr.UnknownLeaderEpoch
		}
		return ReadResult{}, p.errorf(code, "broker %d is not a replica", q.ReplicaID)
	}
	r := ReadResult{HighWatermark: log.HighWatermark(), LogStartOffset: log.LogStartOffset(), LogEndOffset: log.LogEndOffset(),
		LastStableOffset: log.LastStableOffset(), LeaderEpoch: p.state.LeaderEpoch}
	if q.LastFetchedEpoch != NoEpoch {
		epoch, end := log.EndOffsetForEpoch(q.LastFetchedEpoch)
		switch {
		case epoch < 0 || end < 0:
			return r, p.errorf(kerr.OffsetOutOfRange, "the end of epoch %d is not known", q.LastFetchedEpoch)
		case q.FetchOffset < r.LogStartOffset:
			return r, p.errorf(kerr.OffsetOutOfRange, "offset %d is before the log start %d", q.FetchOffset, r.LogStartOffset)
		case epoch < q.LastFetchedEpoch || end < q.FetchOffset:
			r.Diverged, r.DivergingEpoch, r.DivergingOffset = true, epoch, end
			return r, nil
		}
	}
	bound := logstore.HighWatermark // of consumers without read_committed
	switch q.Isolation {
	case ReadCommitted:
		bound = logstore.TxnCommitted
	case ReadLogEnd:
		bound = logstore.LogEnd
	}
	got, err := log.Read(q.FetchOffset, q.MaxBytes, bound, q.MinOneBatch)
	if err != nil {
		if got.Range.Len > 0 {
			got.Range.Release()
		}
		return r, err
	}
	if got.Range.Len > 0 {
		r.Records = &Records{got.Range}
	}
	r.Aborted, r.OlderSegment, r.FirstBatchBytes = got.Aborted, got.OlderSegment, got.FirstBatchBytes
	if q.ReplicaID >= 0 && p.throttlesFollower(q.ReplicaID) {
		if r.Records != nil {
			r.Records.Release()
		}
		r.Records, r.OlderSegment, r.FirstBatchBytes = nil, false, 0
	}
	return r, nil
}

// Records are record batches that lie in a segment file. The holder calls Release once.
type Records struct{ r logstore.FileRange }

// Len is the number of bytes.
func (r *Records) Len() int { return r.r.Len }

// ReadAt reads from position off within the records.
func (r *Records) ReadAt(p []byte, off int64) (int, error) { return r.r.ReadAt(p, off) }

// Release gives the segment file back.
func (r *Records) Release() { r.r.Release() }

// Truncated says that the log was truncated below the end of the records since they were read: what was sent of them may be wrong.
func (r *Records) Truncated() bool { return r.r.Truncated() }

// RawFile gives the descriptor and position of the records, where the file system has one.
func (r *Records) RawFile() (raw syscall.RawConn, pos int64, ok bool) {
	f, ok := r.r.File.(vfs.RawFile)
	if !ok {
		return nil, 0, false
	}
	raw, err := f.SyscallConn()
	return raw, r.r.Pos, err == nil
}

// TimestampOffset is a found record.
type TimestampOffset struct {
	Timestamp   int64 // -1 when the question was not one of time
	Offset      int64 // -1 when nothing was found
	LeaderEpoch int32 // -1 unknown
}

// OffsetForTimestamp answers ListOffsets: the first record at or after ts, or one of the special timestamps. Followers pass ReadLogEnd.
// Kafka 3.9 Partition.fetchOffsetForTimestamp.
func (p *Partition) OffsetForTimestamp(ts int64, iso Isolation, currentEpoch int32, onlyLeader bool) (TimestampOffset, error) {
	p.leadership.RLock()
	defer p.leadership.RUnlock()
	none := TimestampOffset{-1, -1, -1}
	log, err := p.logFor(currentEpoch, onlyLeader)
	if err != nil {
		return none, err
	}
	last := log.HighWatermark()
	switch iso {
	case ReadCommitted:
		last = log.LastStableOffset()
	case ReadLogEnd:
		last = log.LogEndOffset()
	}
	var lagging error
	if iso != ReadLogEnd && p.isLeader && p.epochStart > log.HighWatermark() {
		lagging = p.errorf(kerr.OffsetNotAvailable, "the high watermark %d has not reached the start %d of leader epoch %d",
			log.HighWatermark(), p.epochStart, p.state.LeaderEpoch)
	}
	switch ts {
	case TimestampLatest:
		if lagging != nil {
			return none, lagging
		}
		return TimestampOffset{-1, last, p.state.LeaderEpoch}, nil
	case TimestampEarliest, TimestampEarliestLocal:
		start := log.LogStartOffset()
		return TimestampOffset{-1, start, log.EpochForOffset(start)}, nil
	case TimestampLatestTiered:
		return none, nil
	}
	found, ok, err := log.OffsetForTimestamp(ts)
	if err != nil {
		return none, err
	}
	if !ok || found.Offset >= last {
		return none, lagging
	}
	return TimestampOffset{found.Timestamp, found.Offset, found.LeaderEpoch}, nil
}

// OffsetsBefore answers ListOffsets 0: at most n offsets at which segments begin that were last written to at or before ts, falling. A
// consumer is told of nothing above the high watermark. Kafka 3.9 Partition.legacyFetchOffsetsForTimestamp.
func (p *Partition) OffsetsBefore(ts int64, n int, consumer, onlyLeader bool) ([]int64, error) {
	p.leadership.RLock()
	defer p.leadership.RUnlock()
	log, err := p.logFor(NoEpoch, onlyLeader)
	if err != nil {
		return nil, err
	}
	offsets, err := log.OffsetsBefore(ts, n)
	if err != nil || !consumer {
		return offsets, err
	}
	high := log.HighWatermark()
	below := slices.IndexFunc(offsets, func(o int64) bool { return o <= high })
	switch {
	case below == 0 || len(offsets) == 0:
		return offsets, nil
	case below < 0:
		return []int64{high}, nil
	}
	return append([]int64{high}, offsets[below:]...), nil
}

// ActiveProducers are the producers that this broker's replica knows, leader or not. Kafka 3.9 Partition.activeProducerState.
func (p *Partition) ActiveProducers() ([]logstore.ProducerEntry, error) {
	p.leadership.RLock()
	log, err := p.logFor(NoEpoch, false)
	p.leadership.RUnlock()
	if err != nil {
		return nil, err
	}
	return log.ActiveProducers(), nil
}

// EndOffsetForEpoch answers OffsetForLeaderEpoch: the largest epoch up to the given one and its end; (-1, -1) when none is known.
func (p *Partition) EndOffsetForEpoch(epoch, currentEpoch int32, onlyLeader bool) (int32, int64, error) {
	p.leadership.RLock()
	defer p.leadership.RUnlock()
	log, err := p.logFor(currentEpoch, onlyLeader)
	if err != nil {
		return -1, -1, err
	}
	e, end := log.EndOffsetForEpoch(epoch)
	return e, end, nil
}
