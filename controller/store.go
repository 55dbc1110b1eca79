package controller

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"

	"gokafka/coordination"
	"gokafka/coordination/znode"
	"gokafka/metadata"
)

// store is the controller's view of ZooKeeper: one generation of the session, and the won election that all writes prove.
// The event loop owns it.
type store struct {
	g   *coordination.Generation
	log *slog.Logger
	won *znode.Controllership
}

// controllerID reads who is controller and arms the watch; noController if nobody.
func (s *store) controllerID(ctx context.Context) (int32, error) {
	cur, ok, err := znode.ReadController(ctx, s.g, true)
	if err != nil || !ok {
		return noController, err
	}
	return cur.BrokerID, nil
}

func (s *store) elect(ctx context.Context, brokerID int32, nowMs int64) error {
	won, err := znode.Elect(ctx, s.g, brokerID, nowMs)
	if err == nil {
		s.won = won
	}
	return err
}

func (s *store) seize(ctx context.Context, brokerID int32, nowMs int64, dead func(id int32, epoch int64) bool) error {
	won, err := znode.Seize(ctx, s.g, brokerID, nowMs, dead)
	if err == nil {
		s.won = won
	}
	return err
}

// dropOwnController deletes /controller if this session holds it, without the epoch check.
func (s *store) dropOwnController(ctx context.Context) error {
	cur, ok, err := znode.ReadController(ctx, s.g, true)
	if err != nil || !ok || cur.Owner != s.g.ID() {
		return err
	}
	if err := s.g.Delete(ctx, znode.ControllerPath, cur.ZkVersion); err != nil && !errors.Is(err, coordination.ErrNoNode) {
		return err
	}
	return nil
}

func (s *store) topics(ctx context.Context) ([]string, error) {
	return znode.ListTopics(ctx, s.g, true)
}

// assignments reads topics and arms the watches on them; those that do not exist are left out.
func (s *store) assignments(ctx context.Context, names []string) (map[string]*topicNode, error) {
	topics, err := oneByOne(names, func(names []string) ([]znode.Topic, error) {
		return znode.ReadTopics(ctx, s.g, names, true)
	}, func(err error) []znode.Topic {
		s.log.Error("ignoring a topic", "error", err)
		return nil
	})
	if err != nil {
		return nil, err
	}
	out := make(map[string]*topicNode, len(topics))
	for _, t := range topics {
		n := &topicNode{name: t.Name, id: t.ID, partitions: make(map[int32]Assignment, len(t.Partitions))}
		for index, a := range t.Partitions {
			n.partitions[index] = Assignment(a)
		}
		out[t.Name] = n
	}
	return out, nil
}

func topicOf(name string, id metadata.TopicID, partitions map[int32]Assignment) znode.Topic {
	t := znode.Topic{Name: name, ID: id, Partitions: make(map[int32]znode.Assignment, len(partitions))}
	for index, a := range partitions {
		t.Partitions[index] = znode.Assignment(a)
	}
	return t
}

// giveTopicIDs stores ids for the topics that have none.
func (s *store) giveTopicIDs(ctx context.Context, nodes map[string]*topicNode) error {
	var ops []coordination.Op
	for _, name := range sortedKeys(nodes) {
		if n := nodes[name]; n.id.IsZero() {
			n.id = metadata.NewTopicID()
			ops = append(ops, znode.SetTopicOp(topicOf(name, n.id, n.partitions)))
		}
	}
	results, err := s.won.WriteMany(ctx, ops)
	if err != nil {
		return err
	}
	for _, r := range results {
		if r.Err != nil && !errors.Is(r.Err, coordination.ErrNoNode) { // deleted meanwhile: TopicChange is on its way
			return fmt.Errorf("give a topic its id: %w", r.Err)
		}
	}
	return nil
}

func (s *store) setTopic(ctx context.Context, name string, id metadata.TopicID, partitions map[int32]Assignment) error {
	_, err := s.won.Write(ctx, znode.SetTopicOp(topicOf(name, id, partitions)))
	return err
}

// states reads the leadership of partitions; nil where none is stored.
func (s *store) states(ctx context.Context, ps []*partition) ([]*metadata.PartitionState, error) {
	tps := make([]metadata.TopicPartition, len(ps))
	for i, p := range ps {
		tps[i] = p.tp
	}
	read, err := oneByOne(tps, func(tps []metadata.TopicPartition) ([]znode.StateResult, error) {
		return znode.ReadStates(ctx, s.g, tps)
	}, func(err error) []znode.StateResult {
		s.log.Error("ignoring a partition state", "error", err)
		return make([]znode.StateResult, 1)
	})
	if err != nil {
		return nil, err
	}
	out := make([]*metadata.PartitionState, len(ps))
	for i, r := range read {
		if r.OK {
			out[i] = &r.State
		}
	}
	return out, nil
}

// oneByOne reads many at once, and singly if one of them is malformed, so that a broken znode costs its own topic or
// partition and not the cluster its controller.
func oneByOne[K, V any](keys []K, read func([]K) ([]V, error), instead func(error) []V) ([]V, error) {
	out, err := read(keys)
	if !isMalformed(err) {
		return out, err
	}
	for i := range keys {
		one, err := read(keys[i : i+1])
		if isMalformed(err) {
			one, err = instead(err), nil
		}
		if err != nil {
			return nil, err
		}
		out = append(out, one...)
	}
	return out, nil
}

// writeStates stores partition states, each by its own epoch-checked transaction, pipelined; results are by index.
// Partitions whose stored state had moved on come back with what is stored now.
func (s *store) writeStates(ctx context.Context, writes []stateWrite) ([]stateResult, error) {
	if len(writes) == 0 {
		return nil, nil
	}
	var creates []znode.PartitionState
	var sets []coordination.Op
	var createAt, setAt []int
	for i, w := range writes {
		next := w.next
		if w.old == nil {
			creates, createAt = append(creates, znode.PartitionState{TopicPartition: w.p.tp, State: next}), append(createAt, i)
			continue
		}
		next.PartitionEpoch = w.old.PartitionEpoch
		sets, setAt = append(sets, znode.SetStateOp(w.p.tp, next)), append(setAt, i)
	}
	out := make([]stateResult, len(writes))
	if len(creates) > 0 {
		results, err := s.won.CreateStates(ctx, creates)
		if err != nil {
			return nil, err
		}
		for j, r := range results {
			out[createAt[j]] = stateResult{err: r.Err}
		}
	}
	results, err := s.won.WriteMany(ctx, sets)
	if err != nil {
		return nil, err
	}
	var stale []int
	for j, r := range results {
		i := setAt[j]
		switch {
		case r.Err == nil:
			out[i].epoch = r.Stat.Version
		case errors.Is(r.Err, coordination.ErrBadVersion):
			stale = append(stale, i)
		default:
			out[i].err = r.Err
		}
	}
	return out, s.reread(ctx, writes, stale, out)
}

func (s *store) reread(ctx context.Context, writes []stateWrite, stale []int, out []stateResult) error {
	if len(stale) == 0 {
		return nil
	}
	ps := make([]*partition, len(stale))
	for j, i := range stale {
		ps[j] = writes[i].p
	}
	fresh, err := s.states(ctx, ps)
	if err != nil {
		return err
	}
	for j, i := range stale {
		if out[i].fresh = fresh[j]; fresh[j] == nil {
			out[i].err = fmt.Errorf("%w: no leadership stored", errStateChange)
		}
	}
	return nil
}

// deleteTopic removes all znodes of a topic, the mark for deletion last. The partitions' nodes go many at a time, where
// Apache walks them one by one.
func (s *store) deleteTopic(ctx context.Context, name string) error {
	indexes, err := s.g.Children(ctx, znode.PartitionsPath(name))
	if err != nil && !errors.Is(err, coordination.ErrNoNode) {
		return err
	}
	var states, dirs []string
	for _, index := range indexes {
		if n, err := strconv.ParseInt(index, 10, 32); err == nil {
			tp := metadata.TopicPartition{Topic: name, Partition: int32(n)}
			states, dirs = append(states, znode.StatePath(tp)), append(dirs, znode.PartitionPath(tp))
		}
	}
	if err := s.won.DeleteMany(ctx, states); err != nil {
		return err
	}
	if err := s.won.DeleteMany(ctx, dirs); err != nil && !errors.Is(err, coordination.ErrNotEmpty) {
		return err
	}
	return s.won.DeleteTopic(ctx, name)
}
