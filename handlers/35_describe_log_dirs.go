package handlers

import (
	"context"
	"math"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/metadata"
	"gokafka/replication"
	"gokafka/security"
)

// DescribeLogDirs describes the log directories of this broker and the replicas in them, of the named partitions or, with null topics, of all (KIP-113,
// KIP-827), versions 0 to 4. v2 is flexible, v3 has an error of its own, v4 the bytes of the volume.
//
// Any broker serves it, for itself. Before v3 a requester who may not ask is told nothing. Source: Kafka 3.9 KafkaApis.handleDescribeLogDirsRequest.
func (h *Handlers) DescribeLogDirs(ctx context.Context, r *Request, q *kmsg.DescribeLogDirsRequest) *kmsg.DescribeLogDirsResponse {
	resp := q.ResponseKind().(*kmsg.DescribeLogDirsResponse)
	if !h.mayCluster(ctx, r, security.Describe) {
		resp.ErrorCode = h.code(kerr.ClusterAuthorizationFailed)
		return resp
	}
	wanted := func(metadata.TopicPartition) bool { return true }
	if q.Topics != nil {
		asked := map[metadata.TopicPartition]bool{}
		for _, t := range q.Topics {
			for _, p := range t.Partitions {
				asked[metadata.TopicPartition{Topic: t.Topic, Partition: p}] = true
			}
		}
		wanted = func(tp metadata.TopicPartition) bool { return asked[tp] }
	}
	for _, d := range h.Replicas.DescribeLogDirs(wanted) {
		resp.Dirs = append(resp.Dirs, h.logDir(&d))
	}
	return resp
}

func (h *Handlers) logDir(d *replication.LogDir) kmsg.DescribeLogDirsResponseDir {
	out := kmsg.NewDescribeLogDirsResponseDir()
	out.Dir = d.Path
	if d.Err != nil {
		out.ErrorCode = h.code(kerr.KafkaStorageError)
		return out
	}
	if d.TotalBytes > 0 {
		out.TotalBytes, out.UsableBytes = int64(min(d.TotalBytes, math.MaxInt64)), int64(min(d.UsableBytes, math.MaxInt64))
	}
	for _, r := range d.Replicas { // by topic and partition
		if n := len(out.Topics); n == 0 || out.Topics[n-1].Topic != r.TopicPartition.Topic {
			t := kmsg.NewDescribeLogDirsResponseDirTopic()
			t.Topic = r.TopicPartition.Topic
			out.Topics = append(out.Topics, t)
		}
		p := kmsg.NewDescribeLogDirsResponseDirTopicPartition()
		p.Partition, p.Size, p.OffsetLag, p.IsFuture = r.TopicPartition.Partition, r.Size, r.OffsetLag, r.Future
		t := &out.Topics[len(out.Topics)-1]
		t.Partitions = append(t.Partitions, p)
	}
	return out
}
