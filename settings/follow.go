package settings

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"gokafka/config"
	"gokafka/coordination"
	"gokafka/coordination/znode"
)

// load asks the loop for the configs of topics.
type load struct {
	ctx   context.Context
	names []string
	done  chan error // capacity 1
}

// LoadTopics reads the configs of topics from ZooKeeper and returns a Snapshot that holds them. It is to be called when
// the log of a topic is made, because the making of a topic sends no notification. OnTopic is not called for what it
// finds.
func (m *Manager) LoadTopics(ctx context.Context, names []string) (*Snapshot, error) {
	l := load{ctx, names, make(chan error, 1)}
	select {
	case m.loads <- l:
	case <-m.done:
		return nil, coordination.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	select {
	case err := <-l.done:
		return m.Snapshot(), err
	case <-m.done:
		return nil, coordination.ErrClosed
	}
}

// TopicOverrides reads the dynamic configs of topics from ZooKeeper as they stand now: what another broker has just been
// told must be in the answer of this one, which has not heard of it yet, and a topic without a replica here is never
// loaded. The Snapshot stays as it is. errs are those of single topics, such as a malformed znode.
// Source: Kafka 3.9 ZkConfigRepository.config.
func (m *Manager) TopicOverrides(ctx context.Context, names []string) (overrides []map[string]string, errs []error, err error) {
	g, err := m.o.Session.Await(ctx)
	if err != nil {
		return nil, nil, err
	}
	overrides, errs = make([]map[string]string, len(names)), make([]error, len(names))
	err = g.Each(ctx, len(names), func(ctx context.Context, i int) error {
		conf, err := znode.ReadConfig(ctx, g, znode.TopicEntity, names[i])
		if bad, ok := malformed(err); ok {
			errs[i] = bad
			return nil
		}
		overrides[i] = conf
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read configs of %d topics: %w", len(names), err)
	}
	return overrides, errs, nil
}

// DropTopic forgets a deleted topic.
func (m *Manager) DropTopic(name string) {
	select {
	case m.drops <- name:
	case <-m.done:
	}
}

func (m *Manager) run(ctx context.Context) {
	defer close(m.done)
	retry := m.o.Clock.NewTimer(0)
	retry.Stop()
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case l := <-m.loads:
			l.done <- m.loadTopics(ctx, l)
			continue
		case name := <-m.drops:
			next := m.Snapshot().clone()
			delete(next.topics, name)
			m.current.Store(next)
			continue
		case <-m.wake:
		case <-retry.C:
		}
		err := m.follow(ctx)
		if errors.Is(err, coordination.ErrClosed) {
			return
		}
		if err != nil && ctx.Err() == nil {
			m.o.Logger.Warn("dynamic configs could not be read; will try again", "err", err)
			retry.Reset(retryPause)
		}
	}
}

// follow brings the Snapshot up to date. What was notified under an ended session is seen by loading everything.
func (m *Manager) follow(ctx context.Context) error {
	g, err := m.o.Session.Await(ctx)
	if err != nil {
		return err
	}
	if g != m.gen {
		next, err := m.loadAll(ctx)
		if err == nil {
			m.publish(next)
		}
		return err
	}
	all, err := znode.ListNotifications(ctx, g, znode.ConfigChangesPath, true)
	if err != nil {
		return err
	}
	news := slices.DeleteFunc(slices.Clone(all), func(n znode.Notification) bool { return n.Sequence <= m.last })
	entities, err := m.named(ctx, g, news)
	if err != nil {
		return err
	}
	next, err := m.reread(ctx, g, entities)
	if err != nil {
		return err
	}
	for _, n := range news {
		m.last = max(m.last, n.Sequence)
	}
	m.publish(next)
	return m.purge(ctx, g, all)
}

// named returns the entities that the notifications name, in their order and once each. What is no notification is
// logged and passed over.
func (m *Manager) named(ctx context.Context, g *coordination.Generation, ns []znode.Notification) ([]Entity, error) {
	ns, err := znode.ReadNotifications(ctx, g, ns)
	if err != nil {
		return nil, err
	}
	var out []Entity
	seen := make(map[Entity]bool)
	for _, n := range ns {
		e, err := znode.DecodeConfigChange(n.Path, n.Data)
		if err != nil {
			m.o.Logger.Error("config change notification ignored", "err", err)
			continue
		}
		if !seen[e] {
			seen[e] = true
			out = append(out, e)
		}
	}
	return out, nil
}

// purge deletes notifications that all brokers had time to see. Any broker does it, so they may be gone.
func (m *Manager) purge(ctx context.Context, g *coordination.Generation, ns []znode.Notification) error {
	ns, err := znode.ReadNotifications(ctx, g, ns)
	if err != nil {
		return err
	}
	now := m.o.Clock.NowMs()
	return g.Each(ctx, len(ns), func(ctx context.Context, i int) error {
		if now-ns[i].CtimeMs <= notificationExpiry.Milliseconds() {
			return nil
		}
		return znode.DeleteNotification(ctx, g, ns[i])
	})
}

// reread reads entities and returns a Snapshot with them.
func (m *Manager) reread(ctx context.Context, g *coordination.Generation, entities []Entity) (*Snapshot, error) {
	next := m.Snapshot().clone()
	confs := make([]map[string]string, len(entities))
	err := g.Each(ctx, len(entities), func(ctx context.Context, i int) error {
		conf, _, err := znode.ReadConfigVersion(ctx, g, entities[i].Type, entities[i].Name)
		if bad, ok := malformed(err); ok {
			m.o.Logger.Error("config ignored", "err", bad)
			return nil
		}
		confs[i] = conf
		return err
	})
	if err != nil {
		return nil, err
	}
	brokers := false
	for i, e := range entities {
		conf := confs[i]
		switch {
		case conf == nil: // malformed: stays as it was
		case e.Type == znode.TopicEntity:
			m.setTopic(next, e.Name, conf)
		case e.Type == znode.BrokerEntity && e.Name == znode.DefaultEntity:
			next.Cluster, brokers = conf, true
		case e.Type == znode.BrokerEntity && e.Name == m.id:
			next.Own, brokers = conf, true
		case e.Type != znode.BrokerEntity:
			next.setRaw(e, conf)
		}
	}
	if brokers {
		m.applyBroker(next)
	}
	return next, nil
}

// loadAll arms the watch, takes note of the newest notification, and then reads every entity: a change that is made in
// between is read, or notified, or both.
func (m *Manager) loadAll(ctx context.Context) (*Snapshot, error) {
	g, err := m.o.Session.Await(ctx)
	if err != nil {
		return nil, err
	}
	ns, err := znode.ListNotifications(ctx, g, znode.ConfigChangesPath, true)
	if err != nil {
		return nil, err
	}
	next := &Snapshot{Broker: m.Snapshot().Broker, Raw: make(map[string]map[string]map[string]string)}
	read := func(entityType string) (all map[string]map[string]string, err error) {
		all, bad, err := znode.ReadAllConfigs(ctx, g, entityType)
		for _, e := range bad {
			m.o.Logger.Error("config ignored", "err", e)
		}
		return all, err
	}
	for _, t := range []string{znode.UserEntity, znode.ClientEntity, znode.IPEntity} {
		all, err := read(t)
		if err != nil {
			return nil, err
		}
		maps.DeleteFunc(all, func(_ string, conf map[string]string) bool { return len(conf) == 0 })
		next.Raw[t] = all
	}
	brokers, err := read(znode.BrokerEntity)
	if err != nil {
		return nil, err
	}
	topics, err := read(znode.TopicEntity)
	if err != nil {
		return nil, err
	}
	next.Cluster, next.Own = brokers[znode.DefaultEntity], brokers[m.id]
	next.fallback = m.Snapshot().fallback
	next.topics = make(map[string]*topic, len(topics))
	for name, conf := range topics {
		next.topics[name] = &topic{overrides: conf}
	}
	m.applyBroker(next)
	m.last = -1
	for _, n := range ns {
		m.last = max(m.last, n.Sequence)
	}
	m.gen = g
	return next, nil
}

func (m *Manager) loadTopics(ctx context.Context, l load) error {
	ctx, cancel := mergeDone(ctx, l.ctx)
	defer cancel()
	g, err := m.o.Session.Await(ctx)
	if err != nil {
		return err
	}
	entities := make([]Entity, len(l.names))
	for i, n := range l.names {
		entities[i] = Entity{Type: znode.TopicEntity, Name: n}
	}
	next, err := m.reread(ctx, g, entities)
	if err != nil {
		return fmt.Errorf("load configs of %d topics: %w", len(l.names), err)
	}
	m.current.Store(next)
	return nil
}

// mergeDone returns a context that ends with either.
func mergeDone(a, b context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(a)
	stop := context.AfterFunc(b, func() { cancel(context.Cause(b)) })
	return ctx, func() { stop(); cancel(nil) }
}

// setTopic puts a topic's overrides and their effect into next. Overrides that cannot be parsed have no effect: the
// topic goes on as before, as in Apache, where the change fails to be processed.
func (m *Manager) setTopic(next *Snapshot, name string, overrides map[string]string) {
	old := next.topics[name]
	t := &topic{overrides: overrides, effective: next.fallback}
	next.topics[name] = t
	if len(overrides) == 0 {
		return
	}
	effective, err := config.ParseTopic(overrides, next.Broker)
	switch {
	case err == nil:
		t.effective = effective
	case old != nil && old.effective != nil:
		t.effective = old.effective
	}
	if err != nil {
		m.o.Logger.Error("topic config ignored", "topic", name, "err", err)
	}
	if old != nil && old.effective != nil && reflect.DeepEqual(old.effective, t.effective) {
		t.effective = old.effective
	}
}

// applyBroker puts the effect of next.Cluster and next.Own into next: the broker's config, and by it every topic's.
func (m *Manager) applyBroker(next *Snapshot) {
	cluster, dropped := config.FilterDynamic(next.Cluster, false)
	own, droppedOwn := config.FilterDynamic(next.Own, true)
	for _, why := range append(dropped, droppedOwn...) {
		m.o.Logger.Error(why)
	}
	for _, props := range []map[string]string{cluster, own} {
		maps.DeleteFunc(props, func(name, _ string) bool {
			if !config.IsPassword(name) {
				return false
			}
			m.o.Logger.Error("dynamic password config could not be decoded, ignoring", "config", name)
			return true
		})
	}
	b, err := m.o.Broker.WithDynamic(cluster, own)
	if err != nil {
		m.o.Logger.Error("dynamic broker configs could not be applied", "err", err)
		b = next.Broker
	}
	next.Broker = b
	if f := b.Topic(); !reflect.DeepEqual(f, next.fallback) {
		next.fallback = f
	}
	for name, t := range next.topics {
		m.setTopic(next, name, t.overrides)
	}
}

// publish makes next the Snapshot and calls the callbacks for what it changes.
func (m *Manager) publish(next *Snapshot) {
	prev := m.Snapshot()
	m.current.Store(next)
	if m.o.OnBroker != nil && (!maps.Equal(prev.Cluster, next.Cluster) || !maps.Equal(prev.Own, next.Own)) {
		m.o.OnBroker(prev.Broker, next.Broker)
	}
	if m.o.OnTopic != nil {
		for name, t := range next.topics {
			if before := prev.Topic(name); before != t.effective && !reflect.DeepEqual(before, t.effective) {
				m.o.OnTopic(name, t.effective)
			}
		}
	}
	if m.o.OnEntity != nil {
		m.changedEntities(prev, next)
	}
}

func (m *Manager) changedEntities(prev, next *Snapshot) {
	for _, t := range []string{znode.UserEntity, znode.ClientEntity, znode.IPEntity} {
		for name, conf := range next.Raw[t] {
			if !maps.Equal(conf, prev.Raw[t][name]) {
				m.o.OnEntity(Entity{Type: t, Name: name}, conf)
			}
		}
		for name := range prev.Raw[t] {
			if _, ok := next.Raw[t][name]; !ok {
				m.o.OnEntity(Entity{Type: t, Name: name}, map[string]string{})
			}
		}
	}
}
