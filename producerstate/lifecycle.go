package producerstate

import "slices"

// Load puts the producers of a snapshot taken at offset into a Manager that was cleared, dropping the expired ones. Of each
// producer one batch is known then, not five.
func (m *Manager) Load(entries []Entry, offset, nowMs int64) {
	for _, s := range entries {
		e := entryFrom(s)
		if m.expired(nowMs, &e) {
			continue
		}
		if old := m.producers[e.producerID]; old != nil && old.hasTxn() {
			m.ongoing.remove(old.txnFirstOffset) // only in a damaged snapshot: the last entry counts
		}
		m.put(&e)
		if e.hasTxn() {
			m.ongoing.put(txn{producerID: e.producerID, firstOffset: e.txnFirstOffset, lastOffset: none})
		}
	}
	m.producerCount.Store(int64(len(m.producers)))
	m.mapEndOffset, m.lastSnapshot = offset, offset
	m.updateOldestTxn()
}

// StartAt is Load without a snapshot: the state begins at the log start.
func (m *Manager) StartAt(logStartOffset int64) {
	m.mapEndOffset, m.lastSnapshot = logStartOffset, logStartOffset
}

// Truncate prepares for a log that now has the range from logStartOffset to logEndOffset. When the state reflects another end,
// it is forgotten and true is returned: the caller loads the newest snapshot in (logStartOffset, logEndOffset], or calls
// StartAt, and replays the log from MapEndOffset. Snapshots outside the range are the caller's to delete, before.
// newestSnapshot is the offset of the newest one that is left, or none (-1).
// Source: Kafka 3.9 ProducerStateManager.truncateAndReload.
func (m *Manager) Truncate(logStartOffset, logEndOffset, newestSnapshot int64) (reload bool) {
	if logEndOffset == m.mapEndOffset {
		m.OnLogStartOffsetIncremented(logStartOffset, newestSnapshot)
		return false
	}
	m.clear()
	return true
}

// TruncateFullyAndStartAt forgets everything, for a log that starts anew at offset. Verifications stay.
func (m *Manager) TruncateFullyAndStartAt(offset int64) {
	m.clear()
	m.mapEndOffset, m.lastSnapshot = offset, 0
}

func (m *Manager) clear() {
	clear(m.producers)
	m.producerCount.Store(0)
	m.ongoing, m.unreplicated = nil, nil
	m.updateOldestTxn()
}

// OnLogStartOffsetIncremented lets go of transactions that lie below the log start. Producers stay, although their batches
// may be gone. newestSnapshot is the offset of the newest snapshot, or none (-1).
func (m *Manager) OnLogStartOffsetIncremented(logStartOffset, newestSnapshot int64) {
	m.unreplicated = slices.DeleteFunc(m.unreplicated, func(t txn) bool { return t.lastOffset < logStartOffset })
	m.mapEndOffset = max(m.mapEndOffset, logStartOffset)
	if m.lastSnapshot = newestSnapshot; newestSnapshot < 0 {
		m.lastSnapshot = logStartOffset
	}
}

// SnapshotNeeded says whether the state has moved since the last snapshot; its offset would be MapEndOffset.
func (m *Manager) SnapshotNeeded() bool { return m.mapEndOffset > m.lastSnapshot }

// LastSnapshotOffset is the offset of the newest snapshot known to the Manager.
func (m *Manager) LastSnapshotOffset() int64 { return m.lastSnapshot }

// SnapshotTaken tells that a snapshot at MapEndOffset is on disk.
func (m *Manager) SnapshotTaken() { m.lastSnapshot = m.mapEndOffset }
