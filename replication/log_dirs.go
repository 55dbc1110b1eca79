package replication

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/logstore"
	"gokafka/logstore/logdir"
	"gokafka/metadata"
)

// DirMove asks for a partition's log to be in a log directory.
type DirMove struct {
	TopicPartition metadata.TopicPartition
	Dir            string // absolute path

	// Err is the outcome. Nil: the move has begun, or there is nothing to move.
	Err error
}

// AlterLogDirs begins to move logs to other log directories of this broker. A partition that is not here yet is noted, and refused with
// kerr.ReplicaNotAvailable. Kafka 3.9 ReplicaManager.alterReplicaLogDirs (KIP-113).
func (m *Manager) AlterLogDirs(ctx context.Context, list []DirMove) error {
	if err := m.takeTurn(ctx); err != nil {
		return err
	}
	defer func() { <-m.turn }()
	var wanted []logdir.NewLog
	var of []*DirMove
	for i := range list {
		mv := &list[i]
		n, err := m.judgeMove(mv)
		if mv.Err = err; err == nil {
			wanted, of = append(wanted, n), append(of, mv)
		}
	}
	futures, errs := m.logs.MakeFutures(wanted)
	for i, mv := range of {
		if mv.Err = errs[i]; mv.Err != nil || futures[i] == nil {
			continue
		}
		p := m.Partition(mv.TopicPartition)
		p.setFuture(futures[i])
		m.movers.start(p)
	}
	for i := range list {
		if mv := &list[i]; mv.Err != nil {
			m.logger.Warn("Log directory of a partition cannot be changed", "topicPartition", mv.TopicPartition.String(), "dir", mv.Dir, "error", mv.Err)
		}
	}
	return nil
}

// judgeMove says what future log is to be made, or why a partition is not moved. A move of it to another directory is ended, and the wish noted.
func (m *Manager) judgeMove(mv *DirMove) (n logdir.NewLog, err error) {
	if err := m.logs.CanMove(mv.TopicPartition, mv.Dir); err != nil {
		return n, err
	}
	p := m.Partition(mv.TopicPartition)
	if p != nil {
		if p.isOffline() {
			return n, p.errorf(kerr.KafkaStorageError, "the log directory is offline")
		}
		if _, dir, ok := m.logs.Future(p.tp); ok && dir != mv.Dir {
			m.stopMoves([]metadata.TopicPartition{p.tp})
			m.logs.DropFuture(p.tp)
		}
	}
	m.logs.Wish(mv.TopicPartition, mv.Dir)
	if p == nil {
		if err := m.unknown(mv.TopicPartition); !errors.Is(err, kerr.NotLeaderForPartition) {
			return n, err
		}
		return n, fmt.Errorf("%s: %w", mv.TopicPartition, kerr.ReplicaNotAvailable)
	}
	log := p.currentLog()
	if log == nil {
		return n, p.errorf(kerr.ReplicaNotAvailable, "there is no log yet")
	}
	return logdir.NewLog{TopicPartition: p.tp, TopicID: log.TopicID(), Config: p.cfg.Load(), Dir: mv.Dir}, nil
}

// resumeMoves goes on with moves that partitions had when they were last stopped, or when the broker was. Called by the holder of the turn, after roles were
// given. Kafka 3.9 ReplicaManager.maybeAddLogDirFetchers.
func (m *Manager) resumeMoves(apply []*LeaderAndISRPartition) {
	for _, s := range apply {
		p := m.Partition(s.TopicPartition)
		if s.Err != nil || p == nil {
			continue
		}
		future, dir, ok := m.logs.Future(p.tp)
		log := p.currentLog()
		if !ok || log == nil {
			continue
		}
		// Of a topic that was deleted and made anew; or to where the log is: that was made there when the directory it was in had gone.
		if id := future.TopicID(); id != log.TopicID() && !id.IsZero() || dir == filepath.Dir(log.Dir()) {
			m.stopMoves([]metadata.TopicPartition{p.tp})
			m.logs.DropFuture(p.tp)
			continue
		}
		p.setFuture(future)
		m.movers.start(p)
	}
}

func (p *Partition) isOffline() bool {
	p.leadership.RLock()
	defer p.leadership.RUnlock()
	return p.offline
}

func (p *Partition) currentLog() *logstore.Log {
	p.leadership.RLock()
	defer p.leadership.RUnlock()
	return p.log
}

func (p *Partition) setFuture(l *logstore.Log) {
	p.leadership.Lock()
	defer p.leadership.Unlock()
	p.future = l
}

// logPair are the partition's log and its future one; nil if there is none.
func (p *Partition) logPair() (current, future *logstore.Log) {
	p.leadership.RLock()
	defer p.leadership.RUnlock()
	return p.log, p.future
}

// copyMore brings a future log nearer to the current one. 0 and no error: it is there.
func (m *Manager) copyMore(current, future *logstore.Log) (int, error) {
	if cut := cutFuture(current, future); cut != nil {
		return 1, cut()
	}
	n, err := copyTail(current, future, m.o.FetchMaxBytes, appendAsFollower)
	m.o.DirQuota.Record(int64(n))
	var u *logstore.UnexpectedOffsetError
	if errors.As(err, &u) || errors.Is(err, kerr.OffsetOutOfRange) { // the logs part in the middle of a batch, or the records were just deleted
		return 1, future.TruncateFullyAndStartAt(current.LogStartOffset())
	}
	return n, err
}

// cutFuture makes a future log a part of the current one, and says whether that needed something: it cuts what is not in the other, or begins anew.
func cutFuture(current, future *logstore.Log) (cut func() error) {
	start, end, own := current.LogStartOffset(), current.LogEndOffset(), future.LogEndOffset()
	to := min(own, end)
	if epoch := future.LatestEpoch(); epoch != NoEpoch {
		theirs, theirEnd := current.EndOffsetForEpoch(epoch)
		if theirs == NoEpoch { // the current log knows no epoch so late, or none at all
			to = start
		} else {
			to = min(to, truncationOffset(future, theirs, theirEnd))
		}
	}
	switch {
	case own < start || to < start || to <= future.LogStartOffset() && to < own:
		return func() error { return future.TruncateFullyAndStartAt(start) }
	case to < own:
		return func() error {
			_, err := future.TruncateTo(to)
			return err
		}
	}
	return nil
}

// copyTail copies about maxBytes of what a future log lacks, and returns how many bytes. 0 and no error: they are equal, as far as the current one did not move
// meanwhile.
func copyTail(current, future *logstore.Log, maxBytes int32, write func(*logstore.Log, []byte) (logstore.AppendInfo, error)) (int, error) {
	res, err := current.Read(future.LogEndOffset(), int(maxBytes), logstore.LogEnd, true)
	if err != nil {
		return 0, err
	}
	defer res.Range.Release()
	if res.Range.Len > 0 {
		buf := make([]byte, res.Range.Len)
		if err := res.Range.CopyTo(buf); err != nil {
			return 0, err
		}
		if res.Range.Truncated() {
			return len(buf), nil // the next look cuts what this one would bring
		}
		if _, err = write(future, buf); err != nil {
			return 0, err
		}
	}
	future.MaybeUpdateHighWatermark(res.HighWatermark)
	if _, err := future.IncrementLogStartOffset(min(res.LogStartOffset, future.HighWatermark())); err != nil && !errors.Is(err, kerr.OffsetOutOfRange) {
		return 0, err
	}
	return int(res.Range.Len), nil
}

// maxTail is how many bytes are copied while nobody can append: without, a busy leader would never be caught up with.
const maxTail = 256 << 10

var errNotEqual = errors.New("the future log is not equal to the current one")

// swapLogs puts the future log into the place of the current one, and says whether it did; it does not when too much is missing. Requests wait for moments. It takes
// the turn: roles do not change meanwhile, and nobody is fetched from. Kafka 3.9 Partition.maybeReplaceCurrentWithFutureReplica.
func (m *Manager) swapLogs(mv *move) (bool, error) {
	p := mv.p
	if err := m.takeTurn(mv.ctx); err != nil {
		return false, nil
	}
	defer func() { <-m.turn }()
	m.fetchers.remove([]metadata.TopicPartition{p.tp})
	swapped := false
	err := m.logs.Swap(p.tp, func(swap func() error) error {
		p.leadership.Lock()
		defer p.leadership.Unlock()
		current, future := p.log, p.future
		if current == nil || future == nil || mv.ctx.Err() != nil {
			return errNotEqual
		}
		for copied := 0; ; {
			if cutFuture(current, future) != nil {
				return errNotEqual
			}
			n, err := copyTail(current, future, maxTail/4, (*logstore.Log).AppendTail)
			if err != nil {
				return err
			}
			if n == 0 {
				break
			}
			if copied += n; copied > maxTail {
				return errNotEqual
			}
		}
		// Epochs that have no records yet, and a role's view of the log.
		for _, e := range current.EpochStarts() {
			if e.Epoch > future.LatestEpoch() {
				if err := future.StageEpochStart(e.Epoch, e.StartOffset); err != nil {
					return err
				}
			}
		}
		future.UpdateHighWatermark(current.HighWatermark())
		if err := swap(); err != nil {
			return err
		}
		p.log, p.future, swapped = future, nil, true
		return nil
	})
	if swapped {
		p.logger.Info("The log was moved to another directory", "endOffset", p.endOffset())
		p.changed()
	}
	if !m.stopping {
		m.fetchers.add([]*Partition{p})
	}
	if errors.Is(err, errNotEqual) {
		err = nil
	}
	return swapped, err
}

func (p *Partition) endOffset() int64 {
	if log := p.currentLog(); log != nil {
		return log.LogEndOffset()
	}
	return -1
}

// LogDirReplica is a replica in a log directory.
type LogDirReplica struct {
	TopicPartition metadata.TopicPartition
	Size           int64 // bytes
	OffsetLag      int64 // behind the high watermark; of a future one, behind the log that it is to replace; -1 unknown
	Future         bool
}

// LogDir is a log directory with its replicas, by topic and partition.
type LogDir struct {
	logdir.DirInfo
	Replicas []LogDirReplica
}

// DescribeLogDirs describes all log directories and those replicas in them that wanted lets through. Kafka 3.9 ReplicaManager.describeLogDirs.
func (m *Manager) DescribeLogDirs(wanted func(metadata.TopicPartition) bool) []LogDir {
	var out []LogDir
	for _, info := range m.logs.Dirs() {
		d := LogDir{DirInfo: info}
		add := func(l *logstore.Log, future bool) {
			tp := l.TopicPartition()
			if !wanted(tp) {
				return
			}
			r := LogDirReplica{TopicPartition: tp, Size: l.SizeBytes(), OffsetLag: -1, Future: future}
			if p := m.Partition(tp); p != nil {
				if current := p.currentLog(); current != nil && future {
					r.OffsetLag = current.LogEndOffset() - l.LogEndOffset()
				} else if current != nil {
					r.OffsetLag = max(current.HighWatermark()-l.LogEndOffset(), 0)
				}
			}
			d.Replicas = append(d.Replicas, r)
		}
		for _, l := range info.Logs {
			add(l, false)
		}
		for _, l := range info.Futures {
			add(l, true)
		}
		slices.SortFunc(d.Replicas, func(a, b LogDirReplica) int {
			switch {
			case before(a.TopicPartition, b.TopicPartition):
				return -1
			case before(b.TopicPartition, a.TopicPartition):
				return 1
			}
			return 0
		})
		out = append(out, d)
	}
	return out
}
