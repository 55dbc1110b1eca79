package suspicion

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"gokafka/coordination"
	"gokafka/coordination/zktest"
	"gokafka/coordination/znode"
	"gokafka/internal/clock"
	"gokafka/metadata"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// process is a broker's process: a listener and the connections that it took.
type process struct {
	t  *testing.T
	ln net.Listener

	mu    sync.Mutex
	conns []net.Conn
	taken int
	wg    sync.WaitGroup
}

func listen(t *testing.T, addr string) *process {
	t.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, ln: ln}
	p.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			p.mu.Lock()
			p.conns, p.taken = append(p.conns, c), p.taken+1
			p.mu.Unlock()
		}
	})
	t.Cleanup(p.die)
	return p
}

func (p *process) addr() string { return p.ln.Addr().String() }

func (p *process) connections() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.taken
}

// hangUp closes the connections, as a broker does with those that were idle for too long.
func (p *process) hangUp() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

// die is kill -9: the system closes everything.
func (p *process) die() {
	p.ln.Close()
	p.wg.Wait()
	p.hangUp()
}

// fixture is a Monitor of broker 1 and the session of broker 2, which stands whatever happens to its process.
type fixture struct {
	t       *testing.T
	m       *Monitor
	two     *coordination.Session
	zk      *zktest.Server
	changes chan bool // of broker 2
	dials   atomic.Int64
	dial    atomic.Pointer[func(addr string) (net.Conn, error)] // in place of TCP
}

func newFixture(t *testing.T) *fixture {
	f := &fixture{t: t, zk: zktest.Start(t), changes: make(chan bool, 100)}
	own, _ := f.zk.Open(t)
	f.two, _ = f.zk.Open(t)
	if err := znode.CreatePersistentPaths(t.Context(), own.Current()); err != nil {
		t.Fatal(err)
	}
	f.m = Start(Options{BrokerID: 1, Session: own, Clock: clock.New(), Listener: "PEERS", retry: 10 * time.Millisecond,
		Dial: func(ctx context.Context, addr string) (net.Conn, error) {
			f.dials.Add(1)
			if d := f.dial.Load(); d != nil {
				return (*d)(addr)
			}
			var d net.Dialer
			return d.DialContext(ctx, "tcp", addr)
		},
		Changed: func(id int32, _ int64, suspected bool) {
			if id == 2 {
				f.changes <- suspected
			}
		},
	})
	t.Cleanup(f.m.Close)
	return f
}

func registration(addr string) znode.Registration {
	a, err := net.ResolveTCPAddr("tcp", addr)
	if err != nil {
		panic(err)
	}
	return znode.Registration{JMXPort: -1, Broker: metadata.Broker{ID: 2, Endpoints: []metadata.Endpoint{
		{Listener: "CLIENTS", Host: "nowhere.invalid", Port: 1}, {Listener: "PEERS", Host: a.IP.String(), Port: int32(a.Port)},
	}}}
}

// register registers broker 2 at addr and returns its broker epoch.
func (f *fixture) register(addr string) int64 {
	f.t.Helper()
	r, err := znode.RegisterBroker(f.t.Context(), f.two.Current(), registration(addr), znode.Registered{})
	if err != nil {
		f.t.Fatal(err)
	}
	return r.Epoch
}

func (f *fixture) connected(p *process, n int) {
	f.t.Helper()
	zktest.Eventually(f.t, "the monitor is connected", func() bool { return p.connections() >= n })
}

func (f *fixture) await(want bool) {
	f.t.Helper()
	select {
	case got := <-f.changes:
		if got != want {
			f.t.Fatalf("suspected %v, want %v", got, want)
		}
	case <-time.After(30 * time.Second):
		f.t.Fatal("nothing was told within 30 s")
	}
}

// stays waits until the monitor has dialled some more, which is when a wrong suspicion would have come.
func (f *fixture) stays(epoch int64) {
	f.t.Helper()
	from := f.dials.Load()
	zktest.Eventually(f.t, "some tries to connect", func() bool { return f.dials.Load() >= from+4 })
	if f.m.Suspected(2, epoch) || len(f.changes) > 0 {
		f.t.Fatal("suspected")
	}
}

func TestDeadProcessIsSuspectedUntilItAnswers(t *testing.T) {
	f := newFixture(t)
	p := listen(t, "127.0.0.1:0")
	epoch := f.register(p.addr())
	f.connected(p, 1)
	p.die()
	f.await(true)
	if !f.m.Suspected(2, epoch) || f.m.Suspected(2, epoch+1) || f.m.Suspected(1, epoch) || f.m.Suspected(3, 0) {
		t.Error("the wrong ones are suspected")
	}
	again := listen(t, p.addr()) // under the same registration: it was not dead
	f.await(false)
	if f.m.Suspected(2, epoch) {
		t.Error("still suspected")
	}
	f.connected(again, 1)
	again.die()
	f.await(true)
}

// Of a broker that has registered and does not listen yet, or that cannot be reached from here, nothing is known.
func TestNeverConnectedIsNotSuspected(t *testing.T) {
	f := newFixture(t)
	p := listen(t, "127.0.0.1:0")
	addr := p.addr()
	p.die()
	epoch := f.register(addr)
	f.stays(epoch)
	p = listen(t, addr)
	f.connected(p, 1)
	p.die()
	f.await(true)
}

func TestClosedIdleConnectionIsNoDeath(t *testing.T) {
	f := newFixture(t)
	p := listen(t, "127.0.0.1:0")
	epoch := f.register(p.addr())
	for n := 1; n < 8; n++ {
		f.connected(p, n)
		p.hangUp()
	}
	f.connected(p, 8)
	if f.m.Suspected(2, epoch) || len(f.changes) > 0 {
		t.Error("suspected")
	}
}

// In the moment in which a process dies its listener may still take the connection that is to tell whether it lives.
func TestConnectionTakenByADyingProcess(t *testing.T) {
	f := newFixture(t)
	p := listen(t, "127.0.0.1:0")
	f.register(p.addr())
	f.connected(p, 1)
	p.hangUp()
	f.connected(p, 2)
	p.die()
	f.await(true)
}

// Silence is a network's or a machine's, and says nothing of the process.
func TestTimeOutIsNotSuspected(t *testing.T) {
	for what, err := range map[string]error{"time out": syscall.ETIMEDOUT, "no route": syscall.EHOSTUNREACH} {
		t.Run(what, func(t *testing.T) {
			f := newFixture(t)
			p := listen(t, "127.0.0.1:0")
			epoch := f.register(p.addr())
			f.connected(p, 1)
			var n atomic.Int64
			silent := func(string) (net.Conn, error) {
				if n.Add(1) == 1 { // a refusal first, as from something in between
					return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}
				}
				return nil, &net.OpError{Op: "dial", Err: err}
			}
			f.dial.Store(&silent)
			p.die()
			f.stays(epoch)
			// After that even refusals are no proof, until a connection was completed again.
			refusing := func(string) (net.Conn, error) { return nil, &net.OpError{Op: "dial", Err: syscall.ECONNREFUSED} }
			f.dial.Store(&refusing)
			f.stays(epoch)
		})
	}
}

// A new broker epoch is another process: what was known of the old one says nothing of it.
func TestNewEpochEndsTheSuspicion(t *testing.T) {
	f := newFixture(t)
	p := listen(t, "127.0.0.1:0")
	old := f.register(p.addr())
	f.connected(p, 1)
	p.die()
	f.await(true)
	if err := f.two.Current().Delete(t.Context(), znode.BrokerPath(2), coordination.AnyVersion); err != nil {
		t.Fatal(err)
	}
	epoch := f.register(p.addr()) // it is starting, and does not listen yet
	f.await(false)
	if f.m.Suspected(2, old) {
		t.Error("the old incarnation is suspected still")
	}
	f.stays(epoch)
}

// A broker that is suspected at its old address and moves its listener is looked at anew, and its owner hears of it.
func TestMoveEndsTheSuspicion(t *testing.T) {
	f := newFixture(t)
	p := listen(t, "127.0.0.1:0")
	epoch := f.register(p.addr())
	f.connected(p, 1)
	p.die()
	f.await(true)
	q := listen(t, "127.0.0.1:0")
	if err := znode.UpdateBroker(t.Context(), f.two.Current(), registration(q.addr())); err != nil {
		t.Fatal(err)
	}
	f.await(false)
	if f.m.Suspected(2, epoch) {
		t.Error("still suspected")
	}
}

// A broker may move its listener under the same registration.
func TestMovedListenerIsNoDeath(t *testing.T) {
	f := newFixture(t)
	p, q := listen(t, "127.0.0.1:0"), listen(t, "127.0.0.1:0")
	epoch := f.register(p.addr())
	f.connected(p, 1)
	if err := znode.UpdateBroker(t.Context(), f.two.Current(), registration(q.addr())); err != nil {
		t.Fatal(err)
	}
	p.die()
	f.connected(q, 1)
	if f.m.Suspected(2, epoch) || len(f.changes) > 0 {
		t.Error("suspected")
	}
	q.die()
	f.await(true)
}
