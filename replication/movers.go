package replication

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"gokafka/metadata"
)

// movers fill future logs and swap them in: some at a time, the others in the order of their names, as in Kafka 3.9 LocalLeaderEndPoint. Moves come and go by
// the holder of the turn.
type movers struct {
	m *Manager

	mu     sync.Mutex // a leaf
	moves  map[metadata.TopicPartition]*move
	signal chan struct{} // capacity: the number of movers
}

// move is a partition whose future log is being filled, or waits for it.
type move struct {
	p      *Partition
	ctx    context.Context
	cancel context.CancelFunc
	taken  bool          // by a mover; guarded by movers.mu
	after  time.Duration // monotonic time before which it is not taken again, after a failure; guarded by movers.mu
	done   chan struct{} // closed when the mover that took it does not touch the logs any more
}

func newMovers(m *Manager, n int) *movers {
	return &movers{m: m, moves: map[metadata.TopicPartition]*move{}, signal: make(chan struct{}, n)}
}

// start lets a partition's future log be filled, unless it is already.
func (ms *movers) start(p *Partition) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if ms.moves[p.tp] != nil {
		return
	}
	ctx, cancel := context.WithCancel(ms.m.ctx)
	ms.moves[p.tp] = &move{p: p, ctx: ctx, cancel: cancel, done: make(chan struct{})}
	ms.wake()
}

// wake has a mover look for what is to be done.
func (ms *movers) wake() {
	select {
	case ms.signal <- struct{}{}:
	default: // as many as there are movers are awake
	}
}

// stop ends moves, and returns when their logs are not touched any more. The future logs stay.
func (ms *movers) stop(tps []metadata.TopicPartition) {
	var wait []*move
	ms.mu.Lock()
	for _, tp := range tps {
		if mv := ms.moves[tp]; mv != nil {
			delete(ms.moves, tp)
			mv.cancel()
			if mv.taken {
				wait = append(wait, mv)
			}
		}
	}
	ms.mu.Unlock()
	for _, mv := range wait {
		<-mv.done
	}
}

// take is the next move to make, or nil, and when there may be one.
func (ms *movers) take(now time.Duration) (next *move, wait time.Duration) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	wait = time.Hour
	for _, mv := range ms.moves {
		switch {
		case mv.taken:
		case mv.after > now:
			wait = min(wait, mv.after-now)
		case next == nil || before(mv.p.tp, next.p.tp):
			next = mv
		}
	}
	if next != nil {
		next.taken = true
	}
	return next, wait
}

func before(a, b metadata.TopicPartition) bool {
	return a.Topic < b.Topic || a.Topic == b.Topic && a.Partition < b.Partition
}

// finish forgets a move that has ended by itself.
func (ms *movers) finish(mv *move) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if ms.moves[mv.p.tp] == mv {
		delete(ms.moves, mv.p.tp)
	}
	mv.cancel()
	close(mv.done)
}

// putOff lets others go first for a while, after a failure.
func (ms *movers) putOff(mv *move, until time.Duration) {
	ms.mu.Lock()
	defer ms.mu.Unlock()
	if ms.moves[mv.p.tp] != mv { // it was stopped
		close(mv.done)
		return
	}
	mv.taken, mv.after = false, until
	ms.wake()
}

// dropOffline forgets moves into directories that failed. The future logs refuse everything already.
func (ms *movers) dropOffline() {
	ms.mu.Lock()
	list := slices.Collect(maps.Values(ms.moves))
	ms.mu.Unlock()
	for _, mv := range list {
		if _, future := mv.p.logPair(); future == nil || !future.Offline() {
			continue
		}
		ms.mu.Lock()
		if ms.moves[mv.p.tp] == mv {
			delete(ms.moves, mv.p.tp)
		}
		mv.cancel()
		ms.mu.Unlock()
		mv.p.dropOfflineFuture()
	}
}

func (p *Partition) dropOfflineFuture() {
	p.leadership.Lock()
	if p.future != nil && p.future.Offline() {
		p.future = nil
	}
	p.leadership.Unlock()
	p.changed() // deletions of records do not wait for it any more
}

// run makes moves until ctx ends.
func (ms *movers) run(ctx context.Context) {
	clk := ms.m.clk
	for ctx.Err() == nil {
		mv, wait := ms.take(clk.Mono())
		if mv == nil {
			t := clk.NewTimer(wait)
			select {
			case <-ms.signal:
			case <-t.C:
			case <-ctx.Done():
			}
			t.Stop()
			continue
		}
		if err := ms.make(mv); err != nil && mv.ctx.Err() == nil {
			mv.p.logger.Error("The log could not be copied to the other directory; trying again", "error", err)
			ms.putOff(mv, clk.Mono()+ms.m.o.FetchBackoff)
			continue
		}
		ms.finish(mv)
	}
}

// make fills a future log until it can be swapped in, or until it is stopped. After an error the move is to be made again, unless it is nil: the future log of a
// directory that is offline is given up.
func (ms *movers) make(mv *move) error {
	m, p := ms.m, mv.p
	p.logger.Info("Moving the log to another directory")
	synced := false
	for mv.ctx.Err() == nil {
		current, future := p.logPair()
		if current == nil || future == nil {
			return nil // the next LeaderAndIsr goes on, if there is anything
		}
		if m.o.DirQuota.Exceeded() && !future.Offline() {
			if m.clk.Sleep(mv.ctx, quotaPause) != nil {
				return nil
			}
			continue
		}
		start := future.LogStartOffset()
		n, err := m.copyMore(current, future)
		if future.LogStartOffset() != start {
			p.changed() // deletions of records wait for the future log too
		}
		caughtUp := err == nil && n == 0
		if caughtUp && !synced {
			// So that there is little to sync between the swap and the end of the log that was in use.
			err, synced = future.Flush(true), true
		} else if caughtUp {
			var swapped bool
			if swapped, err = m.swapLogs(mv); swapped {
				return nil
			}
		}
		switch {
		case err == nil:
		case future.Offline():
			p.logger.Error("The directory to which the log was being moved is offline", "error", err)
			p.dropOfflineFuture()
			return nil
		default:
			return err
		}
	}
	return nil
}

// quotaPause is how long a mover waits when it has copied more than is allowed.
const quotaPause = 100 * time.Millisecond

// stopMoves ends moves of partitions whose logs stay or go; called by the holder of the turn.
func (m *Manager) stopMoves(tps []metadata.TopicPartition) {
	m.movers.stop(tps)
	for _, tp := range tps {
		if p := m.Partition(tp); p != nil {
			p.setFuture(nil)
		}
	}
}
