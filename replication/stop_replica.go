package replication

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/metadata"
)

// StopReplicaPartition is one partition of a StopReplica request.
type StopReplicaPartition struct {
	TopicPartition metadata.TopicPartition
	LeaderEpoch    int32 // -1 unknown, -2 the topic is being deleted
	Delete         bool

	// Err is the outcome.
	Err error
}

// StopReplica stops and possibly deletes replicas. Without deletion only the fetching ends; role and log stay until the next LeaderAndIsr.
// Kafka 3.9 ReplicaManager.stopReplicas.
func (m *Manager) StopReplica(ctx context.Context, controllerEpoch int32, parts []StopReplicaPartition) error {
	if err := m.takeTurn(ctx); err != nil {
		return err
	}
	defer func() { <-m.turn }()
	if controllerEpoch < m.controllerEpoch {
		return kerr.StaleControllerEpoch
	}
	m.controllerEpoch = controllerEpoch
	var stop []*StopReplicaPartition
	var tps []metadata.TopicPartition
	for i := range parts {
		s := &parts[i]
		if s.Err = m.mayStop(s); s.Err == nil {
			stop, tps = append(stop, s), append(tps, s.TopicPartition)
		}
	}
	m.fetchers.remove(tps)
	m.stopMoves(tps)
	m.stop(stop)
	m.fetchers.stopIdle()
	return nil
}

// mayStop says why a replica is not stopped, or nil. A partition that no LeaderAndIsr has named since the start may be.
func (m *Manager) mayStop(s *StopReplicaPartition) error {
	p := m.Partition(s.TopicPartition)
	if p == nil {
		return nil
	}
	p.leadership.RLock()
	defer p.leadership.RUnlock()
	switch {
	case p.offline:
		return p.errorf(kerr.KafkaStorageError, "the log directory is offline")
	case s.LeaderEpoch >= 0 && s.LeaderEpoch < p.state.LeaderEpoch:
		return p.errorf(kerr.FencedLeaderEpoch, "leader epoch %d is older than %d", s.LeaderEpoch, p.state.LeaderEpoch)
	}
	return nil
}

func (m *Manager) stop(list []*StopReplicaPartition) {
	var changes []LeadershipChange
	var gone []metadata.TopicPartition
	var of []*StopReplicaPartition
	for _, s := range list {
		p := m.Partition(s.TopicPartition)
		switch {
		case p != nil && s.Delete:
			m.remove(s.TopicPartition)
			p.close(true)
			changes = append(changes, LeadershipChange{TopicPartition: s.TopicPartition, Deleted: true, LeaderEpoch: s.LeaderEpoch})
		case p != nil:
			p.changed()
		}
		if !s.Delete {
			continue
		}
		// A log that no LeaderAndIsr has named since the start goes too. That there is none is fine.
		if _, ok := m.logs.Get(s.TopicPartition); ok {
			gone, of = append(gone, s.TopicPartition), append(of, s)
		} else {
			m.logs.DropFuture(s.TopicPartition) // of a log in a directory that is not there any more
		}
	}
	m.tell(changes)
	for i, err := range m.logs.DeleteAll(gone) {
		if err != nil {
			of[i].Err = err
			m.logger.Error("Log could not be deleted", "topicPartition", gone[i].String(), "error", err)
		}
	}
}
