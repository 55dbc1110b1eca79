package broker

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"gokafka/coordination"
	"gokafka/coordination/embedded"
	"gokafka/coordination/znode"
	"gokafka/internal/kafkalog"
)

// memoryServer stands for the embedded server in the session's list of servers. An IP literal: nothing is looked up.
const memoryServer = "127.0.0.1:2181"

// openCoordination starts the embedded server if there is to be one, opens the session, makes Kafka's paths and learns the cluster's id.
func (b *Broker) openCoordination(ctx context.Context, o Options) error {
	srv := o.Coordination
	if srv == nil && b.cfg.Embedded {
		var err error
		if srv, err = b.startEmbedded(ctx); err != nil {
			return err
		}
	}
	opts := coordination.Options{
		SessionTimeout: b.cfg.ZooKeeperSession, MaxInFlight: int(b.cfg.ZooKeeperMaxInFlight), Clock: b.clk,
		Logger: b.base.With(kafkalog.PrefixKey, "[ZooKeeperClient Kafka server] "),
	}
	if srv != nil {
		opts.Servers = []string{memoryServer}
		opts.Dial = func(ctx context.Context, _ string) (net.Conn, error) { return srv.DialContext(ctx) }
	} else {
		var err error
		if opts.Servers, opts.Chroot, err = coordination.ParseConnect(b.cfg.ZooKeeperConnect); err != nil {
			return err
		}
		if o.Network != nil { // else the session's own way, which spreads names over their addresses
			opts.Dial = o.Network.Dial
		}
	}
	b.zk = opts
	wait, cancel := context.WithTimeout(ctx, b.cfg.ZooKeeperConnection)
	defer cancel()
	var err error
	if b.session, err = coordination.Open(wait, opts); err != nil {
		return err
	}
	b.did(func() { b.session.Close() })
	g, err := b.session.Await(ctx)
	if err != nil {
		return err
	}
	if err := znode.CreatePersistentPaths(ctx, g); err != nil {
		return err
	}
	if b.clusterID, err = znode.ClusterID(ctx, g); err != nil {
		return err
	}
	b.logger.Info("Cluster ID = " + b.clusterID)
	return nil
}

// startEmbedded starts the embedded coordination server in the first log directory.
func (b *Broker) startEmbedded(ctx context.Context) (*embedded.Server, error) {
	dir := b.cfg.LogDirs[0]
	srv, err := embedded.Open(ctx, embedded.Options{FS: b.fs, Dir: dir, Clock: b.clk, Logger: b.base.With(kafkalog.PrefixKey, "[Coordination] ")})
	if err != nil {
		return nil, fmt.Errorf("embedded coordination in %s: %w", dir, err)
	}
	b.embedded = srv
	b.did(func() {
		if err := srv.Close(); err != nil {
			b.logger.Error("Embedded coordination did not close cleanly", "error", err)
		}
	})
	b.wg.Go(func() {
		select {
		case <-srv.Done():
			if err := srv.Err(); err != nil {
				b.fail(fmt.Errorf("embedded coordination: %w", err))
			}
		case <-b.ctx.Done():
		}
	})
	return srv, nil
}

// features is what /feature holds.
type features struct {
	current atomic.Pointer[znode.Features]

	mu      sync.Mutex    // a leaf
	changed chan struct{} // closed at the next change; nil while nobody waits
}

// set takes what was read, and tells those who wait.
func (f *features) set(cur *znode.Features) {
	f.current.Store(cur)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.changed != nil {
		close(f.changed)
		f.changed = nil
	}
}

// await waits until what is known is of an epoch, or a later one.
func (f *features) await(ctx context.Context, epoch int64) error {
	for {
		f.mu.Lock()
		if f.changed == nil {
			f.changed = make(chan struct{})
		}
		changed := f.changed
		f.mu.Unlock()
		if at, _ := f.get(); at >= epoch {
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// level is the finalized level of a feature, 0 for none.
func (f *features) level(name string) int16 {
	if cur := f.current.Load(); cur != nil {
		return cur.Finalized[name]
	}
	return 0
}

// get gives the version of the node and the finalized levels.
func (f *features) get() (int64, map[string]int16) {
	cur := f.current.Load()
	if cur == nil {
		return -1, nil
	}
	return int64(cur.ZkVersion), cur.Finalized
}

// retryPause is between tries to read what ZooKeeper did not answer.
const retryPause = 200 * time.Millisecond

// followFeatures reads /feature now and after each of its changes and each new session. A finalized feature that this broker does not know ends it, as it ends an
// Apache broker: it could break what the others rely on.
func (b *Broker) followFeatures() {
	changed := make(chan struct{}, 1)
	signal := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	w := b.session.Watch(znode.FeaturePath, coordination.WatchData, signal)
	remove := b.session.AddHook(coordination.Hook{Name: "features", After: func(context.Context, *coordination.Generation) { signal() }})
	b.wg.Go(func() {
		defer w.Stop()
		defer remove()
		for {
			if err := b.readFeatures(); err != nil && b.ctx.Err() == nil {
				b.logger.Warn("Features could not be read; trying again", "error", err)
				if b.clk.Sleep(b.ctx, retryPause) == nil {
					continue
				}
			}
			select {
			case <-changed:
			case <-b.ctx.Done():
				return
			}
		}
	})
}

func (b *Broker) readFeatures() error {
	g, err := b.session.Await(b.ctx)
	if err != nil {
		return err
	}
	f, ok, err := znode.ReadFeatures(b.ctx, g, true)
	if err != nil {
		return err
	}
	if !ok {
		b.features.set(nil)
		return nil
	}
	for name, level := range f.Finalized {
		if r, known := finalizable[name]; !known || level < r.Min || level > r.Max {
			b.fail(fmt.Errorf("the cluster has finalized feature %q at level %d, which this broker does not support", name, level))
		}
	}
	b.features.set(&f)
	return nil
}
