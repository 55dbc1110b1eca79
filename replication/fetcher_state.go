package replication

import (
	"time"

	"gokafka/logstore"
	"gokafka/metadata"
)

// fetchState is a partition being fetched. Its fields are guarded by the fetcher's mu; while busy, the fetcher's goroutine alone changes them and the log.
type fetchState struct {
	tp    metadata.TopicPartition
	p     *Partition
	log   *logstore.Log
	id    metadata.TopicID
	epoch int32 // of the leader that is followed
	// offset is where to fetch next, lastFetched the epoch of the record before it, or NoEpoch.
	offset      int64
	lastFetched int32
	// truncate says that the log has no leader epochs and must be cut to offset, its high watermark, before anything is fetched.
	truncate bool

	until   time.Duration // monotonic time before which it is not fetched, after an error; 0 = fetch
	backoff time.Duration // that was taken last
	order   int64         // place in a request that names all partitions
	lag     int64         // committed records of the leader that are not here
	inSync  bool          // there were none when it was last fetched

	busy bool // its log is being changed by the fetcher's goroutine
	gone bool // taken out of the fetcher
}

func (s *fetchState) key() fetchKey {
	if s.id.IsZero() {
		return fetchKey{topic: s.tp.Topic, partition: s.tp.Partition}
	}
	return fetchKey{id: s.id, partition: s.tp.Partition}
}

func (s *fetchState) position() fetchPosition {
	return fetchPosition{offset: s.offset, logStart: s.log.LogStartOffset(), epoch: s.epoch, lastFetched: s.lastFetched}
}

// ready says whether the partition may be fetched now.
func (s *fetchState) ready() bool { return s.until == 0 && !s.truncate }

// add puts a partition into the fetcher, in place of an earlier state of it.
func (f *fetcher) add(s *fetchState) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.detach(s.tp)
	f.count++
	s.order = f.count
	f.attach(s)
}

// attach is called with mu held.
func (f *fetcher) attach(s *fetchState) {
	f.parts[s.tp] = s
	f.keys[s.key()] = s
	f.dirty[s.key()] = struct{}{}
	if s.id.IsZero() {
		f.nameless++
	}
	if s.truncate {
		f.uncut = append(f.uncut, s)
	}
	f.signal()
}

// detach takes a partition out and returns its state, or nil. Called with mu held.
func (f *fetcher) detach(tp metadata.TopicPartition) *fetchState {
	s := f.parts[tp]
	if s == nil {
		return nil
	}
	s.gone = true
	f.unkey(s)
	delete(f.parts, tp)
	delete(f.delayed, s)
	f.signal()
	return s
}

// unkey is called with mu held.
func (f *fetcher) unkey(s *fetchState) {
	delete(f.keys, s.key())
	f.dirty[s.key()] = struct{}{}
	if s.id.IsZero() {
		f.nameless--
	}
}

// setTopicID changes by what id a partition is fetched; zero = by name.
func (f *fetcher) setTopicID(tp metadata.TopicPartition, id metadata.TopicID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s := f.parts[tp]; s != nil {
		f.unkey(s)
		s.id = id
		f.attach(s)
	}
}

// remove takes partitions out and, with wait, returns when their logs are not touched any more.
func (f *fetcher) remove(tps []metadata.TopicPartition, wait bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, tp := range tps {
		if s := f.detach(tp); s != nil && wait {
			for s.busy {
				f.idle.Wait()
			}
		}
	}
}

// begin claims a partition's log for the fetcher's goroutine. It is false when the partition was taken out, or is not where the caller believes.
func (f *fetcher) begin(s *fetchState, offset int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s.gone || s.offset != offset || !s.ready() {
		return false
	}
	s.busy = true
	return true
}

// end gives the log free. change, if not nil, is made to the state, unless the partition was taken out.
func (f *fetcher) end(s *fetchState, change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s.busy = false
	f.idle.Broadcast()
	if s.gone || change == nil {
		return
	}
	change()
	f.dirty[s.key()] = struct{}{}
}

// moveTo is a change for end: the next fetch is from offset on. Errors of before are forgotten.
func (f *fetcher) moveTo(s *fetchState, offset int64, lastFetched int32) func() {
	return func() {
		s.offset, s.lastFetched, s.truncate, s.backoff = offset, lastFetched, false, 0
		f.count++
		s.order = f.count
	}
}

// delay lets a partition be for a while. The first time is short: right after a change of leaders the new one often has not heard of it yet.
// Then the time doubles up to replica.fetch.backoff.ms, which is what Apache takes at once.
func (f *fetcher) delay(s *fetchState, now time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if s.gone || s.until != 0 {
		return
	}
	limit := f.m.o.FetchBackoff
	s.backoff = min(max(2*s.backoff, limit/16), limit)
	s.until = now + s.backoff
	f.delayed[s] = struct{}{}
	f.dirty[s.key()] = struct{}{}
}

// fail gives a partition up until the next LeaderAndIsr.
func (f *fetcher) fail(s *fetchState, why string, err error) {
	f.mu.Lock()
	was := s.gone
	if !was {
		f.detach(s.tp)
	}
	f.mu.Unlock()
	if was {
		return
	}
	f.m.fetchers.noteFailed(s.tp)
	s.p.logger.Error("Partition marked as failed: it is not fetched until the next LeaderAndIsr", "reason", why, "error", err)
}

// states are the partitions in the fetcher.
func (f *fetcher) states() []*fetchState {
	f.mu.Lock()
	defer f.mu.Unlock()
	list := make([]*fetchState, 0, len(f.parts))
	for _, s := range f.parts {
		list = append(list, s)
	}
	return list
}

func (f *fetcher) partitionCount() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.parts)
}
