package controller

import (
	"fmt"
	"slices"
)

// Assignment is the replicas of a partition. While it is being reassigned, Replicas holds the target first and then
// the replicas to be removed (KIP-455). The slices are never changed in place.
type Assignment struct {
	Replicas []int32
	Adding   []int32
	Removing []int32
}

// IsBeingReassigned says whether a reassignment is running.
func (a Assignment) IsBeingReassigned() bool { return len(a.Adding) > 0 || len(a.Removing) > 0 }

// Origin is the replicas before the reassignment.
func (a Assignment) Origin() []int32 { return without(a.Replicas, a.Adding) }

// Target is the replicas after the reassignment.
func (a Assignment) Target() []int32 { return without(a.Replicas, a.Removing) }

// String shows the three lists.
func (a Assignment) String() string {
	if !a.IsBeingReassigned() {
		return fmt.Sprint(a.Replicas)
	}
	return fmt.Sprintf("%v adding %v removing %v", a.Replicas, a.Adding, a.Removing)
}

// reassignTo is the assignment during a move of the original replicas to target.
func (a Assignment) reassignTo(target []int32) Assignment {
	origin := a.Origin()
	full := distinct(append(slices.Clone(target), origin...))
	return Assignment{Replicas: full, Adding: without(full, origin), Removing: without(full, target)}
}

func (a Assignment) removeReplica(id int32) Assignment {
	one := []int32{id}
	return Assignment{Replicas: without(a.Replicas, one), Adding: without(a.Adding, one), Removing: without(a.Removing, one)}
}

func (a Assignment) equal(b Assignment) bool {
	return slices.Equal(a.Replicas, b.Replicas) && slices.Equal(a.Adding, b.Adding) && slices.Equal(a.Removing, b.Removing)
}

// without is list less the members of drop, in list's order.
func without(list, drop []int32) []int32 {
	return filter(list, func(id int32) bool { return !slices.Contains(drop, id) })
}

func filter(list []int32, keep func(int32) bool) []int32 {
	out := make([]int32, 0, len(list))
	for _, id := range list {
		if keep(id) {
			out = append(out, id)
		}
	}
	return out
}

func distinct(list []int32) []int32 {
	out := make([]int32, 0, len(list))
	for _, id := range list {
		if !slices.Contains(out, id) {
			out = append(out, id)
		}
	}
	return out
}
