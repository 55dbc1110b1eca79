package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/internal/show"
)

// ListedGroup is a group as it is listed.
type ListedGroup struct {
	Name         string `json:"name"`
	Type         string `json:"type,omitempty"`         // "classic" or "consumer"; "" if the brokers do not tell
	ProtocolType string `json:"protocolType,omitempty"` // "consumer" for consumers; "" for offsets without members
	State        string `json:"state"`
	Coordinator  int32  `json:"coordinator"`
}

// ListedGroups is a list of groups by name.
type ListedGroups []ListedGroup

// Table is a show.View.
func (gs ListedGroups) Table() show.Table {
	t := show.Table{Header: []string{"GROUP", "TYPE", "PROTOCOL", "STATE", "COORDINATOR"}}
	for _, g := range gs {
		t.Add(g.Name, g.Type, g.ProtocolType, g.State, itoa(g.Coordinator))
	}
	return t
}

// ListGroups lists the groups of all brokers, those of some states and types if they are named.
func ListGroups(ctx context.Context, o Options, states, types []string) (ListedGroups, error) {
	return doCoordinated(ctx, o, func(ctx context.Context, c conn) (ListedGroups, error) {
		listed, err := c.ListGroupsByType(ctx, types, states...)
		if err != nil {
			return nil, err
		}
		out := ListedGroups{}
		for _, g := range listed.Sorted() {
			out = append(out, ListedGroup{g.Group, strings.ToLower(g.GroupType), g.ProtocolType, g.State, g.Coordinator})
		}
		return out, nil
	})
}

// GroupMember is a member of a group.
type GroupMember struct {
	ID       string           `json:"id"`
	Instance string           `json:"instance,omitempty"` // group.instance.id of a static member
	Client   string           `json:"client"`
	Host     string           `json:"host"`
	Epoch    *int32           `json:"epoch,omitempty"` // of a member of a consumer group
	Assigned []TopicPartition `json:"assigned"`
}

// GroupOffset is how far a group is in a partition. What is not known is nil.
type GroupOffset struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed *int64 `json:"committed,omitempty"`
	End       *int64 `json:"end,omitempty"`
	Lag       *int64 `json:"lag,omitempty"` // records behind Committed
	Metadata  string `json:"metadata,omitempty"`
	Member    string `json:"member,omitempty"` // who is assigned the partition
	Client    string `json:"client,omitempty"`
	Host      string `json:"host,omitempty"`
}

// Group is a group that is described.
type Group struct {
	Name        string        `json:"name"`
	Type        string        `json:"type,omitempty"`
	State       string        `json:"state,omitempty"`
	Assignor    string        `json:"assignor,omitempty"`
	Coordinator int32         `json:"coordinator"`
	Members     []GroupMember `json:"members"`
	Offsets     []GroupOffset `json:"offsets"`
	Error       string        `json:"error,omitempty"` // why nothing is told of it
}

// Groups are described groups; as a table, how far they are.
type Groups []Group

// Err is an Outcome's.
func (gs Groups) Err() error {
	failed := 0
	for _, g := range gs {
		if g.Error != "" {
			failed++
		}
	}
	if failed == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d failed", failed, len(gs))
}

// Table is a show.View.
func (gs Groups) Table() show.Table {
	t := show.Table{Header: []string{"GROUP", "TYPE", "STATE", "ASSIGNOR", "COORDINATOR", "MEMBERS", "LAG"}}
	below := show.Table{Header: []string{"GROUP", "TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "MEMBER", "CLIENT", "HOST"}}
	rows := 0
	for _, g := range gs {
		if g.Error != "" {
			t.Add(g.Name, "", g.Error, "", "", "", "")
			continue
		}
		t.Add(g.Name, g.Type, g.State, g.Assignor, itoa(g.Coordinator), itoa(len(g.Members)), known(g.lag()))
		for _, p := range g.Offsets {
			below.Add(g.Name, p.Topic, itoa(p.Partition), known(p.Committed), known(p.End), known(p.Lag), p.Member, p.Client, p.Host)
			rows++
		}
	}
	if rows > 0 {
		t.Next = &below
	}
	return t
}

// lag is the sum over the partitions, nil if none is known.
func (g *Group) lag() *int64 {
	var sum *int64
	for _, p := range g.Offsets {
		if p.Lag == nil {
			continue
		}
		if sum == nil {
			sum = new(int64)
		}
		*sum += *p.Lag
	}
	return sum
}

func known(n *int64) string {
	if n == nil {
		return ""
	}
	return itoa(*n)
}

// Memberships are described groups whose table shows members.
type Memberships struct{ Groups }

// Table is a show.View.
func (ms Memberships) Table() show.Table {
	t := show.Table{Header: []string{"GROUP", "MEMBER", "INSTANCE", "CLIENT", "HOST", "EPOCH", "ASSIGNED"}}
	for _, g := range ms.Groups {
		if g.Error != "" {
			t.Add(g.Name, g.Error, "", "", "", "", "")
		}
		for _, m := range g.Members {
			epoch := ""
			if m.Epoch != nil {
				epoch = itoa(*m.Epoch)
			}
			var assigned []string
			for _, tp := range m.Assigned {
				assigned = append(assigned, tp.String())
			}
			t.Add(g.Name, m.ID, m.Instance, m.Client, m.Host, epoch, strings.Join(assigned, ","))
		}
	}
	return t
}

// DescribeGroups describes groups, with how far they are.
func DescribeGroups(ctx context.Context, o Options, names []string) (Groups, error) {
	return doCoordinated(ctx, o, func(ctx context.Context, c conn) (Groups, error) {
		out, err := describeGroups(ctx, c, names)
		if err != nil {
			return nil, err
		}
		for i := range out {
			if out[i].Error == "" {
				if err := addOffsets(ctx, c, &out[i]); err != nil {
					out[i].Error = err.Error()
				}
			}
		}
		return out, nil
	})
}

// GroupMembers describes groups without their offsets.
func GroupMembers(ctx context.Context, o Options, names []string) (Memberships, error) {
	return doCoordinated(ctx, o, func(ctx context.Context, c conn) (Memberships, error) {
		gs, err := describeGroups(ctx, c, names)
		return Memberships{gs}, err
	})
}

// describeGroups asks for each group by the request that its type needs.
func describeGroups(ctx context.Context, c conn, names []string) (Groups, error) {
	listed, err := c.ListGroups(ctx)
	if err != nil {
		return nil, err
	}
	var classic, newer []string
	for _, n := range names {
		if strings.EqualFold(listed[n].GroupType, "consumer") {
			newer = append(newer, n)
		} else {
			classic = append(classic, n)
		}
	}
	found := map[string]Group{}
	if len(classic) > 0 {
		described, err := c.DescribeGroups(ctx, classic...)
		if err != nil {
			return nil, err
		}
		for _, d := range described {
			found[d.Group] = classicGroup(&d)
		}
	}
	if len(newer) > 0 {
		described, err := c.DescribeConsumerGroups(ctx, newer...)
		if err != nil {
			return nil, err
		}
		for _, d := range described {
			found[d.Group] = consumerGroup(&d)
		}
	}
	out := Groups{}
	for _, n := range names {
		g, ok := found[n]
		if !ok {
			g = Group{Name: n, Error: "no broker answered"}
		}
		out = append(out, g)
	}
	return out, nil
}

func classicGroup(d *kadm.DescribedGroup) Group {
	g := Group{Name: d.Group, Type: "classic", State: d.State, Assignor: d.Protocol, Coordinator: d.Coordinator.NodeID, Members: []GroupMember{}, Offsets: []GroupOffset{}}
	err := d.Err
	if err == nil && d.State == "Dead" { // which is how versions before 6 say so
		err = kerr.GroupIDNotFound
	}
	if err != nil {
		g.Error = result("", "", err, d.ErrMessage).Error
		return g
	}
	for _, m := range d.Members {
		out := GroupMember{ID: m.MemberID, Instance: deref(m.InstanceID), Client: m.ClientID, Host: m.ClientHost, Assigned: []TopicPartition{}}
		if a, ok := m.Assigned.AsConsumer(); ok {
			for _, t := range a.Topics {
				for _, p := range t.Partitions {
					out.Assigned = append(out.Assigned, TopicPartition{t.Topic, p})
				}
			}
		}
		g.Members = append(g.Members, out)
	}
	return g
}

func consumerGroup(d *kadm.DescribedConsumerGroup) Group {
	g := Group{Name: d.Group, Type: "consumer", State: d.State, Assignor: d.AssignorName, Coordinator: d.Coordinator.NodeID, Members: []GroupMember{}, Offsets: []GroupOffset{}}
	if d.Err != nil {
		g.Error = d.Err.Error()
		return g
	}
	for _, m := range d.Members {
		out := GroupMember{ID: m.MemberID, Instance: deref(m.InstanceID), Client: m.ClientID, Host: m.ClientHost, Epoch: &m.MemberEpoch, Assigned: []TopicPartition{}}
		m.Assignment.Each(func(t string, p int32) { out.Assigned = append(out.Assigned, TopicPartition{t, p}) })
		g.Members = append(g.Members, out)
	}
	return g
}

// addOffsets adds the partitions that are committed or assigned.
func addOffsets(ctx context.Context, c conn, g *Group) error {
	committed, err := c.FetchOffsets(ctx, g.Name)
	if err != nil {
		return fmt.Errorf("offsets: %w", err)
	}
	at := map[TopicPartition]*GroupOffset{}
	of := func(tp TopicPartition) *GroupOffset {
		if at[tp] == nil {
			at[tp] = &GroupOffset{Topic: tp.Topic, Partition: tp.Partition}
		}
		return at[tp]
	}
	for topic, partitions := range committed {
		for p, r := range partitions {
			if r.Err != nil {
				return fmt.Errorf("offset of %s: %w", TopicPartition{topic, p}, r.Err)
			}
			if r.At < 0 {
				continue
			}
			x := of(TopicPartition{topic, p})
			x.Committed, x.Metadata = &r.At, r.Metadata
		}
	}
	for _, m := range g.Members {
		for _, tp := range m.Assigned {
			x := of(tp)
			x.Member, x.Client, x.Host = m.ID, m.Client, m.Host
		}
	}
	ends, err := listed(c.ListEndOffsets(ctx, topicsOf(at)...))
	if err != nil {
		return err
	}
	for tp, x := range at {
		if end, ok := ends.Lookup(tp.Topic, tp.Partition); ok && end.Err == nil {
			x.End = &end.Offset
			if x.Committed != nil {
				lag := max(0, end.Offset-*x.Committed)
				x.Lag = &lag
			}
		}
		g.Offsets = append(g.Offsets, *x)
	}
	slices.SortFunc(g.Offsets, func(a, b GroupOffset) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return nil
}

// listed passes a topic that is gone: its offsets are then unknown, not an error.
func listed(l kadm.ListedOffsets, err error) (kadm.ListedOffsets, error) {
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		return l, nil
	}
	return l, err
}

func topicsOf[V any](m map[TopicPartition]V) []string {
	var out []string
	for tp := range m {
		out = append(out, tp.Topic)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// DeleteGroups deletes groups that have no members, with their offsets.
func DeleteGroups(ctx context.Context, o Options, names []string) (Results, error) {
	return doCoordinated(ctx, o, func(ctx context.Context, c conn) (Results, error) {
		resp, err := c.DeleteGroups(ctx, names...)
		if err != nil {
			return nil, err
		}
		out := Results{}
		for _, n := range names {
			r, ok := resp[n]
			if !ok {
				r.Err = errors.New("no broker answered")
			}
			out = append(out, result(n, "deleted", r.Err, r.ErrMessage))
		}
		return out, nil
	})
}

// DeleteOffsets deletes what a group has committed of topics. The group's members may not be subscribed to them.
func DeleteOffsets(ctx context.Context, o Options, group string, topics []string) (Results, error) {
	return doCoordinated(ctx, o, func(ctx context.Context, c conn) (Results, error) {
		committed, err := c.FetchOffsets(ctx, group)
		if err != nil {
			return nil, err
		}
		which := kadm.TopicsSet{}
		out := Results{}
		for _, t := range topics {
			if len(committed[t]) == 0 {
				out = append(out, Result{Of: t, Error: "nothing is committed"})
			}
			for p := range committed[t] {
				which.Add(t, p)
			}
		}
		if len(which) == 0 {
			return out, nil
		}
		resp, err := c.DeleteOffsets(ctx, group, which)
		if err != nil {
			return nil, err
		}
		for _, t := range which.Sorted() {
			for _, p := range t.Partitions {
				err, ok := resp.Lookup(t.Topic, p)
				if !ok {
					err = errors.New("no broker answered")
				}
				out = append(out, result(TopicPartition{t.Topic, p}.String(), "deleted", err, ""))
			}
		}
		return out, nil
	})
}
