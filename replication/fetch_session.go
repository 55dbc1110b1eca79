package replication

import (
	"gokafka/metadata"
)

// Epochs of fetch sessions with a meaning (KIP-227).
const (
	sessionInitial int32 = 0
	noSession      int32 = 0
)

// fetchKey names a partition in Fetch requests: by id where it has one, by name otherwise.
type fetchKey struct {
	topic     string
	id        metadata.TopicID
	partition int32
}

// fetchPosition is what a Fetch request says of one partition.
type fetchPosition struct {
	offset      int64
	logStart    int64
	epoch       int32 // current leader epoch
	lastFetched int32 // epoch, or NoEpoch
}

// fetchSession is the follower's side of an incremental fetch session: what the leader believes that we want (Kafka 3.9 FetchSessionHandler). It belongs to its
// fetcher's goroutine.
type fetchSession struct {
	id    int32
	epoch int32
	byID  bool // of the members
	// members are the partitions of the session, with what was last said of each. In a request with all partitions they are those of the request.
	members map[fetchKey]member
}

// member is a partition of a session: what the leader was last told, and about which state.
type member struct {
	pos fetchPosition
	s   *fetchState
}

// isFull says whether the next request has to name all partitions.
func (s *fetchSession) isFull() bool { return s.epoch == sessionInitial }

// restart makes the next request open a new session and, if there is one, close the one of now.
func (s *fetchSession) restart() { s.epoch = sessionInitial }

// forget makes the next request open a new session; the one of now is gone at the leader.
func (s *fetchSession) forget() { s.id, s.epoch = noSession, sessionInitial }

// next is what the leader expects after an answer with session id granted.
func (s *fetchSession) next(granted int32) {
	switch {
	case granted == noSession:
		s.forget()
	case s.isFull():
		s.id, s.epoch = granted, 1
	case s.epoch == 1<<31-1:
		s.epoch = 1
	default:
		s.epoch++
	}
}
