package controller

import (
	"slices"

	"gokafka/metadata"
)

// strategy says by which rule a leader is chosen (Kafka 3.9 PartitionLeaderElectionStrategy).
type strategy int8

const (
	electOffline            strategy = iota // broker failure or start, controller start, unclean election
	electReassign                           // end of a reassignment
	electPreferred                          // back to the preferred replica
	electControlledShutdown                 // away from brokers that are shutting down
)

var strategyNames = [...]string{"OfflinePartition", "ReassignPartition", "PreferredReplica", "ControlledShutdown"}

// String is Kafka's name without its suffix.
func (s strategy) String() string { return strategyNames[s] }

// elected is the outcome of an election.
type elected struct {
	leader     int32
	isr        []int32
	recovery   metadata.RecoveryState
	recipients []int32 // brokers that are told by LeaderAndIsr
	unclean    bool
}

// elect chooses a leader for p among its replicas, given its stored state cur. It is pure: the same picture gives the
// same leader on every controller. ok is false when nobody may lead. allowUnclean only counts for electOffline.
//
// RECOVERING, once stored, is carried over by clean elections; only an AlterPartition of the leader clears it (KIP-704).
// Source: Kafka 3.9 Election, PartitionLeaderElectionAlgorithms.
func (s *cluster) elect(how strategy, p *partition, cur metadata.PartitionState, allowUnclean bool) (e elected, ok bool) {
	online := func(id int32) bool { return s.isOnline(id, p.tp) }
	inSync := func(id int32) bool { return slices.Contains(cur.ISR, id) }
	first := func(list []int32, may ...func(int32) bool) (int32, bool) {
		for _, id := range list {
			if !slices.ContainsFunc(may, func(f func(int32) bool) bool { return !f(id) }) {
				return id, true
			}
		}
		return metadata.NoLeader, false
	}
	replicas := p.assignment.Replicas
	e = elected{isr: cur.ISR, recovery: cur.Recovery}
	switch how {
	case electOffline:
		e.recipients = filter(replicas, online)
		if e.leader, ok = first(replicas, online, inSync); ok {
			e.isr = filter(cur.ISR, online)
		} else if e.leader, ok = first(replicas, online); ok && allowUnclean {
			e.isr, e.recovery, e.unclean = []int32{e.leader}, metadata.Recovering, true
		} else {
			ok = false
		}
	case electReassign:
		e.recipients = p.assignment.Target()
		e.leader, ok = first(e.recipients, online, inSync)
	case electPreferred:
		e.recipients = replicas
		e.leader, ok = first(replicas[:min(1, len(replicas))], online, inSync)
	case electControlledShutdown:
		staying := func(id int32) bool { return !s.shuttingDown[id] }
		reachable := func(id int32) bool { return s.isOnlineOrShuttingDown(id, p.tp) }
		e.recipients = filter(replicas, reachable)
		e.leader, ok = first(replicas, reachable, inSync, staying)
		e.isr = filter(cur.ISR, staying)
	}
	return e, ok
}
