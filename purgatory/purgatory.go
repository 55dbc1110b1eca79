// Package purgatory holds requests that wait for a condition or a deadline, watched by key (Kafka 3.9 DelayedOperationPurgatory).
//
// The central type is Op. Its condition is tried when it is added, whenever Check names one of its keys, and not after it
// is done; its completion runs exactly once, with no lock of this package held. Callers call Check after they have
// released their own locks. Deadlines run on the broker's monotonic clock.
package purgatory

import (
	"sync"
	"sync/atomic"
	"time"

	"gokafka/internal/clock"
)

// Op is one waiting request.
type Op struct {
	// Try says whether the condition holds. Calls are serialised. It may take the caller's locks but must not call into the purgatory.
	Try func() bool
	// Done is called exactly once: when Try said yes, or with expired=true at the deadline or at Close.
	Done func(expired bool)

	mu    sync.Mutex // serialises Try; guards done
	done  bool
	timer *clock.Timer
}

// attempt tries the condition and completes the operation if it holds. True when it is done, by this call or before.
func (o *Op) attempt() bool {
	o.mu.Lock()
	if o.done {
		o.mu.Unlock()
		return true
	}
	if !o.Try() {
		o.mu.Unlock()
		return false
	}
	o.finishLocked(false)
	return true
}

// finishLocked is called with mu held and releases it.
func (o *Op) finishLocked(expired bool) {
	o.done = true
	t := o.timer
	o.mu.Unlock()
	if t != nil {
		t.Stop()
	}
	o.Done(expired)
}

func (o *Op) expire() {
	o.mu.Lock()
	if o.done {
		o.mu.Unlock()
		return
	}
	o.finishLocked(true)
}

func (o *Op) isDone() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.done
}

// Purgatory watches operations by key. Use New. Safe for concurrent use.
type Purgatory[K comparable] struct {
	clk    *clock.Clock
	mu     sync.Mutex
	closed bool
	ops    map[K][]*Op
	// filed is len(ops), read without mu so that Check costs nothing while nobody waits.
	filed atomic.Int64
	// purgeAt is the length at which a list is next purged of done operations: twice what the last purge left.
	purgeAt map[K]int
}

// New returns an empty purgatory.
func New[K comparable](clk *clock.Clock) *Purgatory[K] {
	return &Purgatory[K]{clk: clk, ops: map[K][]*Op{}, purgeAt: map[K]int{}}
}

// Add tries op at once and otherwise keeps it until its condition holds, or for timeout. It says whether op was done when Add returned.
// The condition is tried again after op is filed, so that a change between the first try and the filing is not missed.
func (p *Purgatory[K]) Add(op *Op, timeout time.Duration, keys ...K) bool {
	if op.attempt() {
		return true
	}
	if timeout <= 0 {
		op.expire()
		return true
	}
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		op.expire()
		return true
	}
	for _, k := range keys {
		p.file(k, op)
	}
	p.filed.Store(int64(len(p.ops)))
	p.mu.Unlock()
	if op.attempt() {
		p.forget(op, keys)
		return true
	}
	op.mu.Lock()
	if op.done {
		op.mu.Unlock()
		return true
	}
	op.timer = p.clk.AfterFunc(timeout, func() {
		op.expire()
		p.forget(op, keys)
	})
	op.mu.Unlock()
	return false
}

// file is called with mu held.
func (p *Purgatory[K]) file(k K, op *Op) {
	list := append(p.ops[k], op)
	if at := max(p.purgeAt[k], 64); len(list) > at {
		list = undone(list)
		p.purgeAt[k] = 2 * len(list)
	}
	p.ops[k] = list
}

func undone(list []*Op) []*Op {
	kept := list[:0]
	for _, o := range list {
		if !o.isDone() {
			kept = append(kept, o)
		}
	}
	clear(list[len(kept):])
	return kept
}

func (p *Purgatory[K]) forget(op *Op, keys []K) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, k := range keys {
		list := p.ops[k]
		for i, o := range list {
			if o == op {
				list = append(list[:i:i], list[i+1:]...)
				break
			}
		}
		p.store(k, list)
	}
}

func (p *Purgatory[K]) store(k K, list []*Op) {
	if len(list) == 0 {
		delete(p.ops, k)
		delete(p.purgeAt, k)
		p.filed.Store(int64(len(p.ops)))
		return
	}
	p.ops[k] = list
}

// Check tries the operations that watch k and returns how many it completed. Call it with no lock held that a Try or Done takes.
func (p *Purgatory[K]) Check(k K) int {
	if p.filed.Load() == 0 {
		return 0 // an operation filed from now on tries its condition after filing
	}
	p.mu.Lock()
	list := append([]*Op(nil), p.ops[k]...)
	p.mu.Unlock()
	if len(list) == 0 {
		return 0
	}
	n := 0
	for _, o := range list {
		if o.attempt() {
			n++
		}
	}
	if n > 0 {
		p.mu.Lock()
		p.store(k, undoneCopy(p.ops[k]))
		p.mu.Unlock()
	}
	return n
}

func undoneCopy(list []*Op) []*Op {
	kept := make([]*Op, 0, len(list))
	for _, o := range list {
		if !o.isDone() {
			kept = append(kept, o)
		}
	}
	return kept
}

// Waiting is the number of filed operations, counted once for each key.
func (p *Purgatory[K]) Waiting() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	n := 0
	for _, l := range p.ops {
		n += len(l)
	}
	return n
}

// Close completes all operations as expired; those added later expire at once.
func (p *Purgatory[K]) Close() {
	p.mu.Lock()
	p.closed = true
	all := p.ops
	p.ops, p.purgeAt = map[K][]*Op{}, map[K]int{}
	p.filed.Store(0)
	p.mu.Unlock()
	for _, list := range all {
		for _, o := range list {
			o.expire()
		}
	}
}
