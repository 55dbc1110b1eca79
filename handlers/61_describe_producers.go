package handlers

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/metadata"
	"gokafka/security"
	"gokafka/topics"
)

// DescribeProducers tells what this broker's replicas know of producers (KIP-664), version 0. Followers answer too.
func (h *Handlers) DescribeProducers(ctx context.Context, r *Request, q *kmsg.DescribeProducersRequest) *kmsg.DescribeProducersResponse {
	resp := q.ResponseKind().(*kmsg.DescribeProducersResponse)
	resp.Topics = []kmsg.DescribeProducersResponseTopic{}
	for i := range q.Topics {
		t := kmsg.NewDescribeProducersResponseTopic()
		t.Topic = q.Topics[i].Topic
		err := h.refuseDescribeProducers(ctx, r, t.Topic)
		for _, index := range q.Topics[i].Partitions {
			p := kmsg.NewDescribeProducersResponseTopicPartition()
			p.Partition, p.ActiveProducers = index, []kmsg.DescribeProducersResponseTopicPartitionActiveProducer{}
			if err != nil {
				p.ErrorCode, p.ErrorMessage = h.code(err), describedBy(err)
			} else {
				h.describeProducers(metadata.TopicPartition{Topic: t.Topic, Partition: index}, &p)
			}
			t.Partitions = append(t.Partitions, p)
		}
		resp.Topics = append(resp.Topics, t)
	}
	return resp
}

func (h *Handlers) refuseDescribeProducers(ctx context.Context, r *Request, topic string) error {
	switch err := topics.ValidateName(topic); {
	case err != nil:
		return err
	case !h.may(ctx, r, security.Read, security.Topic, topic):
		return kerr.TopicAuthorizationFailed
	case h.Cluster.Image().Topic(topic) == nil:
		return kerr.UnknownTopicOrPartition
	}
	return nil
}

// describedBy is the text beside an error: its own, or Kafka's for the code.
func describedBy(err error) *string {
	var te *topics.Error
	if errors.As(err, &te) {
		return &te.Message
	}
	var ke *kerr.Error
	if errors.As(err, &ke) {
		return &ke.Description
	}
	return nil
}

func (h *Handlers) describeProducers(tp metadata.TopicPartition, p *kmsg.DescribeProducersResponseTopicPartition) {
	part, err := h.Replicas.Lookup(tp)
	if err == nil {
		producers, perr := part.ActiveProducers()
		for _, e := range producers {
			a := kmsg.NewDescribeProducersResponseTopicPartitionActiveProducer()
			a.ProducerID, a.ProducerEpoch, a.LastSequence, a.LastTimestamp = e.ProducerID, int32(e.ProducerEpoch), e.LastSequence, e.TimestampMs
			a.CoordinatorEpoch, a.CurrentTxnStartOffset = e.CoordinatorEpoch, e.CurrentTxnFirstOffset
			p.ActiveProducers = append(p.ActiveProducers, a)
		}
		err = perr
	}
	p.ErrorCode = h.code(err)
}
