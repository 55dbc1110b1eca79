package logdir

import (
	"cmp"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/internal/vfs"
	"gokafka/logstore"
	"gokafka/metadata"
)

// Moves between log directories (KIP-113): a future log is made in the wanted directory, filled from the partition's log, and swapped with it.

// maxDirName is how long the name of a directory may be.
const maxDirName = 255

// CanMove says why a partition cannot be moved to the log directory at path, or nil: the directory is not one of this broker, or failed, or the name of
// the topic is too long for a future log (Kafka 3.9 ReplicaManager.alterReplicaLogDirs).
func (m *Manager) CanMove(tp metadata.TopicPartition, path string) error {
	if len(logstore.DirName(tp, logstore.FutureDirSuffix)) > maxDirName {
		return fmt.Errorf("%s: the topic name is too long: %w", tp, kerr.InvalidTopicException)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, offline := m.offline[path]; offline {
		return fmt.Errorf("log directory %s is offline: %w", path, kerr.KafkaStorageError)
	}
	if !slices.ContainsFunc(m.dirs, func(d *dir) bool { return d.path == path }) {
		return fmt.Errorf("log dir %s is not found in the config: %w", path, kerr.LogDirNotFound)
	}
	return nil
}

// Wish lets the partition's log, if it is not there yet, be made in the directory at path.
func (m *Manager) Wish(tp metadata.TopicPartition, path string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, e := range []*entry{m.logs[tp], m.futures[tp]} {
		if e != nil && e.dir.path == path {
			return
		}
	}
	if _, again := m.wished[tp]; again || len(m.wished) < maxWishes {
		m.wished[tp] = path
	}
}

// maxWishes is how many partitions that are not here may have a wanted directory: names come from requests. Those beyond are made where others would be.
const maxWishes = 100_000

// Future returns the partition's future log, and its log directory.
func (m *Manager) Future(tp metadata.TopicPartition) (l *logstore.Log, dir string, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e := m.futures[tp]; e != nil {
		return e.log, e.dir.path, true
	}
	return nil, "", false
}

// MakeFutures makes empty future logs of partitions in the directories that the requests name, with one sync for each directory; nil for a partition that is in its
// directory already. One that is there is returned if it is in that directory, else it is an error. While a directory is offline none is made: the partition might have
// one there. The holder of the replication turn calls it; no partition is named twice.
func (m *Manager) MakeFutures(list []NewLog) ([]*logstore.Log, []error) {
	logs, errs := make([]*logstore.Log, len(list)), make([]error, len(list))
	byDir := map[*dir][]*job{}
	for i, n := range list {
		j := &job{NewLog: n, index: i}
		if logs[i], errs[i] = m.reserveFuture(j); j.dir == nil {
			continue
		}
		if m.stageAs(j, logstore.DirName(n.TopicPartition, logstore.FutureDirSuffix)); j.err != nil {
			errs[i] = j.err
			continue
		}
		byDir[j.dir] = append(byDir[j.dir], j)
	}
	for d, jobs := range byDir {
		m.commit(d, jobs)
		for _, j := range jobs {
			m.publishFuture(j)
			logs[j.index], errs[j.index] = j.log, j.err
		}
	}
	return logs, errs
}

// reserveFuture sets the job's directory if a future log is to be made.
func (m *Manager) reserveFuture(j *job) (*logstore.Log, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	current, future := m.logs[j.TopicPartition], m.futures[j.TopicPartition]
	i := slices.IndexFunc(m.dirs, func(d *dir) bool { return d.path == j.Dir })
	switch {
	case m.closed:
		return nil, errClosed
	case current == nil:
		return nil, fmt.Errorf("%s: there is no log to move: %w", j.TopicPartition, kerr.ReplicaNotAvailable)
	case current.dir.path == j.Dir:
		return nil, nil
	case future != nil && future.dir.path == j.Dir:
		return future.log, nil
	case future != nil:
		return nil, fmt.Errorf("%s is being moved to %s", j.TopicPartition, future.dir.path)
	case len(m.offline) > 0 || i < 0:
		return nil, fmt.Errorf("can not create log for %s because log directories are offline: %w", j.TopicPartition, kerr.KafkaStorageError)
	}
	j.dir = m.dirs[i]
	return nil, nil
}

func (m *Manager) publishFuture(j *job) {
	if j.err != nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, failed := m.offline[j.dir.path]; failed || m.closed {
		j.log.MarkOffline()
		j.log, j.err = nil, fmt.Errorf("log directory %s of %s failed meanwhile: %w", j.dir.path, j.TopicPartition, kerr.KafkaStorageError)
		return
	}
	delete(m.wished, j.TopicPartition)
	e := &entry{log: j.log, dir: j.dir, cleanedTo: -1}
	if current := m.logs[j.TopicPartition]; current != nil {
		e.cleanedTo, _ = current.log.CleanedTo()
	}
	m.futures[j.TopicPartition] = e
}

// DropFuture deletes the partition's future log, if there is one.
func (m *Manager) DropFuture(tp metadata.TopicPartition) {
	m.dropFutures([]metadata.TopicPartition{tp})
}

func (m *Manager) dropFutures(list []metadata.TopicPartition) {
	var tps []metadata.TopicPartition
	var entries []*entry
	m.mu.Lock()
	for _, tp := range list {
		if e := m.futures[tp]; e != nil {
			delete(m.futures, tp)
			tps, entries = append(tps, tp), append(entries, e)
		}
	}
	m.mu.Unlock()
	for i, err := range m.retireEntries(tps, entries, (*logstore.Log).MarkDeleted, true) {
		if err != nil {
			m.logger.Error("future log could not be deleted", "topicPartition", tps[i].String(), "error", err)
		}
	}
}

// Swap puts the partition's future log into the place of its log, which is then deleted. guard has to make sure that neither is written to and that they are
// equal while swap runs; swap renames one directory, and from then on Get gives the other log. If guard returns without calling swap nothing happens.
//
// The names change in Kafka's order (3.9 LogManager.replaceCurrentWithFutureLog): the future log becomes the partition's first. A crash before the
// other one is renamed leaves two, which Kafka leaves to the operator. Here a marker in the new one lets the next start go on.
func (m *Manager) Swap(tp metadata.TopicPartition, guard func(swap func() error) error) error {
	m.mu.Lock()
	future := m.futures[tp]
	m.mu.Unlock()
	if future == nil {
		return fmt.Errorf("%s: there is no future log: %w", tp, kerr.KafkaStorageError)
	}
	if err := m.mark(future.log.Dir()); err != nil {
		if !logstore.IsShortage(err) {
			m.failDir(future.dir, err)
		}
		return fmt.Errorf("%s: %w: %w", future.dir.path, kerr.KafkaStorageError, err)
	}
	var old *entry
	err := future.log.Rename(filepath.Join(future.dir.path, tp.String()), func(rename func() error) error {
		return guard(func() error {
			if !m.bothHere(tp, future) {
				return fmt.Errorf("%s: a log directory failed: %w", tp, kerr.KafkaStorageError)
			}
			if err := rename(); err != nil {
				return err
			}
			m.mu.Lock()
			defer m.mu.Unlock()
			if m.futures[tp] != future { // its directory failed a moment ago
				return fmt.Errorf("%s: the future log is gone: %w", tp, kerr.KafkaStorageError)
			}
			old = m.logs[tp]
			delete(m.futures, tp)
			m.logs[tp] = future
			if old != nil { // nil: its directory failed a moment ago
				future.uncleanable = old.uncleanable
			}
			return nil
		})
	})
	if err != nil || old == nil {
		return err
	}
	// What was cleaned of the old log after the copying began may be as it was in the copy.
	if cleaned, ok := old.log.CleanedTo(); ok {
		future.log.SetCleanedTo(min(cleaned, future.cleanedTo))
	}
	if err := m.settleSwap(future); err != nil {
		old.log.Close() // nobody else knows of it any more
		return err
	}
	// What the other log promised is kept by this one now.
	for _, write := range []func(*dir) error{m.checkpointRecoveryPoints, m.checkpointLogStarts, m.checkpointHighWatermarks, m.checkpointCleaned} {
		if err := write(future.dir); err != nil {
			m.warn("checkpoint after a move between log directories", err)
		}
	}
	if err := m.retireEntries([]metadata.TopicPartition{tp}, []*entry{old}, (*logstore.Log).MarkDeleted, true)[0]; err != nil {
		return err
	}
	m.unmark(future)
	return nil
}

// bothHere says whether a partition has its log and the future one, each in a live directory.
func (m *Manager) bothHere(tp metadata.TopicPartition, future *entry) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.futures[tp] == future && m.logs[tp] != nil
}

// settleSwap makes the name and all that the log holds durable, before the one that has it too goes.
func (m *Manager) settleSwap(e *entry) error {
	if err := m.opts.FS.SyncDir(e.dir.path); err != nil {
		m.failDir(e.dir, err)
		return fmt.Errorf("%s: %w: %w", e.dir.path, kerr.KafkaStorageError, err)
	}
	if err := e.log.SaveEpochs(); err != nil {
		return err
	}
	return e.log.Flush(false)
}

// swapMarker is an empty file in a future log that is about to replace the partition's log.
const swapMarker = ".gokafka-swap"

func (m *Manager) mark(logDir string) error {
	if err := vfs.WriteFile(m.opts.FS, filepath.Join(logDir, swapMarker), nil, true); err != nil {
		return err
	}
	return m.opts.FS.SyncDir(logDir)
}

func (m *Manager) unmark(e *entry) {
	if err := vfs.RemoveIfExists(m.opts.FS, filepath.Join(e.log.Dir(), swapMarker)); err != nil {
		m.warn("removal of a move's marker", err)
	}
}

// afterSwap tells two logs of one partition apart that a crash in the middle of Swap left: one has the marker. Without it they are something else. At the
// swap they were equal; what was written since is in one of them, and a loss of power may have cost the other's end. So the one that has the later leader epoch is
// kept, or of one epoch the longer one. Records that were deleted by request stay so.
func (m *Manager) afterSwap(a, b *entry) (keep, drop *entry, ok bool) {
	marked := false
	for _, e := range []*entry{a, b} {
		there, err := vfs.Exists(m.opts.FS, filepath.Join(e.log.Dir(), swapMarker))
		marked = marked || there && err == nil
	}
	if !marked || a.log.TopicID() != b.log.TopicID() {
		return nil, nil, false
	}
	keep, drop = a, b
	if cmp.Or(cmp.Compare(b.log.LatestEpoch(), a.log.LatestEpoch()), cmp.Compare(b.log.LogEndOffset(), a.log.LogEndOffset())) > 0 {
		keep, drop = b, a
	}
	return keep, drop, true
}

// superseded is a log that afterSwap decided against, and the one that is kept.
type superseded struct{ keep, drop *entry }

// takeOver has the log that is kept know what the checkpoints of the other one's directory promised, durably.
func (m *Manager) takeOver(s superseded) error {
	keep, drop := s.keep.log, s.drop.log
	keep.UpdateHighWatermark(max(keep.HighWatermark(), drop.HighWatermark()))
	if _, err := keep.IncrementLogStartOffset(min(drop.LogStartOffset(), keep.HighWatermark())); err != nil {
		return err
	}
	return errors.Join(m.checkpointLogStarts(s.keep.dir), m.checkpointHighWatermarks(s.keep.dir))
}

// dropSuperseded deletes the logs that afterSwap decided against.
func (m *Manager) dropSuperseded() {
	m.mu.Lock()
	list := m.superseded
	m.superseded = nil
	m.mu.Unlock()
	var tps []metadata.TopicPartition
	var keep, drop []*entry
	for _, s := range list {
		if err := m.takeOver(s); err != nil { // the next start finds both again
			m.logger.Error("superseded log stays", "topicPartition", s.drop.log.TopicPartition().String(), "error", err)
			s.drop.log.Close()
			continue
		}
		tps, keep, drop = append(tps, s.drop.log.TopicPartition()), append(keep, s.keep), append(drop, s.drop)
	}
	for i, err := range m.retireEntries(tps, drop, (*logstore.Log).MarkDeleted, true) {
		if err != nil {
			m.logger.Error("superseded log could not be deleted", "topicPartition", tps[i].String(), "error", err)
			continue
		}
		m.unmark(keep[i])
	}
}
