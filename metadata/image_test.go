package metadata

import (
	"fmt"
	"maps"
	"testing"

	"pgregory.net/rapid"
)

func state(index, leader, epoch int32) Partition {
	return Partition{Index: index, PartitionState: PartitionState{Leader: leader, LeaderEpoch: epoch, ISR: []int32{leader}}, Replicas: []int32{leader}}
}

func TestApplyReplacesBrokersAndMergesPartitions(t *testing.T) {
	c := NewCache()
	id := NewTopicID()
	c.Apply(Update{ControllerID: 1, Brokers: []*Broker{{ID: 2}, {ID: 1}}, Topics: []TopicUpdate{
		{Name: "a", ID: id, Partitions: []PartitionUpdate{state(0, 1, 0), state(1, 2, 0)}}}})
	first := c.Image()
	c.Apply(Update{ControllerID: 2, Brokers: []*Broker{{ID: 2}}, Topics: []TopicUpdate{
		{Name: "a", Partitions: []PartitionUpdate{state(1, 2, 1)}}}})
	im := c.Image()
	if im.Broker(1) != nil || im.ControllerID != 2 || len(im.BrokerIDs()) != 1 {
		t.Errorf("brokers not replaced: %v", im.BrokerIDs())
	}
	if got := im.Partition(TopicPartition{"a", 0}); got == nil || got.LeaderEpoch != 0 {
		t.Errorf("partition 0 was not named in the update and must stay: %+v", got)
	}
	if got := im.Partition(TopicPartition{"a", 1}); got.LeaderEpoch != 1 {
		t.Errorf("partition 1: %+v", got)
	}
	if im.Topic("a").ID != id || im.TopicByID(id) != im.Topic("a") {
		t.Error("an update without id lost the topic's id, or the id leads to an old topic")
	}
	if first.Partition(TopicPartition{"a", 1}).LeaderEpoch != 0 || first.Broker(1) == nil {
		t.Error("a published picture changed")
	}
}

func TestApplyDeletesAndRecreatesUnderNewID(t *testing.T) {
	c := NewCache()
	oldID, newID := NewTopicID(), NewTopicID()
	c.Apply(Update{Topics: []TopicUpdate{{Name: "a", ID: oldID, Partitions: []PartitionUpdate{state(0, 1, 0), state(1, 1, 0)}}}})
	c.Apply(Update{Topics: []TopicUpdate{{Name: "a", ID: oldID, Partitions: []PartitionUpdate{state(0, LeaderDuringDelete, 0)}}}})
	if im := c.Image(); im.Topic("a").Partition(0) != nil || im.Topic("a").Partition(1) == nil {
		t.Error("deleting one partition")
	}
	c.Apply(Update{Topics: []TopicUpdate{{Name: "a", ID: oldID, Partitions: []PartitionUpdate{state(1, LeaderDuringDelete, 0)}}}})
	if im := c.Image(); im.Topic("a") != nil || im.TopicByID(oldID) != nil || im.TopicCount() != 0 {
		t.Error("topic not gone")
	}
	c.Apply(Update{Topics: []TopicUpdate{{Name: "a", ID: newID, Partitions: []PartitionUpdate{state(0, 1, 0)}}}})
	if im := c.Image(); im.TopicByID(newID) == nil || im.TopicByID(oldID) != nil || im.TopicCount() != 1 {
		t.Error("recreated topic")
	}
}

func TestApplyEqualsNaiveModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c := NewCache()
		model := map[TopicPartition]int32{}
		for step := range rapid.IntRange(1, 30).Draw(t, "steps") {
			var u Update
			for i := range rapid.IntRange(0, 4).Draw(t, "topics") {
				tu := TopicUpdate{Name: fmt.Sprint("t", (step+i)%7), ID: TopicID{1, 15: byte((step + i) % 7)}}
				for range rapid.IntRange(0, 3).Draw(t, "partitions") {
					p := rapid.SampledFrom([]int32{0, 1, 2, 3, 7, 1<<31 - 1}).Draw(t, "partition")
					leader := rapid.SampledFrom([]int32{LeaderDuringDelete, 1, 2}).Draw(t, "leader")
					tu.Partitions = append(tu.Partitions, state(p, leader, int32(step)))
					if tp := (TopicPartition{tu.Name, p}); leader == LeaderDuringDelete {
						delete(model, tp)
					} else {
						model[tp] = int32(step)
					}
				}
				u.Topics = append(u.Topics, tu)
			}
			c.Apply(u)
			got := map[TopicPartition]int32{}
			topics := 0
			for topic := range c.Image().Topics() {
				topics++
				if c.Image().TopicByID(topic.ID) != topic {
					t.Fatal("id index is stale")
				}
				for i, part := range topic.Partitions {
					got[TopicPartition{topic.Name, part.Index}] = part.LeaderEpoch
					if i > 0 && topic.Partitions[i-1].Index >= part.Index || topic.Partition(part.Index) != part {
						t.Fatal("partitions are not in order")
					}
				}
			}
			if !maps.Equal(got, model) || topics != c.Image().TopicCount() {
				t.Fatalf("got %v (%d topics, count %d), want %v", got, topics, c.Image().TopicCount(), model)
			}
		}
	})
}

func TestTopicIDText(t *testing.T) {
	const text = "OYTtQtSPSWWt94DTnXTnRg" // from an Apache 3.9.1 topic node
	id, err := ParseTopicID(text)
	if err != nil || id.String() != text {
		t.Errorf("%v %v", id, err)
	}
	for _, bad := range []string{"", "short", text + "==", text + "AA", "OYTtQtSPSWWt94DTnXTn+g"} {
		if _, err := ParseTopicID(bad); err == nil {
			t.Errorf("%q passed", bad)
		}
	}
	for range 200 {
		if s := NewTopicID().String(); s[0] == '-' {
			t.Fatal(s)
		}
	}
}

// What hangs on the names alone is found out anew when one comes or goes, and at no other time.
func TestNamesVersion(t *testing.T) {
	im := &Image{}
	a := func(p PartitionUpdate) Update {
		return Update{Topics: []TopicUpdate{{Name: "a", Partitions: []PartitionUpdate{p}}}}
	}
	for i, step := range []struct {
		u    Update
		want int64
	}{
		{Update{}, 0},
		{a(state(0, 1, 0)), 2},
		{a(state(0, 2, 1)), 2},
		{a(state(1, 1, 0)), 2},
		{a(state(1, LeaderDuringDelete, 0)), 2},
		{a(state(7, LeaderDuringDelete, 0)), 2},
		{a(state(0, LeaderDuringDelete, 0)), 7},
		{a(state(0, LeaderDuringDelete, 0)), 7},
		{a(state(0, 1, 0)), 9},
	} {
		if im = im.Apply(step.u); im.NamesVersion != step.want {
			t.Errorf("step %d: %d, want %d", i, im.NamesVersion, step.want)
		}
	}
}
