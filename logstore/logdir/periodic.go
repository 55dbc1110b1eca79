package logdir

import (
	"cmp"
	"slices"
	"time"

	"gokafka/logstore"
)

// Start begins the periodic work.
func (m *Manager) Start() {
	o := &m.opts
	m.background(m.relieveFiles)
	m.every(o.RetentionCheckInterval, m.ApplyRetention)
	m.every(o.FlushCheckInterval, m.flushOld)
	m.every(o.RecoveryPointCheckpointInterval, func() { m.warn("checkpoint of recovery points", m.CheckpointRecoveryPoints()) })
	m.every(o.LogStartCheckpointInterval, func() { m.warn("checkpoint of log starts", m.CheckpointLogStarts()) })
	m.every(o.HighWatermarkCheckpointInterval, func() { m.warn("checkpoint of high watermarks", m.CheckpointHighWatermarks()) })
	m.every(o.ProducerExpirationInterval, func() {
		for _, l := range m.All() {
			l.RemoveExpiredProducers()
		}
	})
}

// every runs f after the initial delay and then once per interval, never twice at a time, until Close.
func (m *Manager) every(interval time.Duration, f func()) {
	if interval <= 0 {
		return
	}
	m.background(func() {
		if m.opts.Clock.Sleep(m.ctx, m.opts.InitialDelay) != nil {
			return
		}
		for {
			f()
			if m.opts.Clock.Sleep(m.ctx, interval) != nil {
				return
			}
		}
	})
}

// relieveFiles flushes logs, those first that were not flushed for the longest time, when more files are open than should be because their writes
// are not synced: then they can be closed.
func (m *Manager) relieveFiles() {
	for {
		select {
		case <-m.files.Pressed():
		case <-m.ctx.Done():
			return
		}
		if m.files.Trim() {
			continue
		}
		logs := m.All()
		slices.SortFunc(logs, func(a, b *logstore.Log) int { return cmp.Compare(a.LastFlush(), b.LastFlush()) })
		for i, l := range logs {
			if m.ctx.Err() != nil || i%16 == 15 && m.files.Trim() {
				break
			}
			if err := l.Flush(true); err != nil {
				m.logger.Warn("flush failed", "topic", l.TopicPartition().Topic, "partition", l.TopicPartition().Partition, "err", err)
			}
		}
		m.files.Trim()
		if m.opts.Clock.Sleep(m.ctx, relievePause) != nil {
			return
		}
	}
}

// relievePause keeps the disk usable while more files are in use at once than should be.
const relievePause = time.Second

func (m *Manager) warn(what string, err error) {
	if err != nil {
		m.logger.Warn(what+" failed", "err", err)
	}
}

// ApplyRetention deletes the old segments of all logs. Logs with compaction only are looked at too: what is below their log start goes.
func (m *Manager) ApplyRetention() {
	m.forLogs("retention", func(l *logstore.Log) error {
		_, err := l.DeleteOldSegments()
		return err
	})
}

func (m *Manager) flushOld() {
	m.forLogs("flush", (*logstore.Log).FlushIfOlder)
}

func (m *Manager) forLogs(what string, f func(*logstore.Log) error) {
	for _, l := range m.All() {
		if m.ctx.Err() != nil {
			return
		}
		if err := f(l); err != nil {
			m.logger.Warn(what+" failed", "topic", l.TopicPartition().Topic, "partition", l.TopicPartition().Partition, "err", err)
		}
	}
}
