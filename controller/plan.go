package controller

import (
	"fmt"
	"slices"

	"gokafka/metadata"
)

// plan is what a state machine decided for some partitions: what is to be stored, and who is told once it is. Making a
// plan changes nothing; commit does, for the part that was stored. The writes of a plan touch different znodes and are
// independent, so they are pipelined and one that fails does not sink the rest.
type plan struct {
	writes  []stateWrite
	refused []refusal
}

// stateWrite is one partition state to be stored, by creation or by compare-and-set on the partition epoch of old.
type stateWrite struct {
	p          *partition
	old        *metadata.PartitionState // nil = create
	next       metadata.PartitionState  // PartitionEpoch is filled in by the store's answer
	recipients []int32                  // told by LeaderAndIsr
	isNew      bool
	why        string
}

// stateResult is the store's answer to a stateWrite.
type stateResult struct {
	epoch int32                    // new partition epoch, if stored
	fresh *metadata.PartitionState // what the store holds instead, if the partition epoch had moved on
	err   error                    // why it was not stored otherwise
}

type refusal struct {
	p   *partition
	err error
}

// planFirstLeader gives partitions their first leader: the first online replica; the ISR is all online replicas, both in
// assignment order (Kafka 3.9 initializeLeaderAndIsrForPartitions).
func (s *cluster) planFirstLeader(ps []*partition) plan {
	var out plan
	for _, p := range ps {
		live := filter(p.assignment.Replicas, func(id int32) bool { return s.isOnline(id, p.tp) })
		if len(live) == 0 {
			out.refused = append(out.refused, refusal{p, fmt.Errorf("%s: %w: no assigned replica of %s is alive",
				p.tp, errNoLeader, p.assignment)})
			continue
		}
		out.writes = append(out.writes, stateWrite{
			p: p, next: metadata.PartitionState{ControllerEpoch: s.epoch, Leader: live[0], ISR: live},
			recipients: live, isNew: true, why: "new partition",
		})
	}
	return out
}

// planElection elects a leader for each partition. unclean says for which topics a replica outside the ISR may lead.
func (s *cluster) planElection(ps []*partition, how strategy, unclean func(topic string) bool) plan {
	var out plan
	for _, p := range ps {
		if err := s.mayRewrite(p); err != nil {
			out.refused = append(out.refused, refusal{p, err})
			continue
		}
		e, ok := s.elect(how, p, *p.info, unclean(p.tp.Topic))
		if !ok {
			out.refused = append(out.refused, refusal{p, fmt.Errorf("%s: %w under strategy %s, ISR %v, replicas %s",
				p.tp, errNoLeader, how, p.info.ISR, p.assignment)})
			continue
		}
		next := s.successor(p, e.leader, e.isr)
		next.Recovery = e.recovery
		why := how.String() + " election"
		if e.unclean {
			why = whyUnclean
		}
		out.writes = append(out.writes, stateWrite{p: p, old: p.info, next: next, recipients: e.recipients, why: why})
	}
	return out
}

// planShrink takes the broker out of the ISRs it is in; the last member stays, and a leader becomes none. The leader
// epoch rises. Partitions that do not have it in the ISR are untouched and only told (Kafka 3.9 doRemoveReplicasFromIsr).
func (s *cluster) planShrink(ps []*partition, id int32) (out plan, untouched []*partition) {
	for _, p := range ps {
		if err := s.mayRewrite(p); err != nil {
			out.refused = append(out.refused, refusal{p, err})
			continue
		}
		if !slices.Contains(p.info.ISR, id) {
			untouched = append(untouched, p)
			continue
		}
		leader, isr := p.info.Leader, p.info.ISR
		if leader == id {
			leader = metadata.NoLeader
		}
		if len(isr) > 1 {
			isr = without(isr, []int32{id})
		}
		w := stateWrite{p: p, old: p.info, next: s.successor(p, leader, isr), why: fmt.Sprintf("replica %d offline", id)}
		if !s.toDelete[p.tp.Topic] {
			w.recipients = without(p.assignment.Replicas, []int32{id})
		}
		out.writes = append(out.writes, w)
	}
	return out, untouched
}

// planEpochBump raises the leader epoch and changes nothing else: the leader hears of a new assignment only so.
func (s *cluster) planEpochBump(p *partition) (stateWrite, error) {
	if err := s.mayRewrite(p); err != nil {
		return stateWrite{}, err
	}
	return stateWrite{p: p, old: p.info, next: s.successor(p, p.info.Leader, p.info.ISR), why: "reassignment"}, nil
}

// successor is the state after p's with another leader or ISR: the leader epoch rises, the recovery state stays.
func (s *cluster) successor(p *partition, leader int32, isr []int32) metadata.PartitionState {
	next := *p.info
	next.ControllerEpoch, next.Leader, next.ISR = s.epoch, leader, isr
	next.LeaderEpoch++
	return next
}

// mayRewrite refuses a partition whose stored state is missing, or comes from a later controller: then this one is a
// zombie and must not overwrite it.
func (s *cluster) mayRewrite(p *partition) error {
	if p.info == nil {
		return fmt.Errorf("%s: %w: no leadership stored", p.tp, errStateChange)
	}
	if p.info.ControllerEpoch > s.epoch {
		return fmt.Errorf("%s: %w: state written by controller epoch %d, ours is %d",
			p.tp, errStateChange, p.info.ControllerEpoch, s.epoch)
	}
	return nil
}

// commit takes over what was stored. conflicts are the partitions whose state had moved on in the store; their info is
// now the fresh one and they are to be planned again.
func (pl *plan) commit(results []stateResult) (stored []stateWrite, conflicts []*partition) {
	for i, r := range results {
		w := pl.writes[i]
		switch {
		case r.fresh != nil:
			w.p.info = r.fresh
			conflicts = append(conflicts, w.p)
		case r.err != nil:
			pl.refused = append(pl.refused, refusal{w.p, fmt.Errorf("%s: %w", w.p.tp, r.err)})
		default:
			next := w.next
			next.PartitionEpoch = r.epoch
			w.next, w.p.info = next, &next
			stored = append(stored, w)
		}
	}
	return stored, conflicts
}

const whyUnclean = "unclean election"
