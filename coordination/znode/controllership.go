package znode

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"gokafka/coordination"
)

// Result is the outcome of one write of a batch.
type Result struct {
	Stat *coordination.Stat // of a set that succeeded
	// Err is nil, or wraps coordination.ErrNodeExists, ErrNoNode, ErrBadVersion or another answer to this very write.
	Err error
}

// Write carries out op if the controller has not moved: {check /controller_epoch, op} in one multi. The stat is that of
// a set. ErrControllerMoved means that nothing was written and that the controller must resign.
//
// A conflict that may be the echo of an own lost reply is settled by reading back; what comes out as NodeExists,
// BadVersion or NoNode is somebody else's doing.
func (c *Controllership) Write(ctx context.Context, op coordination.Op) (*coordination.Stat, error) {
	res, err := c.Gen.Multi(ctx, coordination.CheckOp(ControllerEpochPath, c.ZkVersion), op)
	if err == nil {
		return res[1].Stat, nil
	}
	if coordination.FailedOp(err) == 0 {
		return nil, fmt.Errorf("%s under controller epoch %d: %w", op, c.Epoch, ErrControllerMoved)
	}
	if coordination.FailedOp(err) == 1 && coordination.MaybeApplied(err) {
		if stat, ok := c.settle(ctx, op, err); ok {
			return stat, nil
		}
	}
	return nil, err
}

// settle says whether the failed op was carried out by a sending whose reply was lost.
func (c *Controllership) settle(ctx context.Context, op coordination.Op, err error) (*coordination.Stat, bool) {
	switch {
	case op.IsDelete() && errors.Is(err, coordination.ErrNoNode):
		return nil, true
	case op.IsCreate() && errors.Is(err, coordination.ErrNodeExists):
		data, _, err := c.Gen.Get(ctx, op.Path())
		return nil, err == nil && bytes.Equal(data, op.Data())
	case op.IsSet() && errors.Is(err, coordination.ErrBadVersion):
		data, stat, err := c.Gen.Get(ctx, op.Path())
		return stat, err == nil && stat.Version == op.Version()+1 && bytes.Equal(data, op.Data())
	}
	return nil, false
}

// WriteMany carries out each op as Write does, many at a time and in no order; results are by index. The error is
// ErrControllerMoved, an ended Generation or context, or no answer at all; results are then not to be used, as some
// writes may have been made and others not. What must be in order takes several calls.
func (c *Controllership) WriteMany(ctx context.Context, ops []coordination.Op) ([]Result, error) {
	out := make([]Result, len(ops))
	err := c.Gen.Each(ctx, len(ops), func(ctx context.Context, i int) error {
		out[i].Stat, out[i].Err = c.Write(ctx, ops[i])
		if err := out[i].Err; err != nil && !isAnswer(err) {
			return err
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// isAnswer says whether the error is about the one write rather than about the session or the controller.
func isAnswer(err error) bool {
	return coordination.FailedOp(err) == 1 || errors.Is(err, coordination.ErrTooLarge)
}

// DeleteAll deletes a znode and all below it, depth first. A missing node is no error.
func (c *Controllership) DeleteAll(ctx context.Context, path string) error {
	names, err := c.Gen.Children(ctx, path)
	if errors.Is(err, coordination.ErrNoNode) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, n := range names {
		if err := c.DeleteAll(ctx, path+"/"+n); err != nil {
			return err
		}
	}
	return c.DeleteMany(ctx, []string{path})
}

// DeleteMany deletes znodes without children, many at a time. A missing node is no error.
func (c *Controllership) DeleteMany(ctx context.Context, paths []string) error {
	ops := make([]coordination.Op, len(paths))
	for i, p := range paths {
		ops[i] = coordination.DeleteOp(p, coordination.AnyVersion)
	}
	res, err := c.WriteMany(ctx, ops)
	if err != nil {
		return err
	}
	for _, r := range res {
		if r.Err != nil && !errors.Is(r.Err, coordination.ErrNoNode) {
			return r.Err
		}
	}
	return nil
}
