package handlers

import (
	"context"
	"fmt"
	"slices"
	"strconv"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/config"
	"gokafka/security"
	"gokafka/topics"
)

// DescribeConfigs tells the configs of topics and of this broker, versions 0 to 4. v1 adds sources and synonyms (KIP-226), v3 types and documentation (KIP-569), v4 is flexible.
//
// A broker answers for itself alone, and for the cluster's dynamic defaults under an empty name.
func (h *Handlers) DescribeConfigs(ctx context.Context, r *Request, q *kmsg.DescribeConfigsRequest) *kmsg.DescribeConfigsResponse {
	resp := q.ResponseKind().(*kmsg.DescribeConfigsResponse)
	resp.Resources = []kmsg.DescribeConfigsResponseResource{}
	overridesOf := h.topicOverrides(ctx, q)
	for i := range q.Resources {
		res := &q.Resources[i]
		out := kmsg.NewDescribeConfigsResponseResource()
		out.ResourceType, out.ResourceName = res.ResourceType, res.ResourceName
		out.Configs = []kmsg.DescribeConfigsResponseResourceConfig{}
		out.ErrorMessage = new(string) // Apache's, where there is nothing to say
		entries, err := h.describeConfigs(ctx, r, res, overridesOf)
		if err != nil {
			out.ErrorCode = h.code(err)
			if m := text(err); m != nil {
				out.ErrorMessage = m
			}
		}
		for j := range entries {
			if len(res.ConfigNames) == 0 || slices.Contains(res.ConfigNames, entries[j].Name) {
				out.Configs = append(out.Configs, describedConfig(q, &entries[j]))
			}
		}
		resp.Resources = append(resp.Resources, out)
	}
	return resp
}

// topicOverrides reads the overrides of all existing topics that q names, at once, and returns how to look them up.
func (h *Handlers) topicOverrides(ctx context.Context, q *kmsg.DescribeConfigsRequest) func(topic string) (map[string]string, error) {
	at := make(map[string]int)
	var names []string
	image := h.Cluster.Image()
	for i := range q.Resources {
		name := q.Resources[i].ResourceName
		if _, seen := at[name]; seen || q.Resources[i].ResourceType != kmsg.ConfigResourceTypeTopic || image.Topic(name) == nil {
			continue
		}
		at[name] = len(names)
		names = append(names, name)
	}
	if len(names) == 0 {
		return func(string) (map[string]string, error) { return nil, kerr.UnknownTopicOrPartition }
	}
	overrides, errs, err := h.Settings.TopicOverrides(ctx, names)
	return func(topic string) (map[string]string, error) {
		i, ok := at[topic]
		switch {
		case !ok: // it came after the image was read
			return nil, kerr.UnknownTopicOrPartition
		case err != nil:
			return nil, err
		}
		return overrides[i], errs[i]
	}
}

// describeConfigs is Kafka 3.9 ConfigHelper.describeConfigs for one resource.
func (h *Handlers) describeConfigs(ctx context.Context, r *Request, res *kmsg.DescribeConfigsRequestResource,
	overridesOf func(topic string) (map[string]string, error),
) ([]config.Entry, error) {
	switch res.ResourceType {
	case kmsg.ConfigResourceTypeTopic:
		if !h.may(ctx, r, security.DescribeConfigs, security.Topic, res.ResourceName) {
			return nil, &topics.Error{Code: kerr.TopicAuthorizationFailed, Message: "Topic authorization failed."}
		}
		if err := topics.ValidateName(res.ResourceName); err != nil {
			return nil, err
		}
		if h.Cluster.Image().Topic(res.ResourceName) == nil {
			return nil, kerr.UnknownTopicOrPartition
		}
		overrides, err := overridesOf(res.ResourceName)
		if err != nil {
			return nil, err
		}
		return h.Settings.Broker().DescribeTopic(overrides)
	case kmsg.ConfigResourceTypeBroker:
		if !h.mayCluster(ctx, r, security.DescribeConfigs) {
			return nil, &topics.Error{Code: kerr.ClusterAuthorizationFailed, Message: "Cluster authorization failed."}
		}
		if res.ResourceName == "" {
			return h.Settings.Broker().DescribeDefault(), nil
		}
		if err := h.ownBroker(res.ResourceName, " or empty string, but received "); err != nil {
			return nil, err
		}
		return h.Settings.Broker().Describe(), nil
	}
	if !h.mayCluster(ctx, r, security.DescribeConfigs) {
		return nil, &topics.Error{Code: kerr.ClusterAuthorizationFailed, Message: "Cluster authorization failed."}
	}
	return nil, invalidRequest("Unsupported resource type: %s", res.ResourceType)
}

// ownBroker checks that name is the id of this broker.
func (h *Handlers) ownBroker(name, but string) error {
	id, err := strconv.ParseInt(name, 10, 32)
	if err != nil {
		return invalidRequest("Broker id must be an integer, but it is: %s", name)
	}
	if int32(id) != h.BrokerID {
		return invalidRequest("Unexpected broker id, expected %d%s%s", h.BrokerID, but, name)
	}
	return nil
}

func invalidRequest(format string, args ...any) error {
	return &topics.Error{Code: kerr.InvalidRequest, Message: fmt.Sprintf(format, args...)}
}

func describedConfig(q *kmsg.DescribeConfigsRequest, e *config.Entry) kmsg.DescribeConfigsResponseResourceConfig {
	out := kmsg.NewDescribeConfigsResponseResourceConfig()
	// is_default of version 0 stays false: Apache 3.9 fills only the source that replaced it.
	out.Name, out.Value, out.ReadOnly = e.Name, e.Value, e.ReadOnly
	out.Source, out.IsSensitive, out.ConfigType = kmsg.ConfigSource(e.Source), e.Sensitive, kmsg.ConfigType(e.Type)
	if q.IncludeDocumentation && e.Doc != "" {
		out.Documentation = &e.Doc
	}
	if q.IncludeSynonyms {
		for _, s := range e.Synonyms {
			syn := kmsg.NewDescribeConfigsResponseResourceConfigConfigSynonym()
			syn.Name, syn.Value, syn.Source = s.Name, s.Value, kmsg.ConfigSource(s.Source)
			out.ConfigSynonyms = append(out.ConfigSynonyms, syn)
		}
	}
	return out
}
