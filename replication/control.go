package replication

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/logstore"
	"gokafka/logstore/logdir"
	"gokafka/metadata"
)

// LeaderAndISRPartition is one partition of a LeaderAndIsr request.
type LeaderAndISRPartition struct {
	TopicPartition metadata.TopicPartition
	TopicID        metadata.TopicID // zero = unknown to the sender
	State          metadata.PartitionState
	Replicas       []int32
	Adding         []int32
	Removing       []int32
	IsNew          bool

	// Err is the outcome.
	Err error
}

// LeaderAndISR makes this broker leader or follower of partitions, as the controller says. The outcome of each partition is in its
// Err; an error of the call refuses the whole request. Kafka 3.9 ReplicaManager.becomeLeaderOrFollower.
func (m *Manager) LeaderAndISR(ctx context.Context, controllerEpoch int32, parts []LeaderAndISRPartition) error {
	if err := m.takeTurn(ctx); err != nil {
		return err
	}
	defer func() { <-m.turn }()
	if controllerEpoch < m.controllerEpoch {
		return kerr.StaleControllerEpoch
	}
	m.controllerEpoch = controllerEpoch

	var apply []*LeaderAndISRPartition
	var create []logdir.NewLog
	for i := range parts {
		s := &parts[i]
		var p *Partition
		if p, s.Err = m.admit(s); s.Err != nil {
			continue
		}
		if p == nil {
			p = m.add(s.TopicPartition)
		}
		apply = append(apply, s)
		if m.logs.Get(s.TopicPartition) == nil {
			create = append(create, logdir.NewLog{TopicPartition: s.TopicPartition, TopicID: s.TopicID, Config: p.cfg.Load(), IsNew: s.IsNew})
		}
	}
	// All missing logs are created together, with one sync barrier for all of them.
	failed := m.logs.CreateAll(create)
	for _, s := range apply {
		if err := failed[s.TopicPartition]; err != nil {
			s.Err = err
			m.logger.Error("Log could not be created", "topicPartition", s.TopicPartition.String(), "error", err)
			continue
		}
		s.Err = m.applyState(s)
	}
	return nil
}

// admit checks a state against what is known. p is nil, without error, when the partition is new here. A refused state changes nothing.
func (m *Manager) admit(s *LeaderAndISRPartition) (p *Partition, err error) {
	p = m.Partition(s.TopicPartition)
	epoch := int32(-1)
	if p != nil {
		p.leadership.RLock()
		epoch = p.state.LeaderEpoch
		offline := p.offline
		p.leadership.RUnlock()
		if offline {
			return nil, p.errorf(kerr.KafkaStorageError, "the log directory is offline")
		}
	}
	var logID metadata.TopicID
	log := m.logs.Get(s.TopicPartition)
	if log != nil {
		logID = log.TopicID()
	}
	switch {
	case !s.TopicID.IsZero() && !logID.IsZero() && s.TopicID != logID:
		m.logger.Error("Topic id of the log differs from the controller's", "topicPartition", s.TopicPartition.String(), "log", logID.String(), "request", s.TopicID.String())
		return nil, kerr.InconsistentTopicID
	case s.State.LeaderEpoch > epoch:
		if !slices.Contains(s.Replicas, m.brokerID) {
			return nil, kerr.UnknownTopicOrPartition
		}
		return p, nil
	case s.State.LeaderEpoch == epoch && log != nil && logID.IsZero() && !s.TopicID.IsZero():
		// The controller tells the id of a topic from before topic ids; the epoch stays.
		if err := log.AssignTopicID(s.TopicID); err != nil {
			return nil, err
		}
		return nil, errUpToDate
	default:
		return nil, kerr.StaleControllerEpoch // older, or done already: the controller ignores this code for a partition
	}
}

// errUpToDate marks a state that needed nothing; it is answered without an error.
var errUpToDate = &upToDate{}

type upToDate struct{}

func (*upToDate) Error() string { return "up to date" }

// UpToDate says whether err of a LeaderAndISRPartition is none: nothing had to be done.
func UpToDate(err error) bool { return err == errUpToDate }

// applyState gives the partition its role. Called by the holder of the turn.
func (m *Manager) applyState(s *LeaderAndISRPartition) error {
	p := m.Partition(s.TopicPartition)
	log := m.logs.Get(s.TopicPartition)
	if log == nil {
		return p.errorf(kerr.KafkaStorageError, "the log is gone")
	}
	if log.TopicID().IsZero() && !s.TopicID.IsZero() {
		if err := log.AssignTopicID(s.TopicID); err != nil {
			return err
		}
	}
	p.leadership.RLock()
	first := p.log == nil
	p.leadership.RUnlock()
	if first {
		log.SetConfig(p.cfg.Load())
		log.UpdateHighWatermark(m.logs.CheckpointedHighWatermark(s.TopicPartition))
	}
	if s.State.Leader == m.brokerID {
		return p.becomeLeader(s, log)
	}
	p.becomeFollower(s, log)
	return nil
}

// StopReplicaPartition is one partition of a StopReplica request.
type StopReplicaPartition struct {
	TopicPartition metadata.TopicPartition
	LeaderEpoch    int32 // -1 unknown, -2 the topic is being deleted
	Delete         bool

	// Err is the outcome.
	Err error
}

// StopReplica stops and possibly deletes replicas. Kafka 3.9 ReplicaManager.stopReplicas.
func (m *Manager) StopReplica(ctx context.Context, controllerEpoch int32, parts []StopReplicaPartition) error {
	if err := m.takeTurn(ctx); err != nil {
		return err
	}
	defer func() { <-m.turn }()
	if controllerEpoch < m.controllerEpoch {
		return kerr.StaleControllerEpoch
	}
	m.controllerEpoch = controllerEpoch
	for i := range parts {
		s := &parts[i]
		s.Err = m.stop(s)
	}
	return nil
}

func (m *Manager) stop(s *StopReplicaPartition) error {
	p := m.Partition(s.TopicPartition)
	if p != nil {
		p.leadership.RLock()
		epoch, offline := p.state.LeaderEpoch, p.offline
		p.leadership.RUnlock()
		switch {
		case offline:
			return p.errorf(kerr.KafkaStorageError, "the log directory is offline")
		case s.LeaderEpoch >= 0 && s.LeaderEpoch < epoch:
			return p.errorf(kerr.FencedLeaderEpoch, "leader epoch %d is older than %d", s.LeaderEpoch, epoch)
		}
		if s.Delete {
			m.remove(s.TopicPartition)
			p.close()
		} else {
			p.roleChanged() // a follower fetches no more; role and log stay until the next LeaderAndIsr
		}
	}
	if !s.Delete {
		return nil
	}
	// Also a log that no LeaderAndIsr has named since the start is deleted.
	return m.logs.Delete(s.TopicPartition)
}

// UpdateMetadata merges the controller's picture of the cluster and returns the pictures before and after. Kafka 3.9 ReplicaManager.maybeUpdateMetadataCache.
func (m *Manager) UpdateMetadata(ctx context.Context, controllerEpoch int32, u metadata.Update) (before, after *metadata.Image, err error) {
	if err := m.takeTurn(ctx); err != nil {
		return nil, nil, err
	}
	defer func() { <-m.turn }()
	if controllerEpoch < m.controllerEpoch {
		return nil, nil, kerr.StaleControllerEpoch
	}
	m.controllerEpoch = controllerEpoch
	before, after = m.cache.Apply(u)
	return before, after, nil
}

// LogDirFailed takes the partitions whose logs were in a failed directory offline.
func (m *Manager) LogDirFailed(tps []metadata.TopicPartition) {
	for _, tp := range tps {
		p := m.Partition(tp)
		if p == nil {
			continue
		}
		p.leadership.Lock()
		p.offline, p.isLeader, p.log, p.followers = true, false, nil, nil
		p.leadership.Unlock()
		p.roleChanged()
	}
}

// HighWatermarks gives the high watermark of every partition that has a log, for the checkpoint.
func (m *Manager) HighWatermarks() map[metadata.TopicPartition]int64 {
	out := map[metadata.TopicPartition]int64{}
	for _, p := range m.Partitions() {
		p.leadership.RLock()
		var log *logstore.Log
		if !p.offline {
			log = p.log
		}
		p.leadership.RUnlock()
		if log != nil {
			out[p.tp] = log.HighWatermark()
		}
	}
	return out
}
