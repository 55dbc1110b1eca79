package controller

import "slices"

// partitionState is where a partition stands in the controller's eyes (Kafka 3.9 PartitionStateMachine).
type partitionState int8

// The states of a partition. The zero value is that of one never heard of.
const (
	partitionNonExistent partitionState = iota // never created, or deleted
	partitionNew                               // has replicas, no leader yet
	partitionOnline                            // has a leader
	partitionOffline                           // its leader died and none was found
)

var partitionStateNames = [...]string{"NonExistentPartition", "NewPartition", "OnlinePartition", "OfflinePartition"}

// String is Kafka's name.
func (s partitionState) String() string { return partitionStateNames[s] }

// from lists the states from which a partition may enter s. This is the whole table of legal moves.
func (s partitionState) from() []partitionState {
	switch s {
	case partitionNew:
		return []partitionState{partitionNonExistent}
	case partitionOnline, partitionOffline:
		return []partitionState{partitionNew, partitionOnline, partitionOffline}
	case partitionNonExistent:
		return []partitionState{partitionOffline}
	}
	return nil
}

// canMoveTo says whether a partition in state s may enter target.
func (s partitionState) canMoveTo(target partitionState) bool {
	return slices.Contains(target.from(), s)
}
