package replication

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/config"
	"gokafka/internal/clock"
	"gokafka/logstore/logdir"
	"gokafka/metadata"
	"gokafka/purgatory"
)

// Manager holds the partitions of one broker.
type Manager struct {
	o           Options
	brokerID    int32
	logs        *logdir.Manager
	cache       *metadata.Cache
	topicConfig func(topic string) *config.Topic
	clk         *clock.Clock
	logger      *slog.Logger
	produce     *purgatory.Purgatory[metadata.TopicPartition]
	deletes     *purgatory.Purgatory[metadata.TopicPartition]
	completer   *completer
	isr         *isrSender
	fetchers    *fetcherManager
	strays      *strays
	movers      *movers
	// connect opens the way to a leader; tests replace it.
	connect func(leader int32, fetcherID int) leaderLink

	ctx    context.Context // ends with Close
	cancel context.CancelFunc
	wg     sync.WaitGroup

	// turn is held by the one control request that is being served; it is taken before any lock, and is all that is held while logs are
	// created and synced. controllerEpoch and stopping belong to its holder.
	turn            chan struct{}
	controllerEpoch int32
	stopping        bool // no partition is fetched anew

	mu         sync.RWMutex // guards partitions
	partitions map[metadata.TopicPartition]*Partition
}

// NewManager returns a manager without partitions: these come with LeaderAndIsr requests. Close it.
func NewManager(o Options) *Manager {
	o = o.withDefaults()
	m := &Manager{
		o: o, brokerID: o.BrokerID, logs: o.Logs, cache: o.Metadata, topicConfig: o.TopicConfig, clk: o.Clock, logger: o.Logger,
		produce: purgatory.New[metadata.TopicPartition](o.Clock), deletes: purgatory.New[metadata.TopicPartition](o.Clock), completer: newCompleter(), turn: make(chan struct{}, 1),
		partitions: map[metadata.TopicPartition]*Partition{},
	}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.isr = newISRSender(m)
	m.fetchers = newFetcherManager(m)
	m.strays = newStrays(m)
	m.movers = newMovers(m, o.DirMovers)
	m.connect = m.dialLeader
	m.wg.Go(func() { m.complete(m.ctx) })
	for range o.DirMovers {
		m.wg.Go(func() { m.movers.run(m.ctx) })
	}
	if o.Assigned != nil {
		m.wg.Go(func() { m.strays.run(m.ctx) })
	}
	if o.AlterPartition != nil {
		m.wg.Go(func() { m.isr.run(m.ctx) })
		m.wg.Go(func() { m.watchISRs(m.ctx) })
	}
	return m
}

// BeginShutdown lets no partition be fetched anew: what moves away from here is not followed any more. Leaders go on until they
// are moved, and LeaderAndIsr requests are served as before. Call it before ControlledShutdown is sent.
func (m *Manager) BeginShutdown() {
	m.turn <- struct{}{}
	defer func() { <-m.turn }()
	m.stopping = true
}

// Close ends fetching and all waiting requests and takes the partitions away. The logs stay open: their owner closes them.
func (m *Manager) Close() {
	m.turn <- struct{}{}
	defer func() { <-m.turn }()
	m.stopping = true
	m.cancel()
	m.fetchers.close()
	m.wg.Wait()
	for _, p := range m.Partitions() {
		p.close(false)
	}
	m.produce.Close()
	m.deletes.Close()
}

// Partition returns a partition of this broker, or nil.
func (m *Manager) Partition(tp metadata.TopicPartition) *Partition {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.partitions[tp]
}

// Partitions returns all partitions of this broker.
func (m *Manager) Partitions() []*Partition {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return slices.AppendSeq(make([]*Partition, 0, len(m.partitions)), maps.Values(m.partitions))
}

// lookup finds a partition for a request of a client. topic aliases the request. Kafka 3.9 ReplicaManager.getPartitionOrError.
func (m *Manager) lookup(topic []byte, partition int32) (*Partition, error) {
	m.mu.RLock()
	p := m.partitions[metadata.TopicPartition{Topic: string(topic), Partition: partition}] // the compiler makes no string for a look-up
	m.mu.RUnlock()
	if p != nil {
		return p, nil
	}
	return nil, m.unknown(metadata.TopicPartition{Topic: string(topic), Partition: partition})
}

// Lookup finds a partition for a request, or says why this broker does not serve it.
func (m *Manager) Lookup(tp metadata.TopicPartition) (*Partition, error) {
	if p := m.Partition(tp); p != nil {
		return p, nil
	}
	return nil, m.unknown(tp)
}

// unknown is the error for a partition that is not here: it exists elsewhere, or nowhere.
func (m *Manager) unknown(tp metadata.TopicPartition) error {
	if m.cache.Image().Partition(tp) != nil {
		return fmt.Errorf("%s: %w", tp, kerr.NotLeaderForPartition)
	}
	return fmt.Errorf("%s: %w", tp, kerr.UnknownTopicOrPartition)
}

// add returns the partition, made if it does not exist. Called by the holder of the turn.
func (m *Manager) add(tp metadata.TopicPartition) *Partition {
	if p := m.Partition(tp); p != nil {
		return p
	}
	p := newPartition(m, tp)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.partitions[tp] = p
	return p
}

// remove forgets the partition. Called by the holder of the turn.
func (m *Manager) remove(tp metadata.TopicPartition) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.partitions, tp)
}

// takeTurn waits until no other control request is being served.
func (m *Manager) takeTurn(ctx context.Context) error {
	select {
	case m.turn <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// ConfigChanged gives a topic's partitions its new settings.
func (m *Manager) ConfigChanged(topic string, c *config.Topic) {
	for _, p := range m.Partitions() {
		if p.tp.Topic == topic {
			p.setConfig(c)
		}
	}
}

// Counts are numbers for metrics, under the names of Kafka's ReplicaManager and ReplicaFetcherManager.
type Counts struct {
	Partitions, Leaders, UnderReplicated, UnderMinISR, AtMinISR, Offline int
	// Reassigning are led partitions with replicas that are being added or removed.
	Reassigning int
	// FailedFetches are followed partitions that are not fetched any more, because of an error that only a new LeaderAndIsr heals.
	FailedFetches int
	// MaxLag is the largest number of committed records that a followed partition is known to lack.
	MaxLag int64
	// ISRExpands, ISRShrinks and FailedISRUpdates count since the start.
	ISRExpands, ISRShrinks, FailedISRUpdates int64
}

// Counts counts.
func (m *Manager) Counts() Counts {
	c := Counts{
		FailedFetches: m.fetchers.failedCount(), MaxLag: m.fetchers.maxLag(),
		ISRExpands: m.isr.expands.Load(), ISRShrinks: m.isr.shrinks.Load(), FailedISRUpdates: m.isr.failed.Load(),
	}
	for _, p := range m.Partitions() {
		c.Partitions++
		p.leadership.RLock()
		switch {
		case p.offline:
			c.Offline++
		case p.isLeader:
			c.Leaders++
			if len(p.state.ISR) < len(p.replicas)-len(p.adding) {
				c.UnderReplicated++
			}
			switch n := p.minISR(); {
			case len(p.state.ISR) < n:
				c.UnderMinISR++
			case len(p.state.ISR) == n:
				c.AtMinISR++
			}
			if len(p.adding)+len(p.removing) > 0 {
				c.Reassigning++
			}
		}
		p.leadership.RUnlock()
	}
	return c
}
