package controller

import (
	"sync"
	"time"

	"gokafka/metadata"
)

// Decision is one line of the journal: who leads what since when, and why.
type Decision struct {
	At              time.Time
	ControllerEpoch int32
	Partition       metadata.TopicPartition // zero for decisions about the controller itself
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

// journalSize is the number of decisions kept (about 150 bytes each).
const journalSize = 4096

func (j *journal) add(d Decision) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.total++
	if len(j.ring) < journalSize {
		j.ring = append(j.ring, d)
		return
	}
	j.ring[j.next] = d
	j.next = (j.next + 1) % journalSize
}

// list returns the kept decisions, oldest first, and how many there have been.
func (j *journal) list() ([]Decision, int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	out := make([]Decision, 0, len(j.ring))
	out = append(out, j.ring[j.next:]...)
	return append(out, j.ring[:j.next]...), j.total
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

// note writes a decision about the controller itself.
func (c *Controller) note(epoch int32, why string) {
	c.journal.add(Decision{At: c.opt.Clock.Now(), ControllerEpoch: epoch, From: metadata.NoLeader, Leader: c.opt.BrokerID, Why: why})
}

// Journal returns the last decisions, oldest first, and how many there have been since the start.
func (c *Controller) Journal() (decisions []Decision, total int64) { return c.journal.list() }
