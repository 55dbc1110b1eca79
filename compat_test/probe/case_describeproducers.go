package probe

import (
	"strings"

	"github.com/twmb/franz-go/pkg/kmsg"
)

func describeProducersCases() []Case {
	ask := func(topic string, partitions ...int32) *kmsg.DescribeProducersRequest {
		req := kmsg.NewPtrDescribeProducersRequest()
		t := kmsg.NewDescribeProducersRequestTopic()
		t.Topic, t.Partitions = topic, partitions
		req.Topics = append(req.Topics, t)
		return req
	}
	return group("describeproducers",
		named("what producers wrote", func(r *Run) {
			t := r.Topic("t", 2)
			r.appendAll(t, 9_000_301, 9, []seq{{0, 0, 3, ""}, {0, 3, 2, ""}, {1, 0, 1, "a new epoch"}})
			r.Do("one partition", ask(t, 0), 0)
			r.Do("all partitions", ask(t, 1, 0), 0)
			r.Do("a partition twice", ask(t, 0, 0), 0)
		}),
		named("refused", func(r *Run) {
			t := r.Topic("t", 1)
			r.Do("unknown topic", ask("none", 0, 1), 0)
			r.Do("unknown partition", ask(t, 1), 0)
			r.Do("negative partition", ask(t, -1), 0)
			r.Do("invalid name", ask("not valid!", 0), 0)
			r.Do("empty name", ask("", 0), 0)
			r.Do("long name", ask(strings.Repeat("x", 300), 0), 0)
			r.Do("no partition", ask(t), 0)
			r.Do("no topic", kmsg.NewPtrDescribeProducersRequest(), 0)
		}),
	)
}
