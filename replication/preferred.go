package replication

import (
	"cmp"
	"slices"

	"gokafka/metadata"
)

// PreferredReplica is where a consumer should read instead of from this leader: the replica in its rack that is furthest, if the leader is in another one.
// Only replicas in sync that have the offset count, and that the listener leads to. r has the leader's offsets then, and no records. Kafka 3.9
// ReplicaManager.findPreferredReadReplica, RackAwareReplicaSelector (KIP-392).
func (p *Partition) PreferredReplica(q *ReadRequest, rack, listener string) (r ReadResult, id int32, ok bool, err error) {
	if !p.m.o.RackAware {
		return r, 0, false, nil
	}
	p.leadership.RLock()
	defer p.leadership.RUnlock()
	if !p.isLeader || p.log == nil {
		return r, 0, false, nil
	}
	im := p.m.cache.Image()
	if inRack(im, p.m.brokerID, rack, listener) {
		return r, 0, false, nil
	}
	best := p.furthest(q.FetchOffset, func(id int32) bool { return inRack(im, id, rack, listener) })
	if best == nil {
		return r, 0, false, nil
	}
	log, err := p.logFor(q.CurrentEpoch, false)
	if err != nil {
		return r, 0, false, err
	}
	r = ReadResult{HighWatermark: log.HighWatermark(), LogStartOffset: log.LogStartOffset(), LogEndOffset: log.LogEndOffset(),
		LastStableOffset: log.LastStableOffset(), LeaderEpoch: p.state.LeaderEpoch}
	return r, best.id, true, nil
}

// furthest is the follower in sync that has most of the log, the offset included, of those that are eligible; of equal ones the one that was caught up last, then
// the one with the highest id. Called with leadership held.
func (p *Partition) furthest(offset int64, eligible func(id int32) bool) *follower {
	var list []*follower
	for _, f := range p.followers {
		if start, end := f.ends(); end >= offset && start <= offset && slices.Contains(p.state.ISR, f.id) && eligible(f.id) {
			list = append(list, f)
		}
	}
	if len(list) == 0 {
		return nil
	}
	return slices.MaxFunc(list, func(a, b *follower) int {
		_, aEnd := a.ends()
		_, bEnd := b.ends()
		return cmp.Or(cmp.Compare(aEnd, bEnd), cmp.Compare(a.lastSeen(), b.lastSeen()), cmp.Compare(a.id, b.id))
	})
}

func inRack(im *metadata.Image, id int32, rack, listener string) bool {
	b := im.Broker(id)
	if b == nil || b.Rack != rack {
		return false
	}
	_, ok := b.Endpoint(listener)
	return ok
}
