package logstore

import "gokafka/producerstate"

// Guard is proof that the transaction coordinator was asked; see producerstate.Guard.
type Guard = producerstate.Guard

// ProducerEntry is what is known of one producer.
type ProducerEntry = producerstate.Entry

// StartVerification returns the guard with which to append a transactional batch once the coordinator has confirmed the transaction, or
// zero when the producer's transaction is open here already.
func (l *Log) StartVerification(producerID int64, sequence int32, epoch int16) Guard {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.producers.state.StartVerification(producerID, sequence, epoch, l.clock.NowMs())
}

// HasOngoingTransaction says whether the producer has a transaction of an epoch, or of a later one, open here.
func (l *Log) HasOngoingTransaction(producerID int64, epoch int16) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.producers.state.HasOngoingTransaction(producerID, epoch)
}

// ActiveProducers lists the producers by id.
func (l *Log) ActiveProducers() []ProducerEntry {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.producers.state.ActiveProducers()
}

// ProducerCount is the number of producers known.
func (l *Log) ProducerCount() int { return l.producers.state.Len() }

// HasLateTransaction says whether a transaction has been open for longer than any may be.
func (l *Log) HasLateTransaction() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.producers.state.HasLateTransaction(l.clock.NowMs())
}

// RemoveExpiredProducers forgets producers that were silent for producer.id.expiration.ms.
func (l *Log) RemoveExpiredProducers() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.producers.state.RemoveExpired(l.clock.NowMs())
}

// SetProducerOptions takes changed settings of the broker.
func (l *Log) SetProducerOptions(o ProducerOptions) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.producers.state.SetOptions(o)
}
