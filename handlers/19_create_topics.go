package handlers

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/config"
	"gokafka/metadata"
	"gokafka/security"
	"gokafka/topics"
)

// CreateTopics makes topics, versions 0 to 7. v1 adds validate_only, v4 default partitions and replicas (KIP-464), v5 is flexible and answers configs (KIP-525), v7 answers the topic id.
//
// Only the controller's broker serves it. The answer waits until all partitions have leaders, or for the request's timeout, after which
// a topic that was made is answered with REQUEST_TIMED_OUT.
func (h *Handlers) CreateTopics(ctx context.Context, r *Request, q *kmsg.CreateTopicsRequest) *kmsg.CreateTopicsResponse {
	resp := q.ResponseKind().(*kmsg.CreateTopicsResponse)
	resp.Topics = []kmsg.CreateTopicsResponseTopic{}
	if !h.Controller.IsActive() {
		for i := range q.Topics {
			resp.Topics = append(resp.Topics, refusedTopic(q.Topics[i].Topic, kerr.NotController.Code, nil))
		}
		return resp
	}
	names := make([]string, len(q.Topics))
	for i := range q.Topics {
		names[i] = q.Topics[i].Topic
	}
	refused := topics.CheckRequest(names)
	counts := map[string]int{} // partitions of the topics that were made
	var made []string
	for i := range q.Topics {
		t := &q.Topics[i]
		created, err := h.createTopic(ctx, r, t, q.ValidateOnly, refused[t.Topic])
		if err != nil {
			resp.Topics = append(resp.Topics, refusedTopic(t.Topic, h.code(err), text(err)))
			continue
		}
		resp.Topics = append(resp.Topics, h.createdTopic(ctx, r, created))
		made = append(made, t.Topic)
		counts[t.Topic] = len(created.Replicas)
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
		if t := &resp.Topics[i]; t.ErrorCode == 0 && contains(left, t.Topic) {
			*t = refusedTopic(t.Topic, kerr.RequestTimedOut.Code, nil)
		}
	}
	return resp
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func refusedTopic(name string, code int16, message *string) kmsg.CreateTopicsResponseTopic {
	t := kmsg.NewCreateTopicsResponseTopic()
	t.Topic, t.ErrorCode, t.ErrorMessage = name, code, message
	t.NumPartitions, t.ReplicationFactor = -1, -1
	t.Configs = []kmsg.CreateTopicsResponseTopicConfig{}
	return t
}

func (h *Handlers) createTopic(ctx context.Context, r *Request, t *kmsg.CreateTopicsRequestTopic, validateOnly bool, refused error) (*topics.Created, error) {
	if refused != nil {
		return nil, refused
	}
	if !h.mayCluster(ctx, r, security.Create) && !h.may(ctx, r, security.Create, security.Topic, t.Topic) {
		return nil, &topics.Error{Code: kerr.TopicAuthorizationFailed, Message: "Authorization failed."}
	}
	spec := topics.Spec{Name: t.Topic, Partitions: t.NumPartitions, ReplicationFactor: t.ReplicationFactor}
	for _, a := range t.ReplicaAssignment {
		spec.Assignments = append(spec.Assignments, topics.PartitionAssignment{Partition: a.Partition, Replicas: a.Replicas})
	}
	for _, c := range t.Configs {
		spec.Configs = append(spec.Configs, topics.ConfigEntry{Name: c.Name, Value: c.Value})
	}
	return h.Topics.Create(ctx, spec, validateOnly)
}

// createdTopic is the answer for a topic that was, or with validate_only would have been, made.
func (h *Handlers) createdTopic(ctx context.Context, r *Request, c *topics.Created) kmsg.CreateTopicsResponseTopic {
	t := kmsg.NewCreateTopicsResponseTopic()
	t.Topic, t.TopicID = c.Name, c.ID
	t.NumPartitions, t.ReplicationFactor = -1, -1
	t.Configs = []kmsg.CreateTopicsResponseTopicConfig{}
	if !h.may(ctx, r, security.DescribeConfigs, security.Topic, c.Name) {
		t.ConfigErrorCode = kerr.TopicAuthorizationFailed.Code
		return t
	}
	t.NumPartitions, t.ReplicationFactor = int32(len(c.Replicas)), c.ReplicationFactor
	entries, err := h.Settings.Broker().DescribeTopic(c.Configs)
	if err != nil {
		h.Logger.Error("Configs of a new topic cannot be described", "topic", c.Name, "error", err)
		return t
	}
	for _, e := range entries {
		t.Configs = append(t.Configs, createdConfig(&e))
	}
	return t
}

func createdConfig(e *config.Entry) kmsg.CreateTopicsResponseTopicConfig {
	out := kmsg.NewCreateTopicsResponseTopicConfig()
	out.Name, out.Value, out.ReadOnly, out.Source, out.IsSensitive = e.Name, e.Value, e.ReadOnly, int8(e.Source), e.Sensitive
	return out
}
