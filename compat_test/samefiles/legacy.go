package samefiles

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/wire"
)

// oldMessage is an entry of a message set of magic 0 or 1.
func oldMessage(magic, attributes byte, offset, time int64, key, value []byte) []byte {
	body := []byte{magic, attributes}
	if magic == 1 {
		body = binary.BigEndian.AppendUint64(body, uint64(time))
	}
	for _, f := range [][]byte{key, value} {
		n := uint32(len(f))
		if f == nil {
			n = ^uint32(0)
		}
		body = append(binary.BigEndian.AppendUint32(body, n), f...)
	}
	out := binary.BigEndian.AppendUint64(nil, uint64(offset))
	out = binary.BigEndian.AppendUint32(out, uint32(len(body)+4))
	out = binary.BigEndian.AppendUint32(out, crc32.ChecksumIEEE(body))
	return append(out, body...)
}

// oldSet is a message set of n messages; with a codec they are in one wrapper.
func (s *series) oldSet(magic byte, codec kgo.CompressionCodecType, n int) []byte {
	var set []byte
	latest := int64(0)
	for i, r := range s.records(n, 80) {
		at := s.t0 + r.TimestampDelta
		latest = max(latest, at)
		set = append(set, oldMessage(magic, 0, int64(i), at, r.Key, r.Value)...)
	}
	if codec == kgo.CodecNone {
		return set
	}
	return oldMessage(magic, byte(codec), int64(n-1), latest, nil, wire.Compress(codec, set))
}

// old appends what clients before 0.11 send, if both sides serve that: it is converted. Compressed sets go to a topic of
// their own, since each broker compresses the converted batch with its own library.
func (s *series) old() error {
	if !s.serveVersion(kmsg.Produce, 0) {
		return nil
	}
	for i := range 12 {
		for magic := range byte(2) {
			if err := s.produceOld("old", int16(magic)*2, s.oldSet(magic, kgo.CodecNone, 1+i%5)); err != nil {
				return err
			}
		}
	}
	for _, codec := range []kgo.CompressionCodecType{kgo.CodecGzip, kgo.CodecSnappy, kgo.CodecLz4} {
		for magic := range byte(2) {
			if codec == kgo.CodecLz4 && magic == 0 {
				continue // its frames had a wrong checksum then, which no client library of today writes
			}
			if err := s.produceOld("to-old", int16(magic)*2, s.oldSet(magic, codec, 6)); err != nil {
				return err
			}
		}
	}
	return nil
}

func (s *series) produceOld(topic string, version int16, set []byte) error {
	_, err := s.ask(fmt.Sprintf("produce v%d %d bytes to %s", version, len(set), topic), version,
		func() kmsg.Request { return wire.ProduceRequest(topic, 0, set) }, func(r kmsg.Response) string {
			a := r.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
			return fmt.Sprintf("error %d, offset %d", a.ErrorCode, a.BaseOffset)
		})
	return err
}
