package logdir

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"gokafka/logstore"
	"gokafka/logstore/cleaner"
	"gokafka/metadata"
)

// CleanerOptions are the broker's settings for compaction, as of now.
type CleanerOptions struct {
	Threads           int           // log.cleaner.threads
	Backoff           time.Duration // log.cleaner.backoff.ms
	MapBytes          int64         // log.cleaner.dedupe.buffer.size, of all threads
	LoadFactor        float64       // log.cleaner.io.buffer.load.factor
	IOBufferBytes     int           // log.cleaner.io.buffer.size, of all threads
	MaxBytesPerSecond float64       // log.cleaner.io.max.bytes.per.second, of all threads
}

// cleaning is what the cleaners share. Guarded by Manager.mu.
type cleaning struct {
	options  func() CleanerOptions
	threads  int
	throttle throttle
}

// errCleanEnded ends a cleaning whose log is to be moved, deleted or closed.
var errCleanEnded = errors.New("cleaning is no longer wanted")

// StartCleaners begins compaction; options is asked before each pass. Call it once, after Start. Close ends it.
func (m *Manager) StartCleaners(options func() CleanerOptions) {
	m.mu.Lock()
	m.cleaning.options = options
	m.mu.Unlock()
	m.fitCleaners(options())
}

// fitCleaners starts the threads that are missing.
func (m *Manager) fitCleaners(o CleanerOptions) {
	m.mu.Lock()
	first := m.cleaning.threads
	m.cleaning.threads = max(first, o.Threads)
	m.mu.Unlock()
	for i := first; i < o.Threads; i++ {
		if !m.background(func() { m.cleanLoop() }) {
			return
		}
	}
}

// leaveCleaners says whether a thread is to end because there are to be fewer.
func (m *Manager) leaveCleaners(o CleanerOptions) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.cleaning.threads <= max(1, o.Threads) {
		return false
	}
	m.cleaning.threads--
	return true
}

func (m *Manager) cleanLoop() {
	c := &cleaner.Cleaner{Clock: m.opts.Clock, Codecs: m.opts.Codecs, Throttle: m.throttleCleaner}
	for m.ctx.Err() == nil {
		o := m.cleaning.options()
		if m.leaveCleaners(o) {
			return
		}
		m.fitCleaners(o)
		threads := max(1, o.Threads)
		c.Config = cleaner.Config{MapBytes: o.MapBytes / int64(threads), LoadFactor: o.LoadFactor, IOBufferBytes: o.IOBufferBytes / threads / 2}
		cleaned := m.cleanFilthiest(c)
		m.retainCompacted()
		if !cleaned && m.opts.Clock.Sleep(m.ctx, max(o.Backoff, time.Millisecond)) != nil {
			return
		}
	}
}

// retainCompacted deletes what compacted logs need not keep: below their log start, and by size and age with cleanup.policy=compact,delete. Kafka's
// cleaners do it too, after each pass.
func (m *Manager) retainCompacted() {
	for _, e := range m.cleanable() {
		if _, err := e.log.DeleteOldSegments(); err != nil {
			tp := e.log.TopicPartition()
			m.logger.Warn("retention failed", "topic", tp.Topic, "partition", tp.Partition, "err", err)
		}
	}
}

// cleanFilthiest takes the dirtiest log and cleans it (Kafka 3.9 LogCleanerManager.grabFilthiestCompactedLog, CleanerThread.cleanLog).
func (m *Manager) cleanFilthiest(c *cleaner.Cleaner) bool {
	e, job := m.grab()
	if e == nil {
		return false
	}
	tp := e.log.TopicPartition()
	c.Check = func() error { return m.checkClean(tp, e) }
	begun := m.opts.Clock.Mono()
	next, st, err := c.Clean(m.ctx, job)
	if err == nil {
		err = e.log.NoteCleaned(job.View, next)
	}
	if err == nil {
		m.logger.Info("cleaned log", "topic", tp.Topic, "partition", tp.Partition, "from", job.FirstDirty, "to", next, "keys", st.MapEntries,
			"bytesRead", st.BytesRead, "bytesWritten", st.BytesWritten, "recordsRead", st.RecordsRead, "recordsKept", st.RecordsKept,
			"duration", m.opts.Clock.Mono()-begun)
		err = m.checkpointCleaned(e.dir)
		if err != nil && !logstore.IsShortage(err) {
			m.failDir(e.dir, err)
		}
	}
	m.mu.Lock()
	e.cleaning = false
	m.mu.Unlock()
	m.noteCleaning(tp, e, err)
	return err == nil
}

// noteCleaning has a log left alone from now on if the error says that it cannot be cleaned.
func (m *Manager) noteCleaning(tp metadata.TopicPartition, e *entry, err error) {
	m.mu.Lock()
	bad := false
	switch {
	case err == nil, errors.Is(err, logstore.ErrCleanAborted), errors.Is(err, errCleanEnded), errors.Is(err, context.Canceled):
	case logstore.IsIOError(err), e.log.Offline(): // the directory fails by itself; a full disk may have room later
	default:
		bad = m.logs[tp] == e
	}
	e.uncleanable = e.uncleanable || bad
	m.mu.Unlock()
	if bad {
		m.logger.Warn("log cannot be cleaned; it is left alone until the broker starts again", "topic", tp.Topic, "partition", tp.Partition, "err", err)
	} else if err != nil {
		m.logger.Info("cleaning was ended", "topic", tp.Topic, "partition", tp.Partition, "reason", err)
	}
}

// checkClean says why a cleaning is to end: the log is not the partition's any more, or is about to be moved.
func (m *Manager) checkClean(tp metadata.TopicPartition, e *entry) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed || m.logs[tp] != e || m.futures[tp] != nil {
		return errCleanEnded
	}
	return nil
}

// grab takes the dirtiest of the logs that are due, and that no other thread took meanwhile; nil if there is none.
func (m *Manager) grab() (*entry, *cleaner.Job) {
	var due []*cleaner.Job
	entries := map[*cleaner.Job]*entry{}
	for _, e := range m.cleanable() {
		job, err := cleaner.Plan(e.log, m.opts.Clock.NowMs())
		if err != nil {
			m.noteCleaning(e.log.TopicPartition(), e, err)
			continue
		}
		if job.Reset {
			e.log.SetCleanedTo(job.FirstDirty)
		}
		if job.Due() {
			due, entries[job] = append(due, job), e
		}
	}
	slices.SortFunc(due, func(a, b *cleaner.Job) int { return cmp.Compare(b.DirtyRatio(), a.DirtyRatio()) })
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, job := range due {
		if e := entries[job]; !e.cleaning && m.logs[e.log.TopicPartition()] == e {
			e.cleaning = true
			return e, job
		}
	}
	return nil, nil
}

// cleanable are the logs of compacted topics that nobody is at, that are not being moved, and that did not fail.
func (m *Manager) cleanable() []*entry {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []*entry
	for tp, e := range m.logs {
		if e.log.Config().CleanupCompact && !e.cleaning && !e.uncleanable && m.futures[tp] == nil {
			out = append(out, e)
		}
	}
	return out
}

// checkpointCleaned writes how far the logs of a directory are cleaned.
func (m *Manager) checkpointCleaned(d *dir) error {
	return m.checkpoint(d, cleanerFile, (*logstore.Log).CleanedTo)
}

// throttle spreads the cleaners' reads and writes over time. Guarded by Manager.mu.
type throttle struct {
	since time.Duration // monotonic
	bytes float64
}

// throttleWindow is how often the rate is looked at.
const throttleWindow = 300 * time.Millisecond

func (m *Manager) throttleCleaner(ctx context.Context, n int) error {
	rate := m.cleaning.options().MaxBytesPerSecond
	now := m.opts.Clock.Mono()
	m.mu.Lock()
	t := &m.cleaning.throttle
	t.bytes += float64(n)
	elapsed := now - t.since
	wait := time.Duration(0)
	if elapsed >= throttleWindow {
		if due := t.bytes / rate; due > elapsed.Seconds() {
			wait = time.Duration(min(due-elapsed.Seconds(), math.MaxInt32) * float64(time.Second))
		}
		t.since, t.bytes = now+wait, 0
	}
	m.mu.Unlock()
	if wait <= 0 {
		return nil
	}
	return m.opts.Clock.Sleep(ctx, wait)
}
