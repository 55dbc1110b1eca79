package fetch

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"gokafka/metadata"
)

// KIP-74 and protocol.md §3.2, size rules. Each batch is one record of 100 bytes of value; sizes are in such batches, and a half is half of one.
func TestSizes(t *testing.T) {
	h := newHost(t, 10)
	h.lead("a", 4)
	size := h.append("a", 0, 1, 100)
	for range 2 {
		h.append("a", 0, 1, 100)
	}
	for range 3 {
		h.append("a", 1, 1, 100)
	}
	h.append("a", 2, 1, 5*100) // one that is larger than the limits
	for _, c := range []struct {
		what       string
		total, one float64 // max_bytes, partition_max_bytes
		parts      []Part
		want       string
	}{
		{"all fits", 100, 100, []Part{part("a", 0, 0), part("a", 1, 0)}, "a-0[0..2] a-1[0..2]"},
		{"the partition's limit", 100, 2, []Part{part("a", 0, 0), part("a", 1, 0)}, "a-0[0..1] a-1[0..1]"},
		{"whole batches only", 100, 2.5, []Part{part("a", 0, 0), part("a", 1, 0)}, "a-0[0..1] a-1[0..1]"},
		{"the request's limit is shared, in order", 4, 100, []Part{part("a", 0, 0), part("a", 1, 0)}, "a-0[0..2] a-1[0..0]"},
		{"and the order is the request's", 4, 100, []Part{part("a", 1, 0), part("a", 0, 0)}, "a-1[0..2] a-0[0..0]"},
		{"what does not fit comes not at all", 3.5, 100, []Part{part("a", 0, 0), part("a", 1, 0)}, "a-0[0..2] a-1"},
		{"the first batch comes whatever its size", 1, 1, []Part{part("a", 2, 0)}, "a-2[0..0]"},
		{"also with no bytes at all", 0, 0, []Part{part("a", 0, 0), part("a", 1, 0)}, "a-0[0..0] a-1"},
		{"the first non-empty partition has that right", 1, 1, []Part{part("a", 3, 0), part("a", 0, 3), part("a", 2, 0), part("a", 1, 0)}, "a-3 a-0 a-2[0..0] a-1"},
		{"but only that one", 1, 1, []Part{part("a", 1, 2), part("a", 2, 0)}, "a-1[2..2] a-2"},
		{"a large batch later in the request waits for its turn", 3.5, 100, []Part{part("a", 1, 2), part("a", 2, 0), part("a", 0, 0)}, "a-1[2..2] a-2 a-0[0..1]"},
		{"the same partition twice: the last counts, in the place of the first", 100, 100,
			[]Part{part("a", 0, 0), part("a", 1, 2), part("a", 0, 2)}, "a-0[2..2] a-1[2..2]"},
	} {
		q := ask(c.parts...)
		q.MaxBytes = int(c.total * float64(size))
		for i := range q.Parts {
			q.Parts[i].MaxBytes = int32(c.one * float64(size))
		}
		expect(t, c.what, h.do(q), c.want)
	}
	q := ask(part("a", 0, 0))
	q.MaxBytes = -1
	expect(t, "negative limit of the request", h.do(q), "a-0:err-1")
	q = ask(part("a", 0, 0), part("a", 1, 0))
	q.Parts[0].MaxBytes = -1
	expect(t, "negative limit of a partition", h.do(q), "a-0:err-1 a-1[0..2]")
}

// Min bytes are there when they are in the log, even if whole batches within the limit come to less.
func TestMinBytesThatDoNotFit(t *testing.T) {
	for _, session := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := newHost(t, 10)
			h.lead("a", 2)
			size := h.append("a", 0, 1, 1000)
			for range 9 {
				h.append("a", 0, 1, 1000)
			}
			serve := func(minBytes int, parts ...Part) (answer, time.Duration) {
				q := ask(parts...)
				if session {
					q = ask().in(h.open(parts...), 1)
				}
				q.MinBytes, q.MaxBytes = minBytes, size*5+size/2
				began := time.Now()
				a := h.do(q.wait(maxWait))
				return a, time.Since(began)
			}
			if a, took := serve(size*5+size/2, part("a", 0, 0), part("a", 1, 0)); took != 0 || a.parts[0].next != 5 {
				t.Errorf("ten batches are there: answered after %v", took)
			}
			small := part("a", 0, 0)
			small.MaxBytes = int32(size * 3 / 2)
			if a, took := serve(size*2, small); took != maxWait || a.parts[0].next != 1 {
				t.Errorf("the partition's limit is below min bytes: answered after %v", took)
			}
			if a, took := serve(size*5, part("a", 0, 7)); took != maxWait || a.parts[0].next != 10 {
				t.Errorf("three batches are there: answered after %v", took)
			}
		})
	}
}

// A fetch from a segment that is not the last is answered at once, whatever min bytes it asks for: the segment's own bytes may
// be fewer, though the log has more.
func TestMinBytesAcrossSegments(t *testing.T) {
	for _, session := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := newHost(t, 10)
			cfg := *h.cfg
			cfg.SegmentBytes = 5000
			h.cfg = &cfg
			h.lead("a", 1)
			for range 10 {
				h.append("a", 0, 1, 1000)
			}
			serve := func(offset int64) (answer, time.Duration) {
				q := ask(part("a", 0, offset))
				if session {
					q = ask().in(h.open(part("a", 0, offset)), 1)
				}
				q.MinBytes = 1 << 20
				began := time.Now()
				a := h.do(q.wait(maxWait))
				return a, time.Since(began)
			}
			if a, took := serve(3); took != 0 || a.parts[0].next != 4 {
				t.Errorf("the end of an older segment: answered after %v up to %d", took, a.parts[0].next)
			}
			if a, took := serve(9); took != maxWait || a.parts[0].next != 10 {
				t.Errorf("the last segment: answered after %v up to %d", took, a.parts[0].next)
			}
		})
	}
}

// A session gives each partition its turn: one that has always more to give does not starve the others, however small the limit.
func TestRotation(t *testing.T) {
	h := newHost(t, 10)
	h.lead("a", 5)
	size := 0
	for p := range int32(5) {
		for range 20 {
			size = h.append("a", p, 1, 100)
		}
	}
	next := make([]int64, 5)
	parts := make([]Part, 5)
	for p := range parts {
		parts[p] = part("a", int32(p), 0)
	}
	id := h.open(parts...)
	var order []int32
	var update []Part
	for epoch := int32(1); epoch <= 100; epoch++ {
		q := ask(update...).in(id, epoch)
		q.MaxBytes = size // one batch an answer
		a := h.do(q)
		update = nil
		for _, g := range a.parts {
			if g.next >= 0 {
				order = append(order, g.Partition)
				next[g.Partition] = g.next
				update = append(update, part("a", g.Partition, g.next))
			}
		}
	}
	if want := []int64{20, 20, 20, 20, 20}; !slices.Equal(next, want) {
		t.Errorf("after 100 answers of one batch each, of 5 times 20: %v", next)
	}
	for i := 5; i < len(order); i++ {
		if order[i] != order[i-5] {
			t.Fatalf("not in turn: %v", order)
		}
	}
}

// A partition that comes late gets its turn among busy ones.
func TestRotationOfANewcomer(t *testing.T) {
	h := newHost(t, 10)
	h.lead("a", 2)
	size := h.append("a", 0, 1, 100)
	for range 20 {
		h.append("a", 0, 1, 100)
	}
	id := h.open(part("a", 0, 0), part("a", 1, 0))
	serve := func(epoch int32, parts ...Part) answer {
		q := ask(parts...).in(id, epoch)
		q.MaxBytes = size
		return h.do(q)
	}
	expect(t, "the busy one", serve(1), "a-0[0..0]")
	h.append("a", 1, 1, 100)
	expect(t, "the busy one again", serve(2, part("a", 0, 1)), "a-0[1..1] a-1") // the new high watermark of the other is told
	expect(t, "the newcomer", serve(3, part("a", 0, 2)), "a-1[0..0]")
	expect(t, "the busy one", serve(4, part("a", 1, 1)), "a-0[2..2]")
}

func TestAuthorization(t *testing.T) {
	h := newHost(t, 10)
	id := metadata.TopicID{9}
	h.assign("a", id, 1, 0)
	h.append("a", 0, 1, 1)
	denied := func(version int16, replica int32, parts ...Part) *Request {
		q := ask(parts...)
		q.Version, q.ReplicaID = version, replica
		q.Authorize = func(string) error { return errDenied }
		return q
	}
	expect(t, "consumer", h.do(denied(12, -1, part("a", 0, 0), part("nope", 0, 0))), "a-0:err29 nope-0:err29")
	expect(t, "consumer, by id", h.do(denied(13, -1, partByID(id, "a", 0, 0), partByID(metadata.TopicID{1}, "", 0, 0))), "a-0:err29 -0:err100")
	expect(t, "follower, by id", h.do(denied(13, 1, partByID(id, "a", 0, 0), partByID(metadata.TopicID{1}, "", 0, 0))), "a-0:err29 -0:err29")
	began := h.clk.Mono()
	h.do(denied(12, -1, part("a", 0, 0)).wait(time.Hour))
	if h.clk.Mono()-began > time.Minute {
		t.Error("a request of which nothing can be read waited")
	}
	// A session asks anew when there is something to tell.
	session := h.open(part("a", 0, 1))
	expect(t, "allowed", h.do(ask().in(session, 1)), "")
	h.append("a", 0, 1, 1)
	q := ask().in(session, 2)
	q.Authorize = func(string) error { return errDenied }
	expect(t, "no longer", h.do(q), "a-0:err29")
}

// Versions 0 to 2 have hard limits: a first batch that does not fit comes not at all, but as the part of it that would fit has been read, the answer does not wait.
func TestHardLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, 10)
		h.lead("a", 3)
		size := h.append("a", 0, 1, 100)
		h.append("a", 0, 1, 100)
		h.append("a", 1, 1, 100)
		for _, c := range []struct {
			one   int // partition_max_bytes
			min   int
			parts []Part
			want  string
			took  time.Duration
		}{
			{size - 1, 1, []Part{part("a", 0, 0), part("a", 1, 0)}, "a-0 a-1", 0},
			{size, 1, []Part{part("a", 0, 0), part("a", 1, 0)}, "a-0[0..0] a-1[0..0]", 0},
			{size, size + 1, []Part{part("a", 0, 0)}, "a-0[0..0]", maxWait},
			{10, 20, []Part{part("a", 0, 0), part("a", 1, 0)}, "a-0 a-1", 0},
			{10, 21, []Part{part("a", 0, 0), part("a", 1, 0)}, "a-0 a-1", maxWait},
			{0, 1, []Part{part("a", 0, 0)}, "a-0", maxWait},
			{10, 1, []Part{part("a", 2, 0)}, "a-2", maxWait},
		} {
			q := ask(c.parts...).wait(maxWait)
			q.Version, q.HardLimit, q.MinBytes = 2, true, c.min
			for i := range q.Parts {
				q.Parts[i].MaxBytes = int32(c.one)
			}
			began := time.Now()
			expect(t, "hard limit", h.do(q), c.want)
			if took := time.Since(began); took != c.took {
				t.Errorf("partition limit %d, min bytes %d: answered after %v", c.one, c.min, took)
			}
		}
	})
}

// Partitions come in the order of the request, though a topic is named twice for that.
func TestOrderOfTopics(t *testing.T) {
	h := newHost(t, 10)
	h.lead("a", 2)
	h.lead("b", 1)
	expect(t, "topics that are not side by side", h.do(ask(part("a", 1, 0), part("b", 0, 0), part("a", 0, 0))), "a-1 b-0 a-0")
}
