package probe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/twmb/franz-go/pkg/kgo"

	"gokafka/compat_test/wire"
)

// oldSegments are segments of a log whose topic went through all formats: base offset to bytes. Offsets end at oldSegmentsEnd.
func oldSegments() map[int64][]byte {
	at := func(base int64, ms []message) []message {
		for i := range ms {
			ms[i].offset, ms[i].time = base+int64(i), wire.BaseTimestamp+base+int64(i)
		}
		return ms
	}
	// A wrapper of magic 1 holds offsets from 0 on, one of magic 0 the offsets themselves.
	wrapped := func(magic int8, codec kgo.CompressionCodecType, base int64, n int) []byte {
		in := at(base, messages(magic, n))
		last := in[n-1]
		if magic == 1 {
			for i := range in {
				in[i].offset = int64(i)
			}
		}
		return message{magic: magic, attributes: int8(codec), offset: last.offset, time: last.time, value: wire.Compress(codec, set(in...))}.bytes()
	}
	batch := func(base int64, n int, codec kgo.CompressionCodecType) []byte {
		b := wire.Batch{Records: wire.Values(n), Codec: codec, BaseTimestamp: wire.BaseTimestamp + base}.Bytes()
		binary.BigEndian.PutUint64(b, uint64(base))
		binary.BigEndian.PutUint32(b[wire.PosLeaderEpoch:], 0)
		return b
	}
	appendTime := message{magic: 1, attributes: 8 | 1, offset: 24, time: wire.BaseTimestamp + 1000, value: wire.Compress(kgo.CodecGzip, set(messages(1, 5)...))}
	// Alone, records take less room as messages: the last segment shrinks by so much that the compressor's release does not decide what fits.
	var alone []byte
	for o := int64(34); o < oldSegmentsEnd; o++ {
		alone = append(alone, batch(o, 1, kgo.CodecNone)...)
	}
	return map[int64][]byte{
		0:  append(set(at(0, messages(0, 3))...), wrapped(0, kgo.CodecGzip, 3, 5)...),
		8:  bytes.Join([][]byte{set(at(8, messages(1, 2))...), wrapped(1, kgo.CodecSnappy, 10, 5), wrapped(1, kgo.CodecLz4, 15, 5), appendTime.bytes()}, nil),
		25: bytes.Join([][]byte{batch(25, 3, kgo.CodecGzip), batch(28, 2, kgo.CodecNone), wrapped(1, kgo.CodecGzip, 30, 4), alone}, nil),
	}
}

const oldSegmentsEnd = 44

// writeSegments replaces a partition's log by segments without indexes.
func writeSegments(dir string, segments map[int64][]byte) error {
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.Name() != "partition.metadata" {
			err = errors.Join(err, os.Remove(filepath.Join(dir, f.Name())))
		}
	}
	for base, b := range segments {
		err = errors.Join(err, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%020d.log", base)), b, 0o644))
	}
	return err
}

// oldSegmentCases show how a broker goes on with logs that brokers of old releases wrote: one with segments of all formats, one without
// magic 0, whose messages have no times.
func oldSegmentCases() []Case {
	inherited := func(name string, clean bool) Case {
		c := named(name, func(r *Run) {
			all, timed := r.Topic("all", 1), r.Topic("timed", 1)
			topics := map[string]int32{all: 1, timed: 1}
			r.drop()
			err := r.env.Rewrite(r.ctx, clean, func(data string) error {
				segments := oldSegments()
				err := writeSegments(filepath.Join(data, all+"-0"), segments)
				delete(segments, 0)
				return errors.Join(err, writeSegments(filepath.Join(data, timed+"-0"), segments))
			})
			if err != nil {
				r.fatalf("restart: %w", err)
			}
			for t, n := range topics {
				r.AwaitTopic(t, n)
			}
			r.readOldSegments(all)
			r.askOldSegments(all)
			r.askOldTimes(timed)
			r.Do("messages behind", wire.ProduceRequest(all, 0, set(messages(1, 2)...)), 2)
			batch := wire.ProduceRequest(all, 0, wire.Batch{Records: wire.Values(2), ProducerID: 9_000_600}.Bytes())
			r.Do("a batch behind", batch, 9)
			r.restart(false, topics)
			r.Do("a batch behind, again", batch, 9)
			r.restart(true, topics)
			r.Do("after all", fetch(50, 1, part{topic: all}), 11)
			r.Do("the end, after all", fetch(50, 1, part{topic: all, offset: 38}), 3)
			r.askOldSegments(all)
			r.askOldTimes(timed)
		})
		c.Restarts = true
		return c
	}
	return group("old-segments", inherited("after SIGTERM", true), inherited("after SIGKILL", false))
}

// readOldSegments reads a log from all places in versions of all kinds.
func (r *Run) readOldSegments(t string) {
	for _, v := range []int16{0, 2, 3, 4, 11} {
		for _, o := range []int64{0, 4, 8, 12, 22, 26, 29, 31, oldSegmentsEnd} {
			r.Do(fmt.Sprintf("from %d", o), fetch(50, 1, part{topic: t, offset: o}), v)
		}
	}
	for _, n := range []int32{1, 50, 300} {
		for _, o := range []int64{0, 9, 31} {
			for _, v := range []int16{2, 3, 11} {
				r.Do(fmt.Sprintf("from %d, %d bytes", o, n), fetch(50, 1, part{topic: t, offset: o, maxBytes: n}), v)
			}
		}
	}
}

func (r *Run) askOldSegments(t string) {
	for _, v := range []int16{1, 7} {
		for _, ts := range []int64{-1, -2} {
			r.Do(fmt.Sprint(ts), listOffset(t, 0, ts), v)
		}
	}
	r.Do("a time, with messages that have none in front", listOffset(t, 0, wire.BaseTimestamp+12), 7)
	r.Do("the largest time", listOffset(t, 0, -3), 7)
	r.Do("the starts of segments", listOffset(t, 0, -1), 0)
	for _, e := range []int32{-1, 0, 1} {
		r.Do(fmt.Sprintf("epoch %d", e), leaderEpoch(t, 0, -1, e), 4)
	}
}

func (r *Run) askOldTimes(t string) {
	for _, v := range []int16{1, 7} {
		for _, d := range []int64{0, 8, 9, 10, 12, 14, 15, 18, 20, 26, 28, 30, 32, 35, 36, 100, 1000, 1001} {
			r.Do(fmt.Sprintf("t0+%d", d), listOffset(t, 0, wire.BaseTimestamp+d), v)
		}
	}
}
