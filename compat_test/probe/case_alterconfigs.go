package probe

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// op is one change of a config; a value "\x00" stands for null.
type op struct {
	name, value string
	kind        kmsg.IncrementalAlterConfigOp
}

func (o op) ptr() *string {
	if o.value == "\x00" {
		return nil
	}
	return &o.value
}

func incremental(kind kmsg.ConfigResourceType, name string, ops ...op) *kmsg.IncrementalAlterConfigsRequest {
	req := kmsg.NewPtrIncrementalAlterConfigsRequest()
	res := kmsg.NewIncrementalAlterConfigsRequestResource()
	res.ResourceType, res.ResourceName = kind, name
	for _, o := range ops {
		c := kmsg.NewIncrementalAlterConfigsRequestResourceConfig()
		c.Name, c.Value, c.Op = o.name, o.ptr(), o.kind
		res.Configs = append(res.Configs, c)
	}
	req.Resources = append(req.Resources, res)
	return req
}

func replaceConfigs(kind kmsg.ConfigResourceType, name string, ops ...op) *kmsg.AlterConfigsRequest {
	req := kmsg.NewPtrAlterConfigsRequest()
	res := kmsg.NewAlterConfigsRequestResource()
	res.ResourceType, res.ResourceName = kind, name
	for _, o := range ops {
		c := kmsg.NewAlterConfigsRequestResourceConfig()
		c.Name, c.Value = o.name, o.ptr()
		res.Configs = append(res.Configs, c)
	}
	req.Resources = append(req.Resources, res)
	return req
}

// overrides asks for a topic's configs by name, with synonyms.
func describeNamed(kind kmsg.ConfigResourceType, name string, keys ...string) *kmsg.DescribeConfigsRequest {
	req := kmsg.NewPtrDescribeConfigsRequest()
	req.IncludeSynonyms = true
	res := kmsg.NewDescribeConfigsRequestResource()
	res.ResourceType, res.ResourceName, res.ConfigNames = kind, name, keys
	req.Resources = append(req.Resources, res)
	return req
}

const (
	opSet    = kmsg.IncrementalAlterConfigOpSet
	opDelete = kmsg.IncrementalAlterConfigOpDelete
	opAppend = kmsg.IncrementalAlterConfigOpAppend
	opRemove = kmsg.IncrementalAlterConfigOpSubtract
	topicRes = kmsg.ConfigResourceTypeTopic
	broker   = kmsg.ConfigResourceTypeBroker
)

// settled describes until what is described is as it should be: a broker hears of a change by a notification.
func (r *Run) settled(step string, req *kmsg.DescribeConfigsRequest, name, value string) {
	r.await(step, func() error {
		resp := r.Quiet(req, 4).(*kmsg.DescribeConfigsResponse)
		for _, c := range resp.Resources[0].Configs {
			if c.Name == name && c.Value != nil && *c.Value == value {
				return nil
			}
		}
		return fmt.Errorf("%s is not yet %s", name, value)
	})
	r.Do(step, req, 4)
}

func alterConfigsCases() []Case {
	bad := []op{
		{"no.such.config", "1", opSet}, {"retention.ms", "soon", opSet}, {"segment.bytes", "1", opSet}, {"retention.ms", "\x00", opSet}, {"cleanup.policy", "keep", opSet},
		{"cleanup.policy", "compact", opAppend}, {"cleanup.policy", "delete", opRemove}, {"retention.ms", "5", opAppend}, {"no.such.config", "x", opAppend},
		{"no.such.config", "\x00", opDelete}, {"retention.ms", "\x00", opDelete}, {"retention.ms", "1000", 7}, {"compression.type", "gzip", opSet}, {"", "x", opSet},
		{"min.insync.replicas", "0", opSet}, {"message.timestamp.type", "Never", opSet}, {"retention.ms", " 77 ", opSet}, {"remote.storage.enable", "true", opSet},
	}
	badBroker := []op{
		{"no.such.config", "1", opSet}, {"log.retention.ms", "soon", opSet}, {"broker.id", "5", opSet}, {"log.dirs", "/x", opSet}, {"log.segment.bytes", "1", opSet},
		{"num.io.threads", "0", opSet}, {"num.io.threads", "1000", opSet}, {"log.cleanup.policy", "compact", opAppend}, {"log.retention.ms", "\x00", opDelete},
		{"zookeeper.connect", "x:1", opSet}, {"log.cleaner.threads", "-1", opSet}, {"message.max.bytes", "-1", opSet}, {"compression.type", "zip", opSet},
		{"unclean.leader.election.enable", "maybe", opSet}, {"listener.name.plaintext.ssl.keystore.location", "/x", opSet},
	}
	return group("alterconfigs",
		named("topic, each refusal", func(r *Run) {
			t := r.Topic("t", 1)
			for _, o := range bad {
				req := incremental(topicRes, t, o)
				req.ValidateOnly = true
				r.Do(fmt.Sprintf("%s %d %q", o.name, o.kind, o.value), req, 1)
			}
		}),
		named("topic, each refusal, replacing", func(r *Run) {
			t := r.Topic("t", 1)
			for _, o := range bad {
				if o.kind == opSet {
					req := replaceConfigs(topicRes, t, o)
					req.ValidateOnly = true
					r.Do(fmt.Sprintf("%s %q", o.name, o.value), req, 2)
				}
			}
		}),
		named("broker, each refusal", func(r *Run) {
			for _, name := range []string{"", "0"} {
				for _, o := range badBroker {
					req := incremental(broker, name, o)
					req.ValidateOnly = true
					r.Do(fmt.Sprintf("%q: %s %d %q", name, o.name, o.kind, o.value), req, 1)
				}
			}
		}),
		named("names", func(r *Run) {
			o := op{"retention.ms", "5000", opSet}
			r.Do("no topic", incremental(topicRes, r.Name("none"), o), 1)
			r.Do("a topic without name", incremental(topicRes, "", o), 1)
			r.Do("a bad name", incremental(topicRes, "a b", o), 1)
			r.Do("another broker", incremental(broker, "7", op{"log.retention.ms", "5000", opSet}), 1)
			r.Do("no number", incremental(broker, "x", op{"log.retention.ms", "5000", opSet}), 1)
			r.Do("unknown type", incremental(1, "x", o), 1)
			r.Do("replacing, no topic", replaceConfigs(topicRes, r.Name("none"), o), 2)
			r.Do("replacing, another broker", replaceConfigs(broker, "7", op{"log.retention.ms", "5000", opSet}), 2)
			r.Do("replacing, logger", replaceConfigs(8, "0", op{"kafka", "INFO", opSet}), 2)
			two := incremental(topicRes, r.Topic("t", 1), o, o)
			r.Do("a key twice", two, 1)
			two.Resources[0].Configs = two.Resources[0].Configs[:1]
			two.Resources = append(two.Resources, two.Resources[0])
			r.Do("a resource twice", two, 1)
			r.Do("nothing", incremental(topicRes, r.Topic("u", 1)), 1)
		}),
		named("topic, what comes of it", func(r *Run) {
			t := r.Topic("t", 1)
			q := describeNamed(topicRes, t, "retention.ms", "cleanup.policy", "flush.ms")
			for v := range int16(2) {
				r.Do(fmt.Sprintf("set, v%d", v), incremental(topicRes, t, op{"retention.ms", fmt.Sprint(1000 + v), opSet}, op{"cleanup.policy", "compact", opAppend}), v)
				r.settled(fmt.Sprintf("set, v%d, described", v), q, "retention.ms", fmt.Sprint(1000+v))
			}
			r.Do("subtract", incremental(topicRes, t, op{"cleanup.policy", "delete", opRemove}, op{"flush.ms", "77", opSet}), 1)
			r.settled("subtracted", q, "flush.ms", "77")
			r.Do("delete", incremental(topicRes, t, op{"cleanup.policy", "\x00", opDelete}, op{"retention.ms", "\x00", opDelete}, op{"flush.ms", "78", opSet}), 1)
			r.settled("deleted", q, "flush.ms", "78")
			for v := range int16(3) {
				r.Do(fmt.Sprintf("replace, v%d", v), replaceConfigs(topicRes, t, op{"retention.ms", fmt.Sprint(2000 + v), opSet}), v)
				r.settled(fmt.Sprintf("replaced, v%d", v), q, "retention.ms", fmt.Sprint(2000+v))
			}
		}),
		named("broker, what comes of it", func(r *Run) {
			t := r.Topic("t", 1)
			own, all := describeNamed(broker, "0", "log.retention.ms", "log.retention.hours", "message.max.bytes"), describeNamed(broker, "", "log.retention.ms", "message.max.bytes")
			of := describeNamed(topicRes, t, "retention.ms", "max.message.bytes")
			r.Do("for all", incremental(broker, "", op{"log.retention.ms", "600000", opSet}), 1)
			r.settled("for all, described", all, "log.retention.ms", "600000")
			r.settled("for all, of the topic", of, "retention.ms", "600000")
			r.Do("for one", incremental(broker, "0", op{"log.retention.ms", "700000", opSet}, op{"message.max.bytes", "2000000", opSet}), 1)
			r.settled("for one, described", own, "message.max.bytes", "2000000")
			r.settled("for one, of the topic", of, "max.message.bytes", "2000000")
			r.Do("for one, away", incremental(broker, "0", op{"log.retention.ms", "\x00", opDelete}, op{"message.max.bytes", "\x00", opDelete}), 1)
			r.settled("for one, away, described", own, "log.retention.ms", "600000")
			r.Do("for all, away", replaceConfigs(broker, ""), 2)
			r.settled("for all, away, of the topic", of, "retention.ms", "-1")
		}),
	)
}
