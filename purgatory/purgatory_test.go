package purgatory

import (
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"gokafka/internal/clock"
)

func TestCompletesOnceByCheckOrDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := New[string](clock.New())
		ready := false
		var done, expired int
		op := func() *Op {
			return &Op{Try: func() bool { return ready }, Done: func(e bool) {
				done++
				if e {
					expired++
				}
			}}
		}
		if p.Add(op(), time.Second, "a", "b") {
			t.Fatal("done before its condition")
		}
		p.Check("a")
		if done != 0 {
			t.Fatal("completed without its condition")
		}
		ready = true
		if p.Check("c") != 0 || p.Check("b") != 1 || done != 1 {
			t.Fatalf("done %d", done)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if done != 1 || expired != 0 {
			t.Fatalf("completed again: %d, expired %d", done, expired)
		}
		ready = false
		p.Add(op(), time.Second, "a")
		time.Sleep(time.Second)
		synctest.Wait()
		if done != 2 || expired != 1 {
			t.Fatalf("deadline: done %d, expired %d", done, expired)
		}
		if !p.Add(op(), 0, "a") || expired != 2 {
			t.Fatal("no time to wait must expire at once")
		}
		p.Add(op(), time.Hour, "a")
		p.Close()
		if expired != 3 || !p.Add(op(), time.Hour, "a") || expired != 4 {
			t.Fatal("Close")
		}
	})
}

// A change between the first try and the filing must not be missed: the checker has already gone by.
func TestChangeBetweenTryAndFiling(t *testing.T) {
	p := New[string](clock.New())
	tries := 0
	ok := p.Add(&Op{
		Try:  func() bool { tries++; return tries > 1 },
		Done: func(bool) {},
	}, time.Hour, "a")
	if !ok {
		t.Error("the condition was not tried after filing")
	}
}

func TestConcurrentChecksCompleteOnce(t *testing.T) {
	p := New[int](clock.New())
	for range 200 {
		var ready atomic.Bool
		var done atomic.Int32
		p.Add(&Op{Try: ready.Load, Done: func(bool) { done.Add(1) }}, time.Hour, 1, 2)
		ready.Store(true)
		var wg sync.WaitGroup
		for k := range 4 {
			wg.Go(func() { p.Check(1 + k%2) })
		}
		wg.Wait()
		if done.Load() != 1 {
			t.Fatalf("completed %d times", done.Load())
		}
	}
	if p.Waiting() > 0 {
		t.Errorf("%d operations left behind", p.Waiting())
	}
}

// Operations that are never checked but done by another key must not pile up.
func TestDoneOperationsArePurged(t *testing.T) {
	p := New[int](clock.New())
	for i := range 10_000 {
		ready := false
		p.Add(&Op{Try: func() bool { return ready }, Done: func(bool) {}}, time.Hour, -1, i)
		ready = true
		p.Check(i)
	}
	if n := p.Waiting(); n > 200 {
		t.Errorf("%d operations kept", n)
	}
}
