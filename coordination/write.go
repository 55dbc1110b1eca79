package coordination

import (
	"context"
	"errors"
	"strings"

	"github.com/go-zookeeper/zk"
)

// Create makes a znode and returns its path. An error for which MaybeApplied holds does not say that it was not made.
func (g *Generation) Create(ctx context.Context, path string, data []byte, mode Mode) (string, error) {
	op := CreateOp(path, data, mode)
	full := joinChroot(g.s.opts.Chroot, path)
	created, lost, err := "", false, g.checkSize(op.bodyBytes(g.s.opts.Chroot))
	if err == nil {
		created, lost, err = call(ctx, g, func(c *zk.Conn) (string, error) {
			return c.Create(full, data, int32(mode), zk.WorldACL(zk.PermAll))
		})
	}
	if err != nil {
		return "", &Error{Op: "create", Path: path, Index: -1, Lost: lost, Err: err}
	}
	return strings.TrimPrefix(created, g.s.opts.Chroot), nil
}

// Set replaces the data of a znode if version matches.
func (g *Generation) Set(ctx context.Context, path string, data []byte, version int32) (*Stat, error) {
	op := SetOp(path, data, version)
	full := joinChroot(g.s.opts.Chroot, path)
	var stat *Stat
	lost, err := false, g.checkSize(op.bodyBytes(g.s.opts.Chroot))
	if err == nil {
		stat, lost, err = call(ctx, g, func(c *zk.Conn) (*Stat, error) { return c.Set(full, data, version) })
	}
	if err != nil {
		return nil, &Error{Op: "set", Path: path, Index: -1, Lost: lost, Err: err}
	}
	return stat, nil
}

// Delete deletes a znode if version matches.
func (g *Generation) Delete(ctx context.Context, path string, version int32) error {
	full := joinChroot(g.s.opts.Chroot, path)
	_, lost, err := call(ctx, g, func(c *zk.Conn) (struct{}, error) { return struct{}{}, c.Delete(full, version) })
	if err != nil {
		return &Error{Op: "delete", Path: path, Index: -1, Lost: lost, Err: err}
	}
	return nil
}

// Multi carries out all operations or none. If one fails, the error is about the first that did; see FailedOp.
func (g *Generation) Multi(ctx context.Context, ops ...Op) ([]OpResult, error) {
	chroot := g.s.opts.Chroot
	reqs := make([]any, len(ops))
	size := multiHeaderBytes
	for i, op := range ops {
		reqs[i] = op.request(chroot)
		size += multiHeaderBytes + op.bodyBytes(chroot)
	}
	var answers []zk.MultiResponse
	lost, err := false, g.checkSize(size)
	if err == nil {
		answers, lost, err = call(ctx, g, func(c *zk.Conn) ([]zk.MultiResponse, error) { return c.Multi(reqs...) })
	}
	if err == nil && len(answers) != len(ops) {
		err = errors.New("the answer to a multi has the wrong number of results")
	}
	if err != nil {
		return nil, multiError(ops, answers, lost, err)
	}
	out := make([]OpResult, len(ops))
	for i, a := range answers {
		out[i].Stat = a.Stat
		if a.String != "" {
			out[i].Path = strings.TrimPrefix(a.String, chroot)
		}
	}
	return out, nil
}

func multiError(ops []Op, answers []zk.MultiResponse, lost bool, err error) error {
	e := &Error{Op: "multi", Index: -1, Lost: lost, Err: err}
	if len(ops) > 0 {
		e.Path = ops[0].path
	}
	if len(answers) != len(ops) {
		return e
	}
	for i, a := range answers {
		if a.Error != nil {
			e.Index, e.Path, e.Op, e.Err = i, ops[i].path, "multi "+ops[i].kind.String(), a.Error
			return e
		}
	}
	return e
}

// CreateAll creates a persistent znode and those of its parents that are missing, which get null data. An existing
// node is ErrNodeExists.
func (g *Generation) CreateAll(ctx context.Context, path string, data []byte) error {
	_, err := g.Create(ctx, path, data, Persistent)
	if !errors.Is(err, ErrNoNode) {
		return err
	}
	if err := g.EnsurePath(ctx, path[:strings.LastIndexByte(path, '/')]); err != nil {
		return err
	}
	_, err = g.Create(ctx, path, data, Persistent)
	return err
}

// EnsurePath makes the znode and its parents with null data unless they exist.
func (g *Generation) EnsurePath(ctx context.Context, path string) error {
	if path == "" || path == "/" {
		return nil
	}
	if err := g.CreateAll(ctx, path, nil); err != nil && !errors.Is(err, ErrNodeExists) {
		return err
	}
	return nil
}

// createChroot makes the chroot and its parents. Its paths are above what all other requests can name.
func (g *Generation) createChroot(ctx context.Context) error {
	chroot := g.s.opts.Chroot
	if chroot == "" {
		return nil
	}
	if stat, err := g.Exists(ctx, "/"); err != nil || stat != nil {
		return err
	}
	for i := 1; i <= len(chroot); i++ {
		if i < len(chroot) && chroot[i] != '/' {
			continue
		}
		prefix := chroot[:i]
		_, lost, err := call(ctx, g, func(c *zk.Conn) (string, error) {
			return c.Create(prefix, nil, 0, zk.WorldACL(zk.PermAll))
		})
		if err != nil && !errors.Is(err, ErrNodeExists) {
			return &Error{Op: "create chroot", Path: prefix, Index: -1, Lost: lost, Err: err}
		}
	}
	return nil
}
