// Package history checks what clients were told against what a log holds: every record says who sent it, so that loss,
// duplicates, disorder and strangers can be told apart.
//
// Central type: History, of one topic. It is pure; nothing here talks to a broker.
package history

import (
	"fmt"
	"strconv"
	"strings"
)

// Stream is one producer's records in one partition; sequences count from 0 in each.
type Stream struct {
	Client, Codec string
	Partition     int32
}

// Ack says that a record was acknowledged, and where.
type Ack struct {
	Stream
	Seq    int
	Offset int64
}

// Failure says that a client gave a record up.
type Failure struct {
	Stream
	Seq    int
	Reason string
}

// Record is one record as it was read.
type Record struct {
	Partition int32
	Offset    int64
	Value     string
}

// History is what is known of one topic.
type History struct {
	Acks     []Ack
	Failures []Failure
	Log      []Record // ascending offsets in each partition
	// AtLeastOnce allows a stream's records to be there again, for producers that are not idempotent. The first
	// occurrences must still be in order.
	AtLeastOnce bool
	// Unacknowledged allows failures, for runs in which clients may give up.
	Unacknowledged bool
}

// Value is the value of a record, 100 bytes or more; ParseValue reads it.
func Value(s Stream, seq int) []byte {
	v := fmt.Sprintf("%s|%s|%d|%d|", s.Client, s.Codec, s.Partition, seq)
	return []byte(v + strings.Repeat("x", max(0, 100-len(v))))
}

// ParseValue reads the stream and sequence out of a record's value.
func ParseValue(v string) (Stream, int, error) {
	f := strings.SplitN(v, "|", 5)
	if len(f) != 5 || strings.Trim(f[4], "x") != "" {
		return Stream{}, 0, fmt.Errorf("not a value of the suite: %.80q", v)
	}
	p, err := strconv.ParseInt(f[2], 10, 32)
	if err != nil {
		return Stream{}, 0, fmt.Errorf("partition in %.80q: %w", v, err)
	}
	seq, err := strconv.Atoi(f[3])
	if err != nil {
		return Stream{}, 0, fmt.Errorf("sequence in %.80q: %w", v, err)
	}
	return Stream{f[0], f[1], int32(p)}, seq, nil
}

// maxProblems bounds a report; one fault often shows in thousands of records.
const maxProblems = 20

// Check lists what contradicts the promise of a broker, at most maxProblems lines.
func (h *History) Check() []string {
	var r report
	where := h.scan(&r)
	for _, a := range h.Acks {
		switch offs := where[a.Stream][a.Seq]; {
		case len(offs) == 0:
			r.add("lost: %v sequence %d, acknowledged at offset %d", a.Stream, a.Seq, a.Offset)
		case !contains(offs, a.Offset):
			r.add("misplaced: %v sequence %d, acknowledged at offset %d, is at %v", a.Stream, a.Seq, a.Offset, offs)
		}
	}
	if !h.Unacknowledged {
		for _, f := range h.Failures {
			r.add("failed: %v sequence %d: %s", f.Stream, f.Seq, f.Reason)
		}
	}
	return r.lines()
}

// scan walks the log once: offsets without gaps, known records, each stream in order; it returns where each record is.
func (h *History) scan(r *report) map[Stream]map[int][]int64 {
	where := make(map[Stream]map[int][]int64)
	last := make(map[Stream]int)
	next := make(map[int32]int64)
	for _, rec := range h.Log {
		if want := next[rec.Partition]; rec.Offset != want { // the first is 0
			r.add("offsets: partition %d has %d where %d is due", rec.Partition, rec.Offset, want)
		}
		next[rec.Partition] = rec.Offset + 1
		s, seq, err := ParseValue(rec.Value)
		if err != nil || s.Partition != rec.Partition {
			r.add("stranger: partition %d offset %d holds %.80q", rec.Partition, rec.Offset, rec.Value)
			continue
		}
		if where[s] == nil {
			where[s] = make(map[int][]int64)
		}
		again := len(where[s][seq]) > 0
		where[s][seq] = append(where[s][seq], rec.Offset)
		prev, seen := last[s]
		switch {
		case again && !h.AtLeastOnce:
			r.add("twice: %v sequence %d at offsets %v", s, seq, where[s][seq])
		case again:
		case seen && seq < prev:
			r.add("disorder: %v sequence %d at offset %d stands behind %d", s, seq, rec.Offset, prev)
		}
		if !again {
			last[s] = seq
		}
	}
	return where
}

type report struct {
	problems []string
	more     int
}

func (r *report) add(format string, args ...any) {
	if len(r.problems) == maxProblems {
		r.more++
		return
	}
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

func (r *report) lines() []string {
	if r.more > 0 {
		return append(r.problems, fmt.Sprintf("and %d more", r.more))
	}
	return r.problems
}

func contains(offs []int64, o int64) bool {
	for _, x := range offs {
		if x == o {
			return true
		}
	}
	return false
}

func (s Stream) String() string { return fmt.Sprintf("%s/%s/%d", s.Client, s.Codec, s.Partition) }
