package coordination

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/go-zookeeper/zk"
)

type dataStat struct {
	data []byte
	stat *Stat
}

// Get reads a znode. Data nil is ZooKeeper's null or empty.
func (g *Generation) Get(ctx context.Context, path string) ([]byte, *Stat, error) {
	full := joinChroot(g.s.opts.Chroot, path)
	v, _, err := call(ctx, g, func(c *zk.Conn) (dataStat, error) {
		data, stat, err := c.Get(full)
		return dataStat{data, stat}, err
	})
	if err != nil {
		return nil, nil, &Error{Op: "get", Path: path, Index: -1, Err: err}
	}
	return v.data, v.stat, nil
}

// GetW is Get, and arms the WatchData of the path if the node exists. If it does not, nothing is armed: use ExistsW.
func (g *Generation) GetW(ctx context.Context, path string) ([]byte, *Stat, error) {
	full := joinChroot(g.s.opts.Chroot, path)
	v, err := watched(ctx, g, watchKey{path, WatchData}, func(c *zk.Conn, arm bool) (dataStat, error) {
		if !arm {
			data, stat, err := c.Get(full)
			return dataStat{data, stat}, err
		}
		data, stat, _, err := c.GetW(full)
		return dataStat{data, stat}, err
	})
	if err != nil {
		return nil, nil, &Error{Op: "get", Path: path, Index: -1, Err: err}
	}
	return v.data, v.stat, nil
}

// Exists returns the stat of a znode, nil if there is none.
func (g *Generation) Exists(ctx context.Context, path string) (*Stat, error) {
	full := joinChroot(g.s.opts.Chroot, path)
	v, _, err := call(ctx, g, func(c *zk.Conn) (*Stat, error) { return statIf(c.Exists(full)) })
	if err != nil {
		return nil, &Error{Op: "exists", Path: path, Index: -1, Err: err}
	}
	return v, nil
}

// ExistsW is Exists, and arms the WatchData of the path in both cases.
func (g *Generation) ExistsW(ctx context.Context, path string) (*Stat, error) {
	full := joinChroot(g.s.opts.Chroot, path)
	v, err := watched(ctx, g, watchKey{path, WatchData}, func(c *zk.Conn, arm bool) (*Stat, error) {
		if !arm {
			return statIf(c.Exists(full))
		}
		ok, stat, _, err := c.ExistsW(full)
		return statIf(ok, stat, err)
	})
	if err != nil {
		return nil, &Error{Op: "exists", Path: path, Index: -1, Err: err}
	}
	return v, nil
}

func statIf(ok bool, stat *Stat, err error) (*Stat, error) {
	if err != nil || !ok {
		return nil, err
	}
	return stat, nil
}

type names struct {
	names []string
	stat  *Stat
}

// Children lists the names of a znode's children, in no order.
func (g *Generation) Children(ctx context.Context, path string) ([]string, error) {
	full := joinChroot(g.s.opts.Chroot, path)
	v, _, err := call(ctx, g, func(c *zk.Conn) (names, error) {
		ns, stat, err := c.Children(full)
		return names{ns, stat}, err
	})
	if err != nil {
		return nil, &Error{Op: "children", Path: path, Index: -1, Err: err}
	}
	return v.names, nil
}

// ChildrenW is Children, and arms the WatchChildren of the path if the node exists.
func (g *Generation) ChildrenW(ctx context.Context, path string) ([]string, error) {
	full := joinChroot(g.s.opts.Chroot, path)
	v, err := watched(ctx, g, watchKey{path, WatchChildren}, func(c *zk.Conn, arm bool) (names, error) {
		if !arm {
			ns, stat, err := c.Children(full)
			return names{ns, stat}, err
		}
		ns, stat, _, err := c.ChildrenW(full)
		return names{ns, stat}, err
	})
	if err != nil {
		return nil, &Error{Op: "children", Path: path, Index: -1, Err: err}
	}
	return v.names, nil
}

// watched makes a read that arms the watch k unless it is armed already. The bookkeeping is done around each single
// sending, in the goroutine that gets its answer, so that a caller who stops waiting leaves no wrong entry behind.
func watched[T any](ctx context.Context, g *Generation, k watchKey, f func(c *zk.Conn, arm bool) (T, error)) (T, error) {
	v, _, err := call(ctx, g, func(c *zk.Conn) (T, error) {
		arm, ticket := g.watch.begin(k)
		v, err := f(c, arm)
		if arm {
			g.watch.end(k, ticket, err == nil)
		}
		return v, err
	})
	return v, err
}

// Sync waits until the server that the session is connected to has caught up with the ensemble's leader.
func (g *Generation) Sync(ctx context.Context, path string) error {
	full := joinChroot(g.s.opts.Chroot, path)
	_, _, err := call(ctx, g, func(c *zk.Conn) (string, error) { return c.Sync(full) })
	if err != nil {
		return &Error{Op: "sync", Path: path, Index: -1, Err: err}
	}
	return nil
}

// Data is one outcome of GetMany.
type Data struct {
	Data []byte
	Stat *Stat
	Err  error // ErrNoNode is the only one that GetMany does not return itself
}

// GetMany reads many znodes at once, up to Options.MaxInFlight at a time, in no order; results are by index. watch
// arms the WatchData of those that exist. A missing node is in its Data.Err; anything else fails the whole.
func (g *Generation) GetMany(ctx context.Context, paths []string, watch bool) ([]Data, error) {
	out := make([]Data, len(paths))
	get := g.Get
	if watch {
		get = g.GetW
	}
	err := g.Each(ctx, len(paths), func(ctx context.Context, i int) error {
		out[i].Data, out[i].Stat, out[i].Err = get(ctx, paths[i])
		if err := out[i].Err; err != nil && !errors.Is(err, ErrNoNode) {
			return err
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Each calls f for 0..n-1, up to Options.MaxInFlight at a time, and returns when all calls have. After the first error
// no further call begins and ctx of the others ends; that error is returned.
func (g *Generation) Each(ctx context.Context, n int, f func(ctx context.Context, i int) error) error {
	if n == 0 {
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(n, g.s.opts.MaxInFlight) {
		wg.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if err := f(ctx, i); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}
