package handlers

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/metadata"
	"gokafka/security"
)

// DeleteTopics deletes topics, versions 0 to 6. v3 has a code for disabled deletion, v4 is flexible, v5 adds error messages, v6 takes topic ids (KIP-516).
//
// Only the controller's broker serves it. The answer waits until the topics are gone from the metadata, or for the request's timeout.
func (h *Handlers) DeleteTopics(ctx context.Context, r *Request, q *kmsg.DeleteTopicsRequest) *kmsg.DeleteTopicsResponse {
	resp := q.ResponseKind().(*kmsg.DeleteTopicsResponse)
	resp.Topics = []kmsg.DeleteTopicsResponseTopic{}
	asked := q.Topics
	for i := range q.TopicNames {
		t := kmsg.NewDeleteTopicsRequestTopic()
		t.Topic = &q.TopicNames[i]
		asked = append(asked, t)
	}
	refuseAll := h.refuseDeletion(r, asked)
	im := h.Cluster.Image()
	var marked []string
	for i := range asked {
		t := kmsg.NewDeleteTopicsResponseTopic()
		t.Topic, t.TopicID = asked[i].Topic, asked[i].TopicID
		if refuseAll != nil {
			t.ErrorCode = refuseAll.Code
		} else if err := h.deleteTopic(ctx, r, im, &t); err != nil {
			t.ErrorCode = h.code(err)
		} else {
			marked = append(marked, *t.Topic)
		}
		resp.Topics = append(resp.Topics, t)
	}
	if len(marked) == 0 {
		return resp
	}
	left := h.waiting.wait(ctx, h.Clock, marked, time.Duration(q.TimeoutMillis)*time.Millisecond,
		func(im *metadata.Image, topic string) bool { return im.Topic(topic) == nil })
	if q.TimeoutMillis <= 0 {
		left = marked
	}
	for i := range resp.Topics {
		if t := &resp.Topics[i]; t.ErrorCode == 0 && slices.Contains(left, *t.Topic) {
			t.ErrorCode = kerr.RequestTimedOut.Code
		}
	}
	return resp
}

// refuseDeletion is the error that every topic of the request is answered with, or nil.
func (h *Handlers) refuseDeletion(r *Request, asked []kmsg.DeleteTopicsRequestTopic) *kerr.Error {
	switch {
	case !h.Controller.IsActive():
		return kerr.NotController
	case !h.Config.DeleteTopics && r.Version < 3:
		return kerr.InvalidRequest
	case !h.Config.DeleteTopics:
		return kerr.TopicDeletionDisabled
	case slices.ContainsFunc(asked, func(t kmsg.DeleteTopicsRequestTopic) bool { return t.Topic != nil && t.TopicID != [16]byte{} }):
		return kerr.InvalidRequest
	}
	return nil
}

// deleteTopic marks a topic for deletion and fills in its name when it was given by id.
func (h *Handlers) deleteTopic(ctx context.Context, r *Request, im *metadata.Image, t *kmsg.DeleteTopicsResponseTopic) error {
	byID := t.TopicID != [16]byte{}
	if byID {
		topic := im.TopicByID(t.TopicID)
		if topic == nil {
			return kerr.UnknownTopicID
		}
		if !h.may(ctx, r, security.Describe, security.Topic, topic.Name) {
			return kerr.TopicAuthorizationFailed // and the name is not told
		}
		t.Topic = &topic.Name
	}
	switch {
	case t.Topic == nil: // neither name nor id: nothing that anybody could be allowed
		return kerr.TopicAuthorizationFailed
	case !h.may(ctx, r, security.Delete, security.Topic, *t.Topic):
		return kerr.TopicAuthorizationFailed
	case im.Topic(*t.Topic) == nil:
		return kerr.UnknownTopicOrPartition
	}
	return h.Topics.Delete(ctx, *t.Topic)
}
