package controller

import (
	"context"
	"sync"
)

// maxWaiting bounds the events of clients and brokers that wait; whoever brings one more waits for room. Events that
// only say "look again" are bounded by their keys: one for each znode that is watched.
const maxWaiting = 1000

// event is one thing the controller has to do.
type event struct {
	name string // for the log
	// key, if set, is the same for events that one look answers: only one of them waits at a time.
	key string
	run func(ctx context.Context) error
	// always says to run it although the generation of the session is over.
	always bool
	// drop, if set, answers whoever waits for an event that will not be run.
	drop func(err error)
}

// queue is the controller's events, first in, first out.
type queue struct {
	mu     sync.Mutex
	events []event
	keys   map[string]bool
	closed bool
	wake   chan struct{} // capacity 1
	room   chan struct{} // one token for each event without key that waits
}

func newQueue() *queue {
	return &queue{keys: map[string]bool{}, wake: make(chan struct{}, 1), room: make(chan struct{}, maxWaiting)}
}

// note queues an event that has a key, unless one of its key waits. It does not block.
func (q *queue) note(e event) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || q.keys[e.key] {
		return
	}
	q.keys[e.key] = true
	q.push(e)
}

// put queues an event without key and waits for room if it must.
func (q *queue) put(ctx context.Context, e event) error {
	select {
	case q.room <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		<-q.room
		return errStopped
	}
	q.push(e)
	return nil
}

func (q *queue) push(e event) {
	q.events = append(q.events, e)
	q.signal()
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// pop takes the first event.
func (q *queue) pop() (event, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.events) == 0 {
		q.events = nil // let the array go
		return event{}, false
	}
	e := q.events[0]
	q.events[0] = event{}
	q.events = q.events[1:]
	q.release(e)
	return e, true
}

func (q *queue) release(e event) {
	if e.key != "" {
		delete(q.keys, e.key)
	} else {
		<-q.room
	}
}

// clear drops all events, answers those who wait with err, and puts first (if it has a key) in their place.
func (q *queue) clear(err error, first event) {
	q.mu.Lock()
	dropped := q.events
	q.events = nil
	for _, e := range dropped {
		q.release(e)
	}
	if first.key != "" && !q.closed {
		q.keys[first.key] = true
		q.push(first)
	}
	q.mu.Unlock()
	for _, e := range dropped {
		if e.drop != nil {
			e.drop(err)
		}
	}
}

// close makes the queue refuse further events and drops those that wait.
func (q *queue) close(err error) {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.clear(err, event{})
	q.signal()
}

func (q *queue) len() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.events)
}
