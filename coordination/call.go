package coordination

import (
	"context"
	"errors"

	"github.com/go-zookeeper/zk"
)

type answer[T any] struct {
	v   T
	err error
}

// call sends one request and waits for its answer, sends it again when the connection breaks, and ends with ctx or the
// Generation. lost says that an earlier sending, or this one, may have had an effect that nobody confirmed.
//
// The library's calls cannot be cancelled, so each runs in a goroutine of its own. A caller that stops waiting leaves
// it behind, with its slot taken, until the answer, a disconnect or the end of the Generation.
func call[T any](ctx context.Context, g *Generation, f func(*zk.Conn) (T, error)) (v T, lost bool, err error) {
	for {
		a, sent := try(ctx, g, f)
		if errors.Is(a.err, ErrClosed) && sent {
			return a.v, true, a.err
		}
		if a.err == nil || !sent || !isLoss(a.err) {
			if errors.Is(a.err, zk.ErrSessionExpired) {
				g.end(ErrSessionExpired)
			}
			return a.v, lost, a.err
		}
		lost = true
		if err := context.Cause(g.ctx); err != nil {
			return v, true, err
		}
		if err := context.Cause(ctx); err != nil {
			return v, true, err
		}
		if err := g.awaitUp(ctx); err != nil {
			return v, true, err
		}
	}
}

// try sends the request once. sent is false if it certainly was not.
func try[T any](ctx context.Context, g *Generation, f func(*zk.Conn) (T, error)) (a answer[T], sent bool) {
	select {
	case g.slots <- struct{}{}:
	case <-g.ctx.Done():
		return answer[T]{err: context.Cause(g.ctx)}, false
	case <-ctx.Done():
		return answer[T]{err: context.Cause(ctx)}, false
	}
	g.mu.Lock()
	if g.over {
		g.mu.Unlock()
		<-g.slots
		return answer[T]{err: context.Cause(g.ctx)}, false
	}
	g.calls.Add(1)
	g.mu.Unlock()
	ch := make(chan answer[T], 1)
	go func() {
		defer g.calls.Done()
		v, err := f(g.conn)
		<-g.slots
		ch <- answer[T]{v, err}
	}()
	select {
	case a = <-ch:
		return a, true
	case <-g.ctx.Done():
	case <-ctx.Done():
	}
	select {
	case a = <-ch: // answered all the same
		return a, true
	default:
	}
	if err := context.Cause(g.ctx); err != nil {
		return answer[T]{err: &lossError{err}}, true
	}
	return answer[T]{err: &lossError{context.Cause(ctx)}}, true
}
