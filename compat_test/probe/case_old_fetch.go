package probe

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/wire"
)

// sameSize makes records that pack well and, in no format, make more bytes than they are as a batch: what a codec saves more or less than
// another does not decide what fits into an answer.
func sameSize(n int) []wire.Record {
	rs := make([]wire.Record, n)
	for i := range rs {
		rs[i] = wire.Record{Key: fmt.Appendf(nil, "key-%d", i), Value: bytes.Repeat([]byte{byte('a' + i)}, 300), TimestampDelta: int64(i)}
	}
	return rs
}

func oldFetchCases() []Case {
	every := []int16{0, 1, 2, 3, 4}
	return group("old-fetch",
		named("codecs", func(r *Run) {
			for codec, name := range codecNames {
				t := r.Topic(name, 1)
				for range 2 {
					r.Produce(t, 0, wire.Batch{Records: sameSize(4), Codec: kgo.CompressionCodecType(codec)}.Bytes())
				}
				for _, v := range every {
					for _, o := range []int64{0, 1, 3, 4, 7, 8, 9} {
						r.Do(fmt.Sprintf("%s from %d", name, o), fetch(50, 1, part{topic: t, offset: o}), v)
					}
				}
			}
		}),
		named("what old formats lack", func(r *Run) {
			t := r.Topic("t", 1)
			now := r.Topic("append-time", 1, "message.timestamp.type", "LogAppendTime")
			rs := []wire.Record{{}, {Key: []byte{}, Value: []byte{}}, {Key: []byte("k"), Headers: []kmsg.Header{{Key: "h", Value: []byte("v")}}},
				{Value: []byte("v"), TimestampDelta: -5}}
			for _, codec := range []kgo.CompressionCodecType{kgo.CodecNone, kgo.CodecGzip} {
				b := wire.Batch{Records: rs, Codec: codec}
				r.Produce(t, 0, b.Bytes())
				r.Produce(now, 0, b.Bytes())
				b.ProducerID = 9_000_400 + int64(codec)
				r.Produce(t, 0, b.Bytes())
			}
			for range 8 { // a record takes less room as a message: so much that the compressor's release does not decide what fits
				r.Produce(t, 0, wire.Batch{Records: wire.Values(1)}.Bytes())
				r.Produce(now, 0, wire.Batch{Records: wire.Values(1)}.Bytes())
			}
			r.Do("no timestamps", wire.ProduceRequest(t, 0, packed(0, kgo.CodecNone, messages(0, 2)...)), 0)
			for _, v := range every[:4] {
				for o := range int64(18) {
					r.Do(fmt.Sprintf("from %d", o), fetch(50, 1, part{topic: t, offset: o}), v)
				}
				r.Do("append time", fetch(50, 1, part{topic: now}), v)
			}
		}),
		named("what came in old formats", func(r *Run) {
			for magic := range int8(2) {
				t := r.Topic(fmt.Sprintf("m%d", magic), 1)
				for _, codec := range oldCodecs {
					ms := messages(magic, 3)
					for i := range ms {
						ms[i].value = bytes.Repeat([]byte("v"), 500)
					}
					r.Do("messages", wire.ProduceRequest(t, 0, packed(magic, codec, ms...)), 2)
				}
				for _, v := range every {
					r.Do("all", fetch(50, 1, part{topic: t}), v)
				}
			}
		}),
		named("growing", func(r *Run) {
			t := r.Topic("t", 1)
			for range 6 {
				r.Produce(t, 0, wire.Batch{Records: wire.Values(40)}.Bytes())
			}
			for _, v := range every[:4] {
				for _, o := range []int64{0, 39, 40, 201, 239} {
					r.Do(fmt.Sprintf("from %d", o), fetch(50, 1, part{topic: t, offset: o}), v)
				}
			}
		}),
		named("limits", func(r *Run) {
			t := r.Topic("t", 3)
			for p := range int32(3) {
				for range 3 {
					r.Produce(t, p, wire.Batch{Records: wire.Values(3)}.Bytes())
				}
			}
			parts := func(n int32) []part {
				return []part{{topic: t, maxBytes: n}, {topic: t, partition: 1, maxBytes: n}, {topic: t, partition: 2, maxBytes: n}}
			}
			size := int32(len(wire.Batch{Records: wire.Values(3)}.Bytes()))
			for _, v := range every[:4] {
				for _, n := range []int32{none, 1, size - 1, size, size + 1, 2 * size, 3 * size, 3*size + 1} {
					r.Do(fmt.Sprintf("partition max %d", n), fetch(50, 1, parts(n)...), v)
				}
				// A part of a batch counts as read: nobody waits.
				r.Do("less than a batch, with time", fetch(30000, 1, parts(10)[:1]...), v)
				r.Do("partition max -1", fetch(50, 1, part{topic: t, maxBytes: -1}), v)
			}
			for _, n := range []int32{0, 1, size, 4 * size, 9 * size} {
				req := fetch(50, 1, parts(1<<20)...)
				req.MaxBytes = n
				r.Do(fmt.Sprintf("max %d", n), req, 3)
			}
			r.Do("min bytes never reached", fetch(100, 1<<20, parts(1<<20)...), 2)
			r.Do("nothing to read", fetch(100, 1, part{topic: t, offset: 9}), 2)
		}),
		named("zstd", func(r *Run) {
			t := r.Topic("t", 1)
			small := wire.Batch{Records: sameSize(2)}.Bytes()
			zstd := wire.Batch{Records: sameSize(2), Codec: kgo.CodecZstd}.Bytes()
			r.Produce(t, 0, small, zstd, small, small, zstd)
			for _, v := range []int16{0, 1, 2, 3, 4, 9, 10} {
				for _, o := range []int64{0, 2, 3, 4, 6, 8} {
					r.Do(fmt.Sprintf("from %d", o), fetch(50, 1, part{topic: t, offset: o}), v)
				}
			}
			// A large one is alone in what Apache converts at a time.
			apart := r.Topic("apart", 1)
			large := wire.Batch{Records: []wire.Record{{Value: bytes.Repeat([]byte("x"), 140<<10)}}}.Bytes()
			r.Produce(apart, 0, large, small, large, zstd)
			r.Do("behind what is converted apart", fetch(50, 1, part{topic: apart}), 2)
			topic := r.Topic("topic", 1, "compression.type", "zstd")
			for _, v := range []int16{0, 3, 4, 9, 10} {
				r.Do("zstd topic, empty", fetch(50, 1, part{topic: topic}), v)
				r.Do("zstd topic, out of range", fetch(50, 1, part{topic: topic, offset: 7}), v)
				r.Do("zstd topic, unknown partition", fetch(50, 1, part{topic: topic, partition: 7}), v)
			}
		}),
		named("not to be converted", func(r *Run) {
			t := r.Topic("t", 1, "message.downconversion.enable", "false")
			both := r.Topic("both", 1, "message.downconversion.enable", "false", "compression.type", "zstd")
			r.Produce(t, 0, wire.Batch{Records: wire.Values(2)}.Bytes())
			r.Produce(both, 0, wire.Batch{Records: wire.Values(2)}.Bytes())
			for _, v := range every {
				r.Do("from 0", fetch(50, 1, part{topic: t}), v)
				r.Do("at the end", fetch(50, 1, part{topic: t, offset: 2}), v)
				r.Do("out of range", fetch(50, 1, part{topic: t, offset: 7}), v)
				r.Do("zstd too", fetch(50, 1, part{topic: both}), v)
				r.Do("unknown partition", fetch(50, 1, part{topic: t, partition: 7}), v)
			}
			rep := fetch(50, 1, part{topic: t})
			rep.ReplicaID = 0
			r.Do("as a replica", rep, 2)
			rep.ReplicaID = 7
			r.Do("as another replica", rep, 2)
		}),
		named("control batches", func(r *Run) {
			r.norm.maskTimes = true // markers have the time of the day
			t := r.Topic("t", 1)
			for i, commit := range []bool{true, false, true} {
				r.transaction(t, "old-fetch", commit, wire.Values(i+1))
			}
			r.Produce(t, 0, wire.Batch{Records: wire.Values(2)}.Bytes())
			for _, v := range every {
				for _, o := range []int64{0, 1, 2, 3, 4, 5, 6, 9, 10, 11} {
					r.Do(fmt.Sprintf("from %d", o), fetch(50, 1, part{topic: t, offset: o}), v)
				}
			}
		}).needs(24, 26),
		named("several topics", func(r *Run) {
			a, b := r.fill("a", 2, 2), r.fill("b", 1, 1)
			zstd := r.Topic("zstd", 1, "compression.type", "zstd")
			for _, v := range every {
				r.Do("some are wrong", fetch(50, 1, part{topic: a, offset: 1}, part{topic: zstd}, part{topic: a, partition: 1, offset: 99},
					part{topic: b}, part{topic: r.Name("missing")}, part{topic: b, partition: 5}), v)
				r.Do("the same twice", fetch(50, 1, part{topic: a}, part{topic: a, offset: 2}), v)
			}
		}),
	)
}

// needs says which keys a case cannot do without.
func (c Case) needs(keys ...int16) Case {
	c.Needs = slices.Concat(c.Needs, keys)
	return c
}

// transaction writes records to partition 0 of a topic in a transaction of its own.
func (r *Run) transaction(topic, id string, commit bool, records []wire.Record) {
	id = r.coordinated(id).id
	var pid int64
	var epoch int16
	r.await("producer id of "+id, func() error {
		req := kmsg.NewPtrInitProducerIDRequest()
		req.TransactionalID, req.TransactionTimeoutMillis = &id, 30000
		resp := r.Quiet(req, 1).(*kmsg.InitProducerIDResponse)
		pid, epoch = resp.ProducerID, resp.ProducerEpoch
		return codeError(resp.ErrorCode)
	})
	r.norm.id("pid", fmt.Sprint(pid))
	r.await("partition of "+id, func() error {
		req := kmsg.NewPtrAddPartitionsToTxnRequest()
		req.TransactionalID, req.ProducerID, req.ProducerEpoch = id, pid, epoch
		t := kmsg.NewAddPartitionsToTxnRequestTopic()
		t.Topic, t.Partitions = topic, []int32{0}
		req.Topics = append(req.Topics, t)
		return codeError(r.Quiet(req, 1).(*kmsg.AddPartitionsToTxnResponse).Topics[0].Partitions[0].ErrorCode)
	})
	b := wire.Batch{Records: records, ProducerID: pid, Epoch: epoch, Attributes: wire.AttrTransactional}
	produce := wire.ProduceRequest(topic, 0, b.Bytes())
	produce.TransactionID = &id
	if err := codeError(r.Quiet(produce, 7).(*kmsg.ProduceResponse).Topics[0].Partitions[0].ErrorCode); err != nil {
		r.fatalf("transactional produce to %s: %w", topic, err)
	}
	r.await("end of "+id, func() error {
		req := kmsg.NewPtrEndTxnRequest()
		req.TransactionalID, req.ProducerID, req.ProducerEpoch, req.Commit = id, pid, epoch, commit
		return codeError(r.Quiet(req, 1).(*kmsg.EndTxnResponse).ErrorCode)
	})
	// The marker is written after the answer.
	end := int64(-1)
	r.await("marker of "+id, func() error {
		latest := func(isolation int8) int64 {
			req := listOffset(topic, 0, -1)
			req.IsolationLevel = isolation
			return r.Quiet(req, 5).(*kmsg.ListOffsetsResponse).Topics[0].Partitions[0].Offset
		}
		if end = latest(0); latest(1) < end {
			return fmt.Errorf("the transaction is still open")
		}
		return nil
	})
}
