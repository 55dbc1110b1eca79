package znode

import (
	"errors"
	"sync"
	"testing"

	"gokafka/coordination"
	"gokafka/coordination/zktest"
	"gokafka/metadata"
)

// office has broker 1 registered and elected, under a session that stands.
func office(t *testing.T, g *coordination.Generation) (*Controllership, int64) {
	t.Helper()
	if err := CreatePersistentPaths(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	r, err := RegisterBroker(t.Context(), g, Registration{Broker: metadata.Broker{ID: 1}, JMXPort: -1}, Registered{})
	if err != nil {
		t.Fatal(err)
	}
	return elect(t, g, 1), r.Epoch
}

func TestSeize(t *testing.T) {
	srv := zktest.Start(t)
	ctx, s1, _ := open(t, srv)
	s2, _ := srv.Open(t)
	old, epoch := office(t, s1.Current())
	g := s2.Current()
	for what, dead := range map[string]func(int32, int64) bool{
		"alive":               func(int32, int64) bool { return false },
		"another broker":      func(id int32, _ int64) bool { return id != 1 },
		"another incarnation": func(_ int32, e int64) bool { return e != epoch },
	} {
		if _, err := Seize(ctx, g, 2, 1, dead); !errors.Is(err, ErrControllerMoved) {
			t.Errorf("%s: %v", what, err)
		}
	}
	won, err := Seize(ctx, g, 2, 1, func(id int32, e int64) bool { return id == 1 && e == epoch })
	if err != nil || won.Epoch != old.Epoch+1 {
		t.Fatal(won, err)
	}
	cur, ok, err := ReadController(ctx, g, false)
	if err != nil || !ok || cur.BrokerID != 2 || cur.Owner != g.ID() {
		t.Errorf("%+v %v %v", cur, ok, err)
	}
	if _, err := won.Write(ctx, coordination.CreateOp("/new", nil, coordination.Persistent)); err != nil {
		t.Error("the new controller:", err)
	}
	if _, err := old.Write(ctx, coordination.CreateOp("/old", nil, coordination.Persistent)); !errors.Is(err, ErrControllerMoved) {
		t.Error("the old controller lives and writes:", err)
	}
	if err := s1.Close(); err != nil { // its session ends at last
		t.Fatal(err)
	}
	if cur, ok, _ := ReadController(ctx, g, false); !ok || cur.BrokerID != 2 {
		t.Error("the end of the dead broker's session took the office along:", cur, ok)
	}
	if _, err := Seize(ctx, g, 2, 1, func(int32, int64) bool { return true }); !errors.Is(err, ErrControllerMoved) {
		t.Error("an own office was seized:", err)
	}
}

// A broker of the same id that registers anew is not the one that was seen to die, though the old /controller may still stand.
func TestSeizeFromAnotherSession(t *testing.T) {
	srv := zktest.Start(t)
	ctx, s1, _ := open(t, srv)
	s2, _ := srv.Open(t)
	s3, _ := srv.Open(t)
	office(t, s1.Current())
	if err := s1.Current().Delete(ctx, BrokerPath(1), coordination.AnyVersion); err != nil {
		t.Fatal(err)
	}
	if _, err := RegisterBroker(ctx, s3.Current(), Registration{Broker: metadata.Broker{ID: 1}, JMXPort: -1}, Registered{}); err != nil {
		t.Fatal(err)
	}
	if _, err := Seize(ctx, s2.Current(), 2, 1, func(int32, int64) bool { return true }); !errors.Is(err, ErrControllerMoved) {
		t.Error(err)
	}
}

func TestSeizeRace(t *testing.T) {
	srv := zktest.Start(t)
	ctx, s1, _ := open(t, srv)
	_, epoch := office(t, s1.Current())
	var sessions []*coordination.Session
	for range 4 {
		s, _ := srv.Open(t)
		sessions = append(sessions, s)
	}
	var wg sync.WaitGroup
	won := make([]*Controllership, len(sessions))
	for i, s := range sessions {
		wg.Go(func() {
			c, err := Seize(ctx, s.Current(), int32(i+2), 1, func(id int32, e int64) bool { return id == 1 && e == epoch })
			if err != nil && !errors.Is(err, ErrControllerMoved) {
				t.Error(err)
			}
			won[i] = c
		})
	}
	wg.Wait()
	winners := 0
	for i, c := range won {
		if c == nil {
			continue
		}
		winners++
		if cur, ok, err := ReadController(ctx, s1.Current(), false); err != nil || !ok || cur.BrokerID != int32(i+2) {
			t.Errorf("broker %d won, /controller says %+v %v %v", i+2, cur, ok, err)
		}
	}
	if winners != 1 {
		t.Errorf("%d winners", winners)
	}
}

// The reply is lost, the transaction is sent again and fails on what the first sending did: it was ours.
func TestSeizeWithLostReply(t *testing.T) {
	srv := zktest.Start(t)
	ctx, s1, _ := open(t, srv)
	s2, link := srv.Open(t)
	old, _ := office(t, s1.Current())
	dropped := link.DropReply(zktest.OpMulti)
	won, err := Seize(ctx, s2.Current(), 2, 1, func(int32, int64) bool { return true })
	if err != nil || won.Epoch != old.Epoch+1 {
		t.Fatal(won, err)
	}
	<-dropped
	if _, err := won.Write(ctx, coordination.CreateOp("/new", nil, coordination.Persistent)); err != nil {
		t.Error(err)
	}
}
