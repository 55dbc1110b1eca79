package clusterview

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// noBroker stands for a leader or controller that there is not.
const noBroker int32 = -1

// picture is what one broker knows of the cluster.
type picture struct {
	l          *link
	timeout    time.Duration
	id         string
	controller int32
	brokers    []kmsg.MetadataResponseBroker // by id
	topics     []string                      // by name
	partitions []Partition                   // by topic and partition
}

// read asks for the picture. Close it.
func (o *Options) read(ctx context.Context) (*picture, error) {
	l, md, err := o.begin(ctx)
	if err != nil {
		return nil, err
	}
	p := &picture{l: l, timeout: o.Timeout, controller: md.ControllerID, brokers: md.Brokers}
	if md.ClusterID != nil {
		p.id = *md.ClusterID
	}
	slices.SortFunc(p.brokers, func(a, b kmsg.MetadataResponseBroker) int { return cmp.Compare(a.NodeID, b.NodeID) })
	for i := range md.Topics {
		if err := p.add(&md.Topics[i]); err != nil {
			l.close()
			return nil, err
		}
	}
	slices.Sort(p.topics)
	slices.SortFunc(p.partitions, func(a, b Partition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	return p, nil
}

func (p *picture) close() { p.l.close() }

// add takes a topic of the answer. One that is being made or deleted may have an error in place of its partitions; other
// errors are refusals.
func (p *picture) add(t *kmsg.MetadataResponseTopic) error {
	name := ""
	if t.Topic != nil {
		name = *t.Topic
	}
	switch err := kerr.ErrorForCode(t.ErrorCode); {
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID):
		return nil
	case err != nil && !errors.Is(err, kerr.LeaderNotAvailable):
		return fmt.Errorf("topic %s: %w", name, err)
	}
	p.topics = append(p.topics, name)
	for i := range t.Partitions {
		from := &t.Partitions[i]
		p.partitions = append(p.partitions, Partition{
			Topic: name, Partition: from.Partition, Leader: max(from.Leader, noBroker), LeaderEpoch: from.LeaderEpoch,
			Replicas: list(from.Replicas), ISR: list(from.ISR), OfflineReplicas: list(from.OfflineReplicas),
		})
	}
	return nil
}

// list is never nil, so that JSON has [] for it.
func list(ids []int32) []int32 {
	if ids == nil {
		return []int32{}
	}
	return ids
}

func (p *picture) broker(id int32) *kmsg.MetadataResponseBroker {
	i, ok := slices.BinarySearchFunc(p.brokers, id, func(b kmsg.MetadataResponseBroker, id int32) int { return cmp.Compare(b.NodeID, id) })
	if !ok {
		return nil
	}
	return &p.brokers[i]
}

func hostPort(b *kmsg.MetadataResponseBroker) string {
	return net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
}

// configsPerRequest bounds a DescribeConfigs and its answer, which is about 200 bytes for each topic.
const configsPerRequest = 1000

// minISR asks for min.insync.replicas of topics. One that was deleted meanwhile is left out.
func (p *picture) minISR(ctx context.Context, topics []string) (map[string]int, error) {
	const key = "min.insync.replicas"
	out := make(map[string]int, len(topics))
	for some := range slices.Chunk(topics, configsPerRequest) {
		q := kmsg.NewPtrDescribeConfigsRequest()
		for _, name := range some {
			r := kmsg.NewDescribeConfigsRequestResource()
			r.ResourceType, r.ResourceName, r.ConfigNames = kmsg.ConfigResourceTypeTopic, name, []string{key}
			q.Resources = append(q.Resources, r)
		}
		resp, err := ask[*kmsg.DescribeConfigsResponse](ctx, p.l, q)
		if err != nil {
			return nil, err
		}
		for i := range resp.Resources {
			r := &resp.Resources[i]
			err := kerr.ErrorForCode(r.ErrorCode)
			if errors.Is(err, kerr.UnknownTopicOrPartition) {
				continue
			}
			if err != nil {
				return nil, fmt.Errorf("%s of topic %s: %w", key, r.ResourceName, err)
			}
			for _, c := range r.Configs {
				if c.Name != key || c.Value == nil {
					continue
				}
				n, err := strconv.Atoi(*c.Value)
				if err != nil {
					return nil, fmt.Errorf("%s of topic %s is %q", key, r.ResourceName, *c.Value)
				}
				out[r.ResourceName] = n
			}
		}
	}
	return out, nil
}

// adding asks the controller how many replicas of each partition are only being added: such a partition is not under-replicated
// for want of them. A broker that does not serve the question, or a requester who may not ask it, gives none, as in Kafka
// 3.9 TopicCommand; so does a controller that cannot be reached, with a note.
func (o *Options) adding(ctx context.Context, p *picture) map[partitionKey]int {
	out := map[partitionKey]int{}
	err := p.reassignments(ctx, func(topic string, r *kmsg.ListPartitionReassignmentsResponseTopicPartition) {
		out[partitionKey{topic, r.Partition}] = len(r.AddingReplicas)
	})
	if err != nil && !errors.Is(err, kerr.ClusterAuthorizationFailed) {
		o.note("running reassignments are not known, replicas that are being added count as missing: %v", err)
	}
	return out
}

type partitionKey struct {
	topic     string
	partition int32
}

func (p *picture) reassignments(ctx context.Context, each func(topic string, r *kmsg.ListPartitionReassignmentsResponseTopicPartition)) error {
	c := p.broker(p.controller)
	if c == nil {
		return errors.New("there is no controller")
	}
	ctx, cancel := context.WithTimeout(ctx, p.timeout/4) // it matters less than what is to be shown
	defer cancel()
	l, err := dial(hostPort(c), p.timeout/4)
	if err != nil {
		return err
	}
	defer l.close()
	served, err := serves(ctx, l, kmsg.ListPartitionReassignments)
	if err != nil || !served {
		return err
	}
	q := kmsg.NewPtrListPartitionReassignmentsRequest() // no topics = all of them
	q.TimeoutMillis = int32(p.timeout.Milliseconds() / 4)
	resp, err := ask[*kmsg.ListPartitionReassignmentsResponse](ctx, l, q)
	if err != nil {
		return err
	}
	if err := kerr.ErrorForCode(resp.ErrorCode); err != nil {
		return err
	}
	for i := range resp.Topics {
		for j := range resp.Topics[i].Partitions {
			each(resp.Topics[i].Topic, &resp.Topics[i].Partitions[j])
		}
	}
	return nil
}

// serves says whether the broker lists the key.
func serves(ctx context.Context, l *link, key kmsg.Key) (bool, error) {
	q := kmsg.NewPtrApiVersionsRequest()
	q.ClientSoftwareName, q.ClientSoftwareVersion = clientID, "1"
	resp, err := ask[*kmsg.ApiVersionsResponse](ctx, l, q)
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(resp.ApiKeys, func(k kmsg.ApiVersionsResponseApiKey) bool { return k.ApiKey == key.Int16() }), nil
}
