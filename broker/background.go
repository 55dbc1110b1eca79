package broker

import (
	"sync"

	"gokafka/coordination/znode"
	"gokafka/metadata"
)

// dirFailure is a log directory that failed, with the partitions that went offline with it.
type dirFailure struct {
	dir  string
	lost []metadata.TopicPartition
	err  error
}

// dirFailed is told of a failed log directory. Whoever met the failure may hold locks of a partition, so the rest is done by serveDirFailures. A directory
// fails once, and there is room for each.
func (b *Broker) dirFailed(dir string, lost []metadata.TopicPartition, err error) {
	select {
	case b.dirFailures <- dirFailure{dir, lost, err}:
	default:
		b.logger.Error("Log directory failed more than once", "dir", dir, "error", err)
	}
}

// serveDirFailures takes the partitions of failed directories offline and tells the controller, until the broker stops.
func (b *Broker) serveDirFailures() {
	for {
		var f dirFailure
		select {
		case f = <-b.dirFailures:
		case <-b.ctx.Done():
			return
		}
		b.logger.Error("Log directory failed; its partitions are offline", "dir", f.dir, "partitions", len(f.lost), "error", f.err)
		if m := b.live.Load(); m != nil {
			m.LogDirFailed(f.lost)
		}
		if b.onlineDirs() == 0 {
			b.fail(ErrNoLogDirs)
			continue
		}
		g, err := b.session.Await(b.ctx)
		if err == nil {
			err = znode.NotifyLogDirFailure(b.ctx, g, b.cfg.ID)
		}
		if err != nil && b.ctx.Err() == nil {
			b.logger.Error("The controller could not be told of the failed log directory", "dir", f.dir, "error", err)
		}
	}
}

func (b *Broker) onlineDirs() (n int) {
	for _, d := range b.logs.Dirs() {
		if d.Err == nil {
			n++
		}
	}
	return n
}

// topicQueue is a set of topic names that wait for dropTopics.
type topicQueue struct {
	mu     sync.Mutex
	names  map[string]struct{}
	signal chan struct{} // capacity 1
}

// metadataUpdated notes the topics that are gone: their settings are dropped by dropTopics, as that may wait for the settings, and they for ZooKeeper.
func (b *Broker) metadataUpdated(names []string) {
	im := b.cache.Image()
	var gone []string
	for _, n := range names {
		if im.Topic(n) == nil {
			gone = append(gone, n)
		}
	}
	if len(gone) > 0 {
		b.groups.TopicsDeleted(gone)
	}
	q := &b.dropped
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, n := range names {
		if im.Topic(n) == nil {
			if q.names == nil {
				q.names = map[string]struct{}{}
			}
			q.names[n] = struct{}{}
		}
	}
	if len(q.names) > 0 {
		select {
		case q.signal <- struct{}{}:
		default:
		}
	}
}

// dropTopics drops the settings of deleted topics until the broker stops. A topic that was made anew meanwhile is left: its settings are read again when
// its first log is made.
func (b *Broker) dropTopics() {
	for {
		select {
		case <-b.dropped.signal:
		case <-b.ctx.Done():
			return
		}
		b.dropped.mu.Lock()
		names := b.dropped.names
		b.dropped.names = nil
		b.dropped.mu.Unlock()
		for n := range names {
			if b.cache.Image().Topic(n) == nil {
				b.settings.DropTopic(n)
			}
		}
	}
}
