package broker

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/config"
	"gokafka/coordination/znode"
	"gokafka/internal/clock"
	"gokafka/internal/kafkalog"
	"gokafka/internal/peer"
	"gokafka/metadata"
	"gokafka/quota"
	"gokafka/replication"
)

// replicationOptions are what the replicas need of the broker.
func (b *Broker) replicationOptions() replication.Options {
	toController := peer.NewClient(b.controllerAddr, peer.Options{
		Clock: b.clk, ClientID: strconv.Itoa(int(b.cfg.ID)), Dial: b.network.Dial, ConnectTimeout: b.cfg.ControllerSocketTimeout, RequestTimeout: b.cfg.ControllerSocketTimeout,
	})
	b.did(toController.Close)
	return replication.Options{
		BrokerID: b.cfg.ID, Logs: b.logs, Metadata: b.cache, TopicConfig: b.settings.Topic,
		LoadTopics: func(ctx context.Context, names []string) error {
			_, err := b.settings.LoadTopics(ctx, names)
			return err
		},
		Clock: b.clk, Logger: b.base.With(kafkalog.PrefixKey, fmt.Sprintf("[ReplicaManager broker=%d] ", b.cfg.ID)),
		AlterPartition: func(ctx context.Context, q *kmsg.AlterPartitionRequest) (*kmsg.AlterPartitionResponse, error) {
			resp, err := toController.Negotiated(ctx, q, 0)
			if err != nil {
				return nil, err
			}
			return resp.(*kmsg.AlterPartitionResponse), nil
		},
		PeerAddr: b.peerAddr, BrokerEpoch: b.epoch, Registered: b.isRegistered, Assigned: b.assigned,
		Topics: func(ctx context.Context) ([]string, error) {
			g, err := b.session.Await(ctx)
			if err != nil {
				return nil, err
			}
			return znode.ListTopics(ctx, g, false)
		},
		Forgotten: b.metadataUpdated, LeadershipChanged: func(changes []replication.LeadershipChange) {
			b.groups.LeadershipChanged(changes)
			b.transactions.LeadershipChanged(changes)
		},
		LagTimeMax: b.cfg.ReplicaLagTimeMax, FetchWaitMax: b.cfg.ReplicaFetchWaitMax, FetchBackoff: b.cfg.ReplicaFetchBackoff, SocketTimeout: b.cfg.ReplicaSocketTimeout,
		FetchMinBytes: b.cfg.ReplicaFetchMinBytes, FetchMaxBytes: b.cfg.ReplicaFetchMaxBytes, FetchResponseMaxBytes: b.cfg.ReplicaFetchResponseMaxBytes,
		Fetchers: int(b.cfg.NumReplicaFetchers), DirMovers: int(b.cfg.NumReplicaDirMovers), RackAware: b.cfg.RackAware, LeaderQuota: b.throttles.leader, FollowerQuota: b.throttles.follower, DirQuota: b.throttles.dirs, Peer: peer.Options{Dial: b.network.Dial},
	}
}

// throttles are the replication quotas. Their limits are dynamic configs.
type throttles struct{ leader, follower, dirs *quota.Replication }

func newThrottles(clk *clock.Clock, c *config.Broker) throttles {
	between := quota.Windows(c.ReplicationQuota)
	t := throttles{quota.NewReplication(clk, between), quota.NewReplication(clk, between), quota.NewReplication(clk, quota.Windows(c.DirMoveQuota))}
	t.limit(c)
	return t
}

func (t throttles) limit(c *config.Broker) {
	t.leader.SetLimit(c.LeaderThrottle)
	t.follower.SetLimit(c.FollowerThrottle)
	t.dirs.SetLimit(c.DirMoveRate)
}

// topicsExist asks ZooKeeper, and does not know of any if that does not answer soon.
func (b *Broker) topicsExist(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	g, err := b.session.Await(ctx)
	if err != nil {
		return false
	}
	names, err := znode.ListTopics(ctx, g, false)
	return err == nil && len(names) > 0
}

// assigned reads which brokers the replicas of a topic are on.
func (b *Broker) assigned(ctx context.Context, topic string) (map[int32][]int32, error) {
	g, err := b.session.Await(ctx)
	if err != nil {
		return nil, err
	}
	t, _, err := znode.ReadTopic(ctx, g, topic)
	if err != nil {
		return nil, err
	}
	out := make(map[int32][]int32, len(t.Partitions))
	for i, a := range t.Partitions {
		out[i] = a.Replicas
	}
	return out, nil
}

// partitionExists asks ZooKeeper.
func (b *Broker) partitionExists(ctx context.Context, tp metadata.TopicPartition) (bool, error) {
	g, err := b.session.Await(ctx)
	if err != nil {
		return false, err
	}
	t, ok, err := znode.ReadTopic(ctx, g, tp.Topic)
	if err != nil || !ok {
		return false, err
	}
	_, ok = t.Partitions[tp.Partition]
	return ok, nil
}

// peerAddr is where a live broker listens for brokers.
func (b *Broker) peerAddr(id int32) (string, bool) {
	p := b.cache.Image().Broker(id)
	if p == nil {
		return "", false
	}
	e, ok := p.Endpoint(b.cfg.InterBrokerListener)
	return net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port))), ok
}

// controllerAddr is where the controller of now listens.
func (b *Broker) controllerAddr() (string, error) {
	id := b.cache.Image().ControllerID
	addr, ok := b.peerAddr(id)
	if !ok {
		return "", fmt.Errorf("the controller %d is not known: %w", id, kerr.NotController)
	}
	return addr, nil
}
