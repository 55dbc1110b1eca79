package embedded

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"maps"
	"slices"
	"time"
)

// lease is the volatile part of a session.
type lease struct {
	conn    *conn // nil while no client is connected
	timeout time.Duration
	last    time.Duration // of the last packet, on the session clock
}

// sessionClock is the monotonic clock less the time in which the server was stalled and could not hear its clients: a
// wake-up that comes late (process stopped, machine overloaded) counts as one tick. Otherwise the first thing a server
// does after a stall would be to expire clients that had no chance to reach it.
type sessionClock struct {
	tick time.Duration
	base time.Duration // session time of the last tick
	last time.Duration // monotonic time of the last tick
}

func (k *sessionClock) now(mono time.Duration) time.Duration {
	passed := mono - k.last
	if passed > k.tick+k.tick/2 {
		passed = k.tick
	}
	return k.base + passed
}

func (k *sessionClock) advance(mono time.Duration) {
	k.base, k.last = k.now(mono), mono
}

// hold lets the time since the last tick not count at all.
func (k *sessionClock) hold(mono time.Duration) { k.last = mono }

// password proves the ownership of a session: only this directory's id gives it.
func password(key databaseID, session int64) []byte {
	mac := hmac.New(sha256.New, key[:])
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(session)))
	return mac.Sum(nil)[:16]
}

// connect serves the first request of a connection.
func (l *loop) connect(c *conn, q *connectRequest) {
	st := &c.loop
	st.connected = true
	timeout := min(max(time.Duration(q.timeoutMs)*time.Millisecond, l.s.opts.MinSessionTimeout), l.s.opts.MaxSessionTimeout)
	timeoutMs := int32(timeout.Milliseconds())
	future := q.lastZxid > l.m.zxid
	if future {
		// The client has seen a history that this directory does not have: it was lost or rolled back. ZooKeeper would
		// refuse for ever; a session of that history cannot exist in this one, and the client can start anew.
		l.s.logger.Warn("coordination: client has seen a later transaction than exists here", "client", c.addr,
			"clientZxid", hexID(q.lastZxid), "serverZxid", hexID(l.m.zxid), "session", hexID(q.session))
	}
	id := q.session
	if id == 0 {
		if l.refuseWhileFull(c) {
			return
		}
		id = l.m.nextSession
		l.emit(l.m.createSession(id, timeoutMs, l.ms))
		l.leases[id] = &lease{}
	} else if !l.ownsSession(id, q.password) || future {
		l.reply(c, func(b []byte) []byte { return appendConnectReply(b, 0, 0, make([]byte, 16), q.hasReadOnly) })
		l.hangUp(c)
		return
	} else if l.m.sessions[id] != timeoutMs && !l.full {
		l.emit(l.m.createSession(id, timeoutMs, l.ms)) // so that a restart knows the timeout the client now counts on
	}
	le := l.leases[id]
	if old := le.conn; old != nil {
		l.detach(old)
		l.hangUp(old)
	}
	*le = lease{conn: c, timeout: timeout, last: l.session.now(l.mono)}
	st.session, st.stats.timeoutMs = id, timeoutMs
	l.clients[c.id] = c
	l.reply(c, func(b []byte) []byte { return appendConnectReply(b, timeoutMs, id, password(l.id, id), q.hasReadOnly) })
}

func (l *loop) ownsSession(id int64, pass []byte) bool {
	_, known := l.leases[id]
	return known && subtle.ConstantTimeCompare(pass, password(l.id, id)) == 1
}

// detach takes the connection's watches and its session from it. Replies already made still go out.
func (l *loop) detach(c *conn) {
	if _, ok := l.clients[c.id]; !ok {
		return
	}
	delete(l.clients, c.id)
	l.m.watches.dropConn(c.id)
	if le := l.leases[c.loop.session]; le != nil && le.conn == c {
		le.conn = nil
	}
}

// hangUp closes the connection behind what it is still to be sent, and ignores what it sends.
func (l *loop) hangUp(c *conn) {
	c.loop.closing = true
	c.loop.last = true
	for _, it := range c.loop.waiting {
		c.loop.cost += it.cost
	}
	c.loop.waiting = nil
	l.mark(c)
}

// closeSession serves a client's close: its ephemeral nodes go, then the reply, then the connection closes.
func (l *loop) closeSession(c *conn, xid int32) {
	id := c.loop.session
	l.emit(l.m.closeSession(id, l.ms))
	l.respond(c, xid, &result{op: opCloseSession})
	l.detach(c)
	delete(l.leases, id)
	l.hangUp(c)
}

// tick runs at each tick: it expires sessions and reaps containers.
func (l *loop) tick() {
	if since := l.s.syncer.since.Load(); since != 0 && l.mono-time.Duration(since) > l.s.opts.TickTime {
		l.session.hold(l.mono) // the disk hangs: nobody can be answered, not even a reconnect
		return
	}
	l.session.advance(l.mono)
	if l.full && !l.probe() {
		return
	}
	now := l.session.base
	for _, id := range slices.Sorted(maps.Keys(l.leases)) {
		if le := l.leases[id]; le.last+le.timeout < now {
			l.expire(id, le)
		}
	}
	if l.mono-l.lastReap >= l.s.opts.ContainerCheckInterval {
		l.lastReap = l.mono
		for _, path := range l.m.emptyContainers() {
			l.emit(l.m.reap(path, l.ms))
		}
	}
}

func (l *loop) expire(id int64, le *lease) {
	l.s.logger.Info("coordination: session expired", "session", hexID(id), "timeout", le.timeout)
	if c := le.conn; c != nil {
		l.detach(c) // before its watches fire: it is told nothing
		l.hangUp(c)
	}
	delete(l.leases, id)
	l.emit(l.m.closeSession(id, l.ms))
}
