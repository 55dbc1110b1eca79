package fetch

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/metadata"
	"gokafka/replication"
)

// waiting is a fetch that runs in its own goroutine.
type waiting struct {
	done chan struct{}
	a    answer
	took time.Duration
}

func (h *host) start(ctx context.Context, q *Request) *waiting {
	w := &waiting{done: make(chan struct{})}
	began := h.clk.Mono()
	go func() {
		defer close(w.done)
		w.a = h.doCtx(ctx, q)
		w.took = h.clk.Mono() - began
	}()
	return w
}

// settle waits until all goroutines of the bubble wait, and says whether the fetch has been answered.
func (w *waiting) settle() bool {
	synctest.Wait()
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

const maxWait = 10 * time.Second

// In every case a fetch waits; then something happens; it is answered at once, or at the end of its time.
func TestWait(t *testing.T) {
	for _, c := range []struct {
		what    string
		min     int
		parts   []Part
		then    func(h *host, cancel func())
		atOnce  bool
		want    string
		version int16
	}{
		{what: "nothing happens", parts: []Part{part("a", 0, 0)}, want: "a-0"},
		{what: "an append", parts: []Part{part("a", 0, 0)}, then: func(h *host, _ func()) { h.append("a", 0, 1, 1) }, atOnce: true, want: "a-0[0..0]"},
		{what: "an append elsewhere", parts: []Part{part("a", 0, 0)}, then: func(h *host, _ func()) { h.append("a", 1, 1, 1) }, want: "a-0"},
		{what: "too little", parts: []Part{part("a", 0, 0)}, min: 1000, then: func(h *host, _ func()) { h.append("a", 0, 1, 1) }, want: "a-0[0..0]"},
		{what: "min bytes over partitions", parts: []Part{part("a", 0, 0), part("a", 1, 0)}, min: 1000, then: func(h *host, _ func()) {
			h.append("a", 1, 1, 600)
			h.append("a", 0, 1, 600)
		}, atOnce: true, want: "a-0[0..0] a-1[0..0]"},
		{what: "min bytes in pieces", parts: []Part{part("a", 0, 0)}, min: 1000, then: func(h *host, _ func()) {
			for range 5 {
				h.append("a", 0, 1, 150)
				synctest.Wait()
			}
		}, atOnce: true, want: "a-0[0..4]"},
		{what: "high watermark moves", parts: []Part{part("r", 0, 0)}, then: func(h *host, _ func()) { h.assign("r", metadata.TopicID{}, 1, 0, 0) }, atOnce: true, want: "r-0[0..2]"},
		{what: "append above the high watermark", parts: []Part{part("r", 0, 0)}, then: func(h *host, _ func()) { h.append("r", 0, 1, 1) }, want: "r-0"},
		{what: "leadership lost", parts: []Part{part("a", 0, 0)}, then: func(h *host, _ func()) { h.assign("a", metadata.TopicID{}, 2, 1) }, version: 10, atOnce: true, want: "a-0:err6"},
		{what: "topic deleted", parts: []Part{part("a", 0, 0), part("r", 0, 0)}, then: func(h *host, _ func()) {
			h.forget("a", 2)
			synctest.Wait()
			h.remove("a", 2)
		}, atOnce: true, want: "a-0:err3 r-0"},
		{what: "unknown topic beside a known one", parts: []Part{part("nope", 0, 0), part("a", 0, 0)}, want: "a-0 nope-0:err3"},
		{what: "unknown topic alone", parts: []Part{part("nope", 0, 0)}, atOnce: true, want: "nope-0:err3"},
		{what: "unknown topic beside data", parts: []Part{part("nope", 0, 0), part("d", 0, 0)}, atOnce: true, want: "d-0[0..0] nope-0:err3"},
		{what: "offset out of range", parts: []Part{part("a", 0, 1), part("a", 1, 0)}, atOnce: true, want: "a-0:err1 a-1"},
		{what: "no partitions", atOnce: true},
		{what: "the connection ends", parts: []Part{part("a", 0, 0)}, then: func(_ *host, cancel func()) { cancel() }, atOnce: true, want: "a-0"},
	} {
		for mode, name := range []string{"without a session", "in a new session", "in a session that has been quiet"} {
			t.Run(c.what+", "+name, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := newHost(t, 10)
					h.lead("a", 2)
					h.lead("d", 1)
					h.append("d", 0, 1, 1)
					h.assign("r", metadata.TopicID{}, 1, 0, 0, 1)
					h.append("r", 0, 3, 1)
					q := ask(c.parts...).wait(maxWait)
					if mode > 0 {
						id := h.open(c.parts...)
						if len(c.parts) == 0 {
							return // closes the session, see TestSessionCloses
						}
						for epoch := int32(1); epoch < int32(mode); epoch++ {
							h.do(ask().in(id, epoch))
						}
						q = ask().wait(maxWait).in(id, int32(mode))
					}
					if q.MinBytes = max(c.min, 1); c.version != 0 {
						q.Version = c.version
					}
					flushed := 0
					q.BeforeWait = func() { flushed++ }
					ctx, cancel := context.WithCancel(t.Context())
					defer cancel()
					w := h.start(ctx, q)
					if !w.settle() && c.then != nil {
						time.Sleep(time.Second)
						c.then(h, cancel)
					}
					took := maxWait
					if c.atOnce {
						took = 0
						if c.then != nil {
							took = time.Second
						}
						if !w.settle() {
							t.Error("not answered at once")
						}
					}
					<-w.done
					if w.took != took {
						t.Errorf("answered after %v, want %v", w.took, took)
					}
					if waits := took > 0; waits != (flushed == 1) {
						t.Errorf("earlier answers were flushed %d times", flushed)
					}
					if mode == 0 { // a session tells changes only
						expect(t, "answer", w.a, c.want)
					}
				})
			})
		}
	}
}

// Whatever is there before the wait begins ends it, however many appends race with its beginning.
func TestNoMissedWakeUp(t *testing.T) {
	rounds := 3000
	if testing.Short() {
		rounds = 300
	}
	for _, session := range []bool{false, true} {
		h := newHost(t, 10)
		h.lead("a", 2)
		var id, epoch int32
		if session {
			id, epoch = h.open(part("a", 0, 0), part("a", 1, 0)), 1
		}
		next := [2]int64{}
		for range rounds {
			// Two producers race with the request; each of their records has to end a fetch.
			var wg sync.WaitGroup
			for p := range int32(2) {
				wg.Go(func() { h.append("a", p, 1, 1) })
			}
			want := [2]int64{next[0] + 1, next[1] + 1}
			for next != want {
				q := ask(part("a", 0, next[0]), part("a", 1, next[1])).wait(time.Minute)
				if session {
					q = q.in(id, epoch)
					epoch++
				}
				began := h.clk.Mono()
				a := h.do(q)
				if h.clk.Mono()-began >= time.Minute {
					t.Fatal("a wake-up was missed")
				}
				for _, g := range a.parts {
					if g.next >= 0 {
						next[g.Partition] = g.next
					}
				}
			}
			wg.Wait()
		}
	}
}

// A later request of a session ends the wait of an earlier one, which must not take anything away from it.
func TestLaterRequestTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, 10)
		h.lead("a", 3)
		id := h.open(part("a", 0, 0), part("a", 1, 0), part("a", 2, 0))
		q := ask().in(id, 1).wait(maxWait)
		q.MinBytes = 1000
		first := h.start(t.Context(), q)
		if first.settle() {
			t.Fatal(first.a)
		}
		h.append("a", 0, 1, 10) // the first request has read it, and still waits
		if first.settle() {
			t.Fatal(first.a)
		}
		q = ask().in(id, 2).wait(maxWait)
		q.MinBytes = 1000
		q.Forgotten = []Key{{Topic: "a", Partition: 1}}
		second := h.start(t.Context(), q)
		if !first.settle() {
			t.Fatal("the earlier request still waits")
		}
		if first.a.code != kerr.InvalidFetchSessionEpoch.Code || first.a.session != id || len(first.a.parts) != 0 {
			t.Error("the earlier request:", first.a)
		}
		time.Sleep(maxWait)
		synctest.Wait()
		expect(t, "the later request", second.a, "a-0[0..0]")
	})
}

// The same, with the take-over at any moment of the earlier request: records are neither lost nor released twice.
func TestTakeOverRaces(t *testing.T) {
	rounds := 2000
	if testing.Short() {
		rounds = 200
	}
	h := newHost(t, 10)
	h.lead("a", 4)
	for p := range int32(4) {
		h.append("a", p, 1, 100)
	}
	id := h.open(part("a", 0, 0), part("a", 1, 0), part("a", 2, 0), part("a", 3, 0))
	epoch := int32(1)
	for i := range rounds {
		var requests []*waiting
		for k := range int32(3) {
			q := ask().in(id, epoch).wait(time.Minute)
			q.MinBytes = 1 << 20 // more than there will ever be: only the end of its turn ends it
			switch k {
			case 1:
				q.Forgotten = []Key{{Topic: "a", Partition: int32(i % 4)}}
			case 2:
				q.Parts = []Part{part("a", int32(i%4), 0)}
				q.MinBytes = 1
			}
			before := h.sessionEpoch(id)
			requests = append(requests, h.start(t.Context(), q))
			for h.sessionEpoch(id) == before { // it has come in; where it is now is the scheduler's choice
				time.Sleep(time.Microsecond)
			}
			epoch++
		}
		for k, w := range requests {
			<-w.done
			if k < 2 && w.a.code != kerr.InvalidFetchSessionEpoch.Code {
				t.Fatalf("round %d: request %d was served: %v", i, k, w.a)
			}
		}
		last := requests[2].a
		if last.code != 0 || len(last.parts) != 4 {
			t.Fatalf("round %d: %v", i, last)
		}
	}
}

func (h *host) sessionEpoch(id int32) int32 {
	h.m.mu.Lock()
	s := h.m.sessions[id]
	h.m.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.epoch
}

// The signal of a change is for the request whose turn it is, even if an earlier one that has not noticed yet receives it.
func TestSignalIsNotSwallowed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, 10)
		h.lead("a", 1)
		id := h.open(part("a", 0, 0))
		for epoch := int32(1); epoch < 200; epoch += 2 {
			// The earlier request is about to wait when the later one comes; and that is about to wait when a record comes. Then the earlier one
			// goes on, finds the signal, and that its turn is over.
			var second *waiting
			appended, left := make(chan struct{}), make(chan struct{})
			next := ask().in(id, epoch+1).wait(maxWait)
			next.BeforeWait = func() {
				h.append("a", 0, 1, 1)
				close(appended)
				<-left
			}
			q := ask().in(id, epoch).wait(maxWait)
			q.BeforeWait = func() {
				second = h.start(t.Context(), next)
				<-appended
			}
			<-h.start(t.Context(), q).done
			close(left)
			if !second.settle() {
				t.Fatal("the record did not end the wait of the later request")
			}
			epoch++
			h.do(ask(part("a", 0, second.a.parts[0].next)).in(id, epoch+1)) // it is taken: the next round waits again
		}
	})
}

// A session that is dropped ends the request that waits in it.
func TestSessionDroppedWhileWaiting(t *testing.T) {
	for what, drop := range map[string]func(h *host, id int32){
		"closed by another request": func(h *host, id int32) { h.do(ask().in(id, EpochFinal)) },
		"replaced":                  func(h *host, id int32) { h.do(ask(part("a", 0, 0)).in(id, EpochInitial)) },
		"evicted": func(h *host, _ int32) {
			q := ask(part("a", 0, 0)).in(0, EpochInitial)
			q.ReplicaID = 1
			h.do(q)
		},
		"the broker stops": func(h *host, _ int32) { h.m.Close() },
	} {
		t.Run(what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost(t, 1)
				h.lead("a", 1)
				id := h.open(part("a", 0, 0))
				q := ask().in(id, 1).wait(maxWait)
				q.MinBytes = 1000
				w := h.start(t.Context(), q)
				h.append("a", 0, 1, 1) // it holds records when it ends
				if w.settle() {
					t.Fatal(w.a)
				}
				drop(h, id)
				if !w.settle() {
					t.Fatal("it still waits")
				}
				if w.a.code != kerr.InvalidFetchSessionEpoch.Code || len(w.a.parts) != 0 {
					t.Error("answer:", w.a)
				}
				if a := h.do(ask().in(id, 2)); a.code != kerr.FetchSessionIDNotFound.Code {
					t.Error("afterwards:", a)
				}
			})
		})
	}
}

// A session that goes away between a request's start and its first look is no reason to wait.
func TestSessionDroppedBeforeTheRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, 1)
		h.lead("a", 1)
		id := h.open(part("a", 0, 0))
		turn, err := h.m.resume(ask().in(id, 1))
		if err != nil {
			t.Fatal(err)
		}
		h.m.drop(id)
		began := time.Now()
		resp := newResponse()
		h.m.serveIncremental(t.Context(), ask().wait(maxWait), turn, resp)
		if resp.ErrorCode != kerr.InvalidFetchSessionEpoch.Code || time.Since(began) != 0 {
			t.Errorf("code %d after %v", resp.ErrorCode, time.Since(began))
		}
	})
}

// A waiting follower hears of records that no consumer may see yet.
func TestFollowerSeesLogEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, 10)
		h.assign("r", metadata.TopicID{}, 1, 0, 0, 1)
		q := ask(part("r", 0, 0)).wait(maxWait)
		q.ReplicaID, q.Isolation = 1, replication.ReadLogEnd
		w := h.start(t.Context(), q)
		if w.settle() {
			t.Fatal(w.a)
		}
		h.append("r", 0, 2, 1)
		if !w.settle() {
			t.Fatal("it still waits")
		}
		expect(t, "follower", w.a, "r-0[0..1]")
	})
}
