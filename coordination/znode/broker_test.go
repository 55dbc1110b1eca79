package znode

import (
	"context"
	"errors"
	"sync"
	"testing"

	"gokafka/coordination"
	"gokafka/coordination/zktest"
	"gokafka/metadata"
)

func reg(id int32) Registration {
	return Registration{JMXPort: -1, TimestampMs: 1, Broker: metadata.Broker{ID: id,
		Endpoints: []metadata.Endpoint{{Listener: "PLAINTEXT", Host: "h", Port: 1}}}}
}

func TestRegisterBroker(t *testing.T) {
	srv := zktest.Start(t)
	ctx, s, l := open(t, srv)
	g := s.Current()
	r, err := RegisterBroker(ctx, g, reg(1), Registered{})
	if err != nil || r.Session != g.ID() {
		t.Fatalf("%+v, %v", r, err)
	}
	stat, err := g.Exists(ctx, BrokerPath(1))
	if err != nil || stat.Czxid != r.Epoch || stat.Version != 1 || stat.EphemeralOwner != g.ID() {
		t.Errorf("%+v, epoch %d, %v", stat, r.Epoch, err)
	}
	if again, err := RegisterBroker(ctx, g, reg(1), Registered{}); err != nil || again != r {
		t.Errorf("own registration is adopted: %+v, %v", again, err)
	}
	l.DropReply(zktest.OpMulti)
	r2, err := RegisterBroker(ctx, g, reg(2), Registered{})
	if stat, _ := g.Exists(ctx, BrokerPath(2)); err != nil || stat.Czxid != r2.Epoch || stat.Version != 1 {
		t.Errorf("with a lost reply: %+v, %v, stat %+v", r2, err, stat)
	}
	changed := reg(1)
	changed.Broker.Rack = "r"
	if err := UpdateBroker(ctx, g, changed); err != nil {
		t.Error(err)
	}
	got, ok, err := ReadBroker(ctx, g, 1, false)
	if err != nil || !ok || got.Broker.Rack != "r" || got.Broker.Epoch != r.Epoch {
		t.Errorf("%+v %v %v", got, ok, err)
	}
	mustCreate(t, g, BrokerPath(3), "malformed")
	ids, err := ListBrokers(ctx, g, true)
	if err != nil || len(ids) != 3 {
		t.Errorf("%v %v", ids, err)
	}
	rs, bad, err := ReadBrokers(ctx, g, append(ids, 9))
	if err != nil || len(rs) != 2 || len(bad) != 1 {
		t.Errorf("%+v %v %v", rs, bad, err)
	}
}

func TestRegisterOverAnotherSession(t *testing.T) {
	srv := zktest.Start(t)
	ctx, s1, _ := open(t, srv)
	s2, _ := srv.Open(t)
	first, err := RegisterBroker(ctx, s1.Current(), reg(1), Registered{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = RegisterBroker(ctx, s2.Current(), reg(1), Registered{Session: 12345})
	var inUse *BrokerIDInUseError
	if !errors.As(err, &inUse) || inUse.Owner != s1.Current().ID() || inUse.ID != 1 {
		t.Fatalf("a foreign registration: %v", err)
	}
	// The registration of one's own former session, which the server still shows, is replaced.
	second, err := RegisterBroker(ctx, s2.Current(), reg(1), first)
	if err != nil || second.Epoch <= first.Epoch || second.Session != s2.Current().ID() {
		t.Errorf("%+v over %+v: %v", second, first, err)
	}
}

func TestRegisterRace(t *testing.T) {
	srv := zktest.Start(t)
	ctx, s1, _ := open(t, srv)
	s2, _ := srv.Open(t)
	for id := range int32(20) {
		var wg sync.WaitGroup
		errs := make([]error, 2)
		for i, g := range []*coordination.Generation{s1.Current(), s2.Current()} {
			wg.Go(func() { _, errs[i] = RegisterBroker(ctx, g, reg(id), Registered{}) })
		}
		wg.Wait()
		var inUse *BrokerIDInUseError
		if (errs[0] == nil) == (errs[1] == nil) || !errors.As(errors.Join(errs...), &inUse) {
			t.Fatalf("%v", errs)
		}
	}
}

// After a crash the broker waits until the session of its predecessor is gone, and no longer.
func TestAwaitBrokerGone(t *testing.T) {
	srv := zktest.Start(t)
	ctx, s1, _ := open(t, srv)
	s2, _ := srv.Open(t)
	if _, err := RegisterBroker(ctx, s1.Current(), reg(1), Registered{}); err != nil {
		t.Fatal(err)
	}
	changed := make(chan struct{}, 1)
	w := s2.Watch(BrokerPath(1), coordination.WatchData, func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})
	defer w.Stop()
	done := make(chan error, 1)
	go func() { done <- AwaitBrokerGone(ctx, s2.Current(), 1, changed) }()
	if err := UpdateBroker(ctx, s1.Current(), reg(1)); err != nil { // a change is no departure
		t.Fatal(err)
	}
	select {
	case err := <-done:
		t.Fatalf("gone too early: %v", err)
	default:
	}
	if err := s1.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
	cut, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := RegisterBroker(ctx, s2.Current(), reg(1), Registered{}); err != nil {
		t.Error(err)
	}
	if err := AwaitBrokerGone(cut, s2.Current(), 1, changed); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestNextBrokerID(t *testing.T) {
	ctx, s, _ := open(t, zktest.Start(t))
	for want := int32(1001); want < 1004; want++ {
		if id, err := NextBrokerID(ctx, s.Current(), 1000); err != nil || id != want {
			t.Errorf("%d, %v", id, err)
		}
	}
}

func TestClusterID(t *testing.T) {
	ctx, s, _ := open(t, zktest.Start(t))
	id, err := ClusterID(ctx, s.Current())
	if err != nil || len(id) != 22 {
		t.Fatalf("%q, %v", id, err)
	}
	if again, err := ClusterID(ctx, s.Current()); err != nil || again != id {
		t.Errorf("%q, %v", again, err)
	}
}
