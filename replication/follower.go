package replication

import (
	"math"
	"sync"
	"time"
)

// never is a moment before the broker's start: the monotonic clock begins at 0.
const never = time.Duration(math.MinInt64 / 2)

// follower is what a leader knows of another replica, from its fetches (Kafka 3.9 Replica).
type follower struct {
	id int32

	mu       sync.Mutex // guards what follows
	logEnd   int64      // everything below is on the follower; -1 unknown
	logStart int64      // -1 unknown
	// leaderEnd is the leader's log end at the last fetch, lastFetch the time of that.
	leaderEnd int64
	lastFetch time.Duration
	// lastCaughtUp is the newest time at which the follower is known to have had all that the leader had, see caughtUpAt.
	lastCaughtUp time.Duration
	// session is where the follower's fetch session watches the partition. While nothing is new, its fetches do not touch the partition, but
	// each of them says that the follower has all that there is.
	session *Subscription
}

func newFollower(id int32) *follower {
	return &follower{id: id, logEnd: -1, logStart: -1, leaderEnd: -1, lastFetch: never, lastCaughtUp: never}
}

// fetched notes a fetch from offset on that came at at, when the leader's log ended at leaderEnd. It says whether the follower's log end
// and start changed.
// A follower whose fetches always come a moment after an append is in sync nevertheless: having what the leader had at its previous
// fetch, it was caught up then (Kafka 3.9 Replica.updateFetchStateOrThrow).
func (f *follower) fetched(offset, logStart, leaderEnd int64, at time.Duration, session *Subscription) (moved, startMoved bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.lastCaughtUp = f.caughtUpAt()
	switch {
	case offset >= leaderEnd:
		f.lastCaughtUp = max(f.lastCaughtUp, at)
	case offset >= f.leaderEnd:
		f.lastCaughtUp = max(f.lastCaughtUp, f.lastFetch)
	}
	moved, startMoved = offset != f.logEnd, logStart != f.logStart
	f.logEnd, f.logStart = offset, logStart
	f.leaderEnd = max(f.leaderEnd, leaderEnd)
	f.lastFetch, f.session = at, session
	return moved, startMoved
}

// told says whether a fetch was noted before: one that waits for records reads its partitions more than once.
func (f *follower) told(offset int64, at time.Duration) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lastFetch == at && f.logEnd == offset
}

// caughtUpAt is lastCaughtUp with what the session tells. Called with mu held.
func (f *follower) caughtUpAt() time.Duration {
	if f.session == nil || f.logEnd < f.leaderEnd {
		return f.lastCaughtUp
	}
	return max(f.lastCaughtUp, f.session.lastLook())
}

// isCaughtUp says whether the follower has all of a log that ends at leaderEnd, or had not longer than lag ago (Kafka 3.9 ReplicaState.isCaughtUp).
func (f *follower) isCaughtUp(leaderEnd int64, now, lag time.Duration) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.logEnd == leaderEnd || now-f.caughtUpAt() <= lag
}

// ends are the follower's log start and end.
func (f *follower) ends() (start, end int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.logStart, f.logEnd
}

// reset begins a leader epoch in which the leader's log starts at leaderEnd. Members of the ISR have the whole lag time to show up; others must not
// hold the high watermark back. A leader that stays leader knows the log ends still (Kafka 3.9 Replica.resetReplicaState).
func (f *follower) reset(now time.Duration, leaderEnd int64, stays, inISR bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.session = nil
	if f.lastCaughtUp = never; inISR {
		f.lastCaughtUp = now
	}
	if !stays {
		f.logEnd, f.logStart, f.leaderEnd, f.lastFetch = -1, -1, -1, never
		return
	}
	f.leaderEnd = leaderEnd
	if f.lastFetch = never; inISR {
		f.lastFetch = now
	}
}

// lastSeen is when the follower was last known to have had all of the log.
func (f *follower) lastSeen() time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.caughtUpAt()
}
