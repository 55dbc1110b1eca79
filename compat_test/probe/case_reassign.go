package probe

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// electLeaders asks for an election of partitions of one topic; a nil list stands for all topics.
func electLeaders(kind int8, topic string, partitions ...int32) *kmsg.ElectLeadersRequest {
	req := kmsg.NewPtrElectLeadersRequest()
	req.ElectionType, req.TimeoutMillis = kind, 5000
	if partitions != nil {
		t := kmsg.NewElectLeadersRequestTopic()
		t.Topic, t.Partitions = topic, partitions
		req.Topics = append(req.Topics, t)
	}
	return req
}

func electLeadersCases() []Case {
	return group("electleaders",
		named("every version and type", func(r *Run) {
			t := r.Topic("t", 2)
			for v := range int16(3) {
				for _, kind := range []int8{0, 1, 2, -1} {
					if v == 0 && kind != 0 {
						continue
					}
					r.Do(fmt.Sprintf("v%d, type %d", v, kind), electLeaders(kind, t, 0), v)
				}
			}
		}),
		named("what does not exist", func(r *Run) {
			t := r.Topic("t", 1)
			r.Do("partition", electLeaders(0, t, 7), 2)
			r.Do("partition -1", electLeaders(1, t, -1), 2)
			r.Do("topic", electLeaders(0, r.Name("none"), 0), 2)
			r.Do("no name", electLeaders(0, "", 0), 2)
			r.Do("named twice", electLeaders(0, t, 0, 0), 2)
		}),
		named("all, where all are led as preferred", func(r *Run) {
			r.Topic("t", 2)
			r.Do("preferred", electLeaders(0, ""), 2)
			r.Do("unclean", electLeaders(1, ""), 1)
		}),
		named("none", func(r *Run) {
			req := electLeaders(0, "")
			req.Topics = []kmsg.ElectLeadersRequestTopic{}
			r.Do("an empty list", req, 2)
			r.Do("an empty list, v0", req, 0)
		}),
	)
}

// move is a target for a partition; nil cancels.
type move struct {
	partition int32
	replicas  []int32
}

func reassign(topic string, moves ...move) *kmsg.AlterPartitionAssignmentsRequest {
	req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
	t := kmsg.NewAlterPartitionAssignmentsRequestTopic()
	t.Topic = topic
	for _, m := range moves {
		p := kmsg.NewAlterPartitionAssignmentsRequestTopicPartition()
		p.Partition, p.Replicas = m.partition, m.replicas
		t.Partitions = append(t.Partitions, p)
	}
	req.Topics = append(req.Topics, t)
	return req
}

func listReassignments(topic string, partitions ...int32) *kmsg.ListPartitionReassignmentsRequest {
	req := kmsg.NewPtrListPartitionReassignmentsRequest()
	if partitions != nil {
		t := kmsg.NewListPartitionReassignmentsRequestTopic()
		t.Topic, t.Partitions = topic, partitions
		req.Topics = append(req.Topics, t)
	}
	return req
}

// reassignCases are those that one broker can show.
func reassignCases() []Case {
	return group("reassign",
		named("targets", func(r *Run) {
			t := r.Topic("t", 1)
			for _, target := range [][]int32{{0}, {}, {0, 0}, {-1}, {0, -1}, {7}, {0, 7}, {7, 8, 0}} {
				r.Do(fmt.Sprint("to ", target), reassign(t, move{0, target}), 0)
			}
			r.Do("cancel", reassign(t, move{0, nil}), 0)
			r.Do("list", listReassignments(t, 0), 0)
		}),
		named("what does not exist", func(r *Run) {
			t := r.Topic("t", 1)
			r.Do("partition", reassign(t, move{5, []int32{0}}), 0)
			r.Do("topic", reassign(r.Name("none"), move{0, []int32{0}}), 0)
			r.Do("cancel of a topic", reassign(r.Name("none"), move{0, nil}), 0)
			r.Do("list", listReassignments(r.Name("none"), 0), 0)
			r.Do("list of a partition", listReassignments(t, 9), 0)
			r.Do("list all", listReassignments(""), 0)
		}),
		named("several", func(r *Run) {
			t := r.Topic("t", 2)
			r.Do("one good, one bad", reassign(t, move{0, []int32{0}}, move{1, []int32{}}), 0)
			r.Do("one named twice", reassign(t, move{0, []int32{0}}, move{0, []int32{9}}), 0)
			req := kmsg.NewPtrAlterPartitionAssignmentsRequest()
			r.Do("none", req, 0)
			list := listReassignments("")
			list.Topics = []kmsg.ListPartitionReassignmentsRequestTopic{}
			r.Do("list none", list, 0)
		}),
	)
}
