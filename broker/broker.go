package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"gokafka/config"
	"gokafka/controller"
	"gokafka/coordination"
	"gokafka/coordination/embedded"
	"gokafka/coordination/znode"
	"gokafka/fetch"
	"gokafka/groups"
	"gokafka/handlers"
	"gokafka/internal/clock"
	"gokafka/internal/kafkalog"
	"gokafka/internal/peer"
	"gokafka/internal/vfs"
	"gokafka/logstore"
	"gokafka/logstore/logdir"
	"gokafka/metadata"
	"gokafka/producerid"
	"gokafka/record"
	"gokafka/replication"
	"gokafka/security"
	"gokafka/server"
	"gokafka/settings"
	"gokafka/suspicion"
	"gokafka/topics"
	"gokafka/transactions"
)

// Options of a broker. Config is needed.
type Options struct {
	Config *config.Broker
	FS     vfs.FS       // nil = the operating system's
	Clock  *clock.Clock // nil = the machine's
	Logger *slog.Logger // nil = none
	// Network is what the broker listens and connects by; nil = TCP.
	Network Network
	// Coordination is an embedded coordination server to use in place of an own one or of zookeeper.connect. It is dialled in memory.
	Coordination *embedded.Server
	// NewestFeatures finalizes all features at their highest level when a cluster is born, if its coordination is embedded. Apache 3.9 brokers could not join it.
	NewestFeatures bool
	// HTTP is the address of the HTTP port; empty = none.
	HTTP string
	// Authorizer says who may do what; nil = everybody everything.
	Authorizer security.Authorizer
}

// Broker is a running broker. Use Start.
type Broker struct {
	cfg     *config.Broker
	fs      vfs.FS
	clk     *clock.Clock
	logger  *slog.Logger // with the server's prefix
	base    *slog.Logger
	network Network
	// newestFeatures: a cluster that this broker makes is born with all of them.
	newestFeatures bool

	embedded     *embedded.Server     // own one, or nil
	zk           coordination.Options // of session
	session      *coordination.Session
	clusterID    string
	codecs       *record.Codecs
	logs         *logdir.Manager
	settings     *settings.Manager
	cache        *metadata.Cache
	replicas     *replication.Manager
	throttles    throttles
	groups       *groups.Coordinator
	transactions *transactions.Coordinator
	live         atomic.Pointer[replication.Manager] // replicas, for callbacks that may come before it is made
	dirFailures  chan dirFailure
	dropped      topicQueue
	fetches      *fetch.Manager
	topics       *topics.Manager
	producerIDs  *producerid.Manager
	controller   *controller.Controller
	candidate    atomic.Pointer[controller.Controller] // controller, for callbacks that may come before it is made
	suspicion    atomic.Pointer[suspicion.Monitor]     // nil: none, or not yet
	handlers     *handlers.Handlers
	server       *server.Server
	metrics      *metrics
	http         *http.Server
	httpAddr     net.Addr
	bound        []bound
	features     features
	peers        peers

	registration znode.Registration
	registered   atomic.Pointer[znode.Registered]

	ctx        context.Context // ends when Stop begins
	cancel     context.CancelCauseFunc
	wg         sync.WaitGroup
	stopping   atomic.Bool
	logsClosed atomic.Bool
	failed     chan error // a failure after which the broker cannot go on; capacity 1
	undo       []func()   // what Start has done, last first
}

// ErrNoLogDirs says that no log directory is left.
var ErrNoLogDirs = errors.New("all log directories have failed")

// Start starts a broker and returns when it accepts connections; Ready tells when clients are served. An error leaves nothing running.
func Start(ctx context.Context, o Options) (*Broker, error) {
	b := &Broker{cfg: o.Config, fs: o.FS, clk: o.Clock, base: o.Logger, failed: make(chan error, 1), cache: metadata.NewCache(), newestFeatures: o.NewestFeatures}
	if b.fs == nil {
		b.fs = vfs.OS()
	}
	if b.network = o.Network; b.network == nil {
		b.network = tcp{}
	}
	if b.clk == nil {
		b.clk = clock.New()
	}
	if b.base == nil {
		b.base = slog.New(slog.DiscardHandler)
	}
	b.logger = b.base.With(kafkalog.PrefixKey, fmt.Sprintf("[KafkaServer id=%d] ", b.cfg.ID), kafkalog.LoggerKey, "kafka.server.KafkaServer")
	b.ctx, b.cancel = context.WithCancelCause(context.Background())
	b.dirFailures = make(chan dirFailure, len(b.cfg.LogDirs))
	b.dropped.signal = make(chan struct{}, 1)
	b.wg.Go(b.serveDirFailures)
	b.wg.Go(b.dropTopics)
	steps := []func(context.Context, Options) error{
		b.openCoordination, b.openDirs, b.startSettings, b.loadLogs, b.buildServing, b.bindAll, b.join, b.serve,
	}
	for _, step := range steps {
		if err := step(ctx, o); err != nil {
			b.unwind()
			return nil, err
		}
	}
	b.wg.Go(b.announce)
	return b, nil
}

// did notes how to undo a step of Start.
func (b *Broker) did(undo func()) { b.undo = append(b.undo, undo) }

// unwind undoes all steps, the last first.
func (b *Broker) unwind() {
	b.cancel(errors.New("the broker is stopping"))
	for i := len(b.undo) - 1; i >= 0; i-- {
		b.undo[i]()
	}
	b.undo = nil
	b.wg.Wait()
}

// Failed gives the error after which the broker cannot go on and has to be stopped.
func (b *Broker) Failed() <-chan error { return b.failed }

// fail asks the owner to stop the broker.
func (b *Broker) fail(err error) {
	select {
	case b.failed <- err:
	default:
	}
}

// ID is the broker's id.
func (b *Broker) ID() int32 { return b.cfg.ID }

// Listening describes the open listeners, for people.
func (b *Broker) Listening() []string {
	var out []string
	for i := range b.bound {
		for _, s := range b.bound[i].sockets {
			out = append(out, b.bound[i].Name+"://"+s.Addr().String())
		}
	}
	return out
}

// HTTPAddr is the address of the HTTP port, nil without one.
func (b *Broker) HTTPAddr() net.Addr { return b.httpAddr }

// LogDirs are the log directories.
func (b *Broker) LogDirs() []string { return b.cfg.LogDirs }

// Ready is closed once the broker serves clients.
func (b *Broker) Ready() <-chan struct{} { return b.handlers.Ready() }

// announce logs the lines that scripts wait for, once clients are served.
func (b *Broker) announce() {
	select {
	case <-b.handlers.Ready():
	case <-b.ctx.Done():
		return
	}
	b.logger.Info("Transitioning from RECOVERY to RUNNING")
	b.base.Info("Kafka Server started", kafkalog.LoggerKey, "kafka.server.KafkaServer")
	b.logger.Info("started")
}

// openDirs takes the log directories and settles cluster and broker id.
func (b *Broker) openDirs(ctx context.Context, _ Options) error {
	var err error
	b.codecs = record.NewCodecs()
	b.logs, err = logdir.Prepare(logdir.Options{
		FS: b.fs, Dirs: b.cfg.LogDirs, Clock: b.clk, Logger: b.base.With(kafkalog.PrefixKey, "[LogManager] "), Codecs: b.codecs,
		Producers:       producerOptions(b.cfg),
		RecoveryThreads: int(b.cfg.RecoveryThreadsPerDataDir), FileDeleteDelay: b.cfg.Topic().FileDeleteDelay, InitialDelay: b.cfg.LogInitialTaskDelay,
		RetentionCheckInterval: b.cfg.LogRetentionCheckInterval, FlushCheckInterval: b.cfg.LogFlushSchedulerInterval,
		RecoveryPointCheckpointInterval: b.cfg.LogFlushOffsetCheckpoint, LogStartCheckpointInterval: b.cfg.LogFlushStartOffsetCheckpoint,
		HighWatermarkCheckpointInterval: b.cfg.HighWatermarkCheckpoint, ProducerExpirationInterval: b.cfg.ProducerIDExpirationCheck,
		OnDirFailure: b.dirFailed,
	})
	if err != nil {
		return err
	}
	b.did(func() {
		if !b.logsClosed.Load() {
			b.logs.Abandon()
		}
	})
	b.takeOver(ctx)
	id, _, err := b.logs.Identity()
	if err != nil {
		return err
	}
	return b.settleID(ctx, id)
}

// settleID gives the broker its id: the configured one, else the one its directories know, else a new one.
func (b *Broker) settleID(ctx context.Context, stored int32) error {
	if b.cfg.ID >= 0 {
		return nil
	}
	id := stored
	if id < 0 {
		if !b.cfg.GenerateID {
			return errors.New("broker.id is not set and broker.id.generation.enable is false")
		}
		g, err := b.session.Await(ctx)
		if err != nil {
			return err
		}
		if id, err = znode.NextBrokerID(ctx, g, b.cfg.MaxReservedID); err != nil {
			return err
		}
	}
	b.cfg = b.cfg.WithID(id)
	b.logger = b.base.With(kafkalog.PrefixKey, fmt.Sprintf("[KafkaServer id=%d] ", id), kafkalog.LoggerKey, "kafka.server.KafkaServer")
	return nil
}

func (b *Broker) startSettings(ctx context.Context, _ Options) error {
	b.throttles = newThrottles(b.clk, b.cfg)
	var err error
	b.settings, err = settings.Start(ctx, settings.Options{
		Session: b.session, Broker: b.cfg, Clock: b.clk, Logger: b.base,
		OnTopic: func(name string, t *config.Topic) {
			if m := b.live.Load(); m != nil {
				m.ConfigChanged(name, t)
			}
			if c := b.candidate.Load(); c != nil && t.UncleanElection {
				c.UncleanElectionEnabled(name)
			}
		},
		OnBroker: func(before, after *config.Broker) {
			b.throttles.limit(after)
			b.logs.SetProducerOptions(producerOptions(after))
			if c := b.candidate.Load(); c != nil && after.UncleanElection && !before.UncleanElection {
				c.UncleanElectionEnabled("")
			}
		},
		TopicExists: func(name string) bool { return b.cache.Image().Topic(name) != nil },
	})
	if err != nil {
		return err
	}
	b.did(b.settings.Close)
	for c := (*config.Broker)(nil); c != b.settings.Broker(); { // again if it changed meanwhile: OnBroker is told of changes only, and may have been before us
		c = b.settings.Broker()
		b.throttles.limit(c)
		b.logs.SetProducerOptions(producerOptions(c))
	}
	return nil
}

func (b *Broker) loadLogs(context.Context, Options) error {
	b.logs.SetTopicConfig(b.settings.Topic)
	b.logger.Info("Loading logs", "dirs", b.cfg.LogDirs)
	began := b.clk.Mono()
	if err := b.logs.Load(b.cfg.ID, b.clusterID); err != nil {
		return err
	}
	b.logger.Info("Logs loaded", "logs", len(b.logs.All()), "took", (b.clk.Mono() - began).Round(time.Millisecond).String())
	b.logs.Start()
	if b.cfg.LogCleanerEnable {
		b.logs.StartCleaners(func() logdir.CleanerOptions { return cleanerOptions(b.settings.Broker()) })
	}
	return nil
}

// producerOptions are the settings of producers, which can be changed while the broker runs.
func producerOptions(c *config.Broker) logstore.ProducerOptions {
	return logstore.ProducerOptions{ExpirationMs: c.ProducerIDExpiration.Milliseconds(), VerificationEnabled: c.TransactionVerification, MaxTxnTimeoutMs: c.Transactions.MaxTimeout.Milliseconds()}
}

// cleanerOptions are asked for before each pass of a cleaner: all but log.cleaner.enable can be changed while the broker runs.
func cleanerOptions(c *config.Broker) logdir.CleanerOptions {
	return logdir.CleanerOptions{
		Threads: int(c.LogCleanerThreads), Backoff: c.LogCleanerBackoff, MapBytes: c.LogCleanerDedupeBufferBytes,
		LoadFactor: c.LogCleanerDedupeLoadFactor, IOBufferBytes: int(c.LogCleanerIOBufferBytes), MaxBytesPerSecond: c.LogCleanerIOMaxBytesPerSecond,
	}
}

// frameBudget is the memory of all large requests together when queued.max.request.bytes sets none.
const frameBudget = 512 << 20

// writeTimeout closes a connection whose peer takes nothing for so long.
const writeTimeout = 60 * time.Second

// buildServing builds what requests go through, and serves none yet.
func (b *Broker) buildServing(_ context.Context, o Options) error {
	replicas := replication.NewManager(b.replicationOptions())
	b.replicas = replicas
	b.live.Store(replicas)
	b.did(b.replicas.Close)
	b.groups = groups.New(groups.Options{Config: &b.cfg.Groups, Replicas: b.replicas, Codecs: b.codecs, Clock: b.clk,
		Logger: b.base.With(kafkalog.PrefixKey, fmt.Sprintf("[GroupCoordinator %d] ", b.cfg.ID)), Partitions: b.offsetsPartitions, Image: b.cache.Image})
	b.did(b.groups.Close)
	b.producerIDs = producerid.New(b.takeProducerIDs, b.clk, b.base.With(kafkalog.PrefixKey, fmt.Sprintf("[ProducerId Manager %d] ", b.cfg.ID)))
	b.did(b.producerIDs.Close)
	b.transactions = transactions.New(transactions.Options{Config: &b.cfg.Transactions, RequestTimeout: b.cfg.RequestTimeout, Replicas: b.replicas, Codecs: b.codecs, Clock: b.clk,
		Logger: b.base.With(kafkalog.PrefixKey, fmt.Sprintf("[TransactionCoordinator id=%d] ", b.cfg.ID)), BrokerID: b.cfg.ID, Image: b.cache.Image, NextID: b.producerIDs.Next,
		PeerAddr: b.peerAddr, Exists: b.partitionExists, Level: func() int16 { return b.features.level(transactionFeature) }, Peer: peer.Options{Dial: b.network.Dial, ClientID: fmt.Sprintf("broker-%d-txn-marker-sender", b.cfg.ID)}})
	b.did(b.transactions.Close)
	b.fetches = fetch.NewManager(fetch.Options{Replicas: b.replicas, Metadata: b.cache, Clock: b.clk, Logger: b.base, MaxSessions: int(b.cfg.FetchSessionCacheSlots)})
	b.did(b.fetches.Close)
	b.topics = topics.New(topics.Options{Session: b.session, Image: b.cache.Image, Config: b.settings.Broker, Logger: b.base})
	b.controller = controller.New(b.controllerOptions())
	b.candidate.Store(b.controller)
	authorizer := o.Authorizer
	if authorizer == nil {
		authorizer = security.AllowAll{}
	}
	b.handlers = handlers.New(handlers.Options{
		BrokerID: b.cfg.ID, ClusterID: b.clusterID, BrokerEpoch: b.epoch, Config: b.cfg, Cluster: b.cache, Replicas: b.replicas, Fetches: b.fetches,
		Controller: b.controller, Topics: b.topics, Groups: b.groups, Transactions: b.transactions, OldOffsets: oldOffsets{b}, Settings: b.settings, ProducerIDs: b.producerIDs, Codecs: b.codecs, Authorizer: authorizer,
		Clock: b.clk, Logger: b.base.With(kafkalog.PrefixKey, fmt.Sprintf("[KafkaApi-%d] ", b.cfg.ID)),
		FinalizedFeatures: b.features.get, SupportedFeatures: finalizable, AwaitFeatures: b.features.await, ModernGroups: b.peers.modernGroups.Load, MetadataUpdated: b.metadataUpdated, TopicsExist: b.topicsExist,
		Observe: func(key int16, took time.Duration, failed bool) { b.metrics.observe(key, took, failed) },
	})
	budget := b.cfg.QueuedMaxRequestBytes
	if budget <= 0 {
		budget = frameBudget
	}
	b.server = server.New(server.Options{
		Listen: b.network.Listen,
		Serve:  b.handlers.Serve, Clock: b.clk, Logger: b.base.With(kafkalog.PrefixKey, fmt.Sprintf("[SocketServer listenerType=ZK_BROKER, nodeId=%d] ", b.cfg.ID)),
		MaxFrameBytes: b.cfg.SocketRequestMaxBytes, FrameBudgetBytes: budget, MaxIdle: b.cfg.ConnectionsMaxIdle,
		MaxConnections: limit(b.cfg.MaxConnections), MaxConnectionsPerIP: limit(b.cfg.MaxConnectionsPerIP), WriteTimeout: writeTimeout,
		MaxConnectionsPerIPOf: perIPLimits(b.cfg.MaxConnectionsPerIPHost),
	})
	b.metrics = newMetrics(b)
	return nil
}

// perIPLimits resolves the hosts of max.connections.per.ip.overrides to addresses; what cannot be resolved limits nobody, as in Apache a name that no peer has.
func perIPLimits(hosts map[string]int32) map[string]int {
	out := map[string]int{}
	for host, n := range hosts {
		addrs, err := net.LookupHost(host)
		if err != nil {
			addrs = []string{host}
		}
		for _, a := range addrs {
			out[a] = int(n)
		}
	}
	return out
}

// limit is n, or 0 for no limit.
func limit(n int32) int {
	if n == 1<<31-1 {
		return 0
	}
	return int(n)
}

func (b *Broker) takeProducerIDs(ctx context.Context) (producerid.Block, error) {
	g, err := b.session.Await(ctx)
	if err != nil {
		return producerid.Block{}, err
	}
	block, err := znode.TakeProducerIDBlock(ctx, g, b.cfg.ID)
	return producerid.Block{Start: block.Start, Len: block.Len}, err
}

func (b *Broker) bindAll(context.Context, Options) error {
	b.did(func() {
		for i := range b.bound {
			for _, s := range b.bound[i].sockets {
				s.Close()
			}
		}
	})
	return b.bind()
}

// serve opens the HTTP port, last: it tells of a broker that is there.
func (b *Broker) serve(_ context.Context, o Options) error {
	if o.HTTP != "" {
		if err := b.serveHTTP(o.HTTP); err != nil {
			return err
		}
		b.did(b.stopHTTP)
	}
	return nil
}
