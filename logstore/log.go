package logstore

import (
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"gokafka/config"
	"gokafka/internal/clock"
	"gokafka/internal/vfs"
	"gokafka/metadata"
	"gokafka/record"
)

// Log is the log of one partition. Safe for concurrent use. Methods return errors that wrap kerr values; after an error of the file
// system that leaves the files in doubt the log is offline, and everything returns kerr.KafkaStorageError.
type Log struct {
	tp        metadata.TopicPartition
	label     string // tp as text
	env       *env
	dir       *dirRef
	clock     *clock.Clock
	logger    *slog.Logger
	codecs    *record.Codecs
	onIOError func(error)

	cfg      atomic.Pointer[config.Topic]
	topicID  atomic.Pointer[metadata.TopicID] // nil = not known
	state    atomic.Int32
	reported atomic.Bool // OnIOError was told, or need not be

	segs atomic.Pointer[[]*segment] // ascending, never empty, never changed in place
	// changes is odd while segments are cut or deleted, and grows with each; a reader who sees it move looks again.
	changes atomic.Int64
	epochs  *epochCache

	mu          sync.Mutex // guards all changes, and what follows
	producers   *producers
	truncations int64
	flushTarget int64         // offset up to which flushLoop has to flush
	flushing    bool          // flushLoop runs
	dirChanged  bool          // segments were deleted since the last sync of the directory
	lastFlush   time.Duration // monotonic

	// idMu orders the writers of partition.metadata, once in a log's life.
	idMu      sync.Mutex
	idUnsaved atomic.Bool

	// swapMu keeps truncations, and the log's end, away while cleaned segments take the place of others. Before flushMu and mu.
	swapMu sync.Mutex
	// cleanedTo is the first offset that the cleaner has not looked at, -1 for a log that was never cleaned.
	cleanedTo atomic.Int64

	flushMu       sync.Mutex // held over the syncs of a flush, before mu
	recoveryPoint atomic.Int64
	// checkpointed is the recovery point in the checkpoint file, which must not stay above a truncation.
	checkpointed atomic.Int64
	onLowered    func(*Log) error

	// offMu makes a consistent snapshot of the ends. Held for moments; changes also hold mu.
	offMu    sync.Mutex
	end      OffsetMetadata
	high     OffsetMetadata
	unstable OffsetMetadata // first offset of an undecided or unreplicated transaction; Offset -1 for none

	// The same, and the log start, for those who want one number.
	logStart, logEnd, highWatermark, lastStable atomic.Int64

	bg      sync.WaitGroup // flushLoop and running deletions; Add under mu while open
	delMu   sync.Mutex
	deletes map[*delayedDelete]struct{}
}

// OffsetMetadata is an offset and where it is: the base offset of its segment and a position in that. SegmentBase and Position
// are -1 where the position is not known.
type OffsetMetadata struct {
	Offset      int64
	SegmentBase int64
	Position    int64
}

// OffsetOnly is an offset whose position is not known.
func OffsetOnly(offset int64) OffsetMetadata { return OffsetMetadata{offset, -1, -1} }

// Known says whether the position is known.
func (m OffsetMetadata) Known() bool { return m.Position >= 0 }

// Options are what Open needs.
type Options struct {
	FS             vfs.FS
	Dir            string // the partition's directory
	TopicPartition metadata.TopicPartition
	TopicID        metadata.TopicID // zero = not known
	// FirstEpochs are the leader epochs that a log which is made begins with; a log that is there keeps its own.
	FirstEpochs []EpochStart
	Config      *config.Topic
	Clock       *clock.Clock
	Logger      *slog.Logger
	Codecs      *record.Codecs
	Buffers     *Buffers // shared by the logs of a broker; nil = own
	Files       *Files   // likewise; nil = no limit
	Producers   ProducerOptions

	RecoveryPoint  int64 // from the checkpoint: everything below is on the disk
	LogStartOffset int64 // from the checkpoint; 0 = base of the first segment
	CleanShutdown  bool
	Cleaned        bool // the cleaner's checkpoint names the log: it was compacted once, whatever its topic is now

	// CleanedTo is what the cleaner's checkpoint says; it counts if Cleaned.
	CleanedTo int64

	// OnRecoveryPointLowered is called, without locks, before a truncation below the recovery point in the checkpoint file, or below the
	// cleaner's. It writes those files: a half done truncation, and what is appended next, must not be taken as flushed after a crash. Nil: the caller sees to it.
	OnRecoveryPointLowered func(*Log) error
	// OnIOError is told once when an error of the file system took the log offline. It is called without locks, by any goroutine.
	OnIOError func(error)
}

// TopicPartition names the partition.
func (l *Log) TopicPartition() metadata.TopicPartition { return l.tp }

// Dir is the partition's directory.
func (l *Log) Dir() string { return l.dir.get() }

// Config is the topic's settings.
func (l *Log) Config() *config.Topic { return l.cfg.Load() }

// SetConfig replaces the topic's settings. Sizes of indexes and the index interval hold for new segments only.
func (l *Log) SetConfig(c *config.Topic) { l.cfg.Store(c) }

// LogStartOffset is the first offset that may be read.
func (l *Log) LogStartOffset() int64 { return l.logStart.Load() }

// LogEndOffset is the offset of the next record.
func (l *Log) LogEndOffset() int64 { return l.logEnd.Load() }

// HighWatermark is the first offset that is not known to be on all in-sync replicas.
func (l *Log) HighWatermark() int64 { return l.highWatermark.Load() }

// LastStableOffset is the first offset that a read_committed consumer may not read.
func (l *Log) LastStableOffset() int64 { return l.lastStable.Load() }

// RecoveryPoint is the offset below which everything is on the disk.
func (l *Log) RecoveryPoint() int64 { return l.recoveryPoint.Load() }

// CheckpointRecoveryPoint returns the recovery point for one who is about to write it to the checkpoint file. A truncation below it that
// comes later calls OnRecoveryPointLowered.
func (l *Log) CheckpointRecoveryPoint() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	rp := l.recoveryPoint.Load()
	l.checkpointed.Store(rp)
	return rp
}

// Offline says whether an error of the file system ended the log's use.
func (l *Log) Offline() bool { return l.state.Load() == int32(stateOffline) }

// SizeBytes is the size of all segments, without indexes.
func (l *Log) SizeBytes() int64 {
	var sum int64
	for _, s := range *l.segs.Load() {
		sum += s.size.Load()
	}
	return sum
}

// SegmentCount is the number of segments.
func (l *Log) SegmentCount() int { return len(*l.segs.Load()) }

// FirstSegmentBase is the base offset of the oldest segment.
func (l *Log) FirstSegmentBase() int64 { return (*l.segs.Load())[0].base }

func (l *Log) active() *segment {
	segs := *l.segs.Load()
	return segs[len(segs)-1]
}

// floorSegment is the index of the segment that offset belongs to, -1 if it is before the first.
func floorSegment(segs []*segment, offset int64) int {
	return search(len(segs), func(i int) bool { return segs[i].base <= offset }) - 1
}
