package controller

import (
	"errors"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/metadata"
)

// The order of the checks is Kafka 3.9's tryProcessAlterPartition: a row that breaks two rules gets the first one's code.
func TestJudgeAlterPartition(t *testing.T) {
	const stored = 9
	for _, tc := range []struct {
		name                        string
		sender                      int32
		leaderEpoch, partitionEpoch int32
		isr                         string
		recovery                    metadata.RecoveryState
		curRecovery                 metadata.RecoveryState
		change                      bool
		code                        *kerr.Error
	}{
		{name: "shrink", sender: 1, leaderEpoch: 7, partitionEpoch: stored, isr: "1 2", change: true},
		{name: "expand", sender: 1, leaderEpoch: 7, partitionEpoch: stored, isr: "1 2 3 4", change: true},
		{name: "newer partition epoch", sender: 1, leaderEpoch: 7, partitionEpoch: stored + 1, isr: "1", code: kerr.NotController},
		{name: "newer leader epoch", sender: 1, leaderEpoch: 8, partitionEpoch: stored, isr: "1", code: kerr.NotController},
		{name: "newer partition epoch and older leader epoch", sender: 1, leaderEpoch: 6, partitionEpoch: stored + 1, isr: "1", code: kerr.NotController},
		{name: "older leader epoch", sender: 1, leaderEpoch: 6, partitionEpoch: stored, isr: "1 2 3", code: kerr.FencedLeaderEpoch},
		{name: "repeated", sender: 1, leaderEpoch: 7, partitionEpoch: stored, isr: "1 2 3"},
		{name: "repeated with the epoch from before", sender: 1, leaderEpoch: 7, partitionEpoch: stored - 1, isr: "1 2 3"},
		{name: "the ISR is a list", sender: 1, leaderEpoch: 7, partitionEpoch: stored - 1, isr: "2 1 3", code: kerr.InvalidUpdateVersion},
		{name: "older partition epoch", sender: 1, leaderEpoch: 7, partitionEpoch: stored - 1, isr: "1", code: kerr.InvalidUpdateVersion},
		{name: "not the leader", sender: 2, leaderEpoch: 7, partitionEpoch: stored, isr: "2", code: kerr.InvalidRequest},
		{name: "recovering with two", sender: 1, leaderEpoch: 7, partitionEpoch: stored, isr: "1 2", recovery: 1, curRecovery: 1, code: kerr.InvalidRequest},
		{name: "recovering alone", sender: 1, leaderEpoch: 7, partitionEpoch: stored, isr: "1", recovery: 1, curRecovery: 1, change: true},
		{name: "back to recovering", sender: 1, leaderEpoch: 7, partitionEpoch: stored, isr: "1", recovery: 1, code: kerr.InvalidRequest},
		{name: "recovered", sender: 1, leaderEpoch: 7, partitionEpoch: stored, isr: "1 2 3", curRecovery: 1, change: true},
		{name: "recovery state of the future", sender: 1, leaderEpoch: 7, partitionEpoch: stored, isr: "1", recovery: 5, code: kerr.InvalidRequest},
		{name: "dead member", sender: 1, leaderEpoch: 7, partitionEpoch: stored, isr: "1 2 9", code: kerr.IneligibleReplica},
		{name: "stranger", sender: 1, leaderEpoch: 7, partitionEpoch: stored, isr: "1 2 6", code: kerr.InvalidRequest},
		{name: "member that is shutting down", sender: 1, leaderEpoch: 7, partitionEpoch: stored, isr: "1 2 5", code: kerr.IneligibleReplica},
		{name: "empty", sender: 1, leaderEpoch: 7, partitionEpoch: stored, isr: "", code: kerr.InvalidRequest},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cur := metadata.PartitionState{ControllerEpoch: 4, Leader: 1, LeaderEpoch: 7, ISR: list("1 2 3"), PartitionEpoch: stored, Recovery: tc.curRecovery}
			s, p := picture(list("1 2 3 4 5 6"), list("5"), Assignment{Replicas: list("1 2 3 4 5 9")}, cur)
			next, change, err := s.judgeAlterPartition(tc.sender, &AlterPartition{
				LeaderEpoch: tc.leaderEpoch, PartitionEpoch: tc.partitionEpoch, ISR: list(tc.isr), Recovery: tc.recovery,
			}, p)
			if change != tc.change || (err != nil) != (tc.code != nil) || tc.code != nil && !errors.Is(err, tc.code) {
				t.Fatalf("change %v, %v; want %v, %v", change, err, tc.change, tc.code)
			}
			if change && (!slices.Equal(next.ISR, list(tc.isr)) || next.LeaderEpoch != 7 || next.Leader != 1 || next.ControllerEpoch != 5 || next.Recovery != tc.recovery) {
				t.Errorf("next %+v", next)
			}
		})
	}
}
