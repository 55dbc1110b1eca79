package probe

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/wire"
)

// oldCodecs are the codecs of magic 0 and 1.
var oldCodecs = []kgo.CompressionCodecType{kgo.CodecNone, kgo.CodecGzip, kgo.CodecSnappy, kgo.CodecLz4}

var codecNames = []string{"none", "gzip", "snappy", "lz4", "zstd"}

// packed is a message set, wrapped unless the codec is none.
func packed(magic int8, codec kgo.CompressionCodecType, ms ...message) []byte {
	if codec == kgo.CodecNone {
		return set(ms...)
	}
	return wrap(magic, codec, int64(len(ms)-1), set(ms...))
}

func oldProduceCases() []Case {
	return group("old-produce",
		named("codecs", func(r *Run) {
			for magic := range int8(2) {
				for _, codec := range oldCodecs {
					name := fmt.Sprintf("magic %d, %s", magic, codecNames[codec])
					t := r.Topic(fmt.Sprintf("m%d-%d", magic, codec), 1)
					for v := range int16(3) {
						r.Do(name+", one message", wire.ProduceRequest(t, 0, packed(magic, codec, messages(magic, 1)...)), v)
						r.Do(name+", five messages", wire.ProduceRequest(t, 0, packed(magic, codec, messages(magic, 5)...)), v)
					}
					r.Do("batches", fetch(100, 1, part{topic: t}), 11)
					r.Records("records", t)
				}
				t := r.Topic(fmt.Sprintf("m%d-xerial", magic), 1)
				w := message{magic: magic, attributes: int8(kgo.CodecSnappy), offset: 4, value: xerial(set(messages(magic, 5)...))}
				r.Do("snappy as Java frames it", wire.ProduceRequest(t, 0, w.bytes()), 2)
				r.Records("records", t)
			}
			lz4 := wire.Compress(kgo.CodecLz4, set(messages(0, 5)...))
			lz4[6] ^= 0x55
			t := r.Topic("m0-lz4-checksum", 1)
			r.Do("magic 0, lz4 with the wrong checksum of its header", wire.ProduceRequest(t, 0, message{attributes: 3, offset: 4, value: lz4}.bytes()), 0)
			r.Do("magic 1, lz4 with the wrong checksum of its header", wire.ProduceRequest(t, 0, message{magic: 1, attributes: 3, offset: 4, value: lz4}.bytes()), 2)
			r.Records("records", t)
		}),
		named("codec of the topic", func(r *Run) {
			for _, to := range []string{"uncompressed", "gzip", "snappy", "lz4", "zstd"} {
				t := r.Topic(to, 1, "compression.type", to, "compression.gzip.level", "9", "compression.lz4.level", "17", "compression.zstd.level", "-3")
				for _, from := range oldCodecs {
					r.Do(codecNames[from]+" to "+to, wire.ProduceRequest(t, 0, packed(1, from, messages(1, 4)...)), 2)
					r.Do(codecNames[from]+" to "+to, wire.ProduceRequest(t, 0, packed(0, from, messages(0, 2)...)), 1)
				}
				r.Do("batches", fetch(100, 1, part{topic: t}), 11)
				r.Records("records", t)
			}
		}),
		named("append time", func(r *Run) {
			t := r.Topic("t", 1, "message.timestamp.type", "LogAppendTime", "message.timestamp.before.max.ms", "1000")
			for v := range int16(3) {
				for magic := range int8(2) {
					r.Do(fmt.Sprintf("magic %d", magic), wire.ProduceRequest(t, 0, set(messages(magic, 2)...)), v)
					r.Do(fmt.Sprintf("magic %d, gzip", magic), wire.ProduceRequest(t, 0, packed(magic, kgo.CodecGzip, messages(magic, 2)...)), v)
				}
			}
			r.Do("append time bit", wire.ProduceRequest(t, 0, message{magic: 1, attributes: 8, time: wire.BaseTimestamp, key: []byte("k")}.bytes()), 2)
			r.Do("append time bit of a wrapper", wire.ProduceRequest(t, 0, message{magic: 1, attributes: 8 | 1, offset: 1, time: wire.BaseTimestamp,
				value: wire.Compress(kgo.CodecGzip, set(messages(1, 2)...))}.bytes()), 2)
			r.Do("batches", fetch(100, 1, part{topic: t}), 11)
			create := r.Topic("create", 1)
			r.Do("append time bit", wire.ProduceRequest(create, 0, message{magic: 1, attributes: 8, time: wire.BaseTimestamp, key: []byte("k")}.bytes()), 2)
			r.Do("append time bit of a wrapper", wire.ProduceRequest(create, 0, message{magic: 1, attributes: 8 | 1, offset: 1, time: wire.BaseTimestamp + 77,
				value: wire.Compress(kgo.CodecGzip, set(messages(1, 2)...))}.bytes()), 2)
			r.Do("batches", fetch(100, 1, part{topic: create}), 11)
			r.Records("records", create)
		}),
		named("timestamp limits", func(r *Run) {
			old := r.Topic("before", 1, "message.timestamp.before.max.ms", "1000")
			future := r.Topic("after", 1, "message.timestamp.after.max.ms", "1000")
			for _, codec := range oldCodecs[:2] {
				r.Do("too old", wire.ProduceRequest(old, 0, packed(1, codec, messages(1, 2)...)), 2)
				ms := messages(1, 3)
				ms[1].time = 1 << 52
				r.Do("too new", wire.ProduceRequest(future, 0, packed(1, codec, ms...)), 2)
				ms[1].time = -1
				r.Do("none", wire.ProduceRequest(future, 0, packed(1, codec, ms...)), 2)
				r.Do("magic 0", wire.ProduceRequest(old, 0, packed(0, codec, messages(0, 2)...)), 2)
			}
			r.Do("batches", fetch(100, 1, part{topic: old}), 11)
			r.Records("records", future)
		}),
		named("keys of a compacted topic", func(r *Run) {
			t := r.Topic("t", 1, "cleanup.policy", "compact")
			for magic := range int8(2) {
				for _, codec := range oldCodecs[:2] {
					ms := messages(magic, 3)
					r.Do("keys", wire.ProduceRequest(t, 0, packed(magic, codec, ms...)), 2)
					ms[1].key = nil
					r.Do("no key", wire.ProduceRequest(t, 0, packed(magic, codec, ms...)), 2)
					ms[1].key = []byte{}
					r.Do("an empty key", wire.ProduceRequest(t, 0, packed(magic, codec, ms...)), 2)
				}
			}
			r.Records("records", t)
		}),
		named("too large", func(r *Run) {
			value := bytes.Repeat([]byte("v"), 900)
			big := func(magic int8, n int) []message {
				ms := messages(magic, n)
				for i := range ms {
					ms[i].value = value
				}
				return ms
			}
			t := r.Topic("t", 1, "max.message.bytes", "1000")
			for magic := range int8(2) {
				r.Do("just fits", wire.ProduceRequest(t, 0, set(message{magic: magic, key: []byte("k"), value: value})), 2)
				r.Do("two that are too large together", wire.ProduceRequest(t, 0, set(big(magic, 2)...)), 2)
				r.Do("one that is too large", wire.ProduceRequest(t, 0, set(message{magic: magic, value: append(value, value...)})), 2)
				r.Do("two packed", wire.ProduceRequest(t, 0, packed(magic, kgo.CodecGzip, big(magic, 2)...)), 2)
				r.Do("many tiny ones", wire.ProduceRequest(t, 0, set(messages(magic, 30)...)), 2)
				r.Do("more tiny ones", wire.ProduceRequest(t, 0, set(messages(magic, 90)...)), 2)
			}
			plain := r.Topic("plain", 1, "max.message.bytes", "1000", "compression.type", "uncompressed")
			r.Do("two packed, unpacked by the topic", wire.ProduceRequest(plain, 0, packed(1, kgo.CodecGzip, big(1, 2)...)), 2)
			gzip := r.Topic("gzip", 1, "max.message.bytes", "1000", "compression.type", "gzip")
			r.Do("two together, packed by the topic", wire.ProduceRequest(gzip, 0, set(big(1, 2)...)), 2)
			segment := r.Topic("segment", 1, "segment.bytes", "1000")
			r.Do("one larger than a segment", wire.ProduceRequest(segment, 0, set(message{magic: 1, value: append(value, value...)})), 2)
			r.Do("two larger than a segment together", wire.ProduceRequest(segment, 0, set(big(1, 2)...)), 2)
			r.Do("packed", wire.ProduceRequest(segment, 0, packed(1, kgo.CodecGzip, big(1, 2)...)), 2)
			for _, t := range []string{t, plain, gzip, segment} {
				r.Do("batches", fetch(100, 1, part{topic: t}), 11)
			}
		}),
		named("bad sets", func(r *Run) {
			t := r.Topic("t", 1)
			for _, b := range badSets() {
				for v := range int16(3) {
					r.Do(b.name, wire.ProduceRequest(t, 0, b.bytes), v)
				}
			}
			r.Do("batches", fetch(100, 1, part{topic: t, maxBytes: 4 << 20}), 11)
			r.Records("records", t)
		}),
		named("requests", func(r *Run) {
			t := r.Topic("t", 3)
			good := set(messages(1, 2)...)
			for _, v := range []int16{0, 2} {
				r.Do("unknown topic", wire.ProduceRequest(r.Name("missing"), 0, good), v)
				r.Do("unknown partition", wire.ProduceRequest(t, 7, good), v)
				r.Do("nothing", wire.ProduceRequest(t, 0, []byte{}), v)
				r.Do("internal topic", wire.ProduceRequest("__consumer_offsets", 0, good), v)
				three := wire.ProduceRequest(t, 0, good)
				wire.AddProduce(three, t, 1, good[:20])
				wire.AddProduce(three, t, 2, message{magic: 1, key: []byte("k")}.patch(func(b []byte) { b[17] = 5 }))
				r.Do("three partitions", three, v)
				for _, acks := range []int16{1, -1, 2} {
					req := wire.ProduceRequest(t, 0, good)
					req.Acks = acks
					r.Do(fmt.Sprintf("acks %d", acks), req, v)
					empty := wire.ProduceRequest(t, 0, []byte{})
					empty.Acks = acks
					r.Do(fmt.Sprintf("nothing, acks %d", acks), empty, v)
				}
			}
			r.Do("no topics", &kmsg.ProduceRequest{Acks: 1, TimeoutMillis: 1000}, 1)
			r.DoUnanswered("null records", wire.ProduceRequest(t, 0, nil), 2)
			two := r.Topic("two", 1, "min.insync.replicas", "2")
			r.Do("min.insync.replicas 2 of 1 replica", wire.ProduceRequest(two, 0, good), 2)
		}),
		named("batches in old requests", func(r *Run) {
			t := r.Topic("t", 1)
			wrongCRC := wire.Batch{Records: wire.Values(1)}.Bytes()
			wrongCRC[len(wrongCRC)-1] ^= 1
			for _, b := range []namedBatch{
				{"zstd", wire.Batch{Records: wire.Values(3), Codec: kgo.CodecZstd}.Bytes()},
				{"headers", wire.Batch{Records: []wire.Record{{Value: []byte("v"), Headers: []kmsg.Header{{Key: "h", Value: []byte("x")}}}}}.Bytes()},
				{"with a producer", wire.Batch{Records: wire.Values(2), ProducerID: 9_000_300}.Bytes()},
				{"with a producer, again", wire.Batch{Records: wire.Values(2), ProducerID: 9_000_300}.Bytes()},
				{"transactional", wire.Batch{Records: wire.Values(1), ProducerID: 9_000_301, Attributes: wire.AttrTransactional}.Bytes()},
				{"control bit", wire.Batch{Records: wire.Values(1)}.Patch(func(b []byte) { binary.BigEndian.PutUint16(b[wire.PosAttributes:], wire.AttrControl) })},
				{"base offset 5", wire.Batch{Records: wire.Values(1)}.Patch(func(b []byte) { binary.BigEndian.PutUint64(b, 5) })},
				{"wrong CRC", wrongCRC},
				{"a message behind", append(wire.Batch{Records: wire.Values(1)}.Bytes(), set(messages(1, 1)...)...)},
				{"a packed message behind", append(wire.Batch{Records: wire.Values(1)}.Bytes(), packed(1, kgo.CodecGzip, messages(1, 1)...)...)},
				{"behind a message", append(set(messages(1, 1)...), wire.Batch{Records: wire.Values(1)}.Bytes()...)},
			} {
				for _, v := range []int16{0, 2} {
					r.Do(b.name, wire.ProduceRequest(t, 0, b.bytes), v)
				}
			}
			r.Do("batches", fetch(100, 1, part{topic: t}), 11)
		}),
	)
}

// badSets are message sets that a broker must refuse, or take, with Apache's error.
func badSets() []namedBatch {
	var rows []namedBatch
	add := func(name string, b []byte) { rows = append(rows, namedBatch{name, b}) }
	u32, u64 := binary.BigEndian.PutUint32, binary.BigEndian.PutUint64
	k := []byte("k")
	for magic := range int8(2) {
		on := func(format string, args ...any) string {
			return fmt.Sprintf("magic %d, ", magic) + fmt.Sprintf(format, args...)
		}
		ms := messages(magic, 3)
		one, three := ms[0], set(ms...)
		flip := func(b []byte) []byte { b = bytes.Clone(b); b[len(b)-1] ^= 1; return b }
		keyAt := 18 + 8*int(magic)
		add(on("good"), three)
		add(on("wrong CRC of the last"), flip(three))
		add(on("cut by one byte"), three[:len(three)-1])
		add(on("cut in the first"), three[:20])
		add(on("cut in the head of the second"), three[:len(one.bytes())+11])
		add(on("13 bytes of zeros behind"), append(bytes.Clone(three), make([]byte, 13)...))
		add(on("offsets that fall"), set(ms[2], ms[1], ms[0]))
		add(on("offsets of -1 and -9"), set(message{magic: magic, offset: -1, key: k}, message{magic: magic, offset: -9, key: k}))
		add(on("null key and value"), message{magic: magic}.bytes())
		add(on("empty key and value"), message{magic: magic, key: []byte{}, value: []byte{}}.bytes())
		for _, n := range []int32{0, 13, 14, 15, 21, 22, -1, 1<<31 - 1} {
			add(on("length %d", n), one.patch(func(b []byte) { u32(b[8:], uint32(n)) }))
		}
		for _, n := range []int32{-2, 3, 1000, 1<<31 - 1, -1 << 31} {
			add(on("key length %d", n), one.patch(func(b []byte) { u32(b[keyAt:], uint32(n)) }))
			add(on("value length %d", n), one.patch(func(b []byte) { u32(b[keyAt+6:], uint32(n)) }))
		}
		add(on("bytes behind the value"), entry(0, append(bytes.Clone(one.bytes()[16:]), 1, 2, 3)))
		for _, codec := range []int8{4, 5, 7} {
			add(on("codec %d", codec), message{magic: magic, attributes: codec, key: k, value: k}.bytes())
		}
		add(on("codec 4 that is zstd"), wrap(magic, kgo.CodecZstd, 0, one.bytes()))
		add(on("attributes beyond the known"), message{magic: magic, attributes: 0x70, key: k}.bytes())
		for _, codec := range []int8{1, 2, 3} {
			add(on("codec %d over what is not packed", codec), message{magic: magic, attributes: codec, key: k, value: one.bytes()}.bytes())
			add(on("codec %d over nothing", codec), message{magic: magic, attributes: codec, value: []byte{}}.bytes())
		}
		add(on("wrapper without a value"), message{magic: magic, attributes: 1}.bytes())
		add(on("wrapper of nothing"), wrap(magic, kgo.CodecGzip, 0, nil))
		add(on("wrapper of 11 bytes"), wrap(magic, kgo.CodecGzip, 0, make([]byte, 11)))
		add(on("wrapper with a key"), message{magic: magic, attributes: 1, offset: 2, key: k, value: wire.Compress(kgo.CodecGzip, three)}.bytes())
		add(on("wrong CRC of the wrapper"), flip(wrap(magic, kgo.CodecGzip, 2, three)))
		add(on("wrong CRC inside"), wrap(magic, kgo.CodecGzip, 2, flip(three)))
		add(on("cut inside"), wrap(magic, kgo.CodecGzip, 2, three[:len(three)-1]))
		add(on("length 13 inside"), wrap(magic, kgo.CodecGzip, 0, one.patch(func(b []byte) { u32(b[8:], 13) })))
		add(on("length -1 inside"), wrap(magic, kgo.CodecGzip, 0, one.patch(func(b []byte) { u32(b[8:], ^uint32(0)) })))
		add(on("key length 1000 inside"), wrap(magic, kgo.CodecGzip, 0, one.patch(func(b []byte) { u32(b[keyAt:], 1000) })))
		add(on("a wrapper inside"), wrap(magic, kgo.CodecGzip, 2, wrap(magic, kgo.CodecGzip, 2, three)))
		add(on("the other magic inside"), wrap(magic, kgo.CodecGzip, 2, set(messages(1-magic, 3)...)))
		add(on("the other magic inside, second"), wrap(magic, kgo.CodecGzip, 1, set(ms[0], messages(1-magic, 2)[1])))
		add(on("a batch inside"), wrap(magic, kgo.CodecGzip, 0, wire.Batch{Records: wire.Values(1)}.Bytes()))
		add(on("the other magic behind"), set(ms[0], messages(1-magic, 1)[0]))
		add(on("two wrappers"), append(wrap(magic, kgo.CodecGzip, 2, three), wrap(magic, kgo.CodecGzip, 2, three)...))
		add(on("a wrapper behind"), append(one.bytes(), wrap(magic, kgo.CodecGzip, 2, three)...))
		add(on("a message behind the wrapper"), append(wrap(magic, kgo.CodecGzip, 2, three), one.bytes()...))
		add(on("bytes behind the packed data"), message{magic: magic, attributes: 1, offset: 2, value: append(wire.Compress(kgo.CodecGzip, three), 1, 2, 3)}.bytes())
		for _, o := range []int64{0, 1, 3, 100, -1} {
			add(on("wrapper at offset %d of three", o), wrap(magic, kgo.CodecGzip, o, three))
		}
		for i, offsets := range [][3]int64{{0, 0, 0}, {5, 6, 7}, {2, 1, 0}, {0, 2, 4}, {-3, -2, -1}} {
			in := messages(magic, 3)
			for j := range in {
				in[j].offset = offsets[j]
			}
			add(on("offsets inside, %d", i), wrap(magic, kgo.CodecGzip, 2, set(in...)))
			add(on("offsets inside, %d, wrapper at 0", i), wrap(magic, kgo.CodecGzip, 0, set(in...)))
		}
	}
	for _, ts := range []int64{-1, -2, -1 << 63, 1<<63 - 1, 0} {
		add(fmt.Sprintf("timestamp %d", ts), message{magic: 1, time: ts, key: k}.bytes())
		add(fmt.Sprintf("timestamp %d inside", ts), wrap(1, kgo.CodecGzip, 0, message{magic: 1, time: ts, key: k}.bytes()))
	}
	add("timestamps far apart", set(message{magic: 1, time: 1<<63 - 1, key: k}, message{magic: 1, offset: 1, time: -1, key: k}))
	for _, m := range []byte{3, 127, 255} {
		add(fmt.Sprintf("magic %d", int8(m)), messages(1, 1)[0].patch(func(b []byte) { b[16] = m }))
	}
	huge := messages(1, 1)[0]
	add("magic 1 that is too short for it", huge.patch(func(b []byte) { b[16] = 0 }))
	short := message{}.bytes()
	short[16] = 1
	add("magic 0 that says 1", message{}.patch(func(b []byte) { b[16] = 1 }))
	add("magic 0 that says 1, wrong CRC", short)
	add("offset 2^63-1", messages(1, 1)[0].patch(func(b []byte) { u64(b, 1<<63-1) }))
	return rows
}
