package replication

import (
	"bytes"
	"cmp"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/metadata"
)

// Versions of requests to leaders: those of inter.broker.protocol.version 3.9. Partitions without a topic id make it the lower.
const (
	fetchVersion       int16 = 17
	fetchByNameVersion int16 = 12
	listOffsetsVersion int16 = 9
)

// fetchPart is a partition in a request.
type fetchPart struct {
	key fetchKey
	tp  metadata.TopicPartition
	pos fetchPosition
	ord int64
}

// buildFetch makes the next request, nil if there is nothing to ask. An incremental request names only what differs from what the leader
// knows (Kafka 3.9 RemoteLeaderEndPoint.buildFetch, FetchSessionHandler).
func (f *fetcher) buildFetch() *kmsg.FetchRequest {
	f.mu.Lock()
	defer f.mu.Unlock()
	if byID := f.nameless == 0; byID != f.session.byID {
		f.session.byID = byID
		f.session.restart() // one session is by ids or by names
	}
	if f.session.isFull() {
		clear(f.session.members)
		for k := range f.keys {
			f.dirty[k] = struct{}{}
		}
	}
	held := f.holdBack()
	var send []fetchPart
	var forget, again []fetchKey
	for k := range f.dirty {
		told, isMember := f.session.members[k]
		s := f.keys[k]
		if s == nil || !s.ready() || held && s.throttled() {
			if isMember {
				forget = append(forget, k)
				delete(f.session.members, k)
			}
			continue
		}
		if isMember && told.s != s {
			// Taken out and in again: an answer for the state of before was dropped, or will be, and the leader does not repeat a high watermark that it
			// believes told. So it forgets the partition first.
			forget, again = append(forget, k), append(again, k)
			delete(f.session.members, k)
			continue
		}
		pos := s.position()
		f.session.members[k] = member{pos, s}
		if !isMember || pos != told.pos {
			send = append(send, fetchPart{k, s.tp, pos, s.order})
		}
	}
	clear(f.dirty)
	for _, k := range again {
		f.dirty[k] = struct{}{}
	}
	if len(f.session.members) == 0 && len(forget) == 0 {
		return nil
	}
	slices.SortFunc(send, func(a, b fetchPart) int { return cmp.Compare(a.ord, b.ord) })
	q := f.request(send, forget)
	if len(again) > 0 {
		q.MaxWaitMillis = 0
	}
	return q
}

// holdBack says whether throttled partitions are not to be fetched now, and has buildFetch look at them when that changes. Called with mu held.
// Kafka 3.9 RemoteLeaderEndPoint.shouldFollowerThrottle.
func (f *fetcher) holdBack() bool {
	held := f.m.o.FollowerQuota.Exceeded()
	if held || f.held {
		for k, s := range f.keys {
			if s.throttled() {
				f.dirty[k] = struct{}{}
			}
		}
	}
	f.held = held
	return held
}

// throttled says whether a full quota holds the partition back: one that is in sync is not, or it would fall out of the ISR and in again.
func (s *fetchState) throttled() bool { return !s.inSync && s.p.followerThrottled() }

func (f *fetcher) request(send []fetchPart, forget []fetchKey) *kmsg.FetchRequest {
	o := &f.m.o
	q := kmsg.NewPtrFetchRequest()
	q.Version = fetchVersion
	q.ReplicaID, q.ReplicaState.ID, q.ReplicaState.Epoch = -1, f.m.brokerID, o.BrokerEpoch()
	if !f.session.byID {
		q.Version, q.ReplicaID = fetchByNameVersion, f.m.brokerID
	}
	q.MaxWaitMillis, q.MinBytes, q.MaxBytes = int32(o.FetchWaitMax.Milliseconds()), o.FetchMinBytes, o.FetchResponseMaxBytes
	q.SessionID, q.SessionEpoch = f.session.id, f.session.epoch
	q.Topics = make([]kmsg.FetchRequestTopic, 0, 1)
	for i := range send {
		p := &send[i]
		if n := len(q.Topics); n == 0 || q.Topics[n-1].Topic != p.tp.Topic || q.Topics[n-1].TopicID != p.key.id {
			t := kmsg.NewFetchRequestTopic()
			t.Topic, t.TopicID = p.tp.Topic, p.key.id
			q.Topics = append(q.Topics, t)
		}
		r := kmsg.NewFetchRequestTopicPartition()
		r.Partition, r.CurrentLeaderEpoch, r.FetchOffset, r.LastFetchedEpoch = p.key.partition, p.pos.epoch, p.pos.offset, p.pos.lastFetched
		r.LogStartOffset, r.PartitionMaxBytes = p.pos.logStart, o.FetchMaxBytes
		t := &q.Topics[len(q.Topics)-1]
		t.Partitions = append(t.Partitions, r)
	}
	slices.SortFunc(forget, compareKeys)
	for _, k := range forget {
		if n := len(q.ForgottenTopics); n == 0 || q.ForgottenTopics[n-1].Topic != k.topic || q.ForgottenTopics[n-1].TopicID != k.id {
			t := kmsg.NewFetchRequestForgottenTopic()
			t.Topic, t.TopicID = k.topic, k.id
			q.ForgottenTopics = append(q.ForgottenTopics, t)
		}
		t := &q.ForgottenTopics[len(q.ForgottenTopics)-1]
		t.Partitions = append(t.Partitions, k.partition)
	}
	return q
}

func compareKeys(a, b fetchKey) int {
	return cmp.Or(bytes.Compare(a.id[:], b.id[:]), cmp.Compare(a.topic, b.topic), cmp.Compare(a.partition, b.partition))
}
