package fetch

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"gokafka/metadata"
)

// A consumer with a session gets every record, once and in order, whatever is appended, forgotten, added, lost and made again meanwhile; and what a
// reader without a session finds is never further than one wait and one turn of the partitions away.
func TestSessionAgainstPlainReader(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		plan := rapid.SliceOfN(rapid.Custom(drawStep), 1, 40).Draw(rt, "plan") // before the bubble, in which rapid must not be called
		var wrong error
		synctest.Test(t, func(t *testing.T) { wrong = follow(newHost(t, 10), plan) })
		if wrong != nil {
			rt.Fatal(wrong)
		}
	})
}

// step is one thing that happens.
type step struct {
	kind           string
	partition      int32
	batches        int
	records, size  int // of a batch
	minBytes, most int
}

func drawStep(t *rapid.T) step {
	return step{
		kind:      rapid.SampledFrom([]string{"append", "append", "append", "fetch", "fetch", "pause", "epoch", "lost", "retry"}).Draw(t, "kind"),
		partition: rapid.Int32Range(0, consumed-1).Draw(t, "partition"),
		batches:   rapid.IntRange(1, 3).Draw(t, "batches"),
		records:   rapid.IntRange(1, 3).Draw(t, "records"),
		size:      rapid.SampledFrom([]int{1, 100, 3000}).Draw(t, "size"),
		minBytes:  rapid.IntRange(1, 4000).Draw(t, "min"),
		most:      rapid.SampledFrom([]int{0, 500, 8000, 1 << 20}).Draw(t, "most"),
	}
}

const consumed = 4 // partitions

// consumer consumes topic a as clients do: it moves its offsets when it gets records, forgets partitions it does not want, begins anew after an error.
type consumer struct {
	h       *host
	id      int32
	epoch   int32
	next    [consumed]int64
	wanted  [consumed]bool
	changes map[int32]bool // partitions that the next request names
	forget  []Key
}

// broken is what a consumer panics with when a promise is not kept.
type broken struct{ error }

func (c *consumer) fail(format string, args ...any) { panic(broken{fmt.Errorf(format, args...)}) }

func follow(h *host, plan []step) (wrong error) {
	defer func() {
		if p := recover(); p != nil {
			b, ok := p.(broken)
			if !ok {
				panic(p)
			}
			wrong = b.error
		}
	}()
	h.lead("a", consumed)
	c := &consumer{h: h, changes: map[int32]bool{}}
	for p := range c.wanted {
		c.wanted[p] = true
	}
	for i := range plan {
		c.step(&plan[i])
	}
	c.drain()
	return nil
}

func (c *consumer) step(s *step) {
	switch s.kind {
	case "append":
		for range s.batches {
			c.h.append("a", s.partition, s.records, s.size)
		}
	case "fetch":
		c.fetch(s.minBytes, s.most)
	case "pause": // as the Java client does with partitions whose records it has not handed out yet
		if p := s.partition; c.wanted[p] {
			c.wanted[p] = false
			delete(c.changes, p)
			c.forget = append(c.forget, Key{Topic: "a", Partition: p})
		} else {
			c.want(p)
		}
	case "epoch":
		c.h.assign("a", metadata.TopicID{}, consumed, 0)
	case "lost": // the broker forgets the session
		c.h.m.drop(c.id)
	case "retry": // a request whose answer was lost
		if c.id != 0 {
			c.h.do(ask().in(c.id, c.epoch))
		}
	}
}

func (c *consumer) want(p int32) {
	c.wanted[p], c.changes[p] = true, true
	c.forget = slices.DeleteFunc(c.forget, func(k Key) bool { return k.Partition == p })
}

// fetch sends one request and takes its answer.
func (c *consumer) fetch(minBytes, maxBytes int) (records int) {
	q := ask().wait(maxWait)
	q.MinBytes, q.MaxBytes = min(minBytes, maxBytes), maxBytes
	if c.id == 0 {
		q.in(0, EpochInitial)
		for p := range int32(consumed) {
			if c.wanted[p] {
				q.Parts = append(q.Parts, part("a", p, c.next[p]))
			}
		}
	} else {
		q.in(c.id, c.epoch).Forgotten = c.forget
		for p := range int32(consumed) {
			if c.changes[p] {
				q.Parts = append(q.Parts, part("a", p, c.next[p]))
			}
		}
	}
	enough := c.there(q.MaxBytes) >= q.MinBytes
	began := time.Now()
	a := c.h.do(q)
	if took := time.Since(began); enough && took > 0 {
		c.fail("%d bytes are there, min bytes are %d: answered after %v", c.there(q.MaxBytes), q.MinBytes, took)
	}
	c.changes, c.forget = map[int32]bool{}, nil
	if c.id, c.epoch = a.session, nextEpoch(q.SessionEpoch); a.code != 0 {
		c.id = 0
		return 0
	}
	for _, g := range a.parts {
		if g.ErrorCode != 0 {
			c.fail("a-%d: error %d", g.Partition, g.ErrorCode)
		}
		if !c.wanted[g.Partition] && g.size > 0 {
			c.fail("a-%d was forgotten, and is told", g.Partition)
		}
		for _, o := range g.offsets {
			if o < c.next[g.Partition] {
				continue // of a batch that holds the offset asked for
			}
			if o != c.next[g.Partition] {
				c.fail("a-%d: offset %d follows %d", g.Partition, o, c.next[g.Partition]-1)
			}
			c.next[g.Partition]++
			records++
			c.changes[g.Partition] = true
		}
	}
	return records
}

// there is how many bytes a reader without a session finds within the limit, first batches aside.
func (c *consumer) there(limit int) (bytes int) {
	for p := range int32(consumed) {
		if c.wanted[p] {
			q := ask(part("a", p, c.next[p]))
			for _, g := range c.h.do(q).parts {
				bytes += g.size
			}
		}
	}
	return min(bytes, limit)
}

// drain fetches until all is consumed. Each answer must bring something, as long as there is something.
func (c *consumer) drain() {
	for p := range int32(consumed) {
		if !c.wanted[p] {
			c.want(p)
		}
	}
	lost := 0
	for {
		left := int64(0)
		for p := range int32(consumed) {
			left += c.h.log("a", p).LogEndOffset() - c.next[p]
		}
		if left == 0 {
			return
		}
		if c.fetch(1, 500) == 0 {
			if lost++; lost > 1 { // the session may have been lost before
				c.fail("%d records are there, and none came", left)
			}
		}
	}
}
