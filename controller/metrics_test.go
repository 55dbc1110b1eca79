package controller

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gokafka/metadata"
)

// The numbers and timers are those of Kafka 3.9 ControllerState, for the events that are Apache's too.
func TestEventStates(t *testing.T) {
	states := map[string]struct {
		state State
		timer string
	}{
		"Startup": {1, "ControllerChange"}, "ControllerChange": {1, "ControllerChange"}, "RegisterBrokerAndReelect": {1, "ControllerChange"}, "Expire": {1, "ControllerChange"},
		"BrokerChange": {2, "LeaderElection"}, "BrokerModifications": {2, "LeaderElection"}, "BrokerSuspicion": {2, "LeaderElection"},
		"TopicChange": {3, "TopicChange"}, "PartitionModifications": {3, "TopicChange"},
		"TopicDeletion": {4, "TopicDeletion"}, "StopReplicaResponseReceived": {4, "TopicDeletion"},
		"ZkPartitionReassignment": {5, "PartitionReassignment"}, "ApiPartitionReassignment": {5, "PartitionReassignment"}, "PartitionReassignmentIsrChange": {5, "PartitionReassignment"},
		"AutoPreferredReplicaLeaderElection": {6, "AutoLeaderBalance"}, "ReplicaLeaderElection": {7, "ManualLeaderBalance"}, "ControlledShutdown": {8, "ControlledShutdown"},
		"IsrChangeNotification": {9, "IsrChange"}, "AlterPartitionReceived": {9, "IsrChange"}, "LeaderAndIsrResponseReceived": {10, "LeaderAndIsrResponseReceived"},
		"LogDirEventNotification": {11, "LogDirChange"}, "UncleanLeaderElectionEnable": {13, "UncleanLeaderElectionEnable"},
		"TopicUncleanLeaderElectionEnable": {14, "TopicUncleanLeaderElectionEnable"}, "ListPartitionReassignments": {15, "ListPartitionReassignment"}, "UpdateFeatures": {17, "UpdateFeatures"},
		"AllocateProducerIds": {}, "Resend": {}, "IsTopicQueuedForDeletion": {}, "Dump": {},
	}
	for name, want := range states {
		s := stateOf(name)
		if timer := strings.TrimSuffix(s.TimerName(), "RateAndTimeMs"); s != want.state || timer != want.timer {
			t.Errorf("%s: state %d, timer %q; want %d, %q", name, s, timer, want.state, want.timer)
		}
	}
	// Whoever adds an event says what it is.
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	form := regexp.MustCompile(`(?:name: |ask\(ctx, c, |later\([^"]*"\w+", |queue\(ctx, |Watch\w+, |Path, )"(\w+)"`)
	found := 0
	for _, f := range files {
		if strings.HasSuffix(f, "_test.go") {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range form.FindAllStringSubmatch(string(text), -1) {
			found++
			if _, ok := states[m[1]]; !ok {
				t.Errorf("%s: the event %s has no state here", f, m[1])
			}
		}
	}
	if found < 25 {
		t.Errorf("only %d events were found", found)
	}
}

// Of topics that are to be deleted, replicas count until they are gone; those that could not be deleted are told apart.
func TestDeletionGauges(t *testing.T) {
	c := New(Options{BrokerID: 1})
	c.active = true
	topic := func(name string, states ...replicaState) {
		a := Assignment{}
		for i := range states {
			a.Replicas = append(a.Replicas, int32(i))
		}
		p := c.s.addTopic(name, metadata.TopicID{}).add(0, a)
		for i, s := range states {
			p.replicas[int32(i)] = s
		}
	}
	topic("kept", replicaOnline, replicaOffline)
	topic("going", replicaDeletionSuccessful, replicaDeletionStarted, replicaDeletionIneligible)
	topic("waiting", replicaOnline, replicaDeletionIneligible)
	c.s.toDelete = map[string]bool{"going": true, "waiting": true, "gone already": true}
	c.s.ineligible = map[string]bool{"waiting": true}
	c.updateGauges()
	m := c.Metrics()
	if m.TopicsToDeleteCount != 3 || m.ReplicasToDeleteCount != 4 || m.TopicsIneligibleToDeleteCount != 1 || m.ReplicasIneligibleToDeleteCount != 2 || m.State != Idle {
		t.Errorf("%+v", m)
	}
}
