package replication

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/config"
	"gokafka/logstore"
	"gokafka/metadata"
)

// NoEpoch stands where a request carries no leader epoch.
const NoEpoch int32 = -1

// Partition is one partition that this broker has a replica of.
type Partition struct {
	tp      metadata.TopicPartition
	m       *Manager
	logger  *slog.Logger
	offline bool // its log directory failed; guarded by leadership
	cfg     atomic.Pointer[config.Topic]

	subscribers subscribers

	// leadership guards what follows. Appends and reads hold it shared: the role cannot change under them.
	leadership sync.RWMutex
	log        *logstore.Log // nil before the first LeaderAndIsr
	state      metadata.PartitionState
	isLeader   bool
	replicas   []int32
	adding     []int32
	removing   []int32
	epochStart int64 // log end offset when this broker became leader in this epoch
	followers  map[int32]*follower
}

// follower is what a leader knows of another replica.
type follower struct {
	mu           sync.Mutex
	logEnd       int64 // -1 unknown
	logStart     int64
	lastCaughtUp time.Duration // monotonic
	lastFetch    time.Duration
	leaderEndAt  int64 // the leader's log end at the last fetch
}

func newPartition(m *Manager, tp metadata.TopicPartition) *Partition {
	p := &Partition{tp: tp, m: m, logger: m.logger.With("topic", tp.Topic, "partition", tp.Partition),
		state: metadata.PartitionState{Leader: metadata.NoLeader, LeaderEpoch: -1, PartitionEpoch: -1, ControllerEpoch: -1}}
	p.cfg.Store(m.topicConfig(tp.Topic))
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

// advanceHighWatermark moves the leader's high watermark to what the whole ISR has, and says whether it moved. Called with leadership held, shared.
// It does not move while the ISR is smaller than the effective min.insync.replicas (Kafka 3.9 Partition.maybeIncrementLeaderHW).
func (p *Partition) advanceHighWatermark() bool {
	if len(p.state.ISR) < p.minISR() {
		return false
	}
	hw := p.log.LogEndOffset()
	for _, id := range p.state.ISR {
		if f := p.followers[id]; f != nil {
			f.mu.Lock()
			hw = min(hw, f.logEnd)
			f.mu.Unlock()
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

// assign takes over assignment and ISR of a LeaderAndIsr. Called with leadership held exclusively.
func (p *Partition) assign(s *LeaderAndISRPartition, isLeader bool) {
	p.replicas, p.adding, p.removing = slices.Clone(s.Replicas), slices.Clone(s.Adding), slices.Clone(s.Removing)
	p.state = s.State
	p.state.ISR = slices.Clone(s.State.ISR)
	p.state.Recovery = metadata.Recovered
	p.isLeader = isLeader
	if !isLeader {
		p.state.ISR = nil
		p.followers = nil
		return
	}
	old := p.followers
	p.followers = make(map[int32]*follower, len(p.replicas))
	for _, id := range p.replicas {
		if id == p.m.brokerID {
			continue
		}
		if f := old[id]; f != nil {
			p.followers[id] = f
		} else {
			p.followers[id] = &follower{logEnd: -1, logStart: -1}
		}
	}
}

// becomeLeader applies a LeaderAndIsr that names this broker. log has been created. Kafka 3.9 Partition.makeLeader.
func (p *Partition) becomeLeader(s *LeaderAndISRPartition, log *logstore.Log) error {
	p.leadership.Lock()
	if s.State.PartitionEpoch < p.state.PartitionEpoch {
		p.leadership.Unlock()
		return nil // this leader knows a newer state already, by the answer to an AlterPartition
	}
	newEpoch := s.State.LeaderEpoch > p.state.LeaderEpoch
	wasLeader := p.isLeader
	start := log.LogEndOffset()
	if newEpoch {
		// The epoch's start is noted even if nothing is ever written in it: followers with records of later epochs than this log's
		// last must be told where to truncate.
		// It is made durable for all partitions of a request together, before the answer.
		if err := log.StageEpochStart(s.State.LeaderEpoch, start); err != nil {
			p.leadership.Unlock()
			return err
		}
	}
	p.log = log
	p.assign(s, true)
	if newEpoch {
		p.epochStart = start
		now := p.m.clk.Mono()
		for id, f := range p.followers {
			f.mu.Lock()
			if !wasLeader {
				f.logEnd, f.logStart = -1, -1
			}
			f.lastFetch, f.leaderEndAt = 0, start
			if f.lastCaughtUp = 0; slices.Contains(p.state.ISR, id) {
				f.lastCaughtUp = now
			}
			f.mu.Unlock()
		}
	}
	moved := p.advanceHighWatermark()
	p.logger.Info("Leader starts", "leaderEpoch", s.State.LeaderEpoch, "offset", start, "partitionEpoch", s.State.PartitionEpoch,
		"highWatermark", log.HighWatermark(), "isr", p.state.ISR)
	p.leadership.Unlock()
	if moved {
		p.changed()
	}
	return nil
}

// becomeFollower applies a LeaderAndIsr that names another broker. Kafka 3.9 Partition.makeFollower.
func (p *Partition) becomeFollower(s *LeaderAndISRPartition, log *logstore.Log) {
	p.leadership.Lock()
	if s.State.PartitionEpoch < p.state.PartitionEpoch {
		p.leadership.Unlock()
		return
	}
	p.log = log
	p.assign(s, false)
	p.logger.Info("Follower starts", "leaderEpoch", s.State.LeaderEpoch, "offset", log.LogEndOffset(), "leader", s.State.Leader)
	p.leadership.Unlock()
	p.roleChanged()
}

// close takes the role and the log away: requests are answered NOT_LEADER_OR_FOLLOWER from now on.
func (p *Partition) close() {
	p.leadership.Lock()
	p.isLeader, p.log, p.followers = false, nil, nil
	p.leadership.Unlock()
	p.roleChanged()
}

// changed tells waiting requests that the high watermark moved. Called without locks.
func (p *Partition) changed() {
	p.subscribers.notify()
	p.m.produce.Check(p.tp)
}

// roleChanged makes waiting requests look again: they will find that this broker is not what they need.
func (p *Partition) roleChanged() { p.changed() }

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
