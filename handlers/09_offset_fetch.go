package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/groups"
	"gokafka/metadata"
	"gokafka/security"
)

// OffsetFetch gives the committed offsets of groups, versions 0 to 9. v0 reads ZooKeeper, v1 __consumer_offsets, v2 may ask for all and has an error of the group, v5 adds
// leader epochs, v6 is flexible, v7 may ask for stable offsets (KIP-447), v8 takes several groups (KIP-709), v9 names the member (KIP-848).
//
// Source: Kafka 3.9 KafkaApis.handleOffsetFetchRequest.
func (h *Handlers) OffsetFetch(ctx context.Context, r *Request, q *kmsg.OffsetFetchRequest) *kmsg.OffsetFetchResponse {
	resp := q.ResponseKind().(*kmsg.OffsetFetchResponse)
	if r.Version >= 8 {
		for _, g := range q.Groups {
			resp.Groups = append(resp.Groups, h.fetchGroup(ctx, r, &g, q.RequireStable))
		}
		return resp
	}
	g := kmsg.NewOffsetFetchRequestGroup()
	if g.Group = q.Group; q.Topics != nil || r.Version < 2 {
		g.Topics = []kmsg.OffsetFetchRequestGroupTopic{}
		for _, t := range q.Topics {
			gt := kmsg.NewOffsetFetchRequestGroupTopic()
			gt.Topic, gt.Partitions = t.Topic, t.Partitions
			g.Topics = append(g.Topics, gt)
		}
	}
	rg := h.fetchGroup(ctx, r, &g, r.Version >= 7 && q.RequireStable)
	resp.ErrorCode = rg.ErrorCode
	if rg.ErrorCode != 0 && r.Version < 2 { // said of each partition
		for _, t := range g.Topics {
			gt := kmsg.NewOffsetFetchResponseGroupTopic()
			gt.Topic = t.Topic
			for _, p := range t.Partitions {
				gt.Partitions = append(gt.Partitions, noOffset(p, rg.ErrorCode))
			}
			rg.Topics = append(rg.Topics, gt)
		}
	}
	for _, t := range rg.Topics {
		rt := kmsg.NewOffsetFetchResponseTopic()
		rt.Topic = t.Topic
		for _, p := range t.Partitions {
			rp := kmsg.NewOffsetFetchResponseTopicPartition()
			rp.Partition, rp.Offset, rp.LeaderEpoch, rp.Metadata, rp.ErrorCode = p.Partition, p.Offset, p.LeaderEpoch, p.Metadata, p.ErrorCode
			rt.Partitions = append(rt.Partitions, rp)
		}
		resp.Topics = append(resp.Topics, rt)
	}
	return resp
}

func noOffset(partition int32, code int16) kmsg.OffsetFetchResponseGroupTopicPartition {
	p := kmsg.NewOffsetFetchResponseGroupTopicPartition()
	p.Partition, p.Offset, p.LeaderEpoch, p.Metadata, p.ErrorCode = partition, -1, -1, new(string), code
	return p
}

func (h *Handlers) fetchGroup(ctx context.Context, r *Request, g *kmsg.OffsetFetchRequestGroup, stable bool) kmsg.OffsetFetchResponseGroup {
	out := kmsg.NewOffsetFetchResponseGroup()
	out.Group = g.Group
	if !h.may(ctx, r, security.Describe, security.Group, g.Group) {
		out.ErrorCode = h.code(kerr.GroupAuthorizationFailed)
		return out
	}
	var parts []groups.Part
	readable := map[string]bool{}
	if g.Topics != nil {
		parts = []groups.Part{}
		for _, t := range g.Topics {
			if readable[t.Topic] = h.may(ctx, r, security.Describe, security.Topic, t.Topic); readable[t.Topic] {
				for _, p := range t.Partitions {
					parts = append(parts, groups.Part{Topic: t.Topic, Partition: p})
				}
			}
		}
	}
	as := groups.FetchAs{Epoch: -1}
	if r.Version >= 9 {
		as = groups.FetchAs{MemberID: g.MemberID, Epoch: g.MemberEpoch}
	}
	fetched, err := h.committed(ctx, r, g.Group, as, parts, stable)
	if err != nil {
		out.ErrorCode = h.code(err)
		return out
	}
	at := map[string]int{}
	add := func(topic string, p kmsg.OffsetFetchResponseGroupTopicPartition) {
		i, ok := at[topic]
		if !ok {
			i = len(out.Topics)
			at[topic] = i
			t := kmsg.NewOffsetFetchResponseGroupTopic()
			t.Topic = topic
			out.Topics = append(out.Topics, t)
		}
		out.Topics[i].Partitions = append(out.Topics[i].Partitions, p)
	}
	for _, f := range fetched {
		if g.Topics == nil && !h.may(ctx, r, security.Describe, security.Topic, f.Topic) {
			continue
		}
		p := noOffset(f.Partition, h.code(f.Err))
		if f.Err == nil {
			metadata := f.Metadata
			p.Offset, p.LeaderEpoch, p.Metadata = f.Offset, f.LeaderEpoch, &metadata
		}
		add(f.Topic, p)
	}
	for _, t := range g.Topics {
		if !readable[t.Topic] {
			for _, p := range t.Partitions {
				add(t.Topic, noOffset(p, h.code(kerr.TopicAuthorizationFailed)))
			}
		}
	}
	return out
}

// committed reads the offsets from where the version of the request has them.
func (h *Handlers) committed(ctx context.Context, r *Request, group string, as groups.FetchAs, parts []groups.Part, stable bool) ([]groups.Fetched, error) {
	if r.Version > 0 {
		return h.Groups.Fetch(ctx, group, as, parts, stable)
	}
	im := h.Cluster.Image()
	var out []groups.Fetched
	for _, p := range parts {
		f := groups.Fetched{Topic: p.Topic, Partition: p.Partition, Offset: -1, LeaderEpoch: -1}
		if im.Partition(metadata.TopicPartition(p)) == nil {
			f.Err = kerr.UnknownTopicOrPartition
		} else {
			var there bool
			if f.Offset, there, f.Err = h.OldOffsets.Fetch(ctx, group, p.Topic, p.Partition); f.Err == nil && !there {
				f.Err = kerr.UnknownTopicOrPartition
			}
		}
		out = append(out, f)
	}
	return out, nil
}
