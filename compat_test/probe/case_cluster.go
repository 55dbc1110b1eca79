package probe

import (
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func describeClusterCases() []Case {
	return group("describecluster",
		named("every version", func(r *Run) {
			for v := range int16(2) {
				req := kmsg.NewPtrDescribeClusterRequest()
				req.EndpointType = 1
				r.Do("brokers", req, v)
				req.IncludeClusterAuthorizedOperations = true
				r.Do("with authorized operations", req, v)
			}
		}),
		named("endpoint type", func(r *Run) {
			for _, e := range []int8{0, 2, 3, -1} {
				req := kmsg.NewPtrDescribeClusterRequest()
				req.EndpointType = e
				r.Do(fmt.Sprintf("endpoint type %d", e), req, 1)
			}
		}),
	)
}

// configs asks for the configs of one resource; no names means all.
func configs(kind kmsg.ConfigResourceType, name string, names ...string) *kmsg.DescribeConfigsRequest {
	req := kmsg.NewPtrDescribeConfigsRequest()
	res := kmsg.NewDescribeConfigsRequestResource()
	res.ResourceType, res.ResourceName, res.ConfigNames = kind, name, names
	req.Resources = append(req.Resources, res)
	return req
}

// ownValues are broker configs whose value is the machine's or the run's.
var ownValues = []string{"log.dir", "log.dirs", "listeners", "advertised.listeners", "zookeeper.connect", "port"}

// describe records configs with the values of ownValues masked.
func describe(r *Run, step string, req *kmsg.DescribeConfigsRequest, v int16) {
	a, err := r.connection().Exchange(req, v)
	if err == nil {
		for _, res := range a.Resp.(*kmsg.DescribeConfigsResponse).Resources {
			for i := range res.Configs {
				c := &res.Configs[i]
				if slices.Contains(ownValues, c.Name) && c.Value != nil {
					c.Value = kmsg.StringPtr("OWN")
				}
				for j := range c.ConfigSynonyms {
					if s := &c.ConfigSynonyms[j]; slices.Contains(ownValues, s.Name) && s.Value != nil {
						s.Value = kmsg.StringPtr("OWN")
					}
				}
			}
		}
	}
	r.note(fmt.Sprintf("v%d: %s", v, step), a, err)
}

func describeConfigsCases() []Case {
	const topic, broker, logger = kmsg.ConfigResourceTypeTopic, kmsg.ConfigResourceTypeBroker, kmsg.ConfigResourceTypeBrokerLogger
	return group("describeconfigs",
		named("topic, all", func(r *Run) {
			t := r.Topic("t", 1, "retention.ms", "7777777", "cleanup.policy", "compact,delete")
			for v := range int16(5) {
				describe(r, "all", configs(topic, t), v)
			}
			empty := configs(topic, t)
			empty.Resources[0].ConfigNames = []string{}
			describe(r, "empty list of names", empty, 4)
			syn := configs(topic, t)
			syn.IncludeSynonyms, syn.IncludeDocumentation = true, true
			describe(r, "synonyms and documentation", syn, 4)
		}),
		named("topic, some", func(r *Run) {
			t := r.Topic("t", 1, "max.message.bytes", "2000000")
			for v := range int16(5) {
				req := configs(topic, t, "max.message.bytes", "cleanup.policy", "no.such.config", "retention.ms")
				req.IncludeSynonyms = true
				describe(r, "two known, one unknown, one of the broker", req, v)
				describe(r, "the same twice", configs(topic, t, "cleanup.policy", "cleanup.policy"), v)
			}
		}),
		named("topic, wrong", func(r *Run) {
			for _, v := range []int16{0, 4} {
				describe(r, "unknown topic", configs(topic, r.Name("missing")), v)
				describe(r, "bad name", configs(topic, "a b"), v)
				describe(r, "empty name", configs(topic, ""), v)
			}
		}),
		named("broker, some", func(r *Run) {
			for v := range int16(5) {
				req := configs(broker, "0", "log.retention.ms", "listeners", "advertised.listeners", "num.io.threads", "log.dirs",
					"ssl.keystore.password", "no.such.config", "inter.broker.protocol.version", "auto.create.topics.enable",
					"message.max.bytes", "broker.id", "compression.type", "log.cleanup.policy")
				req.IncludeSynonyms = true
				describe(r, "some", req, v)
			}
		}),
		named("broker, wrong", func(r *Run) {
			for _, name := range []string{"7", "x", "-1", ""} {
				describe(r, "broker "+name, configs(broker, name, "num.io.threads"), 4)
			}
		}),
		named("broker, all names", func(r *Run) {
			resp := r.Quiet(configs(broker, "0"), 4).(*kmsg.DescribeConfigsResponse)
			var names []string
			for _, c := range resp.Resources[0].Configs {
				names = append(names, fmt.Sprintf("%s type=%d readonly=%v sensitive=%v", c.Name, c.ConfigType, c.ReadOnly, c.IsSensitive))
			}
			slices.Sort(names)
			r.record("names, types", names)
		}),
		named("broker, all values", func(r *Run) {
			resp := r.Quiet(configs(broker, "0"), 4).(*kmsg.DescribeConfigsResponse)
			var lines []string
			for _, c := range resp.Resources[0].Configs {
				if c.Name == "zookeeper.connect" { // set for Apache only
					continue
				}
				value := "null"
				if c.Value != nil {
					value = *c.Value
				}
				if slices.Contains(ownValues, c.Name) {
					value = "OWN"
				}
				lines = append(lines, fmt.Sprintf("%s=%s source=%d", c.Name, value, c.Source))
			}
			slices.Sort(lines)
			r.record("values, sources", lines)
		}),
		named("other kinds", func(r *Run) {
			for _, v := range []int16{0, 4} {
				describe(r, "kind 0", configs(0, "x"), v)
				describe(r, "kind 3", configs(3, "x"), v)
				describe(r, "client metrics in ZooKeeper mode", configs(16, "x"), v)
				describe(r, "logger of another broker", configs(logger, "7"), v)
				describe(r, "logger of no broker", configs(logger, ""), v)
			}
			t := r.Topic("t", 1)
			two := configs(topic, t, "cleanup.policy")
			two.Resources = append(two.Resources, configs(topic, r.Name("missing"), "cleanup.policy").Resources...)
			two.Resources = append(two.Resources, configs(broker, "0", "broker.id").Resources...)
			describe(r, "three resources", two, 4)
			describe(r, "no resources", kmsg.NewPtrDescribeConfigsRequest(), 4)
			twice := configs(topic, t, "cleanup.policy")
			twice.Resources = append(twice.Resources, configs(topic, t, "retention.ms").Resources...)
			describe(r, "the same resource twice", twice, 4)
		}),
	)
}

func findCoordinatorCases() []Case {
	ask := func(kind int8, v int16, keys ...string) *kmsg.FindCoordinatorRequest {
		req := kmsg.NewPtrFindCoordinatorRequest()
		req.CoordinatorType = kind
		if v < 4 {
			req.CoordinatorKey = strings.Join(keys, "")
		} else {
			req.CoordinatorKeys = keys
		}
		return req
	}
	cases := group("findcoordinator",
		named("group", func(r *Run) {
			r.await("coordinator", func() error { // creates __consumer_offsets on first use
				if c := r.Quiet(ask(0, 3, "g"), 3).(*kmsg.FindCoordinatorResponse).ErrorCode; c != 0 {
					return fmt.Errorf("error %d", c)
				}
				return nil
			})
			for v := range int16(7) {
				r.Do("a group", ask(0, v, "g"), v)
				r.Do("empty key", ask(0, v, ""), v)
			}
			for v := int16(4); v < 7; v++ {
				r.Do("three keys", ask(0, v, "a", "b", "a"), v)
				r.Do("no keys", ask(0, v), v)
			}
		}),
		named("kinds", func(r *Run) {
			for v := int16(1); v < 7; v++ {
				r.Do("kind 5", ask(5, v, "g"), v)
				r.Do("kind -1", ask(-1, v, "g"), v)
				r.Do("share", ask(2, v, "g:AAAAAAAAAAAAAAAAAAAAAQ:0"), v)
			}
		}),
	)
	cases[0].Needs = []int16{11} // the internal topic comes with the group coordinator
	return cases
}
