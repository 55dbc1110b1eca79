package transactions

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/coordinator"
	"gokafka/metadata"
	"gokafka/record"
)

// topicPartitions lists partitions by topic and number.
func topicPartitions(set map[metadata.TopicPartition]bool) []metadata.TopicPartition {
	return slices.SortedFunc(maps.Keys(set), func(a, b metadata.TopicPartition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
}

// byTopic calls f for each topic of a list that is ordered by topic.
func byTopic(list []metadata.TopicPartition, f func(topic string, partitions []int32)) {
	for len(list) > 0 {
		topic := list[0].Topic
		var partitions []int32
		for len(list) > 0 && list[0].Topic == topic {
			partitions, list = append(partitions, list[0].Partition), list[1:]
		}
		f(topic, partitions)
	}
}

// stateRecord is a state as Apache writes it: with transaction.version 0 in version 0, as 3.9 does, and else in version 1, which 3.9 can read. A client that uses transaction version 2
// unasked needs version 1 too, or the next coordinator would not know what it was told. Without partitions the list is null in Empty, and else empty.
func stateRecord(id string, c *change, level int16) coordinator.KV {
	k := kmsg.TxnMetadataKey{TransactionalID: id}
	v := kmsg.NewTxnMetadataValue()
	v.ProducerID, v.ProducerEpoch, v.TimeoutMillis, v.State = c.producerID, c.epoch, c.timeoutMs, kmsg.TransactionState(c.state)
	v.LastUpdateTimestamp, v.StartTimestamp = c.updateMs, c.startMs
	if level > 0 || c.version > 0 {
		v.Version, v.PreviousProducerID, v.NextProducerID, v.ClientTransactionVersion = 1, c.lastProducer, c.nextProducer, c.version
	}
	if c.state != Empty {
		v.Topics = []kmsg.TxnMetadataValueTopic{}
		byTopic(topicPartitions(c.partitions), func(topic string, partitions []int32) {
			v.Topics = append(v.Topics, kmsg.TxnMetadataValueTopic{Topic: topic, Partitions: partitions})
		})
	}
	return coordinator.KV{Key: k.AppendTo(nil), Value: v.AppendTo(nil)}
}

func tombstone(id string) coordinator.KV {
	k := kmsg.TxnMetadataKey{TransactionalID: id}
	return coordinator.KV{Key: k.AppendTo(nil)}
}

// Replay takes a record while the partition is loaded (Kafka 3.9 TransactionStateManager.loadTransactionMetadata).
func (s *shard) Replay(r *record.Record, _ int64) error {
	if len(r.Key) < 2 || r.Key[0] != 0 || r.Key[1] != 0 {
		s.skipped++ // of a later version
		return nil
	}
	var k kmsg.TxnMetadataKey
	if err := k.ReadFrom(r.Key); err != nil {
		return fmt.Errorf("key of a transaction at %d: %w", r.Offset, err)
	}
	if r.Value == nil {
		delete(s.txns, k.TransactionalID)
		return nil
	}
	var v kmsg.TxnMetadataValue
	if err := v.ReadFrom(r.Value); err != nil {
		return fmt.Errorf("transaction at %d: %w", r.Offset, err)
	}
	if st := State(v.State); st < Empty || st > CompleteAbort {
		return fmt.Errorf("transaction at %d has state %d", r.Offset, v.State)
	}
	t := &txn{id: k.TransactionalID, producerID: v.ProducerID, lastProducer: record.NoProducerID, nextProducer: record.NoProducerID, epoch: v.ProducerEpoch,
		lastEpoch: record.NoProducerEpoch, timeoutMs: v.TimeoutMillis, state: State(v.State), pending: noState, partitions: map[metadata.TopicPartition]bool{},
		startMs: v.StartTimestamp, updateMs: v.LastUpdateTimestamp}
	if v.Version > 0 {
		t.lastProducer, t.nextProducer, t.version = v.PreviousProducerID, v.NextProducerID, v.ClientTransactionVersion
	}
	for _, vt := range v.Topics {
		for _, p := range vt.Partitions {
			t.partitions[metadata.TopicPartition{Topic: vt.Topic, Partition: p}] = true
		}
	}
	s.txns[t.id] = t
	return nil
}

// ReplayMarker is for topics that take part in transactions; this one does not.
func (s *shard) ReplayMarker(int64, bool) {}
