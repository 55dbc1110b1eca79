// Package producerid hands out producer ids that are unique in the cluster for ever (KIP-98).
//
// A broker takes blocks of 1000 ids by compare and set on /latest_producer_id_block, which is safe beside Apache's brokers
// and needs no controller, hands them out one by one, and takes the next block in the background when 90 % of one are gone.
// What is left of a block at the end of the process is lost. The central type is Manager; it has one goroutine, while it takes a block.
package producerid

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/internal/clock"
)

// Block is a range of ids.
type Block struct {
	Start int64
	Len   int32
}

// prefetchAt is the part of a block, in percent, after which the next is taken.
const prefetchAt = 90

// retryAfter is the pause after a block could not be taken.
const retryAfter = 100 * time.Millisecond

// Manager hands out ids. Use New. Safe for concurrent use.
type Manager struct {
	take   func(ctx context.Context) (Block, error)
	clk    *clock.Clock
	logger *slog.Logger
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu     sync.Mutex // guards what follows
	cur    Block
	used   int32
	next   *Block
	taking bool
	closed bool
}

// New returns a manager and begins to take its first block. take takes one from the cluster; it is retried until it succeeds or Close.
func New(take func(ctx context.Context) (Block, error), clk *clock.Clock, logger *slog.Logger) *Manager {
	m := &Manager{take: take, clk: clk, logger: logger}
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.mu.Lock()
	m.prefetchLocked()
	m.mu.Unlock()
	return m
}

// Next returns an id that was never returned before by any broker. While no block is there it fails with COORDINATOR_LOAD_IN_PROGRESS, on which clients try again.
func (m *Manager) Next() (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.used >= m.cur.Len {
		if m.next == nil {
			m.prefetchLocked()
			return -1, fmt.Errorf("producer id block is not there yet: %w", kerr.CoordinatorLoadInProgress)
		}
		m.cur, m.used, m.next = *m.next, 0, nil
	}
	id := m.cur.Start + int64(m.used)
	m.used++
	if m.next == nil && int64(m.used)*100 >= int64(m.cur.Len)*prefetchAt {
		m.prefetchLocked()
	}
	return id, nil
}

// prefetchLocked takes the next block in the background. Called with mu held.
func (m *Manager) prefetchLocked() {
	if m.taking || m.closed {
		return
	}
	m.taking = true
	m.wg.Go(func() {
		for {
			b, err := m.take(m.ctx)
			if err == nil {
				m.mu.Lock()
				m.next, m.taking = &b, false
				m.mu.Unlock()
				return
			}
			if m.ctx.Err() != nil {
				return
			}
			m.logger.Warn("Producer id block could not be taken; trying again", "error", err)
			if m.clk.Sleep(m.ctx, retryAfter) != nil {
				return
			}
		}
	})
}

// Close ends the taking of blocks and waits for it.
func (m *Manager) Close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.cancel()
	m.wg.Wait()
}
