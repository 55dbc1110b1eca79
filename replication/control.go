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
	for i := range parts {
		if s := &parts[i]; m.admit(s) {
			apply = append(apply, s)
		}
	}
	if err := m.prepareTopics(ctx, apply); err != nil {
		return err
	}
	logs := m.makeLogs(apply)
	var led []*logstore.Log
	for i, s := range apply {
		if s.Err == nil {
			s.Err = m.applyState(s, logs[i])
		}
		if s.Err == nil && s.State.Leader == m.brokerID {
			led = append(led, logs[i])
		}
	}
	// The starts of the new leader epochs are durable, with one sync for all, before the controller is answered.
	if err := m.logs.SaveEpochs(led); err != nil {
		return err
	}
	return nil
}

// prepareTopics makes sure that the configs of topics are known whose first partitions come here.
func (m *Manager) prepareTopics(ctx context.Context, apply []*LeaderAndISRPartition) error {
	var names []string
	for _, s := range apply {
		if _, ok := m.logs.Get(s.TopicPartition); !ok && !slices.Contains(names[max(0, len(names)-1):], s.TopicPartition.Topic) {
			names = append(names, s.TopicPartition.Topic)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return m.loadTopics(ctx, names)
}

// makeLogs returns the logs of the partitions, making those that are missing together, with one sync barrier for all of them. A failure is the partition's Err.
func (m *Manager) makeLogs(apply []*LeaderAndISRPartition) []*logstore.Log {
	list := make([]logdir.NewLog, len(apply))
	for i, s := range apply {
		list[i] = logdir.NewLog{TopicPartition: s.TopicPartition, TopicID: s.TopicID, Config: m.topicConfig(s.TopicPartition.Topic), IsNew: s.IsNew}
	}
	logs, errs := m.logs.CreateAll(list)
	for i, s := range apply {
		if errs[i] != nil {
			s.Err = errs[i]
			m.logger.Error("Log could not be made", "topicPartition", s.TopicPartition.String(), "error", errs[i])
		}
	}
	return logs
}

// admit says whether a state is to be applied; if not, Err says why. A refused state changes nothing.
func (m *Manager) admit(s *LeaderAndISRPartition) bool {
	epoch := int32(-1)
	if p := m.Partition(s.TopicPartition); p != nil {
		p.leadership.RLock()
		epoch = p.state.LeaderEpoch
		offline := p.offline
		p.leadership.RUnlock()
		if offline {
			s.Err = p.errorf(kerr.KafkaStorageError, "the log directory is offline")
			return false
		}
	}
	var logID metadata.TopicID
	log, hasLog := m.logs.Get(s.TopicPartition)
	if hasLog {
		logID = log.TopicID()
	}
	switch {
	case !s.TopicID.IsZero() && !logID.IsZero() && s.TopicID != logID:
		m.logger.Error("Topic id of the log differs from the controller's", "topicPartition", s.TopicPartition.String(), "log", logID.String(), "request", s.TopicID.String())
		s.Err = kerr.InconsistentTopicID
	case s.State.LeaderEpoch > epoch:
		if slices.Contains(s.Replicas, m.brokerID) {
			return true
		}
		s.Err = kerr.UnknownTopicOrPartition
	case s.State.LeaderEpoch == epoch && hasLog && logID.IsZero() && !s.TopicID.IsZero():
		// The controller tells the id of a topic from before topic ids; the epoch stays, and nothing else is to be done.
		s.Err = log.AssignTopicID(s.TopicID)
	default:
		s.Err = kerr.StaleControllerEpoch // older, or done already: the controller ignores this code for a partition
	}
	return false
}

// applyState gives the partition its role. Called by the holder of the turn.
func (m *Manager) applyState(s *LeaderAndISRPartition, log *logstore.Log) error {
	p := m.add(s.TopicPartition)
	if log.TopicID().IsZero() && !s.TopicID.IsZero() {
		if err := log.AssignTopicID(s.TopicID); err != nil {
			return err
		}
	}
	p.cfg.Store(m.topicConfig(s.TopicPartition.Topic))
	log.SetConfig(p.cfg.Load())
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
	if _, ok := m.logs.Get(s.TopicPartition); !ok {
		return nil
	}
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
