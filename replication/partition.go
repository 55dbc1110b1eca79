package replication

import (
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/config"
	"gokafka/logstore"
	"gokafka/metadata"
)

// NoEpoch stands where a request carries no leader epoch.
const NoEpoch int32 = -1

// Partition is one partition that this broker has a replica of.
type Partition struct {
	tp          metadata.TopicPartition
	m           *Manager
	logger      *slog.Logger
	cfg         atomic.Pointer[config.Topic]
	cfgMu       sync.Mutex // guards cfgVersion and the storing of cfg
	cfgVersion  int        // counts the changes of the topic's settings
	throttles   atomic.Pointer[throttles]
	completing  atomic.Bool
	subscribers subscribers

	// leadership guards what follows. Appends and reads hold it shared: the role cannot change under them.
	leadership sync.RWMutex
	offline    bool          // its log directory failed
	deleted    bool          // it is no longer here
	log        *logstore.Log // nil before the first LeaderAndIsr
	future     *logstore.Log // what is being filled in another log directory, to take log's place; nil = nothing
	state      metadata.PartitionState
	isLeader   bool
	// brokerEpoch is the one of this broker when the controller last named its role.
	brokerEpoch int64
	// tenure counts how often this broker became the leader. Within one, its log only grows.
	tenure     int
	replicas   []int32
	adding     []int32
	removing   []int32
	epochStart int64 // log end offset when this broker became leader in this epoch
	followers  []*follower
	pending    *isrChange // what the controller was asked for, or nil
}

func newPartition(m *Manager, tp metadata.TopicPartition) *Partition {
	p := &Partition{tp: tp, m: m, logger: m.logger.With("topic", tp.Topic, "partition", tp.Partition),
		state: metadata.PartitionState{Leader: metadata.NoLeader, LeaderEpoch: -1, PartitionEpoch: -1, ControllerEpoch: -1}}
	p.setThrottles(m.topicConfig(tp.Topic))
	return p
}

// TopicPartition names the partition.
func (p *Partition) TopicPartition() metadata.TopicPartition { return p.tp }

// LeaderHint is the leader that this broker believes in, for clients that came to the wrong one (KIP-951).
func (p *Partition) LeaderHint() (leader, epoch int32) {
	p.leadership.RLock()
	defer p.leadership.RUnlock()
	return p.state.Leader, p.state.LeaderEpoch
}

func (p *Partition) errorf(err error, format string, args ...any) error {
	return fmt.Errorf("%s: %s: %w", p.tp, fmt.Sprintf(format, args...), err)
}

// logFor returns the log for a request that names leader epoch currentEpoch (or NoEpoch). Called with leadership held.
// Kafka 3.9 Partition.checkCurrentLeaderEpoch and getLocalLog.
func (p *Partition) logFor(currentEpoch int32, onlyLeader bool) (*logstore.Log, error) {
	switch {
	case p.offline:
		return nil, p.errorf(kerr.KafkaStorageError, "the log directory is offline")
	case currentEpoch != NoEpoch && currentEpoch < p.state.LeaderEpoch:
		return nil, p.errorf(kerr.FencedLeaderEpoch, "leader epoch %d is older than %d", currentEpoch, p.state.LeaderEpoch)
	case currentEpoch != NoEpoch && currentEpoch > p.state.LeaderEpoch:
		return nil, p.errorf(kerr.UnknownLeaderEpoch, "leader epoch %d is newer than %d", currentEpoch, p.state.LeaderEpoch)
	case p.log == nil || onlyLeader && !p.isLeader:
		return nil, p.errorf(kerr.NotLeaderForPartition, "broker %d is not the leader", p.m.brokerID)
	}
	return p.log, nil
}

// minISR is the effective min.insync.replicas: never more than there are replicas. Called with leadership held.
func (p *Partition) minISR() int {
	return min(int(p.cfg.Load().MinInsyncReplicas), max(len(p.replicas), 1))
}

// advanceHighWatermark moves the leader's high watermark to what the whole maximal ISR has, and says whether it moved. Replicas that are caught up and
// about to join the ISR are waited for too: they would never be in sync with a high watermark that runs ahead of them. It does not move while the ISR
// is smaller than the effective min.insync.replicas. Called with leadership held, shared. Kafka 3.9 Partition.maybeIncrementLeaderHW.
func (p *Partition) advanceHighWatermark() bool {
	if len(p.state.ISR) < p.minISR() {
		return false
	}
	end := p.log.LogEndOffset()
	hw := end
	for _, f := range p.followers {
		if _, fEnd := f.ends(); fEnd < hw && (p.inMaximalISR(f.id) || p.isJoining(f, end)) {
			hw = fEnd
		}
	}
	if hw <= p.log.HighWatermark() {
		return false
	}
	_, rose, err := p.log.MaybeIncrementHighWatermark(logstore.OffsetOnly(hw))
	if err != nil {
		// The log end was read before; only a truncation could bring this, and a leader does not truncate.
		p.logger.Error("High watermark could not be raised", "highWatermark", hw, "error", err)
	}
	return rose
}

// isJoining says whether a replica outside the ISR is likely to be in it soon.
func (p *Partition) isJoining(f *follower, end int64) bool {
	return f.isCaughtUp(end, p.m.clk.Mono(), p.m.o.LagTimeMax) && p.m.cache.Image().Broker(f.id) != nil
}

// changed tells waiting requests that the high watermark, the role or a replica's log start moved. Called without locks.
func (p *Partition) changed() {
	p.subscribers.notify()
	p.m.produce.Check(p.tp)
	p.m.deletes.Check(p.tp)
}

// CheckTopicID says whether the partition is of the topic with this id: a topic may have been deleted and made anew under its name.
func (p *Partition) CheckTopicID(id metadata.TopicID) error {
	p.leadership.RLock()
	log := p.log
	p.leadership.RUnlock()
	if log == nil {
		return nil // reading it tells why
	}
	if own := log.TopicID(); !own.IsZero() && own != id {
		return p.errorf(kerr.InconsistentTopicID, "topic id %s is not %s", id, own)
	}
	return nil
}
