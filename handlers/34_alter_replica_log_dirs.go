package handlers

import (
	"context"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/metadata"
	"gokafka/replication"
	"gokafka/security"
)

// AlterReplicaLogDirs moves replicas of this broker to other log directories (KIP-113), versions 0 to 2. v1 throttles as of KIP-219, v2 is flexible.
//
// The answer says that the moves have begun: DescribeLogDirs tells how far they are. A replica that is not here yet is refused with
// REPLICA_NOT_AVAILABLE, and will be made in the wanted directory. Source: Kafka 3.9 KafkaApis.handleAlterReplicaLogDirsRequest.
func (h *Handlers) AlterReplicaLogDirs(ctx context.Context, r *Request, q *kmsg.AlterReplicaLogDirsRequest) *kmsg.AlterReplicaLogDirsResponse {
	var list []replication.DirMove
	at := map[metadata.TopicPartition]int{}
	for _, d := range q.Dirs {
		for _, t := range d.Topics {
			for _, p := range t.Partitions {
				tp := metadata.TopicPartition{Topic: t.Topic, Partition: p}
				if i, ok := at[tp]; ok { // named twice: the last one counts
					list[i].Dir = d.Dir
					continue
				}
				at[tp] = len(list)
				list = append(list, replication.DirMove{TopicPartition: tp, Dir: d.Dir})
			}
		}
	}
	var err error = kerr.ClusterAuthorizationFailed
	if h.mayCluster(ctx, r, security.Alter) {
		err = h.Replicas.AlterLogDirs(ctx, list)
	}
	if err != nil {
		for i := range list {
			list[i].Err = err
		}
	}
	resp := q.ResponseKind().(*kmsg.AlterReplicaLogDirsResponse)
	topics := map[string]int{}
	for _, mv := range list {
		i, ok := topics[mv.TopicPartition.Topic]
		if !ok {
			i = len(resp.Topics)
			topics[mv.TopicPartition.Topic] = i
			t := kmsg.NewAlterReplicaLogDirsResponseTopic()
			t.Topic = mv.TopicPartition.Topic
			resp.Topics = append(resp.Topics, t)
		}
		p := kmsg.NewAlterReplicaLogDirsResponseTopicPartition()
		p.Partition, p.ErrorCode = mv.TopicPartition.Partition, h.code(mv.Err)
		resp.Topics[i].Partitions = append(resp.Topics[i].Partitions, p)
	}
	return resp
}
