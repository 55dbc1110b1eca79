package producerstate

import (
	"cmp"
	"slices"
)

// Kafka keeps the producers in a java.util.HashMap and writes a snapshot in the order of its table. That order is kept here too, so that the
// files are the same byte by byte: by bucket, and within one by insertion. A table doubles when it is three quarters full, and never
// shrinks. (In a table of 64 and more, Java orders a bucket of 8 and more in another way, which is not followed.)
const firstBuckets = 16

// put stores the entry of a producer.
func (m *Manager) put(e *entry) {
	if old := m.producers[e.producerID]; old != nil {
		e.inserted = old.inserted
		m.producers[e.producerID] = e
		return
	}
	m.inserted++
	e.inserted = m.inserted
	m.producers[e.producerID] = e
	if len(m.producers) > m.buckets/4*3 {
		m.buckets *= 2
	}
}

// bucket is where java.util.HashMap has a Long among n buckets.
func bucket(id int64, n int) uint32 {
	h := uint32(id ^ int64(uint64(id)>>32))
	return (h ^ h>>16) & uint32(n-1)
}

// inTableOrder lists the producers in the order of a snapshot.
func (m *Manager) inTableOrder() []Entry {
	all := make([]*entry, 0, len(m.producers))
	for _, e := range m.producers {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b *entry) int {
		return cmp.Or(cmp.Compare(bucket(a.producerID, m.buckets), bucket(b.producerID, m.buckets)), cmp.Compare(a.inserted, b.inserted))
	})
	list := make([]Entry, len(all))
	for i, e := range all {
		list[i] = e.snapshot()
	}
	return list
}
