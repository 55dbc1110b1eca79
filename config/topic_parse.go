package config

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// topicBase is KafkaConfig.extractLogConfigMap: what the broker gives to topics that do not say otherwise.
func (b *Broker) topicBase() values {
	out := make(values, len(topicTable.keys))
	for i := range topicTable.keys {
		k := &topicTable.keys[i]
		if len(k.synonyms) == 0 {
			out[k.Name] = topicTable.defaults[k.Name]
			continue
		}
		out[k.Name] = b.values[k.synonyms[0].Name]
	}
	out["segment.ms"] = b.rollMs()
	out["segment.jitter.ms"] = b.rollJitterMs()
	out["flush.ms"] = b.flushMs()
	out["retention.ms"] = b.retentionMs()
	out["message.timestamp.before.max.ms"] = b.timestampMs("log.message.timestamp.before.max.ms")
	out["message.timestamp.after.max.ms"] = b.timestampMs("log.message.timestamp.after.max.ms")
	format := b.values.string("log.message.format.version")
	if b.ignoresMessageFormat() {
		format = topicTable.byName["message.format.version"].Default
	}
	out["message.format.version"], _ = resolveVersion(format)
	return out
}

// topicValues are the parsed settings of a topic without overrides.
func (b *Broker) topicValues() values { return b.topic }

// ParseTopic is the effective config of a topic: its overrides, else the broker's, else the defaults (LogConfig.fromProps).
// Unknown names are left out, as Kafka does with what it finds in ZooKeeper. The error is an *Error.
func ParseTopic(overrides map[string]string, b *Broker) (*Topic, error) {
	v, err := topicTable.parseOver(b.topicValues(), overrides)
	if err != nil {
		return nil, err
	}
	return newTopic(v), nil
}

// ValidateTopic checks overrides by themselves, the defaults of the table in place of the rest (LogConfig.validate with
// one argument). Null values, which a map cannot hold, are for the caller to refuse. The error is an *Error.
func ValidateTopic(overrides map[string]string) error {
	if err := checkTopicNames(overrides); err != nil {
		return err
	}
	v, err := topicTable.parse(overrides)
	if err != nil {
		return err
	}
	return checkTopicValues(v)
}

// ValidateTopic checks overrides as CreateTopics and AlterConfigs do in ZooKeeper mode, where the broker's configs fill
// in for what is not overridden (LogConfig.validate, AdminZkClient). The error is an *Error.
func (b *Broker) ValidateTopic(overrides map[string]string) error {
	if err := checkTopicNames(overrides); err != nil {
		return err
	}
	v, err := topicTable.parseOver(b.topicValues(), overrides)
	if err != nil {
		return err
	}
	if err := checkTopicValues(v); err != nil {
		return err
	}
	if v.bool("remote.log.delete.on.disable") || v.bool("remote.log.copy.disable") {
		return invalidConfiguration("It is invalid to set `remote.log.delete.on.disable` or " +
			"`remote.log.copy.disable` under Zookeeper's mode.")
	}
	// Tiered storage is refused at start, so no topic can have it.
	if v.bool("remote.storage.enable") {
		return configError("Tiered Storage functionality is disabled in the broker. " +
			"Topic cannot be configured with remote log storage.")
	}
	return nil
}

// checkTopicNames is LogConfig.validateNames; of several unknown names the first in the alphabet is reported.
func checkTopicNames(overrides map[string]string) error {
	var unknown []string
	for name := range overrides {
		if TopicKey(name) == nil {
			unknown = append(unknown, name)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	return invalidConfiguration("Unknown topic config name: " + slices.Min(unknown))
}

// checkTopicValues is LogConfig.validateValues.
func checkTopicValues(v values) error {
	lo, hi := v.long("min.compaction.lag.ms"), v.long("max.compaction.lag.ms")
	if lo > hi {
		return invalidConfiguration(fmt.Sprintf(
			"conflict topic config setting min.compaction.lag.ms (%d) > max.compaction.lag.ms (%d)", lo, hi))
	}
	return nil
}

// newTopic is the constructor of LogConfig.
func newTopic(v values) *Topic {
	policy := v.list("cleanup.policy")
	for i, p := range policy {
		policy[i] = strings.ToLower(p)
	}
	difference := v.long("message.timestamp.difference.max.ms")
	limit := func(name string) int64 {
		if n := v.long(name); n != math.MaxInt64 {
			return n
		}
		return difference
	}
	return &Topic{
		CleanupDelete:             slices.Contains(policy, "delete"),
		CleanupCompact:            slices.Contains(policy, "compact"),
		CompressionType:           v.string("compression.type"),
		CompressionGzipLevel:      v.int("compression.gzip.level"),
		CompressionLz4Level:       v.int("compression.lz4.level"),
		CompressionZstdLevel:      v.int("compression.zstd.level"),
		DeleteRetention:           millis(v.long("delete.retention.ms")),
		FileDeleteDelay:           millis(v.long("file.delete.delay.ms")),
		FlushMessages:             v.long("flush.messages"),
		FlushInterval:             millis(v.long("flush.ms")),
		IndexIntervalBytes:        v.int("index.interval.bytes"),
		MaxCompactionLag:          millis(v.long("max.compaction.lag.ms")),
		MaxMessageBytes:           v.int("max.message.bytes"),
		MinCleanableRatio:         v.double("min.cleanable.dirty.ratio"),
		MinCompactionLag:          millis(v.long("min.compaction.lag.ms")),
		MinInsyncReplicas:         v.int("min.insync.replicas"),
		Preallocate:               v.bool("preallocate"),
		RetentionBytes:            v.long("retention.bytes"),
		Retention:                 millis(v.long("retention.ms")),
		SegmentBytes:              v.int("segment.bytes"),
		SegmentIndexBytes:         v.int("segment.index.bytes"),
		SegmentJitter:             millis(v.long("segment.jitter.ms")),
		SegmentMaxAge:             millis(v.long("segment.ms")),
		UncleanElection:           v.bool("unclean.leader.election.enable"),
		LogAppendTime:             v.string("message.timestamp.type") == "LogAppendTime",
		TimestampBeforeMax:        millis(limit("message.timestamp.before.max.ms")),
		TimestampAfterMax:         millis(limit("message.timestamp.after.max.ms")),
		DownconversionEnable:      v.bool("message.downconversion.enable"),
		LeaderThrottledReplicas:   v.list("leader.replication.throttled.replicas"),
		FollowerThrottledReplicas: v.list("follower.replication.throttled.replicas"),
	}
}
