package dumps

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"

	"gokafka/record"
)

const madeAt = int64(1700000000000)

// batch makes a batch of magic 2 whose records are f's.
func batch(spec record.BatchSpec, f func(*record.Builder) error) ([]byte, error) {
	b := record.NewBuilder(spec)
	if err := f(b); err != nil {
		return nil, err
	}
	out, _, err := b.Build(nil, nil)
	return out, err
}

// messageLog is a segment with a batch for each message, or one for all.
func messageLog(from int64, messages []message, together bool) (out []byte, err error) {
	for len(messages) > 0 {
		n := 1
		if together {
			n = len(messages)
		}
		spec := record.NewBatchSpec()
		spec.BaseOffset = from
		b, err := batch(spec, func(b *record.Builder) error {
			for i, m := range messages[:n] {
				if err := b.Append(madeAt+int64(i), m.key, m.value); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		out = append(out, b...)
		messages, from = messages[n:], from+int64(n)
	}
	return out, nil
}

// made are segments with what Apache's directories do not have.
func (c *corpus) made() error {
	for _, step := range []func() error{c.madeMessages, c.madeControl, c.madeRecords, c.madeHeaders, c.madeNumbers, c.madeLong, c.madeSnapshots} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

func (c *corpus) madeMessages() error {
	groups, txns := groupMessages(), transactionMessages()
	for name, messages := range map[string][]message{
		"made/offsets": groups, "made/offsets-damaged": damagedMessages(c.rand, groups, 1500), "made/transactions": txns,
	} {
		b, err := messageLog(100, messages, true)
		if err != nil {
			return err
		}
		if err := c.write(name+"/00000000000000000100.log", b); err != nil {
			return err
		}
	}
	file := func(name string) string { return "made/" + name + "/00000000000000000100.log" }
	c.run("--files", file("offsets"), "--offsets-decoder")
	c.run("--files", file("offsets"), "--offsets-decoder", "--skip-record-metadata", "--transaction-log-decoder")
	c.run("--files", file("offsets-damaged"), "--offsets-decoder", "--skip-record-metadata")
	c.run("--files", file("transactions"), "--transaction-log-decoder")
	for i, m := range append(damagedMessages(c.rand, txns, 100), message{nil, []byte("no key")}) { // each may end the run
		b, err := messageLog(7, []message{m}, true)
		if err != nil {
			return err
		}
		name := fmt.Sprintf("made/transactions-damaged-%d/7.log", i)
		if err := c.write(name, b); err != nil {
			return err
		}
		c.run("--files", name, "--transaction-log-decoder")
	}
	b, err := messageLog(7, []message{{nil, []byte("no key")}}, true)
	if err != nil {
		return err
	}
	c.run("--files", "made/offsets-no-key/7.log", "--offsets-decoder")
	return c.write("made/offsets-no-key/7.log", b)
}

// controls are keys and values of control records: KRaft's too, and broken ones.
func controls() (out []message) {
	key := func(version, kind int16) []byte { return (&writer{}).i16(version).i16(kind).b }
	id := []byte("0123456789abcdef")
	flexible := func() *writer { return &writer{flex: true} }
	voters := flexible().i16(0).count(2)
	for i := range int32(2) {
		voters.i32(i).raw(id).count(1).str("CONTROLLER").str("host").i16(-1).end().i16(0).i16(1).end().end()
	}
	return []message{
		{key(0, 0), (&writer{}).i16(0).i32(4).b}, {key(0, 1), (&writer{}).i16(1).i32(-1).b}, {key(3, 1), (&writer{}).i16(0).i32(7).i32(9).b},
		{key(0, 2), (&writer{}).i16(0).b}, {key(0, 3), flexible().i16(0).i64(1700000000000).end().b}, {key(0, 4), flexible().i16(0).end().b},
		{key(0, 5), flexible().i16(0).i16(1).end().b}, {key(0, 6), voters.end().b}, {key(0, 9), nil}, {key(0, -5), nil},
		// from here on each ends the run
		{key(-1, 0), (&writer{}).i16(0).i32(4).b}, {[]byte{0, 0, 0}, nil}, {nil, nil}, {key(0, 0), nil}, {key(0, 1), []byte{0, 0, 0}},
		{key(0, 0), (&writer{}).i16(-2).i32(4).b}, {key(0, 3), []byte{0, 0}}, {key(0, 6), voters.b[:30]}, {key(0, 4), nil},
	}
}

func (c *corpus) madeControl() error {
	all := controls()
	for i, m := range append([]message{{}}, all...) {
		part := []message{m}
		if i == 0 {
			part = all[:10]
		}
		spec := record.NewBatchSpec()
		spec.BaseOffset, spec.ProducerID, spec.ProducerEpoch, spec.Transactional, spec.Control = 40, 9, 2, true, true
		b, err := batch(spec, func(b *record.Builder) error {
			for _, m := range part {
				if err := b.Append(madeAt, m.key, m.value); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		name := fmt.Sprintf("made/control-%d/40.log", i)
		if i == 0 {
			if err := c.write("made/kraft/00000000000000000040-0000000003.checkpoint", b); err != nil {
				return err
			}
			if err := c.write("made/kraft/bootstrap.checkpoint", b); err != nil {
				return err
			}
			if err := c.write("made/kraft/x.checkpoint", b); err != nil {
				return err
			}
			c.modes("made/kraft/00000000000000000040-0000000003.checkpoint")
			c.run("--files", "made/kraft/bootstrap.checkpoint")
			c.run("--files", "made/kraft/x.checkpoint")
			c.run("--files", name, "--skip-record-metadata", "--print-data-log")
		}
		if err := c.write(name, b); err != nil {
			return err
		}
		c.run("--files", name, "--print-data-log")
	}
	return nil
}

// notUTF8 are keys that Java and Go read differently.
var notUTF8 = []string{"\xff", "a\xc3", "\xc3(", "\xe2\x82", "\xe2\x82x", "\xe2(\xa1", "\xed\xa0\x80\xed\xb0\x80", "\xf0\x9f\x98", "\xf0\x9f\x98y", "\xf0\x9fz",
	"\xf0(\x8c\xbc", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80", "\xc0\x80", "\xe0\x80\x80", "\xf0\x80\x80\x80", "\x80\xbf", "\xef\xbf\xbd", "€😀", "", "\x00\r\x1b"}

// madeRecords are records with every kind of field and header, gaps, and deltas and sequences at their limits.
func (c *corpus) madeRecords() error {
	h := func(k, v string) record.Header { return record.Header{Key: []byte(k), Value: []byte(v)} }
	spec := record.NewBatchSpec()
	spec.BaseOffset, spec.LeaderEpoch, spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence, spec.DeleteHorizonMs = 5, 3, 77, 1, 1<<31-3, madeAt+5
	horizon, err := batch(spec, func(b *record.Builder) error {
		for i, s := range notUTF8 {
			if err := b.AppendAt(5+int64(i*i), madeAt-int64(i), []byte(s), []byte("v"+s), h("k"+s, ""), h(s, s), record.Header{Key: []byte("null")}); err != nil {
				return err
			}
		}
		return b.AppendAt(5+1000, 5, nil, nil)
	})
	if err != nil {
		return err
	}
	spec = record.NewBatchSpec()
	spec.BaseOffset, spec.TimestampType, spec.AppendTimeMs = 900, record.LogAppendTime, madeAt+9
	appended, err := batch(spec, func(b *record.Builder) error {
		for range 300 { // random bytes, which are hardly ever UTF-8
			v := make([]byte, c.rand.Intn(12))
			for i := range v {
				v[i] = []byte{0x41, 0x80, 0xbf, 0xc2, 0xe0, 0xe2, 0xed, 0xf0, 0xf4, 0xf5, byte(c.rand.Intn(256)), byte(0x80 + c.rand.Intn(64))}[c.rand.Intn(12)]
			}
			if err := b.Append(madeAt, v, v); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	numbers, err := messageLog(2000, []message{{binary.BigEndian.AppendUint32(nil, 1<<31+5), binary.BigEndian.AppendUint64(nil, 1<<63+5)}, {nil, nil}, {nil, []byte("12345678")}}, false)
	if err != nil {
		return err
	}
	const file = "made/records/00000000000000000005.log"
	c.modes(file)
	const num = "made/numbers/2000.log"
	c.run("--files", num, "--key-decoder-class", "org.apache.kafka.tools.api.IntegerDecoder", "--value-decoder-class", "org.apache.kafka.tools.api.LongDecoder")
	c.run("--files", num, "--key-decoder-class", "kafka.serializer.IntegerDecoder", "--value-decoder-class", "kafka.serializer.LongDecoder")
	c.run("--files", num, "--value-decoder-class", "kafka.serializer.StringDecoder")
	c.run("--files", num, "--key-decoder-class", "org.apache.kafka.tools.api.LongDecoder") // 4 bytes
	if err := c.write(num, numbers); err != nil {
		return err
	}
	return c.write(file, slices.Concat(horizon, appended))
}

// headerChange changes a batch of three records.
type headerChange struct {
	name string
	f    func(b record.Batch) []byte
}

func headerChanges() []headerChange {
	set := func(at int, v ...byte) func(record.Batch) []byte {
		return func(b record.Batch) []byte { copy(b[at:], v); b.UpdateCRC(); return b }
	}
	length := func(n uint32) func(record.Batch) []byte {
		return func(b record.Batch) []byte { binary.BigEndian.PutUint32(b[8:], n); return b }
	}
	return []headerChange{
		{"magic-3", set(16, 3)}, {"magic-127", set(16, 127)}, {"magic-minus-1", set(16, 0xff)}, {"magic-0", set(16, 0)}, {"magic-1", set(16, 1)},
		{"codec-5", set(22, 5)}, {"codec-7", set(22, 7)}, {"codec-1", set(22, 1)}, {"codec-4", set(22, 4)}, {"attributes", set(21, 0xff, 0xf8)},
		{"count-0", set(57, 0, 0, 0, 0)}, {"count-2", set(57, 0, 0, 0, 2)}, {"count-4", set(57, 0, 0, 0, 4)}, {"count-minus-1", set(57, 0xff, 0xff, 0xff, 0xff)},
		{"delta", set(23, 0xff, 0xff, 0xff, 0xff)}, {"offset", set(0, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)},
		{"sequence", set(53, 0x7f, 0xff, 0xff, 0xff)}, {"sequence-minus-2", set(53, 0xff, 0xff, 0xff, 0xfe)},
		{"crc", func(b record.Batch) []byte { b[17] ^= 1; return b }},
		{"length-0", length(0)}, {"length-13", length(13)}, {"length-14", length(14)}, {"length-48", length(48)}, {"length-49", length(49)},
		{"length-max", length(1<<31 - 1)}, {"length-minus", length(1 << 31)}, {"length-more", func(b record.Batch) []byte { return length(uint32(len(b) - 11))(b) }},
	}
}

// madeHeaders are batches with one thing wrong, alone and with whole batches around them.
func (c *corpus) madeHeaders() error {
	three := func(from int64) ([]byte, error) {
		return messageLog(from, []message{{[]byte("k1"), []byte("v1")}, {[]byte("k2"), nil}, {nil, []byte("value 3")}}, true)
	}
	for _, change := range headerChanges() {
		var around [3][]byte
		for i := range around {
			var err error
			if around[i], err = three(int64(10 + 3*i)); err != nil {
				return err
			}
		}
		changed := change.f(slices.Clone(around[1]))
		alone, between := "made/"+change.name+"/13.log", "made/"+change.name+"-between/10.log"
		if err := c.write(alone, changed); err != nil {
			return err
		}
		if err := c.write(between, slices.Concat(around[0], changed, around[2])); err != nil {
			return err
		}
		c.run("--files", alone)
		c.run("--files", alone, "--print-data-log")
		c.run("--files", between, "--print-data-log")
	}
	return nil
}

// madeNumbers are runs with odd numbers, on a segment of three batches.
func (c *corpus) madeNumbers() error {
	b, err := messageLog(10, []message{{[]byte("a"), []byte("1")}, {[]byte("b"), []byte("2")}, {[]byte("c"), []byte("3")}}, false)
	if err != nil {
		return err
	}
	for _, n := range []int{-1, 0, 16, 17, 18, len(b)/3 - 1, len(b) / 3, len(b)/3 + 1, len(b), len(b) + 1} {
		c.run("--files", "made/three/10.log", "--max-bytes", fmt.Sprint(n))
		c.run("--files", "made/three/10.index", "--max-message-size", fmt.Sprint(n))
	}
	entry := func(relative, position int32) []byte { return (&writer{}).i32(relative).i32(position).b }
	size := int32(len(b) / 3)
	index := slices.Concat(entry(0, 0), entry(1, size), entry(2, 2*size))
	for name, x := range map[string][]byte{
		"made/three/10.index": index, "made/three-wrong/10.index": slices.Concat(entry(1, 0), entry(7, size), entry(2, 0)),
		"made/three-minus/10.index": entry(1, -1), "made/three-far/10.index": entry(1, 10*size), "made/three-end/10.index": entry(1, 3*size),
		"made/three-inside/10.index": entry(1, 5), "made/three-below/10.index": slices.Concat(entry(-5, 0), entry(-2, size)),
		"made/three-odd/10.index": append(slices.Clone(index), 1, 2, 3), "made/three-zeros/10.index": append(slices.Clone(index), make([]byte, 800)...),
		"made/three-short/10.index": {1, 2, 3},
	} {
		if err := c.write(name, x); err != nil {
			return err
		}
		if err := c.write(name[:len(name)-len("index")]+"log", b); err != nil {
			return err
		}
	}
	for _, name := range []string{"three", "three-wrong", "three-minus", "three-far", "three-end", "three-inside", "three-below", "three-odd", "three-zeros", "three-short"} {
		c.modes("made/" + name + "/10.index")
	}
	return nil
}

// madeLong are indexes of so many entries that a search begins at their end, in order and not.
func (c *corpus) madeLong() error {
	const n = 1700
	messages := make([]message, n)
	log, err := messageLog(0, messages, false)
	if err != nil {
		return err
	}
	size := int32(len(log) / n)
	for _, dir := range []string{"long", "long-shuffled"} {
		index, times := &writer{}, &writer{}
		for i := range int32(n) {
			offset, at := i+c.rand.Int31n(2), i
			if dir == "long-shuffled" && c.rand.Intn(4) > 0 {
				offset, at = c.rand.Int31n(n), c.rand.Int31n(n)
			}
			index.i32(offset).i32(at * size)
			if i%5 == 0 {
				times.i64(madeAt + int64(c.rand.Intn(2))).i32(i + c.rand.Int31n(3))
			}
		}
		name := "made/" + dir + "/00000000000000000000"
		for ext, b := range map[string][]byte{".log": log, ".index": index.b, ".timeindex": times.b} {
			if err := c.write(name+ext, b); err != nil {
				return err
			}
		}
		c.run("--files", name+".index", "--verify-index-only")
		c.run("--files", name+".timeindex")
		c.run("--files", name+".timeindex", "--index-sanity-check")
	}
	return nil
}

// madeSnapshots are producer snapshots whose number of entries is at a limit of what is there, and one with bytes behind its entries.
func (c *corpus) madeSnapshots() error {
	castagnoli := crc32.MakeTable(crc32.Castagnoli)
	for i, s := range []struct{ entries, bytes int }{{1, 0}, {1, 1}, {1, 45}, {1, 46}, {1, 47}, {2, 47}, {2, 91}, {92, 92}, {93, 92}, {-1, 46}, {0, 0}, {0, 5}, {1 << 30, 46}} {
		covered := (&writer{}).i32(int32(s.entries)).b
		for j := range s.bytes {
			covered = append(covered, byte(j%46/5))
		}
		b := (&writer{}).i16(1).i32(int32(crc32.Checksum(covered, castagnoli))).raw(covered).b
		name := fmt.Sprintf("made/snapshot-%d/5.snapshot", i)
		if err := c.write(name, b); err != nil {
			return err
		}
		c.run("--files", name)
	}
	return nil
}
