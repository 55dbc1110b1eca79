package controller

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"gokafka/metadata"
)

func names(q *queue) (out []string) {
	for e, ok := q.pop(); ok; e, ok = q.pop() {
		out = append(out, e.name)
	}
	return out
}

func TestQueueMergesLooks(t *testing.T) {
	q := newQueue()
	q.note(event{name: "a", key: "a"})
	q.note(event{name: "b", key: "b"})
	q.note(event{name: "a again", key: "a"})
	if got := names(q); len(got) != 2 || got[0] != "a" || got[1] != "b" {
		t.Errorf("ran %v", got)
	}
	q.note(event{name: "a", key: "a"}) // the first one has been taken: what fired since must be looked at
	if got := names(q); len(got) != 1 {
		t.Errorf("ran %v", got)
	}
}

func TestQueueIsBoundedAndMakesItsClientsWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := newQueue()
		for range maxWaiting {
			if err := q.put(t.Context(), event{name: "x"}); err != nil {
				t.Fatal(err)
			}
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := q.put(ctx, event{name: "one too many"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("beyond the bound: %v", err)
		}
		q.note(event{name: "look", key: "k"}) // a watch must never wait
		put := make(chan error)
		go func() { put <- q.put(t.Context(), event{name: "y"}) }()
		synctest.Wait()
		if _, ok := q.pop(); !ok {
			t.Fatal("empty")
		}
		if err := <-put; err != nil {
			t.Error(err)
		}
	})
}

func TestQueueClearAnswersAndLetsExpiryPass(t *testing.T) {
	q := newQueue()
	var answered []error
	for range 3 {
		if err := q.put(t.Context(), event{name: "x", drop: func(err error) { answered = append(answered, err) }}); err != nil {
			t.Fatal(err)
		}
	}
	q.note(event{name: "look", key: "k"})
	q.clear(ErrNotActive, event{name: "expire", key: "expire"})
	if len(answered) != 3 || !errors.Is(answered[0], ErrNotActive) {
		t.Errorf("answered %v", answered)
	}
	q.note(event{name: "look", key: "k"}) // the old one is forgotten, so a new one counts
	if got := names(q); len(got) != 2 || got[0] != "expire" {
		t.Errorf("ran %v", got)
	}
	q.close(errStopped)
	if err := q.put(t.Context(), event{name: "late"}); !errors.Is(err, errStopped) {
		t.Errorf("after close: %v", err)
	}
	if len(q.room) != 0 {
		t.Errorf("%d places lost", len(q.room))
	}
}

func TestJournalIsARing(t *testing.T) {
	var j journal
	for i := range int32(JournalSize + 10) {
		d := Decision{LeaderEpoch: i}
		if i%2 == 1 {
			d.Partition = metadata.TopicPartition{Topic: "t", Partition: i % 4}
		}
		j.add(d)
	}
	all := JournalQuery{Partition: -1, Limit: JournalSize + 1}
	got, total := j.newest(&all)
	if len(got) != JournalSize || total != JournalSize+10 || got[0].LeaderEpoch != JournalSize+9 || got[len(got)-1].LeaderEpoch != 10 {
		t.Errorf("%d of %d, from %d to %d", len(got), total, got[0].LeaderEpoch, got[len(got)-1].LeaderEpoch)
	}
	for _, c := range []struct {
		q    JournalQuery
		want []int32
	}{
		{JournalQuery{Partition: -1, Limit: 2}, []int32{9, 8}},
		{JournalQuery{Topic: "t", Partition: -1, Limit: 2}, []int32{9, 7}},
		{JournalQuery{Topic: "t", Partition: 3, Limit: 2}, []int32{7, 3}},
		{JournalQuery{Partition: 3, Limit: 1}, []int32{7}},
		{JournalQuery{Topic: "u", Partition: -1, Limit: 2}, nil},
		{JournalQuery{Partition: 0, Limit: 2}, nil}, // those without a partition are not of partition 0
		{JournalQuery{Partition: -1}, nil},
	} {
		got, _ := j.newest(&c.q)
		var epochs []int32
		for _, d := range got {
			epochs = append(epochs, d.LeaderEpoch-JournalSize)
		}
		if !slices.Equal(epochs, c.want) {
			t.Errorf("%+v: %v, want %v", c.q, epochs, c.want)
		}
	}
}
