package probe

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/wire"
)

// seq is one append of an idempotent producer.
type seq struct {
	epoch int16
	first int32
	n     int
	note  string
}

func (r *Run) appendAll(topic string, pid int64, version int16, rows []seq) {
	for _, s := range rows {
		b := wire.Batch{Records: wire.Values(s.n), ProducerID: pid, Epoch: s.epoch, Sequence: s.first}.Bytes()
		r.Do(fmt.Sprintf("epoch %d sequence %d, %d records %s", s.epoch, s.first, s.n, s.note), wire.ProduceRequest(topic, 0, b), version)
	}
}

func sequenceCases() []Case {
	rows := func(version int16, rows ...seq) func(*Run) {
		return func(r *Run) {
			t := r.Topic("t", 1)
			r.appendAll(t, 9_000_200, version, rows)
			r.Do("log end", listOffset(t, 0, -1), 5)
		}
	}
	life := []seq{
		{0, 7, 2, "first ever"}, {0, 7, 2, "again"}, {0, 9, 1, "next"}, {0, 11, 1, "gap"}, {0, 8, 1, "inside an older batch"},
		{0, 7, 3, "over two older batches"}, {0, 8, 2, "over two older batches"},
		{0, 10, 1, ""}, {0, 11, 1, ""}, {0, 12, 1, ""}, {0, 13, 1, ""}, {0, 14, 1, ""},
		{0, 14, 1, "the last again"}, {0, 12, 1, "the third last again"}, {0, 10, 1, "the fifth last again"},
		{0, 9, 1, "the sixth last again"}, {0, 7, 2, "long gone"}, {0, 0, 1, "start anew in the same epoch"},
		{1, 3, 1, "new epoch, not 0"}, {1, 0, 1, "new epoch"}, {0, 15, 1, "old epoch, next"}, {0, 14, 1, "old epoch, duplicate"},
		{1, 0, 1, "again"}, {5, 0, 1, "epochs skipped"}, {5, 1, 1, ""}, {4, 0, 1, "an epoch never seen, but lower"},
		{-1, 0, 1, "no epoch"}, {5, -1, 1, "no sequence"},
	}
	return group("sequences",
		named("one producer, v3", rows(3, life...)),
		named("one producer, v9", rows(9, life...)),
		named("one producer, v11", rows(11, life...)),
		named("wrap", rows(9, seq{0, math.MaxInt32 - 1, 2, "up to the last"}, seq{0, 0, 1, "wrapped"}, seq{0, math.MaxInt32 - 1, 2, "again"},
			seq{0, 0, 1, "again"}, seq{0, 1, 1, ""})),
		named("wrap inside a batch", rows(9, seq{0, math.MaxInt32 - 1, 4, "wraps inside"}, seq{0, math.MaxInt32 - 1, 4, "again"}, seq{0, 2, 1, "next"},
			seq{0, 1, 1, "inside"})),
		named("first sequence of a new epoch with no state", rows(9, seq{3, 10, 1, "first ever"}, seq{3, 11, 1, ""})),
		named("epoch limits", rows(9, seq{math.MaxInt16, 0, 1, "32767"}, seq{math.MaxInt16, 1, 1, ""}, seq{0, 0, 1, "0"})),
		named("partitions are apart", func(r *Run) {
			t := r.Topic("t", 2)
			req := wire.ProduceRequest(t, 0, wire.Batch{Records: wire.Values(1), ProducerID: 9_000_201}.Bytes())
			wire.AddProduce(req, t, 1, wire.Batch{Records: wire.Values(1), ProducerID: 9_000_201, Sequence: 5}.Bytes())
			r.Do("sequence 0 and sequence 5", req, 9)
			r.Do("both again", req, 9)
			req = wire.ProduceRequest(t, 0, wire.Batch{Records: wire.Values(1), ProducerID: 9_000_201, Sequence: 9}.Bytes())
			wire.AddProduce(req, t, 1, wire.Batch{Records: wire.Values(1), ProducerID: 9_000_201, Sequence: 6}.Bytes())
			r.Do("one with a gap, one good", req, 9)
		}),
		named("a duplicate on a LogAppendTime topic", func(r *Run) {
			t := r.Topic("t", 1, "message.timestamp.type", "LogAppendTime")
			r.appendAll(t, 9_000_202, 9, []seq{{0, 0, 1, ""}, {0, 0, 1, "again"}, {0, 2, 1, "gap"}})
		}),
		named("a duplicate with other content", func(r *Run) {
			t := r.Topic("t", 1)
			r.appendAll(t, 9_000_203, 9, []seq{{0, 0, 2, ""}})
			other := wire.Batch{Records: []wire.Record{{Value: []byte("x")}, {Value: []byte("y")}}, ProducerID: 9_000_203}
			r.Do("same sequences, other values", wire.ProduceRequest(t, 0, other.Bytes()), 9)
			bad := wire.Batch{Records: wire.Values(2), ProducerID: 9_000_203}.Patch(func(b []byte) {
				binary.BigEndian.PutUint64(b[wire.PosMaxTimestamp:], 0)
			})
			r.Do("same sequences, wrong maximum timestamp", wire.ProduceRequest(t, 0, bad), 9)
		}),
		named("after the records are deleted", func(r *Run) {
			t := r.Topic("t", 1)
			r.appendAll(t, 9_000_204, 9, []seq{{0, 0, 2, ""}})
			req := kmsg.NewPtrDeleteRecordsRequest()
			req.TimeoutMillis = 5000
			dt, dp := kmsg.NewDeleteRecordsRequestTopic(), kmsg.NewDeleteRecordsRequestTopicPartition()
			dp.Offset = 2
			dt.Topic, dt.Partitions = t, append(dt.Partitions, dp)
			req.Topics = append(req.Topics, dt)
			r.Do("all", req, 2)
			r.appendAll(t, 9_000_204, 9, []seq{{0, 0, 2, "again"}, {0, 2, 1, "next"}})
		}),
		named("describe producers", func(r *Run) {
			t := r.Topic("t", 2)
			r.appendAll(t, 9_000_205, 9, []seq{{0, 0, 3, ""}, {2, 0, 1, ""}})
			req := kmsg.NewPtrDescribeProducersRequest()
			dt := kmsg.NewDescribeProducersRequestTopic()
			dt.Topic, dt.Partitions = t, []int32{0, 1, 2}
			req.Topics = append(req.Topics, dt)
			r.Do("one active, none, unknown partition", req, 0)
		}),
	)
}

func initProducerIDCases() []Case {
	ask := func(change func(*kmsg.InitProducerIDRequest)) *kmsg.InitProducerIDRequest {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.TransactionTimeoutMillis = 60000
		change(req)
		return req
	}
	return group("initproducerid",
		named("idempotent", func(r *Run) {
			r.await("producer ids", func() error { // 14 until the first block has come
				resp := r.Quiet(ask(func(*kmsg.InitProducerIDRequest) {}), 1).(*kmsg.InitProducerIDResponse)
				if resp.ErrorCode != 0 {
					return fmt.Errorf("error code %d", resp.ErrorCode)
				}
				return nil
			})
			for v := range int16(6) {
				r.Do("no transactional id", ask(func(*kmsg.InitProducerIDRequest) {}), v)
				r.Do("timeout 0", ask(func(q *kmsg.InitProducerIDRequest) { q.TransactionTimeoutMillis = 0 }), v)
				r.Do("timeout -1", ask(func(q *kmsg.InitProducerIDRequest) { q.TransactionTimeoutMillis = -1 }), v)
			}
			for v := int16(3); v < 6; v++ {
				r.Do("id and epoch given", ask(func(q *kmsg.InitProducerIDRequest) { q.ProducerID, q.ProducerEpoch = 5, 3 }), v)
				r.Do("only an id", ask(func(q *kmsg.InitProducerIDRequest) { q.ProducerID = 5 }), v)
				r.Do("only an epoch", ask(func(q *kmsg.InitProducerIDRequest) { q.ProducerEpoch = 5 }), v)
			}
		}),
		named("transactional, refused", func(r *Run) {
			for v := range int16(6) {
				r.Do("empty transactional id", ask(func(q *kmsg.InitProducerIDRequest) { q.TransactionalID = kmsg.StringPtr("") }), v)
			}
		}),
	)
}
