// Package metadata is the immutable picture of the cluster that every broker keeps: brokers, topics, partition states, epochs.
//
// An Image never changes once published; a change makes a new one that shares what stayed the same. The broker's picture is
// fed by UpdateMetadata requests of the controller alone (Kafka 3.9 ZkMetadataCache), never by reading ZooKeeper.
package metadata

import (
	"crypto/rand"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
)

// TopicPartition names a partition.
type TopicPartition struct {
	Topic     string
	Partition int32
}

// String is "topic-partition", the name of the partition's directory.
func (tp TopicPartition) String() string { return tp.Topic + "-" + strconv.Itoa(int(tp.Partition)) }

// TopicID is a topic's unique id (KIP-516). The zero value means "none".
type TopicID [16]byte

// String is URL-safe base64 without padding, Kafka's text form.
func (id TopicID) String() string { return base64.RawURLEncoding.EncodeToString(id[:]) }

// IsZero says whether there is no id.
func (id TopicID) IsZero() bool { return id == TopicID{} }

// ParseTopicID reads the text form.
func ParseTopicID(s string) (TopicID, error) {
	var id TopicID
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return TopicID{}, fmt.Errorf("topic id %q is not 22 characters of URL-safe base64", s)
	}
	copy(id[:], b)
	return id, nil
}

// NewTopicID makes a random version 4 UUID that is not reserved and whose text does not begin with "-"
// (Kafka 3.9 Uuid.randomUuid).
func NewTopicID() TopicID {
	for {
		var id TopicID
		rand.Read(id[:])
		id[6] = id[6]&0x0f | 0x40
		id[8] = id[8]&0x3f | 0x80
		if id.String()[0] != '-' {
			return id
		}
	}
}

// NoLeader and LeaderDuringDelete are the leaders of partitions without one; the latter is seen on the wire only.
const (
	NoLeader           int32 = -1
	LeaderDuringDelete int32 = -2
)

// SecurityProtocol is the protocol of an endpoint, by its number on the wire.
type SecurityProtocol int16

// The security protocols.
const (
	Plaintext     SecurityProtocol = 0
	SSL           SecurityProtocol = 1
	SASLPlaintext SecurityProtocol = 2
	SASLSSL       SecurityProtocol = 3
)

var securityProtocols = [...]string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}

// String is the name as in listener.security.protocol.map.
func (p SecurityProtocol) String() string {
	if int(p) < 0 || int(p) >= len(securityProtocols) {
		return "UNKNOWN(" + strconv.Itoa(int(p)) + ")"
	}
	return securityProtocols[p]
}

// ParseSecurityProtocol reads a name, upper case.
func ParseSecurityProtocol(s string) (SecurityProtocol, error) {
	if i := slices.Index(securityProtocols[:], s); i >= 0 {
		return SecurityProtocol(i), nil
	}
	return 0, fmt.Errorf("unknown security protocol %q", s)
}

// Endpoint is an advertised listener.
type Endpoint struct {
	Listener string // listener name, upper case
	Protocol SecurityProtocol
	Host     string
	Port     int32
}

// Broker is a registered broker.
type Broker struct {
	ID        int32
	Epoch     int64 // broker epoch: czxid of the registration; -1 where it is not known (UpdateMetadata does not carry it)
	Endpoints []Endpoint
	Rack      string // empty = none
}

// Endpoint returns the endpoint of the listener.
func (b *Broker) Endpoint(listener string) (Endpoint, bool) {
	for _, e := range b.Endpoints {
		if e.Listener == listener {
			return e, true
		}
	}
	return Endpoint{}, false
}

// RecoveryState of a leader: Recovering after an unclean election until its first AlterPartition (KIP-704).
type RecoveryState int8

// The recovery states, as in leader_recovery_state.
const (
	Recovered  RecoveryState = 0
	Recovering RecoveryState = 1
)

// PartitionState is leadership and ISR of a partition, as in its state znode.
type PartitionState struct {
	ControllerEpoch int32 // epoch of the controller that wrote it last
	Leader          int32 // broker id, NoLeader or LeaderDuringDelete
	LeaderEpoch     int32
	ISR             []int32
	PartitionEpoch  int32 // version of the state znode
	Recovery        RecoveryState
}

// Partition is what a broker knows of a partition.
type Partition struct {
	Index int32 // its number in the topic
	PartitionState
	Replicas        []int32 // assignment; the first is the preferred replica
	OfflineReplicas []int32
}
