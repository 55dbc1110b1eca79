package replication

import (
	"errors"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/metadata"
)

// isrChange is an ISR that a leader has proposed and not heard of yet. A partition has one at most (KIP-497).
type isrChange struct {
	isr            []int32 // proposed
	joining        int32   // the new member, or -1 when members are to leave
	leaderEpoch    int32
	partitionEpoch int32
	topicID        metadata.TopicID
}

// inMaximalISR says whether a replica is in the committed ISR or about to join it: the controller may have stored the larger one already, so nothing may
// be taken as replicated that the newcomer does not have. Members that are about to leave stay in. Called with leadership held.
func (p *Partition) inMaximalISR(id int32) bool {
	return slices.Contains(p.state.ISR, id) || p.pending != nil && p.pending.joining == id
}

// maximalISRSize is the size of that ISR. Called with leadership held.
func (p *Partition) maximalISRSize() int {
	if p.pending != nil && p.pending.joining >= 0 {
		return len(p.state.ISR) + 1
	}
	return len(p.state.ISR)
}

// follower returns what the leader knows of a replica, or nil. Called with leadership held.
func (p *Partition) follower(id int32) *follower {
	for _, f := range p.followers {
		if f.id == id {
			return f
		}
	}
	return nil
}

// FollowerFetched notes that a follower fetched from q.FetchOffset on, and so has everything below. r is what Read found for it, at is when its
// request came (monotonic), session its subscription in a fetch session, or nil. It says whether the follower is outside the ISR; the caller
// then tells of its further fetches even if there is nothing new for it, since it may be let in with any of them.
// Kafka 3.9 Partition.updateFollowerFetchState.
func (p *Partition) FollowerFetched(q *ReadRequest, r *ReadResult, at time.Duration, session *Subscription) (outside bool) {
	if r.Diverged {
		return true // what it has is not known yet
	}
	p.leadership.RLock()
	f := p.follower(q.ReplicaID)
	if !p.isLeader || f == nil || p.state.LeaderEpoch != r.LeaderEpoch {
		p.leadership.RUnlock()
		return true
	}
	if f.told(q.FetchOffset, at) {
		outside = !slices.Contains(p.state.ISR, f.id)
		p.leadership.RUnlock()
		return outside
	}
	if session != nil && session.p != p {
		session = nil
	}
	moved, startMoved := f.fetched(q.FetchOffset, q.LogStartOffset, r.LogEndOffset, at, session)
	outside = !slices.Contains(p.state.ISR, f.id)
	joins := outside && p.mayJoin(f)
	rose := !joins && moved && p.advanceHighWatermark()
	p.leadership.RUnlock()
	if joins {
		rose = p.proposeJoin(f, moved)
	}
	if rose || startMoved && p.m.deletes.Waiting() > 0 {
		p.m.completer.add(p)
	}
	return outside
}

// mayJoin says whether a follower is to be proposed for the ISR: it has all that is committed, also what was committed under earlier leaders, which is
// below the start of this leader's epoch. Called with leadership held. Kafka 3.9 Partition.needsExpandIsr.
func (p *Partition) mayJoin(f *follower) bool {
	if !p.isLeader || p.pending != nil || p.m.o.AlterPartition == nil || slices.Contains(p.state.ISR, f.id) || p.m.cache.Image().Broker(f.id) == nil {
		return false
	}
	_, end := f.ends()
	return end >= p.log.HighWatermark() && end >= p.epochStart
}

// proposeJoin looks once more, exclusively, and proposes the follower. It says whether the high watermark rose.
func (p *Partition) proposeJoin(f *follower, moved bool) (rose bool) {
	p.leadership.Lock()
	var c *isrChange
	if p.follower(f.id) == f && p.mayJoin(f) {
		c = p.propose(append(slices.Clone(p.state.ISR), f.id), f.id)
	}
	if moved && p.isLeader {
		rose = p.advanceHighWatermark()
	}
	p.leadership.Unlock()
	p.send(c)
	return rose
}

// propose makes a change the pending one. Called with leadership held exclusively; send follows when it is released.
func (p *Partition) propose(isr []int32, joining int32) *isrChange {
	p.pending = &isrChange{isr: isr, joining: joining, leaderEpoch: p.state.LeaderEpoch, partitionEpoch: p.state.PartitionEpoch, topicID: p.log.TopicID()}
	return p.pending
}

// hasPending says whether c is still what the controller is to be asked for.
func (p *Partition) hasPending(c *isrChange) bool {
	p.leadership.RLock()
	defer p.leadership.RUnlock()
	return p.isLeader && p.pending == c
}

func (p *Partition) send(c *isrChange) {
	if c != nil {
		p.m.isr.submit(p, c)
	}
}

// shrinkISR proposes an ISR without the members that fell behind. Kafka 3.9 Partition.maybeShrinkIsr.
func (p *Partition) shrinkISR(now time.Duration) {
	p.leadership.RLock()
	some := len(p.outOfSync(now)) > 0
	p.leadership.RUnlock()
	if !some {
		return
	}
	p.leadership.Lock()
	var c *isrChange
	if out := p.outOfSync(now); len(out) > 0 {
		isr := slices.DeleteFunc(slices.Clone(p.state.ISR), func(id int32) bool { return slices.Contains(out, id) })
		p.logger.Info("Shrinking ISR", "from", p.state.ISR, "to", isr, "highWatermark", p.log.HighWatermark(), "endOffset", p.log.LogEndOffset())
		c = p.propose(isr, -1)
	}
	p.leadership.Unlock()
	p.send(c)
}

// outOfSync are the members of the ISR that are not in sync, none while a change is pending. Called with leadership held.
func (p *Partition) outOfSync(now time.Duration) []int32 {
	if !p.isLeader || p.pending != nil || p.m.o.AlterPartition == nil {
		return nil
	}
	var out []int32
	end := p.log.LogEndOffset()
	for _, id := range p.state.ISR {
		if id == p.m.brokerID {
			continue
		}
		if f := p.follower(id); f == nil || !f.isCaughtUp(end, now, p.m.o.LagTimeMax) {
			out = append(out, id)
		}
	}
	return out
}

// waits say what the leader does with a refused change: it leaves it pending, as the controller knows better and a LeaderAndIsr will tell.
var waits = []*kerr.Error{
	kerr.UnknownTopicOrPartition, kerr.UnknownTopicID, kerr.FencedLeaderEpoch, kerr.InvalidUpdateVersion, kerr.InvalidRequest, kerr.NewLeaderElected,
}

// isrAnswered takes the controller's answer: an error, or the state that holds now. again says that c is to be sent once more.
// Kafka 3.9 Partition.handleAlterPartitionUpdate and handleAlterPartitionError.
func (p *Partition) isrAnswered(c *isrChange, state metadata.PartitionState, err error) (again bool) {
	p.leadership.Lock()
	if p.pending != c || !p.isLeader { // a LeaderAndIsr came in between
		p.leadership.Unlock()
		return false
	}
	rose, left := false, false
	if err != nil {
		p.m.isr.failed.Add(1)
	}
	switch {
	case err == nil && (state.LeaderEpoch != p.state.LeaderEpoch || state.PartitionEpoch < p.state.PartitionEpoch):
		p.logger.Debug("Ignoring an outdated ISR", "isr", state.ISR, "leaderEpoch", state.LeaderEpoch, "partitionEpoch", state.PartitionEpoch)
	case err == nil:
		if c.joining >= 0 {
			p.m.isr.expands.Add(1)
		} else {
			p.m.isr.shrinks.Add(1)
		}
		p.pending = nil
		left = len(without(p.state.ISR, state.ISR)) > 0
		p.state.ISR, p.state.PartitionEpoch = slices.Clone(state.ISR), state.PartitionEpoch
		p.logger.Info("ISR updated", "isr", p.state.ISR, "partitionEpoch", p.state.PartitionEpoch)
		rose = p.advanceHighWatermark()
	case errors.Is(err, kerr.OperationNotAttempted), errors.Is(err, kerr.IneligibleReplica):
		// The controller says that the partition epoch was right and that nothing was stored.
		p.pending = nil
		p.logger.Info("The controller refused an ISR", "isr", c.isr, "error", err)
		rose = p.advanceHighWatermark()
	case slices.ContainsFunc(waits, func(w *kerr.Error) bool { return errors.Is(err, w) }):
		p.logger.Debug("The controller refused an ISR; waiting for its next LeaderAndIsr", "isr", c.isr, "error", err)
	default:
		p.logger.Warn("ISR could not be updated; trying again", "isr", c.isr, "error", err)
		again = true
	}
	p.leadership.Unlock()
	// A follower that came back while its removal was pending was in the ISR when it fetched last; its session has to be told of again, or it would
	// not be let in before the next record.
	if rose || left {
		p.changed()
	}
	return again
}

// without is list less the members of drop.
func without(list, drop []int32) []int32 {
	return slices.DeleteFunc(slices.Clone(list), func(id int32) bool { return slices.Contains(drop, id) })
}
