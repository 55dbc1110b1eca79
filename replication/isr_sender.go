package replication

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/metadata"
)

// isrRetryPause is the time to the next AlterPartition after one that failed (Kafka 3.9 DefaultAlterPartitionManager).
const isrRetryPause = 50 * time.Millisecond

// Highest versions of AlterPartition: with topic ids, and if one is not known.
const (
	alterPartitionVersion     int16 = 3
	alterPartitionNameVersion int16 = 1
)

// isrSender sends the proposed ISRs of all partitions to the controller: one request in flight, with all that wait in it, repeated until each
// is answered. It holds one change for each partition at most.
type isrSender struct {
	m    *Manager
	wake chan struct{} // capacity 1

	expands, shrinks, failed atomic.Int64 // changes stored, and refused

	mu     sync.Mutex
	unsent map[*Partition]*isrChange
}

func newISRSender(m *Manager) *isrSender {
	return &isrSender{m: m, wake: make(chan struct{}, 1), unsent: map[*Partition]*isrChange{}}
}

// submit queues a change, in place of an older one of the partition, which a LeaderAndIsr has outdated.
func (s *isrSender) submit(p *Partition, c *isrChange) {
	s.mu.Lock()
	s.unsent[p] = c
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// waiting returns what has to be sent, without what a LeaderAndIsr or a deletion has outdated.
func (s *isrSender) waiting() map[*Partition]*isrChange {
	s.mu.Lock()
	items := maps.Clone(s.unsent)
	s.mu.Unlock()
	maps.DeleteFunc(items, func(p *Partition, c *isrChange) bool {
		if p.hasPending(c) {
			return false
		}
		s.done(p, c)
		return true
	})
	return items
}

func (s *isrSender) done(p *Partition, c *isrChange) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unsent[p] == c {
		delete(s.unsent, p)
	}
}

func (s *isrSender) run(ctx context.Context) {
	for {
		items := s.waiting()
		if len(items) == 0 {
			select {
			case <-s.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		if !s.send(ctx, items) {
			if s.m.clk.Sleep(ctx, isrRetryPause) != nil {
				return
			}
		}
	}
}

// send sends one request and hands the answers out. It is false if something has to be sent again.
func (s *isrSender) send(ctx context.Context, items map[*Partition]*isrChange) bool {
	q := s.request(items)
	resp, err := s.m.o.AlterPartition(ctx, q)
	if err == nil {
		err = kerr.ErrorForCode(resp.ErrorCode)
	}
	if err != nil {
		if ctx.Err() == nil {
			s.m.logger.Warn("AlterPartition failed; trying again", "partitions", len(items), "error", err)
		}
		return false
	}
	answers := alterAnswers(resp)
	all := true
	for p, c := range items {
		a, ok := answers[c.key(p, resp.Version)]
		switch {
		case !ok:
			s.m.logger.Warn("The answer to AlterPartition lacks a partition", "topicPartition", p.tp.String())
			all = false
		case p.isrAnswered(c, a.state, a.err):
			all = false
		default:
			s.done(p, c)
		}
	}
	return all
}

// alterKey names a partition in AlterPartition: by id from version 2 on, by name before.
type alterKey struct {
	topic     string
	id        metadata.TopicID
	partition int32
}

func (c *isrChange) key(p *Partition, version int16) alterKey {
	if version >= 2 {
		return alterKey{id: c.topicID, partition: p.tp.Partition}
	}
	return alterKey{topic: p.tp.Topic, partition: p.tp.Partition}
}

// request builds the request for the changes.
func (s *isrSender) request(items map[*Partition]*isrChange) *kmsg.AlterPartitionRequest {
	q := kmsg.NewPtrAlterPartitionRequest()
	q.Version, q.BrokerID, q.BrokerEpoch = alterPartitionVersion, s.m.brokerID, s.m.o.BrokerEpoch()
	ordered := slices.SortedFunc(maps.Keys(items), func(a, b *Partition) int {
		return cmp.Or(bytes.Compare(items[a].topicID[:], items[b].topicID[:]), cmp.Compare(a.tp.Topic, b.tp.Topic), cmp.Compare(a.tp.Partition, b.tp.Partition))
	})
	for _, p := range ordered {
		c := items[p]
		if c.topicID.IsZero() {
			q.Version = alterPartitionNameVersion
		}
		if n := len(q.Topics); n == 0 || q.Topics[n-1].Topic != p.tp.Topic || q.Topics[n-1].TopicID != c.topicID {
			t := kmsg.NewAlterPartitionRequestTopic()
			t.Topic, t.TopicID = p.tp.Topic, c.topicID
			q.Topics = append(q.Topics, t)
		}
		r := kmsg.NewAlterPartitionRequestTopicPartition()
		r.Partition, r.LeaderEpoch, r.PartitionEpoch, r.NewISR = p.tp.Partition, c.leaderEpoch, c.partitionEpoch, c.isr
		for _, id := range c.isr {
			m := kmsg.NewAlterPartitionRequestTopicPartitionNewEpochISR()
			m.BrokerID, m.BrokerEpoch = id, -1 // a broker of a ZooKeeper cluster does not tell the members' epochs
			r.NewEpochISR = append(r.NewEpochISR, m)
		}
		t := &q.Topics[len(q.Topics)-1]
		t.Partitions = append(t.Partitions, r)
	}
	return q
}

type alterAnswer struct {
	state metadata.PartitionState
	err   error
}

var errRecoveryState = errors.New("the controller answered an unknown leader recovery state")

func alterAnswers(resp *kmsg.AlterPartitionResponse) map[alterKey]alterAnswer {
	out := map[alterKey]alterAnswer{}
	for i := range resp.Topics {
		t := &resp.Topics[i]
		for j := range t.Partitions {
			r := &t.Partitions[j]
			a := alterAnswer{err: kerr.ErrorForCode(r.ErrorCode), state: metadata.PartitionState{
				Leader: r.LeaderID, LeaderEpoch: r.LeaderEpoch, ISR: r.ISR, PartitionEpoch: r.PartitionEpoch, Recovery: metadata.RecoveryState(r.LeaderRecoveryState),
			}}
			if a.err == nil && a.state.Recovery != metadata.Recovered && a.state.Recovery != metadata.Recovering {
				a.err = errRecoveryState
			}
			k := alterKey{topic: t.Topic, partition: r.Partition}
			if resp.Version >= 2 {
				k = alterKey{id: t.TopidID, partition: r.Partition}
			}
			out[k] = a
		}
	}
	return out
}

// watchISRs proposes smaller ISRs now and then: a follower may be behind for 1.5 times the lag time before it leaves the ISR.
func (m *Manager) watchISRs(ctx context.Context) {
	t := m.clk.NewTicker(m.o.LagTimeMax / 2)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			return
		}
		now := m.clk.Mono()
		for _, p := range m.Partitions() {
			p.shrinkISR(now)
		}
	}
}
