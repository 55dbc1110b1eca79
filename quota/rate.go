package quota

import (
	"time"
)

// Rate is a sum over a sliding time, in samples of a window each (Kafka 3.9 SampledStat with SimpleRate). Times are monotonic. It is not safe for concurrent
// use.
type Rate struct {
	window  time.Duration
	samples []sample
	current int
}

type sample struct {
	start, last time.Duration // when it began, and the last value came
	sum         float64
}

// NewRate makes a rate over so many windows. Samples and window are Kafka's quota.window.num and quota.window.size.seconds, or those of replication.
func NewRate(samples int, window, now time.Duration) *Rate {
	r := &Rate{window: window, samples: make([]sample, 1, max(1, samples))}
	r.samples[0] = sample{start: now, last: now}
	return r
}

// Record adds a value.
func (r *Rate) Record(value float64, now time.Duration) {
	if now-r.samples[r.current].start >= r.window {
		r.advance(now)
	}
	s := &r.samples[r.current]
	s.sum, s.last = s.sum+value, now
}

// advance begins the next sample, in place of the oldest one if there are enough.
func (r *Rate) advance(now time.Duration) {
	r.current = (r.current + 1) % cap(r.samples)
	if r.current == len(r.samples) {
		r.samples = append(r.samples, sample{})
	}
	r.samples[r.current] = sample{start: now, last: now}
}

// PerSecond is the rate now: what the samples hold by the time since the oldest of them began, which counts for a window at least.
func (r *Rate) PerSecond(now time.Duration) float64 {
	sum, oldest := 0.0, now
	for i := range r.samples {
		s := &r.samples[i]
		if now-s.last >= r.window*time.Duration(cap(r.samples)) {
			*s = sample{start: now, last: now} // too old to count
		}
		sum += s.sum
		oldest = min(oldest, s.start)
	}
	return sum / max(now-oldest, r.window).Seconds()
}
