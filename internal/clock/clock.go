// Package clock is the one source of time of a broker.
//
// Wall time (log timestamps, retention) and monotonic time (timeouts, deadlines) are kept apart: a broker's
// wall clock can be moved by its user (Move) without firing or delaying any timer. Each broker has its own
// Clock, so that several brokers in one process do not share one. Nothing outside this package, tests and cmd
// calls time.Now, time.After, time.NewTimer or time.NewTicker; a test of the tree checks it.
//
// The clock stands on the runtime's, which is virtual inside a testing/synctest bubble.
package clock

import (
	"context"
	"sync/atomic"
	"time"
)

// Clock gives wall and monotonic time and timers. Use New; the zero value is not ready. Safe for concurrent use.
type Clock struct {
	start  time.Time
	offset atomic.Int64 // nanoseconds added to the machine's wall time
}

// New returns a clock that shows the machine's time.
func New() *Clock { return &Clock{start: time.Now()} }

// Now is the wall time, moved by what Move was told. It carries no monotonic reading: never subtract two of
// these to measure how long something took.
func (c *Clock) Now() time.Time {
	return time.Now().Round(0).Add(time.Duration(c.offset.Load()))
}

// NowMs is Now in milliseconds since 1970, Kafka's timestamp.
func (c *Clock) NowMs() int64 { return c.Now().UnixMilli() }

// Mono is the monotonic time since the clock was made. Differences of it measure durations.
func (c *Clock) Mono() time.Duration { return time.Since(c.start) }

// Move shifts the wall time by d, on top of earlier shifts. Timers are not affected.
func (c *Clock) Move(d time.Duration) { c.offset.Add(int64(d)) }

// Deadline is the instant d from now as connections want it (net.Conn.SetDeadline): on the machine's time, not moved by Move.
func (c *Clock) Deadline(d time.Duration) time.Time { return time.Now().Add(d) }

// Timer is a timer on monotonic time, with the semantics of time.Timer (Go 1.23: no stale value after Stop or Reset).
type Timer = time.Timer

// Ticker is a ticker on monotonic time.
type Ticker = time.Ticker

// NewTimer returns a timer that fires once after d.
func (c *Clock) NewTimer(d time.Duration) *Timer { return time.NewTimer(d) }

// AfterFunc runs f in its own goroutine after d, unless stopped before.
func (c *Clock) AfterFunc(d time.Duration, f func()) *Timer { return time.AfterFunc(d, f) }

// NewTicker returns a ticker with period d. The caller stops it.
func (c *Clock) NewTicker(d time.Duration) *Ticker { return time.NewTicker(d) }

// Sleep waits for d or until ctx is done, and then returns ctx's error.
func (c *Clock) Sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
