package producerstate

// Guard is proof that this broker asked the transaction coordinator about a transaction, and about no later one of the same
// producer: the first transactional batch or marker uses it up. Zero is no guard.
type Guard uint64

// verification is a question to the coordinator that is under way or answered. While it lasts, no sequence above the lowest
// one seen may be written: a batch whose verification must be retried would find its sequences overtaken
// (Kafka 3.9 VerificationStateEntry, KIP-890).
type verification struct {
	startedMs int64
	guard     Guard
	lowestSeq int32
	epoch     int16
}

// StartVerification returns the guard with which to append a transactional batch after the coordinator has confirmed the
// transaction, or zero when the producer's transaction is open already and no question is needed.
func (m *Manager) StartVerification(producerID int64, sequence int32, epoch int16, nowMs int64) Guard {
	if m.HasOngoingTransaction(producerID, epoch) {
		return 0
	}
	v := m.verification[producerID]
	if v == nil {
		if m.lastGuard++; m.lastGuard == 0 {
			m.lastGuard++
		}
		v = &verification{startedMs: nowMs, guard: m.lastGuard, lowestSeq: sequence, epoch: epoch}
		if m.verification == nil {
			m.verification = make(map[int64]*verification)
		}
		m.verification[producerID] = v
	}
	switch {
	case epoch == v.epoch:
		v.lowestSeq = min(v.lowestSeq, sequence)
	case epoch > v.epoch:
		v.epoch, v.lowestSeq = epoch, sequence
	}
	return v.guard
}

// VerificationGuard is the guard of the producer's verification, or zero.
func (m *Manager) VerificationGuard(producerID int64) Guard {
	if v := m.verification[producerID]; v != nil {
		return v.guard
	}
	return 0
}

func (m *Manager) verified(producerID int64, guard Guard) bool {
	return guard != 0 && m.VerificationGuard(producerID) == guard
}
