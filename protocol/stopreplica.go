package protocol

import (
	"bytes"
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// StopReplica v4 puts IsKRaftController in front of ControllerEpoch (Kafka 3.9 StopReplicaRequest.json); kmsg 1.15 writes
// and reads it behind. Sent as kmsg writes it, the receiver would take 256 x the epoch for the controller's and refuse the
// lawful controller until its restart. The fields are fixed-size, so the cure is to move one byte.
const (
	stopReplicaFixedVersion = 4
	stopReplicaEpochAt      = 4 // behind ControllerID int32
	stopReplicaKRaftAt      = 8 // where kmsg has the flag
	stopReplicaHead         = 9 // ControllerID, flag and ControllerEpoch
)

// StopReplicaRequest is kmsg's StopReplicaRequest with the field order of Apache Kafka in both directions. Send this one.
type StopReplicaRequest struct{ kmsg.StopReplicaRequest }

// AppendTo appends the body in Apache's field order.
func (r *StopReplicaRequest) AppendTo(dst []byte) []byte {
	return AppendStopReplica(dst, &r.StopReplicaRequest)
}

// ReadFrom reads a body in Apache's field order.
func (r *StopReplicaRequest) ReadFrom(body []byte) error {
	return ReadStopReplica(&r.StopReplicaRequest, body)
}

// UnsafeReadFrom is ReadFrom: the embedded one would read the wrong order.
func (r *StopReplicaRequest) UnsafeReadFrom(body []byte) error { return r.ReadFrom(body) }

// RequestWith issues the request through q.
func (r *StopReplicaRequest) RequestWith(ctx context.Context, q kmsg.Requestor) (*kmsg.StopReplicaResponse, error) {
	k, err := q.Request(ctx, r)
	resp, _ := k.(*kmsg.StopReplicaResponse)
	return resp, err
}

// AppendStopReplica appends r's body to dst in Apache's field order.
func AppendStopReplica(dst []byte, r *kmsg.StopReplicaRequest) []byte {
	start := len(dst)
	dst = r.AppendTo(dst)
	if r.Version >= stopReplicaFixedVersion {
		head := dst[start : start+stopReplicaHead]
		flag := head[stopReplicaKRaftAt]
		copy(head[stopReplicaEpochAt+1:], head[stopReplicaEpochAt:stopReplicaKRaftAt])
		head[stopReplicaEpochAt] = flag
	}
	return dst
}

// ReadStopReplica reads a body in Apache's field order into r, whose Version is set. body stays untouched.
func ReadStopReplica(r *kmsg.StopReplicaRequest, body []byte) error {
	if r.Version >= stopReplicaFixedVersion {
		var err error
		if body, err = FixStopReplicaV4(body); err != nil {
			return err
		}
	}
	return r.ReadFrom(body)
}

// FixStopReplicaV4 returns a copy of a v4 body from the wire in the order that kmsg reads. body stays untouched.
func FixStopReplicaV4(body []byte) ([]byte, error) {
	if len(body) < stopReplicaHead {
		return nil, fmt.Errorf("%w: StopReplica v4 of %d bytes", ErrMalformed, len(body))
	}
	b := bytes.Clone(body)
	copy(b[stopReplicaEpochAt:], body[stopReplicaEpochAt+1:stopReplicaHead])
	b[stopReplicaKRaftAt] = body[stopReplicaEpochAt]
	return b, nil
}
