package replication

import (
	"context"
	"log/slog"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/config"
	"gokafka/internal/clock"
	"gokafka/internal/peer"
	"gokafka/logstore/logdir"
	"gokafka/metadata"
	"gokafka/quota"
)

// Options of a Manager. Those of the first group are needed.
type Options struct {
	BrokerID int32
	Logs     *logdir.Manager
	Metadata *metadata.Cache
	// TopicConfig gives the effective settings of a topic; it is called without locks held by the caller's side and must not block.
	TopicConfig func(topic string) *config.Topic
	// LoadTopics makes the settings of new topics known to TopicConfig, before their first logs are made.
	LoadTopics func(ctx context.Context, topics []string) error
	Clock      *clock.Clock
	Logger     *slog.Logger

	// AlterPartition sends a leader's wishes to the controller of now, in the highest version that both serve and that is not above the one set
	// in the request. Nil: ISRs change by the controller's decisions alone.
	AlterPartition func(ctx context.Context, q *kmsg.AlterPartitionRequest) (*kmsg.AlterPartitionResponse, error)
	// PeerAddr is where a live broker is reached by other brokers. Nil: this broker follows nobody.
	PeerAddr func(brokerID int32) (addr string, ok bool)
	// Peer is how other brokers are reached: TLS and SASL. Clock, client id and bounds are set here.
	Peer peer.Options
	// BrokerEpoch is the broker epoch of the current registration. Nil: -1.
	BrokerEpoch func() int64

	// Registered says whether the registration certainly stands, so that nobody can have been made leader in this broker's place without
	// its knowledge. It is asked before a producer is told that a sequence is missing: clients take that for lost records, begin a
	// new producer epoch and send again what the true leader may have. A broker that is not certain says that it does not lead. Nil: yes.
	Registered func() bool

	// Assigned reads from ZooKeeper which brokers the replicas of a topic are on, by partition; adding and removing ones count. Of a topic that
	// does not exist it knows no partition. Nil: replicas that were moved away unheard stay where they are.
	Assigned func(ctx context.Context, topic string) (map[int32][]int32, error)

	// Topics reads from ZooKeeper which topics there are. Needed with Assigned.
	Topics func(ctx context.Context) ([]string, error)
	// Forgotten is told of topics that were taken out of the picture, as their deletion had not been heard of. It must not block. Nil: nobody is told.
	Forgotten func(topics []string)

	// LeadershipChanged is told of roles in the order in which they are given: of a partition that this broker leads and did not lead before (not of a
	// new epoch of a leadership that goes on), follows in a new epoch, or deletes. Coordinators load and unload by it. It must not
	// block, and must not call LeaderAndISR and its like. Nil: nobody is told.
	LeadershipChanged func([]LeadershipChange)

	LagTimeMax            time.Duration // replica.lag.time.max.ms, 30 s
	FetchWaitMax          time.Duration // replica.fetch.wait.max.ms, 500 ms
	FetchBackoff          time.Duration // replica.fetch.backoff.ms, 1 s
	SocketTimeout         time.Duration // replica.socket.timeout.ms, 30 s
	FetchMinBytes         int32         // replica.fetch.min.bytes, 1
	FetchMaxBytes         int32         // replica.fetch.max.bytes, of one partition, 1 MiB
	FetchResponseMaxBytes int32         // replica.fetch.response.max.bytes, 10 MiB
	Fetchers              int           // num.replica.fetchers for each leading broker, 1
	DirMovers             int           // num.replica.alter.log.dirs.threads, 1

	// RackAware lets consumers read from a replica in their rack (KIP-392); else from the leader alone.
	RackAware bool

	// The quotas limit what leaders send and followers fetch of partitions that are throttled (KIP-73), and what is copied between log directories. Nil:
	// nothing does.
	LeaderQuota, FollowerQuota, DirQuota *quota.Replication
}

// LeadershipChange is a new role of this broker for a partition.
type LeadershipChange struct {
	TopicPartition metadata.TopicPartition
	Leads          bool
	Deleted        bool
	LeaderEpoch    int32 // below 0 when deleted: -1 unknown, -2 with the whole topic
}

func (o Options) withDefaults() Options {
	if o.BrokerEpoch == nil {
		o.BrokerEpoch = func() int64 { return -1 }
	}
	orDuration := func(d *time.Duration, def time.Duration) {
		if *d <= 0 {
			*d = def
		}
	}
	orDuration(&o.LagTimeMax, 30*time.Second)
	orDuration(&o.FetchWaitMax, 500*time.Millisecond)
	orDuration(&o.FetchBackoff, time.Second)
	orDuration(&o.SocketTimeout, 30*time.Second)
	if o.Registered == nil {
		o.Registered = func() bool { return true }
	}
	if o.Forgotten == nil {
		o.Forgotten = func([]string) {}
	}
	if o.LeadershipChanged == nil {
		o.LeadershipChanged = func([]LeadershipChange) {}
	}
	if o.FetchMinBytes <= 0 {
		o.FetchMinBytes = 1
	}
	if o.FetchMaxBytes <= 0 {
		o.FetchMaxBytes = 1 << 20
	}
	if o.FetchResponseMaxBytes <= 0 {
		o.FetchResponseMaxBytes = 10 << 20
	}
	if o.DirMovers <= 0 {
		o.DirMovers = 1
	}
	for _, q := range []**quota.Replication{&o.LeaderQuota, &o.FollowerQuota, &o.DirQuota} {
		if *q == nil {
			*q = quota.NewReplication(o.Clock, quota.Windows{Samples: 11, Window: time.Second})
		}
	}
	if o.Fetchers <= 0 {
		o.Fetchers = 1
	}
	return o
}
