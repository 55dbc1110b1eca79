package samefiles

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"path"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/wire"
)

// series is what both brokers are asked to do. Times lie an hour back from the run's begin, so that no producer expires.
type series struct {
	*pair
	t0  int64
	rnd *rand.Rand
	seq map[string]int32 // of the producer of each partition
	// written counts the calls of write.
	written int
}

func newSeries(p *pair, seed uint64) *series {
	return &series{pair: p, t0: time.Now().Add(-time.Hour).UnixMilli(), rnd: rand.New(rand.NewPCG(seed, 1)), seq: map[string]int32{}}
}

var codecs = []kgo.CompressionCodecType{kgo.CodecNone, kgo.CodecGzip, kgo.CodecSnappy, kgo.CodecLz4, kgo.CodecZstd}

// conversions are topics whose records are compressed anew, each broker by its own library.
var conversions = []string{"gzip", "snappy", "lz4", "zstd"}

func (s *series) createTopics() error {
	for _, t := range []struct {
		name       string
		partitions int32
		settings   []string
	}{
		{"plain", 3, nil},
		{"idempotent", 2, []string{"segment.bytes", "4096", "index.interval.bytes", "256"}},
		{"dashes-in.the_name-7", 1, []string{"segment.bytes", "3000", "index.interval.bytes", "0"}},
		{"by-time", 1, []string{"segment.ms", "1000", "index.interval.bytes", "100"}},
		{"append-time", 1, []string{"message.timestamp.type", "LogAppendTime", "segment.bytes", "4096", "index.interval.bytes", "0"}},
		{"uncompressed", 1, []string{"compression.type", "uncompressed", "segment.bytes", "8192"}},
		{"keys", 1, []string{"cleanup.policy", "compact", "min.cleanable.dirty.ratio", "1.0", "segment.bytes", "4096"}},
		{"full-index", 1, []string{"segment.index.bytes", "50", "index.interval.bytes", "0"}},
		{"preallocated", 1, []string{"preallocate", "true", "segment.bytes", "20000"}},
		{"flushed", 1, []string{"flush.messages", "1", "segment.bytes", "8192"}},
		{"refusals", 1, []string{"segment.bytes", "4096", "index.interval.bytes", "0"}},
		{"wrap", 1, nil},
		{"shortened", 1, []string{"segment.bytes", "4096"}},
		{"grown", 1, nil},
		{"empty", 1, nil},
		{"doomed", 2, nil},
		{"aged", 1, []string{"segment.bytes", "3000", "retention.ms", "18000000"}},
		{"aged-wholly", 1, []string{"segment.bytes", "3000", "retention.ms", "1000000"}},
		{"sized", 1, []string{"segment.bytes", "3000", "retention.bytes", "9000"}},
		{"old", 1, []string{"segment.bytes", "2000", "index.interval.bytes", "300"}},
		{"to-old", 1, nil},
	} {
		if err := s.create(t.name, t.partitions, t.settings...); err != nil {
			return err
		}
	}
	for _, c := range conversions {
		if err := s.create("to-"+c, 1, "compression.type", c); err != nil {
			return err
		}
	}
	return nil
}

// records are n records of mixed shape: with and without key, value and headers, of up to about size bytes.
func (s *series) records(n, size int) []wire.Record {
	rs := make([]wire.Record, n)
	for i := range rs {
		r := &rs[i]
		r.TimestampDelta = s.rnd.Int64N(50)
		if s.rnd.IntN(5) != 0 {
			r.Value = []byte(strings.Repeat(fmt.Sprintf("%x ", s.rnd.Uint64()), 1+s.rnd.IntN(1+size/17)))
		}
		if s.rnd.IntN(2) == 0 {
			r.Key = fmt.Appendf(nil, "key-%d", s.rnd.IntN(20))
		}
		if s.rnd.IntN(4) == 0 {
			r.Headers = append(r.Headers, kmsg.Header{Key: "h", Value: []byte("v")}, kmsg.Header{Key: "null"})
		}
	}
	return rs
}

// batch makes one batch; its producer goes on where it was, or it has none.
func (s *series) batch(topic string, partition int32, idempotent bool, n, size int) wire.Batch {
	b := wire.Batch{Records: s.records(n, size), Codec: codecs[s.rnd.IntN(len(codecs))], BaseTimestamp: s.t0 + s.rnd.Int64N(600_000)}
	if idempotent {
		at := fmt.Sprintf("%s-%d", topic, partition)
		b.ProducerID, b.Epoch, b.Sequence = 8_000_000+int64(partition), 0, s.seq[at]
		s.seq[at] += int32(n)
	}
	return b
}

// fill appends batches of random size to a partition.
func (s *series) fill(topic string, partition int32, batches, size int) error {
	for range batches {
		b := s.batch(topic, partition, s.rnd.IntN(3) != 0, 1+s.rnd.IntN(8), size)
		if topic == "aged" && s.written == 0 {
			b.BaseTimestamp -= 9 * time.Hour.Milliseconds()
		}
		if topic == "keys" {
			for i := range b.Records {
				b.Records[i].Key = fmt.Appendf(nil, "key-%d", s.rnd.IntN(9))
			}
		}
		if _, err := s.produce(topic, partition, b.Bytes()); err != nil {
			return err
		}
		if topic == "append-time" {
			time.Sleep(3 * time.Millisecond) // so that each has a later time, and the time index an entry, on both sides
		}
	}
	return nil
}

// write appends to all topics.
func (s *series) write() error {
	for _, f := range []struct {
		topic           string
		partitions      int32
		batches, sizing int
	}{
		{"plain", 2, 12, 400}, {"idempotent", 2, 40, 100}, {"dashes-in.the_name-7", 1, 25, 100}, {"by-time", 1, 25, 100},
		{"append-time", 1, 25, 100}, {"uncompressed", 1, 25, 200}, {"keys", 1, 30, 60}, {"full-index", 1, 30, 50},
		{"preallocated", 1, 30, 400}, {"flushed", 1, 20, 200}, {"shortened", 1, 40, 100}, {"grown", 1, 5, 100},
		{"aged", 1, 30, 100}, {"aged-wholly", 1, 20, 100}, {"sized", 1, 40, 100},
	} {
		if f.topic == "full-index" && s.written > 0 {
			continue // a restarted Apache broker may put more into such a segment than it can recover, and then not start
		}
		for p := range f.partitions {
			if err := s.fill(f.topic, p, f.batches, f.sizing); err != nil {
				return err
			}
		}
	}
	s.written++
	for _, c := range conversions {
		if err := s.fill("to-"+c, 0, 15, 100); err != nil {
			return err
		}
	}
	for _, f := range []func() error{s.big, s.refusals, s.wrap, s.odd, s.old} {
		if err := f(); err != nil {
			return err
		}
	}
	return nil
}

// big appends batches larger than index intervals and buffers.
func (s *series) big() error {
	for _, n := range []int{100, 1000, 5000} {
		if _, err := s.produce("plain", 1, s.batch("plain", 1, true, n, 150).Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// refusals mixes batches that are accepted with duplicates, gaps, older and newer epochs: an append that is refused, or a
// duplicate, may still roll the segment.
func (s *series) refusals() error {
	var last []byte
	for i := range 60 {
		b := s.batch("refusals", 0, true, 1+s.rnd.IntN(4), 100)
		var err error
		switch i % 6 {
		case 1:
			_, err = s.produce("refusals", 0, last)
		case 3:
			gap := b
			gap.Sequence += 5
			_, err = s.produce("refusals", 0, gap.Bytes())
		case 5:
			old := b
			old.ProducerID, old.Epoch, old.Sequence = 9_000_000, int16(10-i%11), 0
			_, err = s.produce("refusals", 0, old.Bytes())
		}
		if err != nil {
			return err
		}
		last = b.Bytes()
		if _, err := s.produce("refusals", 0, last); err != nil {
			return err
		}
	}
	return nil
}

// wrap lets sequences run over the end of int32.
func (s *series) wrap() error {
	const max = 1<<31 - 1
	for i, first := range []int32{max - 1, 2, 3} {
		b := s.batch("wrap", 0, false, []int{4, 1, 2}[i], 20)
		b.ProducerID, b.Epoch, b.Sequence = 9_100_000+int64(len(s.seq)), 1, first
		if _, err := s.produce("wrap", 0, b.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// odd appends batches as no Java producer writes them.
func (s *series) odd() error {
	one := func(change func(b []byte)) []byte {
		return s.batch("plain", 2, false, 3, 40).Patch(change)
	}
	attribute := func(bit uint16) func(b []byte) {
		return func(b []byte) {
			binary.BigEndian.PutUint16(b[wire.PosAttributes:], binary.BigEndian.Uint16(b[wire.PosAttributes:])|bit)
		}
	}
	for _, raw := range [][]byte{
		one(attribute(wire.AttrLogAppendTime)),
		one(attribute(1 << 6)), // delete horizon
		one(attribute(1 << 7)),
		one(func(b []byte) { binary.BigEndian.PutUint64(b[wire.PosMaxTimestamp:], uint64(s.t0+9_999_999)) }),
		one(func(b []byte) { binary.BigEndian.PutUint32(b[wire.PosLeaderEpoch:], 77) }),
		append(one(func([]byte) {}), 1, 2),
		one(func(b []byte) { binary.BigEndian.PutUint32(b[wire.PosCount:], 2) }),
		one(func(b []byte) { binary.BigEndian.PutUint64(b[wire.PosBaseTimestamp:], ^uint64(0)) }),
	} {
		if _, err := s.produce("plain", 2, raw); err != nil {
			return err
		}
	}
	return nil
}

// awaitRetention waits until both have deleted what is too old or too much, and removed the files of it and of deleted topics.
func (s *series) awaitRetention() error {
	return s.each(func(x *side) error {
		var err error
		for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
			if err = x.retained(); err == nil {
				return nil
			}
		}
		return err
	})
}

// retained says whether the logs with retention have lost their first segment and nothing waits for removal.
func (x *side) retained() error {
	files, err := x.dir.Files()
	if err != nil {
		return err
	}
	for _, f := range files {
		dir, name := path.Split(f)
		first := name == "00000000000000000000.log" && (dir == "aged-0/" || dir == "aged-wholly-0/" || dir == "sized-0/")
		if first || strings.HasSuffix(name, ".deleted") || strings.HasSuffix(dir, "-delete/") {
			return fmt.Errorf("%s is still there", f)
		}
	}
	return nil
}
