package handlers

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/metadata"
	"gokafka/protocol"
	"gokafka/replication"
	"gokafka/security"
	"gokafka/topics"
)

// DeleteRecords raises log start offsets (KIP-107), versions 0 to 2. v1 throttles as of KIP-219, v2 is flexible.
//
// The leader serves it. The answer waits until the live replicas have followed, or for the request's timeout.
func (h *Handlers) DeleteRecords(ctx context.Context, r *Request) (Answer, error) {
	decoded, err := protocol.Decode(r.Key, r.Version, r.Body)
	if err != nil {
		return Answer{}, err
	}
	q := decoded.(*kmsg.DeleteRecordsRequest)
	parts := h.planDeleteRecords(ctx, r, q)
	todo := make([]replication.DeleteRecords, 0, len(parts))
	for i := range parts {
		if parts[i].Err == nil {
			todo = append(todo, parts[i])
		}
	}
	h.Replicas.DeleteRecords(todo)
	start, transport := r.Start, r.Transport
	finish := func() (*kmsg.DeleteRecordsResponse, bool) {
		resp := q.ResponseKind().(*kmsg.DeleteRecordsResponse)
		return resp, h.deleteRecordsResults(resp, parts, todo)
	}
	later := func() {
		resp, failed := finish()
		h.Observe(q.Key(), h.Clock.Mono()-start, failed)
		transport.Complete(Answer{Body: resp})
	}
	if h.Replicas.Deleted(todo, time.Duration(q.TimeoutMillis)*time.Millisecond, later) {
		resp, _ := finish()
		return Answer{Body: resp}, nil
	}
	return Answer{Pending: true}, nil
}

// planDeleteRecords takes the partitions out of the request. Of a partition that is named more than once the last one counts: Apache keeps them in a map.
func (h *Handlers) planDeleteRecords(ctx context.Context, r *Request, q *kmsg.DeleteRecordsRequest) []replication.DeleteRecords {
	im := h.Cluster.Image()
	var parts []replication.DeleteRecords
	at := map[metadata.TopicPartition]int{}
	for i := range q.Topics {
		t := &q.Topics[i]
		allowed := h.may(ctx, r, security.Delete, security.Topic, t.Topic)
		for _, p := range t.Partitions {
			d := replication.DeleteRecords{TopicPartition: metadata.TopicPartition{Topic: t.Topic, Partition: p.Partition}, Offset: p.Offset, LowWatermark: -1}
			switch {
			case !allowed:
				d.Err = kerr.TopicAuthorizationFailed
			case im.Partition(d.TopicPartition) == nil:
				d.Err = kerr.UnknownTopicOrPartition
			case topics.IsInternal(t.Topic):
				d.Err = kerr.InvalidTopicException
			}
			if n, ok := at[d.TopicPartition]; ok {
				parts[n] = d
				continue
			}
			at[d.TopicPartition] = len(parts)
			parts = append(parts, d)
		}
	}
	return parts
}

// deleteRecordsResults writes the outcomes: those of done, and of parts those that were refused before. It says whether one failed.
func (h *Handlers) deleteRecordsResults(resp *kmsg.DeleteRecordsResponse, parts, done []replication.DeleteRecords) (failed bool) {
	resp.Topics = []kmsg.DeleteRecordsResponseTopic{}
	at := map[string]int{}
	add := func(d *replication.DeleteRecords) {
		failed = failed || d.Err != nil
		n, ok := at[d.TopicPartition.Topic]
		if !ok {
			n = len(resp.Topics)
			at[d.TopicPartition.Topic] = n
			t := kmsg.NewDeleteRecordsResponseTopic()
			t.Topic = d.TopicPartition.Topic
			resp.Topics = append(resp.Topics, t)
		}
		p := kmsg.NewDeleteRecordsResponseTopicPartition()
		p.Partition, p.LowWatermark, p.ErrorCode = d.TopicPartition.Partition, d.LowWatermark, h.code(d.Err)
		resp.Topics[n].Partitions = append(resp.Topics[n].Partitions, p)
	}
	for i := range parts {
		if parts[i].Err != nil {
			add(&parts[i])
		}
	}
	for i := range done {
		add(&done[i])
	}
	return failed
}
