package fetch

import (
	"sync"
	"time"

	"gokafka/replication"
)

// session is an incremental fetch session (KIP-227). The immutable part comes first.
type session struct {
	id       int32
	follower bool
	usesIDs  bool
	created  time.Duration
	waiter   *replication.Waiter

	// Guarded by Manager.mu, from the newest request:
	lastUsed time.Duration
	size     int  // number of entries
	old      bool // it was used when created longer than evictAfter ago

	mu        sync.Mutex // guards what follows; held while partitions are read, not while a request waits
	epoch     int32      // of the next request; ended once the session is removed
	over      chan struct{}
	isolation replication.Isolation
	entries   map[Key]*entry
	active    []*entry // to be looked at by the next request, in order; may hold entries that are gone
}

// ended is the epoch of a removed session. No request can name it.
const ended int32 = -2

// turn is a request's part in its session: it lasts as long as the session's epoch is epoch.
type turn struct {
	s     *session // nil: nothing is left in the session
	epoch int32
	over  <-chan struct{} // closed when the turn is over
}

func nextEpoch(e int32) int32 {
	if e == 1<<31-1 {
		return 1
	}
	return e + 1
}

// next ends the turn of the request before, if it waits still, and begins the next one. Called with mu held.
func (s *session) next(epoch int32) turn {
	if s.over != nil {
		close(s.over)
	}
	s.epoch, s.over = epoch, make(chan struct{})
	return turn{s: s, epoch: epoch, over: s.over}
}

// end ends a session that is no longer among the manager's. A request that waits in it answers INVALID_FETCH_SESSION_EPOCH.
func (s *session) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.endLocked()
}

func (s *session) endLocked() {
	s.next(ended)
	for _, e := range s.entries {
		e.drop()
	}
	s.entries, s.active = nil, nil
}

// update adds, changes and forgets partitions. Called with mu held.
func (s *session) update(q *Request) {
	for i := range q.Parts {
		p := &q.Parts[i]
		e := s.entries[p.key()]
		if e == nil {
			e = newEntry(*p)
			s.entries[e.key] = e
		} else {
			topic := e.Topic
			if e.Part = *p; topic != "" {
				e.Topic = topic
			}
		}
		s.activate(e)
	}
	for _, k := range q.Forgotten {
		if e := s.entries[k]; e != nil {
			delete(s.entries, k)
			e.drop()
		}
	}
	if q.Isolation != s.isolation { // what is visible differs, of all partitions
		s.isolation = q.Isolation
		for _, e := range s.entries {
			s.activate(e)
		}
	}
}

// activate has the next request look at an entry. Called with mu held.
func (s *session) activate(e *entry) {
	if !e.active {
		e.active = true
		s.active = append(s.active, e)
	}
}

// drop ends an entry's part in its session.
func (e *entry) drop() {
	e.gone = true
	e.release()
	if e.sub != nil {
		e.sub.Cancel()
		e.sub = nil
	}
}
