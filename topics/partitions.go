package topics

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/coordination"
	"gokafka/coordination/znode"
	"gokafka/metadata"
)

// Extension asks for more partitions of a topic.
type Extension struct {
	Name  string
	Count int32 // new total
	// Assignments, if not nil, are the replicas of the added partitions in order.
	Assignments [][]int32
}

// addTries bounds the rounds against others who write the topic's znode.
const addTries = 20

// AddPartitions extends a topic, or with validateOnly says whether it could be extended, and returns the new total. It
// does not wait for leaders.
// Source: Kafka 3.9 ZkAdminManager.createPartitions, AdminZkClient.createNewPartitionsAssignment. (Apache writes the
// znode whatever its version; here it is a compare and set, so that a reassignment that begins meanwhile is not undone.)
func (m *Manager) AddPartitions(ctx context.Context, e Extension, validateOnly bool) (int32, error) {
	if ValidateName(e.Name) != nil {
		return 0, doesNotExist(e.Name) // and would make a path of its own
	}
	g, err := m.generation(ctx)
	if err != nil {
		return 0, err
	}
	marked, err := znode.IsMarkedForDeletion(ctx, g, e.Name)
	if err != nil {
		return 0, fmt.Errorf("add partitions to %s: %w", e.Name, err)
	}
	if marked {
		return 0, refuse(kerr.InvalidTopicException, "The topic is queued for deletion.")
	}
	brokers, err := registeredBrokers(ctx, g)
	if err != nil {
		return 0, fmt.Errorf("add partitions to %s: %w", e.Name, err)
	}
	for range addTries {
		var t znode.Topic
		if t, err = m.extended(ctx, g, e, brokers); err != nil || validateOnly {
			break
		}
		_, err = g.Set(ctx, znode.TopicPath(t.Name), znode.EncodeTopic(t.ID, t.Partitions), t.ZkVersion)
		if errors.Is(err, coordination.ErrBadVersion) && coordination.MaybeApplied(err) && wasWritten(ctx, g, t) {
			err = nil
		}
		if !errors.Is(err, coordination.ErrBadVersion) {
			break
		}
	}
	switch {
	case errors.Is(err, coordination.ErrNoNode):
		return 0, doesNotExist(e.Name)
	case errors.Is(err, coordination.ErrTooLarge):
		return 0, refuse(kerr.InvalidPartitions, "The assignment does not fit into a ZooKeeper request: %v", err)
	case err != nil:
		var refused *Error
		if errors.As(err, &refused) {
			return 0, err
		}
		return 0, fmt.Errorf("add partitions to %s: %w", e.Name, err)
	}
	return e.Count, nil
}

func doesNotExist(name string) error {
	return refuse(kerr.UnknownTopicOrPartition, "The topic '%s' does not exist.", name)
}

// wasWritten says whether the topic is as our own write, whose reply was lost, would have left it.
func wasWritten(ctx context.Context, g *coordination.Generation, t znode.Topic) bool {
	cur, ok, err := znode.ReadTopic(ctx, g, t.Name)
	return err == nil && ok && cur.ID == t.ID && maps.EqualFunc(cur.Partitions, t.Partitions,
		func(a, b znode.Assignment) bool {
			return slices.Equal(a.Replicas, b.Replicas) && slices.Equal(a.Adding, b.Adding) && slices.Equal(a.Removing, b.Removing)
		})
}

// extended reads the topic and returns it with the added partitions.
func (m *Manager) extended(ctx context.Context, g *coordination.Generation, e Extension, brokers []metadata.Broker) (znode.Topic, error) {
	t, ok, err := znode.ReadTopic(ctx, g, e.Name)
	if err != nil {
		return t, err
	}
	if !ok || len(t.Partitions) == 0 {
		return t, doesNotExist(e.Name)
	}
	for _, a := range t.Partitions {
		if a.Reassigning() {
			return t, refuse(kerr.ReassignmentInProgress, "A partition reassignment is in progress for the topic '%s'.", e.Name)
		}
	}
	have := int32(len(t.Partitions))
	switch {
	case e.Count < have:
		return t, refuse(kerr.InvalidPartitions, "Topic currently has %d partitions, which is higher than the requested %d.",
			have, e.Count)
	case e.Count == have:
		return t, refuse(kerr.InvalidPartitions, "Topic already has %d partitions.", have)
	}
	first, ok := t.Partitions[0]
	if !ok || len(first.Replicas) == 0 {
		return t, fmt.Errorf("partition 0 of topic %s has no replicas in its znode", e.Name)
	}
	added, err := m.addedReplicas(e, brokers, first.Replicas, have)
	if err != nil {
		return t, err
	}
	for i, replicas := range added {
		t.Partitions[have+int32(i)] = znode.Assignment{Replicas: replicas}
	}
	return t, nil
}

func (m *Manager) addedReplicas(e Extension, brokers []metadata.Broker, first []int32, have int32) ([][]int32, error) {
	if e.Assignments != nil {
		return e.Assignments, checkAdded(e, brokers, len(first), have)
	}
	if err := m.checkFits(e.Count, int32(len(first))); err != nil {
		return nil, err
	}
	start := max(0, slices.IndexFunc(brokers, func(b metadata.Broker) bool { return b.ID >= first[0] }))
	return Assign(brokers, e.Count-have, int32(len(first)), Start{Index: start, Fixed: true, Partition: have}, nil)
}

// checkAdded checks assignments that the client gave; unlike at creation, brokers must exist.
func checkAdded(e Extension, brokers []metadata.Broker, rf int, have int32) error {
	known := make(map[int32]bool, len(brokers))
	for _, b := range brokers {
		known[b.ID] = true
	}
	var unknown []int32
	for _, replicas := range e.Assignments {
		for _, id := range replicas {
			if !known[id] && !slices.Contains(unknown, id) {
				unknown = append(unknown, id)
			}
		}
	}
	if unknown != nil {
		return refuse(kerr.InvalidReplicaAssignment, "Unknown broker(s) in replica assignment: %s.", joinIDs(unknown, ", "))
	}
	if want := e.Count - have; len(e.Assignments) != int(want) {
		return refuse(kerr.InvalidReplicaAssignment, "Increasing the number of partitions by %d but %d assignments provided.",
			want, len(e.Assignments))
	}
	var badPartitions, badFactors []int32
	for i, replicas := range e.Assignments {
		p := have + int32(i)
		switch {
		case len(replicas) == 0:
			return refuse(kerr.InvalidReplicaAssignment, "Cannot have replication factor of 0 for partition id %d.", p)
		case hasDuplicates(replicas):
			return refuse(kerr.InvalidReplicaAssignment, "Duplicate brokers not allowed in replica assignment: "+
				"%s for partition id %d.", joinIDs(replicas, ", "), p)
		case len(replicas) != rf:
			badPartitions, badFactors = append(badPartitions, p), append(badFactors, int32(len(replicas)))
		}
	}
	if badPartitions != nil {
		return refuse(kerr.InvalidReplicaAssignment, "Inconsistent replication factor between partitions, partition 0 has "+
			"%d while partitions [%s] have replication factors [%s], respectively.",
			rf, joinIDs(badPartitions, ", "), joinIDs(badFactors, ", "))
	}
	return nil
}

// registeredBrokers are those in ZooKeeper, by id.
func registeredBrokers(ctx context.Context, g *coordination.Generation) ([]metadata.Broker, error) {
	ids, err := znode.ListBrokers(ctx, g, false)
	if err != nil {
		return nil, err
	}
	slices.Sort(ids)
	rs, bad, err := znode.ReadBrokers(ctx, g, ids)
	if err != nil {
		return nil, err
	}
	if bad != nil {
		return nil, errors.Join(bad...)
	}
	out := make([]metadata.Broker, len(rs))
	withRack := 0
	for i, r := range rs {
		out[i] = r.Broker
		if r.Broker.Rack != "" {
			withRack++
		}
	}
	if withRack > 0 && withRack < len(out) {
		return nil, errMixedRacks
	}
	return out, nil
}
