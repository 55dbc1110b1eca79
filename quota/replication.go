package quota

import (
	"math"
	"sync"
	"time"

	"gokafka/internal/clock"
)

// Unlimited is the rate of a quota that limits nothing.
const Unlimited int64 = math.MaxInt64

// Replication limits what is copied between brokers, or between log directories, in bytes a second (KIP-73, KIP-113; Kafka 3.9
// ReplicationQuotaManager): whoever copies asks Exceeded first and records what was copied.
type Replication struct {
	clk     *clock.Clock
	options Windows

	mu    sync.Mutex
	limit int64
	rate  *Rate
}

// Windows is how a rate is measured.
type Windows struct {
	Samples int           // replication.quota.window.num, 11
	Window  time.Duration // replication.quota.window.size.seconds, 1 s
}

// NewReplication makes a quota that limits nothing.
func NewReplication(clk *clock.Clock, w Windows) *Replication {
	return &Replication{clk: clk, options: w, limit: Unlimited, rate: NewRate(w.Samples, w.Window, clk.Mono())}
}

// SetLimit changes the limit, in bytes a second.
func (q *Replication) SetLimit(bytesPerSecond int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.limit = bytesPerSecond
}

// Record counts bytes that were copied.
func (q *Replication) Record(bytes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.rate.Record(float64(bytes), q.clk.Mono())
}

// Exceeded says whether more was copied than is allowed: nothing more is to be copied now.
func (q *Replication) Exceeded() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.limit != Unlimited && q.rate.PerSecond(q.clk.Mono()) > float64(q.limit)
}
