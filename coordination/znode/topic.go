package znode

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"

	"gokafka/coordination"
	"gokafka/metadata"
)

// Assignment is where a partition's replicas are. During a reassignment Replicas holds the target first and then the
// origin's others; Adding and Removing say how it differs from origin and target (KIP-455).
type Assignment struct {
	Replicas, Adding, Removing []int32
}

// Reassigning says whether the partition is being moved.
func (a Assignment) Reassigning() bool { return len(a.Adding) > 0 || len(a.Removing) > 0 }

// Topic is a topic's znode.
type Topic struct {
	Name       string
	ID         metadata.TopicID // zero: none yet, written by brokers before 2.8
	Partitions map[int32]Assignment
	ZkVersion  int32
}

type topicJSON struct {
	Partitions map[string][]int32 `json:"partitions"`
	TopicID    string             `json:"topic_id,omitempty"`
	Adding     map[string][]int32 `json:"adding_replicas"`
	Removing   map[string][]int32 `json:"removing_replicas"`
	Version    int                `json:"version"`
}

// EncodeTopic is the data of a topic's znode (version 3).
func EncodeTopic(id metadata.TopicID, partitions map[int32]Assignment) []byte {
	v := topicJSON{Version: 3, Partitions: make(map[string][]int32, len(partitions)),
		Adding: make(map[string][]int32), Removing: make(map[string][]int32)}
	if !id.IsZero() {
		v.TopicID = id.String()
	}
	for p, a := range partitions {
		k := strconv.Itoa(int(p))
		v.Partitions[k] = intsOrEmpty(a.Replicas)
		if len(a.Adding) > 0 {
			v.Adding[k] = a.Adding
		}
		if len(a.Removing) > 0 {
			v.Removing[k] = a.Removing
		}
	}
	return encode(v)
}

// DecodeTopic reads a topic's znode of any version. Data that are no JSON at all make a topic without partitions, as
// they do for Apache: one such znode must not stop a controller from reading the others.
func DecodeTopic(name string, data []byte, zkVersion int32) (Topic, error) {
	t := Topic{Name: name, ZkVersion: zkVersion}
	if !json.Valid(data) {
		return t, nil
	}
	path := TopicPath(name)
	var v topicJSON
	if err := decode(path, data, &v); err != nil {
		return Topic{}, err
	}
	if v.TopicID != "" {
		id, err := metadata.ParseTopicID(v.TopicID)
		if err != nil {
			return Topic{}, malformed(path, data, err)
		}
		t.ID = id
	}
	t.Partitions = make(map[int32]Assignment, len(v.Partitions))
	for k, replicas := range v.Partitions {
		p, err := partitionID(k)
		if err != nil {
			return Topic{}, malformed(path, data, err)
		}
		t.Partitions[p] = Assignment{Replicas: replicas, Adding: v.Adding[k], Removing: v.Removing[k]}
	}
	return t, nil
}

// ListTopics returns the names of all topics. watch arms the WatchChildren of TopicsPath.
func ListTopics(ctx context.Context, g *coordination.Generation, watch bool) ([]string, error) {
	return list(ctx, g, TopicsPath, watch)
}

// ReadTopic reads one topic; ok is false if there is none.
func ReadTopic(ctx context.Context, g *coordination.Generation, name string) (t Topic, ok bool, err error) {
	data, stat, err := g.Get(ctx, TopicPath(name))
	if errors.Is(err, coordination.ErrNoNode) {
		return Topic{}, false, nil
	}
	if err != nil {
		return Topic{}, false, err
	}
	t, err = DecodeTopic(name, data, stat.Version)
	return t, err == nil, err
}

// ReadTopics reads many topics; those that do not exist are left out. watch arms the WatchData of those that do.
func ReadTopics(ctx context.Context, g *coordination.Generation, names []string, watch bool) ([]Topic, error) {
	paths := make([]string, len(names))
	for i, n := range names {
		paths[i] = TopicPath(n)
	}
	data, err := g.GetMany(ctx, paths, watch)
	if err != nil {
		return nil, fmt.Errorf("read topics: %w", err)
	}
	out := make([]Topic, 0, len(names))
	for i, d := range data {
		if d.Err != nil {
			continue
		}
		t, err := DecodeTopic(names[i], d.Data, d.Stat.Version)
		if err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// CreateTopic makes a topic's znode. It is not guarded by the controller's epoch: any broker creates topics. An
// existing topic is coordination.ErrNodeExists, unless it is the one that a sending without a reply has made, which its
// random id proves.
func CreateTopic(ctx context.Context, g *coordination.Generation, t Topic) error {
	err := g.CreateAll(ctx, TopicPath(t.Name), EncodeTopic(t.ID, t.Partitions))
	if errors.Is(err, coordination.ErrNodeExists) && coordination.MaybeApplied(err) && !t.ID.IsZero() {
		if cur, ok, rerr := ReadTopic(ctx, g, t.Name); rerr == nil && ok && cur.ID == t.ID {
			return nil
		}
	}
	return err
}

// SetTopicUnchecked replaces a topic's znode whatever its version, as CreatePartitions does in ZooKeeper mode.
func SetTopicUnchecked(ctx context.Context, g *coordination.Generation, t Topic) error {
	_, err := g.Set(ctx, TopicPath(t.Name), EncodeTopic(t.ID, t.Partitions), coordination.AnyVersion)
	return err
}

// SetTopicOp replaces a topic's znode, for a controller.
func SetTopicOp(t Topic) coordination.Op {
	return coordination.SetOp(TopicPath(t.Name), EncodeTopic(t.ID, t.Partitions), coordination.AnyVersion)
}

// DeleteTopic deletes what is left of a deleted topic, in Apache's order: its znode with all below, its config, the
// mark for deletion.
func (c *Controllership) DeleteTopic(ctx context.Context, name string) error {
	err := c.DeleteAll(ctx, TopicPath(name))
	if err == nil {
		err = c.DeleteMany(ctx, []string{EntityPath(TopicEntity, name)})
	}
	if err == nil {
		err = c.DeleteMany(ctx, []string{DeleteTopicPath(name)})
	}
	if err != nil {
		return fmt.Errorf("delete topic %s: %w", name, err)
	}
	return nil
}

// list returns the children of a path, none if it does not exist.
func list(ctx context.Context, g *coordination.Generation, path string, watch bool) ([]string, error) {
	children := g.Children
	if watch {
		children = g.ChildrenW
	}
	names, err := children(ctx, path)
	if errors.Is(err, coordination.ErrNoNode) {
		return nil, nil
	}
	return names, err
}
