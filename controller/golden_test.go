package controller

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/metadata"
	"gokafka/protocol"
)

// Bodies that an Apache 3.9.1 controller sent (after the request header).
const (
	goldenLeaderAndIsr = `00000003 00 00000008 00000000000002be 00 02 066d69786564 684668d41840472984d4410c35669f85 02 00000000
		00000008 00000064 0000000c 04000000010000000200000064 00000014 040000006400000001 00000002 01 01 00 00 00 00 02
		00000064 0a3132372e302e302e31 00005622 00 00`
	goldenStopReplica    = `00000001 00 00000003 0000000000000151 02 066d69786564 02 00000001 00000000 00 00 00 00`
	goldenUpdateMetadata = `00000003 00 00000008 00000000000002be 02 066d69786564 684668d41840472984d4410c35669f85 03
		00000001 00000008 00000001 0000000a 03 00000003 00000001 00000010 04 00000001 00000064 00000003 01 00
		00000000 00000008 00000001 0000000b 03 00000001 00000002 00000012 04 00000064 00000001 00000002 01 00 00
		05 00000001 03 000055f1 0a3132372e302e302e31 0a504c41494e54455854 0000 00 000055fb 0a3132372e302e302e31 0f5341534c5f504c41494e54455854 0002 00 037231 00
		00000002 03 000055f2 0a3132372e302e302e31 0a504c41494e54455854 0000 00 000055fc 0a3132372e302e302e31 0f5341534c5f504c41494e54455854 0002 00 037232 00
		00000003 03 000055f3 0a3132372e302e302e31 0a504c41494e54455854 0000 00 000055fd 0a3132372e302e302e31 0f5341534c5f504c41494e54455854 0002 00 037233 00
		00000064 02 00005622 0a3132372e302e302e31 0a504c41494e54455854 0000 00 037239 00 00`
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.Join(strings.Fields(s), ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGoldenBodiesRoundTrip(t *testing.T) {
	for _, tc := range []struct {
		golden string
		req    kmsg.Request
	}{
		{goldenLeaderAndIsr, &kmsg.LeaderAndISRRequest{Version: leaderAndIsrVersion}},
		{goldenUpdateMetadata, &kmsg.UpdateMetadataRequest{Version: updateMetadataVersion}},
		{goldenStopReplica, &protocol.StopReplicaRequest{StopReplicaRequest: kmsg.StopReplicaRequest{Version: stopReplicaVersion}}},
	} {
		want := unhex(t, tc.golden)
		if err := tc.req.ReadFrom(want); err != nil {
			t.Errorf("%s: %v", kmsg.NameForKey(tc.req.Key()), err)
		} else if got := tc.req.AppendTo(nil); !bytes.Equal(got, want) {
			t.Errorf("%s re-encoded\n%x, want\n%x", kmsg.NameForKey(tc.req.Key()), got, want)
		}
	}
}

// apacheCluster is the cluster from which the golden bodies came.
func apacheCluster(t *testing.T) *cluster {
	s := newCluster()
	s.epoch = 8
	for i, id := range []int32{1, 2, 3, 100} {
		b := metadata.Broker{ID: id, Epoch: 0x2be, Rack: []string{"r1", "r2", "r3", "r9"}[i]}
		plain := metadata.Endpoint{Listener: "PLAINTEXT", Protocol: metadata.Plaintext, Host: "127.0.0.1", Port: 22000 + id}
		if id == 100 {
			plain.Port = 0x5622
			b.Endpoints = []metadata.Endpoint{plain}
		} else {
			b.Endpoints = []metadata.Endpoint{plain, {Listener: "SASL_PLAINTEXT", Protocol: metadata.SASLPlaintext, Host: "127.0.0.1", Port: 22010 + id}}
		}
		s.brokers[id] = &liveBroker{Broker: b}
	}
	var id metadata.TopicID
	copy(id[:], unhex(t, "684668d41840472984d4410c35669f85"))
	topic := s.addTopic("mixed", id)
	topic.add(0, Assignment{Replicas: []int32{100, 1, 2}})
	topic.add(1, Assignment{Replicas: []int32{1, 100, 3}})
	return s
}

func TestLeaderAndIsrIsByteForByteApaches(t *testing.T) {
	s := apacheCluster(t)
	p := s.topics["mixed"].partitions[0]
	p.info = &metadata.PartitionState{ControllerEpoch: 8, Leader: 100, LeaderEpoch: 12, ISR: []int32{1, 2, 100}, PartitionEpoch: 20}
	b := newBatch(s)
	b.addLeaderAndIsr([]int32{100}, p, false)
	out := b.requests(3, "PLAINTEXT")
	if got, want := out[0].req.AppendTo(nil), unhex(t, goldenLeaderAndIsr); out[0].broker != 100 || !bytes.Equal(got, want) {
		t.Errorf("to %d\n%x, want\n%x", out[0].broker, got, want)
	}
	if len(out) != 5 { // and UpdateMetadata to all four
		t.Errorf("%d requests", len(out))
	}
}

func TestUpdateMetadataIsByteForByteApaches(t *testing.T) {
	s := apacheCluster(t)
	ps := s.topics["mixed"].partitions
	ps[1].info = &metadata.PartitionState{ControllerEpoch: 8, Leader: 1, LeaderEpoch: 10, ISR: []int32{3, 1}, PartitionEpoch: 16}
	ps[0].info = &metadata.PartitionState{ControllerEpoch: 8, Leader: 1, LeaderEpoch: 11, ISR: []int32{1, 2}, PartitionEpoch: 18}
	b := newBatch(s)
	b.addUpdateMetadata([]int32{100}, ps[0], ps[1])
	req := b.requests(3, "PLAINTEXT")[0].req.(*kmsg.UpdateMetadataRequest)
	states := req.TopicStates[0].PartitionStates
	states[0], states[1] = states[1], states[0] // Apache's order is that of a hash map
	if got, want := req.AppendTo(nil), unhex(t, goldenUpdateMetadata); !bytes.Equal(got, want) {
		t.Errorf("\n%x, want\n%x", got, want)
	}
}

func TestStopReplicaIsByteForByteApaches(t *testing.T) {
	s := apacheCluster(t)
	s.epoch = 3
	s.brokers[100].Epoch = 0x151
	p := s.topics["mixed"].partitions[1]
	p.info = &metadata.PartitionState{Leader: 1, LeaderEpoch: 0}
	b := newBatch(s)
	b.addStopReplica(100, p, false)
	if got, want := b.requests(1, "PLAINTEXT")[0].req.AppendTo(nil), unhex(t, goldenStopReplica); !bytes.Equal(got, want) {
		t.Errorf("\n%x, want\n%x", got, want)
	}
}

func TestBatchOrderAndStickyFlags(t *testing.T) {
	s := apacheCluster(t)
	p := s.topics["mixed"].partitions[0]
	p.info = &metadata.PartitionState{Leader: 100, LeaderEpoch: 3, ISR: []int32{100, 1}}
	b := newBatch(s)
	b.addStopReplica(2, p, true)
	b.addStopReplica(2, p, false) // delete stays
	b.addLeaderAndIsr([]int32{2, 55}, p, true)
	b.addLeaderAndIsr([]int32{2}, p, false) // isNew stays; 55 is not registered
	var keys []int16
	for _, o := range b.requests(3, "PLAINTEXT") {
		if o.broker == 55 {
			t.Error("request to a broker that is not registered")
		}
		if o.broker != 2 {
			continue
		}
		keys = append(keys, o.req.Key())
		switch req := o.req.(type) {
		case *kmsg.LeaderAndISRRequest:
			if !req.TopicStates[0].PartitionStates[0].IsNew {
				t.Error("isNew was lost")
			}
		case *protocol.StopReplicaRequest:
			if !req.Topics[0].PartitionStates[0].Delete {
				t.Error("delete was lost")
			}
		}
	}
	if len(keys) != 3 || keys[0] != 4 || keys[1] != 6 || keys[2] != 5 {
		t.Errorf("order of keys %v, want LeaderAndIsr 4, UpdateMetadata 6, StopReplica 5", keys)
	}
}

func TestTopicBeingDeletedIsToldAsGone(t *testing.T) {
	s := apacheCluster(t)
	p := s.topics["mixed"].partitions[0]
	p.info = &metadata.PartitionState{ControllerEpoch: 7, Leader: 100, LeaderEpoch: 3, ISR: []int32{100, 1}, PartitionEpoch: 4}
	s.toDelete["mixed"] = true
	b := newBatch(s)
	b.addUpdateMetadata([]int32{1}, p)
	b.addStopReplica(1, p, true)
	out := b.requests(3, "PLAINTEXT")
	u := out[0].req.(*kmsg.UpdateMetadataRequest).TopicStates[0].PartitionStates[0]
	if u.Leader != -2 || u.LeaderEpoch != 0 || u.ZKVersion != 0 || len(u.ISR) != 2 || u.ControllerEpoch != 7 {
		t.Errorf("UpdateMetadata %+v", u)
	}
	if e := out[1].req.(*protocol.StopReplicaRequest).Topics[0].PartitionStates[0].LeaderEpoch; e != -2 {
		t.Errorf("StopReplica with leader epoch %d, want -2", e)
	}
}
