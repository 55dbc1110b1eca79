package probe

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/wire"
)

// message is one entry of a message set of magic 0 or 1. Its zero fields are those of a plain message with null key and value.
type message struct {
	magic, attributes int8
	offset            int64
	time              int64 // magic 1
	key, value        []byte
}

// bytes encodes the entry with a correct CRC.
func (m message) bytes() []byte {
	body := []byte{byte(m.magic), byte(m.attributes)}
	if m.magic == 1 {
		body = binary.BigEndian.AppendUint64(body, uint64(m.time))
	}
	for _, f := range [][]byte{m.key, m.value} {
		n := uint32(len(f))
		if f == nil {
			n = ^uint32(0)
		}
		body = append(binary.BigEndian.AppendUint32(body, n), f...)
	}
	return entry(m.offset, body)
}

// entry puts offset, length and CRC before what the CRC covers.
func entry(offset int64, body []byte) []byte {
	out := binary.BigEndian.AppendUint64(nil, uint64(offset))
	out = binary.BigEndian.AppendUint32(out, uint32(len(body)+4))
	out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(body))
	return append(out, body...)
}

// patch is bytes with one change, and with a CRC that fits again.
func (m message) patch(change func(b []byte)) []byte {
	b := m.bytes()
	change(b)
	binary.BigEndian.PutUint32(b[12:], crc32.ChecksumIEEE(b[16:]))
	return b
}

// messages makes n of a magic, at offsets from 0 on.
func messages(magic int8, n int) []message {
	ms := make([]message, n)
	for i := range ms {
		ms[i] = message{magic: magic, offset: int64(i), time: wire.BaseTimestamp + int64(i), key: fmt.Appendf(nil, "k%d", i), value: fmt.Appendf(nil, "value-%d", i)}
	}
	return ms
}

// set is messages behind each other.
func set(ms ...message) []byte {
	var out []byte
	for _, m := range ms {
		out = append(out, m.bytes()...)
	}
	return out
}

// wrap packs a message set into one message at an offset.
func wrap(magic int8, codec kgo.CompressionCodecType, offset int64, inner []byte) []byte {
	return message{magic: magic, attributes: int8(codec), offset: offset, time: wire.BaseTimestamp, value: wire.Compress(codec, inner)}.bytes()
}

// xerial is the framing in which Java's snappy is.
func xerial(inner []byte) []byte {
	block := wire.Compress(kgo.CodecSnappy, inner)
	out := append([]byte("\x82SNAPPY\x00"), 0, 0, 0, 1, 0, 0, 0, 1)
	return append(binary.BigEndian.AppendUint32(out, uint32(len(block))), block...)
}

// describeLegacy tells all of an entry but the size of what is compressed, which depends on the compressor.
func describeLegacy(b []byte) string {
	m, err := parseMessage(b)
	if err != nil {
		return err.Error()
	}
	codec := kgo.CompressionCodecType(m.attributes & 7)
	if codec == kgo.CodecNone {
		return m.describe(fmt.Sprint(len(b)))
	}
	plain, err := unpackLegacy(codec, m.magic, m.value)
	if err != nil {
		return m.describe("any") + ": " + err.Error()
	}
	m.value = nil
	var inner []string
	for len(plain) >= 12 {
		size := int(int32(binary.BigEndian.Uint32(plain[8:]))) + 12
		if size < 26 || size > len(plain) {
			break
		}
		im, err := parseMessage(plain[:size])
		if err != nil {
			inner = append(inner, err.Error())
		} else {
			inner = append(inner, im.describe(fmt.Sprint(size)))
		}
		plain = plain[size:]
	}
	if len(plain) > 0 {
		inner = append(inner, fmt.Sprintf("%d%s", len(plain), partialHeader))
	}
	return m.describe("any") + " of [" + strings.Join(inner, "; ") + "]"
}

func (m message) describe(size string) string {
	s := fmt.Sprintf("offset=%d magic=%d size=%s attributes=%#x", m.offset, m.magic, size, m.attributes)
	if m.magic == 1 {
		time := fmt.Sprint(m.time)
		if m.attributes&8 != 0 {
			time = "a time"
		}
		s += " time=" + time
	}
	return s + " " + describeValue(m.key) + "=" + describeValue(m.value)
}

func describeValue(v []byte) string {
	switch {
	case v == nil:
		return "null"
	case len(v) > 40:
		return fmt.Sprintf("%d bytes, crc %08x", len(v), crc32.ChecksumIEEE(v))
	}
	return fmt.Sprintf("%q", v)
}

func parseMessage(b []byte) (m message, err error) {
	if len(b) < 26 || crc32.ChecksumIEEE(b[16:]) != binary.BigEndian.Uint32(b[12:]) {
		return m, fmt.Errorf("offset=%d magic=%d size=%d crc=WRONG", binary.BigEndian.Uint64(b), b[16], len(b))
	}
	m = message{magic: int8(b[16]), attributes: int8(b[17]), offset: int64(binary.BigEndian.Uint64(b))}
	rest := b[18:]
	if m.magic == 1 && len(rest) >= 8 {
		m.time, rest = int64(binary.BigEndian.Uint64(rest)), rest[8:]
	}
	for _, f := range []*[]byte{&m.key, &m.value} {
		if len(rest) < 4 {
			return m, fmt.Errorf("offset=%d magic=%d size=%d: cut short", m.offset, m.magic, len(b))
		}
		n := int(int32(binary.BigEndian.Uint32(rest)))
		if rest = rest[4:]; n > len(rest) {
			return m, fmt.Errorf("offset=%d magic=%d size=%d: cut short", m.offset, m.magic, len(b))
		}
		if n >= 0 {
			*f, rest = rest[:n:n], rest[n:]
		}
	}
	return m, nil
}

// unpackLegacy unpacks the value of a wrapper. In lz4 frames of magic 0 the byte of the header's checksum is wrong by tradition
// (KIP-57): it is told, and mended by trial.
func unpackLegacy(codec kgo.CompressionCodecType, magic int8, value []byte) ([]byte, error) {
	plain, err := kgo.DefaultDecompressor().Decompress(value, codec)
	if err == nil || codec != kgo.CodecLz4 || magic != 0 || len(value) < 7 {
		return plain, err
	}
	mended := bytes.Clone(value)
	for c := range 256 {
		mended[6] = byte(c)
		if plain, err = kgo.DefaultDecompressor().Decompress(mended, codec); err == nil {
			return plain, nil
		}
	}
	return nil, err
}

// Records records what the batches of magic 2 in a topic's partition 0 hold.
func (r *Run) Records(step, topic string) {
	resp := r.Quiet(fetch(100, 0, part{topic: topic, maxBytes: 16 << 20}), 11).(*kmsg.FetchResponse)
	out := []string{}
	for raw := resp.Topics[0].Partitions[0].RecordBatches; len(raw) > 0; {
		var b kmsg.RecordBatch
		if err := b.ReadFrom(raw); err != nil {
			out = append(out, err.Error())
			break
		}
		raw = raw[b.Length+12:]
		head := fmt.Sprintf("offset=%d attributes=%#x", b.FirstOffset, b.Attributes)
		out = append(out, head+" "+describeRecords(&b))
	}
	r.record(step, out)
}

func describeRecords(b *kmsg.RecordBatch) string {
	plain, err := kgo.DefaultDecompressor().Decompress(b.Records, kgo.CompressionCodecType(b.Attributes&7))
	if err != nil {
		return err.Error()
	}
	var out []string
	for len(plain) > 0 {
		n, at := binary.Varint(plain)
		if at <= 0 || n < 0 || int(n) > len(plain)-at {
			return "records that end early"
		}
		var k kmsg.Record
		if err := k.ReadFrom(plain[:at+int(n)]); err != nil {
			return err.Error()
		}
		plain = plain[at+int(n):]
		time := fmt.Sprint(b.FirstTimestamp + k.TimestampDelta64)
		if b.Attributes&8 != 0 {
			time = "a time"
		}
		out = append(out, fmt.Sprintf("%d: %s=%s time=%s headers=%d", b.FirstOffset+int64(k.OffsetDelta), describeValue(k.Key), describeValue(k.Value), time, len(k.Headers)))
	}
	return strings.Join(out, "; ")
}
