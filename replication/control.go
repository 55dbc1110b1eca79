package replication

import (
	"context"
	"errors"
	"fmt"
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
	changes := append(m.makeLeaders(apply, logs), m.makeFollowers(apply, logs)...)
	m.resumeMoves(apply)
	m.fetchers.stopIdle()
	m.tell(changes)
	return nil
}

// tell reports changes of role. Called by the holder of the turn, which keeps them in order.
func (m *Manager) tell(changes []LeadershipChange) {
	if len(changes) > 0 {
		m.o.LeadershipChanged(changes)
	}
}

// prepareTopics makes sure that the configs of topics are known whose first partitions come here.
func (m *Manager) prepareTopics(ctx context.Context, apply []*LeaderAndISRPartition) error {
	var names []string
	seen := map[string]bool{}
	for _, s := range apply {
		if topic := s.TopicPartition.Topic; !seen[topic] {
			if _, ok := m.logs.Get(s.TopicPartition); !ok {
				seen[topic] = true
				names = append(names, topic)
			}
		}
	}
	if len(names) == 0 {
		return nil
	}
	return m.o.LoadTopics(ctx, names)
}

// makeLogs returns the logs of the partitions, making those that are missing together, with one sync barrier for all of them. A failure
// is the partition's Err, and takes it offline.
func (m *Manager) makeLogs(apply []*LeaderAndISRPartition) []*logstore.Log {
	list := make([]logdir.NewLog, len(apply))
	for i, s := range apply {
		list[i] = logdir.NewLog{TopicPartition: s.TopicPartition, TopicID: s.TopicID, Config: m.topicConfig(s.TopicPartition.Topic), IsNew: s.IsNew}
		if s.State.Leader == m.brokerID && s.State.LeaderEpoch >= 0 { // its epoch starts with the log: one file less to write and sync
			list[i].FirstEpochs = []logstore.EpochStart{{Epoch: s.State.LeaderEpoch, StartOffset: 0}}
		}
	}
	logs, errs := m.logs.CreateAll(list)
	for i, s := range apply {
		if errs[i] != nil {
			m.refuse(s, "Log could not be made", errs[i])
		}
	}
	return logs
}

// refuse makes err the outcome of a partition. A log directory that failed takes it offline, for the requests of clients too.
func (m *Manager) refuse(s *LeaderAndISRPartition, what string, err error) {
	s.Err = err
	m.logger.Error(what, "topicPartition", s.TopicPartition.String(), "error", err)
	if errors.Is(err, kerr.KafkaStorageError) && !logstore.IsShortage(err) {
		m.add(s.TopicPartition).fail()
	}
}

// admit says whether a state is to be applied; if not, Err says why. A refused state changes nothing.
func (m *Manager) admit(s *LeaderAndISRPartition) bool {
	epoch := int32(-1)
	if p := m.Partition(s.TopicPartition); p != nil {
		p.leadership.Lock()
		epoch = p.state.LeaderEpoch
		offline := p.offline
		if s.State.LeaderEpoch == epoch {
			p.brokerEpoch = m.o.BrokerEpoch() // the role is confirmed, perhaps under a new registration
		}
		p.leadership.Unlock()
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
		m.logger.Warn("Ignoring a LeaderAndIsr for a partition of which this broker is not a replica", "topicPartition", s.TopicPartition.String(), "replicas", s.Replicas)
		s.Err = kerr.UnknownTopicOrPartition
	case s.State.LeaderEpoch == epoch && hasLog && logID.IsZero() != s.TopicID.IsZero():
		s.Err = m.changeTopicID(s, log)
	default:
		s.Err = kerr.StaleControllerEpoch // older, or done already: the controller ignores this code for a partition
	}
	return false
}

// changeTopicID deals with a state of the current leader epoch that differs in having a topic id. The controller tells the id of a topic from before topic
// ids; or it does not know ids any more, and then followers must name the topic by its name.
func (m *Manager) changeTopicID(s *LeaderAndISRPartition, log *logstore.Log) error {
	follows := s.State.Leader != m.brokerID
	if s.TopicID.IsZero() && !follows {
		return kerr.StaleControllerEpoch
	}
	if !s.TopicID.IsZero() {
		if err := log.AssignTopicID(s.TopicID); err != nil {
			return err
		}
	}
	if follows {
		m.fetchers.setTopicID(s.TopicPartition, s.TopicID)
	}
	return nil
}

// bind gives the log its topic id and the partition its settings, before it gets a role.
func (m *Manager) bind(s *LeaderAndISRPartition, log *logstore.Log) (*Partition, error) {
	p := m.add(s.TopicPartition)
	if log.TopicID().IsZero() && !s.TopicID.IsZero() {
		if err := log.AssignTopicID(s.TopicID); err != nil {
			return nil, err
		}
	}
	p.refreshConfig(log)
	return p, nil
}

// makeLeaders makes this broker the leader where it is named so, and returns where it did not lead before. Kafka 3.9 ReplicaManager.makeLeaders.
func (m *Manager) makeLeaders(apply []*LeaderAndISRPartition, logs []*logstore.Log) (changes []LeadershipChange) {
	var mine []int
	var tps []metadata.TopicPartition
	for i, s := range apply {
		if s.Err == nil && s.State.Leader == m.brokerID {
			mine, tps = append(mine, i), append(tps, s.TopicPartition)
		}
	}
	m.fetchers.remove(tps)
	var led []*logstore.Log
	for _, i := range mine {
		s := apply[i]
		newly := false
		p, err := m.bind(s, logs[i])
		if err == nil {
			newly, err = p.becomeLeader(s, logs[i])
		}
		if err != nil {
			m.refuse(s, "This broker cannot become the leader", err)
			continue
		}
		led = append(led, logs[i])
		if newly {
			changes = append(changes, LeadershipChange{TopicPartition: s.TopicPartition, Leads: true, LeaderEpoch: s.State.LeaderEpoch})
		}
	}
	// The starts of the new leader epochs are durable, with one sync for all, before the controller is answered.
	if m.logs.SaveEpochs(led) == nil {
		return changes
	}
	for _, i := range mine { // one that failed held the others up
		if s := apply[i]; s.Err == nil {
			if err := logs[i].SaveEpochs(); err != nil {
				m.refuse(s, "The start of the leader epoch could not be stored", err)
				changes = slices.DeleteFunc(changes, func(c LeadershipChange) bool { return c.TopicPartition == s.TopicPartition })
			}
		}
	}
	return changes
}

// makeFollowers makes this broker a follower where another one is named as leader. A leader that is not alive cannot be followed: then only the log is
// made, and role and leader epoch stay, until the controller says more. Kafka 3.9 ReplicaManager.makeFollowers.
func (m *Manager) makeFollowers(apply []*LeaderAndISRPartition, logs []*logstore.Log) (changes []LeadershipChange) {
	var followed []*Partition
	var tps []metadata.TopicPartition
	image := m.cache.Image()
	for i, s := range apply {
		if s.Err != nil || s.State.Leader == m.brokerID {
			continue
		}
		p, err := m.bind(s, logs[i])
		switch {
		case err == nil && logs[i].Offline():
			err = fmt.Errorf("%s: the log is offline: %w", s.TopicPartition, kerr.KafkaStorageError)
			fallthrough
		case err != nil:
			m.refuse(s, "This broker cannot become a follower", err)
		case image.Broker(s.State.Leader) == nil:
			p.keepLog(logs[i])
			m.logger.Error("The leader of a partition is not alive; it is not followed", "topicPartition", s.TopicPartition.String(), "leader", s.State.Leader, "leaderEpoch", s.State.LeaderEpoch)
		case p.becomeFollower(s, logs[i]):
			followed, tps = append(followed, p), append(tps, s.TopicPartition)
			changes = append(changes, LeadershipChange{TopicPartition: s.TopicPartition, LeaderEpoch: s.State.LeaderEpoch})
		}
	}
	m.fetchers.remove(tps)
	for _, p := range followed {
		p.changed() // what waits for the leader that this broker was is answered
	}
	if !m.stopping {
		m.fetchers.add(followed)
	}
	return changes
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
	if m.o.Assigned != nil {
		m.strays.look(after, u.Topics)
	}
	return before, after, nil
}

// LogDirFailed takes the partitions whose logs were in a failed directory offline, a moment later: who found the failure may hold their locks or the turn, or
// be a fetcher that is appending. Their logs refuse everything already.
func (m *Manager) LogDirFailed(tps []metadata.TopicPartition) {
	m.fetchers.abandon(tps)
	m.completer.addFailed(tps)
}
