package handlers

import (
	"context"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/controller"
	"gokafka/metadata"
	"gokafka/security"
)

// ElectLeaders elects preferred replicas, or any live replica where no member of the ISR is left (KIP-183, KIP-460), versions 0 to 2.
// v0 knows preferred elections only, v1 has the type of election and an error for all, v2 is flexible.
//
// Only the controller's broker serves it. The answer waits until this broker's picture shows the new leaders, or for the
// request's timeout. Who asks for all partitions is not told of those that needed no election.
// Source: Kafka 3.9 KafkaApis.handleElectLeaders, DelayedElectLeader.
func (h *Handlers) ElectLeaders(ctx context.Context, r *Request, q *kmsg.ElectLeadersRequest) *kmsg.ElectLeadersResponse {
	resp := q.ResponseKind().(*kmsg.ElectLeadersResponse)
	out := electionResults{resp: resp, at: map[string]int{}}
	asked := electionPartitions(q)
	switch kind := controller.ElectionType(q.ElectionType); {
	case !h.mayCluster(ctx, r, security.Alter):
		resp.ErrorCode = kerr.ClusterAuthorizationFailed.Code
		out.all(asked, resp.ErrorCode)
		return resp
	case kind != controller.ElectPreferred && kind != controller.ElectUnclean:
		resp.ErrorCode = kerr.UnknownServerError.Code
		out.all(asked, resp.ErrorCode)
		return resp
	}
	if q.Topics == nil {
		for t := range h.Cluster.Image().Topics() {
			for _, p := range t.Partitions {
				asked = append(asked, metadata.TopicPartition{Topic: t.Name, Partition: p.Index})
			}
		}
	}
	results, err := h.Controller.ElectLeaders(ctx, controller.ElectionType(q.ElectionType), asked)
	if err != nil {
		out.all(asked, h.code(err))
		return resp
	}
	left := h.awaitLeaders(ctx, results, r.Start+time.Duration(q.TimeoutMillis)*time.Millisecond)
	for _, tp := range asked {
		res := results[tp]
		code, message := h.code(res.Err), text(res.Err)
		switch {
		case code == kerr.ElectionNotNeeded.Code && q.Topics == nil:
			continue
		case left[tp]:
			code, message = kerr.RequestTimedOut.Code, nil
		}
		out.add(tp, code, message)
	}
	return resp
}

// electionPartitions are the partitions that a request names, each once.
func electionPartitions(q *kmsg.ElectLeadersRequest) []metadata.TopicPartition {
	var out []metadata.TopicPartition
	seen := map[metadata.TopicPartition]bool{}
	for _, t := range q.Topics {
		for _, p := range t.Partitions {
			if tp := (metadata.TopicPartition{Topic: t.Topic, Partition: p}); !seen[tp] {
				seen[tp] = true
				out = append(out, tp)
			}
		}
	}
	return out
}

// awaitLeaders waits until the picture shows the elected leaders, and returns the partitions for which it does not.
// deadline is on the broker's monotonic clock.
func (h *Handlers) awaitLeaders(ctx context.Context, results map[metadata.TopicPartition]controller.ElectionResult, deadline time.Duration) map[metadata.TopicPartition]bool {
	expected := map[string][]metadata.TopicPartition{}
	var names []string
	for tp, res := range results {
		if res.Err == nil {
			if expected[tp.Topic] == nil {
				names = append(names, tp.Topic)
			}
			expected[tp.Topic] = append(expected[tp.Topic], tp)
		}
	}
	shown := func(im *metadata.Image, tp metadata.TopicPartition) bool {
		p := im.Partition(tp)
		return p != nil && p.Leader == results[tp].Leader
	}
	missing := h.waiting.wait(ctx, h.Clock, names, deadline-h.Clock.Mono(), func(im *metadata.Image, topic string) bool {
		return !slices.ContainsFunc(expected[topic], func(tp metadata.TopicPartition) bool { return !shown(im, tp) })
	})
	left := map[metadata.TopicPartition]bool{}
	im := h.Cluster.Image()
	for _, topic := range missing {
		for _, tp := range expected[topic] {
			if !shown(im, tp) {
				left[tp] = true
			}
		}
	}
	return left
}

// electionResults gathers results by topic, in the order in which they come.
type electionResults struct {
	resp *kmsg.ElectLeadersResponse
	at   map[string]int
}

func (e *electionResults) add(tp metadata.TopicPartition, code int16, message *string) {
	i, ok := e.at[tp.Topic]
	if !ok {
		i = len(e.resp.Topics)
		e.at[tp.Topic] = i
		t := kmsg.NewElectLeadersResponseTopic()
		t.Topic = tp.Topic
		e.resp.Topics = append(e.resp.Topics, t)
	}
	p := kmsg.NewElectLeadersResponseTopicPartition()
	p.Partition, p.ErrorCode, p.ErrorMessage = tp.Partition, code, message
	e.resp.Topics[i].Partitions = append(e.resp.Topics[i].Partitions, p)
}

func (e *electionResults) all(tps []metadata.TopicPartition, code int16) {
	for _, tp := range tps {
		e.add(tp, code, nil)
	}
}
