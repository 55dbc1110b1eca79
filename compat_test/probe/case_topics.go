package probe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// topicSpec is one topic of a CreateTopics request.
type topicSpec struct {
	name       string
	partitions int32
	replicas   int16
	assignment [][]int32   // partition = index
	numbers    []int32     // partition numbers of the assignment, if not 0, 1, …
	configs    [][2]string // a value "\x00" stands for null
}

func createTopics(specs ...topicSpec) *kmsg.CreateTopicsRequest {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 15000
	for _, s := range specs {
		t := kmsg.NewCreateTopicsRequestTopic()
		t.Topic, t.NumPartitions, t.ReplicationFactor = s.name, s.partitions, s.replicas
		for i, rs := range s.assignment {
			a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
			a.Partition, a.Replicas = int32(i), rs
			if s.numbers != nil {
				a.Partition = s.numbers[i]
			}
			t.ReplicaAssignment = append(t.ReplicaAssignment, a)
		}
		for _, kv := range s.configs {
			c := kmsg.NewCreateTopicsRequestTopicConfig()
			c.Name = kv[0]
			if kv[1] != "\x00" {
				c.Value = kmsg.StringPtr(kv[1])
			}
			t.Configs = append(t.Configs, c)
		}
		req.Topics = append(req.Topics, t)
	}
	return req
}

// badTopics are specs that a broker must refuse, or take, with Apache's error. name makes names of the case.
func badTopics(name func(string) string) []struct {
	note string
	spec topicSpec
} {
	long := func(n int) string { return name("l") + strings.Repeat("x", n-len(name("l"))) }
	type row = struct {
		note string
		spec topicSpec
	}
	rows := []row{
		{"empty name", topicSpec{name: "", partitions: 1, replicas: 1}},
		{"name .", topicSpec{name: ".", partitions: 1, replicas: 1}},
		{"name ..", topicSpec{name: "..", partitions: 1, replicas: 1}},
		{"250 characters", topicSpec{name: long(250), partitions: 1, replicas: 1}},
		{"249 characters", topicSpec{name: long(249), partitions: 1, replicas: 1}},
		{"a blank", topicSpec{name: name("a b"), partitions: 1, replicas: 1}},
		{"__cluster_metadata", topicSpec{name: "__cluster_metadata", partitions: 1, replicas: 1}},
		{"partitions 0", topicSpec{name: name("p0"), partitions: 0, replicas: 1}},
		{"partitions -1", topicSpec{name: name("p-1"), partitions: -1, replicas: 1}},
		{"partitions -2", topicSpec{name: name("p-2"), partitions: -2, replicas: 1}},
		{"replication 0", topicSpec{name: name("r0"), partitions: 1, replicas: 0}},
		{"replication -1", topicSpec{name: name("r-1"), partitions: 1, replicas: -1}},
		{"replication -2", topicSpec{name: name("r-2"), partitions: 1, replicas: -2}},
		{"replication 2 of 1 broker", topicSpec{name: name("r2"), partitions: 1, replicas: 2}},
		{"both -1 and an assignment", topicSpec{name: name("a"), partitions: -1, replicas: -1, assignment: [][]int32{{0}, {0}}}},
		{"counts and an assignment", topicSpec{name: name("ca"), partitions: 1, replicas: 1, assignment: [][]int32{{0}}}},
		{"partitions and an assignment", topicSpec{name: name("pa"), partitions: 1, replicas: -1, assignment: [][]int32{{0}}}},
		{"assignment with a gap", topicSpec{name: name("gap"), partitions: -1, replicas: -1, assignment: [][]int32{{0}, {0}}, numbers: []int32{0, 2}}},
		{"assignment from 1", topicSpec{name: name("one"), partitions: -1, replicas: -1, assignment: [][]int32{{0}}, numbers: []int32{1}}},
		{"assignment of a partition twice", topicSpec{name: name("twice"), partitions: -1, replicas: -1, assignment: [][]int32{{0}, {0}}, numbers: []int32{0, 0}}},
		{"assignment with a replica twice", topicSpec{name: name("dup"), partitions: -1, replicas: -1, assignment: [][]int32{{0, 0}}}},
		{"assignment of uneven counts", topicSpec{name: name("uneven"), partitions: -1, replicas: -1, assignment: [][]int32{{0}, {0, 1}}}},
		{"unknown config", topicSpec{name: name("c1"), partitions: 1, replicas: 1, configs: [][2]string{{"no.such.config", "1"}}}},
		{"config that does not parse", topicSpec{name: name("c2"), partitions: 1, replicas: 1, configs: [][2]string{{"retention.ms", "soon"}}}},
		{"config out of range", topicSpec{name: name("c3"), partitions: 1, replicas: 1, configs: [][2]string{{"segment.bytes", "1"}}}},
		{"config null", topicSpec{name: name("c4"), partitions: 1, replicas: 1, configs: [][2]string{{"retention.ms", "\x00"}}}},
		{"config twice", topicSpec{name: name("c5"), partitions: 1, replicas: 1, configs: [][2]string{{"retention.ms", "1000"}, {"retention.ms", "2000"}}}},
		{"cleanup policy unknown", topicSpec{name: name("c6"), partitions: 1, replicas: 1, configs: [][2]string{{"cleanup.policy", "keep"}}}},
		{"cleanup policy both", topicSpec{name: name("c7"), partitions: 1, replicas: 1, configs: [][2]string{{"cleanup.policy", "compact,delete"}}}},
		{"cleanup policy empty", topicSpec{name: name("c8"), partitions: 1, replicas: 1, configs: [][2]string{{"cleanup.policy", ""}}}},
		{"compression unknown", topicSpec{name: name("c9"), partitions: 1, replicas: 1, configs: [][2]string{{"compression.type", "rar"}}}},
		{"remote storage", topicSpec{name: name("c10"), partitions: 1, replicas: 1, configs: [][2]string{{"remote.storage.enable", "true"}}}},
		{"value with blanks", topicSpec{name: name("c11"), partitions: 1, replicas: 1, configs: [][2]string{{"retention.ms", " 5000 "}}}},
		{"boolean in capitals", topicSpec{name: name("c12"), partitions: 1, replicas: 1, configs: [][2]string{{"preallocate", "TRUE"}}}},
		{"boolean unknown", topicSpec{name: name("c13"), partitions: 1, replicas: 1, configs: [][2]string{{"preallocate", "yes"}}}},
		{"ratio above 1", topicSpec{name: name("c14"), partitions: 1, replicas: 1, configs: [][2]string{{"min.cleanable.dirty.ratio", "1.5"}}}},
	}
	return rows
}

func createTopicsCases() []Case {
	table := func(v int16, validateOnly bool) func(*Run) {
		return func(r *Run) {
			for _, row := range badTopics(r.Name) {
				req := createTopics(row.spec)
				req.ValidateOnly = validateOnly
				r.Do(row.note, req, v)
			}
		}
	}
	return group("createtopics",
		named("table, v0", table(0, false)),
		named("table, v3", table(3, false)),
		named("table, v5", table(5, false)),
		named("table, v7", table(7, false)),
		named("table, validate only", table(7, true)),
		named("good, every version", func(r *Run) {
			for v := range int16(8) {
				spec := topicSpec{name: r.Name(fmt.Sprintf("g%d", v)), partitions: 3, replicas: 1,
					configs: [][2]string{{"retention.ms", "1234567"}, {"cleanup.policy", "compact"}}}
				if v > 0 {
					only := createTopics(spec)
					only.ValidateOnly = true
					r.Do("validated only", only, v)
				}
				r.Do("created", createTopics(spec), v)
				r.Do("exists now", createTopics(spec), v)
				r.AwaitTopic(spec.name, 3)
				r.Do("is there", metadataFor(spec.name), 9)
			}
		}),
		named("assignments that Apache never answers", func(r *Run) {
			empty := topicSpec{name: r.Name("empty"), partitions: -1, replicas: -1, assignment: [][]int32{{}}}
			r.DoUnanswered("without replicas", createTopics(empty), 7)
			negative := topicSpec{name: r.Name("negative"), partitions: -1, replicas: -1, assignment: [][]int32{{-1}}}
			r.DoUnanswered("with a negative replica", createTopics(negative), 7)
		}),
		named("several", func(r *Run) {
			ok := func(n string) topicSpec { return topicSpec{name: r.Name(n), partitions: 1, replicas: 1} }
			r.Do("one good, one bad", createTopics(ok("a"), topicSpec{name: r.Name("b"), partitions: 0, replicas: 1}), 5)
			r.Do("the same twice", createTopics(ok("c"), ok("c"), ok("d")), 5)
			resp := r.Quiet(createTopics(ok("e.f"), ok("e_f")), 5).(*kmsg.CreateTopicsResponse)
			codes := []int16{}
			for _, t := range resp.Topics {
				codes = append(codes, t.ErrorCode)
			}
			slices.Sort(codes) // which of the two wins is a hash map's matter
			r.record("names that collide in one request, error codes in order", codes)
			r.Topic("g.h", 1)
			r.Do("a name that collides with an existing one", createTopics(ok("g_h")), 5)
			r.Do("none", createTopics(), 5)
		}),
		named("timeout", func(r *Run) {
			for _, ms := range []int32{0, -1} {
				req := createTopics(topicSpec{name: r.Name(fmt.Sprintf("t%d", ms)), partitions: 1, replicas: 1})
				req.TimeoutMillis = ms
				r.Do(fmt.Sprintf("timeout %d", ms), req, 5)
				r.AwaitTopic(r.Name(fmt.Sprintf("t%d", ms)), 1)
				r.Do("is there all the same", metadataFor(r.Name(fmt.Sprintf("t%d", ms))), 9)
			}
		}),
		named("unknown broker in the assignment", func(r *Run) {
			req := createTopics(topicSpec{name: r.Name("u"), partitions: -1, replicas: -1, assignment: [][]int32{{5}}})
			req.TimeoutMillis = 1000
			r.Do("broker 5", req, 5)
			r.Do("what became of it", metadataFor(r.Name("u")), 9)
		}),
		named("partitions on a line", func(r *Run) {
			r.Do("validated, 10 partitions", validated(createTopics(topicSpec{name: r.Name("v"), partitions: 10, replicas: 1})), 6)
			r.Do("not there", metadataFor(r.Name("v")), 9)
		}),
	)
}

func validated(req *kmsg.CreateTopicsRequest) *kmsg.CreateTopicsRequest {
	req.ValidateOnly = true
	return req
}

func createPartitionsCases() []Case {
	ask := func(topic string, count int32, assignment ...[]int32) *kmsg.CreatePartitionsRequest {
		req := kmsg.NewPtrCreatePartitionsRequest()
		req.TimeoutMillis = 15000
		t := kmsg.NewCreatePartitionsRequestTopic()
		t.Topic, t.Count = topic, count
		for _, rs := range assignment {
			a := kmsg.NewCreatePartitionsRequestTopicAssignment()
			a.Replicas = rs
			t.Assignment = append(t.Assignment, a)
		}
		req.Topics = append(req.Topics, t)
		return req
	}
	return group("createpartitions",
		named("every version", func(r *Run) {
			for v := range int16(4) {
				t := r.Topic(fmt.Sprintf("t%d", v), 2)
				only := ask(t, 4)
				only.ValidateOnly = true
				r.Do("validated only", only, v)
				r.Do("2 to 3", ask(t, 3), v)
				r.AwaitTopic(t, 3)
				r.Do("is there", metadataFor(t), 9)
				r.Do("3 to 3", ask(t, 3), v)
				r.Do("3 to 2", ask(t, 2), v)
				r.Do("to 0", ask(t, 0), v)
				r.Do("to -1", ask(t, -1), v)
				r.Do("unknown topic", ask(r.Name("missing"), 3), v)
				r.Do("3 to 5, one assignment", ask(t, 5, []int32{0}), v)
				r.Do("3 to 4, two assignments", ask(t, 4, []int32{0}, []int32{0}), v)
				r.Do("unknown broker", ask(t, 4, []int32{5}), v)
				r.Do("a broker twice", ask(t, 4, []int32{0, 0}), v)
				r.Do("no replicas", ask(t, 4, []int32{}), v)
				r.Do("assigned", ask(t, 4, []int32{0}), v)
				r.AwaitTopic(t, 4)
			}
		}),
		named("the same topic twice", func(r *Run) {
			t := r.Topic("t", 1)
			req := ask(t, 2)
			req.Topics = append(req.Topics, ask(t, 3).Topics...)
			r.Do("twice", req, 3)
		}),
		named("timeout", func(r *Run) {
			t := r.Topic("t", 1)
			req := ask(t, 2)
			req.TimeoutMillis = 0
			r.Do("timeout 0", req, 3)
			r.AwaitTopic(t, 2)
		}),
	)
}

func deleteTopicsCases() []Case {
	byName := func(v int16, names ...string) *kmsg.DeleteTopicsRequest {
		req := kmsg.NewPtrDeleteTopicsRequest()
		req.TimeoutMillis = 15000
		if v < 6 {
			req.TopicNames = names
			return req
		}
		for _, n := range names {
			t := kmsg.NewDeleteTopicsRequestTopic()
			t.Topic = kmsg.StringPtr(n)
			req.Topics = append(req.Topics, t)
		}
		return req
	}
	byID := func(ids ...[16]byte) *kmsg.DeleteTopicsRequest {
		req := byName(6)
		for _, id := range ids {
			t := kmsg.NewDeleteTopicsRequestTopic()
			t.TopicID = id
			req.Topics = append(req.Topics, t)
		}
		return req
	}
	return group("deletetopics",
		named("every version", func(r *Run) {
			for v := range int16(7) {
				t := r.Topic(fmt.Sprintf("t%d", v), 2)
				r.Do("unknown", byName(v, r.Name("missing")), v)
				r.Do("existing and unknown", byName(v, t, r.Name("missing")), v)
				r.Do("gone", metadataFor(t), 9)
				r.Do("again", byName(v, t), v)
				t = r.Topic(fmt.Sprintf("twice%d", v), 1)
				r.Do("the same twice", byName(v, t, t), v)
				r.Do("empty name", byName(v, ""), v)
				r.Do("none", byName(v), v)
			}
		}),
		named("by id", func(r *Run) {
			t := r.Topic("t", 1)
			id := r.topicID(t)
			both := byID(id)
			both.Topics[0].Topic = kmsg.StringPtr(t)
			r.Do("name and id", both, 6)
			r.Do("unknown id", byID([16]byte{5}), 6)
			r.Do("zero id, null name", byID([16]byte{}), 6)
			r.Do("known", byID(id), 6)
			r.await("the id to be forgotten", func() error { // while the deletion is going on Apache answers 3
				if c := r.Quiet(byID(id), 6).(*kmsg.DeleteTopicsResponse).Topics[0].ErrorCode; c != kerr.UnknownTopicID.Code {
					return fmt.Errorf("error %d", c)
				}
				return nil
			})
			r.Do("gone", metadataByID(id), 12)
		}),
		named("created anew", func(r *Run) {
			t := r.Topic("t", 1)
			r.Do("the first", metadataFor(t), 12)
			r.Do("deleted", byName(6, t), 6)
			r.await("deletion", func() error {
				if c := r.Quiet(metadataFor(t), 9).(*kmsg.MetadataResponse).Topics[0].ErrorCode; c != 3 {
					return fmt.Errorf("metadata answers %d", c)
				}
				return nil
			})
			r.await("new topic", func() error {
				c := r.Quiet(createTopics(topicSpec{name: t, partitions: 1, replicas: 1}), 5).(*kmsg.CreateTopicsResponse).Topics[0].ErrorCode
				if c != 0 {
					return fmt.Errorf("error %d", c)
				}
				return nil
			})
			r.AwaitTopic(t, 1)
			r.Do("the second has another id", metadataFor(t), 12)
			r.Do("and is empty", listOffset(t, 0, -1), 5)
		}),
		named("timeout", func(r *Run) {
			t := r.Topic("t", 1)
			req := byName(6, t)
			req.TimeoutMillis = 0
			r.Do("timeout 0", req, 6)
		}),
	)
}
