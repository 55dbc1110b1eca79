package suspicion

import (
	"context"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"time"

	"gokafka/coordination"
	"gokafka/coordination/znode"
	"gokafka/internal/clock"
)

// Pauses of the Monitor. Two refusals must be refusePause apart; until a suspicion is over, or before a first connection, it is tried again after retryPause.
const (
	refusePause    = 100 * time.Millisecond
	retryPause     = 500 * time.Millisecond
	connectTimeout = 5 * time.Second
)

// Options of a Monitor. All but Dial and Logger are needed.
type Options struct {
	BrokerID int32
	Session  *coordination.Session
	Clock    *clock.Clock
	Logger   *slog.Logger
	// Listener is the one of the registrations on which brokers are sent control requests.
	Listener string
	// Dial opens connections; nil = TCP.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Changed is told of each suspicion that begins or ends while the broker is registered under epoch.
	Changed func(id int32, epoch int64, suspected bool)

	retry time.Duration // retryPause, but for tests
}

// Monitor watches the other brokers. Use Start. Safe for concurrent use.
type Monitor struct {
	o      Options
	wake   chan struct{} // capacity 1: registrations may have changed
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup
	unhook []func()

	probes map[int32]*probe // of the loop alone

	mu        sync.Mutex      // a leaf
	suspected map[int32]int64 // broker epochs by id
}

// Start begins to watch.
func Start(o Options) *Monitor {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Dial == nil {
		d := &net.Dialer{}
		o.Dial = func(ctx context.Context, addr string) (net.Conn, error) { return d.DialContext(ctx, "tcp", addr) }
	}
	if o.retry == 0 {
		o.retry = retryPause
	}
	m := &Monitor{o: o, wake: make(chan struct{}, 1), probes: map[int32]*probe{}, suspected: map[int32]int64{}}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	w := o.Session.Watch(znode.BrokerIDsPath, coordination.WatchChildren, m.signal)
	unhook := o.Session.AddHook(coordination.Hook{Name: "suspicion", After: func(context.Context, *coordination.Generation) { m.signal() }})
	m.unhook = []func(){w.Stop, unhook}
	m.signal()
	m.wg.Go(m.run)
	return m
}

// Close ends the watching and waits.
func (m *Monitor) Close() {
	for _, f := range m.unhook {
		f()
	}
	m.cancel()
	m.wg.Wait()
}

// Suspected says whether the process that registered broker id under epoch is thought to be dead.
func (m *Monitor) Suspected(id int32, epoch int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	e, ok := m.suspected[id]
	return ok && e == epoch
}

func (m *Monitor) signal() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

func (m *Monitor) run() {
	defer func() {
		for _, p := range m.probes {
			p.stop()
		}
	}()
	for {
		select {
		case <-m.wake:
		case <-m.ctx.Done():
			return
		}
		if err := m.follow(); err != nil && m.ctx.Err() == nil {
			m.o.Logger.Debug("registrations cannot be read", "error", err)
			if m.o.Clock.Sleep(m.ctx, m.o.retry) != nil {
				return
			}
			m.signal()
		}
	}
}

// follow reads the registrations, arms the watch on their list, and has one probe for each incarnation of another broker.
func (m *Monitor) follow() error {
	g, err := m.o.Session.Await(m.ctx)
	if err != nil {
		return err
	}
	ids, err := znode.ListBrokers(m.ctx, g, true)
	if err != nil {
		return err
	}
	rs, _, err := znode.ReadBrokers(m.ctx, g, ids)
	if err != nil {
		return err
	}
	there := map[int32]bool{}
	for i := range rs {
		t, ok := targetOf(&rs[i], m.o.Listener)
		if !ok || t.id == m.o.BrokerID {
			continue
		}
		there[t.id] = true
		if old := m.probes[t.id]; old != nil {
			if old.target == t {
				continue
			}
			m.end(old)
		}
		m.probes[t.id] = newProbe(m, t)
	}
	for id, p := range m.probes {
		if !there[id] {
			m.end(p)
		}
	}
	return nil
}

// end stops a probe; what it said of its incarnation is over. That is told too: if only the address changed, no other event has the broker looked at again.
func (m *Monitor) end(p *probe) {
	p.stop()
	delete(m.probes, p.target.id)
	if m.Suspected(p.target.id, p.target.epoch) {
		m.set(p.target, false)
	}
}

// set notes a suspicion, or its end, and tells of it.
func (m *Monitor) set(t target, suspected bool) {
	m.mu.Lock()
	if suspected {
		m.suspected[t.id] = t.epoch
	} else {
		delete(m.suspected, t.id)
	}
	m.mu.Unlock()
	m.o.Changed(t.id, t.epoch, suspected)
}

// target is an incarnation of a broker and where it listens.
type target struct {
	id    int32
	epoch int64 // broker epoch
	addr  string
}

func targetOf(r *znode.Registration, listener string) (target, bool) {
	e, ok := r.Broker.Endpoint(listener)
	return target{r.Broker.ID, r.Broker.Epoch, net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port)))}, ok
}
