package handlers

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/metadata"
	"gokafka/record"
	"gokafka/replication"
	"gokafka/security"
	"gokafka/topics"
	"gokafka/transactions"
)

// WriteTxnMarkers ends transactions in the partitions that this broker leads, versions 0 to 2. v1 is flexible, v2 tells the transaction version: from 2 on
// the marker's epoch is above that of the transaction it ends (KIP-1228). Coordinators send it, and administrators to
// abort a hanging transaction. It is answered when the markers are replicated. Source: Kafka 3.9 KafkaApis.handleWriteTxnMarkersRequest.
func (h *Handlers) WriteTxnMarkers(ctx context.Context, r *Request, q *kmsg.WriteTxnMarkersRequest) *kmsg.WriteTxnMarkersResponse {
	resp := q.ResponseKind().(*kmsg.WriteTxnMarkersResponse)
	if !h.mayCluster(ctx, r, security.Alter) && !h.mayCluster(ctx, r, security.ClusterAction) {
		h.writeMarkers(ctx, q, kerr.ClusterAuthorizationFailed, resp)
		return resp
	}
	h.writeMarkers(ctx, q, nil, resp)
	return resp
}

func (h *Handlers) writeMarkers(ctx context.Context, q *kmsg.WriteTxnMarkersRequest, refused error, resp *kmsg.WriteTxnMarkersResponse) {
	var parts []replication.Append
	for i := range q.Markers {
		m := &q.Markers[i]
		spec := record.MarkerSpec{LeaderEpoch: record.NoLeaderEpoch, TimestampMs: h.Clock.NowMs(), ProducerID: m.ProducerID, ProducerEpoch: m.ProducerEpoch,
			Type: record.ControlAbort, CoordinatorEpoch: m.CoordinatorEpoch}
		if m.Committed {
			spec.Type = record.ControlCommit
		}
		for _, t := range m.Topics {
			for _, p := range t.Partitions {
				a := replication.Append{Topic: []byte(t.Topic), Partition: p, Version: 9, Origin: record.Coordinator, Raised: m.TransactionVersion >= transactions.Version2, Err: refused}
				switch {
				case a.Err != nil:
				case h.Replicas.Partition(metadata.TopicPartition{Topic: t.Topic, Partition: p}) == nil:
					a.Err = kerr.UnknownTopicOrPartition
				default:
					a.Records, a.Err = record.AppendEndTxnMarker(nil, spec)
				}
				parts = append(parts, a)
			}
		}
	}
	if refused == nil {
		h.Replicas.Append(replication.AcksAll, parts)
		done := make(chan struct{})
		if !h.Replicas.Replicated(parts, h.Config.RequestTimeout, func() { close(done) }) {
			select {
			case <-done:
			case <-ctx.Done(): // the parts are not ours yet
				parts = slices.Clone(parts)
				for i := range parts {
					parts[i] = replication.Append{Err: kerr.RequestTimedOut}
				}
			}
		}
	}
	for i := range q.Markers {
		m := &q.Markers[i]
		rm := kmsg.NewWriteTxnMarkersResponseMarker()
		rm.ProducerID = m.ProducerID
		for _, t := range m.Topics {
			rt := kmsg.NewWriteTxnMarkersResponseMarkerTopic()
			rt.Topic = t.Topic
			for _, p := range t.Partitions {
				err := parts[0].Err
				parts = parts[1:]
				if err == nil && t.Topic == topics.ConsumerOffsets {
					h.Groups.TxnEnded(p, m.ProducerID, m.Committed)
				}
				rp := kmsg.NewWriteTxnMarkersResponseMarkerTopicPartition()
				rp.Partition, rp.ErrorCode = p, h.code(err)
				rt.Partitions = append(rt.Partitions, rp)
			}
			rm.Topics = append(rm.Topics, rt)
		}
		resp.Markers = append(resp.Markers, rm)
	}
}
