package embedded

import (
	"errors"
	"sync/atomic"
)

// batch is what the loop made since the last hand-over: records to be made durable, then outputs to be sent.
type batch struct {
	records []byte // framed
	conns   []*conn
	outs    []output
	snap    *snapshotJob
}

// output is what one connection gets of a batch.
type output struct {
	conn *conn
	b    []byte
	last bool
	cost int64 // requests answered, to be released
}

// snapshotJob asks for a new log from zxid + 1 on, and for content to be written as the snapshot of zxid.
type snapshotJob struct {
	zxid    int64
	at      int // length of the batch's records up to zxid: the rest goes to the new log
	content []byte
	started bool // the snapshot writer has it
}

// syncer makes batches durable one after another. While it is at one, the loop gathers the next: group commit.
type syncer struct {
	s       *Server
	store   *store
	batches chan *batch   // capacity 1; at most one batch is out of the loop's hands
	busy    atomic.Bool   // set by the loop at hand-over, cleared when the outputs are delivered
	idle    chan struct{} // capacity 1: busy was cleared
	since   atomic.Int64  // monotonic ns since when it is at the disk; 0: it is not
	full    chan error    // capacity 1: the disk is full, the batch was dropped; the loop clears busy
	done    chan struct{}

	snapshotting atomic.Bool
}

func (y *syncer) run() {
	defer close(y.done)
	for b := range y.batches {
		err := y.persist(b)
		switch {
		case err == nil:
			y.deliver(b)
			y.busy.Store(false)
			select {
			case y.idle <- struct{}{}:
			default:
			}
		case errors.Is(err, errDiskFull):
			y.drop(b)
			y.full <- err
		default:
			y.s.fail(err) // the loop ends: this was the last batch
			y.drop(b)
		}
	}
}

// persist makes the batch durable and starts its snapshot.
func (y *syncer) persist(b *batch) error {
	y.since.Store(max(1, int64(y.s.clock.Mono())))
	defer y.since.Store(0)
	if b.snap == nil {
		return y.store.log.append(b.records)
	}
	if err := y.store.log.append(b.records[:b.snap.at]); err != nil {
		return err
	}
	if _, err := y.store.roll(b.snap.zxid + 1); err != nil {
		return err
	}
	y.startSnapshot(b.snap)
	return y.store.log.append(b.records[b.snap.at:])
}

// startSnapshot writes a snapshot whose transactions are durable in the log.
func (y *syncer) startSnapshot(job *snapshotJob) {
	job.started = true
	y.s.snapshots.Add(1)
	go func(st *store, job *snapshotJob) {
		defer y.s.snapshots.Done()
		defer y.snapshotting.Store(false)
		if err := writeSnapshot(st.fs, st.dir, job.zxid, job.content); err != nil {
			y.s.logger.Warn("coordination: snapshot failed, the log goes on", "err", err)
		} else if err := st.clean(); err != nil {
			y.s.logger.Warn("coordination: old files could not be removed", "err", err)
		}
	}(y.store, job)
}

func (y *syncer) deliver(b *batch) {
	var cost int64
	for i := range b.outs {
		o := &b.outs[i]
		o.conn.flow.release(o.cost)
		cost += o.cost
		if len(o.b) > 0 || o.last {
			o.conn.push(o.b, o.last)
		}
	}
	if cost > 0 {
		y.s.flow.release(cost)
	}
}

// drop gives back what the batch holds without sending anything.
func (y *syncer) drop(b *batch) {
	for i := range b.outs {
		o := &b.outs[i]
		o.conn.flow.release(o.cost)
		y.s.flow.release(o.cost)
		o.conn.sent(len(o.b))
	}
	if b.snap != nil && !b.snap.started {
		y.snapshotting.Store(false)
	}
}
