package fetch

import (
	"context"
	"log/slog"
	"sync"

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

// Manager serves fetches and keeps the sessions of one broker.
type Manager struct {
	replicas *replication.Manager
	cache    *metadata.Cache
	clk      *clock.Clock
	logger   *slog.Logger
	max      int

	mu       sync.Mutex // guards what follows, and what sessions say of their use; the last lock to be taken
	sessions map[int32]*session
	closed   bool
}

// NewManager returns a manager without sessions.
func NewManager(o Options) *Manager {
	return &Manager{replicas: o.Replicas, cache: o.Metadata, clk: o.Clock, logger: o.Logger, max: o.MaxSessions, sessions: map[int32]*session{}}
}

// Serve serves a request. It returns when there is enough to tell, after q.MaxWait, or when ctx is done. The caller releases the answer's records.
func (m *Manager) Serve(ctx context.Context, q *Request) *protocol.FetchResponse {
	resp := m.serve(ctx, q)
	if q.ReplicaID >= 0 {
		m.sent(resp)
	}
	return resp
}

func (m *Manager) serve(ctx context.Context, q *Request) *protocol.FetchResponse {
	resp := &protocol.FetchResponse{Version: q.Version}
	if q.SessionEpoch != EpochInitial && q.SessionEpoch != EpochFinal {
		t, err := m.resume(q)
		if err != nil {
			resp.ErrorCode = q.Code(err)
			return resp
		}
		if t.s != nil {
			m.serveIncremental(ctx, q, t, resp)
			return resp
		}
		// Nothing is left in the session, and it is closed: what the request names is served without one.
	} else if q.SessionID != NoSession {
		m.drop(q.SessionID)
	}
	m.serveFull(ctx, q, resp)
	return resp
}

// sent counts what a follower is sent of partitions that are throttled.
func (m *Manager) sent(resp *protocol.FetchResponse) {
	for i := range resp.Results {
		if r := &resp.Results[i]; r.Records != nil {
			m.replicas.SentToFollower(metadata.TopicPartition{Topic: r.Topic, Partition: r.Partition}, r.Records.Len())
		}
	}
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
		full.wait(ctx, w)
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
}

// serveIncremental serves a request of a session, whose turn it is until a later request takes over.
func (m *Manager) serveIncremental(ctx context.Context, q *Request, t turn, resp *protocol.FetchResponse) {
	s := t.s
	s.mu.Lock()
	defer s.mu.Unlock()
	inc := &round{m: m, q: q, s: s}
	if s.epoch == t.epoch {
		inc.takeDirty()
		inc.readAll()
		for !inc.enough() {
			s.mu.Unlock()
			more := inc.waitOnce(ctx, s.waiter, t.over)
			s.mu.Lock()
			if s.epoch != t.epoch || !more {
				break
			}
			inc.takeDirty()
			inc.readUnread()
		}
	}
	resp.SessionID = s.id
	if s.epoch != t.epoch {
		// The entries, and what was read into them, are the later request's. So is the signal of a change that this one may have swallowed.
		s.waiter.Subscribe(nil, nil).Mark()
		resp.ErrorCode = q.Code(kerr.InvalidFetchSessionEpoch)
		return
	}
	resp.Results = inc.finish()
}
