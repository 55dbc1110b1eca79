package fetch

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/metadata"
	"gokafka/replication"
)

// open opens a session and returns its id.
func (h *host) open(parts ...Part) int32 {
	h.tb.Helper()
	a := h.do(ask(parts...).in(NoSession, EpochInitial))
	if a.code != 0 || a.session == NoSession {
		h.tb.Fatalf("no session: code %d", a.code)
	}
	return a.session
}

func TestSessionTellsChangesOnly(t *testing.T) {
	h := newHost(t, 10)
	h.lead("a", 3)
	h.append("a", 1, 5, 10)
	full := h.do(ask(part("a", 0, 0), part("a", 1, 0), part("a", 2, 0)).in(0, EpochInitial))
	expect(t, "full", full, "a-0 a-1[0..4] a-2")
	id := full.session
	if id <= 0 {
		t.Fatal("session id", id)
	}
	expect(t, "nothing new, but records that were not taken", h.do(ask().in(id, 1)), "a-1[0..4]")
	expect(t, "offset moved", h.do(ask(part("a", 1, 5)).in(id, 2)), "")
	h.append("a", 2, 1, 10)
	h.append("a", 0, 2, 10)
	expect(t, "two appends", h.do(ask().in(id, 3)), "a-2[0..0] a-0[0..1]")
	expect(t, "all taken", h.do(ask(part("a", 0, 2), part("a", 2, 1)).in(id, 4)), "")
	a := h.do(&Request{Version: 12, ReplicaID: -1, MinBytes: 1, MaxBytes: 1 << 20, SessionID: id, SessionEpoch: 5,
		Forgotten: []Key{{Topic: "a", Partition: 0}}, Authorize: func(string) error { return nil }, Code: code})
	expect(t, "forget one", a, "")
	h.append("a", 0, 1, 10)
	h.append("a", 1, 1, 10)
	expect(t, "the forgotten one is not told", h.do(ask().in(id, 6)), "a-1[5..5]")
	expect(t, "and can come back", h.do(ask(part("a", 0, 2)).in(id, 7)), "a-1[5..5] a-0[2..2]")
}

// protocol.md §3.2, session table.
func TestSessionErrors(t *testing.T) {
	h := newHost(t, 10)
	id := metadata.TopicID{1}
	h.assign("a", id, 1, 0)
	named := h.open(part("a", 0, 0))
	byID := h.do(&Request{Version: 13, ReplicaID: -1, MinBytes: 1, MaxBytes: 1 << 20, Parts: []Part{partByID(id, "a", 0, 0)},
		Authorize: func(string) error { return nil }, Code: code}).session
	v13 := func(q *Request) *Request { q.Version = 13; return q }
	for _, c := range []struct {
		what string
		q    *Request
		want *kerr.Error
	}{
		{"unknown id", ask().in(named+1, 1), kerr.FetchSessionIDNotFound},
		{"no id", ask().in(NoSession, 1), kerr.FetchSessionIDNotFound},
		{"epoch too new", ask().in(named, 2), kerr.InvalidFetchSessionEpoch},
		{"epoch below -1", ask().in(named, -7), kerr.InvalidFetchSessionEpoch},
		{"ids in a session of names", v13(ask().in(named, 1)), kerr.FetchSessionTopicIDError},
		{"names in a session of ids", ask().in(byID, 1), kerr.FetchSessionTopicIDError},
	} {
		a := h.do(c.q)
		if a.code != c.want.Code || a.session != 0 || len(a.parts) != 0 {
			t.Errorf("%s: code %d, session %d, %d partitions; want code %d alone", c.what, a.code, a.session, len(a.parts), c.want.Code)
		}
	}
	// None of these did harm.
	if a := h.do(ask().in(named, 1)); a.code != 0 || a.session != named {
		t.Error("session of names:", a.code, a.session)
	}
	if a := h.do(ask().in(named, 1)); a.code != kerr.InvalidFetchSessionEpoch.Code {
		t.Error("the same epoch once more:", a.code)
	}
	if a := h.do(v13(ask().in(byID, 1))); a.code != 0 || a.session != byID {
		t.Error("session of ids:", a.code, a.session)
	}
}

func TestSessionCloses(t *testing.T) {
	h := newHost(t, 10)
	h.lead("a", 2)
	h.append("a", 0, 1, 1)
	id := h.open(part("a", 0, 0))
	a := h.do(ask(part("a", 0, 0)).in(id, EpochFinal))
	expect(t, "final", a, "a-0[0..0]")
	if a.session != 0 || h.m.Sessions() != 0 {
		t.Error("session still there after the final epoch:", a.session)
	}
	id = h.open(part("a", 0, 0))
	a = h.do(ask(part("a", 0, 0)).in(id, EpochInitial))
	if a.session == 0 || a.session == id || h.m.Sessions() != 1 {
		t.Error("a full fetch replaces the session it names:", a.session, h.m.Sessions())
	}
	q := ask().in(a.session, 1)
	q.Forgotten = []Key{{Topic: "a", Partition: 0}}
	a = h.do(q)
	expect(t, "forget all", a, "")
	if a.session != 0 || a.code != 0 || h.m.Sessions() != 0 {
		t.Error("an empty session is closed:", a, h.m.Sessions())
	}
	// What was added and forgotten in one request leaves the session empty; the request is served like one without a session.
	id = h.open(part("a", 0, 0))
	q = ask(part("a", 0, 0)).in(id, 1)
	q.Forgotten = []Key{{Topic: "a", Partition: 0}}
	a = h.do(q)
	expect(t, "changed and forgotten", a, "a-0[0..0]")
	if a.session != 0 || h.m.Sessions() != 0 {
		t.Error("an empty session is closed:", a.session, h.m.Sessions())
	}
	// A session that was opened empty closes with its first incremental request.
	id = h.open()
	if a = h.do(ask().wait(time.Hour).in(id, 1)); a.session != 0 || h.m.Sessions() != 0 {
		t.Error("empty from the start:", a.session, h.m.Sessions())
	}
}

// An error is told as long as it lasts, and the partition once more when it is gone, even if nothing else changed.
func TestSessionTellsTheEndOfAnError(t *testing.T) {
	h := newHost(t, 10)
	h.lead("a", 1)
	id := h.open(part("a", 0, 0), part("later", 0, 0))
	expect(t, "unknown", h.do(ask().in(id, 1)), "later-0:err3")
	expect(t, "still unknown", h.do(ask().in(id, 2)), "later-0:err3")
	h.lead("later", 1)
	expect(t, "made", h.do(ask().in(id, 3)), "later-0")
	expect(t, "told", h.do(ask().in(id, 4)), "")
	h.append("later", 0, 1, 1)
	expect(t, "and watched", h.do(ask().in(id, 5)), "later-0[0..0]")
	h.assign("later", metadata.TopicID{}, 1, 1)
	old := ask(part("later", 0, 1)).in(id, 6)
	old.Version = 10 // only the leader may answer it
	expect(t, "leadership lost", h.do(old), "later-0:err6")
	h.assign("later", metadata.TopicID{}, 1, 0)
	expect(t, "leader again", h.do(ask().in(id, 7)), "later-0")
	expect(t, "told", h.do(ask().in(id, 8)), "")
}

// A topic that is made anew under its name has another id: a session by ids must not read it, one by names must.
func TestSessionOutlivesItsTopic(t *testing.T) {
	h := newHost(t, 10)
	first, second := metadata.TopicID{1}, metadata.TopicID{2}
	h.assign("a", first, 1, 0)
	byID := func(epoch int32, id int32, parts ...Part) *Request {
		q := ask(parts...).in(id, epoch)
		q.Version = 13
		return q
	}
	named := h.open(part("a", 0, 0))
	ids := h.do(byID(0, 0, partByID(first, "a", 0, 0))).session
	expect(t, "ids, nothing", h.do(byID(1, ids)), "")
	expect(t, "names, nothing", h.do(ask().in(named, 1)), "")
	h.forget("a", 1)
	h.remove("a", 1)
	expect(t, "ids, gone", h.do(byID(2, ids)), "a-0:err3")
	expect(t, "names, gone", h.do(ask().in(named, 2)), "a-0:err3")
	h.assign("a", second, 1, 0)
	h.append("a", 0, 3, 1)
	expect(t, "ids, made anew", h.do(byID(3, ids)), "a-0:err103")
	expect(t, "names, made anew", h.do(ask().in(named, 3)), "a-0[0..2]")
	expect(t, "names, all taken", h.do(ask(part("a", 0, 3)).in(named, 4)), "")
	h.append("a", 0, 1, 1)
	expect(t, "names, the new partition is watched", h.do(ask().in(named, 5)), "a-0[3..3]")
	expect(t, "unknown id", h.do(byID(-1, 0, partByID(first, "", 0, 0))), "-0:err100")
}

// An id that is not known yet is resolved when it is.
func TestSessionResolvesIDs(t *testing.T) {
	h := newHost(t, 10)
	id := metadata.TopicID{7}
	q := ask(partByID(id, "", 0, 0)).in(0, 0)
	q.Version = 13
	a := h.do(q)
	expect(t, "unknown id", a, "-0:err100")
	h.assign("a", id, 1, 0)
	h.append("a", 0, 1, 1)
	q = ask().in(a.session, 1)
	q.Version = 13
	expect(t, "known id", h.do(q), "a-0[0..0]")
}

func TestSessionEpochWraps(t *testing.T) {
	h := newHost(t, 10)
	h.lead("a", 1)
	id := h.open(part("a", 0, 0))
	h.m.sessions[id].epoch = 1<<31 - 1
	for _, epoch := range []int32{1<<31 - 1, 1, 2} {
		if a := h.do(ask().in(id, epoch)); a.code != 0 || a.session != id {
			t.Fatalf("epoch %d: code %d", epoch, a.code)
		}
	}
}

// What is visible depends on the isolation level: all partitions are looked at again when it changes.
func TestSessionIsolationChanges(t *testing.T) {
	h := newHost(t, 10)
	h.assign("a", metadata.TopicID{}, 1, 0, 0, 1)
	h.append("a", 0, 2, 1) // on the leader only
	id := h.open(part("a", 0, 0))
	expect(t, "above the high watermark", h.do(ask().in(id, 1)), "")
	q := ask().in(id, 2)
	q.Isolation = replication.ReadLogEnd
	expect(t, "to the log end", h.do(q), "a-0[0..1]")
}

func TestSessionTellsLogStart(t *testing.T) {
	h := newHost(t, 10)
	h.lead("a", 1)
	h.append("a", 0, 5, 1)
	id := h.open(part("a", 0, 5))
	expect(t, "nothing", h.do(ask().in(id, 1)), "")
	if moved, err := h.log("a", 0).IncrementLogStartOffset(3); err != nil || !moved {
		t.Fatal(moved, err)
	}
	h.assign("a", metadata.TopicID{}, 1, 0) // looked at again
	a := h.do(ask().in(id, 2))
	expect(t, "log start moved", a, "a-0")
	if a.parts[0].LogStartOffset != 3 {
		t.Error("log start", a.parts[0].LogStartOffset)
	}
	expect(t, "told", h.do(ask().in(id, 3)), "")
}

// The rules of who gets a slot: Kafka 3.9 FetchSessionCacheShard.tryEvict.
func TestSessionEviction(t *testing.T) {
	const follower, consumer = 1, -1
	type open struct {
		replica int32
		size    int
	}
	for _, c := range []struct {
		what   string
		there  open
		pause  time.Duration
		touch  bool // used after the pause
		comes  open
		placed bool
	}{
		{"a consumer does not replace a young consumer", open{consumer, 1}, 0, false, open{consumer, 3}, false},
		{"a follower replaces a young consumer", open{consumer, 3}, 0, false, open{follower, 1}, true},
		{"a follower does not replace a young follower", open{follower, 1}, 0, false, open{follower, 3}, false},
		{"unused for long", open{follower, 3}, evictAfter + time.Millisecond, false, open{consumer, 1}, true},
		{"unused, not for long enough", open{consumer, 3}, evictAfter, false, open{consumer, 3}, false},
		{"old but used, larger comes", open{consumer, 2}, evictAfter + time.Millisecond, true, open{consumer, 3}, true},
		{"old but used, the same size comes", open{consumer, 3}, evictAfter + time.Millisecond, true, open{consumer, 3}, false},
		{"old but used, smaller comes", open{consumer, 3}, evictAfter + time.Millisecond, true, open{consumer, 2}, false},
		{"a consumer never replaces a follower that is used", open{follower, 1}, evictAfter + time.Millisecond, true, open{consumer, 3}, false},
		{"a follower replaces an old, smaller follower", open{follower, 1}, evictAfter + time.Millisecond, true, open{follower, 3}, true},
	} {
		t.Run(c.what, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := newHost(t, 1)
				h.lead("a", 3)
				start := func(o open) int32 {
					q := ask().in(0, 0)
					q.ReplicaID = o.replica
					for p := range o.size {
						q.Parts = append(q.Parts, part("a", int32(p), 0))
					}
					return h.do(q).session
				}
				first := start(c.there)
				time.Sleep(c.pause)
				if c.touch {
					q := ask().in(first, 1)
					q.ReplicaID = c.there.replica
					if a := h.do(q); a.code != 0 {
						t.Fatal(a.code)
					}
				}
				if second := start(c.comes); (second != 0) != c.placed {
					t.Errorf("session %d", second)
				}
				if h.m.Sessions() != 1 || (h.m.sessions[first] == nil) != c.placed {
					t.Errorf("%d sessions", h.m.Sessions())
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		h := newHost(t, 0)
		h.lead("a", 1)
		a := h.do(ask(part("a", 0, 0)).in(0, 0))
		expect(t, "no slots", a, "a-0")
		if a.session != 0 {
			t.Error("session", a.session)
		}
	})
}

func TestSessionsAreMany(t *testing.T) {
	h := newHost(t, 1000)
	h.lead("a", 1)
	ids := map[int32]bool{}
	for range 1000 {
		ids[h.open(part("a", 0, 0))] = true
	}
	if len(ids) != 1000 || h.m.Sessions() != 1000 {
		t.Errorf("%d ids, %d sessions", len(ids), h.m.Sessions())
	}
	if a := h.do(ask(part("a", 0, 0)).in(0, 0)); a.session != 0 {
		t.Error("one session too many:", a.session)
	}
}
