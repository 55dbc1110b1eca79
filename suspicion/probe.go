package suspicion

import (
	"context"
	"errors"
	"io"
	"net"
	"time"

	"gokafka/coordination/znode"
)

// probe watches one incarnation of a broker.
type probe struct {
	m      *Monitor
	target target
	cancel context.CancelFunc
	done   chan struct{}
}

func newProbe(m *Monitor, t target) *probe {
	ctx, cancel := context.WithCancel(m.ctx)
	p := &probe{m: m, target: t, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.run(ctx)
	}()
	return p
}

// stop ends the probe and waits for it.
func (p *probe) stop() {
	p.cancel()
	<-p.done
}

// sight is what a probe knows from its connections.
type sight struct {
	// lost is the address of the last connection if that was completed and then ended by the peer's machine; empty otherwise.
	lost      string
	refusals  int // of connections to lost, one after the other
	brief     int // connections one after the other that the peer ended at once, as a broker does that has too many
	suspected bool
}

// briefTime is what a connection lasts at least that a broker means to keep.
const briefTime = time.Second

// run holds a connection for as long as there is one, and looks why it ended.
func (p *probe) run(ctx context.Context) {
	var s sight
	for {
		pause := p.look(ctx, &s)
		if p.m.o.Clock.Sleep(ctx, pause) != nil {
			return
		}
	}
}

// look makes one connection, and holds it to its end if there is one. It returns the pause before the next.
func (p *probe) look(ctx context.Context, s *sight) time.Duration {
	addr := p.target.addr
	if s.lost != "" {
		addr = s.lost // a name may have several addresses, of which another one refuses
	}
	dialCtx, cancel := context.WithTimeout(ctx, connectTimeout)
	conn, err := p.m.o.Dial(dialCtx, addr)
	cancel()
	switch {
	case ctx.Err() != nil:
		if err == nil {
			conn.Close()
		}
		return 0
	case err == nil:
		return p.hold(ctx, s, conn)
	case !isRefused(err): // silence is no proof, and what was seen before is none any more
		s.lost, s.refusals = "", 0
		return p.m.o.retry
	case s.suspected || s.lost == "":
		p.stillRegistered(ctx) // it may have moved its listener, which no list of brokers tells
		return p.m.o.retry
	}
	s.refusals++
	if s.refusals < 2 || !p.stillRegistered(ctx) {
		return refusePause
	}
	s.suspected = true
	p.m.o.Logger.Warn("The process of the broker is gone though its session stands", "broker", p.target.id, "brokerEpoch", p.target.epoch, "address", s.lost)
	p.m.set(p.target, true)
	return p.m.o.retry
}

// hold waits for the end of a completed connection.
func (p *probe) hold(ctx context.Context, s *sight, conn net.Conn) time.Duration {
	if s.suspected {
		p.m.o.Logger.Warn("The broker answers again", "broker", p.target.id, "brokerEpoch", p.target.epoch)
		p.m.set(p.target, false)
	}
	*s = sight{brief: s.brief}
	began, remote := p.m.o.Clock.Mono(), conn.RemoteAddr().String()
	if hold(ctx, conn) {
		s.lost = remote
	}
	// A connection may still be taken in the moment in which the process dies.
	if s.brief++; p.m.o.Clock.Mono()-began > briefTime {
		s.brief = 0
	}
	if s.brief > 1 {
		return p.m.o.retry
	}
	return 0
}

// hold reads until the connection ends, and says whether the peer's machine ended it: in order, as a process that exits or is killed does, or by
// a reset. A connection that died of silence says nothing.
func hold(ctx context.Context, conn net.Conn) (closed bool) {
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	buf := make([]byte, 64)
	for {
		if _, err := conn.Read(buf); err != nil { // brokers say nothing unasked; what comes all the same is let go
			return errors.Is(err, io.EOF) || isReset(err)
		}
	}
}

// stillRegistered says whether the broker still is the incarnation that was connected to, at the same address: it may have moved its listener.
func (p *probe) stillRegistered(ctx context.Context) bool {
	g, err := p.m.o.Session.Await(ctx)
	if err != nil {
		return false
	}
	r, ok, err := znode.ReadBroker(ctx, g, p.target.id, false)
	if err != nil || !ok {
		return false
	}
	now, ok := targetOf(&r, p.m.o.Listener)
	if ok && now == p.target {
		return true
	}
	p.m.signal()
	return false
}
