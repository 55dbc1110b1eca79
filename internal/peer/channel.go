package peer

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/internal/clock"
)

// ErrQueueFull says that a Channel holds as many requests as it may.
var ErrQueueFull = errors.New("queue of requests to the broker is full")

// RetryPause is the time between two tries of the same request (Kafka 3.9 RequestSendThread.backoff).
const RetryPause = 100 * time.Millisecond

// Channel sends requests to one broker in the order in which they were queued, each until it is answered. It gives up
// only when it is closed, since what the controller sends must reach the broker however long that takes; the receiver
// must therefore tolerate repetition, which Kafka's epochs give.
type Channel struct {
	client *Client
	clock  *clock.Clock
	failed func(kmsg.Request, error)
	bound  int

	cancel context.CancelFunc
	done   chan struct{}

	mu     sync.Mutex
	queue  []queued
	wake   chan struct{} // capacity 1
	closed bool
}

type queued struct {
	req    kmsg.Request
	answer func(context.Context, kmsg.Response)
}

// NewChannel starts a channel over client, which it owns. At most maxQueued requests wait. failed, if not nil, is told of
// each try that failed.
func NewChannel(client *Client, maxQueued int, failed func(kmsg.Request, error)) *Channel {
	ctx, cancel := context.WithCancel(context.Background())
	if failed == nil {
		failed = func(kmsg.Request, error) {}
	}
	c := &Channel{
		client: client, clock: client.opt.Clock, failed: failed, bound: maxQueued,
		cancel: cancel, done: make(chan struct{}), wake: make(chan struct{}, 1),
	}
	go c.run(ctx)
	return c
}

// Send queues req. answer (may be nil) is called in the channel's goroutine, which sends nothing more until it returns;
// its context ends when the channel closes. It is not called for a request that the closing of the channel dropped.
func (c *Channel) Send(req kmsg.Request, answer func(context.Context, kmsg.Response)) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return ErrClosed
	case len(c.queue) >= c.bound:
		return ErrQueueFull
	}
	c.queue = append(c.queue, queued{req, answer})
	select {
	case c.wake <- struct{}{}:
	default:
	}
	return nil
}

// Len is the number of requests not yet answered.
func (c *Channel) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.queue)
}

// Drop forgets the requests that wait, except the one in flight, and returns them.
func (c *Channel) Drop() []kmsg.Request {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) < 2 {
		return nil
	}
	dropped := make([]kmsg.Request, 0, len(c.queue)-1)
	for _, q := range c.queue[1:] {
		dropped = append(dropped, q.req)
	}
	clear(c.queue[1:])
	c.queue = c.queue[:1]
	return dropped
}

// Close ends the request in flight, waits for the goroutine and returns the requests that were not answered. Do not call
// it from an answer.
func (c *Channel) Close() []kmsg.Request {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.cancel()
	c.client.Close()
	<-c.done
	c.mu.Lock()
	defer c.mu.Unlock()
	left := make([]kmsg.Request, 0, len(c.queue))
	for _, q := range c.queue {
		left = append(left, q.req)
	}
	c.queue = nil
	return left
}

func (c *Channel) run(ctx context.Context) {
	defer close(c.done)
	for {
		head, ok := c.head()
		if !ok {
			select {
			case <-c.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		resp, ok := c.sendUntilAnswered(ctx, head.req)
		if !ok {
			return
		}
		if head.answer != nil {
			head.answer(ctx, resp)
		}
		c.pop()
	}
}

func (c *Channel) sendUntilAnswered(ctx context.Context, req kmsg.Request) (kmsg.Response, bool) {
	for {
		resp, err := c.client.Request(ctx, req)
		if err == nil {
			return resp, true
		}
		if ctx.Err() != nil {
			return nil, false
		}
		c.failed(req, err)
		if c.clock.Sleep(ctx, RetryPause) != nil {
			return nil, false
		}
	}
}

func (c *Channel) head() (queued, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 {
		return queued{}, false
	}
	return c.queue[0], true
}

func (c *Channel) pop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.queue) == 0 { // Close was faster
		return
	}
	c.queue[0] = queued{}
	c.queue = c.queue[1:]
	if len(c.queue) == 0 {
		c.queue = nil // let the array go
	}
}
