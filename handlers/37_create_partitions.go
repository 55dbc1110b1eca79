package handlers

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/metadata"
	"gokafka/security"
	"gokafka/topics"
)

// CreatePartitions adds partitions to topics (KIP-195), versions 0 to 3. v2 is flexible, v3 may answer THROTTLING_QUOTA_EXCEEDED.
//
// Only the controller's broker serves it. The answer waits until all partitions have leaders, or for the request's timeout.
func (h *Handlers) CreatePartitions(ctx context.Context, r *Request, q *kmsg.CreatePartitionsRequest) *kmsg.CreatePartitionsResponse {
	resp := q.ResponseKind().(*kmsg.CreatePartitionsResponse)
	resp.Topics = []kmsg.CreatePartitionsResponseTopic{}
	counts := map[string]int{}
	var made []string
	for i := range q.Topics {
		t := &q.Topics[i]
		dupes := 0
		for j := range q.Topics {
			if q.Topics[j].Topic == t.Topic {
				dupes++
			}
		}
		if dupes > 1 && slices.ContainsFunc(resp.Topics, func(o kmsg.CreatePartitionsResponseTopic) bool { return o.Topic == t.Topic }) {
			continue // one answer for all of them
		}
		total, err := h.createPartitions(ctx, r, t, dupes > 1, q.ValidateOnly)
		rt := kmsg.NewCreatePartitionsResponseTopic()
		rt.Topic, rt.ErrorCode, rt.ErrorMessage = t.Topic, h.code(err), text(err)
		resp.Topics = append(resp.Topics, rt)
		if err == nil {
			made = append(made, t.Topic)
			counts[t.Topic] = int(total)
		}
	}
	if len(made) == 0 || q.ValidateOnly {
		return resp
	}
	left := h.waiting.wait(ctx, h.Clock, made, time.Duration(q.TimeoutMillis)*time.Millisecond,
		func(im *metadata.Image, topic string) bool { return ledBy(im, topic, counts[topic]) })
	if q.TimeoutMillis <= 0 {
		left = made
	}
	for i := range resp.Topics {
		if t := &resp.Topics[i]; t.ErrorCode == 0 && slices.Contains(left, t.Topic) {
			t.ErrorCode = kerr.RequestTimedOut.Code
		}
	}
	return resp
}

func (h *Handlers) createPartitions(ctx context.Context, r *Request, t *kmsg.CreatePartitionsRequestTopic, duplicate, validateOnly bool) (int32, error) {
	switch {
	case !h.Controller.IsActive():
		return 0, kerr.NotController
	case duplicate:
		return 0, &topics.Error{Code: kerr.InvalidRequest, Message: "Duplicate topic in request."}
	case !h.may(ctx, r, security.Alter, security.Topic, t.Topic):
		return 0, &topics.Error{Code: kerr.TopicAuthorizationFailed, Message: "The topic authorization is failed."}
	}
	deleting, err := h.Controller.IsTopicQueuedForDeletion(ctx, t.Topic)
	if err != nil {
		return 0, err
	}
	if deleting {
		return 0, &topics.Error{Code: kerr.InvalidTopicException, Message: "The topic is queued for deletion."}
	}
	e := topics.Extension{Name: t.Topic, Count: t.Count}
	if t.Assignment != nil {
		e.Assignments = [][]int32{}
		for _, a := range t.Assignment {
			e.Assignments = append(e.Assignments, a.Replicas)
		}
	}
	return h.Topics.AddPartitions(ctx, e, validateOnly)
}
