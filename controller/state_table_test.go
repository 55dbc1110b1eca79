package controller

import "testing"

// The tables of Kafka 3.9 PartitionStateMachine and ReplicaStateMachine, cell by cell: row = from, column = to.
func TestPartitionStateTable(t *testing.T) {
	states := []partitionState{partitionNonExistent, partitionNew, partitionOnline, partitionOffline}
	legal := map[partitionState]string{ // 1 where the move to NonExistent, New, Online, Offline is legal
		partitionNonExistent: "0100",
		partitionNew:         "0011",
		partitionOnline:      "0011",
		partitionOffline:     "1011",
	}
	for _, from := range states {
		for i, to := range states {
			if got, want := from.canMoveTo(to), legal[from][i] == '1'; got != want {
				t.Errorf("%v -> %v: %v, want %v", from, to, got, want)
			}
		}
	}
}

func TestReplicaStateTable(t *testing.T) {
	states := []replicaState{
		replicaNonExistent, replicaNew, replicaOnline, replicaOffline,
		replicaDeletionStarted, replicaDeletionSuccessful, replicaDeletionIneligible,
	}
	legal := map[replicaState]string{
		replicaNonExistent:        "0100000",
		replicaNew:                "0011000",
		replicaOnline:             "0011000",
		replicaOffline:            "0011101",
		replicaDeletionStarted:    "0000011",
		replicaDeletionSuccessful: "1000000",
		replicaDeletionIneligible: "0011000",
	}
	for _, from := range states {
		for i, to := range states {
			if got, want := from.canMoveTo(to), legal[from][i] == '1'; got != want {
				t.Errorf("%v -> %v: %v, want %v", from, to, got, want)
			}
		}
	}
}
