package server

import (
	"context"
	"sync"
)

// budget is a number of bytes shared by all connections of a broker.
type budget struct {
	mu      sync.Mutex
	free    int64
	waiters []chan struct{} // woken, all, when bytes come back
}

func newBudget(bytes int64) *budget { return &budget{free: bytes} }

// acquire takes n bytes, waiting until they are free or ctx is done. A request for more than the whole budget could never succeed; callers bound n.
func (b *budget) acquire(ctx context.Context, n int64) error {
	for {
		b.mu.Lock()
		if b.free >= n {
			b.free -= n
			b.mu.Unlock()
			return nil
		}
		ch := make(chan struct{})
		b.waiters = append(b.waiters, ch)
		b.mu.Unlock()
		select {
		case <-ch:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (b *budget) release(n int64) {
	b.mu.Lock()
	b.free += n
	waiters := b.waiters
	b.waiters = nil
	b.mu.Unlock()
	for _, ch := range waiters {
		close(ch)
	}
}
