package controller

import "slices"

// replicaState is where a replica stands in the controller's eyes (Kafka 3.9 ReplicaStateMachine).
type replicaState int8

// The states of a replica. The zero value is that of one never heard of.
const (
	replicaNonExistent        replicaState = iota
	replicaNew                             // told to create it, becomes a follower only
	replicaOnline                          // part of the assignment and its broker lives
	replicaOffline                         // its broker or log directory is dead, or it is on its way to deletion
	replicaDeletionStarted                 // told to delete it
	replicaDeletionSuccessful              // its broker said it is deleted
	replicaDeletionIneligible              // could not be deleted; tried again later
)

var replicaStateNames = [...]string{
	"NonExistentReplica", "NewReplica", "OnlineReplica", "OfflineReplica",
	"ReplicaDeletionStarted", "ReplicaDeletionSuccessful", "ReplicaDeletionIneligible",
}

// String is Kafka's name.
func (s replicaState) String() string { return replicaStateNames[s] }

// from lists the states from which a replica may enter s. This is the whole table of legal moves.
func (s replicaState) from() []replicaState {
	switch s {
	case replicaNew:
		return []replicaState{replicaNonExistent}
	case replicaOnline, replicaOffline:
		return []replicaState{replicaNew, replicaOnline, replicaOffline, replicaDeletionIneligible}
	case replicaDeletionStarted:
		return []replicaState{replicaOffline}
	case replicaDeletionSuccessful:
		return []replicaState{replicaDeletionStarted}
	case replicaDeletionIneligible:
		return []replicaState{replicaOffline, replicaDeletionStarted}
	case replicaNonExistent:
		return []replicaState{replicaDeletionSuccessful}
	}
	return nil
}

// canMoveTo says whether a replica in state s may enter target.
func (s replicaState) canMoveTo(target replicaState) bool { return slices.Contains(target.from(), s) }
