package config

import (
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
)

// validHost is Utils.VALID_HOST_CHARACTERS.
var validHost = regexp.MustCompile(`^[0-9a-zA-Z\-%._:]*$`)

// rule is one requirement between configs: ok, or key is wrong for the reason why.
type rule struct {
	ok       bool
	key, why string
}

// check applies the rules of Kafka 3.9 KafkaConfig.validateValues, GroupCoordinatorConfig and ShareGroupConfig.
func (b *Broker) check() error {
	if err := b.setPerIPOverrides(); err != nil {
		return err
	}
	for _, rules := range [][]rule{b.logRules(), b.networkRules(), b.groupRules(), b.shareRules()} {
		for _, r := range rules {
			if !r.ok {
				return b.wrong(r.key, r.why)
			}
		}
	}
	return nil
}

func (b *Broker) logRules() []rule {
	v := b.values
	threads := max(int64(v.int("log.cleaner.threads")), 1) // Kafka divides by zero
	retention := b.retentionMs()
	return []rule{
		{b.rollMs() >= 1, b.setOne("log.roll.ms", "log.roll.hours"), "must be at least 1 ms"},
		{b.rollJitterMs() >= 0, b.setOne("log.roll.jitter.ms", "log.roll.jitter.hours"), "must be at least 0"},
		{retention >= 1 || retention == -1, b.setOne("log.retention.ms", "log.retention.minutes", "log.retention.hours"),
			"must be unlimited (-1), or at least 1"},
		{len(b.LogDirs) > 0, b.setOne("log.dirs", "log.dir"), "at least one log directory is required"},
		{b.LogCleanerDedupeBufferBytes/threads > 1<<20, "log.cleaner.dedupe.buffer.size",
			"must be more than 1 MiB for each of log.cleaner.threads"},
		{v.int("log.cleaner.threads") > 0, "log.cleaner.threads", "must be at least 1"},
		{b.ReplicaFetchWaitMax <= b.ReplicaSocketTimeout, "replica.fetch.wait.max.ms",
			"must not be above replica.socket.timeout.ms, or sockets time out for nothing"},
		{b.ReplicaFetchWaitMax <= b.ReplicaLagTimeMax, "replica.fetch.wait.max.ms",
			"must not be above replica.lag.time.max.ms, or the ISR changes often"},
		{b.messageFormatAllowed(), "log.message.format.version", "it is newer than inter.broker.protocol.version allows"},
	}
}

// setOne is the name of the synonym that is in force.
func (b *Broker) setOne(names ...string) string {
	for _, n := range names {
		if !b.values.isNull(n) {
			return n
		}
	}
	return names[len(names)-1]
}

func (b *Broker) networkRules() []rule {
	idle := b.ConnectionsMaxIdle
	return []rule{
		{b.QueuedMaxRequestBytes <= 0 || b.QueuedMaxRequestBytes >= int64(b.SocketRequestMaxBytes),
			"queued.max.request.bytes", "must be at least socket.request.max.bytes"},
		{b.MaxConnectionsPerIP != 0 || len(b.MaxConnectionsPerIPHost) > 0, "max.connections.per.ip",
			"can be zero only if max.connections.per.ip.overrides is set"},
		{idle < 0 || b.FailedAuthDelay < idle, "connection.failed.authentication.delay.ms",
			"must be less than connections.max.idle.ms"},
	}
}

func (b *Broker) groupRules() []rule {
	g := b.Groups
	upper := make([]string, len(g.RebalanceProtocols))
	for i, p := range g.RebalanceProtocols {
		upper[i] = strings.ToUpper(p)
	}
	const consumer = "group.consumer."
	rules := []rule{
		{slices.Contains(upper, "CLASSIC"), "group.coordinator.rebalance.protocols",
			"the classic protocol cannot be disabled"},
		{g.OffsetsTopicCompressionCodec >= 0 && g.OffsetsTopicCompressionCodec <= 4, "offsets.topic.compression.codec",
			"unknown compression type"},
		{g.OffsetsCommitRequiredAcks >= -1 && g.OffsetsCommitRequiredAcks <= g.OffsetsTopicReplicationFactor,
			"offsets.commit.required.acks", "must be at least -1 and not above offsets.topic.replication.factor"},
	}
	const assignors = "org.apache.kafka.coordinator.group.assignor."
	for _, name := range g.ConsumerAssignors {
		rules = append(rules, rule{name == assignors+"UniformAssignor" || name == assignors+"RangeAssignor", consumer + "assignors",
			"only Kafka's UniformAssignor and RangeAssignor are known"})
	}
	rules = append(rules, within(consumer, "heartbeat.interval.ms",
		g.ConsumerHeartbeatInterval, g.ConsumerMinHeartbeatInterval, g.ConsumerMaxHeartbeatInterval)...)
	return append(rules, within(consumer, "session.timeout.ms",
		g.ConsumerSessionTimeout, g.ConsumerMinSessionTimeout, g.ConsumerMaxSessionTimeout)...)
}

func (b *Broker) shareRules() []rule {
	const share = "group.share."
	rules := within(share, "heartbeat.interval.ms", b.ms(share+"heartbeat.interval.ms"),
		b.ms(share+"min.heartbeat.interval.ms"), b.ms(share+"max.heartbeat.interval.ms"))
	rules = append(rules, within(share, "session.timeout.ms", b.ms(share+"session.timeout.ms"),
		b.ms(share+"min.session.timeout.ms"), b.ms(share+"max.session.timeout.ms"))...)
	lock := "record.lock.duration.ms"
	return append(rules, within(share, lock, b.ms(share+lock), b.ms(share+"min."+lock), b.ms(share+"max."+lock))...)
}

// within are the rules of a default between a lower and an upper bound.
func within(prefix, name string, value, lo, hi time.Duration) []rule {
	return []rule{
		{hi >= lo, prefix + "max." + name, "must be greater than or equal to " + prefix + "min." + name},
		{value >= lo, prefix + name, "must be greater than or equal to " + prefix + "min." + name},
		{value <= hi, prefix + name, "must be less than or equal to " + prefix + "max." + name},
	}
}

// messageFormatAllowed is false if the record format is newer than old brokers understand. Since protocol version 3.0
// the format is ignored.
func (b *Broker) messageFormatAllowed() bool {
	if b.ignoresMessageFormat() {
		return true
	}
	format, _ := resolveVersion(b.values.string("log.message.format.version"))
	return recordVersion(b.InterBrokerVersion) >= recordVersion(format)
}

func (b *Broker) ignoresMessageFormat() bool {
	return versionIndex(b.InterBrokerVersion) >= versionIndex("3.0-IV1")
}

// recordVersion is MetadataVersion.highestSupportedRecordVersion.
func recordVersion(full string) int {
	switch i := versionIndex(full); {
	case i < versionIndex("0.10.0-IV0"):
		return 0
	case i < versionIndex("0.11.0-IV0"):
		return 1
	default:
		return 2
	}
}

// setPerIPOverrides parses max.connections.per.ip.overrides.
func (b *Broker) setPerIPOverrides() error {
	const key = "max.connections.per.ip.overrides"
	pairs, err := csvMap(key, b.values.string(key))
	if err != nil {
		return err
	}
	b.MaxConnectionsPerIPHost = make(map[string]int32, len(pairs))
	for host, count := range pairs {
		n, err := parseInt(count, 32)
		if err != nil {
			return b.wrong(key, "'"+count+"' is not a number of connections")
		}
		if !validHost.MatchString(host) {
			return b.wrong(key, "'"+host+"' is not a valid address")
		}
		b.MaxConnectionsPerIPHost[host] = int32(n)
	}
	return nil
}

// rollMs is log.roll.ms, else log.roll.hours.
func (b *Broker) rollMs() int64 { return b.msOr("log.roll.ms", "log.roll.hours", hour) }

// rollJitterMs is log.roll.jitter.ms, else log.roll.jitter.hours.
func (b *Broker) rollJitterMs() int64 {
	return b.msOr("log.roll.jitter.ms", "log.roll.jitter.hours", hour)
}

func (b *Broker) msOr(name, coarse string, unit int64) int64 {
	if !b.values.isNull(name) {
		return b.values.long(name)
	}
	return int64(b.values.int(coarse)) * unit
}

// retentionMs is log.retention.ms, else .minutes, else .hours; every negative value is -1, for ever.
func (b *Broker) retentionMs() int64 {
	n := int64(b.values.int("log.retention.hours")) * hour
	if !b.values.isNull("log.retention.minutes") {
		n = int64(b.values.int("log.retention.minutes")) * minute
	}
	if !b.values.isNull("log.retention.ms") {
		n = b.values.long("log.retention.ms")
	}
	return max(n, -1)
}

// flushMs is log.flush.interval.ms, else the interval of the scheduler.
func (b *Broker) flushMs() int64 {
	if !b.values.isNull("log.flush.interval.ms") {
		return b.values.long("log.flush.interval.ms")
	}
	return b.values.long("log.flush.scheduler.interval.ms")
}

// timestampMs is a timestamp limit, else the older common one: MaxInt64 counts as not set.
func (b *Broker) timestampMs(name string) int64 {
	if n := b.values.long(name); n != math.MaxInt64 {
		return n
	}
	return b.values.long("log.message.timestamp.difference.max.ms")
}
