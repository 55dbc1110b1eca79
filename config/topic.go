package config

import "time"

// Topic holds the effective settings of one topic: its overrides, else the broker's, else the defaults
// (Kafka 3.9 LogConfig). Values are immutable once published; a change makes a new Topic.
// Sizes are in bytes; a negative duration or size means "no limit" where Kafka's documentation says so.
type Topic struct {
	CleanupDelete  bool // cleanup.policy contains delete
	CleanupCompact bool // cleanup.policy contains compact

	CompressionType      string // producer, uncompressed, gzip, snappy, lz4, zstd
	CompressionGzipLevel int32
	CompressionLz4Level  int32
	CompressionZstdLevel int32

	DeleteRetention      time.Duration
	FileDeleteDelay      time.Duration
	FlushMessages        int64         // records; MaxInt64 = never
	FlushInterval        time.Duration // flush.ms; MaxInt64 ms saturates
	IndexIntervalBytes   int32
	MaxCompactionLag     time.Duration
	MaxMessageBytes      int32
	MinCleanableRatio    float64
	MinCompactionLag     time.Duration
	MinInsyncReplicas    int32
	Preallocate          bool
	RetentionBytes       int64
	Retention            time.Duration // negative = for ever
	SegmentBytes         int32
	SegmentIndexBytes    int32
	SegmentJitter        time.Duration
	SegmentMaxAge        time.Duration // segment.ms
	UncleanElection      bool
	LogAppendTime        bool          // message.timestamp.type=LogAppendTime
	TimestampBeforeMax   time.Duration // message.timestamp.before.max.ms; MaxInt64 ns = no limit
	TimestampAfterMax    time.Duration // message.timestamp.after.max.ms
	DownconversionEnable bool

	LeaderThrottledReplicas   []string // "partition:broker" pairs, or "*"
	FollowerThrottledReplicas []string
}
