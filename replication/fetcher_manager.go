package replication

import (
	"sync"

	"gokafka/metadata"
)

// fetcherManager keeps the fetchers of a broker (Kafka 3.9 ReplicaFetcherManager). Partitions come and go by the holder of the manager's turn, except abandon.
type fetcherManager struct {
	m *Manager

	mu     sync.Mutex // guards what follows; held for moments
	list   map[fetcherKey]*fetcher
	failed map[metadata.TopicPartition]struct{}
}

type fetcherKey struct {
	leader int32
	id     int
}

func newFetcherManager(m *Manager) *fetcherManager {
	return &fetcherManager{m: m, list: map[fetcherKey]*fetcher{}, failed: map[metadata.TopicPartition]struct{}{}}
}

// all are the fetchers of now.
func (fm *fetcherManager) all() []*fetcher {
	fm.mu.Lock()
	defer fm.mu.Unlock()
	out := make([]*fetcher, 0, len(fm.list))
	for _, f := range fm.list {
		out = append(out, f)
	}
	return out
}

// add begins to fetch partitions from their leaders. Their earlier fetching was ended by remove.
func (fm *fetcherManager) add(list []*Partition) {
	if fm.m.o.PeerAddr == nil {
		return
	}
	for _, p := range list {
		s := p.fetchState()
		if s == nil {
			continue
		}
		leader, _ := p.LeaderHint()
		key := fetcherKey{leader, fetcherID(p.tp, fm.m.o.Fetchers)}
		fm.mu.Lock()
		f := fm.list[key]
		if f == nil {
			f = newFetcher(fm.m, key.leader, key.id)
			f.start()
			fm.list[key] = f
		}
		delete(fm.failed, p.tp)
		fm.mu.Unlock()
		f.add(s)
	}
}

// fetchState is where to begin: at the log end, as the leader tells from the epochs where the logs part; without epochs at the high watermark, to which
// the log is cut first (Kafka 3.9 ReplicaManager.initialFetchOffset).
func (p *Partition) fetchState() *fetchState {
	p.leadership.RLock()
	defer p.leadership.RUnlock()
	if p.log == nil || p.isLeader {
		return nil
	}
	s := &fetchState{tp: p.tp, p: p, log: p.log, id: p.log.TopicID(), epoch: p.state.LeaderEpoch, offset: p.log.LogEndOffset(), lastFetched: p.log.LatestEpoch()}
	if s.lastFetched == NoEpoch {
		s.offset, s.truncate = p.log.HighWatermark(), true
	}
	return s
}

// remove ends the fetching of partitions. Their logs are not touched any more when it returns.
func (fm *fetcherManager) remove(tps []metadata.TopicPartition) { fm.drop(tps, true) }

// abandon is remove that waits for nothing: the caller may be the fetcher that is to be waited for.
func (fm *fetcherManager) abandon(tps []metadata.TopicPartition) { fm.drop(tps, false) }

func (fm *fetcherManager) drop(tps []metadata.TopicPartition, wait bool) {
	if len(tps) == 0 {
		return
	}
	for _, f := range fm.all() {
		f.remove(tps, wait)
	}
	fm.mu.Lock()
	defer fm.mu.Unlock()
	for _, tp := range tps {
		delete(fm.failed, tp)
	}
}

// setTopicID changes by what id a partition is fetched; zero = by name.
func (fm *fetcherManager) setTopicID(tp metadata.TopicPartition, id metadata.TopicID) {
	for _, f := range fm.all() {
		f.setTopicID(tp, id)
	}
}

// stopIdle ends fetchers without partitions.
func (fm *fetcherManager) stopIdle() {
	fm.mu.Lock()
	var idle []*fetcher
	for k, f := range fm.list {
		if f.partitionCount() == 0 {
			idle = append(idle, f)
			delete(fm.list, k)
		}
	}
	fm.mu.Unlock()
	for _, f := range idle {
		f.stop()
	}
}

// close ends all fetching.
func (fm *fetcherManager) close() {
	fm.mu.Lock()
	list := fm.list
	fm.list = map[fetcherKey]*fetcher{}
	fm.mu.Unlock()
	for _, f := range list {
		f.cancel()
	}
	for _, f := range list {
		f.stop()
	}
}

func (fm *fetcherManager) noteFailed(tp metadata.TopicPartition) {
	fm.mu.Lock()
	defer fm.mu.Unlock()
	fm.failed[tp] = struct{}{}
}

func (fm *fetcherManager) failedCount() int {
	fm.mu.Lock()
	defer fm.mu.Unlock()
	return len(fm.failed)
}

func (fm *fetcherManager) maxLag() int64 {
	lag := int64(0)
	for _, f := range fm.all() {
		f.mu.Lock()
		for _, s := range f.parts {
			lag = max(lag, s.lag)
		}
		f.mu.Unlock()
	}
	return lag
}
