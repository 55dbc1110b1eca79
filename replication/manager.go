package replication

import (
	"context"
	"fmt"
	"log/slog"
	"sync"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/config"
	"gokafka/internal/clock"
	"gokafka/logstore/logdir"
	"gokafka/metadata"
	"gokafka/purgatory"
)

// Options of a Manager. All are needed.
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
}

// Manager holds the partitions of one broker.
type Manager struct {
	brokerID    int32
	logs        *logdir.Manager
	cache       *metadata.Cache
	topicConfig func(topic string) *config.Topic
	loadTopics  func(ctx context.Context, topics []string) error
	clk         *clock.Clock
	logger      *slog.Logger
	produce     *purgatory.Purgatory[metadata.TopicPartition]

	// turn is held by the one control request that is being served; it is taken before any lock, and is all that is held while logs are
	// created and synced. controllerEpoch belongs to its holder.
	turn            chan struct{}
	controllerEpoch int32

	mu         sync.RWMutex // guards partitions
	partitions map[string][]*Partition
}

// NewManager returns a manager without partitions: these come with LeaderAndIsr requests.
func NewManager(o Options) *Manager {
	return &Manager{
		brokerID: o.BrokerID, logs: o.Logs, cache: o.Metadata, topicConfig: o.TopicConfig, loadTopics: o.LoadTopics, clk: o.Clock, logger: o.Logger,
		produce: purgatory.New[metadata.TopicPartition](o.Clock), turn: make(chan struct{}, 1),
		controllerEpoch: 0, partitions: map[string][]*Partition{},
	}
}

// Close ends all waiting requests and takes the partitions away. The logs stay open: their owner closes them.
func (m *Manager) Close() {
	m.turn <- struct{}{}
	defer func() { <-m.turn }()
	for _, p := range m.Partitions() {
		p.close()
	}
	m.produce.Close()
}

// Partition returns a partition of this broker, or nil.
func (m *Manager) Partition(tp metadata.TopicPartition) *Partition {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return at(m.partitions[tp.Topic], tp.Partition)
}

func at(list []*Partition, p int32) *Partition {
	if p < 0 || int(p) >= len(list) {
		return nil
	}
	return list[p]
}

// Partitions returns all partitions of this broker.
func (m *Manager) Partitions() []*Partition {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var all []*Partition
	for _, list := range m.partitions {
		for _, p := range list {
			if p != nil {
				all = append(all, p)
			}
		}
	}
	return all
}

// lookup finds a partition for a request of a client. topic aliases the request. Kafka 3.9 ReplicaManager.getPartitionOrError.
func (m *Manager) lookup(topic []byte, partition int32) (*Partition, error) {
	m.mu.RLock()
	p := at(m.partitions[string(topic)], partition)
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
	list := m.partitions[tp.Topic]
	for int(tp.Partition) >= len(list) {
		list = append(list, nil)
	}
	list[tp.Partition] = p
	m.partitions[tp.Topic] = list
	return p
}

// remove forgets the partition. Called by the holder of the turn.
func (m *Manager) remove(tp metadata.TopicPartition) {
	m.mu.Lock()
	defer m.mu.Unlock()
	list := m.partitions[tp.Topic]
	if at(list, tp.Partition) == nil {
		return
	}
	list[tp.Partition] = nil
	for len(list) > 0 && list[len(list)-1] == nil {
		list = list[:len(list)-1]
	}
	if len(list) == 0 {
		delete(m.partitions, tp.Topic)
	} else {
		m.partitions[tp.Topic] = list
	}
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
	m.mu.RLock()
	list := m.partitions[topic]
	m.mu.RUnlock()
	for _, p := range list {
		if p == nil {
			continue
		}
		p.cfg.Store(c)
		p.leadership.RLock()
		log := p.log
		p.leadership.RUnlock()
		if log != nil {
			log.SetConfig(c)
		}
	}
}

// Counts are numbers of partitions for metrics, under the names of Kafka's ReplicaManager.
type Counts struct {
	Partitions, Leaders, UnderReplicated, UnderMinISR, Offline int
}

// Counts counts.
func (m *Manager) Counts() Counts {
	var c Counts
	for _, p := range m.Partitions() {
		c.Partitions++
		p.leadership.RLock()
		switch {
		case p.offline:
			c.Offline++
		case p.isLeader:
			c.Leaders++
			if len(p.state.ISR) < len(p.replicas) {
				c.UnderReplicated++
			}
			if len(p.state.ISR) < p.minISR() {
				c.UnderMinISR++
			}
		}
		p.leadership.RUnlock()
	}
	return c
}
