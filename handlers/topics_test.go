package handlers_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func createRequest(version int16, timeoutMs int32, topics ...kmsg.CreateTopicsRequestTopic) *kmsg.CreateTopicsRequest {
	q := kmsg.NewPtrCreateTopicsRequest()
	q.Version, q.TimeoutMillis, q.Topics = version, timeoutMs, topics
	return q
}

func newTopic(name string, partitions int32, replicas int16) kmsg.CreateTopicsRequestTopic {
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, replicas
	return t
}

func assigned(name string, replicas ...[]int32) kmsg.CreateTopicsRequestTopic {
	t := newTopic(name, -1, -1)
	for p, list := range replicas {
		a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
		a.Partition, a.Replicas = int32(p), list
		t.ReplicaAssignment = append(t.ReplicaAssignment, a)
	}
	return t
}

func withConfig(t kmsg.CreateTopicsRequestTopic, name string, value *string) kmsg.CreateTopicsRequestTopic {
	c := kmsg.NewCreateTopicsRequestTopicConfig()
	c.Name, c.Value = name, value
	t.Configs = append(t.Configs, c)
	return t
}

// knows says whether a topic is in the metadata.
func (n *node) knows(topic string) bool {
	return once[*kmsg.MetadataResponse](n, metadataRequest(topic)).Topics[0].ErrorCode != kerr.UnknownTopicOrPartition.Code
}

const longEnough = int32(30000)

// protocol.md §3.5, the table of CreateTopics.
func TestCreateTopics(t *testing.T) {
	n := start(t, setup{props: map[string]string{"num.partitions": "3"}})
	n.create("there", 1)
	n.create("a.b", 1)
	one := "1"
	for _, c := range []struct {
		what  string
		topic kmsg.CreateTopicsRequestTopic
		want  *kerr.Error // nil = made
	}{
		{"exists", newTopic("there", 1, 1), kerr.TopicAlreadyExists},
		{"empty name", newTopic("", 1, 1), kerr.InvalidTopicException},
		{"dot", newTopic(".", 1, 1), kerr.InvalidTopicException},
		{"a space", newTopic("a b", 1, 1), kerr.InvalidTopicException},
		{"250 characters", newTopic(string(make([]byte, 250)), 1, 1), kerr.InvalidTopicException},
		{"collides", newTopic("a_b", 1, 1), kerr.InvalidTopicException},
		{"no partitions", newTopic("x", 0, 1), kerr.InvalidPartitions},
		{"-2 partitions", newTopic("x", -2, 1), kerr.InvalidPartitions},
		{"no replicas", newTopic("x", 1, 0), kerr.InvalidReplicationFactor},
		{"more replicas than brokers", newTopic("x", 1, 2), kerr.InvalidReplicationFactor},
		{"unknown config", withConfig(newTopic("x", 1, 1), "no.such", &one), kerr.InvalidConfig},
		{"bad config", withConfig(newTopic("x", 1, 1), "cleanup.policy", &one), kerr.InvalidConfig},
		{"null config", withConfig(newTopic("x", 1, 1), "retention.ms", nil), kerr.InvalidConfig},
		{"counts and assignment", func() kmsg.CreateTopicsRequestTopic {
			a := assigned("x", []int32{0})
			a.NumPartitions = 1
			return a
		}(), kerr.InvalidRequest},
		{"the same replica twice", assigned("x", []int32{0, 0}), kerr.InvalidReplicaAssignment},
		{"a gap in the assignment", func() kmsg.CreateTopicsRequestTopic {
			a := assigned("x", []int32{0})
			a.ReplicaAssignment[0].Partition = 1
			return a
		}(), kerr.InvalidReplicaAssignment},
		{"uneven", assigned("x", []int32{0}, []int32{0, 1}), kerr.InvalidReplicaAssignment},
		{"the log of KRaft", newTopic("__cluster_metadata", 1, 1), kerr.InvalidRequest},
		{"defaults", newTopic("defaults", -1, -1), nil},
		{"assigned", assigned("assigned", []int32{0}, []int32{0}), nil},
		{"with a config", withConfig(newTopic("config", 1, 1), "retention.ms", &one), nil},
	} {
		for _, validate := range []bool{true, false} {
			q := createRequest(7, longEnough, c.topic)
			q.ValidateOnly = validate
			r := once[*kmsg.CreateTopicsResponse](n, q).Topics[0]
			if c.want != nil {
				if r.ErrorCode != c.want.Code || r.NumPartitions != -1 || r.ReplicationFactor != -1 || len(r.Configs) != 0 || r.TopicID != [16]byte{} {
					t.Errorf("%s, validate only %t: %+v, want code %d", c.what, validate, r, c.want.Code)
				}
				continue
			}
			partitions := max(int32(len(c.topic.ReplicaAssignment)), c.topic.NumPartitions)
			if partitions <= 0 {
				partitions = 3
			}
			if r.ErrorCode != 0 || r.NumPartitions != partitions || r.ReplicationFactor != 1 || len(r.Configs) != 36 || (r.TopicID == [16]byte{}) != validate {
				t.Errorf("%s, validate only %t: code %d, %d partitions, %d replicas, %d configs, id %x", c.what, validate,
					r.ErrorCode, r.NumPartitions, r.ReplicationFactor, len(r.Configs), r.TopicID)
			}
			md := once[*kmsg.MetadataResponse](n, metadataRequest(c.topic.Topic)).Topics[0]
			if made := md.ErrorCode == 0; made == validate || made && md.TopicID != r.TopicID {
				t.Errorf("%s, validate only %t: metadata %+v", c.what, validate, md)
			}
			for _, p := range md.Partitions {
				if p.ErrorCode != 0 || p.Leader != 0 { // the answer waited for the leaders
					t.Errorf("%s: %+v", c.what, p)
				}
			}
		}
	}
	r := once[*kmsg.CreateTopicsResponse](n, createRequest(7, longEnough, newTopic("twice", 1, 1), newTopic("fine", 1, 1), newTopic("twice", 2, 1)))
	for _, rt := range r.Topics {
		if want := kerr.InvalidRequest.Code; rt.Topic == "twice" && rt.ErrorCode != want || rt.Topic == "fine" && rt.ErrorCode != 0 {
			t.Errorf("twice in one request: %+v", rt)
		}
	}
	if md := once[*kmsg.MetadataResponse](n, metadataRequest("twice")); md.Topics[0].ErrorCode != kerr.UnknownTopicOrPartition.Code {
		t.Error("a topic that was refused was made:", md.Topics[0])
	}
}

// A request that does not want to wait, or whose topic gets no leader in time, is answered with a timeout; the topic is made.
func TestCreateTopicsTimesOut(t *testing.T) {
	n := start(t, setup{})
	for name, q := range map[string]*kmsg.CreateTopicsRequest{
		"at-once":  createRequest(7, 0, newTopic("at-once", 1, 1)),
		"negative": createRequest(1, -5, newTopic("negative", 1, 1)),
		"headless": createRequest(7, 50, assigned("headless", []int32{42})), // no broker 42 is alive
	} {
		if r := once[*kmsg.CreateTopicsResponse](n, q).Topics[0]; r.ErrorCode != kerr.RequestTimedOut.Code {
			t.Errorf("%s: %+v", name, r)
		}
		if name != "headless" { // which is in no picture of the cluster before it has had a leader
			until(t, "the topic "+name, func() bool { return n.knows(name) })
		}
		if r := once[*kmsg.CreateTopicsResponse](n, createRequest(7, longEnough, newTopic(name, 1, 1))).Topics[0]; r.ErrorCode != kerr.TopicAlreadyExists.Code {
			t.Errorf("%s, once more: code %d", name, r.ErrorCode)
		}
	}
	// What is asked with validate_only never waits, and is not made.
	q := createRequest(7, 0, newTopic("never", 1, 1))
	q.ValidateOnly = true
	if r := once[*kmsg.CreateTopicsResponse](n, q).Topics[0]; r.ErrorCode != 0 {
		t.Errorf("validate only without time: %+v", r)
	}
}

func partitionsRequest(timeoutMs int32, name string, count int32, assignment ...[]int32) *kmsg.CreatePartitionsRequest {
	q := kmsg.NewPtrCreatePartitionsRequest()
	q.Version, q.TimeoutMillis = 3, timeoutMs
	t := kmsg.NewCreatePartitionsRequestTopic()
	t.Topic, t.Count = name, count
	for _, replicas := range assignment {
		a := kmsg.NewCreatePartitionsRequestTopicAssignment()
		a.Replicas = replicas
		t.Assignment = append(t.Assignment, a)
	}
	q.Topics = append(q.Topics, t)
	return q
}

// protocol.md §3.5, CreatePartitions.
func TestCreatePartitions(t *testing.T) {
	n := start(t, setup{})
	n.create("a", 2)
	count := func() int { return len(once[*kmsg.MetadataResponse](n, metadataRequest("a")).Topics[0].Partitions) }
	for _, c := range []struct {
		what string
		q    *kmsg.CreatePartitionsRequest
		want *kerr.Error
	}{
		{"equal", partitionsRequest(longEnough, "a", 2), kerr.InvalidPartitions},
		{"fewer", partitionsRequest(longEnough, "a", 1), kerr.InvalidPartitions},
		{"unknown topic", partitionsRequest(longEnough, "nope", 3), kerr.UnknownTopicOrPartition},
		{"wrong number of assignments", partitionsRequest(longEnough, "a", 4, []int32{0}), kerr.InvalidReplicaAssignment},
		{"unknown broker", partitionsRequest(longEnough, "a", 3, []int32{5}), kerr.InvalidReplicaAssignment},
		{"broker twice", partitionsRequest(longEnough, "a", 3, []int32{0, 0}), kerr.InvalidReplicaAssignment},
	} {
		if r := once[*kmsg.CreatePartitionsResponse](n, c.q); len(r.Topics) != 1 || r.Topics[0].ErrorCode != c.want.Code {
			t.Errorf("%s: %+v, want code %d", c.what, r.Topics, c.want.Code)
		}
	}
	twice := partitionsRequest(longEnough, "a", 3)
	twice.Topics = append(twice.Topics, twice.Topics[0])
	if r := once[*kmsg.CreatePartitionsResponse](n, twice); len(r.Topics) != 1 || r.Topics[0].ErrorCode != kerr.InvalidRequest.Code {
		t.Errorf("twice: %+v", r.Topics)
	}
	validate := partitionsRequest(0, "a", 5)
	validate.ValidateOnly = true
	if r := once[*kmsg.CreatePartitionsResponse](n, validate); r.Topics[0].ErrorCode != 0 || count() != 2 {
		t.Errorf("validate only: %+v, %d partitions", r.Topics, count())
	}
	if r := once[*kmsg.CreatePartitionsResponse](n, partitionsRequest(longEnough, "a", 3)); r.Topics[0].ErrorCode != 0 || count() != 3 {
		t.Errorf("one more: %+v, %d partitions", r.Topics, count())
	}
	if p := once[*kmsg.MetadataResponse](n, metadataRequest("a")).Topics[0].Partitions[2]; p.Leader != 0 || p.ErrorCode != 0 {
		t.Errorf("the answer did not wait for the leader: %+v", p)
	}
	if r := once[*kmsg.CreatePartitionsResponse](n, partitionsRequest(0, "a", 4)); r.Topics[0].ErrorCode != kerr.RequestTimedOut.Code {
		t.Errorf("no time: %+v", r.Topics)
	}
	until(t, "the fourth partition", func() bool { return count() == 4 })
}

func deleteRequest(version int16, timeoutMs int32, names ...string) *kmsg.DeleteTopicsRequest {
	q := kmsg.NewPtrDeleteTopicsRequest()
	q.Version, q.TimeoutMillis = version, timeoutMs
	if q.TopicNames = names; version >= 6 {
		q.TopicNames = nil
		for _, name := range names {
			t := kmsg.NewDeleteTopicsRequestTopic()
			t.Topic = kmsg.StringPtr(name)
			q.Topics = append(q.Topics, t)
		}
	}
	return q
}

// protocol.md §3.5, DeleteTopics.
func TestDeleteTopics(t *testing.T) {
	n := start(t, setup{})
	for version := int16(0); version <= 6; version++ {
		n.create("a", 2)
		r := once[*kmsg.DeleteTopicsResponse](n, deleteRequest(version, longEnough, "a", "nope", "a"))
		if len(r.Topics) != 3 || r.Topics[0].ErrorCode != 0 || r.Topics[1].ErrorCode != kerr.UnknownTopicOrPartition.Code || r.Topics[2].ErrorCode != 0 {
			t.Errorf("v%d: %+v", version, r.Topics)
		}
		if md := once[*kmsg.MetadataResponse](n, metadataRequest("a")).Topics[0]; md.ErrorCode != kerr.UnknownTopicOrPartition.Code {
			t.Errorf("v%d: the answer did not wait until the topic is gone: %+v", version, md)
		}
		// Its znodes go a moment after the metadata; then it can be made anew.
		q := createRequest(7, longEnough, newTopic("a", 1, 1))
		q.ValidateOnly = true
		until(t, "the end of the topic", func() bool { return once[*kmsg.CreateTopicsResponse](n, q).Topics[0].ErrorCode == 0 })
	}
	id := n.create("by-id", 1)
	both := deleteRequest(6, longEnough, "by-id")
	both.Topics[0].TopicID = id
	if r := once[*kmsg.DeleteTopicsResponse](n, both); r.Topics[0].ErrorCode != kerr.InvalidRequest.Code {
		t.Errorf("name and id: %+v", r.Topics)
	}
	byID := kmsg.NewPtrDeleteTopicsRequest()
	byID.Version, byID.TimeoutMillis = 6, longEnough
	for _, id := range [][16]byte{{9}, id} {
		rt := kmsg.NewDeleteTopicsRequestTopic()
		rt.TopicID = id
		byID.Topics = append(byID.Topics, rt)
	}
	r := once[*kmsg.DeleteTopicsResponse](n, byID)
	if r.Topics[0].ErrorCode != kerr.UnknownTopicID.Code || r.Topics[0].Topic != nil || r.Topics[1].ErrorCode != 0 || r.Topics[1].Topic == nil || *r.Topics[1].Topic != "by-id" {
		t.Errorf("by id: %+v", r.Topics)
	}
	n.create("slow", 1)
	if r := once[*kmsg.DeleteTopicsResponse](n, deleteRequest(6, 0, "slow")); r.Topics[0].ErrorCode != kerr.RequestTimedOut.Code {
		t.Errorf("no time: %+v", r.Topics)
	}
	until(t, "the end of the topic", func() bool { return !n.knows("slow") })
}

func TestDeletionDisabled(t *testing.T) {
	n := start(t, setup{props: map[string]string{"delete.topic.enable": "false"}})
	n.create("a", 1)
	for version, want := range map[int16]*kerr.Error{2: kerr.InvalidRequest, 3: kerr.TopicDeletionDisabled, 6: kerr.TopicDeletionDisabled} {
		r := once[*kmsg.DeleteTopicsResponse](n, deleteRequest(version, longEnough, "a", "nope"))
		for _, rt := range r.Topics {
			if rt.ErrorCode != want.Code {
				t.Errorf("v%d: %+v, want code %d", version, rt, want.Code)
			}
		}
	}
}
