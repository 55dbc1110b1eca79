package topics

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"sync"

	"gokafka/config"
	"gokafka/coordination"
	"gokafka/metadata"
)

// Options are what a Manager stands on.
type Options struct {
	Session *coordination.Session
	Image   func() *metadata.Image // the broker's picture of the cluster
	Config  func() *config.Broker  // the broker's config in force
	Random  func(n int) int        // in [0,n); nil = a fair one
	Logger  *slog.Logger           // nil = none
}

// Manager makes and changes topics. Safe for concurrent use.
type Manager struct {
	o Options

	mu       sync.Mutex
	creating map[string]bool // auto-creations under way
}

// New returns a Manager.
func New(o Options) *Manager {
	if o.Random == nil {
		o.Random = rand.IntN
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return &Manager{o: o, creating: make(map[string]bool)}
}

// generation returns the session to work under. What a request begins ends with it: it is the client that tries again.
func (m *Manager) generation(ctx context.Context) (*coordination.Generation, error) {
	return m.o.Session.Await(ctx)
}

// liveBrokers are those of the picture, which is what CreateTopics places replicas on.
func (m *Manager) liveBrokers() []metadata.Broker {
	im := m.o.Image()
	ids := im.BrokerIDs()
	out := make([]metadata.Broker, 0, len(ids))
	for _, id := range ids {
		out = append(out, *im.Broker(id))
	}
	return out
}
