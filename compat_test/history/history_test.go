package history

import (
	"strings"
	"testing"
)

// A checker that finds nothing is worth nothing: each fault is planted and must be named.
func TestCheckFindsPlantedFaults(t *testing.T) {
	s := Stream{"c", "gzip", 0}
	good := func() *History {
		h := &History{}
		for i := range 5 {
			h.Log = append(h.Log, Record{0, int64(i), string(Value(s, i))})
			h.Acks = append(h.Acks, Ack{s, i, int64(i)})
		}
		return h
	}
	cases := map[string]struct {
		plant func(*History)
		want  string // "" is no problem
	}{
		"nothing":            {func(*History) {}, ""},
		"not acknowledged":   {func(h *History) { h.Acks = h.Acks[:2] }, ""},
		"lost at the end":    {func(h *History) { h.Log = h.Log[:4] }, "lost"},
		"lost in the middle": {func(h *History) { h.Log = append(h.Log[:2:2], h.Log[3:]...) }, "offsets"},
		"lost at the start":  {func(h *History) { h.Log = h.Log[1:]; h.Acks = nil }, "offsets"},
		"twice":              {func(h *History) { h.Log = append(h.Log, Record{0, 5, string(Value(s, 4))}) }, "twice"},
		"twice, allowed": {func(h *History) {
			h.AtLeastOnce = true
			h.Log = append(h.Log, Record{0, 5, string(Value(s, 1))}, Record{0, 6, string(Value(s, 2))})
		}, ""},
		"disorder": {func(h *History) { h.Log[1].Value, h.Log[2].Value = h.Log[2].Value, h.Log[1].Value; h.Acks = nil }, "disorder"},
		"disorder is not excused by at-least-once": {func(h *History) {
			h.AtLeastOnce = true
			h.Log[1].Value, h.Log[2].Value = h.Log[2].Value, h.Log[1].Value
			h.Acks = nil
		}, "disorder"},
		"misplaced":       {func(h *History) { h.Acks[3].Offset = 2 }, "misplaced"},
		"stranger":        {func(h *History) { h.Log[4].Value = "?" }, "stranger"},
		"other partition": {func(h *History) { h.Log[4].Value = string(Value(Stream{"c", "gzip", 1}, 4)) }, "stranger"},
		"failed":          {func(h *History) { h.Failures = []Failure{{s, 5, "timeout"}} }, "failed"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			h := good()
			c.plant(h)
			got := strings.Join(h.Check(), "\n")
			if c.want == "" && got != "" || !strings.Contains(got, c.want) {
				t.Errorf("got %q, want one of kind %q", got, c.want)
			}
		})
	}
}
