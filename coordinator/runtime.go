package coordinator

import (
	"context"
	"log/slog"
	"sync"
	"unicode/utf16"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/internal/clock"
	"gokafka/record"
	"gokafka/replication"
)

// Machine is the state of one partition and its rules. All calls come from the partition's goroutine.
type Machine interface {
	// Replay takes a record of the log while it is loaded; a nil value is a tombstone. Key and value are only good during the call. txn is the producer in whose transaction it was written, which a
	// later ReplayMarker decides, or record.NoProducerID.
	Replay(r *record.Record, txn int64) error
	// ReplayMarker takes a marker of the log: the producer's transaction was committed or aborted.
	ReplayMarker(producerID int64, commit bool)
	// Loaded is called when the whole log was replayed.
	Loaded()
	// Unloaded ends what waits: the broker does not lead any more.
	Unloaded()
}

// Options of a Runtime. All are needed.
type Options struct {
	Topic    string
	Replicas *replication.Manager
	Codecs   *record.Codecs
	Clock    *clock.Clock
	Logger   *slog.Logger
	// LoadBytes is how much of the log is read at once.
	LoadBytes int
	// New makes the machine of a partition.
	New func(p *Partition) Machine
}

// Runtime keeps the partitions that this broker leads. Close it.
type Runtime struct {
	o      Options
	ctx    context.Context
	cancel context.CancelFunc
	wg     sync.WaitGroup

	mu         sync.Mutex // a leaf
	partitions map[int32]*Partition
	closed     bool
}

// New makes a runtime without partitions.
func New(o Options) *Runtime {
	r := &Runtime{o: o, partitions: map[int32]*Partition{}}
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r
}

// Close ends all partitions and waits for them.
func (r *Runtime) Close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.wg.Wait()
}

// Led begins to load a partition that this broker has become the leader of, in a leader epoch. It does not block.
func (r *Runtime) Led(partition, epoch int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return
	}
	before := r.partitions[partition]
	if before != nil {
		before.end()
	}
	p := newPartition(r, partition, epoch)
	r.partitions[partition] = p
	r.wg.Go(func() {
		if before != nil {
			<-before.ended // its last answers come before the first of this one
		}
		p.run()
	})
}

// Left gives up a partition that this broker does not lead any more. It does not block.
func (r *Runtime) Left(partition int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.partitions[partition]; p != nil {
		p.end()
		delete(r.partitions, partition)
	}
}

// Do lets f run with the state of a partition, after what was asked before, and does not wait for it. The error says why it does not run: the broker
// does not lead the partition, or is still loading it. f may run never, if the leadership goes: Machine.Unloaded answers what waits, and done is closed then.
func (r *Runtime) Do(partition int32, f func(m Machine)) (done <-chan struct{}, err error) {
	r.mu.Lock()
	p := r.partitions[partition]
	r.mu.Unlock()
	if p == nil {
		return nil, kerr.NotCoordinator
	}
	return p.ended, p.post(func() { f(p.machine) })
}

// Active are the partitions that are loaded; loading says whether others are not yet.
func (r *Runtime) Active() (ids []int32, loading bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, p := range r.partitions {
		if p.isLoaded() {
			ids = append(ids, id)
		} else {
			loading = true
		}
	}
	return ids, loading
}

// PartitionFor is the partition of n that a group or a transactional id is in (Kafka 3.9 GroupMetadataManager.partitionFor).
func PartitionFor(id string, n int32) int32 {
	var h int32
	for _, u := range utf16.Encode([]rune(id)) {
		h = 31*h + int32(u)
	}
	if h < 0 {
		h = -h
	}
	if h < 0 { // the smallest int32: Java's Utils.abs makes 0 of it
		h = 0
	}
	return h % n
}
