package clusterview

import "time"

// What a broker's HTTP port answers under /api/controller, for the broker that writes it and for the command that reads it.

// Paths of the HTTP port.
const (
	ControllerPath = "/api/controller"
	JournalPath    = "/api/controller/journal"
	ClusterPath    = "/api/controller/cluster"
)

// ControllerState is the answer to ControllerPath: one broker's view of the controller.
type ControllerState struct {
	BrokerID int32 `json:"brokerId"` // that answers
	Active   bool  `json:"active"`   // it is the controller
	// ControllerEpoch is that of its office; -1 while it is not the controller.
	ControllerEpoch int32 `json:"controllerEpoch"`
	// ControllerID is the controller that it was last told of; -1 = none.
	ControllerID int32 `json:"controllerId"`
}

// Journal is the answer to JournalPath. A broker keeps the decisions that it took as controller itself; those of other
// controllers are with them.
type Journal struct {
	ControllerState
	// Total is the number of decisions since the broker's start; the oldest are not kept.
	Total int64 `json:"total"`
	// Decisions are the newest that match, the newest first.
	Decisions []Decision `json:"decisions"`
}

// Decision is one entry of the journal: a partition's new state, or, without a partition, one about the controller itself or what it learnt of brokers.
type Decision struct {
	Time            time.Time          `json:"time"`
	ControllerEpoch int32              `json:"controllerEpoch"`
	Partition       *PartitionDecision `json:"partition,omitempty"`
	Why             string             `json:"why"`
}

// PartitionDecision says who leads a partition from now on.
type PartitionDecision struct {
	Topic          string  `json:"topic"`
	Partition      int32   `json:"partition"`
	PreviousLeader int32   `json:"previousLeader"` // -1 = none
	Leader         int32   `json:"leader"`         // -1 = none
	LeaderEpoch    int32   `json:"leaderEpoch"`
	ISR            []int32 `json:"isr"`
}

// Cluster is the answer to ClusterPath of the controller's broker: all that the controller holds. Other brokers answer 409 with a line.
type Cluster struct {
	ControllerState
	Brokers []ClusterBroker `json:"brokers"`
	Topics  []ClusterTopic  `json:"topics"`
}

// ClusterBroker is a registered broker.
type ClusterBroker struct {
	ID           int32 `json:"id"`
	BrokerEpoch  int64 `json:"brokerEpoch"`
	ShuttingDown bool  `json:"shuttingDown"`
}

// ClusterTopic is a topic. A deletion may wait for a broker that is down, or for the end of a reassignment.
type ClusterTopic struct {
	Name            string             `json:"name"`
	ID              string             `json:"id"` // as Apache's tools show it
	Deleting        bool               `json:"deleting"`
	DeletionWaits   bool               `json:"deletionWaits"`
	PartitionStates []ClusterPartition `json:"partitions"`
}

// ClusterPartition is a partition. Before the first leader, leader and epochs are -1 and the ISR is empty.
type ClusterPartition struct {
	Partition        int32            `json:"partition"`
	State            string           `json:"state"`
	Replicas         []int32          `json:"replicas"`
	AddingReplicas   []int32          `json:"addingReplicas"`
	RemovingReplicas []int32          `json:"removingReplicas"`
	Leader           int32            `json:"leader"` // -1 = none
	LeaderEpoch      int32            `json:"leaderEpoch"`
	ISR              []int32          `json:"isr"`
	PartitionEpoch   int32            `json:"partitionEpoch"`
	ControllerEpoch  int32            `json:"controllerEpoch"`
	Recovering       bool             `json:"recovering"`
	ReplicaStates    map[int32]string `json:"replicaStates"`
}
