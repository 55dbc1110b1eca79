package embedded

import (
	"errors"
	"time"
)

// handle takes one item of the inbox.
func (l *loop) handle(it *item) {
	c := it.conn
	st := &c.loop
	switch it.kind {
	case itemGone:
		st.gone = true
		l.detach(c)
		l.s.forget(c)
		l.hangUp(c)
	case itemUnpark:
		waiting := st.waiting
		st.waiting = nil
		for i := range waiting {
			l.admit(&waiting[i])
		}
	case itemWord:
		st.closing = true
		l.reply(c, func(b []byte) []byte { return l.word(b, it.word) })
		st.last = true
	default:
		l.admit(it)
	}
}

// admit serves a request, or holds it back while its connection has too much output that is not yet sent.
func (l *loop) admit(it *item) {
	c := it.conn
	st := &c.loop
	if le := l.leases[st.session]; le != nil && le.conn == c {
		le.last = l.session.now(l.mono) // every packet counts, also one that is held back
	}
	switch {
	case st.closing:
		st.cost += it.cost
		l.mark(c)
		return
	case len(st.waiting) > 0:
		st.waiting = append(st.waiting, *it)
		return
	case l.flooded(c):
		c.parked.Store(true)
		// The writer may have caught up before it could see that.
		if c.unsent.Load() > connOutputShare/2 || !c.parked.CompareAndSwap(true, false) {
			st.waiting = append(st.waiting, *it)
			return
		}
	}
	st.cost += it.cost
	l.mark(c)
	st.stats.received++
	l.stats.received++
	if it.kind == itemConnect {
		l.connect(c, &it.connect)
		return
	}
	l.serve(c, it)
}

func (l *loop) flooded(c *conn) bool {
	unsent := c.unsent.Load()
	return unsent > connOutputBytes || unsent > connOutputShare && l.s.unsent.Load() > serverOutputBytes
}

// serve answers one request of an established session.
func (l *loop) serve(c *conn, it *item) {
	st, q := &c.loop, it.req
	st.stats.lastOp, st.stats.lastXid = q.op, q.xid
	defer l.measure(c, it.at)
	if q.code != codeOK {
		l.respond(c, q.xid, &result{op: q.op, code: q.code})
		if q.code == codeUnimplemented {
			l.hangUp(c)
		}
		return
	}
	switch q.op {
	case opPing:
		l.respond(c, q.xid, &result{op: q.op})
	case opAuth, opSasl:
		l.authenticate(c, q)
	case opCloseSession:
		if !l.refuseWhileFull(c) {
			l.closeSession(c, q.xid)
		}
	default:
		if q.changes() && l.refuseWhileFull(c) {
			return
		}
		cmd := command{req: q, conn: c.id, session: st.session, ids: st.ids}
		out := l.m.apply(&cmd, l.ms)
		l.emit(out)
		l.respond(c, q.xid, &out.result)
		if l.m.watches.bytes(c.id) > connWatchBytes {
			l.s.logger.Warn("coordination: client has too many watches, dropped", "client", c.addr)
			l.detach(c)
			l.hangUp(c)
		}
	}
}

// changes says whether the request may change the tree.
func (q *request) changes() bool {
	switch q.op {
	case opCreate, opCreate2, opCreateContainer, opCreateTTL, opDelete, opSetData, opSetACL, opMulti:
		return true
	}
	return false
}

// authenticate adds an identity to the connection. The reply's zxid is 0, as ZooKeeper's.
func (l *loop) authenticate(c *conn, q *request) {
	st := &c.loop
	r := result{op: q.op}
	switch {
	case q.op == opAuth && q.path == "ip":
	case q.op == opAuth && q.path == "digest" && len(st.ids) < connAuthIDs:
		id := digestID(q.data)
		if id == l.s.opts.SuperDigest {
			st.addID(authID{"super", ""})
		}
		st.addID(authID{"digest", id})
	default:
		r.code = codeAuthFailed
	}
	l.reply(c, func(b []byte) []byte { return appendReply(b, q.xid, 0, &r) })
	if r.code != codeOK {
		l.s.logger.Warn("coordination: authentication failed", "client", c.addr, "scheme", q.path)
		l.hangUp(c)
	}
}

// addID copies: commands and results hold the old slice.
func (st *connState) addID(id authID) {
	for _, have := range st.ids {
		if have == id {
			return
		}
	}
	st.ids = append(st.ids[:len(st.ids):len(st.ids)], id)
}

// emit puts the record of a transaction into the batch and its events into the watchers' outputs. It must be called
// before the reply of the causing request is made.
func (l *loop) emit(out outcome) {
	if out.record != nil {
		size := len(l.cur.records)
		l.cur.records = frameRecord(l.cur.records, out.record)
		l.logBytes += int64(len(l.cur.records) - size)
		l.logTxns++
	}
	for i := range out.events {
		ev := &out.events[i]
		c := l.clients[ev.conn]
		if c == nil || c.loop.closing || !allowed(ev.acl, permRead, c.loop.ids) {
			continue
		}
		size := len(c.loop.pend)
		l.reply(c, func(b []byte) []byte { return appendEvent(b, ev.kind, ev.path) })
		l.boundEvents(c, int64(len(c.loop.pend)-size))
	}
}

// boundEvents drops a client that lets its events pile up. Requests are bounded before they are served, events cannot be.
func (l *loop) boundEvents(c *conn, size int64) {
	st := &c.loop
	if c.unsent.Load() <= connOutputShare {
		st.eventUnsent = 0
	}
	if st.eventUnsent += size; st.eventUnsent > connEventBytes {
		l.s.logger.Warn("coordination: client does not read its watch events, dropped", "client", c.addr)
		l.detach(c)
		l.hangUp(c)
		c.kill()
	}
}

// respond replies to a request with the zxid of the last transaction.
func (l *loop) respond(c *conn, xid int32, r *result) {
	c.loop.stats.lastZxid = l.m.zxid
	l.reply(c, func(b []byte) []byte { return appendReply(b, xid, l.m.zxid, r) })
}

// reply appends what encode appends to the connection's output.
func (l *loop) reply(c *conn, encode func([]byte) []byte) {
	st := &c.loop
	if st.pend == nil {
		st.pend = l.s.buffer()
	}
	size := len(st.pend)
	st.pend = encode(st.pend)
	st.stats.sent++
	l.stats.sent++
	l.send(c, len(st.pend)-size)
}

const (
	probeInterval  = 250 * time.Millisecond
	probeFreeBytes = 1 << 20 // with less, the disk still counts as full
)

// refuseWhileFull closes the connection of a change that the full disk cannot take: the client cannot know the outcome,
// finds its session again and retries, as after any lost connection.
func (l *loop) refuseWhileFull(c *conn) bool {
	if !l.full || l.probe() {
		return false
	}
	l.detach(c)
	l.hangUp(c)
	return true
}

// probe says whether there is space again.
func (l *loop) probe() bool {
	if l.mono-l.lastProbe < probeInterval {
		return false
	}
	l.lastProbe = l.mono
	_, usable, err := l.s.opts.FS.Space(l.s.opts.Dir)
	if err != nil && !errors.Is(err, errors.ErrUnsupported) || err == nil && usable < probeFreeBytes {
		return false
	}
	l.s.logger.Info("coordination: there is space on the disk again")
	l.full = false
	return true
}

// diskFull takes back the transactions that could not be written: nobody was told of them. The machine is made anew
// from the files, and all connections are closed, as their watches and replies may rest on what is gone. Reads, pings
// and reconnects go on; changes are refused until there is space.
func (l *loop) diskFull(err error) {
	l.now()
	l.s.logger.Error("coordination: disk full, changes are refused", "err", err)
	l.cur.seal()
	l.s.syncer.drop(l.cur)
	l.cur = &batch{}
	for _, c := range l.s.connections() {
		l.detach(c)
		l.hangUp(c)
		c.kill()
	}
	l.s.snapshots.Wait() // it removes files
	rec, err := l.s.syncer.store.load()
	if err != nil {
		l.s.fail(err)
		return
	}
	l.full, l.lastProbe = true, l.mono
	l.adopt(rec)
	l.s.syncer.busy.Store(false)
}
