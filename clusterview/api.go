package clusterview

import "time"

// What a broker's HTTP port answers under /api/controller, for the broker that writes it and for the command that reads it.

// Paths of the HTTP port.
const (
	ControllerPath = "/api/controller"
	JournalPath    = "/api/controller/journal"
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
