package history

import (
	"strings"
	"testing"
)

func TestGroupCheck(t *testing.T) {
	ev := func(kind GroupEventKind, millis, offset int64) GroupEvent {
		return GroupEvent{Kind: kind, Millis: millis, Offset: offset}
	}
	for _, c := range []struct {
		name    string
		a, b    []GroupEvent
		aEnd    int64
		want    string // "" = right
		doubled int
	}{
		{"handed over", []GroupEvent{ev(Own, 1, 0), ev(Did, 2, 0), ev(Commit, 3, 1), ev(Lose, 4, 0)},
			[]GroupEvent{ev(Own, 4, 0), ev(Did, 5, 1), ev(Commit, 6, 2)}, 4, "", 0},
		{"doubled between commit and crash", []GroupEvent{ev(Own, 1, 0), ev(Did, 2, 0), ev(Commit, 3, 1), ev(Did, 4, 1)},
			[]GroupEvent{ev(Own, 7, 0), ev(Did, 8, 1)}, 5, "", 1},
		{"lost", []GroupEvent{ev(Own, 1, 0), ev(Did, 2, 0)}, nil, 5, "the record at 1 was not processed", 0},
		{"commit forgotten", []GroupEvent{ev(Own, 1, 0), ev(Did, 2, 0), ev(Commit, 3, 1)},
			[]GroupEvent{ev(Own, 7, 0), ev(Did, 8, 0), ev(Did, 9, 1)}, 5, "a commit of 1 was acknowledged at 3", 1},
		{"commit forgotten, no callbacks", []GroupEvent{ev(Did, 2, 0), ev(Commit, 3, 1)},
			[]GroupEvent{ev(Did, 8, 0), ev(Did, 9, 1)}, 5, "a commit of 1 was acknowledged at 3", 1},
		{"two owners", []GroupEvent{ev(Own, 1, 0), ev(Did, 2, 0), ev(Lose, 9, 0)}, []GroupEvent{ev(Own, 7, 0), ev(Did, 8, 1)}, 9, "owns it from 1 to 9", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := Group{Members: []GroupMember{{"a", c.a, c.aEnd}, {"b", c.b, 100}}, Ends: []int64{2}}
			problems, doubled := g.Check()
			if got := strings.Join(problems, "; "); c.want == "" && got != "" || !strings.Contains(got, c.want) || doubled != c.doubled {
				t.Errorf("%q, %d doubled", got, doubled)
			}
		})
	}
}
