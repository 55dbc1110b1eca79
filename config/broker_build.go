package config

import (
	"maps"
	"math"
	"time"
)

// build applies the levels in the order of DynamicBrokerConfig: own over cluster over static over the defaults of the
// table. It checks as KafkaConfig does.
func build(static, cluster, own map[string]string) (*Broker, error) {
	b := &Broker{static: static, cluster: maps.Clone(cluster), own: maps.Clone(own), props: maps.Clone(static)}
	overlay(b.props, cluster)
	overlay(b.props, own)
	var err error
	if b.values, err = brokerTable.parse(b.props); err != nil {
		return nil, err
	}
	if err := b.setThrottles(); err != nil {
		return nil, err
	}
	b.setBasics()
	b.setSockets()
	b.setLog()
	b.setReplication()
	b.setGroups()
	b.setTransactions()
	if err := b.setMode(); err != nil {
		return nil, err
	}
	if err := b.setListeners(); err != nil {
		return nil, err
	}
	if err := b.check(); err != nil {
		return nil, err
	}
	b.topic = b.topicBase()
	// Kafka's LogManager makes the default LogConfig at start, whose ranges differ from those of the broker configs.
	t, err := topicTable.parseOver(b.topicBase(), nil)
	if err != nil {
		return nil, err
	}
	return b, checkTopicValues(t)
}

// ms is an INT or LONG config in milliseconds.
func (b *Broker) ms(name string) time.Duration { return millis(b.number(name)) }

// number is an INT or LONG config.
func (b *Broker) number(name string) int64 {
	if n, ok := b.values[name].(int32); ok {
		return int64(n)
	}
	return b.values.long(name)
}

func (b *Broker) setBasics() {
	v := b.values
	b.ID = v.int("broker.id")
	b.GenerateID = v.bool("broker.id.generation.enable") && b.ID < 0
	b.MaxReservedID = v.int("reserved.broker.max.id")
	b.Rack = v.string("broker.rack")
	b.ZooKeeperConnect = v.string("zookeeper.connect")
	b.ZooKeeperSession = b.ms("zookeeper.session.timeout.ms")
	b.ZooKeeperConnection = b.ms("zookeeper.connection.timeout.ms")
	if v.isNull("zookeeper.connection.timeout.ms") {
		b.ZooKeeperConnection = b.ZooKeeperSession
	}
	b.ZooKeeperMaxInFlight = v.int("zookeeper.max.in.flight.requests")
	b.InterBrokerVersion, _ = resolveVersion(v.string("inter.broker.protocol.version")) // the table checked it
}

func (b *Broker) setSockets() {
	v := b.values
	b.SocketSendBufferBytes = v.int("socket.send.buffer.bytes")
	b.SocketReceiveBufferBytes = v.int("socket.receive.buffer.bytes")
	b.SocketRequestMaxBytes = v.int("socket.request.max.bytes")
	b.SocketListenBacklog = v.int("socket.listen.backlog.size")
	b.MaxConnections = v.int("max.connections")
	b.MaxConnectionsPerIP = v.int("max.connections.per.ip")
	b.MaxConnectionRate = v.int("max.connection.creation.rate")
	b.ConnectionsMaxIdle = b.ms("connections.max.idle.ms")
	b.FailedAuthDelay = b.ms("connection.failed.authentication.delay.ms")
	b.QueuedMaxRequests = v.int("queued.max.requests")
	b.QueuedMaxRequestBytes = v.long("queued.max.request.bytes")
	b.RequestTimeout = b.ms("request.timeout.ms")
	b.ConnectTimeout = b.ms("socket.connection.setup.timeout.ms")
	b.ConnectTimeoutMax = b.ms("socket.connection.setup.timeout.max.ms")
	b.ControllerSocketTimeout = b.ms("controller.socket.timeout.ms")
}

func (b *Broker) setLog() {
	v := b.values
	dirs := v.string("log.dirs")
	if v.isNull("log.dirs") {
		dirs = v.string("log.dir")
	}
	b.LogDirs = csvList(dirs)
	b.NumPartitions = v.int("num.partitions")
	b.DefaultReplicationFactor = v.int("default.replication.factor")
	b.AutoCreateTopics = v.bool("auto.create.topics.enable")
	b.DeleteTopics = v.bool("delete.topic.enable")
	b.MessageMaxBytes = v.int("message.max.bytes")
	b.MinInsyncReplicas = v.int("min.insync.replicas")
	b.UncleanElection = v.bool("unclean.leader.election.enable")
	b.LogRetentionCheckInterval = b.ms("log.retention.check.interval.ms")
	b.LogFlushSchedulerInterval = b.ms("log.flush.scheduler.interval.ms")
	b.LogFlushOffsetCheckpoint = b.ms("log.flush.offset.checkpoint.interval.ms")
	b.LogFlushStartOffsetCheckpoint = b.ms("log.flush.start.offset.checkpoint.interval.ms")
	b.LogInitialTaskDelay = b.ms("log.initial.task.delay.ms")
	b.RecoveryThreadsPerDataDir = v.int("num.recovery.threads.per.data.dir")
	b.LogCleanerEnable = v.bool("log.cleaner.enable")
	b.LogCleanerThreads = v.int("log.cleaner.threads")
	b.LogCleanerBackoff = b.ms("log.cleaner.backoff.ms")
	b.LogCleanerDedupeBufferBytes = v.long("log.cleaner.dedupe.buffer.size")
	b.LogCleanerDedupeLoadFactor = v.double("log.cleaner.io.buffer.load.factor")
	b.LogCleanerIOBufferBytes = v.int("log.cleaner.io.buffer.size")
	b.LogCleanerIOMaxBytesPerSecond = v.double("log.cleaner.io.max.bytes.per.second")
	b.ProducerIDExpiration = b.ms("producer.id.expiration.ms")
	b.ProducerIDExpirationCheck = b.ms("producer.id.expiration.check.interval.ms")
	b.FetchMaxBytes = v.int("fetch.max.bytes")
	b.FetchSessionCacheSlots = v.int("max.incremental.fetch.session.cache.slots")
	b.MaxRequestPartitionSizeLimit = v.int("max.request.partition.size.limit")
	b.RackAware = v.string(selectorKey) == rackAwareSelector
	b.TransactionVerification = v.bool("transaction.partition.verification.enable")
}

func (b *Broker) setReplication() {
	v := b.values
	b.ReplicaLagTimeMax = b.ms("replica.lag.time.max.ms")
	b.ReplicaSocketTimeout = b.ms("replica.socket.timeout.ms")
	b.ReplicaSocketReceiveBuffer = v.int("replica.socket.receive.buffer.bytes")
	b.ReplicaFetchMaxBytes = v.int("replica.fetch.max.bytes")
	b.ReplicaFetchWaitMax = b.ms("replica.fetch.wait.max.ms")
	b.ReplicaFetchBackoff = b.ms("replica.fetch.backoff.ms")
	b.ReplicaFetchMinBytes = v.int("replica.fetch.min.bytes")
	b.ReplicaFetchResponseMaxBytes = v.int("replica.fetch.response.max.bytes")
	b.NumReplicaFetchers = v.int("num.replica.fetchers")
	if b.NumReplicaDirMovers = v.int("num.replica.alter.log.dirs.threads"); v.isNull("num.replica.alter.log.dirs.threads") {
		b.NumReplicaDirMovers = int32(len(b.LogDirs))
	}
	b.ReplicationQuota = QuotaWindows{int(v.int("replication.quota.window.num")), seconds(int64(v.int("replication.quota.window.size.seconds")))}
	b.DirMoveQuota = QuotaWindows{int(v.int("alter.log.dirs.replication.quota.window.num")), seconds(int64(v.int("alter.log.dirs.replication.quota.window.size.seconds")))}
	b.HighWatermarkCheckpoint = b.ms("replica.high.watermark.checkpoint.interval.ms")
	b.AutoLeaderRebalance = v.bool("auto.leader.rebalance.enable")
	b.LeaderImbalancePercentage = v.int("leader.imbalance.per.broker.percentage")
	b.DeadBrokerDetection = v.bool("gokafka.dead.broker.detection.enable")
	b.LeaderImbalanceCheckInterval = seconds(v.long("leader.imbalance.check.interval.seconds"))
	b.ControlledShutdown = v.bool("controlled.shutdown.enable")
	b.ControlledShutdownMaxRetries = v.int("controlled.shutdown.max.retries")
	b.ControlledShutdownBackoff = b.ms("controlled.shutdown.retry.backoff.ms")
}

// setThrottles reads the quotas that only dynamic configs can set (Kafka 3.9 BrokerConfigHandler).
func (b *Broker) setThrottles() error {
	dynamic := maps.Clone(b.cluster)
	if dynamic == nil {
		dynamic = map[string]string{}
	}
	overlay(dynamic, b.own)
	v, err := quotaTable.parse(dynamic)
	if err != nil {
		return err
	}
	b.LeaderThrottle = v.long("leader.replication.throttled.rate")
	b.FollowerThrottle = v.long("follower.replication.throttled.rate")
	b.DirMoveRate = v.long("replica.alter.log.dirs.io.max.bytes.per.second")
	return nil
}

// seconds is n seconds, saturating.
func seconds(n int64) time.Duration {
	if n > math.MaxInt64/1000 {
		return math.MaxInt64
	}
	return millis(n * 1000)
}

func (b *Broker) setGroups() {
	v := b.values
	b.Groups = Groups{
		MinSessionTimeout:             b.ms("group.min.session.timeout.ms"),
		MaxSessionTimeout:             b.ms("group.max.session.timeout.ms"),
		InitialRebalanceDelay:         b.ms("group.initial.rebalance.delay.ms"),
		MaxSize:                       v.int("group.max.size"),
		RebalanceProtocols:            v.list("group.coordinator.rebalance.protocols"),
		OffsetMetadataMaxBytes:        v.int("offset.metadata.max.bytes"),
		OffsetsLoadBufferBytes:        v.int("offsets.load.buffer.size"),
		OffsetsTopicReplicationFactor: v.short("offsets.topic.replication.factor"),
		OffsetsTopicPartitions:        v.int("offsets.topic.num.partitions"),
		OffsetsTopicSegmentBytes:      v.int("offsets.topic.segment.bytes"),
		OffsetsTopicCompressionCodec:  v.int("offsets.topic.compression.codec"),
		OffsetsRetention:              millis(int64(v.int("offsets.retention.minutes")) * minute),
		OffsetsRetentionCheckInterval: b.ms("offsets.retention.check.interval.ms"),
		OffsetsCommitTimeout:          b.ms("offsets.commit.timeout.ms"),
		OffsetsCommitRequiredAcks:     v.short("offsets.commit.required.acks"),
		ConsumerSessionTimeout:        b.ms("group.consumer.session.timeout.ms"),
		ConsumerMinSessionTimeout:     b.ms("group.consumer.min.session.timeout.ms"),
		ConsumerMaxSessionTimeout:     b.ms("group.consumer.max.session.timeout.ms"),
		ConsumerHeartbeatInterval:     b.ms("group.consumer.heartbeat.interval.ms"),
		ConsumerMinHeartbeatInterval:  b.ms("group.consumer.min.heartbeat.interval.ms"),
		ConsumerMaxHeartbeatInterval:  b.ms("group.consumer.max.heartbeat.interval.ms"),
		ConsumerMaxSize:               v.int("group.consumer.max.size"),
		ConsumerAssignors:             v.list("group.consumer.assignors"),
		ConsumerMigrationPolicy:       v.string("group.consumer.migration.policy"),
	}
}

func (b *Broker) setTransactions() {
	v := b.values
	b.Transactions = Transactions{
		StateLogMinISR:            v.int("transaction.state.log.min.isr"),
		StateLogReplicationFactor: v.short("transaction.state.log.replication.factor"),
		StateLogPartitions:        v.int("transaction.state.log.num.partitions"),
		StateLogSegmentBytes:      v.int("transaction.state.log.segment.bytes"),
		StateLogLoadBufferBytes:   v.int("transaction.state.log.load.buffer.size"),
		TransactionalIDExpiration: b.ms("transactional.id.expiration.ms"),
		MaxTimeout:                b.ms("transaction.max.timeout.ms"),
		AbortTimedOutInterval:     b.ms("transaction.abort.timed.out.transaction.cleanup.interval.ms"),
		RemoveExpiredInterval:     b.ms("transaction.remove.expired.transaction.cleanup.interval.ms"),
	}
}
