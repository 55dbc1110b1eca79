package probe

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/wire"
)

// part is one partition of a fetch; zero fields are those of a plain consumer at offset 0.
type part struct {
	topic        string
	id           [16]byte
	partition    int32
	offset       int64
	maxBytes     int32 // 0: 1 MiB; see none
	currentEpoch *int32
	lastEpoch    *int32
}

// none asks for 0 bytes of a partition, as 0 itself stands for the default.
const none = -999

func epoch(e int32) *int32 { return &e }

// fetch is a sessionless fetch.
func fetch(waitMillis, minBytes int32, parts ...part) *kmsg.FetchRequest {
	req := kmsg.NewPtrFetchRequest()
	req.MaxWaitMillis, req.MinBytes, req.MaxBytes = waitMillis, minBytes, 50<<20
	req.SessionID, req.SessionEpoch = 0, -1
	addFetch(req, parts...)
	return req
}

func addFetch(req *kmsg.FetchRequest, parts ...part) {
	for _, p := range parts {
		fp := kmsg.NewFetchRequestTopicPartition()
		fp.Partition, fp.FetchOffset, fp.PartitionMaxBytes = p.partition, p.offset, p.maxBytes
		switch p.maxBytes {
		case 0:
			fp.PartitionMaxBytes = 1 << 20
		case none:
			fp.PartitionMaxBytes = 0
		}
		if p.currentEpoch != nil {
			fp.CurrentLeaderEpoch = *p.currentEpoch
		}
		if p.lastEpoch != nil {
			fp.LastFetchedEpoch = *p.lastEpoch
		}
		if n := len(req.Topics); n > 0 && req.Topics[n-1].Topic == p.topic && req.Topics[n-1].TopicID == p.id {
			req.Topics[n-1].Partitions = append(req.Topics[n-1].Partitions, fp)
			continue
		}
		ft := kmsg.NewFetchRequestTopic()
		ft.Topic, ft.TopicID = p.topic, p.id
		ft.Partitions = append(ft.Partitions, fp)
		req.Topics = append(req.Topics, ft)
	}
}

// fill makes a topic with batches of 1, 2, 3 … records in each partition.
func (r *Run) fill(suffix string, partitions int32, batches int, configs ...string) string {
	t := r.Topic(suffix, partitions, configs...)
	for p := range partitions {
		for i := range batches {
			r.Produce(t, p, wire.Batch{Records: wire.Values(i + 1), BaseTimestamp: wire.BaseTimestamp + int64(i)*1000}.Bytes())
		}
	}
	return t
}

func fetchCases() []Case {
	return group("fetch",
		named("every version", func(r *Run) {
			t := r.fill("t", 1, 3)
			id := r.topicID(t)
			for v := range int16(13) {
				r.Do("from 0", fetch(100, 1, part{topic: t}), v)
				r.Do("at the end", fetch(50, 1, part{topic: t, offset: 6}), v)
			}
			for v := int16(13); v <= 17; v++ {
				r.Do("from 0", fetch(100, 1, part{id: id}), v)
				r.Do("at the end", fetch(50, 1, part{id: id, offset: 6}), v)
			}
		}),
		named("offsets", func(r *Run) {
			t := r.fill("t", 1, 3)
			id := r.topicID(t)
			for _, o := range []int64{0, 1, 2, 3, 5, 6, 7, 1 << 40, -1, -2} {
				r.Do(fmt.Sprintf("offset %d of 6", o), fetch(50, 1, part{topic: t, offset: o}), 11)
				r.Do(fmt.Sprintf("offset %d of 6", o), fetch(50, 1, part{topic: t, offset: o}), 4)
				r.Do(fmt.Sprintf("offset %d of 6", o), fetch(50, 1, part{id: id, offset: o}), 17)
			}
		}),
		named("read committed", func(r *Run) {
			t := r.fill("t", 1, 2)
			for _, v := range []int16{4, 11, 12} {
				req := fetch(100, 1, part{topic: t})
				req.IsolationLevel = 1
				r.Do("committed", req, v)
			}
			req := fetch(100, 1, part{topic: t})
			req.IsolationLevel = 2
			r.Do("isolation level 2", req, 11)
		}),
		named("sizes", func(r *Run) {
			t := r.fill("t", 3, 4)
			for _, max := range []int32{0, 1, 80, 200, 300, 1000} {
				for _, pmax := range []int32{none, 1, 100, 200, 1 << 20} {
					req := fetch(100, 1, part{topic: t, maxBytes: pmax}, part{topic: t, partition: 1, maxBytes: pmax},
						part{topic: t, partition: 2, maxBytes: pmax})
					req.MaxBytes = max
					r.Do(fmt.Sprintf("max %d, partition max %d", max, pmax), req, 11)
				}
			}
			for _, v := range []int16{2, 3, 4, 11} {
				r.Do("partition max 1", fetch(100, 1, part{topic: t, maxBytes: 1}), v)
				r.Do("partition max 100", fetch(100, 1, part{topic: t, maxBytes: 100}), v)
			}
			neg := fetch(100, 1, part{topic: t})
			neg.MaxBytes = -1
			r.Do("max -1", neg, 11)
			r.Do("partition max -1", fetch(100, 1, part{topic: t, maxBytes: -1}), 11)
			r.Do("order of the request", fetch(100, 1, part{topic: t, partition: 2}, part{topic: t}, part{topic: t, partition: 1}), 11)
			empty := r.Topic("empty", 1)
			first := fetch(100, 1, part{topic: empty}, part{topic: t, maxBytes: 1}, part{topic: t, partition: 1, maxBytes: 1})
			first.MaxBytes = 1
			r.Do("the first that has data gives a batch", first, 11)
		}),
		named("waiting", func(r *Run) {
			t := r.fill("t", 2, 1)
			r.Do("min bytes 0 at the end", fetch(30000, 0, part{topic: t, offset: 1}), 11)
			r.Do("an error answers at once", fetch(30000, 1, part{topic: t, offset: 1}, part{topic: t, partition: 1, offset: 99}), 11)
			r.Do("nothing readable answers at once", fetch(30000, 1, part{topic: r.Name("missing")}), 11)
			r.Do("an unknown partition does not answer at once", fetch(300, 1, part{topic: t, offset: 1}, part{topic: t, partition: 7}), 11)
			r.Do("no partitions", fetch(30000, 1), 11)
			r.Do("min bytes never reached", fetch(200, 1<<20, part{topic: t}), 11)
			r.Do("wait 0", fetch(0, 1<<20, part{topic: t}), 11)
			r.Do("wait -1", fetch(-1, 1<<20, part{topic: t}), 11)
		}),
		named("unknown", func(r *Run) {
			t := r.fill("t", 1, 1)
			for _, v := range []int16{0, 4, 7, 11, 12} {
				r.Do("unknown topic", fetch(50, 1, part{topic: r.Name("missing")}), v)
				r.Do("unknown partition", fetch(50, 1, part{topic: t, partition: 3}), v)
				r.Do("partition -1", fetch(50, 1, part{topic: t, partition: -1}), v)
			}
			for _, v := range []int16{13, 17} {
				r.Do("unknown id", fetch(50, 1, part{id: [16]byte{9}}), v)
				r.Do("zero id", fetch(50, 1, part{}), v)
				r.Do("known id, unknown partition", fetch(50, 1, part{id: r.topicID(t), partition: 3}), v)
			}
			r.Do("the same partition twice", fetch(50, 1, part{topic: t}, part{topic: t, offset: 1}), 11)
			r.Do("the topic in two entries", fetch(50, 1, part{topic: t}, part{topic: "x y"}, part{topic: t}), 11)
		}),
		named("epochs", func(r *Run) {
			t := r.fill("t", 1, 2)
			for _, v := range []int16{9, 11, 12} {
				r.Do("current epoch right", fetch(50, 1, part{topic: t, currentEpoch: epoch(0)}), v)
				r.Do("current epoch newer", fetch(50, 1, part{topic: t, currentEpoch: epoch(5)}), v)
			}
			r.Do("current epoch newer", fetch(50, 1, part{id: r.topicID(t), currentEpoch: epoch(5)}), 17)
			for _, e := range []int32{0, 1, 5} {
				r.Do(fmt.Sprintf("last fetched epoch %d, inside", e), fetch(50, 1, part{topic: t, offset: 1, lastEpoch: epoch(e)}), 12)
				r.Do(fmt.Sprintf("last fetched epoch %d, at the end", e), fetch(50, 1, part{topic: t, offset: 3, lastEpoch: epoch(e)}), 12)
				r.Do(fmt.Sprintf("last fetched epoch %d, behind the end", e), fetch(50, 1, part{topic: t, offset: 9, lastEpoch: epoch(e)}), 12)
			}
			r.Do("last fetched epoch in an empty log", fetch(50, 1, part{topic: r.Topic("empty", 1), lastEpoch: epoch(0)}), 12)
		}),
		named("as a replica", func(r *Run) {
			t := r.fill("t", 1, 2)
			for _, id := range []int32{0, 7, -2} {
				req := fetch(50, 1, part{topic: t})
				req.ReplicaID = id
				r.Do(fmt.Sprintf("replica %d", id), req, 11)
				req = fetch(50, 1, part{topic: t, currentEpoch: epoch(0)})
				req.ReplicaID = id
				r.Do(fmt.Sprintf("replica %d with the leader epoch", id), req, 11)
			}
		}),
		named("segments", func(r *Run) {
			t := r.Topic("t", 1, "segment.bytes", "1000")
			for i := range 40 {
				r.Produce(t, 0, wire.Batch{Records: wire.Values(1), BaseTimestamp: wire.BaseTimestamp + int64(i)}.Bytes())
			}
			for _, o := range []int64{0, 11, 12, 13, 25, 39, 40} {
				r.Do(fmt.Sprintf("offset %d of 40 over several segments", o), fetch(50, 1, part{topic: t, offset: o, maxBytes: 300}), 11)
			}
		}),
		named("compressed batches whole", func(r *Run) {
			t := r.Topic("t", 1)
			r.Produce(t, 0, wire.Batch{Records: wire.Values(50), Codec: kgo.CodecLz4}.Bytes())
			r.Do("from the middle of a batch", fetch(50, 1, part{topic: t, offset: 30}), 11)
		}),
		named("old formats", func(r *Run) {
			t := r.Topic("t", 1)
			r.Produce(t, 0, wire.Batch{Records: sameSize(3), Codec: kgo.CodecGzip}.Bytes(), wire.Batch{Records: sameSize(2)}.Bytes())
			for v := range int16(4) {
				r.Do("down-converted", fetch(50, 1, part{topic: t}), v)
				r.Do("from the middle", fetch(50, 1, part{topic: t, offset: 1}), v)
			}
			off := r.fill("off", 1, 1, "message.downconversion.enable", "false")
			for v := range int16(5) {
				r.Do("down-conversion forbidden", fetch(50, 1, part{topic: off}), v)
			}
		}),
	)
}
