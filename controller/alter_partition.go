package controller

import (
	"context"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/metadata"
)

// AlterPartitionRequest is a leader's wish to change ISRs.
type AlterPartitionRequest struct {
	BrokerID    int32
	BrokerEpoch int64
	Partitions  []AlterPartition
}

// AlterPartition is the wish for one partition. The broker epochs that v3 carries for the members are not checked with
// ZooKeeper.
type AlterPartition struct {
	TopicID        metadata.TopicID // names the topic unless zero
	Topic          string           // names the topic if TopicID is zero (v0, v1)
	Partition      int32
	LeaderEpoch    int32
	ISR            []int32
	Recovery       metadata.RecoveryState
	PartitionEpoch int32
}

// AlterPartitionResult is the answer for one partition: Err, or the state that holds now. A member that is not live is
// kerr.IneligibleReplica; handlers answer v0 and v1 with OPERATION_NOT_ATTEMPTED instead.
type AlterPartitionResult struct {
	TopicID   metadata.TopicID
	Topic     string
	Partition int32
	Err       error
	State     metadata.PartitionState
}

// AlterPartition checks the wishes, stores those that are lawful, tells everybody by UpdateMetadata, and answers each in
// the order of the request. An error is the answer to the whole request (Kafka 3.9 tryProcessAlterPartition).
func (c *Controller) AlterPartition(ctx context.Context, req AlterPartitionRequest) ([]AlterPartitionResult, error) {
	return ask(ctx, c, "AlterPartitionReceived", func(ctx context.Context) ([]AlterPartitionResult, error) {
		results, err := c.alterPartition(ctx, req)
		if err == nil {
			c.completeReassignmentsLater(results)
		}
		return results, err
	})
}

func (c *Controller) alterPartition(ctx context.Context, req AlterPartitionRequest) ([]AlterPartitionResult, error) {
	if b := c.s.brokers[req.BrokerID]; b == nil || b.Epoch != req.BrokerEpoch {
		return nil, fmt.Errorf("AlterPartition of broker %d with epoch %d: %w", req.BrokerID, req.BrokerEpoch, kerr.StaleBrokerEpoch)
	}
	results := make([]AlterPartitionResult, len(req.Partitions))
	var writes []stateWrite
	var index []int // of each write in results
	var named []*partition
	seen := map[*partition]bool{}
	for i := range req.Partitions {
		a := &req.Partitions[i]
		r := &results[i]
		r.TopicID, r.Topic, r.Partition = a.TopicID, a.Topic, a.Partition
		if !a.TopicID.IsZero() {
			name, ok := c.s.topicNames[a.TopicID]
			if !ok {
				r.Err = fmt.Errorf("AlterPartition of topic id %s: %w", a.TopicID, kerr.UnknownTopicID)
				continue
			}
			r.Topic = name
		}
		p := c.s.partition(metadata.TopicPartition{Topic: r.Topic, Partition: a.Partition})
		if p == nil || p.info == nil || seen[p] {
			r.Err = fmt.Errorf("AlterPartition of %s-%d: %w", r.Topic, a.Partition, kerr.UnknownTopicOrPartition)
			continue
		}
		seen[p] = true
		named = append(named, p)
		next, change, err := c.s.judgeAlterPartition(req.BrokerID, a, p)
		r.Err, r.State = err, *p.info
		if change {
			writes = append(writes, stateWrite{p: p, old: p.info, next: next, why: "ISR change by the leader"})
			index = append(index, i)
		}
	}
	stored, err := c.store.writeStates(ctx, writes)
	if err != nil {
		return nil, err
	}
	var told []stateWrite
	for j, s := range stored {
		r, w := &results[index[j]], writes[j]
		switch {
		case s.fresh != nil:
			w.p.info = s.fresh
			r.Err = fmt.Errorf("%s: stored state has moved on: %w", w.p.tp, kerr.InvalidUpdateVersion)
		case s.err != nil:
			r.Err = fmt.Errorf("%s: %w", w.p.tp, s.err)
		default:
			next := w.next
			next.PartitionEpoch = s.epoch
			w.next, w.p.info, r.State = next, &next, next
			told = append(told, w)
		}
	}
	c.told(told)
	c.sendUpdateMetadata(c.s.brokerIDs(), named...) // refused ones too: it feeds the metadata caches
	return results, nil
}

// judgeAlterPartition decides one wish. change says that next is to be stored; otherwise err, or p's state as it is, is
// the answer. Pure.
func (s *cluster) judgeAlterPartition(sender int32, a *AlterPartition, p *partition) (next metadata.PartitionState, change bool, err error) {
	cur := p.info
	refuse := func(why string, code error) (metadata.PartitionState, bool, error) {
		return *cur, false, fmt.Errorf("AlterPartition of %s, leader epoch %d, partition epoch %d: %s: %w", p.tp, a.LeaderEpoch, a.PartitionEpoch, why, code)
	}
	switch {
	case a.PartitionEpoch > cur.PartitionEpoch || a.LeaderEpoch > cur.LeaderEpoch:
		return refuse("newer than what this controller knows", kerr.NotController)
	case a.LeaderEpoch < cur.LeaderEpoch:
		return refuse("older leader epoch", kerr.FencedLeaderEpoch)
	case sender != cur.Leader: // Apache would make the sender the leader; nobody honest gets here
		return refuse(fmt.Sprintf("broker %d does not lead", sender), kerr.InvalidRequest)
	case slices.Equal(a.ISR, cur.ISR) && a.Recovery == cur.Recovery:
		return *cur, false, nil // a repetition; the partition epoch may be from before the first time
	case a.PartitionEpoch < cur.PartitionEpoch:
		return refuse("older partition epoch", kerr.InvalidUpdateVersion)
	case a.Recovery == metadata.Recovering && len(a.ISR) > 1:
		return refuse("the leader is recovering and the ISR is larger than 1", kerr.InvalidRequest)
	case cur.Recovery == metadata.Recovered && a.Recovery == metadata.Recovering:
		return refuse("a recovered leader cannot become recovering", kerr.InvalidRequest)
	case a.Recovery != metadata.Recovered && a.Recovery != metadata.Recovering:
		return refuse("unknown recovery state", kerr.InvalidRequest)
	case len(a.ISR) == 0 || len(distinct(a.ISR)) != len(a.ISR):
		return refuse("empty ISR, or a member twice", kerr.InvalidRequest) // readers of the state znode rely on it
	}
	for _, id := range a.ISR {
		if !slices.Contains(p.assignment.Replicas, id) {
			// Apache does not look. An ISR of strangers only could never be led again.
			return refuse(fmt.Sprintf("member %d is not a replica", id), kerr.InvalidRequest)
		}
		if !s.isLive(id) {
			return refuse(fmt.Sprintf("member %d is not live", id), kerr.IneligibleReplica)
		}
	}
	next = *cur
	next.ControllerEpoch, next.Leader, next.ISR, next.Recovery = s.epoch, sender, slices.Clone(a.ISR), a.Recovery
	return next, true, nil
}
