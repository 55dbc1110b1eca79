package transactions

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"pgregory.net/rapid"

	"gokafka/config"
	"gokafka/coordinator"
	"gokafka/internal/clock"
	"gokafka/metadata"
	"gokafka/record"
)

// fakeHost is a partition whose log is a list. What is appended is replicated when the test says so.
type fakeHost struct {
	log    []coordinator.KV
	waits  []func(error)
	fail   error // what the next append gets
	nowMs  int64
	timers []func()
}

func (h *fakeHost) Append(_ record.BatchSpec, _ int16, _ time.Duration, records []coordinator.KV, done func(error)) (int64, error) {
	if err := h.fail; err != nil {
		h.fail = nil
		return -1, err
	}
	h.log = append(h.log, records...)
	h.waits = append(h.waits, done)
	return int64(len(h.log) - len(records)), nil
}

func (h *fakeHost) After(_ time.Duration, f func()) *clock.Timer {
	h.timers = append(h.timers, f)
	return nil
}
func (h *fakeHost) NowMs() int64         { return h.nowMs }
func (h *fakeHost) Logger() *slog.Logger { return slog.New(slog.DiscardHandler) }
func (h *fakeHost) ID() int32            { return 0 }
func (h *fakeHost) Epoch() int32         { return 1 }

// replicate lets all that is appended be replicated.
func (h *fakeHost) replicate() {
	for len(h.waits) > 0 {
		done := h.waits[0]
		h.waits = h.waits[1:]
		done(nil)
	}
}

// due runs the timers that there are.
func (h *fakeHost) due() {
	timers := h.timers
	h.timers = nil
	for _, f := range timers {
		f()
	}
}

// fixture is a shard with its host, and the markers that it sent.
type fixture struct {
	*shard
	h       *fakeHost
	c       *Coordinator
	nextID  int64
	markers []*marker
	parts   [][]metadata.TopicPartition
}

func newFixture(level int16) *fixture {
	b, err := config.NewBroker(map[string]string{"broker.id": "0", "log.dirs": "/none", "listeners": "PLAINTEXT://127.0.0.1:0"})
	if err != nil {
		panic(err)
	}
	f := &fixture{nextID: 999}
	f.c = &Coordinator{o: Options{Config: &b.Transactions, RequestTimeout: time.Second, Level: func() int16 { return level },
		NextID: func() (int64, error) { f.nextID++; return f.nextID, nil }}}
	f.c.markers = newMarkers(f.c)
	f.begin(nil)
	return f
}

// begin is a coordinator that finds a log.
func (f *fixture) begin(log []coordinator.KV) {
	now := int64(1000)
	if f.h != nil {
		now = f.h.nowMs
	}
	f.h = &fakeHost{log: log, nowMs: now}
	f.shard = newShard(f.c, f.h)
	f.markers, f.parts = nil, nil
	f.send = func(m *marker, parts []metadata.TopicPartition) {
		f.markers, f.parts = append(f.markers, m), append(f.parts, parts)
	}
	for i, kv := range log {
		if err := f.Replay(&record.Record{Offset: int64(i), Key: bytes.Clone(kv.Key), Value: bytes.Clone(kv.Value)}, record.NoProducerID); err != nil {
			panic(err)
		}
	}
	f.Loaded()
}

// deliver lets the leaders take all markers.
func (f *fixture) deliver() {
	ms, parts := f.markers, f.parts
	f.markers, f.parts = nil, nil
	for i, m := range ms {
		out := map[metadata.TopicPartition]error{}
		for _, tp := range parts[i] {
			out[tp] = nil
		}
		f.markersAnswered(m, out)
	}
	f.h.replicate()
}

func (f *fixture) init(id string, expected *Producer) (p Producer, err error) {
	err = errors.New("no answer")
	f.initProducer(id, 60000, expected, func(q Producer, e error) { p, err = q, e })
	f.h.replicate()
	return p, err
}

func (f *fixture) add(id string, p Producer, version int16, partitions ...int32) (err error) {
	var parts []metadata.TopicPartition
	for _, n := range partitions {
		parts = append(parts, metadata.TopicPartition{Topic: "t", Partition: n})
	}
	err = errors.New("no answer")
	f.addPartitions(id, p, version, parts, func(e error) { err = e })
	f.h.replicate()
	return err
}

func (f *fixture) bump(id string, p Producer, commit bool) (next Producer, err error) {
	err = errors.New("no answer")
	f.endBumping(id, p, commit, func(q Producer, e error) { next, err = q, e })
	f.h.replicate()
	return next, err
}

func (f *fixture) endPlain(id string, p Producer, commit bool) (err error) {
	err = errors.New("no answer")
	f.end(id, p, commit, func(e error) { err = e })
	f.h.replicate()
	return err
}

func check(t *testing.T, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

// Each end of a transaction raises the epoch; who did not hear of it asks again, also after the coordinator has changed; nobody else gets in.
func TestEndRaisesTheEpoch(t *testing.T) {
	f := newFixture(2)
	p, err := f.init("x", nil)
	if err != nil || p.Epoch != 0 {
		t.Fatal(p, err)
	}
	_, err = f.bump("x", p, true)
	check(t, "commit of nothing", err, kerr.InvalidTxnState)
	check(t, "add", f.add("x", p, Version2, 0, 1), nil)
	next, err := f.bump("x", p, true)
	if err != nil || next != (Producer{p.ID, 1}) {
		t.Fatal("commit:", next, err)
	}
	if m := f.markers[0]; m.producer != next || m.version != Version2 || !m.commit || len(f.parts[0]) != 2 {
		t.Fatalf("marker %+v of %v", m, f.parts)
	}
	_, err = f.bump("x", p, true)
	check(t, "again, with its markers on their way", err, kerr.ConcurrentTransactions)
	check(t, "the next transaction, with the markers on their way", f.add("x", next, Version2, 0), kerr.ConcurrentTransactions)
	check(t, "late records", f.add("x", p, Version2, 5), kerr.ProducerFenced)
	f.deliver()
	for _, when := range []string{"again", "again, by the next coordinator"} {
		again, err := f.bump("x", p, true)
		if err != nil || again != next {
			t.Errorf("%s: %v, %v", when, again, err)
		}
		_, err = f.bump("x", p, false)
		check(t, when+", otherwise", err, kerr.InvalidTxnState)
		check(t, when+", late records", f.add("x", p, Version2, 5), kerr.ProducerFenced)
		f.begin(f.h.log)
	}
	// What was never begun can be aborted, as the producer does not know; it is no repetition.
	third, err := f.bump("x", next, false)
	if err != nil || third != (Producer{p.ID, 2}) {
		t.Fatal("abort of nothing:", third, err)
	}
	f.deliver()
	again, err := f.bump("x", next, false)
	if err != nil || again != third {
		t.Error("abort of nothing, again:", again, err)
	}
	_, err = f.bump("x", p, true)
	check(t, "two epochs ago", err, kerr.ProducerFenced)
	_, err = f.bump("x", Producer{77, 0}, true)
	check(t, "another producer", err, kerr.InvalidProducerIDMapping)
	_, err = f.bump("y", p, true)
	check(t, "an unknown id", err, kerr.InvalidProducerIDMapping)
}

// A producer whose transaction the coordinator ended, because it timed out or another came, can abort it and go on, as with Kafka 4.1; it cannot commit it. Once another has come it is
// fenced.
func TestProducerAbortsWhatWasAborted(t *testing.T) {
	f := newFixture(2)
	p, _ := f.init("x", nil)
	check(t, "add", f.add("x", p, Version2, 0), nil)
	_, err := f.init("x", nil)
	check(t, "another producer comes", err, kerr.ConcurrentTransactions)
	f.deliver()
	for _, when := range []string{"", " at the next coordinator"} {
		_, err = f.bump("x", p, true)
		check(t, "commit"+when, err, kerr.InvalidTxnState)
		next, err := f.bump("x", p, false)
		if err != nil || next != (Producer{p.ID, p.Epoch + 1}) {
			t.Errorf("abort%s: %v %v", when, next, err)
		}
		f.begin(f.h.log)
	}
	if q, err := f.init("x", nil); err != nil || q.Epoch != p.Epoch+2 {
		t.Error("the other producer:", q, err)
	}
	_, err = f.bump("x", p, false)
	check(t, "the one before", err, kerr.ProducerFenced)
	_, err = f.bump("x", Producer{p.ID, p.Epoch + 1}, false)
	check(t, "the one before, with the epoch that it got", err, kerr.ProducerFenced)
}

// The producer with the last epoch commits and gets a new id, also if the coordinator changes before its markers are there, and when it asks again.
func TestEpochsAreUsedUp(t *testing.T) {
	for _, moved := range []bool{false, true} {
		f := newFixture(2)
		p, _ := f.init("x", nil)
		c := f.txns["x"].to(Empty, 1000)
		c.epoch = math.MaxInt16 - 1
		p.Epoch = c.epoch
		f.begin([]coordinator.KV{stateRecord("x", c, 2)})
		check(t, "add", f.add("x", p, Version2, 0), nil)
		next, err := f.bump("x", p, true)
		if err != nil || next.ID == p.ID || next.Epoch != 0 {
			t.Fatal("commit:", next, err)
		}
		if m := f.markers[0]; m.producer != (Producer{p.ID, math.MaxInt16}) {
			t.Errorf("marker of %+v", m.producer)
		}
		if moved {
			f.begin(f.h.log)
		}
		check(t, "the new id, with the markers on their way", f.add("x", next, Version2, 0), kerr.ConcurrentTransactions)
		f.deliver()
		again, err := f.bump("x", p, true)
		if err != nil || again != next {
			t.Error("again:", again, err)
		}
		check(t, "the new id", f.add("x", next, Version2, 0), nil)
		check(t, "the old id", f.add("x", p, Version2, 0), kerr.InvalidProducerIDMapping)
	}
}

// With transaction.version 0 what is written is Apache 3.9's version; above, the next one.
func TestVersionOfRecords(t *testing.T) {
	for level, want := range map[int16]byte{0: 0, 1: 1, 2: 1} {
		f := newFixture(level)
		if _, err := f.init("x", nil); err != nil {
			t.Fatal(err)
		}
		if v := f.h.log[0].Value; v[0] != 0 || v[1] != want {
			t.Errorf("level %d: version %d", level, v[1])
		}
	}
}

// stored is what of the transactional ids must outlive a coordinator that is not in the middle of a change.
func stored(s *shard) string {
	var out strings.Builder
	for id, t := range s.txns {
		if t.epoch == record.NoProducerEpoch {
			continue // nothing was written of it
		}
		start := t.startMs
		if t.state == Empty {
			start = -1 // Apache's coordinator, too, keeps the one of the transaction before
		}
		fmt.Fprintf(&out, "%s: %d %d next %d version %d %v %v start %d\n", id, t.producerID, t.epoch, t.nextProducer, t.version, t.state, topicPartitions(t.partitions), start)
	}
	lines := strings.Split(out.String(), "\n")
	slices.Sort(lines)
	return strings.Join(lines, "\n")
}

// TestLiveEqualsReplay runs random producers of both transaction versions, zombies among them, with failing appends, markers that come late and coordinators that change. When all is
// replicated the next coordinator knows what this one does, no producer is given to two, and each transaction that is decided is completed.
func TestLiveEqualsReplay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		level := int16(rapid.SampledFrom([]int{0, 2}).Draw(t, "level"))
		f := newFixture(level)
		known := map[string][]Producer{"a": nil, "b": nil}
		given := map[Producer]string{}
		learn := func(id, how string, p Producer, repeated bool) {
			if who, twice := given[p]; twice && !repeated {
				t.Fatalf("%v is given by %s to %s, and was by %s", p, how, id, who)
			}
			given[p] = id + " " + how
			known[id] = append(known[id], p)
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			id := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "id")
			var p *Producer
			if n := len(known[id]); n > 0 {
				p = &known[id][rapid.IntRange(max(0, n-3), n-1).Draw(t, "producer")]
			}
			f.h.nowMs++
			switch op := rapid.IntRange(0, 11).Draw(t, "op"); {
			case op == 0:
				if q, err := f.init(id, nil); err == nil {
					learn(id, "init", q, false)
				}
			case op == 1 && p != nil:
				if q, err := f.init(id, p); err == nil {
					learn(id, "init of one", q, true)
				}
			case op <= 4 && p != nil:
				_ = f.add(id, *p, int16(op-3)&2, int32(rapid.IntRange(0, 3).Draw(t, "partition")))
			case op <= 7 && p != nil:
				asked := *p
				q, err := f.bump(id, asked, op == 5)
				if err == nil {
					_, repeated := given[q]
					if repeated && given[q] != id+" end" {
						t.Fatalf("the end of %v gives %v, which was given to %s", asked, q, given[q])
					}
					learn(id, "end", q, repeated)
				}
			case op == 8 && p != nil:
				_ = f.endPlain(id, *p, rapid.Bool().Draw(t, "commit"))
			case op == 9:
				f.deliver()
			case op == 10:
				f.h.fail = kerr.NotEnoughReplicas
			case op == 11:
				f.h.due()
				f.h.replicate()
			}
			if rapid.IntRange(0, 9).Draw(t, "moves") == 0 {
				live := stored(f.shard)
				busy := false // an epoch that could not be stored, or markers that are told one by one
				for _, x := range f.txns {
					busy = busy || x.fenceFailed || x.state.decided()
				}
				f.begin(f.h.log)
				if next := stored(f.shard); next != live && !busy {
					t.Fatalf("live:\n%s\nthe next coordinator:\n%s", live, next)
				}
			}
		}
		f.h.fail = nil
		for range 5 {
			f.deliver()
			f.h.due()
			f.h.replicate()
		}
		for id, x := range f.txns {
			if x.state.decided() || x.pending != noState && x.pending != Dead {
				t.Fatalf("%s is %v, and going to be %v", id, x.state, x.pending)
			}
		}
	})
}
