package probe

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/wire"
)

func addListOffset(req *kmsg.ListOffsetsRequest, topic string, partition int32, timestamp int64, currentEpoch int32) {
	p := kmsg.NewListOffsetsRequestTopicPartition()
	p.Partition, p.Timestamp, p.CurrentLeaderEpoch, p.MaxNumOffsets = partition, timestamp, currentEpoch, 10
	if n := len(req.Topics); n > 0 && req.Topics[n-1].Topic == topic {
		req.Topics[n-1].Partitions = append(req.Topics[n-1].Partitions, p)
		return
	}
	t := kmsg.NewListOffsetsRequestTopic()
	t.Topic = topic
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
}

// listOffset asks for one timestamp of one partition as a consumer.
func listOffset(topic string, partition int32, timestamp int64) *kmsg.ListOffsetsRequest {
	req := kmsg.NewPtrListOffsetsRequest()
	req.ReplicaID = -1
	addListOffset(req, topic, partition, timestamp, -1)
	return req
}

func listOffsetsCases() []Case {
	const t0 = wire.BaseTimestamp
	return group("listoffsets",
		named("timestamps", func(r *Run) {
			t := r.Topic("t", 2)
			r.Produce(t, 0,
				wire.Batch{Records: []wire.Record{{Value: []byte("a")}, {Value: []byte("b"), TimestampDelta: 10}}}.Bytes(),
				wire.Batch{Records: []wire.Record{{Value: []byte("c"), TimestampDelta: 50}, {Value: []byte("d"), TimestampDelta: 30}}}.Bytes(),
				wire.Batch{Records: []wire.Record{{Value: []byte("e"), TimestampDelta: 40}}}.Bytes())
			for v := range int16(10) {
				for _, ts := range []int64{-1, -2, -3, -4, -5, -6, -7, 0, t0, t0 + 1, t0 + 10, t0 + 11, t0 + 35, t0 + 50, t0 + 51} {
					name := fmt.Sprint(ts)
					if ts >= t0 {
						name = fmt.Sprintf("t0+%d", ts-t0)
					}
					r.Do(name, listOffset(t, 0, ts), v)
				}
				r.Do("latest of an empty partition", listOffset(t, 1, -1), v)
				r.Do("a time in an empty partition", listOffset(t, 1, t0), v)
				r.Do("maximum in an empty partition", listOffset(t, 1, -3), max(v, 7))
			}
		}),
		named("old answers", func(r *Run) {
			t := r.Topic("t", 1, "segment.bytes", "1000")
			for i := range 40 {
				r.Produce(t, 0, wire.Batch{Records: wire.Values(1), BaseTimestamp: t0 + int64(i)}.Bytes())
			}
			for _, n := range []int32{1, 2, 10} {
				req := listOffset(t, 0, -1)
				req.Topics[0].Partitions[0].MaxNumOffsets = n
				r.Do(fmt.Sprintf("latest, %d offsets", n), req, 0)
				req = listOffset(t, 0, -2)
				req.Topics[0].Partitions[0].MaxNumOffsets = n
				r.Do(fmt.Sprintf("earliest, %d offsets", n), req, 0)
			}
		}),
		named("old questions", func(r *Run) {
			t := r.Topic("t", 1, "segment.bytes", "1000")
			r.Do("an empty log", listOffset(t, 0, -1), 0)
			for i := range 40 {
				r.Produce(t, 0, wire.Batch{Records: wire.Values(1), BaseTimestamp: t0 + int64(i)}.Bytes())
			}
			for _, ts := range []int64{-1, -2, -3, -7, 0, t0 + 20, 1 << 60} { // segments were written to today
				for _, n := range []int32{-1, 0, 1, 3, 1<<31 - 1} {
					req := listOffset(t, 0, ts)
					req.Topics[0].Partitions[0].MaxNumOffsets = n
					r.Do(fmt.Sprintf("time %d, %d offsets", ts, n), req, 0)
				}
			}
			for _, id := range []int32{0, 7, -2, -3} {
				req := listOffset(t, 0, -1)
				req.ReplicaID = id
				r.Do(fmt.Sprintf("replica %d", id), req, 0)
			}
			several := listOffset(t, 0, -1)
			addListOffset(several, t, 5, -1, -1)
			addListOffset(several, r.Name("missing"), 0, -1, -1)
			addListOffset(several, t, 0, -2, -1)
			r.Do("several", several, 0)
		}),
		named("messages of old formats", func(r *Run) {
			for magic := range int8(2) {
				t := r.Topic(fmt.Sprintf("m%d", magic), 1)
				for _, codec := range oldCodecs[:2] {
					r.Do("messages", wire.ProduceRequest(t, 0, packed(magic, codec, messages(magic, 5)...)), 2)
				}
				for _, ts := range []int64{-1, -2, -3, 0, t0, t0 + 3, t0 + 5} {
					r.Do(fmt.Sprintf("magic %d, time %d", magic, ts), listOffset(t, 0, ts), 7)
				}
			}
		}),
		named("errors", func(r *Run) {
			t := r.fill("t", 1, 1)
			for v := range int16(10) {
				r.Do("unknown topic", listOffset(r.Name("missing"), 0, -1), v)
				r.Do("unknown partition", listOffset(t, 4, -1), v)
			}
			for _, v := range []int16{4, 9} {
				for _, e := range []int32{0, 5} {
					req := kmsg.NewPtrListOffsetsRequest()
					req.ReplicaID = -1
					addListOffset(req, t, 0, -1, e)
					r.Do(fmt.Sprintf("current epoch %d", e), req, v)
				}
			}
			for _, v := range []int16{0, 1, 9} {
				twice := listOffset(t, 0, -1)
				addListOffset(twice, t, 0, -2, -1)
				r.Do("the same partition twice", twice, v)
			}
			for _, id := range []int32{0, 7, -2, -3} {
				req := listOffset(t, 0, -1)
				req.ReplicaID = id
				r.Do(fmt.Sprintf("replica %d", id), req, 5)
			}
			committed := listOffset(t, 0, -1)
			committed.IsolationLevel = 1
			r.Do("read committed", committed, 5)
			committed.IsolationLevel = 3
			r.Do("isolation level 3", committed, 5)
		}),
		named("leader epochs", func(r *Run) {
			t := r.fill("t", 1, 2)
			for v := range int16(5) {
				for _, e := range []int32{-1, 0, 1, 5} {
					r.Do(fmt.Sprintf("epoch %d", e), leaderEpoch(t, 0, -1, e), v)
				}
				r.Do("unknown topic", leaderEpoch(r.Name("missing"), 0, -1, 0), v)
				r.Do("unknown partition", leaderEpoch(t, 9, -1, 0), v)
			}
			for _, cur := range []int32{0, 5} {
				r.Do(fmt.Sprintf("current epoch %d", cur), leaderEpoch(t, 0, cur, 0), 4)
			}
			empty := r.Topic("empty", 1)
			r.Do("epoch 0 of an empty log", leaderEpoch(empty, 0, -1, 0), 4)
			r.Do("epoch 1 of an empty log", leaderEpoch(empty, 0, -1, 1), 4)
			rep := leaderEpoch(t, 0, -1, 0)
			rep.ReplicaID = 0
			r.Do("as replica 0", rep, 4)
			two := leaderEpoch(t, 0, -1, 0)
			two.Topics = append(two.Topics, leaderEpoch(t, 0, -1, 5).Topics...)
			r.Do("the topic twice", two, 4)
		}),
	)
}

// leaderEpoch asks where an epoch ended.
func leaderEpoch(topic string, partition, current, epoch int32) *kmsg.OffsetForLeaderEpochRequest {
	req := kmsg.NewPtrOffsetForLeaderEpochRequest()
	req.ReplicaID = -1
	t, p := kmsg.NewOffsetForLeaderEpochRequestTopic(), kmsg.NewOffsetForLeaderEpochRequestTopicPartition()
	p.Partition, p.CurrentLeaderEpoch, p.LeaderEpoch = partition, current, epoch
	t.Topic, t.Partitions = topic, append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
	return req
}
