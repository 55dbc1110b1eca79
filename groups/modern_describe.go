package groups

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/metadata"
)

// ModernDescription is a group of KIP-848's protocol with its members.
type ModernDescription struct {
	State                  State
	Epoch, AssignmentEpoch int32
	Assignor               string
	Members                []ModernMember
}

// ModernMember is a member of such a group.
type ModernMember struct {
	ID               string
	Instance, Rack   *string
	Epoch            int32
	ClientID, Host   string
	Topics           []string
	Regex            *string
	Assigned, Target map[metadata.TopicID][]int32
	Classic          bool // uses the classic protocol
}

// Beat keeps a member in its group, lets it join or leave, and tells it what it has.
func (c *Coordinator) Beat(ctx context.Context, q *Beat) Beaten {
	r, err := on(ctx, c, q.Group, false, func(s *shard, answer func(Beaten)) { s.modernBeat(q, answer) })
	if err != nil {
		return Beaten{Err: err}
	}
	return r
}

// DescribeModern describes a modern group; any other is not found.
func (c *Coordinator) DescribeModern(ctx context.Context, group string) (ModernDescription, error) {
	type outcome struct {
		d   ModernDescription
		err error
	}
	r, err := on(ctx, c, group, false, func(s *shard, answer func(outcome)) {
		g := s.groups[group]
		if g == nil || g.modern == nil {
			answer(outcome{err: kerr.GroupIDNotFound})
			return
		}
		n := g.modern
		votes := map[string]int{}
		d := ModernDescription{State: n.state(), Epoch: n.epoch, AssignmentEpoch: n.assignmentEpoch}
		for _, m := range n.sorted() {
			if m.assignor != nil {
				votes[*m.assignor]++
			}
			d.Members = append(d.Members, ModernMember{ID: m.id, Instance: m.instance, Rack: m.rack, Epoch: m.epoch, ClientID: m.clientID, Host: m.host, Topics: m.topics,
				Regex: m.regex, Assigned: m.assigned, Target: n.target[m.id], Classic: m.classic != nil})
		}
		d.Assignor = c.preferred(votes)
		answer(outcome{d: d})
	})
	if err == nil {
		err = r.err
	}
	return r.d, err
}
