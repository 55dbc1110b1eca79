package topics

import (
	"context"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/config"
)

// SpecFor is the topic that auto-creation makes: internal topics have partitions, replicas and configs of their own.
// Source: Kafka 3.9 DefaultAutoTopicCreationManager.creatableTopic.
func SpecFor(name string, b *config.Broker) Spec {
	entry := func(name, value string) ConfigEntry { return ConfigEntry{name, &value} }
	switch name {
	case ConsumerOffsets:
		return Spec{Name: name, Partitions: b.Groups.OffsetsTopicPartitions,
			ReplicationFactor: b.Groups.OffsetsTopicReplicationFactor,
			Configs: []ConfigEntry{
				entry("cleanup.policy", "compact"),
				entry("segment.bytes", strconv.Itoa(int(b.Groups.OffsetsTopicSegmentBytes))),
				entry("compression.type", "producer"),
			}}
	case TransactionState:
		return Spec{Name: name, Partitions: b.Transactions.StateLogPartitions,
			ReplicationFactor: b.Transactions.StateLogReplicationFactor,
			Configs: []ConfigEntry{
				entry("unclean.leader.election.enable", "false"),
				entry("compression.type", "uncompressed"),
				entry("cleanup.policy", "compact"),
				entry("min.insync.replicas", strconv.Itoa(int(b.Transactions.StateLogMinISR))),
				entry("segment.bytes", strconv.Itoa(int(b.Transactions.StateLogSegmentBytes))),
			}}
	}
	return Spec{Name: name, Partitions: UseDefault, ReplicationFactor: UseDefault}
}

// AutoCreate makes a topic that a client asked for. It always returns the error to answer with: LEADER_NOT_AVAILABLE
// when the topic was made or exists, UNKNOWN_TOPIC_OR_PARTITION when another request is just making it.
func (m *Manager) AutoCreate(ctx context.Context, name string) error {
	if err := ValidateName(name); err != nil {
		return err
	}
	if !m.begin(name) {
		return &Error{Code: kerr.UnknownTopicOrPartition}
	}
	defer m.end(name)
	_, err := m.Create(ctx, SpecFor(name, m.o.Config()), false)
	if err == nil || isCode(err, kerr.TopicAlreadyExists) {
		return &Error{Code: kerr.LeaderNotAvailable}
	}
	return err
}

func (m *Manager) begin(name string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.creating[name] {
		return false
	}
	m.creating[name] = true
	return true
}

func (m *Manager) end(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.creating, name)
}
