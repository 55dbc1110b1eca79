package admin

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// TopicPartition names a partition.
type TopicPartition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
}

func (tp TopicPartition) String() string { return tp.Topic + "-" + itoa(tp.Partition) }

// Election says whose leaders are elected anew.
type Election struct {
	Partitions []TopicPartition // nil: all of the cluster
	Unclean    bool             // replicas that are not in sync may lead where no other can, which loses records
}

// ElectLeaders lets preferred replicas lead, or any replica if the election is unclean.
func ElectLeaders(ctx context.Context, o Options, e Election) (Results, error) {
	return do(ctx, o, func(ctx context.Context, c conn) (Results, error) {
		req := kmsg.NewPtrElectLeadersRequest()
		req.TimeoutMillis = int32(o.Timeout.Milliseconds())
		done := "led by the preferred replica"
		if e.Unclean {
			req.ElectionType, done = 1, "has a leader"
		}
		for _, tp := range e.Partitions {
			if n := len(req.Topics); n > 0 && req.Topics[n-1].Topic == tp.Topic {
				req.Topics[n-1].Partitions = append(req.Topics[n-1].Partitions, tp.Partition)
				continue
			}
			t := kmsg.NewElectLeadersRequestTopic()
			t.Topic, t.Partitions = tp.Topic, []int32{tp.Partition}
			req.Topics = append(req.Topics, t)
		}
		resp, err := req.RequestWith(ctx, c.requests)
		if err == nil {
			err = kerr.ErrorForCode(resp.ErrorCode)
		}
		if err != nil {
			return nil, err
		}
		out := Results{}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				tp, err := TopicPartition{t.Topic, p.Partition}, kerr.ErrorForCode(p.ErrorCode)
				if errors.Is(err, kerr.ElectionNotNeeded) {
					out = append(out, Result{Of: tp.String(), Done: "needs none"})
					continue
				}
				out = append(out, result(tp.String(), done, err, deref(p.ErrorMessage)))
			}
		}
		return out.sorted(), nil
	})
}
