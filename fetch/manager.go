package fetch

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/internal/clock"
	"gokafka/metadata"
	"gokafka/protocol"
	"gokafka/replication"
)

// Options of a Manager. All are needed.
type Options struct {
	Replicas *replication.Manager
	Metadata *metadata.Cache
	Clock    *clock.Clock
	Logger   *slog.Logger
	// MaxSessions is max.incremental.fetch.session.cache.slots.
	MaxSessions int
}

// evictAfter is how long a session may be unused before any new one may take its slot (Kafka 3.9, fixed).
const evictAfter = 120 * time.Second

// Manager serves fetches and keeps the sessions of one broker.
type Manager struct {
	replicas *replication.Manager
	cache    *metadata.Cache
	clk      *clock.Clock
	logger   *slog.Logger
	max      int

	mu       sync.Mutex // guards sessions and their lastUsed
	sessions map[int32]*session
}

// NewManager returns a manager without sessions.
func NewManager(o Options) *Manager {
	return &Manager{replicas: o.Replicas, cache: o.Metadata, clk: o.Clock, logger: o.Logger, max: o.MaxSessions, sessions: map[int32]*session{}}
}

// session is an incremental fetch session.
type session struct {
	id       int32
	follower bool
	usesIDs  bool
	created  time.Duration
	lastUsed time.Duration // guarded by Manager.mu
	size     int           // number of entries, guarded by Manager.mu

	mu      sync.Mutex // guards what follows
	epoch   int32      // of the next request
	entries map[Key]*entry
	active  []*entry // to be looked at by the next request, in order
	waiter  *replication.Waiter
	// superseded is closed when a later request takes the session over, or the session is removed.
	superseded chan struct{}
}

func nextEpoch(e int32) int32 {
	if e == 1<<31-1 {
		return 1
	}
	return e + 1
}

// Serve serves a request. It returns when there is enough to tell, after q.MaxWait, or when ctx is done. The caller releases the answer's records.
func (m *Manager) Serve(ctx context.Context, q *Request) *protocol.FetchResponse {
	resp := &protocol.FetchResponse{Version: q.Version}
	if q.SessionEpoch != EpochInitial && q.SessionEpoch != EpochFinal {
		s, err := m.resume(q)
		if err != nil {
			resp.ErrorCode = q.Code(err)
			return resp
		}
		if s != nil {
			m.serveIncremental(ctx, q, s, resp)
			return resp
		}
		// Nothing is left in the session: it is closed, and there is nothing to fetch.
		q.Parts = nil
	} else if q.SessionID != NoSession {
		m.drop(q.SessionID)
	}
	m.serveFull(ctx, q, resp)
	return resp
}

// serveFull serves a request that names all its partitions, and opens a session if asked to.
func (m *Manager) serveFull(ctx context.Context, q *Request, resp *protocol.FetchResponse) {
	parts := dedupe(q.Parts)
	entries := make([]*entry, len(parts))
	for i := range parts {
		entries[i] = newEntry(parts[i])
	}
	full := &round{m: m, q: q, list: entries}
	full.readAll()
	if !full.enough() {
		w := replication.NewWaiter()
		full.subscribe(w)
		full.readAll() // what came before the subscription
		full.wait(ctx, w, nil)
		for _, e := range entries {
			if e.sub != nil {
				e.sub.Cancel()
				e.sub = nil
			}
		}
	}
	for _, e := range full.ordered() {
		resp.Results = append(resp.Results, e.result)
	}
	if q.SessionEpoch == EpochInitial {
		resp.SessionID = m.open(q, entries)
	}
	groupTopics(resp)
}

// serveIncremental serves a request of a session.
func (m *Manager) serveIncremental(ctx context.Context, q *Request, s *session, resp *protocol.FetchResponse) {
	s.mu.Lock()
	epoch, superseded := s.epoch, s.superseded
	inc := &round{m: m, q: q, s: s}
	inc.takeDirty()
	inc.readAll()
	for !inc.enough() {
		s.mu.Unlock()
		more := inc.waitOnce(ctx, s.waiter, superseded)
		s.mu.Lock()
		if s.epoch != epoch {
			break
		}
		if !more {
			break
		}
		inc.takeDirty()
		inc.readUnread()
	}
	defer s.mu.Unlock()
	if s.epoch != epoch {
		inc.release()
		resp.ErrorCode, resp.SessionID = q.Code(kerr.InvalidFetchSessionEpoch), s.id
		return
	}
	resp.SessionID = s.id
	resp.Results = inc.finish()
	groupTopics(resp)
}

// groupTopics brings the results of one topic side by side, in the order of their first ones.
func groupTopics(resp *protocol.FetchResponse) {
	type topic struct {
		name string
		id   [16]byte
	}
	var prev topic
	seen := map[topic]int{}
	mixed := false
	for i := range resp.Results {
		t := topic{resp.Results[i].Topic, resp.Results[i].TopicID}
		if i > 0 && t == prev {
			continue
		}
		if _, ok := seen[t]; ok {
			mixed = true
		}
		seen[t] = len(seen)
		prev = t
	}
	if !mixed {
		return
	}
	clear(seen)
	var groups [][]protocol.FetchResult
	for _, r := range resp.Results {
		t := topic{r.Topic, r.TopicID}
		g, ok := seen[t]
		if !ok {
			g = len(groups)
			seen[t] = g
			groups = append(groups, nil)
		}
		groups[g] = append(groups[g], r)
	}
	resp.Results = resp.Results[:0]
	for _, g := range groups {
		resp.Results = append(resp.Results, g...)
	}
}

// resume finds the session of an incremental request and applies the request's changes. nil without error: nothing is left in the session.
// Kafka 3.9 FetchManager.newContext.
func (m *Manager) resume(q *Request) (*session, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.sessions[q.SessionID]
	if s == nil {
		return nil, kerr.FetchSessionIDNotFound
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.epoch != q.SessionEpoch:
		return nil, kerr.InvalidFetchSessionEpoch
	case s.usesIDs != q.usesIDs():
		return nil, kerr.FetchSessionTopicIDError
	}
	s.update(q)
	if len(s.entries) == 0 {
		m.removeLocked(s)
		return nil, nil
	}
	s.lastUsed, s.size = m.clk.Mono(), len(s.entries)
	s.epoch = nextEpoch(s.epoch)
	close(s.superseded)
	s.superseded = make(chan struct{})
	return s, nil
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
			e.Part = *p
			if e.Topic == "" {
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

func (s *session) activate(e *entry) {
	if !e.active {
		e.active = true
		s.active = append(s.active, e)
	}
}

// drop closes a session.
func (m *Manager) drop(id int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if s := m.sessions[id]; s != nil {
		s.mu.Lock()
		m.removeLocked(s)
		s.mu.Unlock()
	}
}

// removeLocked is called with both locks held.
func (m *Manager) removeLocked(s *session) {
	delete(m.sessions, s.id)
	s.epoch = -2 // what waits in it answers INVALID_FETCH_SESSION_EPOCH
	close(s.superseded)
	s.superseded = make(chan struct{})
	for _, e := range s.entries {
		e.drop()
	}
}

// open makes a session of entries that have just been answered, if there is room for one. Kafka 3.9 FetchSessionCacheShard.maybeCreateSession.
func (m *Manager) open(q *Request, entries []*entry) int32 {
	m.mu.Lock()
	defer m.mu.Unlock()
	now := m.clk.Mono()
	if len(m.sessions) >= m.max && !m.evict(q.ReplicaID >= 0, len(entries), now) {
		return NoSession
	}
	s := &session{
		follower: q.ReplicaID >= 0, usesIDs: q.usesIDs(), created: now, lastUsed: now, size: len(entries),
		epoch: nextEpoch(EpochInitial), entries: make(map[Key]*entry, len(entries)), waiter: replication.NewWaiter(), superseded: make(chan struct{}),
	}
	for s.id == NoSession || m.sessions[s.id] != nil {
		s.id = 1 + rand.Int32N(1<<31-2)
	}
	for _, old := range entries {
		// A fresh entry: the answered one's records belong to the answer.
		e := newEntry(old.Part)
		e.highWatermark, e.logStartOffset = old.result.HighWatermark, old.result.LogStartOffset
		s.entries[e.key] = e
		s.activate(e)
	}
	m.sessions[s.id] = s
	return s.id
}

// evict makes room for a session of size partitions: a stale one goes, else the least valuable one that the new may replace. Called with mu held.
func (m *Manager) evict(follower bool, size int, now time.Duration) bool {
	var oldest, least *session
	for _, s := range m.sessions {
		if oldest == nil || s.lastUsed < oldest.lastUsed {
			oldest = s
		}
		old := now-s.created > evictAfter
		if (follower && !s.follower || old) && (least == nil || s.lessValuable(least.follower, least.size)) {
			least = s
		}
	}
	victim := oldest
	if oldest == nil || now-oldest.lastUsed <= evictAfter {
		victim = least
		if least == nil || !least.lessValuable(follower, size) {
			return false
		}
	}
	victim.mu.Lock()
	m.removeLocked(victim)
	victim.mu.Unlock()
	return true
}

// lessValuable orders sessions for eviction: consumers' before followers', small before large. Called with Manager.mu held.
func (s *session) lessValuable(follower bool, size int) bool {
	if s.follower != follower {
		return follower
	}
	return s.size <= size
}

// Sessions is the number of open sessions.
func (m *Manager) Sessions() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.sessions)
}

// Close drops all sessions. Waiting fetches end by their own contexts.
func (m *Manager) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.sessions {
		s.mu.Lock()
		m.removeLocked(s)
		s.mu.Unlock()
	}
}
