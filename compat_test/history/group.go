package history

import (
	"fmt"
	"slices"
)

// GroupEventKind is what a member of a group tells.
type GroupEventKind string

// The kinds of GroupEvent.
const (
	Own    GroupEventKind = "own"    // it was assigned a partition
	Lose   GroupEventKind = "lose"   // it gave it up or lost it
	Did    GroupEventKind = "did"    // it processed a record
	Commit GroupEventKind = "commit" // a commit of it was acknowledged; Offset is the next to read
)

// GroupEvent is one thing that a member told, in its order.
type GroupEvent struct {
	Kind      GroupEventKind
	Millis    int64 // since the epoch
	Partition int32
	Offset    int64
}

// GroupMember is what one process did in a group.
type GroupMember struct {
	Name   string
	Events []GroupEvent
	// EndMillis is when it was killed or had ended: what it still owned ends there.
	EndMillis int64
}

// Group is a run of a consumer group.
type Group struct {
	Members []GroupMember
	// Ends are the end offsets of the partitions; all before them is to be processed.
	Ends []int64
}

type stint struct {
	member   string
	from, to int64
}

type commit struct{ millis, offset int64 }

// Check returns what no broker may let happen: a record that nobody processed, one that was processed by a member that got the
// partition after a commit beyond the record had been acknowledged, and two owners of a partition at once. doubled is how
// many records were processed more than once.
func (g *Group) Check() (problems []string, doubled int) {
	add := func(format string, args ...any) {
		if len(problems) < 20 {
			problems = append(problems, fmt.Sprintf(format, args...))
		}
	}
	times := make([]map[int64]int, len(g.Ends))
	commits := make([][]commit, len(g.Ends))
	stints := make([][]stint, len(g.Ends))
	for p := range times {
		times[p] = map[int64]int{}
	}
	for _, m := range g.Members {
		owned := map[int32]int64{}
		for _, e := range m.Events {
			if int(e.Partition) >= len(g.Ends) {
				add("%s: %s of partition %d, which does not exist", m.Name, e.Kind, e.Partition)
				continue
			}
			switch e.Kind {
			case Own:
				owned[e.Partition] = e.Millis
			case Lose:
				if from, ok := owned[e.Partition]; ok {
					stints[e.Partition] = append(stints[e.Partition], stint{m.Name, from, e.Millis})
					delete(owned, e.Partition)
				}
			case Did:
				times[e.Partition][e.Offset]++
			case Commit:
				commits[e.Partition] = append(commits[e.Partition], commit{e.Millis, e.Offset})
			}
		}
		for p, from := range owned {
			stints[p] = append(stints[p], stint{m.Name, from, m.EndMillis})
		}
	}
	for p, end := range g.Ends {
		for off := range end {
			switch n := times[p][off]; {
			case n == 0:
				add("partition %d: the record at %d was not processed", p, off)
			case n > 1:
				doubled++
			}
		}
		s := stints[p]
		slices.SortFunc(s, func(a, b stint) int { return int(a.from - b.from) })
		for i := 1; i < len(s); i++ {
			if s[i].from < s[i-1].to && s[i].member != s[i-1].member {
				add("partition %d: %s owns it from %d to %d, %s from %d", p, s[i-1].member, s[i-1].from, s[i-1].to, s[i].member, s[i].from)
			}
		}
	}
	for _, m := range g.Members {
		// began is when the member came to read where it does: with Own, or, for a client that does not tell, with a jump.
		began, next := map[int32]int64{}, map[int32]int64{}
		for _, e := range m.Events {
			switch e.Kind {
			case Own:
				began[e.Partition] = e.Millis
				delete(next, e.Partition)
			case Did:
				if n, ok := next[e.Partition]; !ok && began[e.Partition] == 0 || ok && n != e.Offset {
					began[e.Partition] = e.Millis
				}
				next[e.Partition] = e.Offset + 1
				for _, c := range commits[e.Partition] {
					if c.offset > e.Offset && c.millis < began[e.Partition] {
						add("partition %d: %s, which reads since %d, processed %d, but a commit of %d was acknowledged at %d",
							e.Partition, m.Name, began[e.Partition], e.Offset, c.offset, c.millis)
						break
					}
				}
			}
		}
	}
	return problems, doubled
}
