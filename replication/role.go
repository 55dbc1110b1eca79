package replication

import (
	"slices"

	"gokafka/config"
	"gokafka/logstore"
	"gokafka/metadata"
)

// assign takes over assignment and ISR of a LeaderAndIsr. Called with leadership held exclusively.
func (p *Partition) assign(s *LeaderAndISRPartition, isLeader bool) {
	p.replicas, p.adding, p.removing = slices.Clone(s.Replicas), slices.Clone(s.Adding), slices.Clone(s.Removing)
	p.state = s.State
	p.state.ISR = slices.Clone(s.State.ISR)
	p.pending = nil
	p.isLeader = isLeader
	p.brokerEpoch = p.m.o.BrokerEpoch()
	if !isLeader {
		p.state.ISR = nil
		p.followers = nil
		return
	}
	p.state.Recovery = metadata.Recovered
	old := p.followers
	p.followers = nil
	for _, id := range p.replicas {
		if id == p.m.brokerID {
			continue
		}
		i := slices.IndexFunc(old, func(f *follower) bool { return f.id == id })
		if i >= 0 {
			p.followers = append(p.followers, old[i])
		} else {
			p.followers = append(p.followers, newFollower(id))
		}
	}
}

// becomeLeader applies a LeaderAndIsr that names this broker, and says whether it did not lead before. log has been created. Kafka 3.9 Partition.makeLeader.
func (p *Partition) becomeLeader(s *LeaderAndISRPartition, log *logstore.Log) (newly bool, err error) {
	p.leadership.Lock()
	if s.State.PartitionEpoch < p.state.PartitionEpoch {
		p.leadership.Unlock()
		return false, nil // this leader knows a newer state already, by the answer to an AlterPartition
	}
	stays := p.isLeader
	start := log.LogEndOffset()
	// The epoch's start is noted even if nothing is ever written in it: followers with records of later epochs than this log's last
	// must be told where to truncate. It is made durable for all partitions of a request together, before the answer.
	if err := log.StageEpochStart(s.State.LeaderEpoch, start); err != nil {
		p.leadership.Unlock()
		return false, err
	}
	p.log = log
	p.assign(s, true)
	if !stays {
		p.tenure++
	}
	p.epochStart = start
	now := p.m.clk.Mono()
	for _, f := range p.followers {
		f.reset(now, start, stays, slices.Contains(p.state.ISR, f.id))
	}
	p.advanceHighWatermark()
	p.logger.Info("Leader starts", "leaderEpoch", s.State.LeaderEpoch, "offset", start, "partitionEpoch", s.State.PartitionEpoch,
		"highWatermark", log.HighWatermark(), "isr", p.state.ISR)
	p.leadership.Unlock()
	p.changed() // not only for the high watermark: waiting fetches that name the epoch of before have to be answered
	return !stays, nil
}

// becomeFollower applies a LeaderAndIsr that names another broker, and says whether it was newer than what is known. Kafka 3.9 Partition.makeFollower.
func (p *Partition) becomeFollower(s *LeaderAndISRPartition, log *logstore.Log) bool {
	p.leadership.Lock()
	defer p.leadership.Unlock()
	if s.State.PartitionEpoch < p.state.PartitionEpoch {
		return false
	}
	p.log = log
	p.assign(s, false)
	p.logger.Info("Follower starts", "leaderEpoch", s.State.LeaderEpoch, "offset", log.LogEndOffset(), "leader", s.State.Leader)
	return true
}

// keepLog gives a partition whose leader is not alive its log, and nothing else: role and leader epoch stay.
func (p *Partition) keepLog(log *logstore.Log) {
	p.leadership.Lock()
	defer p.leadership.Unlock()
	if p.log == nil {
		p.log = log
	}
}

// close takes the role and the log away: requests are answered NOT_LEADER_OR_FOLLOWER from now on, or what deleted partitions are.
func (p *Partition) close(deleted bool) {
	p.leadership.Lock()
	p.isLeader, p.log, p.future, p.followers, p.pending, p.deleted = false, nil, nil, nil, nil, deleted
	p.leadership.Unlock()
	p.changed()
}

// fail takes the partition offline: its log directory failed.
func (p *Partition) fail() {
	p.leadership.Lock()
	p.offline, p.isLeader, p.log, p.future, p.followers, p.pending = true, false, nil, nil, nil, nil
	p.leadership.Unlock()
	p.changed()
}

// setConfig gives the partition new settings of its topic.
func (p *Partition) setConfig(c *config.Topic) {
	p.cfgMu.Lock()
	defer p.cfgMu.Unlock()
	p.cfgVersion++
	p.storeConfig(c)
}

// refreshConfig reads the settings again, unless they are changed meanwhile: then the newer ones are there.
func (p *Partition) refreshConfig(log *logstore.Log) {
	p.cfgMu.Lock()
	version := p.cfgVersion
	p.cfgMu.Unlock()
	c := p.m.topicConfig(p.tp.Topic)
	p.cfgMu.Lock()
	defer p.cfgMu.Unlock()
	if p.cfgVersion == version {
		p.storeConfig(c)
	}
	log.SetConfig(p.cfg.Load())
}

// storeConfig is called with cfgMu held.
func (p *Partition) storeConfig(c *config.Topic) {
	p.setThrottles(c)
	p.leadership.RLock()
	log, future := p.log, p.future
	p.leadership.RUnlock()
	if log != nil {
		log.SetConfig(c)
	}
	if future != nil {
		future.SetConfig(c)
	}
}
