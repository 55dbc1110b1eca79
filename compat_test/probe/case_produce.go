package probe

import (
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/wire"
)

type namedBatch struct {
	name  string
	bytes []byte
}

// badBatches are the batches that a broker must refuse, or take, with Apache's error.
func badBatches() []namedBatch {
	one, two := wire.Batch{Records: wire.Values(1)}, wire.Batch{Records: wire.Values(2)}
	u16, u32, u64 := binary.BigEndian.PutUint16, binary.BigEndian.PutUint32, binary.BigEndian.PutUint64
	flip := one.Bytes()
	flip[len(flip)-1] ^= 1
	wrongCRC := one.Bytes()
	wrongCRC[wire.PosCRC] ^= 1
	var rows []namedBatch
	add := func(name string, b []byte) { rows = append(rows, namedBatch{name, b}) }
	patch := func(name string, base wire.Batch, change func(b []byte)) { add(name, base.Patch(change)) }
	add("a good batch", one.Bytes())
	add("empty records", []byte{})
	add("two batches", append(one.Bytes(), one.Bytes()...))
	add("wrong CRC", wrongCRC)
	add("a flipped bit in the records", flip)
	add("cut by one byte", one.Bytes()[:len(one.Bytes())-1])
	add("cut in the header", one.Bytes()[:40])
	add("cut in the first 12 bytes", one.Bytes()[:11])
	add("11 bytes of the next batch behind", append(one.Bytes(), make([]byte, 11)...))
	for _, m := range []byte{0, 1, 3, 127, 255} {
		patch(fmt.Sprintf("magic %d", int8(m)), one, func(b []byte) { b[wire.PosMagic] = m })
	}
	patch("length 1 too small", one, func(b []byte) { u32(b[wire.PosLength:], uint32(len(b)-13)) })
	patch("length 0", one, func(b []byte) { u32(b[wire.PosLength:], 0) })
	patch("length -1", one, func(b []byte) { u32(b[wire.PosLength:], ^uint32(0)) })
	patch("length 2^31-1", one, func(b []byte) { u32(b[wire.PosLength:], 1<<31-1) })
	patch("count 3 of 2", two, func(b []byte) { u32(b[wire.PosCount:], 3) })
	patch("count 1 of 2", two, func(b []byte) { u32(b[wire.PosCount:], 1) })
	patch("count 0 of 2", two, func(b []byte) { u32(b[wire.PosCount:], 0) })
	patch("count -1", two, func(b []byte) { u32(b[wire.PosCount:], ^uint32(0)) })
	patch("last offset delta 2 of 1", two, func(b []byte) { u32(b[wire.PosLastOffsetDelta:], 2) })
	patch("last offset delta -1", two, func(b []byte) { u32(b[wire.PosLastOffsetDelta:], ^uint32(0)) })
	patch("count and delta 3 of 2", two, func(b []byte) { u32(b[wire.PosCount:], 3); u32(b[wire.PosLastOffsetDelta:], 2) })
	patch("count and delta 1 of 2", two, func(b []byte) { u32(b[wire.PosCount:], 1); u32(b[wire.PosLastOffsetDelta:], 0) })
	add("no records at all", wire.Batch{}.Bytes())
	patch("base offset 5", one, func(b []byte) { u64(b, 5) })
	patch("base offset -1", one, func(b []byte) { u64(b, ^uint64(0)) })
	patch("leader epoch 77", one, func(b []byte) { u32(b[wire.PosLeaderEpoch:], 77) })
	patch("control bit", one, func(b []byte) { u16(b[wire.PosAttributes:], wire.AttrControl) })
	patch("transactional bit, no producer", one, func(b []byte) { u16(b[wire.PosAttributes:], wire.AttrTransactional) })
	patch("append time bit", one, func(b []byte) { u16(b[wire.PosAttributes:], wire.AttrLogAppendTime) })
	for c := uint16(5); c < 8; c++ {
		patch(fmt.Sprintf("codec %d", c), one, func(b []byte) { u16(b[wire.PosAttributes:], c) })
	}
	for c := uint16(1); c < 5; c++ {
		patch(fmt.Sprintf("codec %d over records that are not compressed", c), one, func(b []byte) { u16(b[wire.PosAttributes:], c) })
	}
	patch("maximum timestamp above the records'", one, func(b []byte) { u64(b[wire.PosMaxTimestamp:], wire.BaseTimestamp+5000) })
	patch("maximum timestamp below the records'", one, func(b []byte) { u64(b[wire.PosMaxTimestamp:], wire.BaseTimestamp-5000) })
	patch("maximum timestamp -1", one, func(b []byte) { u64(b[wire.PosMaxTimestamp:], ^uint64(0)) })
	patch("no timestamp", one, func(b []byte) {
		u64(b[wire.PosBaseTimestamp:], ^uint64(0))
		u64(b[wire.PosMaxTimestamp:], ^uint64(0))
	})
	add("timestamp 1970", wire.Batch{Records: wire.Values(1), BaseTimestamp: 1000}.Bytes())
	add("timestamp year 2286", wire.Batch{Records: wire.Values(1), BaseTimestamp: 9_999_999_999_999}.Bytes())
	patch("producer id without epoch and sequence", one, func(b []byte) { u64(b[wire.PosProducerID:], 9_000_100) })
	patch("producer id and epoch without sequence", one, func(b []byte) {
		u64(b[wire.PosProducerID:], 9_000_101)
		u16(b[wire.PosProducerEpoch:], 0)
	})
	patch("record length 1 too large", one, func(b []byte) { b[wire.PosRecords] += 2 })
	patch("record length 1 too small", one, func(b []byte) { b[wire.PosRecords] -= 2 })
	patch("record length 0", one, func(b []byte) { b[wire.PosRecords] = 0 })
	patch("record length -1", one, func(b []byte) { b[wire.PosRecords] = 1 })
	patch("value length 1 too large", one, func(b []byte) { b[wire.PosRecords+5] += 2 })
	patch("header count 1 without header", one, func(b []byte) { b[len(b)-1] = 2 })
	patch("header count -1", one, func(b []byte) { b[len(b)-1] = 1 })
	patch("a varint of 11 bytes", one, func(b []byte) {
		for i := wire.PosRecords; i < len(b); i++ {
			b[i] = 0xff
		}
	})
	add("null key and null value", wire.Batch{Records: []wire.Record{{}}}.Bytes())
	add("headers", wire.Batch{Records: []wire.Record{{Key: []byte("k"), Headers: []kmsg.Header{{Key: "h", Value: []byte("v")},
		{Key: "", Value: nil}}}}}.Bytes())
	return rows
}

// doubtfulBatches are batches that Apache takes and a stricter broker might not. Each goes to a topic of its own, so
// that the offsets of the others do not depend on it.
func doubtfulBatches() []namedBatch {
	one, three := wire.Batch{Records: wire.Values(1)}, wire.Batch{Records: wire.Values(3)}
	u16, u32, u64 := binary.BigEndian.PutUint16, binary.BigEndian.PutUint32, binary.BigEndian.PutUint64
	var rows []namedBatch
	patch := func(name string, base wire.Batch, change func(b []byte)) {
		rows = append(rows, namedBatch{name, base.Patch(change)})
	}
	patch("delete horizon bit", one, func(b []byte) { u16(b[wire.PosAttributes:], 1<<6) })
	patch("unused attribute bits", one, func(b []byte) { u16(b[wire.PosAttributes:], 0x7f80) })
	patch("timestamp -2", one, func(b []byte) {
		u64(b[wire.PosBaseTimestamp:], ^uint64(1))
		u64(b[wire.PosMaxTimestamp:], ^uint64(1))
	})
	patch("producer id and sequence without epoch", one, func(b []byte) {
		u64(b[wire.PosProducerID:], 9_000_102)
		u32(b[wire.PosBaseSequence:], 0)
	})
	patch("sequence without producer id", one, func(b []byte) { u32(b[wire.PosBaseSequence:], 0) })
	patch("producer id -2", one, func(b []byte) { u64(b[wire.PosProducerID:], ^uint64(1)) })
	patch("record attributes 1", one, func(b []byte) { b[wire.PosRecords+1] = 1 })
	patch("first offset delta 1", one, func(b []byte) { b[wire.PosRecords+3] = 2 })
	patch("key length -2", one, func(b []byte) { b[wire.PosRecords+4] = 3 })
	patch("offset deltas 0 2 1", three, func(b []byte) {
		size := (len(b) - wire.PosRecords) / 3
		b[wire.PosRecords+size+3], b[wire.PosRecords+2*size+3] = 4, 2
	})
	patch("offset deltas 0 0 0", three, func(b []byte) {
		size := (len(b) - wire.PosRecords) / 3
		b[wire.PosRecords+size+3], b[wire.PosRecords+2*size+3] = 0, 0
	})
	return rows
}

func produceCases() []Case {
	table := func(version int16, configs ...string) func(r *Run) {
		return func(r *Run) {
			t := r.Topic("t", 1, configs...)
			for _, row := range badBatches() {
				r.Do(row.name, wire.ProduceRequest(t, 0, row.bytes), version)
			}
			r.Do("what is in the log", fetch(100, 1, part{topic: t, maxBytes: 1 << 20}), 11)
			r.Do("and its end", listOffset(t, 0, -1), 5)
		}
	}
	doubtful := func(configs ...string) func(r *Run) {
		return func(r *Run) {
			for i, row := range doubtfulBatches() {
				t := r.Topic(fmt.Sprintf("t%d", i), 1, configs...)
				r.Do(row.name, wire.ProduceRequest(t, 0, row.bytes), 9)
				r.Do(row.name+": what is in the log", fetch(0, 0, part{topic: t}), 11)
			}
		}
	}
	return group("produce",
		named("doubtful batches", doubtful()),
		named("doubtful batches on a LogAppendTime topic", doubtful("message.timestamp.type", "LogAppendTime")),
		named("doubtful batches on a topic that recompresses", doubtful("compression.type", "gzip")),
		named("batches, v3", table(3)),
		named("batches, v7", table(7)),
		named("batches, v9", table(9)),
		named("batches, v11", table(11)),
		named("batches on a compacted topic", table(9, "cleanup.policy", "compact")),
		named("batches on a LogAppendTime topic", table(9, "message.timestamp.type", "LogAppendTime")),
		named("batches on a topic that recompresses", table(9, "compression.type", "gzip")),
		named("batches on a topic that decompresses", table(9, "compression.type", "uncompressed")),
		named("several records on a compacted topic", func(r *Run) {
			t := r.Topic("t", 1, "cleanup.policy", "compact")
			b := wire.Batch{Records: []wire.Record{{Key: []byte("a")}, {Value: []byte("x")}, {Key: []byte("b")}, {}}}
			for _, v := range []int16{3, 7, 8, 9, 11} {
				r.Do("keys: a, null, b, null", wire.ProduceRequest(t, 0, b.Bytes()), v)
			}
		}),
		named("timestamp limits", func(r *Run) {
			t := r.Topic("t", 1, "message.timestamp.before.max.ms", "3600000", "message.timestamp.after.max.ms", "3600000")
			for _, v := range []int16{3, 8, 11} {
				r.Do("too old", wire.ProduceRequest(t, 0, wire.Batch{Records: wire.Values(2)}.Bytes()), v)
				r.Do("too new", wire.ProduceRequest(t, 0, wire.Batch{Records: wire.Values(1), BaseTimestamp: 9_999_999_999_999}.Bytes()), v)
				r.Do("none", wire.ProduceRequest(t, 0, wire.Batch{Records: wire.Values(1), BaseTimestamp: -1}.Bytes()), v)
			}
			t = r.Topic("old", 1, "message.timestamp.difference.max.ms", "3600000")
			r.Do("too old, by the older setting", wire.ProduceRequest(t, 0, wire.Batch{Records: wire.Values(2)}.Bytes()), 9)
		}),
		named("too large", func(r *Run) {
			t := r.Topic("t", 1, "max.message.bytes", "200", "segment.bytes", "1048576")
			big := func(n int) []byte {
				return wire.Batch{Records: []wire.Record{{Value: []byte(strings.Repeat("x", n))}}}.Bytes()
			}
			for _, n := range []int{100, 130, 131, 132, 133, 134, 300} {
				b := big(n)
				r.Do(fmt.Sprintf("batch of %d bytes, limit 200", len(b)), wire.ProduceRequest(t, 0, b), 9)
			}
			packed := wire.Batch{Codec: kgo.CodecGzip, Records: []wire.Record{{Value: []byte(strings.Repeat("x", 1000))}}}.Bytes()
			r.Do("1000 bytes packed below 200", wire.ProduceRequest(t, 0, packed), 9)
			s := r.Topic("segment", 1, "segment.bytes", "1000")
			r.Do("larger than a segment", wire.ProduceRequest(s, 0, big(1200)), 9)
			r.Do("default limit passed", wire.ProduceRequest(r.Topic("plain", 1), 0, big(1048588)), 9)
		}),
		named("who is asked", func(r *Run) {
			t := r.Topic("t", 1)
			good := wire.Batch{Records: wire.Values(1)}.Bytes()
			for _, v := range []int16{3, 5, 8, 10, 11} {
				r.Do("unknown topic", wire.ProduceRequest(r.Name("missing"), 0, good), v)
				r.Do("unknown partition", wire.ProduceRequest(t, 1, good), v)
				r.Do("partition -1", wire.ProduceRequest(t, -1, good), v)
			}
			r.Do("a name that cannot be", wire.ProduceRequest("a b", 0, good), 9)
			r.Do("empty name", wire.ProduceRequest("", 0, good), 9)
			r.Do("was not created", metadataFor(r.Name("missing")), 9)
			two := wire.ProduceRequest(t, 0, good)
			wire.AddProduce(two, r.Name("missing"), 0, good)
			wire.AddProduce(two, t, 7, good)
			r.Do("one good, two unknown", two, 9)
			twice := wire.ProduceRequest(t, 0, good)
			wire.AddProduce(twice, t, 0, wire.Batch{Records: wire.Values(2)}.Bytes())
			r.Do("the same partition twice", twice, 9)
			r.Do("log end", listOffset(t, 0, -1), 5)
			nobody := wire.ProduceRequest(t, 0, good)
			nobody.Topics = nil
			r.Do("no topics", nobody, 9)
		}),
		named("acks", func(r *Run) {
			t := r.Topic("t", 1)
			for _, acks := range []int16{-1, 1, 2, -2, 32767} {
				req := wire.ProduceRequest(t, 0, wire.Batch{Records: wire.Values(1)}.Bytes())
				req.Acks = acks
				for _, v := range []int16{3, 9} {
					r.Do(fmt.Sprintf("acks %d", acks), req, v)
				}
			}
			two := r.Topic("two", 1, "min.insync.replicas", "2")
			r.Do("min.insync.replicas 2 of 1 replica", wire.ProduceRequest(two, 0, wire.Batch{Records: wire.Values(1)}.Bytes()), 9)
			idem := wire.ProduceRequest(t, 0, wire.Batch{Records: wire.Values(1), ProducerID: 9_000_150}.Bytes())
			idem.Acks = 1
			r.Do("idempotent with acks 1", idem, 9)
			now := wire.ProduceRequest(t, 0, wire.Batch{Records: wire.Values(1)}.Bytes())
			now.TimeoutMillis = 0
			r.Do("timeout 0", now, 9)
			now.TimeoutMillis = -1
			r.Do("timeout -1", now, 9)
		}),
		named("transactional without a transaction", func(r *Run) {
			t := r.Topic("t", 1)
			b := wire.Batch{Records: wire.Values(1), ProducerID: 9_000_160, Attributes: wire.AttrTransactional}.Bytes()
			r.Do("no transactional id", wire.ProduceRequest(t, 0, b), 9)
			plain := wire.ProduceRequest(t, 0, wire.Batch{Records: wire.Values(1)}.Bytes())
			plain.TransactionID = kmsg.StringPtr("tx")
			r.Do("transactional id, plain batch", plain, 9)
		}),
		named("null records", func(r *Run) {
			t := r.Topic("t", 1)
			r.DoUnanswered("null", wire.ProduceRequest(t, 0, nil), 9)
		}),
	)
}
