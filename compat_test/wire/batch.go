package wire

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Positions in a batch that probes overwrite.
const (
	PosLength          = 8
	PosLeaderEpoch     = 12
	PosMagic           = 16
	PosCRC             = 17
	PosAttributes      = 21
	PosLastOffsetDelta = 23
	PosBaseTimestamp   = 27
	PosMaxTimestamp    = 35
	PosProducerID      = 43
	PosProducerEpoch   = 51
	PosBaseSequence    = 53
	PosCount           = 57
	PosRecords         = 61
)

// Attribute bits of a batch.
const (
	AttrLogAppendTime = 1 << 3
	AttrTransactional = 1 << 4
	AttrControl       = 1 << 5
)

// BaseTimestamp is the timestamp of every batch that does not set its own, so that answers do not depend on the day.
const BaseTimestamp = 1_700_000_000_000

// Record is one record of a Batch. A nil Key is a null key.
type Record struct {
	Key, Value []byte
	Headers    []kmsg.Header
	// TimestampDelta counts from the batch's base timestamp.
	TimestampDelta int64
}

// Batch describes a record batch of magic 2. Zero fields become those of a correct batch of a plain producer, except
// where a field says otherwise; Patch writes wrong ones.
type Batch struct {
	Records       []Record
	Codec         kgo.CompressionCodecType
	Attributes    int16 // without the codec
	BaseTimestamp int64 // 0: BaseTimestamp
	// ProducerID 0 is none: ids of real producers that probes use are larger.
	ProducerID int64
	Epoch      int16
	Sequence   int32
}

// Values makes n small records without key.
func Values(n int) []Record {
	rs := make([]Record, n)
	for i := range rs {
		rs[i].Value = fmt.Appendf(nil, "value-%d", i)
	}
	return rs
}

// Bytes encodes the batch with a correct CRC.
func (b Batch) Bytes() []byte {
	if b.BaseTimestamp == 0 {
		b.BaseTimestamp = BaseTimestamp
	}
	if b.ProducerID == 0 {
		b.ProducerID, b.Epoch, b.Sequence = -1, -1, -1
	}
	kb := kmsg.RecordBatch{
		Magic: 2, PartitionLeaderEpoch: -1, Attributes: b.Attributes | int16(b.Codec),
		LastOffsetDelta: int32(len(b.Records) - 1), FirstTimestamp: b.BaseTimestamp, MaxTimestamp: b.BaseTimestamp,
		ProducerID: b.ProducerID, ProducerEpoch: b.Epoch, FirstSequence: b.Sequence, NumRecords: int32(len(b.Records)),
	}
	var plain []byte
	for i, r := range b.Records {
		plain = appendRecord(plain, i, r)
		kb.MaxTimestamp = max(kb.MaxTimestamp, b.BaseTimestamp+r.TimestampDelta)
	}
	kb.Records = Compress(b.Codec, plain)
	out := kb.AppendTo(nil)
	FixLength(out)
	FixCRC(out)
	return out
}

func appendRecord(dst []byte, i int, r Record) []byte {
	k := kmsg.Record{TimestampDelta64: r.TimestampDelta, OffsetDelta: int32(i), Key: r.Key, Value: r.Value, Headers: r.Headers}
	body := k.AppendTo(nil) // begins with the varint of Length 0, one byte
	k.Length = int32(len(body) - 1)
	return k.AppendTo(dst)
}

// Compress packs bytes as a batch or a message of an older format holds them.
func Compress(codec kgo.CompressionCodecType, plain []byte) []byte {
	var c kgo.CompressionCodec
	switch codec {
	case kgo.CodecGzip:
		c = kgo.GzipCompression()
	case kgo.CodecSnappy:
		c = kgo.SnappyCompression()
	case kgo.CodecLz4:
		c = kgo.Lz4Compression()
	case kgo.CodecZstd:
		c = kgo.ZstdCompression()
	default:
		return plain
	}
	z, err := kgo.DefaultCompressor(c)
	if err != nil {
		panic(err) // a codec of the list above
	}
	out, _ := z.Compress(new(bytes.Buffer), plain)
	return bytes.Clone(out)
}

// FixLength makes the length field that of the bytes.
func FixLength(batch []byte) { binary.BigEndian.PutUint32(batch[PosLength:], uint32(len(batch)-12)) }

// FixCRC stores the CRC of the bytes as they are.
func FixCRC(batch []byte) {
	binary.BigEndian.PutUint32(batch[PosCRC:], crc32.Checksum(batch[PosAttributes:], crc32.MakeTable(crc32.Castagnoli)))
}

// Patch is Bytes with one change, and with a CRC that fits again.
func (b Batch) Patch(change func(batch []byte)) []byte {
	out := b.Bytes()
	change(out)
	FixCRC(out)
	return out
}

// ProduceRequest asks to append records to one partition, acks=all.
func ProduceRequest(topic string, partition int32, records []byte) *kmsg.ProduceRequest {
	req := kmsg.NewPtrProduceRequest()
	req.Acks = -1
	req.TimeoutMillis = 5000
	AddProduce(req, topic, partition, records)
	return req
}

// AddProduce adds a partition to a produce request, in the topic's entry if it has one.
func AddProduce(req *kmsg.ProduceRequest, topic string, partition int32, records []byte) {
	p := kmsg.NewProduceRequestTopicPartition()
	p.Partition, p.Records = partition, records
	for i := range req.Topics {
		if req.Topics[i].Topic == topic {
			req.Topics[i].Partitions = append(req.Topics[i].Partitions, p)
			return
		}
	}
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	t.Partitions = append(t.Partitions, p)
	req.Topics = append(req.Topics, t)
}
