package fetch

import (
	"math"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/metadata"
	"gokafka/protocol"
	"gokafka/replication"
)

// Session ids and epochs with a meaning (KIP-227).
const (
	NoSession    int32 = 0
	EpochInitial int32 = 0  // open a session
	EpochFinal   int32 = -1 // no session: close the named one
)

// Part is one partition of a request.
type Part struct {
	Topic            string           // empty when ID is not known here
	ID               metadata.TopicID // zero before version 13
	Partition        int32
	CurrentEpoch     int32 // or replication.NoEpoch
	FetchOffset      int64
	LastFetchedEpoch int32 // or replication.NoEpoch
	LogStartOffset   int64
	MaxBytes         int32
}

// Key identifies a partition in a session: by id from version 13 on, by name before.
type Key struct {
	Topic     string
	ID        metadata.TopicID
	Partition int32
}

func (p *Part) key() Key {
	if p.ID.IsZero() {
		return Key{Topic: p.Topic, Partition: p.Partition}
	}
	return Key{ID: p.ID, Partition: p.Partition}
}

// Request is a Fetch request in the words of this package.
type Request struct {
	Version   int16
	ReplicaID int32 // a follower's broker id, or below 0
	Isolation replication.Isolation
	MaxWait   time.Duration
	MinBytes  int
	MaxBytes  int
	// HardLimit is the rule of versions 0 to 2: not even the first batch may exceed the limits. A part of it counts as read.
	HardLimit    bool
	SessionID    int32
	SessionEpoch int32
	Parts        []Part
	Forgotten    []Key
	// Rack is the consumer's, Listener the one it came in on: where it would find another replica.
	Rack, Listener string
	// Authorize says whether the requester may read the topic; nil error if so.
	Authorize func(topic string) error
	// BeforeWait is called once before the request waits.
	BeforeWait func()
	// Code turns an error into its code on the wire.
	Code func(error) int16

	began   time.Duration // monotonic time of the first read, 0 before
	waiting bool          // it has begun to wait
}

func (q *Request) usesIDs() bool { return q.Version >= 13 }

// dedupe keeps the last of parts with one key, in the place of the first (Apache keeps requested partitions in a map).
func dedupe(parts []Part) []Part {
	if len(parts) < 2 {
		return parts
	}
	at := make(map[Key]int, len(parts))
	out := parts[:0:0]
	for i := range parts {
		k := parts[i].key()
		if j, ok := at[k]; ok {
			out[j] = parts[i]
			continue
		}
		at[k] = len(out)
		out = append(out, parts[i])
	}
	return out
}

// entry is a partition being fetched: of a session, or of one request.
type entry struct {
	Part
	key Key
	sub *replication.Subscription // nil while the partition is not here, or nobody waits
	// What the last answer said; a session tells only of changes.
	highWatermark  int64
	logStartOffset int64

	active bool // in the session's list of partitions to look at
	gone   bool // no longer of its session

	// Of the current request:
	read      bool // result is there
	result    protocol.FetchResult
	erroneous bool // result is an error of the checks that come before the read, which is no reason to answer at once
	answerNow bool // result is a reason to answer at once
	more      bool // there is more to tell than the result could hold, or the same will have to be told again
	part      int  // with HardLimit: bytes of the first batch that fit, when it does not
	readable  int  // bytes that could be read without the request's limit, -1 not known
}

func newEntry(p Part) *entry {
	return &entry{Part: p, key: p.key(), highWatermark: -2, logStartOffset: -2}
}

func (e *entry) release() {
	if e.result.Records != nil {
		e.result.Records.Release()
		e.result.Records = nil
	}
}

func (e *entry) bytes() int {
	if e.result.Records == nil {
		return e.part
	}
	return e.result.Records.Len()
}

func (e *entry) fail(q *Request, err error) {
	e.result = protocol.NewFetchResult(e.Topic, e.ID, e.Partition)
	e.result.ErrorCode = q.Code(err)
	e.more = true
}

// budget is what a request may still read.
type budget struct {
	bytes    int
	minBatch bool // nothing was read yet: the first batch comes whatever its size (KIP-74)
}

// readEntry reads one partition. Called with the entry owned by the caller.
func (m *Manager) readEntry(q *Request, im *metadata.Image, e *entry, b *budget) {
	e.release()
	e.read, e.erroneous, e.answerNow, e.more, e.part, e.readable = true, false, false, false, 0, -1
	if e.Topic == "" && !e.ID.IsZero() {
		if t := im.TopicByID(e.ID); t != nil {
			e.Topic = t.Name
		}
	}
	e.result = protocol.NewFetchResult(e.Topic, e.ID, e.Partition)
	tp := metadata.TopicPartition{Topic: e.Topic, Partition: e.Partition}
	if err := m.admit(q, im, tp); err != nil {
		e.fail(q, err)
		e.result.Aborted = []protocol.AbortedTransaction{} // as Apache, whatever the isolation level
		e.erroneous = true
		return
	}
	p, err := m.replicas.Lookup(tp)
	if err == nil && !e.ID.IsZero() {
		err = p.CheckTopicID(e.ID)
	}
	if err != nil {
		m.failRead(q, e, p, err)
		return
	}
	if q.MaxBytes < 0 || e.MaxBytes < 0 {
		m.failRead(q, e, p, kerr.UnknownServerError) // what an illegal size comes to in Apache
		return
	}
	rq := e.readRequest(q, b.bytes, b.minBatch)
	if q.began == 0 {
		q.began = max(m.clk.Mono(), 1)
	}
	if q.ReplicaID < 0 && q.Rack != "" {
		if r, id, ok, err := p.PreferredReplica(&rq, q.Rack, q.Listener); err != nil {
			m.failRead(q, e, p, err)
			return
		} else if ok {
			m.took(q, e, &r, b)
			e.result.PreferredReadReplica = id
			e.answerNow, e.more = true, true
			return
		}
	}
	r, err := p.Read(&rq)
	if err != nil {
		m.failRead(q, e, p, err)
		return
	}
	// A follower outside the ISR is looked at again with each of its fetches, until it is let in.
	outside := q.ReplicaID >= 0 && p.FollowerFetched(&rq, &r, q.began, e.sub)
	m.took(q, e, &r, b)
	e.more = e.more || outside
}

// readRequest is the read of an entry.
func (e *entry) readRequest(q *Request, maxBytes int, minOneBatch bool) replication.ReadRequest {
	return replication.ReadRequest{
		ReplicaID: q.ReplicaID, CurrentEpoch: e.CurrentEpoch, FetchOffset: e.FetchOffset, LastFetchedEpoch: e.LastFetchedEpoch,
		LogStartOffset: e.LogStartOffset, MaxBytes: min(int(e.MaxBytes), maxBytes), MinOneBatch: minOneBatch, Isolation: q.Isolation,
		OnlyLeader: q.ReplicaID >= 0 || q.Version < 11,
	}
}

// couldRead is how many bytes the partition would give if the request had no limit but the partition's own, of the segment that holds the offset.
// The read itself gives whole batches, which may be less than what is there and also less than the limit.
func (m *Manager) couldRead(q *Request, e *entry) int {
	if e.readable >= 0 {
		return e.readable
	}
	e.readable = e.bytes()
	p := m.replicas.Partition(metadata.TopicPartition{Topic: e.Topic, Partition: e.Partition})
	if p == nil || !e.more || e.result.ErrorCode != 0 {
		return e.readable
	}
	rq := e.readRequest(q, 0, !q.HardLimit)
	rq.MaxBytes = math.MaxInt32
	if r, err := p.Read(&rq); err == nil && r.Records != nil {
		e.readable = max(e.readable, min(r.Records.Len(), int(e.MaxBytes)))
		r.Records.Release()
	}
	return e.readable
}

// admit makes the checks that come before the read: a failed one does not end the wait of the other partitions. What vanishes while the request waits is
// for the read to find out, which ends the wait.
func (m *Manager) admit(q *Request, im *metadata.Image, tp metadata.TopicPartition) error {
	unknown := tp.Topic == "" && q.usesIDs()
	if unknown && q.ReplicaID < 0 {
		return kerr.UnknownTopicID
	}
	if err := q.Authorize(tp.Topic); err != nil {
		return err
	}
	switch {
	case unknown:
		return kerr.UnknownTopicID
	case im.Partition(tp) == nil && !q.waiting:
		return kerr.UnknownTopicOrPartition
	}
	return nil
}

// failRead answers a partition that could not be read. All of the request is answered at once then.
func (m *Manager) failRead(q *Request, e *entry, p *replication.Partition, err error) {
	e.fail(q, err)
	e.answerNow = true
	if code := e.result.ErrorCode; q.Version >= 16 && p != nil && (code == kerr.NotLeaderForPartition.Code || code == kerr.FencedLeaderEpoch.Code) {
		e.result.Leader.LeaderID, e.result.Leader.LeaderEpoch = p.LeaderHint()
	}
	if kerr.ErrorForCode(e.result.ErrorCode) == kerr.UnknownServerError {
		m.logger.Error("Error while reading", "topicPartition", metadata.TopicPartition{Topic: e.Topic, Partition: e.Partition}.String(), "error", err)
	}
}

// took stores what was read.
func (m *Manager) took(q *Request, e *entry, r *replication.ReadResult, b *budget) {
	e.result.HighWatermark, e.result.LastStableOffset, e.result.LogStartOffset = r.HighWatermark, r.LastStableOffset, r.LogStartOffset
	if r.Diverged {
		e.result.Diverging = protocol.EpochEndOffset{Epoch: r.DivergingEpoch, EndOffset: r.DivergingOffset}
		e.answerNow, e.more = true, true
		return
	}
	visible := r.HighWatermark
	switch q.Isolation {
	case replication.ReadCommitted:
		visible = r.LastStableOffset
		e.result.Aborted = make([]protocol.AbortedTransaction, 0, len(r.Aborted))
		for _, a := range r.Aborted {
			e.result.Aborted = append(e.result.Aborted, protocol.AbortedTransaction{ProducerID: a.ProducerID, FirstOffset: a.FirstOffset})
		}
	case replication.ReadLogEnd:
		visible = r.LogEndOffset
	}
	e.more = e.FetchOffset < visible
	// One read ends with its segment, so that min bytes may never be reached, however much is there (Kafka 3.9 DelayedFetch, case F).
	e.answerNow = r.OlderSegment
	if q.HardLimit && r.Records == nil && r.FirstBatchBytes > 0 {
		e.part = min(r.FirstBatchBytes, int(e.MaxBytes), b.bytes)
		b.bytes -= e.part
	}
	if r.Records == nil {
		return
	}
	if r.Records.Len() == 0 {
		r.Records.Release()
		return
	}
	e.result.Records, e.more = r.Records, true
	b.minBatch = false
	b.bytes = max(0, b.bytes-r.Records.Len())
}
