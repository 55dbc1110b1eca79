package probe

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/twmb/franz-go/pkg/kgo"

	"gokafka/compat_test/wire"
)

// legacyMessage is one entry of a message set of magic 0 or 1.
func legacyMessage(magic int8, attributes int8, offset int64, key, value []byte) []byte {
	var m []byte
	m = append(m, byte(magic), byte(attributes))
	if magic == 1 {
		m = binary.BigEndian.AppendUint64(m, wire.BaseTimestamp+uint64(offset))
	}
	for _, f := range [][]byte{key, value} {
		n := uint32(len(f))
		if f == nil {
			n = ^uint32(0)
		}
		m = append(binary.BigEndian.AppendUint32(m, n), f...)
	}
	m = append(binary.BigEndian.AppendUint32(nil, crc32.ChecksumIEEE(m)), m...)
	out := binary.BigEndian.AppendUint64(nil, uint64(offset))
	return append(binary.BigEndian.AppendUint32(out, uint32(len(m))), m...)
}

// legacyWrapped is a message set compressed into one message.
func legacyWrapped(magic int8, n int) []byte {
	var inner, packed bytes.Buffer
	for i := range n {
		inner.Write(legacyMessage(magic, 0, int64(i), []byte("k"), fmt.Appendf(nil, "value-%d", i)))
	}
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(inner.Bytes()); err != nil {
		panic(err) // a bytes.Buffer takes all
	}
	if err := z.Close(); err != nil {
		panic(err)
	}
	return legacyMessage(magic, 1, int64(n-1), nil, packed.Bytes())
}

func produceVersionCases() []Case {
	codecs := map[string]kgo.CompressionCodecType{"none": kgo.CodecNone, "gzip": kgo.CodecGzip, "snappy": kgo.CodecSnappy,
		"lz4": kgo.CodecLz4, "zstd": kgo.CodecZstd}
	names := []string{"none", "gzip", "snappy", "lz4", "zstd"}
	return group("produce-versions",
		named("codecs", func(r *Run) {
			for _, name := range names {
				t := r.Topic(name, 1)
				for v := int16(3); v <= 11; v++ {
					r.Do(name, wire.ProduceRequest(t, 0, wire.Batch{Records: wire.Values(3), Codec: codecs[name]}.Bytes()), v)
				}
				r.Do(name, fetch(100, 1, part{topic: t, maxBytes: 1 << 20}), 11)
				r.Do(name+" before zstd was known", fetch(100, 1, part{topic: t, maxBytes: 1 << 20}), 9)
			}
		}),
		named("codec of the topic", func(r *Run) {
			for _, to := range []string{"gzip", "snappy", "lz4", "zstd", "uncompressed"} {
				t := r.Topic(to, 1, "compression.type", to)
				for _, from := range names {
					r.Do(from+" to "+to, wire.ProduceRequest(t, 0, wire.Batch{Records: wire.Values(3), Codec: codecs[from]}.Bytes()), 9)
				}
				r.Do(to, fetch(100, 1, part{topic: t, maxBytes: 1 << 20}), 11)
				r.Do(to+" before zstd was known", fetch(100, 1, part{topic: t, maxBytes: 1 << 20}), 9)
			}
		}),
		named("message sets of magic 0 and 1", func(r *Run) {
			for magic := range int8(2) {
				t := r.Topic(fmt.Sprintf("magic%d", magic), 1)
				set := append(legacyMessage(magic, 0, 0, []byte("k"), []byte("v")), legacyMessage(magic, 0, 1, nil, []byte("w"))...)
				for v := range int16(4) {
					r.Do(fmt.Sprintf("magic %d, two messages", magic), wire.ProduceRequest(t, 0, set), v)
					r.Do(fmt.Sprintf("magic %d, gzip of three", magic), wire.ProduceRequest(t, 0, legacyWrapped(magic, 3)), v)
				}
				bad := bytes.Clone(set)
				bad[len(bad)-1] ^= 1
				r.Do("wrong CRC", wire.ProduceRequest(t, 0, bad), 2)
				r.Do("what is in the log", fetch(100, 1, part{topic: t, maxBytes: 1 << 20}), 11)
			}
		}),
		named("behind the first batch", func(r *Run) {
			t := r.Topic("t", 2)
			good := wire.Batch{Records: wire.Values(1)}.Bytes()
			transactional := wire.Batch{Records: wire.Values(1), ProducerID: 9_000_500, Attributes: wire.AttrTransactional}.Bytes()
			unknown := bytes.Clone(good)
			unknown[wire.PosMagic] = 9
			for _, b := range []namedBatch{{"transactional", transactional}, {"magic 9", unknown}, {"zeros", make([]byte, 100)}, {"a message", legacyMessage(1, 0, 0, nil, nil)}} {
				for _, v := range []int16{2, 3, 9} {
					req := wire.ProduceRequest(t, 0, append(bytes.Clone(good), b.bytes...))
					wire.AddProduce(req, t, 1, good)
					r.Do(b.name+" behind a good one", req, v)
					first := wire.ProduceRequest(t, 0, append(bytes.Clone(b.bytes), good...))
					wire.AddProduce(first, t, 1, good)
					r.Do(b.name+" before a good one", first, v)
				}
			}
		}),
		named("magic 2 in old requests", func(r *Run) {
			t := r.Topic("t", 1)
			for v := range int16(3) {
				r.Do("magic 2", wire.ProduceRequest(t, 0, wire.Batch{Records: wire.Values(2)}.Bytes()), v)
				two := append(wire.Batch{Records: wire.Values(2)}.Bytes(), wire.Batch{Records: wire.Values(1)}.Bytes()...)
				r.Do("two batches of magic 2", wire.ProduceRequest(t, 0, two), v)
			}
			r.Do("log end", listOffset(t, 0, -1), 5)
		}),
	)
}
