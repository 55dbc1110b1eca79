package probe

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/wire"
)

func addDeleteRecords(req *kmsg.DeleteRecordsRequest, topic string, partition int32, offset int64) {
	p := kmsg.NewDeleteRecordsRequestTopicPartition()
	p.Partition, p.Offset = partition, offset
	t := kmsg.NewDeleteRecordsRequestTopic()
	t.Topic = topic
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
}

// deleteRecords asks to delete what is below offset.
func deleteRecords(topic string, partition int32, offset int64) *kmsg.DeleteRecordsRequest {
	req := kmsg.NewPtrDeleteRecordsRequest()
	req.TimeoutMillis = 5000
	addDeleteRecords(req, topic, partition, offset)
	return req
}

func deleteRecordsCases() []Case {
	fill := func(r *Run, suffix string, configs ...string) string {
		t := r.Topic(suffix, 1, configs...)
		for i := range 5 {
			records := wire.Values(4)
			for j := range records {
				records[j].Key = fmt.Appendf(nil, "key-%d", j)
			}
			r.Produce(t, 0, wire.Batch{Records: records, BaseTimestamp: wire.BaseTimestamp + int64(i)}.Bytes())
		}
		return t
	}
	return group("deleterecords",
		named("offsets", func(r *Run) {
			for v := range int16(3) {
				t := fill(r, fmt.Sprintf("v%d", v))
				for _, offset := range []int64{0, 3, 2, 3, 8, -2, -9, 21, 1 << 40, 20, 20, -1} {
					r.Do(fmt.Sprintf("to %d", offset), deleteRecords(t, 0, offset), v)
					r.Do("earliest", listOffset(t, 0, -2), 7)
				}
				r.Do("latest", listOffset(t, 0, -1), 7)
			}
		}),
		named("to the high watermark", func(r *Run) {
			t := fill(r, "t")
			r.Do("-1", deleteRecords(t, 0, -1), 2)
			r.Do("-1 again", deleteRecords(t, 0, -1), 2)
			r.Do("earliest", listOffset(t, 0, -2), 7)
			r.Do("the first record by time", listOffset(t, 0, 0), 7)
			r.Do("the largest time", listOffset(t, 0, -3), 7)
			r.Do("another record", wire.ProduceRequest(t, 0, wire.Batch{Records: wire.Values(1)}.Bytes()), 9)
			r.Do("of an empty partition", deleteRecords(r.Topic("empty", 1), 0, -1), 2)
		}),
		named("in the middle of a batch", func(r *Run) {
			t := fill(r, "t")
			r.Do("to 6", deleteRecords(t, 0, 6), 2)
			for _, offset := range []int64{0, 5, 6, 7} {
				r.Do(fmt.Sprintf("fetch from %d", offset), fetch(0, 1, part{topic: t, offset: offset}), 11)
			}
			r.Do("the first record by time", listOffset(t, 0, 0), 7)
			r.Do("a time below the log start", listOffset(t, 0, wire.BaseTimestamp), 7)
			r.Do("a time in the cut batch", listOffset(t, 0, wire.BaseTimestamp+1), 7)
			ep := kmsg.NewPtrOffsetForLeaderEpochRequest()
			et, pt := kmsg.NewOffsetForLeaderEpochRequestTopic(), kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
			ep.ReplicaID, pt.CurrentLeaderEpoch = -1, -1
			et.Topic, et.Partitions = t, append(et.Partitions, pt)
			ep.Topics = append(ep.Topics, et)
			r.Do("the end of epoch 0", ep, 3)
		}),
		named("over segments", func(r *Run) {
			t := fill(r, "t", "segment.bytes", "300")
			r.Do("to 13", deleteRecords(t, 0, 13), 2)
			r.Do("earliest", listOffset(t, 0, -2), 7)
			r.Do("fetch from 12", fetch(0, 1, part{topic: t, offset: 12}), 11)
			r.Do("fetch from 13", fetch(0, 1, part{topic: t, offset: 13}), 11)
		}),
		named("refused", func(r *Run) {
			t := fill(r, "t")
			c := fill(r, "compacted", "cleanup.policy", "compact")
			both := fill(r, "both", "cleanup.policy", "compact,delete")
			for v := range int16(3) {
				r.Do("unknown topic", deleteRecords("none", 0, 1), v)
				r.Do("unknown partition", deleteRecords(t, 1, 1), v)
				r.Do("negative partition", deleteRecords(t, -1, 1), v)
				r.Do("no topic", kmsg.NewPtrDeleteRecordsRequest(), v)
			}
			r.Do("compacted", deleteRecords(c, 0, 3), 2)
			r.Do("compacted and deleted", deleteRecords(both, 0, 3), 2)
			r.Do("an internal topic that is not there", deleteRecords("__consumer_offsets", 0, 0), 2)
			many := deleteRecords(t, 0, 2)
			addDeleteRecords(many, "none", 0, 1)
			addDeleteRecords(many, both, 0, 4)
			addDeleteRecords(many, t, 1, 1)
			r.Do("many", many, 2)
			twice := deleteRecords(t, 0, 99)
			addDeleteRecords(twice, t, 0, 5)
			r.Do("a partition twice", twice, 2)
			now := deleteRecords(t, 0, 7)
			now.TimeoutMillis = 0
			r.Do("timeout 0", now, 2)
			now = deleteRecords(t, 0, 8)
			now.TimeoutMillis = -5
			r.Do("timeout -5", now, 2)
		}),
	)
}
