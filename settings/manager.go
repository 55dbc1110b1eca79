package settings

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"gokafka/config"
	"gokafka/coordination"
	"gokafka/coordination/znode"
	"gokafka/internal/clock"
)

const (
	notificationExpiry = 15 * time.Minute // Kafka 3.9 ZkNodeChangeNotificationListener; fixed
	retryPause         = time.Second      // after a failure that is not the end of the session
)

// Options are what a Manager stands on. Callbacks run on the Manager's goroutine, after the Snapshot with the change is
// published; they must not wait for the Manager. They are not called for what Start loads.
type Options struct {
	Session *coordination.Session
	Broker  *config.Broker // under its static properties
	Clock   *clock.Clock   // nil = a new one
	Logger  *slog.Logger   // nil = none

	// OnTopic is told of a topic whose effective config changed, by its own configs or the broker's.
	OnTopic func(name string, t *config.Topic)
	// OnBroker is told of a changed config of this broker, before the OnTopic calls that follow from it.
	OnBroker func(before, after *config.Broker)
	// OnEntity is told of a changed user, client or IP address; no config is an empty map.
	OnEntity func(e Entity, conf map[string]string)
	// TopicExists says whether the broker knows the topic; altering others is refused.
	TopicExists func(name string) bool
}

// Manager follows and alters dynamic configs. Safe for concurrent use.
type Manager struct {
	o       Options
	id      string // of this broker, as an entity name
	current atomic.Pointer[Snapshot]

	wake  chan struct{} // capacity 1: there may be news
	loads chan load     // unbuffered
	drops chan string   // unbuffered
	done  chan struct{} // closed when the loop has ended

	stop   func() // ends the loop
	unhook []func()
	closer sync.Once

	// Of the loop alone.
	gen  *coordination.Generation // under which everything was loaded; nil: nothing was
	last int64                    // sequence number of the newest notification that was processed
}

// Start loads all dynamic configs, waiting for ZooKeeper as long as ctx allows, and begins to follow them.
func Start(ctx context.Context, o Options) (*Manager, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Clock == nil {
		o.Clock = clock.New()
	}
	m := &Manager{o: o, id: strconv.Itoa(int(o.Broker.ID)), last: -1,
		wake: make(chan struct{}, 1), loads: make(chan load), drops: make(chan string), done: make(chan struct{})}
	m.current.Store(&Snapshot{Broker: o.Broker, Raw: map[string]map[string]map[string]string{}, fallback: o.Broker.Topic()})
	w := o.Session.Watch(znode.ConfigChangesPath, coordination.WatchChildren, m.signal)
	unhook := o.Session.AddHook(coordination.Hook{Name: "settings",
		After: func(context.Context, *coordination.Generation) { m.signal() }})
	m.unhook = []func(){w.Stop, unhook}
	next, err := m.loadAll(ctx)
	if err != nil {
		w.Stop()
		unhook()
		return nil, fmt.Errorf("load dynamic configs: %w", err)
	}
	m.current.Store(next)
	run, cancel := context.WithCancel(context.Background())
	m.stop = cancel
	go m.run(run)
	return m, nil
}

// Close stops following and waits for callbacks that run.
func (m *Manager) Close() {
	m.closer.Do(func() {
		for _, f := range m.unhook {
			f()
		}
		m.stop()
		<-m.done
	})
}

// Snapshot is the newest state.
func (m *Manager) Snapshot() *Snapshot { return m.current.Load() }

// Broker is the newest config of this broker.
func (m *Manager) Broker() *config.Broker { return m.current.Load().Broker }

// Topic is the newest effective config of a topic.
func (m *Manager) Topic(name string) *config.Topic { return m.current.Load().Topic(name) }

func (m *Manager) signal() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}
