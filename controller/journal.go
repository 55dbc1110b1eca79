package controller

import (
	"fmt"
	"sync"
	"time"

	"gokafka/metadata"
)

// Decision is one line of the journal: who leads what since when, and why.
type Decision struct {
	At              time.Time
	ControllerEpoch int32
	Partition       metadata.TopicPartition // zero for what is about the controller itself or about brokers
	From            int32                   // leader before; metadata.NoLeader = none
	Leader          int32                   // leader now
	LeaderEpoch     int32
	ISR             []int32
	Why             string
}

// journal is a bounded ring of decisions, for a person to read. Safe for concurrent use.
type journal struct {
	mu    sync.Mutex
	ring  []Decision
	next  int
	total int64
}

// JournalSize is the number of decisions kept (about 150 bytes each, and what their ISRs take).
const JournalSize = 4096

func (j *journal) add(d Decision) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.total++
	if len(j.ring) < JournalSize {
		j.ring = append(j.ring, d)
		return
	}
	j.ring[j.next] = d
	j.next = (j.next + 1) % JournalSize
}

// JournalQuery chooses decisions. The zero value of Topic means all, those about the controller itself too.
type JournalQuery struct {
	Topic     string
	Partition int32 // negative = all
	Limit     int
}

func (q *JournalQuery) matches(d *Decision) bool {
	return (q.Topic == "" || d.Partition.Topic == q.Topic) && (q.Partition < 0 || d.Partition.Topic != "" && d.Partition.Partition == q.Partition)
}

// newest returns the last decisions that q chooses, newest first, and how many there have been of all kinds.
func (j *journal) newest(q *JournalQuery) ([]Decision, int64) {
	var out []Decision
	j.mu.Lock()
	defer j.mu.Unlock()
	for i := range j.ring {
		if len(out) >= q.Limit {
			break
		}
		// next is the oldest once the ring is full, and 0 before.
		if d := &j.ring[(j.next+len(j.ring)-1-i)%len(j.ring)]; q.matches(d) {
			out = append(out, *d)
		}
	}
	return out, j.total
}

// told writes what was stored into the journal.
func (c *Controller) told(stored []stateWrite) {
	now := c.opt.Clock.Now()
	for _, w := range stored {
		from := metadata.NoLeader
		if w.old != nil {
			from = w.old.Leader
		}
		c.journal.add(Decision{
			At: now, ControllerEpoch: c.s.epoch, Partition: w.p.tp, From: from,
			Leader: w.next.Leader, LeaderEpoch: w.next.LeaderEpoch, ISR: w.next.ISR, Why: w.why,
		})
	}
}

// note writes a decision about the controller itself, or what it learnt about brokers.
func (c *Controller) note(epoch int32, why string) {
	c.journal.add(Decision{At: c.opt.Clock.Now(), ControllerEpoch: epoch, From: metadata.NoLeader, Leader: c.opt.BrokerID, Why: why})
}

// noteBrokers writes what many decisions follow from. The dead ones are still known.
func (c *Controller) noteBrokers(fresh, bounced, dead []int32) {
	for _, id := range fresh {
		c.note(c.s.epoch, fmt.Sprintf("broker %d registered", id))
	}
	for _, id := range bounced {
		c.note(c.s.epoch, fmt.Sprintf("broker %d registered anew", id))
	}
	for _, id := range dead {
		why := fmt.Sprintf("broker %d is gone", id)
		if c.opt.Suspected(id, c.s.brokers[id].Epoch) {
			why += ": its process was seen to die"
		}
		c.note(c.s.epoch, why)
	}
}

// Journal returns the last decisions that q chooses, newest first, and how many there have been of all kinds since the start.
func (c *Controller) Journal(q JournalQuery) (decisions []Decision, total int64) {
	return c.journal.newest(&q)
}
