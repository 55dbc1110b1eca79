package replication

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"gokafka/metadata"
)

// What a broker does not hear because it is down or cut off, or because the controller dies before it has told, nobody tells it later: the next
// controller knows what is, not what was. Apache with ZooKeeper lives with what that leaves behind. Here the broker asks ZooKeeper, which decides.
//
// A replica that is moved away stays on the disk. The broker reads in the controller's picture that it is none, asks where the replicas are, and deletes
// the log as if it had been told to. A deleted topic stays in the broker's picture. After the first update of a controller or of a registration it
// forgets the topics that are not there any more.

// strayRetry is the pause after ZooKeeper could not be asked.
const strayRetry = 2 * time.Second

// strays are the logs of partitions of which this broker is not a replica, as far as the picture says.
type strays struct {
	m    *Manager
	wake chan struct{} // capacity 1

	mu     sync.Mutex // a leaf
	found  map[metadata.TopicPartition]bool
	topics bool     // whether deleted topics are to be looked for
	seen   [2]int64 // controller epoch and broker epoch for which that was said
}

func newStrays(m *Manager) *strays {
	return &strays{m: m, wake: make(chan struct{}, 1), found: map[metadata.TopicPartition]bool{}}
}

// look notes the strays among the partitions of an update. Called by the holder of the turn.
func (s *strays) look(im *metadata.Image, topics []metadata.TopicUpdate) {
	any := false
	s.mu.Lock()
	if now := [2]int64{int64(s.m.controllerEpoch), s.m.o.BrokerEpoch()}; now != s.seen {
		s.seen, s.topics, any = now, true, true
	}
	s.mu.Unlock()
	for i := range topics {
		for j := range topics[i].Partitions {
			tp := metadata.TopicPartition{Topic: topics[i].Name, Partition: topics[i].Partitions[j].Index}
			if s.isStray(im, tp) {
				s.mu.Lock()
				s.found[tp] = true
				s.mu.Unlock()
				any = true
			}
		}
	}
	if any {
		select {
		case s.wake <- struct{}{}:
		default:
		}
	}
}

// isStray says whether a log is here of a partition whose replicas are elsewhere. A role that is newer than the picture was given by a move back.
func (s *strays) isStray(im *metadata.Image, tp metadata.TopicPartition) bool {
	part := im.Partition(tp)
	if part == nil || slices.Contains(part.Replicas, s.m.brokerID) {
		return false
	}
	_, here := s.m.logs.Get(tp)
	if _, _, moving := s.m.logs.Future(tp); !here && !moving {
		return false
	}
	p := s.m.Partition(tp)
	if p == nil {
		return true
	}
	p.leadership.RLock()
	defer p.leadership.RUnlock()
	return p.state.LeaderEpoch <= part.LeaderEpoch
}

// run deletes strays until ctx ends.
func (s *strays) run(ctx context.Context) {
	retry := s.m.clk.NewTimer(0)
	retry.Stop()
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.wake:
		case <-retry.C:
		}
		if !s.sweep(ctx) || !s.forget(ctx) {
			retry.Reset(strayRetry)
		}
	}
}

// sweep deletes what ZooKeeper confirms, and says whether everything was decided.
func (s *strays) sweep(ctx context.Context) bool {
	s.mu.Lock()
	list := slices.Collect(maps.Keys(s.found))
	s.mu.Unlock()
	all := true
	for topic, tps := range byTopic(list) {
		replicas, err := s.m.o.Assigned(ctx, topic)
		if err != nil {
			if ctx.Err() == nil {
				s.m.logger.Warn("Cannot look up where a topic's replicas are; will try again", "topic", topic, "error", err)
			}
			all = false
			continue
		}
		tps = slices.DeleteFunc(tps, func(tp metadata.TopicPartition) bool {
			list, ok := replicas[tp.Partition]
			return !ok || slices.Contains(list, s.m.brokerID) // a partition that does not exist is the deletion's business
		})
		if s.delete(ctx, tps) != nil {
			all = false
			continue
		}
		s.mu.Lock()
		maps.DeleteFunc(s.found, func(tp metadata.TopicPartition, _ bool) bool { return tp.Topic == topic })
		s.mu.Unlock()
	}
	return all
}

// forget takes deleted topics out of the picture, and says whether it could look.
func (s *strays) forget(ctx context.Context) bool {
	s.mu.Lock()
	look := s.topics
	s.topics = false
	s.mu.Unlock()
	if !look {
		return true
	}
	m := s.m
	before := m.cache.Image()
	names, err := m.o.Topics(ctx)
	if err == nil {
		err = m.takeTurn(ctx)
	}
	if err != nil {
		if ctx.Err() == nil {
			m.logger.Warn("Cannot look up which topics there are; will try again", "error", err)
		}
		s.mu.Lock()
		s.topics = true
		s.mu.Unlock()
		return false
	}
	defer func() { <-m.turn }()
	there := make(map[string]bool, len(names))
	for _, n := range names {
		there[n] = true
	}
	var gone []string
	now := m.cache.Image()
	for t := range before.Topics() {
		if n := now.Topic(t.Name); !there[t.Name] && n != nil && n.ID == t.ID {
			gone = append(gone, t.Name)
		}
	}
	if len(gone) > 0 {
		m.logger.Info("Forgetting topics that were deleted while this broker did not hear of it", "topics", gone)
		m.cache.Forget(gone)
		m.o.Forgotten(gone)
	}
	return true
}

func (s *strays) delete(ctx context.Context, tps []metadata.TopicPartition) error {
	if len(tps) == 0 {
		return nil
	}
	m := s.m
	if err := m.takeTurn(ctx); err != nil {
		return err
	}
	defer func() { <-m.turn }()
	im := m.cache.Image()
	var list []*StopReplicaPartition
	var gone []metadata.TopicPartition
	for _, tp := range tps {
		if s.isStray(im, tp) {
			m.logger.Info("Deleting the log of a replica that was moved away while this broker did not hear of it", "topicPartition", tp.String())
			list, gone = append(list, &StopReplicaPartition{TopicPartition: tp, LeaderEpoch: NoEpoch, Delete: true}), append(gone, tp)
		}
	}
	m.fetchers.remove(gone)
	m.stopMoves(gone)
	m.stop(list)
	m.fetchers.stopIdle()
	return nil
}

func byTopic(tps []metadata.TopicPartition) map[string][]metadata.TopicPartition {
	out := map[string][]metadata.TopicPartition{}
	for _, tp := range tps {
		out[tp.Topic] = append(out[tp.Topic], tp)
	}
	return out
}
