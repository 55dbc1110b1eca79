package coordination_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"gokafka/coordination"
	"gokafka/coordination/zktest"
)

func TestReadWrite(t *testing.T) {
	s, _ := zktest.Start(t).Open(t)
	ctx, g := t.Context(), s.Current()

	if p, err := g.Create(ctx, "/a", []byte("1"), coordination.Persistent); err != nil || p != "/a" {
		t.Fatalf("create: %q, %v", p, err)
	}
	if _, err := g.Create(ctx, "/a", nil, coordination.Persistent); !errors.Is(err, coordination.ErrNodeExists) || coordination.MaybeApplied(err) {
		t.Errorf("second create: %v", err)
	}
	stat, err := g.Set(ctx, "/a", []byte("2"), 0)
	if err != nil || stat.Version != 1 {
		t.Fatalf("set: %+v, %v", stat, err)
	}
	if _, err := g.Set(ctx, "/a", []byte("3"), 0); !errors.Is(err, coordination.ErrBadVersion) {
		t.Errorf("stale set: %v", err)
	}
	data, stat, err := g.Get(ctx, "/a")
	if err != nil || string(data) != "2" || stat.Version != 1 {
		t.Errorf("get: %q %+v %v", data, stat, err)
	}
	if p, err := g.Create(ctx, "/a/n_", nil, coordination.PersistentSequential); err != nil || p != "/a/n_0000000000" {
		t.Errorf("sequential: %q, %v", p, err)
	}
	if names, err := g.Children(ctx, "/a"); err != nil || !slices.Equal(names, []string{"n_0000000000"}) {
		t.Errorf("children: %q, %v", names, err)
	}
	if names, err := g.Children(ctx, "/"); err != nil || !slices.Equal(names, []string{"a"}) {
		t.Errorf("children of the chroot: %q, %v", names, err)
	}
	if err := g.Delete(ctx, "/a", coordination.AnyVersion); !errors.Is(err, coordination.ErrNotEmpty) {
		t.Errorf("delete: %v", err)
	}
	if stat, err := g.Exists(ctx, "/b"); err != nil || stat != nil {
		t.Errorf("exists: %v, %v", stat, err)
	}
	if err := g.CreateAll(ctx, "/x/y/z", []byte("deep")); err != nil {
		t.Error(err)
	}
	if data, _, err := g.Get(ctx, "/x/y"); err != nil || data != nil {
		t.Errorf("parent: %q, %v", data, err)
	}
}

func TestMulti(t *testing.T) {
	s, _ := zktest.Start(t).Open(t)
	ctx, g := t.Context(), s.Current()
	res, err := g.Multi(ctx,
		coordination.CreateOp("/e", nil, coordination.Ephemeral), coordination.SetOp("/e", []byte("v"), 0))
	if err != nil {
		t.Fatal(err)
	}
	if st := res[1].Stat; res[0].Path != "/e" || st == nil || st.Version != 1 || st.EphemeralOwner != g.ID() || st.Czxid == 0 {
		t.Errorf("results %+v, stat %+v, session %x", res, st, g.ID())
	}
	for _, c := range []struct {
		ops   []coordination.Op
		index int
		err   error
	}{
		{[]coordination.Op{coordination.CheckOp("/e", 1), coordination.CreateOp("/e", nil, 0)}, 1, coordination.ErrNodeExists},
		{[]coordination.Op{coordination.CheckOp("/e", 0), coordination.CreateOp("/f", nil, 0)}, 0, coordination.ErrBadVersion},
		{[]coordination.Op{coordination.CheckOp("/no", 0), coordination.CreateOp("/f", nil, 0)}, 0, coordination.ErrNoNode},
		{[]coordination.Op{coordination.CreateOp("/f", nil, 0), coordination.DeleteOp("/e", 7)}, 1, coordination.ErrBadVersion},
	} {
		_, err := g.Multi(ctx, c.ops...)
		if !errors.Is(err, c.err) || coordination.FailedOp(err) != c.index {
			t.Errorf("%v: %v", c.ops, err)
		}
	}
	if stat, _ := g.Exists(ctx, "/f"); stat != nil {
		t.Error("a failed multi left something behind")
	}
}

func TestGetMany(t *testing.T) {
	s, _ := zktest.Start(t).Open(t)
	ctx, g := t.Context(), s.Current()
	var paths []string
	for i := range 300 {
		p := fmt.Sprintf("/n%d", i)
		paths = append(paths, p)
		if i%3 == 0 {
			continue
		}
		if _, err := g.Create(ctx, p, []byte(p), coordination.Persistent); err != nil {
			t.Fatal(err)
		}
	}
	out, err := g.GetMany(ctx, paths, false)
	if err != nil {
		t.Fatal(err)
	}
	for i, d := range out {
		if i%3 == 0 && !errors.Is(d.Err, coordination.ErrNoNode) || i%3 != 0 && string(d.Data) != paths[i] {
			t.Errorf("%s: %+v", paths[i], d)
		}
	}
}

// A caller that stops waiting gets its context's error and is told that the write may have happened.
func TestCallEndsWithItsOwner(t *testing.T) {
	s, l := zktest.Start(t).Open(t)
	l.Cut()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := s.Current().Create(ctx, "/a", nil, coordination.Persistent)
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("create: %v", err)
	}
	l.Restore()
	if _, err := s.Current().Exists(t.Context(), "/a"); err != nil {
		t.Error(err)
	}
}

// Requests survive a broken connection within a session, and the session survives it.
func TestReconnectKeepsSession(t *testing.T) {
	s, l := zktest.Start(t).Open(t)
	ctx, g := t.Context(), s.Current()
	if _, err := g.Create(ctx, "/e", nil, coordination.Ephemeral); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		l.Break()
		stat, err := g.Exists(ctx, "/e")
		if err != nil || stat == nil || stat.EphemeralOwner != g.ID() {
			t.Fatalf("%+v, %v", stat, err)
		}
	}
	if s.Current() != g || g.Err() != nil {
		t.Error("the session was replaced")
	}
	l.Cut()
	zktest.Eventually(t, "disconnect", func() bool { return !g.Connected() })
	l.Restore()
	zktest.Eventually(t, "reconnect", g.Connected)
}

func TestLostReplyIsToldFromARealConflict(t *testing.T) {
	s, l := zktest.Start(t).Open(t)
	ctx, g := t.Context(), s.Current()

	dropped := l.DropReply(zktest.OpCreate)
	_, err := g.Create(ctx, "/a", nil, coordination.Persistent)
	<-dropped
	if !errors.Is(err, coordination.ErrNodeExists) || !coordination.MaybeApplied(err) {
		t.Errorf("create: %v", err)
	}
	l.DropReply(zktest.OpSet)
	if _, err = g.Set(ctx, "/a", []byte("x"), 0); !errors.Is(err, coordination.ErrBadVersion) || !coordination.MaybeApplied(err) {
		t.Errorf("set: %v", err)
	}
	l.DropReply(zktest.OpDelete)
	if err = g.Delete(ctx, "/a", 1); !errors.Is(err, coordination.ErrNoNode) || !coordination.MaybeApplied(err) {
		t.Errorf("delete: %v", err)
	}
	l.DropReply(zktest.OpMulti)
	_, err = g.Multi(ctx, coordination.CreateOp("/e", nil, coordination.Ephemeral))
	if !errors.Is(err, coordination.ErrNodeExists) || !coordination.MaybeApplied(err) || coordination.FailedOp(err) != 0 {
		t.Errorf("multi: %v", err)
	}
	l.DropReply(zktest.OpGet)
	if _, _, err := g.Get(ctx, "/e"); err != nil {
		t.Errorf("a read is simply repeated: %v", err)
	}
}

// The hazard of the library: a goroutine that retries an ephemeral create from before the expiry must never succeed
// under the new session.
func TestExpiryEndsEverythingBegunBefore(t *testing.T) {
	srv := zktest.Start(t)
	s, l := srv.Open(t)
	other, _ := srv.Open(t)
	ctx, g := t.Context(), s.Current()
	var order []string
	s.AddHook(coordination.Hook{Name: "h",
		Before: func() {
			order = append(order, "before")
			if _, err := g.Create(ctx, "/late", nil, coordination.Ephemeral); !errors.Is(err, coordination.ErrSessionExpired) {
				t.Errorf("in before: %v", err)
			}
		},
		After: func(_ context.Context, n *coordination.Generation) {
			order = append(order, "after")
			if n == g || n.ID() == g.ID() || n.Number() != 2 {
				t.Errorf("generation %d, session %x, old %x", n.Number(), n.ID(), g.ID())
			}
		},
	})

	l.CutAndExpire(ctx)
	errs := make(chan error, 20)
	for i := range cap(errs) {
		go func() {
			for {
				if _, err := g.Create(ctx, fmt.Sprintf("/stale%d", i), nil, coordination.Ephemeral); err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	time.Sleep(30 * time.Millisecond) // not waited for: lets some of them queue up behind the cut line
	sent := l.Requests(zktest.OpCreate)
	l.Restore()
	for range cap(errs) {
		if err := <-errs; !errors.Is(err, coordination.ErrSessionExpired) {
			t.Errorf("a call of the old generation: %v", err)
		}
	}
	<-g.Done()
	next, err := s.Await(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := next.Create(ctx, "/fresh", nil, coordination.Ephemeral); err != nil {
		t.Error(err)
	}
	zktest.Eventually(t, "hooks", func() bool { return next == s.Current() })
	names, err := other.Current().Children(ctx, "/")
	if err != nil || !slices.Equal(names, []string{"fresh"}) {
		t.Errorf("nodes: %q, %v", names, err)
	}
	if err := s.Close(); err != nil || !slices.Equal(order, []string{"before", "after"}) {
		t.Errorf("hooks ran as %q", order)
	}
	// They were not even sent: what a closing session makes and unmakes would be seen by others.
	if n := l.Requests(zktest.OpCreate) - sent; n != 1 {
		t.Errorf("%d creates were sent after the expiry", n)
	}
}

func TestCloseDeletesEphemeralsAndEndsCalls(t *testing.T) {
	srv := zktest.Start(t)
	s, l := srv.Open(t)
	other, _ := srv.Open(t)
	ctx := t.Context()
	if _, err := s.Current().Create(ctx, "/e", nil, coordination.Ephemeral); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if stat, err := other.Current().Exists(ctx, "/e"); err != nil || stat != nil {
		t.Errorf("%+v, %v", stat, err)
	}
	if _, err := s.Current().Exists(ctx, "/e"); !errors.Is(err, coordination.ErrClosed) {
		t.Errorf("call after close: %v", err)
	}
	if _, err := s.Await(ctx); !errors.Is(err, coordination.ErrClosed) {
		t.Errorf("await after close: %v", err)
	}
	_ = l
}

// Close must not hang while no server can be reached and calls wait.
func TestCloseWhileCut(t *testing.T) {
	s, l := zktest.Start(t).Open(t)
	l.Cut()
	errs := make(chan error, 40)
	for range cap(errs) {
		go func() {
			_, err := s.Current().Exists(context.Background(), "/")
			errs <- err
		}()
	}
	start := time.Now()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for range cap(errs) {
		if err := <-errs; !errors.Is(err, coordination.ErrClosed) {
			t.Errorf("%v", err)
		}
	}
	if d := time.Since(start); d > 20*time.Second {
		t.Errorf("close took %v", d)
	}
}

func TestOpenGivesUp(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := coordination.Open(ctx, coordination.Options{Servers: []string{"127.0.0.1:1"}})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
}

func TestWatch(t *testing.T) {
	srv := zktest.Start(t)
	s, _ := srv.Open(t)
	other, _ := srv.Open(t)
	ctx, g, o := t.Context(), s.Current(), other.Current()
	var data, children atomic.Int64
	wd := s.Watch("/w", coordination.WatchData, func() { data.Add(1) })
	s.Watch("/w", coordination.WatchChildren, func() { children.Add(1) })
	want := func(what string, d, c int64) {
		t.Helper()
		zktest.Eventually(t, what, func() bool { return data.Load() == d && children.Load() == c })
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, _, err := g.GetW(ctx, "/w"); !errors.Is(err, coordination.ErrNoNode) {
		t.Fatal(err)
	}
	_, err := g.ExistsW(ctx, "/w")
	must(err)
	_, err = o.Create(ctx, "/w", nil, coordination.Persistent)
	must(err)
	want("creation", 1, 0)
	_, err = o.Set(ctx, "/w", []byte("unwatched"), -1)
	must(err)
	for range 3 { // arms once
		_, _, err = g.GetW(ctx, "/w")
		must(err)
		_, err = g.ChildrenW(ctx, "/w")
		must(err)
	}
	_, err = o.Set(ctx, "/w", []byte("watched"), -1)
	must(err)
	want("change", 2, 0)
	_, err = o.Create(ctx, "/w/c", nil, coordination.Persistent)
	must(err)
	want("child", 2, 1)
	must(o.Delete(ctx, "/w/c", -1))
	_, _, err = g.GetW(ctx, "/w")
	must(err)
	_, err = g.ChildrenW(ctx, "/w")
	must(err)
	must(o.Delete(ctx, "/w", -1))
	want("deletion", 3, 2)
	_, err = g.ExistsW(ctx, "/w")
	must(err)
	wd.Stop()
	_, err = o.Create(ctx, "/w", nil, coordination.Persistent)
	must(err)
	want("stopped", 3, 2)
}

// A session that is connected is heard of all the time; one whose server is out of reach is not any more, well before it can expire.
func TestHeardLately(t *testing.T) {
	s, l := zktest.Start(t).Open(t)
	if !s.HeardLately() {
		t.Error("nothing was heard of a session that was just made")
	}
	l.Cut()
	zktest.Eventually(t, "silence is noticed", func() bool { return !s.HeardLately() })
	if s.Current().Err() != nil {
		t.Error("the session was over before its silence was noticed")
	}
	l.Restore()
	zktest.Eventually(t, "it is heard of again", s.HeardLately)
}
