package replication

import (
	"slices"
	"strconv"
	"strings"

	"gokafka/config"
	"gokafka/metadata"
)

// throttles says whether this broker's replica of a partition counts for the replication quotas (KIP-73).
type throttles struct{ asLeader, asFollower bool }

// setThrottles stores the topic's settings, and what they say of throttling.
func (p *Partition) setThrottles(c *config.Topic) {
	t := &throttles{p.isNamed(c.LeaderThrottledReplicas), p.isNamed(c.FollowerThrottledReplicas)}
	p.throttles.Store(t)
	p.cfg.Store(c)
}

// isNamed says whether a list of partition:broker has this replica; * is all of them (Kafka 3.9 TopicConfigHandler.parseThrottledPartitions).
func (p *Partition) isNamed(list []string) bool {
	if len(list) == 0 {
		return false
	}
	own := strconv.Itoa(int(p.tp.Partition)) + ":" + strconv.Itoa(int(p.m.brokerID))
	return slices.ContainsFunc(list, func(s string) bool { s = strings.TrimSpace(s); return s == "*" || s == own })
}

func (p *Partition) followerThrottled() bool { return p.throttles.Load().asFollower }

// throttlesFollower says whether a follower gets nothing now: the partition is throttled, the quota is used up, and the follower is not in sync; one that is
// would fall out of the ISR and in again. Called with leadership held. Kafka 3.9 ReplicaManager.shouldLeaderThrottle.
func (p *Partition) throttlesFollower(id int32) bool {
	return p.throttles.Load().asLeader && !slices.Contains(p.state.ISR, id) && p.m.o.LeaderQuota.Exceeded()
}

// SentToFollower counts bytes that a follower is sent.
func (m *Manager) SentToFollower(tp metadata.TopicPartition, bytes int) {
	if p := m.Partition(tp); p != nil && p.throttles.Load().asLeader {
		m.o.LeaderQuota.Record(int64(bytes))
	}
}
