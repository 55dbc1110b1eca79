package controller

// State is what the controller is doing (Kafka 3.9 ControllerState); its number is the value of the metric ControllerState.
type State int8

// The states that events of ours put the controller into.
const (
	Idle                             State = 0
	ControllerChange                 State = 1
	BrokerChange                     State = 2
	TopicChange                      State = 3
	TopicDeletion                    State = 4
	AlterPartitionReassignment       State = 5
	AutoLeaderBalance                State = 6
	ManualLeaderBalance              State = 7
	ControlledShutdown               State = 8
	IsrChange                        State = 9
	LeaderAndIsrResponseReceived     State = 10
	LogDirChange                     State = 11
	UncleanLeaderElectionEnable      State = 13
	TopicUncleanLeaderElectionEnable State = 14
	ListPartitionReassignment        State = 15
	UpdateFeatures                   State = 17

	// StateCount is above all of them.
	StateCount = 18
)

// stateOf is the state for the name of an event. Events that Apache has not, and those that it counts as idle, are Idle.
func stateOf(name string) State {
	switch name {
	case "Startup", "ControllerChange", "RegisterBrokerAndReelect", "Expire":
		return ControllerChange
	case "BrokerChange", "BrokerModifications", "BrokerSuspicion":
		return BrokerChange
	case "TopicChange", "PartitionModifications":
		return TopicChange
	case "TopicDeletion", "StopReplicaResponseReceived":
		return TopicDeletion
	case "ZkPartitionReassignment", "ApiPartitionReassignment", "PartitionReassignmentIsrChange":
		return AlterPartitionReassignment
	case "AutoPreferredReplicaLeaderElection":
		return AutoLeaderBalance
	case "ReplicaLeaderElection":
		return ManualLeaderBalance
	case "ControlledShutdown":
		return ControlledShutdown
	case "IsrChangeNotification", "AlterPartitionReceived":
		return IsrChange
	case "LeaderAndIsrResponseReceived":
		return LeaderAndIsrResponseReceived
	case "LogDirEventNotification":
		return LogDirChange
	case "UncleanLeaderElectionEnable":
		return UncleanLeaderElectionEnable
	case "TopicUncleanLeaderElectionEnable":
		return TopicUncleanLeaderElectionEnable
	case "ListPartitionReassignments":
		return ListPartitionReassignment
	case "UpdateFeatures":
		return UpdateFeatures
	}
	return Idle
}

// TimerName is the name of the state's timer, empty if it has none.
func (s State) TimerName() string {
	switch s {
	case ControllerChange:
		return "ControllerChangeRateAndTimeMs"
	case BrokerChange:
		return "LeaderElectionRateAndTimeMs"
	case TopicChange:
		return "TopicChangeRateAndTimeMs"
	case TopicDeletion:
		return "TopicDeletionRateAndTimeMs"
	case AlterPartitionReassignment:
		return "PartitionReassignmentRateAndTimeMs"
	case AutoLeaderBalance:
		return "AutoLeaderBalanceRateAndTimeMs"
	case ManualLeaderBalance:
		return "ManualLeaderBalanceRateAndTimeMs"
	case ControlledShutdown:
		return "ControlledShutdownRateAndTimeMs"
	case IsrChange:
		return "IsrChangeRateAndTimeMs"
	case LeaderAndIsrResponseReceived:
		return "LeaderAndIsrResponseReceivedRateAndTimeMs"
	case LogDirChange:
		return "LogDirChangeRateAndTimeMs"
	case UncleanLeaderElectionEnable:
		return "UncleanLeaderElectionEnableRateAndTimeMs"
	case TopicUncleanLeaderElectionEnable:
		return "TopicUncleanLeaderElectionEnableRateAndTimeMs"
	case ListPartitionReassignment:
		return "ListPartitionReassignmentRateAndTimeMs"
	case UpdateFeatures:
		return "UpdateFeaturesRateAndTimeMs"
	}
	return ""
}
