package groups

import (
	"cmp"
	"context"
	"log/slog"
	"slices"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/config"
	"gokafka/coordinator"
	"gokafka/internal/clock"
	"gokafka/metadata"
	"gokafka/record"
	"gokafka/replication"
	"gokafka/topics"
)

// Options of a Coordinator. All but MaxBytes are needed.
type Options struct {
	Config   *config.Groups
	Replicas *replication.Manager
	Codecs   *record.Codecs
	Clock    *clock.Clock
	Logger   *slog.Logger
	// Partitions is how many partitions __consumer_offsets has; 0 while there is none.
	Partitions func() int32
	// Image is what this broker knows of the topics.
	Image func() *metadata.Image
	// MaxBytes bounds what the members of all groups hold; 0 = 512 MiB. Joins on several partitions at once may pass it by a request each.
	MaxBytes int64
}

func (o *Options) maxBytes() int64 {
	if o.MaxBytes == 0 {
		return defaultMaxBytes
	}
	return o.MaxBytes
}

// Coordinator coordinates the groups whose partitions of __consumer_offsets this broker leads. Safe for concurrent use. Close it.
type Coordinator struct {
	o  Options
	rt *coordinator.Runtime
	// assignors are the names of those that modern groups may ask for; the first is the default.
	assignors []string
	// held is how many bytes the members of all groups hold here.
	held atomic.Int64
}

// New makes a coordinator of no groups: they come with the leadership of partitions.
func New(o Options) *Coordinator {
	c := &Coordinator{o: o, assignors: assignorsOf(o.Config.ConsumerAssignors)}
	c.rt = coordinator.New(coordinator.Options{Topic: topics.ConsumerOffsets, Replicas: o.Replicas, Codecs: o.Codecs, Clock: o.Clock, Logger: o.Logger,
		LoadBytes: int(o.Config.OffsetsLoadBufferBytes), New: func(p *coordinator.Partition) coordinator.Machine { return newShard(c, p) }})
	return c
}

func assignorsOf(configured []string) []string {
	var out []string
	for _, name := range configured {
		out = append(out, cmp.Or(assignorNames[name], name))
	}
	if len(out) == 0 {
		out = []string{uniformAssignor, rangeAssignor}
	}
	return out
}

// Close ends all and waits for it.
func (c *Coordinator) Close() { c.rt.Close() }

// LeadershipChanged takes partitions over or gives them up. It does not block.
func (c *Coordinator) LeadershipChanged(changes []replication.LeadershipChange) {
	for _, ch := range changes {
		if ch.TopicPartition.Topic != topics.ConsumerOffsets {
			continue
		}
		if ch.Leads {
			c.rt.Led(ch.TopicPartition.Partition, ch.LeaderEpoch)
		} else {
			c.rt.Left(ch.TopicPartition.Partition)
		}
	}
}

// PartitionFor is the partition of __consumer_offsets that a group is in, of n.
func PartitionFor(group string, n int32) int32 { return coordinator.PartitionFor(group, n) }

func comparePart(a, b topicPart) int {
	return cmp.Or(cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
}

// on runs f with the shard of a group and waits for the answer that it passes to its argument. needsName refuses the group without a name, which only
// offsets may have.
func on[A any](ctx context.Context, c *Coordinator, group string, needsName bool, f func(s *shard, answer func(A))) (A, error) {
	var none A
	if needsName && group == "" {
		return none, kerr.InvalidGroupID
	}
	n := c.o.Partitions()
	if n == 0 {
		return none, kerr.NotCoordinator
	}
	answers := make(chan A, 1)
	over, err := c.rt.Do(PartitionFor(group, n), func(m coordinator.Machine) {
		f(m.(*shard), func(a A) {
			select {
			case answers <- a:
			default: // answered once already
			}
		})
	})
	if err != nil {
		return none, err
	}
	select {
	case a := <-answers:
		return a, nil
	case <-ctx.Done():
		return none, kerr.CoordinatorNotAvailable
	case <-over:
	}
	select {
	case a := <-answers: // from Unloaded
		return a, nil
	default:
		return none, kerr.NotCoordinator
	}
}

// Join lets a member join, and returns when the rebalance is over.
func (c *Coordinator) Join(ctx context.Context, j *Join) JoinResult {
	r, err := on(ctx, c, j.Group, true, func(s *shard, answer func(JoinResult)) { s.join(j, answer) })
	if err != nil {
		return JoinResult{Err: err, MemberID: j.MemberID, Generation: -1}
	}
	if r.Err != nil && r.Generation == 0 {
		r.Generation = -1
	}
	return r
}

// Sync gives a member its assignment, and returns when the leader has given it.
func (c *Coordinator) Sync(ctx context.Context, q *Sync) SyncResult {
	r, err := on(ctx, c, q.Group, true, func(s *shard, answer func(SyncResult)) { s.sync(q, answer) })
	switch {
	case err == nil:
		return r
	case err == kerr.CoordinatorLoadInProgress: // the rebalance is not known any more: the member has to join again
		err = kerr.RebalanceInProgress
	}
	return SyncResult{Err: err}
}

// Heartbeat keeps a member in its group.
func (c *Coordinator) Heartbeat(ctx context.Context, group, member string, instance *string, generation int32) error {
	outcome, err := on(ctx, c, group, true, func(s *shard, answer func(error)) { answer(s.beat(group, member, instance, generation)) })
	switch {
	case err == nil:
		return outcome
	case err == kerr.CoordinatorLoadInProgress: // it will be known when the group is
		return nil
	}
	return err
}

// Leave takes members out; the outcome of each is in its Err.
func (c *Coordinator) Leave(ctx context.Context, group string, list []Leaver) error {
	_, err := on(ctx, c, group, true, func(s *shard, answer func(struct{})) {
		s.leave(group, list)
		answer(struct{}{})
	})
	return err
}

// Commit commits offsets, and returns when they are replicated; the outcome of each is in its Err.
func (c *Coordinator) Commit(ctx context.Context, q *Commit) {
	work := *q
	work.Offsets = slices.Clone(q.Offsets) // the shard's until it answers
	got, err := on(ctx, c, q.Group, false, func(s *shard, answer func([]CommitOffset)) {
		s.commit(&work, func() { answer(work.Offsets) })
	})
	for i := range q.Offsets {
		if err != nil {
			q.Offsets[i].Err = err
		} else {
			q.Offsets[i].Err = got[i].Err
		}
	}
}

// Part names a partition of a topic.
type Part struct {
	Topic     string
	Partition int32
}

// FetchAs names the member that fetches offsets; MemberID is nil if it does not say.
type FetchAs struct {
	MemberID *string
	Epoch    int32
}

// Fetch gives the committed offsets of partitions, or all with nil. A member of a modern group must be in its epoch. With stable, those that may change at any moment
// have UNSTABLE_OFFSET_COMMIT.
func (c *Coordinator) Fetch(ctx context.Context, group string, as FetchAs, parts []Part, stable bool) ([]Fetched, error) {
	var list []topicPart
	if parts != nil {
		list = make([]topicPart, 0, len(parts))
		for _, p := range parts {
			list = append(list, topicPart{p.Topic, p.Partition})
		}
	}
	type outcome struct {
		list []Fetched
		err  error
	}
	r, err := on(ctx, c, group, false, func(s *shard, answer func(outcome)) {
		if err := s.mayFetch(group, as); err != nil {
			answer(outcome{err: err})
			return
		}
		answer(outcome{list: s.fetch(group, list, stable)})
	})
	if err == nil {
		err = r.err
	}
	return r.list, err
}

// DeleteOffsets removes committed offsets; each has its own outcome.
func (c *Coordinator) DeleteOffsets(ctx context.Context, group string, parts []Part) ([]error, error) {
	type outcome struct {
		all  error
		each []error
	}
	var list []topicPart
	for _, p := range parts {
		list = append(list, topicPart{p.Topic, p.Partition})
	}
	r, err := on(ctx, c, group, true, func(s *shard, answer func(outcome)) {
		s.deleteOffsets(group, list, func(all error, each []error) { answer(outcome{all, each}) })
	})
	if err == nil {
		err = r.all
	}
	return r.each, err
}

// Delete deletes a group without members.
func (c *Coordinator) Delete(ctx context.Context, group string) error {
	outcome, err := on(ctx, c, group, false, func(s *shard, answer func(error)) { s.delete(group, answer) })
	if err == nil {
		err = outcome
	}
	return err
}

// Overview is a group in a list.
type Overview struct {
	Group        string
	ProtocolType string
	State        State
	Type         string // "classic" or "consumer"
}

// List lists the groups of this broker, by name. It is kerr.CoordinatorLoadInProgress, with what there is, while some are being loaded.
func (c *Coordinator) List(ctx context.Context) ([]Overview, error) {
	ids, loading := c.rt.Active()
	var out []Overview
	for _, id := range ids {
		answers := make(chan []Overview, 1)
		over, err := c.rt.Do(id, func(m coordinator.Machine) {
			var list []Overview
			for _, g := range m.(*shard).groups {
				o := Overview{Group: g.id, State: g.state, Type: classicGroupTyped}
				if g.modern != nil {
					o.State, o.Type = g.modern.state(), consumerGroupTyped
				}
				if g.protocolType != nil {
					o.ProtocolType = *g.protocolType
				}
				list = append(list, o)
			}
			answers <- list
		})
		if err != nil {
			continue // given up since
		}
		select {
		case list := <-answers:
			out = append(out, list...)
		case <-over:
		case <-ctx.Done():
			return out, kerr.CoordinatorNotAvailable
		}
	}
	slices.SortFunc(out, func(a, b Overview) int { return cmp.Compare(a.Group, b.Group) })
	if loading {
		return out, kerr.CoordinatorLoadInProgress
	}
	return out, nil
}

// Description is a group with its members.
type Description struct {
	State        State
	ProtocolType string
	Protocol     string
	Members      []MemberDescription
}

// MemberDescription is a member of a described group; metadata and assignment are those of a stable group.
type MemberDescription struct {
	ID             string
	Instance       *string
	ClientID, Host string
	Metadata       []byte
	Assignment     []byte
}

// Describe describes a group; one that is not there is Dead.
func (c *Coordinator) Describe(ctx context.Context, group string) (Description, error) {
	return on(ctx, c, group, false, func(s *shard, answer func(Description)) {
		g := s.groups[group]
		if g == nil || g.modern != nil {
			answer(Description{State: Dead})
			return
		}
		d := Description{State: g.state}
		if g.protocolType != nil {
			d.ProtocolType = *g.protocolType
		}
		if g.is(Stable) && g.protocol != nil {
			d.Protocol = *g.protocol
		}
		for _, m := range g.sorted() {
			md := MemberDescription{ID: m.id, Instance: m.instance, ClientID: m.clientID, Host: m.host}
			if g.is(Stable) && g.protocol != nil {
				md.Metadata, md.Assignment = m.metadata(*g.protocol), m.assignment
			}
			d.Members = append(d.Members, md)
		}
		answer(d)
	})
}

// TopicsDeleted removes the offsets of topics that are gone. It does not block.
func (c *Coordinator) TopicsDeleted(names []string) {
	gone := map[string]bool{}
	for _, n := range names {
		gone[n] = true
	}
	ids, _ := c.rt.Active()
	for _, id := range ids {
		_, _ = c.rt.Do(id, func(m coordinator.Machine) { m.(*shard).topicsDeleted(gone) }) // a partition that was given up is another's affair
	}
}
