package replication

import (
	"context"
	"sync"

	"gokafka/metadata"
)

// completer does, in a goroutine of its own, what must not be done where it is found out. It tells those who wait for partitions that high watermarks moved:
// whoever moves one on behalf of a follower's fetch holds the lock of the fetch session. And it takes partitions offline whose log directory
// failed: whoever runs into that holds the partition's leadership. A partition is queued once at most for each, which bounds the queues.
type completer struct {
	mu     sync.Mutex
	queue  []*Partition
	failed []metadata.TopicPartition
	dirs   bool          // a log directory failed
	wake   chan struct{} // capacity 1
}

func newCompleter() *completer { return &completer{wake: make(chan struct{}, 1)} }

// add queues p.
func (c *completer) add(p *Partition) {
	if p.completing.Swap(true) {
		return
	}
	c.mu.Lock()
	c.queue = append(c.queue, p)
	c.mu.Unlock()
	c.signal()
}

// addFailed queues the partitions of a failed log directory. A directory fails once.
func (c *completer) addFailed(tps []metadata.TopicPartition) {
	c.mu.Lock()
	c.failed, c.dirs = append(c.failed, tps...), true
	c.mu.Unlock()
	c.signal()
}

func (c *completer) signal() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

func (c *completer) take() (moved []*Partition, failed []metadata.TopicPartition, dirs bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	moved, failed, dirs = c.queue, c.failed, c.dirs
	c.queue, c.failed, c.dirs = nil, nil, false
	return moved, failed, dirs
}

func (m *Manager) complete(ctx context.Context) {
	for {
		moved, failed, dirs := m.completer.take()
		for _, tp := range failed {
			if p := m.Partition(tp); p != nil {
				p.fail()
			}
		}
		if dirs {
			m.movers.dropOffline()
		}
		for _, p := range moved {
			p.completing.Store(false) // before it looks: what moves from now on is queued again
			p.changed()
		}
		select {
		case <-m.completer.wake:
		case <-ctx.Done():
			return
		}
	}
}
