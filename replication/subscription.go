package replication

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gokafka/internal/clock"
)

// Waiter collects the partitions that changed for one reader (a fetch session, or one waiting fetch). Use NewWaiter.
type Waiter struct {
	mu    sync.Mutex
	dirty []*Subscription
	wake  chan struct{}
	clk   *clock.Clock  // nil before the first subscription of a partition; guarded by mu
	look  time.Duration // when TakeDirty was called last; guarded by mu
}

// NewWaiter returns a waiter with nothing dirty.
func NewWaiter() *Waiter { return &Waiter{wake: make(chan struct{}, 1), look: never} }

// Wake is signalled, at most once until it is received, after a subscription became dirty.
func (w *Waiter) Wake() <-chan struct{} { return w.wake }

// TakeDirty appends the dirty subscriptions to into and marks them clean. The caller reads their partitions afterwards: a change
// during the read makes them dirty again.
func (w *Waiter) TakeDirty(into []*Subscription) []*Subscription {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.clk != nil {
		w.look = w.clk.Mono()
	}
	for i, s := range w.dirty {
		if !s.gone {
			s.dirty.Store(false)
			into = append(into, s)
		}
		w.dirty[i] = nil
	}
	w.dirty = w.dirty[:0]
	return into
}

// Subscription tells a Waiter of the changes of one partition: appended records, high watermark, log start, role. The partition
// may be nil: such a subscription becomes dirty by Mark alone.
type Subscription struct {
	w     *Waiter
	p     *Partition
	dirty atomic.Bool
	gone  bool          // guarded by w.mu
	last  time.Duration // the waiter's look when the subscription ended; guarded by w.mu
	// Tag is the subscriber's own.
	Tag any
}

// Subscribe makes w a subscriber of p, not dirty at first.
func (w *Waiter) Subscribe(p *Partition, tag any) *Subscription {
	s := &Subscription{w: w, p: p, Tag: tag}
	if p != nil {
		w.mu.Lock()
		w.clk = p.m.clk
		w.mu.Unlock()
		p.subscribers.add(s)
	}
	return s
}

// Partition is what was subscribed to.
func (s *Subscription) Partition() *Partition { return s.p }

// Mark makes s dirty and wakes its waiter.
func (s *Subscription) Mark() {
	if s.dirty.Swap(true) {
		return // in the list already
	}
	s.w.mu.Lock()
	s.w.dirty = append(s.w.dirty, s)
	s.w.mu.Unlock()
	select {
	case s.w.wake <- struct{}{}:
	default:
	}
}

// Cancel ends the subscription.
func (s *Subscription) Cancel() {
	if s.p != nil {
		s.p.subscribers.remove(s)
	}
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if !s.gone {
		s.gone, s.last = true, s.w.look
	}
}

// lastLook is when the waiter, a fetch session, last looked what is new: with this partition among its own.
func (s *Subscription) lastLook() time.Duration {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if s.gone {
		return s.last
	}
	return s.w.look
}

// subscribers of a partition. An append looks at n alone while there are none.
type subscribers struct {
	n    atomic.Int32
	mu   sync.Mutex
	list []*Subscription
}

func (l *subscribers) add(s *Subscription) {
	l.mu.Lock()
	l.list = append(l.list, s)
	l.n.Store(int32(len(l.list)))
	l.mu.Unlock()
}

func (l *subscribers) remove(s *Subscription) {
	l.mu.Lock()
	if i := slices.Index(l.list, s); i >= 0 {
		l.list = slices.Delete(l.list, i, i+1)
	}
	l.n.Store(int32(len(l.list)))
	l.mu.Unlock()
}

// notify marks all subscriptions. A reader that subscribes after n was looked at reads after that, and so sees the change.
func (l *subscribers) notify() {
	if l.n.Load() == 0 {
		return
	}
	l.mu.Lock()
	for _, s := range l.list {
		s.Mark()
	}
	l.mu.Unlock()
}
