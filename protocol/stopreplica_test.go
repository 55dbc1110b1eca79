package protocol

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// From an Apache 3.9.1 controller (id 1, epoch 3, broker epoch 337) to a broker: topic mixed, partition 1.
const stopReplicaGolden = "00000001 00 00000003 0000000000000151 02 066d69786564 02 00000001 00000000 00 00 00 00"

func TestStopReplicaHasApachesFieldOrder(t *testing.T) {
	golden, err := hex.DecodeString(strings.ReplaceAll(stopReplicaGolden, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	before := bytes.Clone(golden)
	r := &StopReplicaRequest{StopReplicaRequest: kmsg.StopReplicaRequest{Version: 4}}
	if err := r.ReadFrom(golden); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(golden, before) {
		t.Fatal("reading changed the caller's bytes")
	}
	if r.ControllerID != 1 || r.IsKRaftController || r.ControllerEpoch != 3 || r.BrokerEpoch != 337 {
		t.Fatalf("head: %+v", r.StopReplicaRequest)
	}
	if len(r.Topics) != 1 || r.Topics[0].Topic != "mixed" || len(r.Topics[0].PartitionStates) != 1 {
		t.Fatalf("topics: %+v", r.Topics)
	}
	if p := r.Topics[0].PartitionStates[0]; p.Partition != 1 || p.LeaderEpoch != 0 || p.Delete {
		t.Fatalf("partition: %+v", p)
	}
	prefix := []byte("head")
	if got := r.AppendTo(bytes.Clone(prefix)); !bytes.Equal(got, append(prefix, golden...)) {
		t.Fatalf("re-encoded\n%x, want\n%x", got, golden)
	}
	var req kmsg.Request = r // the framing sees the corrected methods, not the embedded ones
	frame := kmsg.NewRequestFormatter().AppendRequest(nil, req, 7)
	if !bytes.HasSuffix(frame, golden) {
		t.Fatalf("frame %x does not end in the golden body", frame)
	}
}

func TestStopReplicaFlagAndEpochAreNotMixed(t *testing.T) {
	r := &StopReplicaRequest{StopReplicaRequest: kmsg.StopReplicaRequest{Version: 4, ControllerID: 9, ControllerEpoch: 0x01020304, IsKRaftController: true, BrokerEpoch: 5}}
	b := r.AppendTo(nil)
	if want := []byte{0, 0, 0, 9, 1, 1, 2, 3, 4}; !bytes.Equal(b[:9], want) {
		t.Fatalf("head %x, want %x", b[:9], want)
	}
	got := &StopReplicaRequest{StopReplicaRequest: kmsg.StopReplicaRequest{Version: 4}}
	if err := got.UnsafeReadFrom(b); err != nil || got.ControllerEpoch != 0x01020304 || !got.IsKRaftController {
		t.Fatalf("read back %+v, %v", got.StopReplicaRequest, err)
	}
}

func TestStopReplicaOlderVersionsAreUntouched(t *testing.T) {
	for v := int16(0); v < 4; v++ {
		in := kmsg.StopReplicaRequest{Version: v, ControllerID: 1, ControllerEpoch: 3, BrokerEpoch: 337}
		if want, got := in.AppendTo(nil), AppendStopReplica(nil, &in); !bytes.Equal(got, want) {
			t.Errorf("v%d: %x, want %x", v, got, want)
		}
	}
}

func FuzzReadStopReplica(f *testing.F) {
	golden, _ := hex.DecodeString(strings.ReplaceAll(stopReplicaGolden, " ", ""))
	f.Add(golden)
	f.Add(golden[:8])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		r := &StopReplicaRequest{StopReplicaRequest: kmsg.StopReplicaRequest{Version: 4}}
		if r.ReadFrom(b) == nil {
			again := &StopReplicaRequest{StopReplicaRequest: kmsg.StopReplicaRequest{Version: 4}}
			if err := again.ReadFrom(r.AppendTo(nil)); err != nil {
				t.Fatalf("own encoding does not read: %v", err)
			}
		}
	})
}
