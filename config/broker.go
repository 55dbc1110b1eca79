package config

import (
	"maps"
	"time"
)

// Broker is the effective config of one broker, with Kafka's derived rules applied (Kafka 3.9 KafkaConfig). It is
// immutable. Sizes are in bytes. A duration the config gives in milliseconds saturates at about 292 years.
type Broker struct {
	// ID is -1 if the id is to be generated, see GenerateID.
	ID            int32
	GenerateID    bool  // broker.id.generation.enable, and no id was set
	MaxReservedID int32 // generated ids begin above it
	Rack          string

	// Coordination. Embedded says that the broker runs the coordination server inside itself: no zookeeper.connect.
	Embedded             bool
	ZooKeeperConnect     string
	ZooKeeperServers     []string // host:port
	ZooKeeperChroot      string   // empty, or begins with a slash
	ZooKeeperSession     time.Duration
	ZooKeeperConnection  time.Duration
	ZooKeeperMaxInFlight int32
	ControllerListeners  []string // not opened

	Listeners           []Listener // to open; those of controllers are left out
	AdvertisedListeners []Listener
	ListenerProtocols   map[string]string // listener.security.protocol.map by upper-case name; not to be changed
	InterBrokerListener string            // a name among AdvertisedListeners
	InterBrokerProtocol string            // security protocol of it
	ControlPlane        string            // control.plane.listener.name, or empty
	InterBrokerVersion  string            // inter.broker.protocol.version in full, such as 3.9-IV0

	// Connections.
	SocketSendBufferBytes    int32 // -1: left to the system
	SocketReceiveBufferBytes int32
	SocketRequestMaxBytes    int32
	SocketListenBacklog      int32
	MaxConnections           int32
	MaxConnectionsPerIP      int32
	MaxConnectionsPerIPHost  map[string]int32 // max.connections.per.ip.overrides; not to be changed
	MaxConnectionRate        int32            // new connections a second
	ConnectionsMaxIdle       time.Duration    // negative: for ever
	FailedAuthDelay          time.Duration
	QueuedMaxRequests        int32
	QueuedMaxRequestBytes    int64 // not positive: no limit
	RequestTimeout           time.Duration
	ConnectTimeout           time.Duration // socket.connection.setup.timeout.ms
	ConnectTimeoutMax        time.Duration
	ControllerSocketTimeout  time.Duration

	// Topics and the log.
	LogDirs                       []string
	NumPartitions                 int32
	DefaultReplicationFactor      int32
	AutoCreateTopics              bool
	DeleteTopics                  bool
	MessageMaxBytes               int32
	MinInsyncReplicas             int32
	UncleanElection               bool
	LogRetentionCheckInterval     time.Duration
	LogFlushSchedulerInterval     time.Duration
	LogFlushOffsetCheckpoint      time.Duration
	LogFlushStartOffsetCheckpoint time.Duration
	LogInitialTaskDelay           time.Duration
	RecoveryThreadsPerDataDir     int32
	LogCleanerEnable              bool
	LogCleanerThreads             int32
	LogCleanerBackoff             time.Duration
	LogCleanerDedupeBufferBytes   int64
	LogCleanerDedupeLoadFactor    float64
	LogCleanerIOBufferBytes       int32
	LogCleanerIOMaxBytesPerSecond float64
	ProducerIDExpiration          time.Duration
	ProducerIDExpirationCheck     time.Duration
	FetchMaxBytes                 int32
	FetchSessionCacheSlots        int32
	MaxRequestPartitionSizeLimit  int32
	RackAware                     bool // replica.selector.class: consumers read from a replica in their rack (KIP-392)
	TransactionVerification       bool // transaction.partition.verification.enable

	// Replication and the controller.
	ReplicaLagTimeMax            time.Duration
	ReplicaSocketTimeout         time.Duration
	ReplicaSocketReceiveBuffer   int32
	ReplicaFetchMaxBytes         int32
	ReplicaFetchWaitMax          time.Duration
	ReplicaFetchBackoff          time.Duration
	ReplicaFetchMinBytes         int32
	ReplicaFetchResponseMaxBytes int32
	NumReplicaFetchers           int32
	NumReplicaDirMovers          int32 // num.replica.alter.log.dirs.threads; one for each log directory unless it is set
	DirMoveRate                  int64 // replica.alter.log.dirs.io.max.bytes.per.second
	LeaderThrottle               int64 // leader.replication.throttled.rate, bytes a second
	FollowerThrottle             int64 // follower.replication.throttled.rate
	DirMoveQuota                 QuotaWindows
	ReplicationQuota             QuotaWindows
	HighWatermarkCheckpoint      time.Duration
	AutoLeaderRebalance          bool
	LeaderImbalancePercentage    int32
	DeadBrokerDetection          bool
	LeaderImbalanceCheckInterval time.Duration
	ControlledShutdown           bool
	ControlledShutdownMaxRetries int32
	ControlledShutdownBackoff    time.Duration

	Groups       Groups
	Transactions Transactions

	static  map[string]string // file, environment, overrides, with broker.id and node.id made equal
	cluster map[string]string // dynamic, of the cluster
	own     map[string]string // dynamic, of this broker
	props   map[string]string // all of the above in force (KafkaConfig.originals)
	values  values            // parsed
	topic   values            // what topics fall back to (KafkaConfig.extractLogConfigMap)
}

// QuotaWindows is how the rate of a quota is measured: over so many samples of a window each.
type QuotaWindows struct {
	Samples int
	Window  time.Duration
}

// Groups are the settings of the group coordinator.
type Groups struct {
	MinSessionTimeout             time.Duration
	MaxSessionTimeout             time.Duration
	InitialRebalanceDelay         time.Duration
	MaxSize                       int32
	RebalanceProtocols            []string // classic, consumer, ...
	OffsetMetadataMaxBytes        int32
	OffsetsLoadBufferBytes        int32
	OffsetsTopicReplicationFactor int16
	OffsetsTopicPartitions        int32
	OffsetsTopicSegmentBytes      int32
	OffsetsTopicCompressionCodec  int32 // the number in the attributes of a batch
	OffsetsRetention              time.Duration
	OffsetsRetentionCheckInterval time.Duration
	OffsetsCommitTimeout          time.Duration
	OffsetsCommitRequiredAcks     int16
	ConsumerSessionTimeout        time.Duration
	ConsumerMinSessionTimeout     time.Duration
	ConsumerMaxSessionTimeout     time.Duration
	ConsumerHeartbeatInterval     time.Duration
	ConsumerMinHeartbeatInterval  time.Duration
	ConsumerMaxHeartbeatInterval  time.Duration
	ConsumerMaxSize               int32
	ConsumerAssignors             []string
	ConsumerMigrationPolicy       string // disabled, upgrade, downgrade, bidirectional, in any case
}

// Transactions are the settings of the transaction coordinator.
type Transactions struct {
	StateLogMinISR            int32
	StateLogReplicationFactor int16
	StateLogPartitions        int32
	StateLogSegmentBytes      int32
	StateLogLoadBufferBytes   int32
	TransactionalIDExpiration time.Duration
	MaxTimeout                time.Duration
	AbortTimedOutInterval     time.Duration
	RemoveExpiredInterval     time.Duration
}

// NewBroker makes a Broker of static properties alone, as after a start without dynamic configs. The error is one line
// that names key, value and reason.
func NewBroker(static map[string]string) (*Broker, error) {
	return build(populateSynonyms(static), nil, nil)
}

// With is b with changed static properties; the dynamic ones stay. It serves --brokers, where members differ in id,
// ports and directories.
func (b *Broker) With(changes map[string]string) (*Broker, error) {
	static := maps.Clone(b.static)
	if _, ok := changes["broker.id"]; ok {
		delete(static, "node.id")
	}
	maps.Copy(static, changes)
	return build(populateSynonyms(static), b.cluster, b.own)
}

// WithID is b under a generated id. Kafka does not show the generated id among the configs, nor does this.
func (b *Broker) WithID(id int32) *Broker {
	c := *b
	c.ID, c.GenerateID = id, false
	return &c
}

// WithDynamic is b under other dynamic configs: those of the cluster, and those of this broker. Values that a running
// broker has to leave out are dropped first by FilterDynamic.
func (b *Broker) WithDynamic(cluster, broker map[string]string) (*Broker, error) {
	c, err := build(b.static, cluster, broker)
	if err != nil {
		return nil, err
	}
	c.ID, c.GenerateID = b.ID, b.GenerateID
	return c, nil
}

// Static are the properties of file, environment and overrides.
func (b *Broker) Static() map[string]string { return maps.Clone(b.static) }

// Value is a config of the table as Kafka prints it; ok is false for null and for names outside of the table.
func (b *Broker) Value(name string) (string, bool) { return Format(b.values[name]) }

// Topic are the settings of a topic without overrides.
func (b *Broker) Topic() *Topic { return newTopic(b.topicValues()) }

// populateSynonyms is KafkaConfig.populateSynonyms: broker.id and node.id are one.
func populateSynonyms(in map[string]string) map[string]string {
	out := maps.Clone(in)
	if out == nil {
		out = map[string]string{}
	}
	id, hasID := out["broker.id"]
	node, hasNode := out["node.id"]
	switch {
	case hasID && !hasNode:
		out["node.id"] = id
	case hasNode && !hasID:
		out["broker.id"] = node
	}
	return out
}

// overlay is DynamicBrokerConfig.overrideProps: a key of over also removes the synonyms of the key from props, for the
// later level wins over the finer unit.
func overlay(props, over map[string]string) {
	for k := range over {
		for _, s := range brokerSynonyms(k, false) {
			delete(props, s)
		}
	}
	maps.Copy(props, over)
}

// millis is n milliseconds, saturating.
func millis(n int64) time.Duration {
	const most = int64(1<<63-1) / int64(time.Millisecond)
	switch {
	case n > most:
		return 1<<63 - 1
	case n < -most:
		return -1 << 63
	}
	return time.Duration(n) * time.Millisecond
}
