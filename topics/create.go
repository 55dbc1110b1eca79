package topics

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/coordination"
	"gokafka/coordination/znode"
	"gokafka/metadata"
)

// UseDefault as a number of partitions or a replication factor means the broker's num.partitions and
// default.replication.factor (KIP-464).
const UseDefault = -1

// Spec is a topic to make.
type Spec struct {
	Name              string
	Partitions        int32 // or UseDefault
	ReplicationFactor int16 // or UseDefault
	// Assignments, if not empty, say where replicas go; Partitions and ReplicationFactor must then be UseDefault.
	Assignments []PartitionAssignment
	Configs     []ConfigEntry
}

// PartitionAssignment places one partition.
type PartitionAssignment struct {
	Partition int32
	Replicas  []int32
}

// ConfigEntry is a config override; a nil value is refused.
type ConfigEntry struct {
	Name  string
	Value *string
}

// Created is a topic that was made, or would have been.
type Created struct {
	Name              string
	ID                metadata.TopicID // zero if it was validated only
	Replicas          [][]int32        // by partition
	Configs           map[string]string
	ReplicationFactor int16
}

// CheckRequest returns the refusals that come from a CreateTopics request as a whole, by topic name: names that appear
// twice and the name of KRaft's log.
func CheckRequest(names []string) map[string]error {
	out := make(map[string]error)
	seen := make(map[string]bool, len(names))
	for _, n := range names {
		switch {
		case n == ClusterMetadata:
			out[n] = refuse(kerr.InvalidRequest, "Creation of internal topic %s is prohibited.", ClusterMetadata)
		case seen[n]:
			out[n] = refuse(kerr.InvalidRequest, "Found multiple entries for this topic.")
		}
		seen[n] = true
	}
	return out
}

// Create makes a topic, or with validateOnly says whether it could be made. It does not wait for leaders.
// Source: Kafka 3.9 ZkAdminManager.createTopics, AdminZkClient.validateTopicCreate; checks are in their order.
func (m *Manager) Create(ctx context.Context, s Spec, validateOnly bool) (*Created, error) {
	if m.o.Image().Topic(s.Name) != nil {
		return nil, alreadyExists(s.Name)
	}
	configs, err := configMap(s.Configs)
	if err != nil {
		return nil, err
	}
	assignment, err := m.assignment(s)
	if err != nil {
		return nil, err
	}
	g, err := m.generation(ctx)
	if err != nil {
		return nil, err
	}
	if err := validateCreate(ctx, g, s.Name, assignment); err != nil {
		return nil, err
	}
	if err := m.o.Config().ValidateTopic(configs); err != nil {
		return nil, err
	}
	c := &Created{Name: s.Name, Configs: configs, Replicas: make([][]int32, len(assignment)),
		ReplicationFactor: int16(len(assignment[0]))}
	for p, replicas := range assignment {
		c.Replicas[p] = replicas
	}
	if validateOnly {
		return c, nil
	}
	c.ID = metadata.NewTopicID()
	return c, m.write(ctx, g, c)
}

func alreadyExists(name string) error {
	return refuse(kerr.TopicAlreadyExists, "Topic '%s' already exists.", name)
}

func configMap(entries []ConfigEntry) (map[string]string, error) {
	out := make(map[string]string, len(entries))
	var null []string
	for _, e := range entries {
		if e.Value == nil {
			null = append(null, e.Name)
			continue
		}
		out[e.Name] = *e.Value
	}
	if null != nil {
		return nil, refuse(kerr.InvalidConfig, "Null value not supported for topic configs: %s", strings.Join(null, ","))
	}
	return out, nil
}

// assignment returns the replicas by partition, as given or spread over the live brokers. Replicas that are given may
// name brokers that do not exist.
func (m *Manager) assignment(s Spec) (map[int32][]int32, error) {
	if len(s.Assignments) > 0 {
		if s.Partitions != UseDefault || s.ReplicationFactor != UseDefault {
			return nil, refuse(kerr.InvalidRequest, "Both numPartitions or replicationFactor and replicasAssignments "+
				"were set. Both cannot be used at the same time.")
		}
		out := make(map[int32][]int32, len(s.Assignments))
		for _, a := range s.Assignments {
			out[a.Partition] = a.Replicas
		}
		return out, nil
	}
	partitions, rf := s.Partitions, int32(s.ReplicationFactor)
	if partitions == UseDefault {
		partitions = m.o.Config().NumPartitions
	}
	if rf == UseDefault {
		rf = m.o.Config().DefaultReplicationFactor
	}
	if err := m.checkFits(partitions, rf); err != nil {
		return nil, err
	}
	replicas, err := Assign(m.liveBrokers(), partitions, rf, Start{}, m.o.Random)
	if err != nil {
		return nil, err
	}
	out := make(map[int32][]int32, len(replicas))
	for p, r := range replicas {
		out[int32(p)] = r
	}
	return out, nil
}

// checkFits refuses a number of partitions whose assignment cannot be stored, before memory is spent on it. (Apache
// has no such limit; it would run out of memory, or send what the server drops the connection for, again and again.)
func (m *Manager) checkFits(partitions, rf int32) error {
	const partitionBytes = 6 // "0":[], at least; each replica has a digit and a comma or bracket
	if partitions <= 0 || rf <= 0 {
		return nil // refused with their own words
	}
	if limit := int64(m.o.Session.MaxRequestBytes()); int64(partitions)*(partitionBytes+2*int64(rf)) > limit+partitionBytes {
		return refuse(kerr.InvalidPartitions, "The assignment of %d partitions does not fit into a ZooKeeper request "+
			"of %d bytes.", partitions, limit)
	}
	return nil
}

func validateCreate(ctx context.Context, g *coordination.Generation, name string, assignment map[int32][]int32) error {
	if err := ValidateName(name); err != nil {
		return err
	}
	marked, err := znode.IsMarkedForDeletion(ctx, g, name)
	if err != nil {
		return fmt.Errorf("create topic %s: %w", name, err)
	}
	if marked {
		return refuse(kerr.TopicAlreadyExists, "Topic '%s' is marked for deletion.", name)
	}
	stat, err := g.Exists(ctx, znode.TopicPath(name))
	if err != nil {
		return fmt.Errorf("create topic %s: %w", name, err)
	}
	if stat != nil {
		return alreadyExists(name)
	}
	if canCollide(name) {
		all, err := znode.ListTopics(ctx, g, false)
		if err != nil {
			return fmt.Errorf("create topic %s: %w", name, err)
		}
		if slices.Contains(all, name) {
			return alreadyExists(name)
		}
		if c := colliding(name, all); c != nil {
			return refuse(kerr.InvalidTopicException, "Topic '%s' collides with existing topics: %s", name, strings.Join(c, ", "))
		}
	}
	return checkAssignment(assignment)
}

func checkAssignment(assignment map[int32][]int32) error {
	ids := slices.Sorted(maps.Keys(assignment))
	for _, p := range ids {
		if len(assignment[p]) != len(assignment[ids[0]]) {
			return refuse(kerr.InvalidReplicaAssignment, "All partitions should have the same number of replicas")
		}
	}
	for _, p := range ids {
		if hasDuplicates(assignment[p]) {
			return refuse(kerr.InvalidReplicaAssignment, "Duplicate replica assignment found: %s", scalaMap(assignment, ids))
		}
	}
	for i, p := range ids {
		if int(p) != i {
			return refuse(kerr.InvalidReplicaAssignment, "partitions should be a consecutive 0-based integer sequence")
		}
	}
	if len(assignment[0]) == 0 {
		// Apache makes a topic without replicas here, which no controller can ever serve; it refuses the same in
		// CreatePartitions.
		return refuse(kerr.InvalidReplicaAssignment, "Cannot have replication factor of 0 for partition id 0.")
	}
	return nil
}

func hasDuplicates(ids []int32) bool {
	seen := make(map[int32]bool, len(ids))
	for _, id := range ids {
		if seen[id] {
			return true
		}
		seen[id] = true
	}
	return false
}

// scalaMap prints an assignment as Apache's message shows it.
func scalaMap(assignment map[int32][]int32, ids []int32) string {
	parts := make([]string, len(ids))
	for i, p := range ids {
		parts[i] = fmt.Sprintf("%d -> ArrayBuffer(%s)", p, joinIDs(assignment[p], ", "))
	}
	return "HashMap(" + strings.Join(parts, ", ") + ")"
}

func joinIDs(ids []int32, sep string) string {
	s := make([]string, len(ids))
	for i, id := range ids {
		s[i] = fmt.Sprint(id)
	}
	return strings.Join(s, sep)
}

// write makes the znodes: config first, so that whoever sees the topic finds its config.
func (m *Manager) write(ctx context.Context, g *coordination.Generation, c *Created) error {
	m.o.Logger.Info("creating topic", "topic", c.Name, "partitions", len(c.Replicas),
		"replication.factor", c.ReplicationFactor, "configs", len(c.Configs))
	if err := znode.WriteConfig(ctx, g, znode.TopicEntity, c.Name, c.Configs); err != nil {
		return createError(c.Name, err)
	}
	t := znode.Topic{Name: c.Name, ID: c.ID, Partitions: make(map[int32]znode.Assignment, len(c.Replicas))}
	for p, replicas := range c.Replicas {
		t.Partitions[int32(p)] = znode.Assignment{Replicas: replicas}
	}
	return createError(c.Name, znode.CreateTopic(ctx, g, t))
}

func createError(name string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, coordination.ErrNodeExists):
		return alreadyExists(name)
	case errors.Is(err, coordination.ErrTooLarge):
		return refuse(kerr.InvalidRequest, "Topic '%s' does not fit into a ZooKeeper request: %v", name, err)
	}
	return fmt.Errorf("create topic %s: %w", name, err)
}
