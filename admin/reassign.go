package admin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/internal/clock"
	"gokafka/internal/show"
)

// Move is a reassignment that is under way.
type Move struct {
	Topic     string  `json:"topic"`
	Partition int32   `json:"partition"`
	Replicas  []int32 `json:"replicas"`
	Adding    []int32 `json:"adding"`
	Removing  []int32 `json:"removing"`
}

// Moves is the reassignments that are under way.
type Moves []Move

// Table is a show.View.
func (ms Moves) Table() show.Table {
	t := show.Table{Header: []string{"TOPIC", "PARTITION", "REPLICAS", "ADDING", "REMOVING"}}
	for _, m := range ms {
		t.Add(m.Topic, itoa(m.Partition), ids(m.Replicas), ids(m.Adding), ids(m.Removing))
	}
	return t
}

// ListMoves lists the reassignments that are under way.
func ListMoves(ctx context.Context, o Options) (Moves, error) {
	return do(ctx, o, moves)
}

func moves(ctx context.Context, c conn) (Moves, error) {
	req := kmsg.NewPtrListPartitionReassignmentsRequest()
	resp, err := req.RequestWith(ctx, c.requests)
	if err == nil {
		err = answered(resp.ErrorCode, resp.ErrorMessage)
	}
	if err != nil {
		return nil, err
	}
	out := Moves{}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			out = append(out, Move{t.Topic, p.Partition, p.Replicas, p.AddingReplicas, p.RemovingReplicas})
		}
	}
	slices.SortFunc(out, func(a, b Move) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return out, nil
}

func answered(code int16, message *string) error {
	err := kerr.ErrorForCode(code)
	if err != nil && message != nil {
		return fmt.Errorf("%w: %s", err, *message)
	}
	return err
}

func (ms Moves) of(tp TopicPartition) *Move {
	for i := range ms {
		if ms[i].Topic == tp.Topic && ms[i].Partition == tp.Partition {
			return &ms[i]
		}
	}
	return nil
}

// Start says how a plan is begun.
type Start struct {
	Plan       *Plan
	Additional bool  // also while others are under way
	Throttle   int64 // bytes a second between brokers; 0 = none is set. Verify takes it away.
	DirRate    int64 // bytes a second between log directories of a broker; 0 = none is set
}

// Started is what was there before, to go back to, and what was begun.
type Started struct {
	Previous *Plan   `json:"previous"`
	Results  Results `json:"results"`
}

// Err is Results.Err.
func (s Started) Err() error { return s.Results.Err() }

// Table is a show.View.
func (s Started) Table() show.Table {
	t := show.Table{Header: []string{"TOPIC", "PARTITION", "REPLICAS BEFORE"}}
	for _, p := range s.Previous.Partitions {
		t.Add(p.Topic, itoa(p.Partition), ids(p.Replicas))
	}
	next := s.Results.Table()
	t.Next = &next
	return t
}

// errBusy as kafka-reassign-partitions.sh has it: who does not know of the others should not add to them.
var errBusy = errors.New("other reassignments are under way; a plan beside them must be asked for")

// StartPlan begins a plan (Kafka 3.9 ReassignPartitionsCommand.executeAssignment).
func StartPlan(ctx context.Context, o Options, s Start) (Started, error) {
	return do(ctx, o, func(ctx context.Context, c conn) (Started, error) {
		out := Started{Previous: &Plan{Version: 1}}
		underWay, err := moves(ctx, c)
		if err != nil {
			return out, err
		}
		if len(underWay) > 0 && !s.Additional {
			return out, errBusy
		}
		if out.Previous, err = current(ctx, c, s.Plan); err != nil {
			return out, err
		}
		if s.Throttle > 0 {
			if err := throttle(ctx, c, moved(underWay, s.Plan, out.Previous), s.Throttle); err != nil {
				return out, err
			}
		}
		if s.DirRate > 0 {
			if err := setBrokers(ctx, c, s.Plan.dirBrokers(), map[string]string{dirRate: itoa(s.DirRate)}); err != nil {
				return out, err
			}
		}
		targets := map[TopicPartition][]int32{}
		for _, p := range s.Plan.Partitions {
			targets[p.tp()] = p.Replicas
		}
		if out.Results, err = alter(ctx, c, o, targets, "begun"); err != nil || out.Results.Err() != nil {
			return out, err
		}
		dirs, err := moveDirs(ctx, c, s.Plan.dirMoves(), clock.New())
		out.Results = append(out.Results, dirs...)
		return out, err
	})
}

// current is the state of a plan's partitions, as a plan. A broker or partition that is not there is an error.
func current(ctx context.Context, c conn, p *Plan) (*Plan, error) {
	md, err := c.Metadata(ctx, p.topics()...)
	if err != nil {
		return nil, err
	}
	live := md.Brokers.NodeIDs()
	now := &Plan{Version: 1}
	for _, part := range p.Partitions {
		for _, r := range part.Replicas {
			if !slices.Contains(live, r) {
				return nil, fmt.Errorf("%s: broker %d is not there", part.tp(), r)
			}
		}
		t := md.Topics[part.Topic]
		if t.Err != nil {
			return nil, fmt.Errorf("topic %s: %w", part.Topic, t.Err)
		}
		d, ok := t.Partitions[part.Partition]
		if !ok {
			return nil, fmt.Errorf("%s: %w", part.tp(), kerr.UnknownTopicOrPartition)
		}
		now.Partitions = append(now.Partitions, PlanPartition{Topic: part.Topic, Partition: part.Partition, Replicas: d.Replicas})
	}
	now.sort()
	return now, nil
}

// alter sends targets; nil replicas cancel.
func alter(ctx context.Context, c conn, o Options, targets map[TopicPartition][]int32, done string) (Results, error) {
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	req.TimeoutMillis = int32(o.Timeout.Milliseconds())
	byTopic := map[string][]kmsg.AlterPartitionAssignmentsRequestTopicPartition{}
	for tp, replicas := range targets {
		p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
		p.Partition, p.Replicas = tp.Partition, replicas
		byTopic[tp.Topic] = append(byTopic[tp.Topic], p)
	}
	for name, list := range byTopic {
		t := kmsg.NewAlterPartitionAssignmentsRequestTopic()
		t.Topic, t.Partitions = name, list
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, c.requests)
	if err == nil {
		err = answered(resp.ErrorCode, resp.ErrorMessage)
	}
	if err != nil {
		return nil, err
	}
	out := Results{}
	for _, t := range resp.Topics {
		for _, p := range t.Partitions {
			out = append(out, result(TopicPartition{t.Topic, p.Partition}.String(), done, kerr.ErrorForCode(p.ErrorCode), deref(p.ErrorMessage)))
		}
	}
	return out.sorted(), nil
}

// CancelPlan ends those of a plan's reassignments that are under way, and takes throttles away unless they shall stay.
func CancelPlan(ctx context.Context, o Options, p *Plan, keepThrottles bool) (Results, error) {
	return do(ctx, o, func(ctx context.Context, c conn) (Results, error) {
		underWay, err := moves(ctx, c)
		if err != nil {
			return nil, err
		}
		targets := map[TopicPartition][]int32{}
		out := Results{}
		for _, part := range p.Partitions {
			if underWay.of(part.tp()) != nil {
				targets[part.tp()] = nil
			} else {
				out = append(out, Result{Of: part.tp().String(), Done: "not under way"})
			}
		}
		if len(targets) > 0 {
			cancelled, err := alter(ctx, c, o, targets, "cancelled")
			if err != nil {
				return nil, err
			}
			out = append(out, cancelled...)
		}
		back, err := c.movesBack(ctx, p.dirMoves())
		if err != nil {
			return nil, err
		}
		dirs, err := moveDirs(ctx, c, back, clock.New())
		out = append(out, dirs...)
		if err == nil && !keepThrottles {
			err = unthrottle(ctx, c, p.topics())
		}
		return out.sorted(), err
	})
}

// Progress is how far a plan is.
type Progress []ProgressOf

// ProgressOf is how far a partition or a replica's directory of a plan is.
type ProgressOf struct {
	Of    string `json:"of"`
	State string `json:"state"`
	Done  bool   `json:"done"` // it is as planned
}

// Table is a show.View.
func (ps Progress) Table() show.Table {
	t := show.Table{Header: []string{"OF", "STATE"}}
	for _, p := range ps {
		t.Add(p.Of, p.State)
	}
	return t
}

// Err says that not all is as planned.
func (ps Progress) Err() error {
	left := 0
	for _, p := range ps {
		if !p.Done {
			left++
		}
	}
	if left == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d are not as planned", left, len(ps))
}

// VerifyPlan tells how far a plan is. When nothing of the cluster is being moved any more, it takes throttles away unless they shall stay.
func VerifyPlan(ctx context.Context, o Options, p *Plan, keepThrottles bool) (Progress, error) {
	return do(ctx, o, func(ctx context.Context, c conn) (Progress, error) {
		underWay, err := moves(ctx, c)
		if err != nil {
			return nil, err
		}
		md, err := c.Metadata(ctx, p.topics()...)
		if err != nil {
			return nil, err
		}
		out := Progress{}
		for _, part := range p.Partitions {
			x := ProgressOf{Of: part.tp().String()}
			t := md.Topics[part.Topic]
			d, ok := t.Partitions[part.Partition]
			switch {
			case underWay.of(part.tp()) != nil:
				x.State = "under way"
			case t.Err != nil || !ok:
				x.State = "the partition does not exist"
			case slices.Equal(d.Replicas, part.Replicas):
				x.State, x.Done = "done", true
			default:
				x.State = "not under way, but the replicas are " + ids(d.Replicas)
			}
			out = append(out, x)
		}
		dirs, dirsMove, err := c.dirProgress(ctx, p.dirMoves())
		if err != nil {
			return nil, err
		}
		out = append(out, dirs...)
		if len(underWay) == 0 && !dirsMove && !keepThrottles {
			err = unthrottle(ctx, c, p.topics())
		}
		return out, err
	})
}

// pause between tries of what a broker is not ready for.
const pause = 100 * time.Millisecond

// replica is a replica on a broker.
type replica struct {
	TopicPartition
	broker int32
}

func (r replica) String() string { return r.TopicPartition.String() + " on broker " + itoa(r.broker) }

// dirMoves are the replicas for which a plan names a directory.
func (p *Plan) dirMoves() map[replica]string {
	out := map[replica]string{}
	for _, part := range p.Partitions {
		for i, dir := range part.LogDirs {
			if dir != anyDir {
				out[replica{part.tp(), part.Replicas[i]}] = dir
			}
		}
	}
	return out
}

func (p *Plan) dirBrokers() []int32 {
	var out []int32
	for r := range p.dirMoves() {
		out = append(out, r.broker)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// moveDirs asks brokers to put replicas into directories. A replica that is not there yet is asked for again, until ctx ends.
func moveDirs(ctx context.Context, c conn, wanted map[replica]string, clk *clock.Clock) (Results, error) {
	out := Results{}
	for len(wanted) > 0 {
		req := map[int32]kadm.AlterReplicaLogDirsReq{}
		for r, dir := range wanted {
			if req[r.broker] == nil {
				req[r.broker] = kadm.AlterReplicaLogDirsReq{}
			}
			one := kadm.TopicsSet{}
			one.Add(r.Topic, r.Partition)
			q := req[r.broker]
			q.Add(dir, one)
		}
		for id, q := range req {
			resps, err := c.AlterBrokerReplicaLogDirs(ctx, id, q)
			if err != nil {
				return out, fmt.Errorf("broker %d: %w", id, err)
			}
			resps.Each(func(a kadm.AlterReplicaLogDirsResponse) {
				r := replica{TopicPartition{a.Topic, a.Partition}, id}
				if errors.Is(a.Err, kerr.ReplicaNotAvailable) {
					return
				}
				out = append(out, result(r.String(), "moves to "+wanted[r], a.Err, ""))
				delete(wanted, r)
			})
		}
		if len(wanted) == 0 {
			break
		}
		if clk.Sleep(ctx, pause) != nil {
			for r := range wanted {
				out = append(out, Result{Of: r.String(), Error: "the replica did not come in time"})
			}
			break
		}
	}
	return out.sorted(), nil
}
