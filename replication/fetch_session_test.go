package replication

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/metadata"
)

// stepper is a fetcher whose goroutine is the test.
type stepper struct {
	*fetcher
	t *testing.T
	n *node
	q *kmsg.FetchRequest // the last one
}

// newStepper follows broker 1 with the given number of partitions of t.
func newStepper(t *testing.T, parts int32) *stepper {
	t.Helper()
	n := newNode(t, 2, nil)
	n.connect = func(int32, int) leaderLink { return leaderLink{nil, func() {}} }
	s := &stepper{newFetcher(n.Manager, 1, 0), t, n, nil}
	for p := range parts {
		s.follow(p, 0, topicID)
	}
	return s
}

// follow adds a partition.
func (s *stepper) follow(p, epoch int32, id metadata.TopicID) {
	s.t.Helper()
	st := state(1, epoch, epoch, 1, 2)
	st.TopicPartition.Partition, st.TopicID = p, id
	must(s.t, s.n.apply(st))
	s.add(s.n.Partition(st.TopicPartition).fetchState())
}

// build makes the next request and writes it down: session, epoch, partitions with offsets, forgotten ones.
func (s *stepper) build() string {
	s.t.Helper()
	s.undelay()
	s.truncateNew()
	s.scanLogStarts()
	if s.q = s.buildFetch(); s.q == nil {
		return "nothing"
	}
	var out []string
	for _, t := range s.q.Topics {
		for _, p := range t.Partitions {
			out = append(out, fmt.Sprintf("%d@%d", p.Partition, p.FetchOffset))
		}
	}
	slices.Sort(out)
	for _, t := range s.q.ForgottenTopics {
		for _, p := range t.Partitions {
			out = append(out, fmt.Sprintf("-%d", p))
		}
	}
	return fmt.Sprintf("%d/%d %s", s.q.SessionID, s.q.SessionEpoch, strings.Join(out, " "))
}

func (s *stepper) want(what, want string) {
	s.t.Helper()
	if got := s.build(); strings.TrimSpace(got) != want {
		s.t.Errorf("%s: %q, want %q", what, got, want)
	}
}

// answer takes an answer with a session; each part is a partition, changed by f.
func (s *stepper) answer(session int32, parts map[int32]func(*kmsg.FetchResponseTopicPartition)) {
	s.t.Helper()
	resp := s.q.ResponseKind().(*kmsg.FetchResponse)
	resp.SessionID = session
	rt := kmsg.NewFetchResponseTopic()
	rt.Topic, rt.TopicID = "t", topicID
	for i, f := range parts {
		p := kmsg.NewFetchResponseTopicPartition()
		p.Partition = i
		f(&p)
		rt.Partitions = append(rt.Partitions, p)
	}
	if len(parts) > 0 {
		resp.Topics = append(resp.Topics, rt)
	}
	if results, ok := s.accept(s.q, resp); ok {
		s.process(s.t.Context(), results)
	}
}

func (s *stepper) fails(code *kerr.Error) {
	s.t.Helper()
	resp := s.q.ResponseKind().(*kmsg.FetchResponse)
	resp.ErrorCode = code.Code
	if _, ok := s.accept(s.q, resp); ok {
		s.t.Error("an answer with an error is used")
	}
}

func nothing(*kmsg.FetchResponseTopicPartition) {}

func records(t *testing.T, offset int64, values ...string) func(*kmsg.FetchResponseTopicPartition) {
	return func(p *kmsg.FetchResponseTopicPartition) { p.RecordBatches = batchAt(t, offset, values...) }
}

func withCode(code *kerr.Error) func(*kmsg.FetchResponseTopicPartition) {
	return func(p *kmsg.FetchResponseTopicPartition) { p.ErrorCode = code.Code }
}

type parts = map[int32]func(*kmsg.FetchResponseTopicPartition)

func TestFetchSession(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStepper(t, 3)
		defer s.n.down()
		s.want("the first names all", "0/0 0@0 1@0 2@0")
		s.answer(7, parts{0: records(t, 0, "a", "b"), 1: nothing, 2: nothing})
		s.want("then only what moved", "7/1 0@2")
		s.answer(7, nil)
		s.want("nothing moved", "7/2")
		s.answer(7, parts{2: withCode(kerr.NotLeaderForPartition)})
		s.want("one that is left alone is forgotten", "7/3 -2")
		s.answer(7, parts{1: records(t, 0, "c")})
		time.Sleep(time.Second)
		s.want("and comes back", "7/4 1@1 2@0")
		s.answer(7, nil)
		s.detachNow(1)
		s.want("one that is taken out is forgotten", "7/5 -1")
		s.answer(7, nil)
		s.follow(1, 1, topicID)
		s.want("one that comes is added", "7/6 1@1")
		s.answer(7, nil)
		_, err := s.n.log().IncrementLogStartOffset(0)
		must(t, err)
		s.n.log().UpdateHighWatermark(1)
		_, err = s.n.log().IncrementLogStartOffset(1)
		must(t, err)
		time.Sleep(2 * logStartScan)
		s.want("a log start that retention raised is told", "7/7 0@2")
		// What the leader answers now is of no use to it, and would not be said again.
		s.detachNow(1)
		s.add(s.n.Partition(metadata.TopicPartition{Topic: "t", Partition: 1}).fetchState())
		s.answer(7, parts{1: nothing})
		s.want("one that was taken out and is in again is forgotten first", "7/8 -1")
		if s.q.MaxWaitMillis != 0 {
			t.Errorf("and waits %d ms to be added", s.q.MaxWaitMillis)
		}
		s.answer(7, nil)
		s.want("and then added", "7/9 1@1")
	})
}

func (s *stepper) detachNow(p int32) {
	tp := t0
	tp.Partition = p
	s.remove([]metadata.TopicPartition{tp}, true)
}

func TestFetchSessionEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(s *stepper)
		want string
	}{
		{"not found", func(s *stepper) { s.fails(kerr.FetchSessionIDNotFound) }, "0/0 0@1 1@0"},
		{"wrong epoch", func(s *stepper) { s.fails(kerr.InvalidFetchSessionEpoch) }, "7/0 0@1 1@0"},
		{"connection lost", func(s *stepper) { s.requestFailed(errCut); time.Sleep(time.Second) }, "7/0 0@1 1@0"},
		{"closed by the leader", func(s *stepper) { s.answer(0, nil) }, "0/0 0@1 1@0"},
		{"an answer about others", func(s *stepper) { s.answer(7, parts{9: nothing}); time.Sleep(time.Second) }, "7/0 0@1 1@0"},
		{"ids are not known any more", func(s *stepper) {
			s.setTopicID(metadata.TopicPartition{Topic: "t", Partition: 1}, metadata.TopicID{})
		}, "7/0 0@1 1@0"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStepper(t, 2)
				defer s.n.down()
				s.build()
				s.answer(7, parts{0: records(t, 0, "a"), 1: nothing})
				s.build()
				c.end(s)
				s.want("the next names all", c.want)
				if byName := c.name == "ids are not known any more"; (s.q.Version == fetchByNameVersion) != byName {
					t.Errorf("version %d", s.q.Version)
				}
			})
		})
	}
}

// A leader without sessions is accepted; partitions that got something go behind the others, so that all get their turn.
func TestFetchWithoutSessions(t *testing.T) {
	s := newStepper(t, 3)
	s.want("first", "0/0 0@0 1@0 2@0")
	s.answer(0, parts{0: records(t, 0, "a"), 1: nothing, 2: nothing})
	s.want("second", "0/0 0@1 1@0 2@0")
	var order []int32
	for _, p := range s.q.Topics[0].Partitions {
		order = append(order, p.Partition)
	}
	if !slices.Equal(order, []int32{1, 2, 0}) {
		t.Errorf("order %v", order)
	}
	// An answer that lacks a partition is not used.
	s.answer(0, parts{1: records(t, 0, "x")})
	if s.n.Counts().Partitions != 3 || len(s.session.members) == 0 {
		t.Fatal("unexpected")
	}
	tp := t0
	tp.Partition = 1
	if l, _ := s.n.logs.Get(tp); l.LogEndOffset() != 0 {
		t.Error("part of a broken answer was used")
	}
}

// Back-off doubles up to the configured time, and is forgotten after success.
func TestFetchBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStepper(t, 1)
		defer s.n.down()
		st := s.states()[0]
		var got []time.Duration
		for range 7 {
			s.build()
			s.answer(0, parts{0: withCode(kerr.UnknownLeaderEpoch)})
			got = append(got, st.backoff)
			s.want("while it is left alone", "nothing")
			time.Sleep(st.backoff)
		}
		if want := []time.Duration{5, 10, 20, 40, 80, 80, 80}; !slices.EqualFunc(got, want, func(a, b time.Duration) bool { return a == b*time.Millisecond }) {
			t.Errorf("%v", got)
		}
		s.build()
		s.answer(0, parts{0: nothing})
		s.build()
		s.answer(0, parts{0: withCode(kerr.UnknownLeaderEpoch)})
		if st.backoff != 5*time.Millisecond {
			t.Errorf("after success: %v", st.backoff)
		}
	})
}

// The bytes of an Apache 3.9.1 follower (broker 3, broker epoch 205) about an empty log.
func TestFetchRequestBytes(t *testing.T) {
	want, err := hex.DecodeString("000001f40000000100a00000000000000000000000" + "02b4576a74502b4e71a43b7f5830ad5941" + "02000000000000000000000000000000" + "00ffffffff00000000000000000010000000000101" + "0101" + "0d00000003" + "00000000000000cd00")
	must(t, err)
	n := newNode(t, 3, func(o *Options) {
		o.BrokerEpoch = func() int64 { return 205 }
		o.FetchWaitMax = 0 // the default
	})
	n.connect = func(int32, int) leaderLink { return leaderLink{nil, func() {}} }
	id, err := hex.DecodeString("b4576a74502b4e71a43b7f5830ad5941")
	must(t, err)
	s := &stepper{newFetcher(n.Manager, 1, 0), t, n, nil}
	s.follow(0, 0, metadata.TopicID(id))
	s.build()
	if got := s.q.AppendTo(nil); s.q.Version != 17 || !bytes.Equal(got, want) {
		t.Errorf("version %d\n got %x\nwant %x", s.q.Version, got, want)
	}
}

// Asking for offsets takes the place of the fetch's answer in memory: everything else in that is dealt with before.
func TestOutOfRangeIsDealtWithLast(t *testing.T) {
	s := newStepper(t, 2)
	data := batchAt(t, 0, "a")
	asked := 0
	s.link.request = func(_ context.Context, k kmsg.Request) (kmsg.Response, error) {
		q := k.(*kmsg.ListOffsetsRequest)
		if q.Version != 9 || q.ReplicaID != 2 || q.Topics[0].Partitions[0].CurrentLeaderEpoch != 0 {
			t.Errorf("%+v", q)
		}
		asked++
		clear(data)
		resp := q.ResponseKind().(*kmsg.ListOffsetsResponse)
		rt, rp := kmsg.NewListOffsetsResponseTopic(), kmsg.NewListOffsetsResponseTopicPartition()
		rt.Topic, rp.Partition, rp.Offset = "t", q.Topics[0].Partitions[0].Partition, 5
		rt.Partitions = append(rt.Partitions, rp)
		resp.Topics = append(resp.Topics, rt)
		return resp, nil
	}
	s.build()
	resp := s.q.ResponseKind().(*kmsg.FetchResponse)
	rt := kmsg.NewFetchResponseTopic()
	rt.TopicID = topicID
	for i, f := range []func(*kmsg.FetchResponseTopicPartition){withCode(kerr.OffsetOutOfRange), func(p *kmsg.FetchResponseTopicPartition) { p.RecordBatches = data }} {
		p := kmsg.NewFetchResponseTopicPartition()
		p.Partition = int32(i)
		f(&p)
		rt.Partitions = append(rt.Partitions, p)
	}
	resp.Topics = append(resp.Topics, rt)
	results, ok := s.accept(s.q, resp)
	if !ok {
		t.Fatal("not accepted")
	}
	s.process(t.Context(), results)
	if asked != 2 {
		t.Errorf("asked %d times", asked)
	}
	s.want("afterwards", "0/0 0@5 1@1")
}

// Whoever takes a partition out of its fetcher waits for an append that is going on; a failing log directory does not, since the appender may be the one who tells.
func TestRemoveWaitsForTheAppend(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStepper(t, 1)
		defer s.n.down()
		s.build()
		st := s.states()[0]
		if !s.begin(st, 0) {
			t.Fatal("cannot be claimed")
		}
		s.remove([]metadata.TopicPartition{{Topic: "other"}}, true)
		removed := make(chan struct{})
		go func() {
			s.detachNow(0)
			close(removed)
		}()
		synctest.Wait()
		if isDone(removed) {
			t.Error("removed under an append")
		}
		s.remove([]metadata.TopicPartition{t0}, false)
		s.end(st, func() { t.Error("a removed state was changed") })
		<-removed
		if s.begin(st, 0) {
			t.Error("claimed after the removal")
		}
	})
}
