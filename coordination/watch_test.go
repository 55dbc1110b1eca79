package coordination_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gokafka/coordination"
	"gokafka/coordination/zktest"
)

// A change made while the broker was cut off is told after the reconnect, however many requests the new connection
// carries before the library has re-sent its watches: it reports changes since the last zxid it has seen, and the
// answers to those requests must not raise that.
func TestChangeWhileAwayIsTold(t *testing.T) {
	srv := zktest.Start(t)
	s, l := srv.Open(t)
	other, _ := srv.Open(t)
	ctx, g, o := t.Context(), s.Current(), other.Current()
	const nodes = 20
	var fired [nodes]atomic.Int64
	for i := range nodes {
		p := fmt.Sprintf("/w%d", i)
		if i%2 == 0 {
			if _, err := o.Create(ctx, p, nil, coordination.Persistent); err != nil {
				t.Fatal(err)
			}
		}
		s.Watch(p, coordination.WatchData, func() { fired[i].Add(1) })
	}
	rounds := int64(25)
	if testing.Short() {
		rounds = 5
	}
	for round := range rounds {
		for i := range nodes {
			if _, err := g.ExistsW(ctx, fmt.Sprintf("/w%d", i)); err != nil {
				t.Fatal(err)
			}
		}
		l.Cut()
		var wg sync.WaitGroup
		for range 40 { // wait at the line, to be sent and answered at once
			wg.Go(func() {
				if _, err := g.Create(ctx, "/noise_", nil, coordination.PersistentSequential); err != nil {
					t.Error(err)
				}
			})
		}
		for i := range nodes {
			p := fmt.Sprintf("/w%d", i)
			var err error
			switch stat, _ := o.Exists(ctx, p); {
			case stat == nil:
				_, err = o.Create(ctx, p, nil, coordination.Persistent)
			case i%3 == 0:
				err = o.Delete(ctx, p, -1)
			default:
				_, err = o.Set(ctx, p, []byte("x"), -1)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		l.Restore()
		wg.Wait()
		for i := range nodes {
			zktest.Eventually(t, fmt.Sprintf("round %d, watch %d", round, i), func() bool { return fired[i].Load() == round+1 })
		}
	}
	if s.Current() != g {
		t.Error("the session was replaced")
	}
}

// Reading a watched node again and again arms it once.
func TestWatchIsArmedOnce(t *testing.T) {
	s, l := zktest.Start(t).Open(t)
	ctx, g := t.Context(), s.Current()
	if _, err := g.Create(ctx, "/w", nil, coordination.Persistent); err != nil {
		t.Fatal(err)
	}
	for range 50 {
		if _, _, err := g.GetW(ctx, "/w"); err != nil {
			t.Fatal(err)
		}
		if _, err := g.ExistsW(ctx, "/w"); err != nil {
			t.Fatal(err)
		}
		if _, err := g.ChildrenW(ctx, "/w"); err != nil {
			t.Fatal(err)
		}
	}
	if n := l.Watches(); n != 2 {
		t.Errorf("%d watches were set", n)
	}
	l.Break() // what the library re-sends is still armed
	if _, _, err := g.GetW(ctx, "/w"); err != nil {
		t.Fatal(err)
	}
	if n := l.Watches(); n != 2 {
		t.Errorf("%d watches were set after the reconnect", n)
	}
}

// However often the node changes while it is watched and read by many, the last change is told, or seen by a read.
func TestNoChangeIsMissed(t *testing.T) {
	srv := zktest.Start(t)
	s, l := srv.Open(t)
	other, _ := srv.Open(t)
	ctx, g := t.Context(), s.Current()
	if _, err := g.Create(ctx, "/w", []byte("0"), coordination.Persistent); err != nil {
		t.Fatal(err)
	}
	var seen atomic.Int32
	news := make(chan struct{}, 1)
	wake := func() {
		select {
		case news <- struct{}{}:
		default:
		}
	}
	s.Watch("/w", coordination.WatchData, wake)
	stop, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for stop.Err() == nil {
				_, stat, err := g.GetW(stop, "/w")
				if err == nil {
					for v := seen.Load(); stat.Version > v && !seen.CompareAndSwap(v, stat.Version); v = seen.Load() {
					}
				}
				select {
				case <-news:
				case <-stop.Done():
				}
			}
		})
	}
	wake()
	var last int32
	for i := range 400 {
		stat, err := other.Current().Set(ctx, "/w", nil, -1)
		if err != nil {
			t.Fatal(err)
		}
		last = stat.Version
		if i%100 == 50 {
			l.Break()
		}
	}
	zktest.Eventually(t, "the last change", func() bool { return seen.Load() == last })
	cancel()
	wg.Wait()
}

// Events that come while a handler runs are merged into one more call.
func TestEventsAreMerged(t *testing.T) {
	srv := zktest.Start(t)
	s, _ := srv.Open(t)
	other, _ := srv.Open(t)
	ctx, g := t.Context(), s.Current()
	if _, err := g.Create(ctx, "/w", nil, coordination.Persistent); err != nil {
		t.Fatal(err)
	}
	var calls atomic.Int64
	entered, release := make(chan struct{}, 1), make(chan struct{})
	s.Watch("/w", coordination.WatchData, func() {
		calls.Add(1)
		select {
		case entered <- struct{}{}:
		default:
		}
		<-release
	})
	fire := func() {
		t.Helper()
		if _, _, err := g.GetW(ctx, "/w"); err != nil {
			t.Fatal(err)
		}
		if _, err := other.Current().Set(ctx, "/w", nil, -1); err != nil {
			t.Fatal(err)
		}
		if err := g.Sync(ctx, "/w"); err != nil { // the event precedes this answer
			t.Fatal(err)
		}
	}
	fire()
	<-entered
	for range 20 {
		fire()
	}
	close(release)
	zktest.Eventually(t, "second call", func() bool { return calls.Load() == 2 })
	fire()
	zktest.Eventually(t, "third call", func() bool { return calls.Load() == 3 })
}

// Two expiries, the second while hooks still run for the first; hooks that were removed do not run.
func TestExpiryDuringHooks(t *testing.T) {
	s, l := zktest.Start(t).Open(t)
	ctx := t.Context()
	var mu sync.Mutex
	var log []string
	note := func(f string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		log = append(log, fmt.Sprintf(f, args...))
	}
	inAfter := make(chan *coordination.Generation)
	first := true
	s.AddHook(coordination.Hook{Name: "a",
		Before: func() { note("before a") },
		After: func(_ context.Context, g *coordination.Generation) {
			note("after a %d", g.Number())
			if first {
				first = false
				inAfter <- g
				<-g.Done()
				if _, err := g.Exists(ctx, "/"); !errors.Is(err, coordination.ErrSessionExpired) {
					t.Errorf("%v", err)
				}
			}
		}})
	s.AddHook(coordination.Hook{Name: "b", After: func(_ context.Context, g *coordination.Generation) { note("after b %d", g.Number()) }})
	remove := s.AddHook(coordination.Hook{Name: "c", Before: func() { note("removed") }})
	remove()
	if err := l.Expire(ctx); err != nil {
		t.Fatal(err)
	}
	g2 := <-inAfter
	if err := l.Expire(ctx); err != nil {
		t.Fatal(err)
	}
	<-g2.Done()
	zktest.Eventually(t, "third generation", func() bool { return s.Current().Number() == 3 })
	if _, err := s.Current().Exists(ctx, "/"); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	want := "[before a after a 2 after b 2 before a after a 3 after b 3]"
	if got := fmt.Sprint(log); got != want {
		t.Errorf("got %s\nwant %s", got, want)
	}
}

func TestGenerationContext(t *testing.T) {
	s, l := zktest.Start(t).Open(t)
	g := s.Current()
	ctx, cancel := g.Context(t.Context())
	defer cancel()
	if err := l.Expire(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-ctx.Done()
	if !errors.Is(context.Cause(ctx), coordination.ErrSessionExpired) {
		t.Error(context.Cause(ctx))
	}
	other, cancelOther := s.Current().Context(t.Context())
	cancelOther()
	if !errors.Is(context.Cause(other), context.Canceled) && !errors.Is(context.Cause(other), coordination.ErrSessionExpired) {
		t.Error(context.Cause(other))
	}
}

// Callers beyond the bound wait for a place, and leave with their context.
func TestInFlightBound(t *testing.T) {
	s, l := zktest.Start(t).Open(t, func(o *coordination.Options) { o.MaxInFlight = 2 })
	g := s.Current()
	l.Cut()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	errs := make(chan error, 50)
	for range cap(errs) {
		go func() {
			_, err := g.Exists(ctx, "/")
			errs <- err
		}()
	}
	for range cap(errs) {
		if err := <-errs; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v", err)
		}
	}
	l.Restore()
	if _, err := g.Exists(t.Context(), "/"); err != nil { // the places come back
		t.Error(err)
	}
	fail := errors.New("stop")
	var begun atomic.Int64
	err := g.Each(t.Context(), 1000, func(ctx context.Context, i int) error {
		begun.Add(1)
		return fail
	})
	if !errors.Is(err, fail) || begun.Load() > 2 {
		t.Errorf("%v after %d calls", err, begun.Load())
	}
}
