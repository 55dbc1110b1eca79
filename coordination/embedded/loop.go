package embedded

import (
	"time"
)

// loop is the goroutine that owns the machine, the leases and the loop part of every connection. It waits for neither
// disk nor network.
type loop struct {
	s       *Server
	m       *machine
	leases  map[int64]*lease
	clients map[uint64]*conn // with an established session: those that can have watches
	id      databaseID
	cur     *batch
	spare   []item // the inbox's other buffer

	// Time of the current wake-up.
	mono time.Duration
	ms   int64

	session   sessionClock
	lastReap  time.Duration
	full      bool // the disk is full: changes are refused, nothing expires
	lastProbe time.Duration

	logBytes int64 // since the last snapshot
	logTxns  int
	snapSize int64 // of the last snapshot

	stats serverStats
}

func (l *loop) init(s *Server, rec recovered) {
	l.s, l.id = s, s.syncer.store.id
	l.clients = make(map[uint64]*conn)
	l.cur = &batch{}
	l.now()
	l.session = sessionClock{tick: s.opts.TickTime, last: l.mono}
	l.lastReap, l.stats.started = l.mono, l.mono
	l.adopt(rec)
}

// adopt takes a machine as load found it. Every session is touched: its client has its full timeout to come back.
func (l *loop) adopt(rec recovered) {
	l.m = rec.machine
	// ZooKeeper's scheme: milliseconds in the upper part, so that ids differ between servers; serverId 0.
	l.m.nextSession = max(l.m.nextSession, int64(uint64(l.ms)<<24>>8))
	l.leases = make(map[int64]*lease, len(l.m.sessions))
	for id, timeoutMs := range l.m.sessions {
		l.leases[id] = &lease{timeout: time.Duration(timeoutMs) * time.Millisecond, last: l.session.now(l.mono)}
	}
	l.logBytes, l.logTxns = rec.bytes, rec.replayed
}

func (l *loop) now() { l.mono, l.ms = l.s.clock.Mono(), l.s.clock.NowMs() }

func (l *loop) run() {
	defer close(l.s.loopDone)
	ticker := l.s.clock.NewTicker(l.s.opts.TickTime)
	defer ticker.Stop()
	for {
		select {
		case <-l.s.inbox.wake:
			l.drain()
		case <-l.s.syncer.idle:
		case err := <-l.s.syncer.full:
			l.diskFull(err)
		case <-ticker.C:
			l.now()
			l.tick()
		case <-l.s.failed:
			return
		case <-l.s.stop:
			l.finish()
			return
		}
		l.maybeSnapshot()
		l.offer()
	}
}

// drain serves what is in the inbox.
func (l *loop) drain() {
	items := l.s.inbox.take(l.spare)
	l.now()
	for i := range items {
		l.handle(&items[i])
		items[i] = item{}
		if i%64 == 63 {
			l.offer()
		}
	}
	if l.spare = items; cap(items) > 4096 {
		l.spare = nil
	}
}

// offer gives the current batch away unless the syncer is at one: then it grows until the syncer is idle. A batch
// without records goes out at once, as everything before it has.
func (l *loop) offer() {
	y := &l.s.syncer
	if l.cur.empty() || y.busy.Load() {
		return
	}
	b := l.cur
	b.seal()
	l.cur = &batch{}
	if len(b.records) == 0 && b.snap == nil {
		y.deliver(b)
		l.cur.conns, l.cur.outs = b.conns[:0], b.outs[:0]
		return
	}
	y.busy.Store(true)
	y.batches <- b // has room: the syncer is idle
}

// settle waits until the syncer has nothing to do. It returns false if it failed.
func (l *loop) settle() bool {
	for l.s.syncer.busy.Load() {
		select {
		case <-l.s.syncer.idle:
		case err := <-l.s.syncer.full:
			l.diskFull(err)
		case <-l.s.failed:
			return false
		}
	}
	return true
}

// finish ends in good order: what was received is answered, what was answered is in a snapshot.
func (l *loop) finish() {
	l.drain()
	if !l.settle() {
		return
	}
	l.offer()
	if !l.settle() {
		return
	}
	l.s.snapshots.Wait()
	if l.logTxns > 0 && !l.full {
		l.takeSnapshot()
		l.offer()
		l.settle()
	}
}

// maybeSnapshot starts a snapshot once the log has grown enough, also in relation to the tree.
func (l *loop) maybeSnapshot() {
	o := &l.s.opts
	grown := l.logBytes >= max(o.SnapshotBytes, l.snapSize/2) || l.logTxns >= max(o.SnapshotTransactions, l.m.tree.nodes/2)
	if grown && !l.full && l.cur.snap == nil && !l.s.syncer.snapshotting.Load() {
		l.takeSnapshot()
	}
}

// takeSnapshot encodes the tree here, between two transactions; files are written elsewhere.
func (l *loop) takeSnapshot() {
	l.s.syncer.snapshotting.Store(true)
	content := l.m.encodeSnapshot(l.id)
	l.cur.snap = &snapshotJob{zxid: l.m.zxid, at: len(l.cur.records), content: content}
	l.logBytes, l.logTxns, l.snapSize = 0, 0, int64(len(content))
	l.offer()
}

// send appends output for a connection to the current batch.
func (l *loop) send(c *conn, size int) {
	c.unsent.Add(int64(size))
	l.s.unsent.Add(int64(size))
	l.mark(c)
}

// mark makes the current batch hand over the connection's output.
func (l *loop) mark(c *conn) {
	if !c.loop.dirty {
		c.loop.dirty = true
		l.cur.conns = append(l.cur.conns, c)
	}
}

func (b *batch) empty() bool { return len(b.records) == 0 && len(b.conns) == 0 && b.snap == nil }

// seal moves the outputs from the connections into the batch.
func (b *batch) seal() {
	for _, c := range b.conns {
		st := &c.loop
		b.outs = append(b.outs, output{conn: c, b: st.pend, last: st.last, cost: st.cost})
		st.pend, st.last, st.cost, st.dirty = nil, false, 0, false
	}
	clear(b.conns)
	b.conns = b.conns[:0]
}
