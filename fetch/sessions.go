package fetch

import (
	"math/rand/v2"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/replication"
)

// evictAfter is how long a session may be unused before any new one may take its slot (Kafka 3.9, fixed).
const evictAfter = 120 * time.Second

// resume finds the session of an incremental request, applies the request's changes, and makes it the request's turn. A turn without session: nothing
// is left in it, and it is closed. Kafka 3.9 FetchManager.newContext.
func (m *Manager) resume(q *Request) (turn, error) {
	m.mu.Lock()
	s := m.sessions[q.SessionID]
	m.mu.Unlock()
	if s == nil {
		return turn{}, kerr.FetchSessionIDNotFound
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.epoch == ended:
		return turn{}, kerr.FetchSessionIDNotFound
	case s.epoch != q.SessionEpoch:
		return turn{}, kerr.InvalidFetchSessionEpoch
	case s.usesIDs != q.usesIDs():
		return turn{}, kerr.FetchSessionTopicIDError
	}
	s.update(q)
	if len(s.entries) == 0 {
		m.remove(s)
		s.endLocked()
		return turn{}, nil
	}
	m.touch(s, len(s.entries))
	return s.next(nextEpoch(s.epoch)), nil
}

// touch notes that a session is used.
func (m *Manager) touch(s *session, size int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clk.Mono()
	s.lastUsed, s.size, s.old = now, size, now-s.created > evictAfter
}

// remove takes a session away, unless that has been done. The caller ends it, and may hold its lock.
func (m *Manager) remove(s *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.sessions[s.id] == s {
		delete(m.sessions, s.id)
	}
}

// drop closes a session.
func (m *Manager) drop(id int32) {
	m.mu.Lock()
	s := m.sessions[id]
	delete(m.sessions, id)
	m.mu.Unlock()
	if s != nil {
		s.end()
	}
}

// open makes a session of entries that have just been answered, if there is room for one.
func (m *Manager) open(q *Request, answered []*entry) int32 {
	now := m.clk.Mono()
	s := &session{
		follower: q.ReplicaID >= 0, usesIDs: q.usesIDs(), created: now, lastUsed: now, size: len(answered), waiter: replication.NewWaiter(),
		isolation: q.Isolation, entries: make(map[Key]*entry, len(answered)),
	}
	for _, old := range answered {
		// A fresh entry: the answered one's records belong to the answer.
		e := newEntry(old.Part)
		e.highWatermark, e.logStartOffset = old.result.HighWatermark, old.result.LogStartOffset
		s.entries[e.key] = e
		s.activate(e)
	}
	s.next(nextEpoch(EpochInitial))
	victim, ok := m.place(s)
	if victim != nil {
		victim.end()
	}
	if !ok {
		return NoSession
	}
	return s.id
}

// place gives a new session an id and a slot, and tells which session it took the slot of, for the caller to end. Not ok: there is no slot.
// Kafka 3.9 FetchSessionCacheShard.maybeCreateSession.
func (m *Manager) place(s *session) (victim *session, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, false
	}
	if len(m.sessions) >= m.max {
		if victim = m.victim(s); victim == nil {
			return nil, false
		}
		delete(m.sessions, victim.id)
	}
	for s.id == NoSession || m.sessions[s.id] != nil {
		s.id = 1 + rand.Int32N(1<<31-2)
	}
	m.sessions[s.id] = s
	return victim, true
}

// victim is the session that makes room for a new one: one that is unused for long, else the least valuable of those that the new one may replace, if
// it is less valuable than that. Consumers' sessions are worth less than followers', small ones less than large ones; a consumer replaces
// none that is young. Called with mu held. Kafka 3.9 FetchSessionCacheShard.tryEvict.
func (m *Manager) victim(s *session) *session {
	var unused, least *session
	for _, o := range m.sessions {
		if unused == nil || o.lastUsed < unused.lastUsed {
			unused = o
		}
		if (o.old || s.follower && !o.follower) && (least == nil || o.lessValuable(least)) {
			least = o
		}
	}
	switch {
	case unused == nil: // no slots at all
		return nil
	case s.lastUsed-unused.lastUsed > evictAfter:
		return unused
	case least != nil && least.lessValuable(s):
		return least
	}
	return nil
}

// lessValuable orders sessions for eviction. Called with Manager.mu held.
func (s *session) lessValuable(than *session) bool {
	if s.follower != than.follower {
		return than.follower
	}
	return s.size < than.size
}

// Sessions is the number of open sessions.
func (m *Manager) Sessions() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.sessions)
}

// Close ends all sessions, and opens no more. Fetches that wait without one end by their own contexts.
func (m *Manager) Close() {
	m.mu.Lock()
	m.closed = true
	all := m.sessions
	m.sessions = map[int32]*session{}
	m.mu.Unlock()
	for _, s := range all {
		s.end()
	}
}
