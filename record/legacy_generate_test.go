package record

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"math/rand"
	"testing"
)

// legacyInput is a line of legacy-inputs.txt: an operation, its settings, and batches.
type legacyInput struct {
	name, op, settings string
	set                []byte
}

func (in legacyInput) String() string {
	set := hex.EncodeToString(in.set)
	if set == "" {
		set = "-"
	}
	if in.settings == "" {
		return fmt.Sprint(in.name, " ", in.op, " ", set)
	}
	return fmt.Sprint(in.name, " ", in.op, " ", in.settings, " ", set)
}

// legacyGenerator makes message sets as clients send and logs hold them, and broken ones.
type legacyGenerator struct {
	t testing.TB
	r *rand.Rand
	c *Codecs
}

func (g legacyGenerator) pick(s ...string) string { return s[g.r.Intn(len(s))] }

func (g legacyGenerator) inputs(sets map[string][]byte, names []string, n int) (out []legacyInput) {
	for i, name := range names {
		set := sets[name]
		if len(set) > 100000 && i%3 > 0 {
			continue // keep the corpus small
		}
		out = append(out, legacyInput{name: "read-" + name, op: "read", set: set})
		for _, target := range []string{"producer", "none", "gzip", "snappy", "lz4", "zstd"} {
			for _, tt := range []string{"CreateTime", "LogAppendTime"} {
				out = append(out, legacyInput{name: "up-" + target + "-" + tt + "-" + name, op: "up",
					settings: fmt.Sprintf("false %s %s %d %d %d 77 3 1048588", target, tt, int64(math.MaxInt64), int64(math.MaxInt64), genNow), set: set})
			}
		}
		for magic := range 2 {
			out = append(out, legacyInput{name: fmt.Sprintf("down-%d-%s", magic, name), op: "down", settings: fmt.Sprintf("%d %d", magic, 102), set: set})
		}
	}
	for i := range n {
		in := legacyInput{name: fmt.Sprint("r", i), op: g.pick("read", "up", "up", "down", "down")}
		switch in.op {
		case "up":
			before, after, limit := int64(math.MaxInt64), int64(math.MaxInt64), 1048588
			target := g.pick("producer", "producer", "none", "none", "gzip", "snappy", "lz4", "zstd")
			if g.r.Intn(4) == 0 {
				before, after = 1000, 500
			}
			if target == "none" && g.r.Intn(2) == 0 { // elsewhere the size is the compressor's
				limit = 60 + g.r.Intn(150)
			}
			in.settings = fmt.Sprintf("%t %s %s %d %d %d %d %d %d", g.r.Intn(4) == 0, target,
				g.pick("CreateTime", "CreateTime", "LogAppendTime"), before, after, genNow, g.r.Intn(1000), g.r.Intn(10), limit)
			in.set = g.sent()
		case "down":
			base := int64(g.r.Intn(1000))
			in.settings = fmt.Sprintf("%d %d", g.r.Intn(2), base+int64(g.r.Intn(12)))
			in.set = g.stored(base)
		case "read":
			in.set = g.stored(int64(g.r.Intn(1000)))
			if g.r.Intn(2) == 0 {
				in.set = g.damage(in.set)
			}
		}
		out = append(out, in)
	}
	return out
}

// sent is what a producer sends with Produce 0 to 2.
func (g legacyGenerator) sent() []byte {
	base := int64(0)
	if g.r.Intn(4) == 0 {
		base = int64(g.r.Intn(100))
	}
	codec := None
	if g.r.Intn(2) == 0 {
		codec = Codec(g.r.Intn(4))
	}
	magic := int8(g.r.Intn(2))
	set, _ := g.legacy(magic, codec, base)
	switch g.r.Intn(10) {
	case 0, 1, 2, 3, 4:
		set = g.damage(set)
	case 5:
		more, _ := g.legacy(int8(g.r.Intn(2)), Codec(g.r.Intn(4)), base)
		set = append(set, more...)
	case 6:
		v2 := generateBatch(g.r, g.c)
		if g.r.Intn(2) == 0 {
			set = append(set, v2...)
		} else {
			set = v2
		}
	}
	return set
}

// stored is a run of batches as a log holds them.
func (g legacyGenerator) stored(base int64) (set []byte) {
	for range 1 + g.r.Intn(4) {
		var b []byte
		next := base
		switch g.r.Intn(8) {
		case 0, 1, 2:
			b, next = g.legacy(int8(g.r.Intn(2)), Codec(g.r.Intn(4)), base)
		case 3:
			var err error
			if b, err = AppendEndTxnMarker(nil, MarkerSpec{BaseOffset: base, TimestampMs: genNow, ProducerID: 1, Type: ControlCommit}); err != nil {
				g.t.Fatal(err)
			}
			next = base + 1
		case 4:
			full := Batch(generateBatch(g.r, g.c))
			full.SetBaseOffset(base)
			b, next = AppendEmptyBatch(nil, full), full.NextOffset()
		default:
			v2 := Batch(generateBatch(g.r, g.c))
			for v2.Codec() == Zstd && g.r.Intn(4) > 0 {
				v2 = Batch(generateBatch(g.r, g.c))
			}
			v2.SetBaseOffset(base)
			b, next = v2, v2.NextOffset()
		}
		set, base = append(set, b...), next+int64(g.r.Intn(3))
	}
	if g.r.Intn(6) == 0 {
		set = set[:len(set)-1-g.r.Intn(20)]
	}
	return set
}

func (g legacyGenerator) legacy(magic int8, codec Codec, base int64) (set []byte, next int64) {
	spec := LegacySpec{Magic: magic, Codec: codec, Level: codec.DefaultLevel(), BaseOffset: base}
	if g.r.Intn(6) == 0 {
		spec.TimestampType, spec.AppendTimeMs = LogAppendTime, genNow-int64(g.r.Intn(2000))
	}
	bytesOf := func(prefix string) []byte {
		switch g.r.Intn(4) {
		case 0:
			return nil
		case 1:
			return []byte{}
		}
		return append([]byte(prefix), bytes.Repeat([]byte("z"), g.r.Intn(40))...)
	}
	var b LegacyBuilder
	b.Reset(spec)
	offset := base
	for i := range 1 + g.r.Intn(5) {
		ts := genNow - int64(g.r.Intn(2000)) + 700
		if g.r.Intn(6) == 0 {
			ts = NoTimestamp
		}
		key := fmt.Appendf(nil, "k%d", i)
		if g.r.Intn(4) == 0 {
			key = bytesOf("key")
		}
		if err := b.Append(offset, ts, key, bytesOf("value")); err != nil {
			g.t.Fatal(err)
		}
		if offset++; g.r.Intn(5) == 0 {
			offset++
		}
	}
	set, err := b.Build(nil, g.c)
	if err != nil {
		g.t.Fatal(err)
	}
	if codec != None && g.r.Intn(8) == 0 {
		binary.BigEndian.PutUint64(set, 0) // as old librdkafka
	}
	return set, offset
}

// damage breaks one of the batches; most breaks have a valid CRC, so that they get past it.
func (g legacyGenerator) damage(set []byte) []byte {
	var batches [][]byte
	for rest := set; ; {
		raw, _, behind, err := NextAny(rest)
		if err != nil {
			break
		}
		batches, rest = append(batches, bytes.Clone(raw)), behind
	}
	if len(batches) == 0 {
		return set
	}
	i := g.r.Intn(len(batches))
	if batches[i][offMagic] < 2 {
		batches[i] = g.damageEntry(batches[i], true)
	}
	out := bytes.Join(batches, nil)
	switch g.r.Intn(10) {
	case 0:
		return out[:g.r.Intn(len(out))]
	case 1:
		return append(out, make([]byte, g.r.Intn(30))...)
	}
	return out
}

func (g legacyGenerator) damageEntry(b []byte, outer bool) []byte {
	e, be := LegacyBatch(b), binary.BigEndian
	lengths := func(at int) { // of key or value
		if len(b) >= at+4 {
			be.PutUint32(b[at:], be.Uint32(b[at:])+uint32(g.r.Intn(7)-3))
		}
	}
	n := g.r.Intn(14)
	if outer && e.Codec() != None && g.r.Intn(3) > 0 {
		return g.damageWrapper(e)
	}
	switch n {
	case 0:
		b[len(b)-1]++ // CRC
		return b
	case 1:
		be.PutUint64(b, uint64(g.r.Intn(7)-2))
	case 2:
		b[legacyAttributesAt] = byte(g.r.Intn(16))
	case 3:
		b[legacyAttributesAt] ^= attrLogAppendTime
	case 4:
		b[offMagic] = byte(g.r.Intn(5)) - 1
	case 5:
		be.PutUint32(b[offLength:], uint32(len(b)-LogOverheadBytes+g.r.Intn(20)-10))
		return b
	case 6:
		be.PutUint32(b[offLength:], uint32(g.r.Intn(200)-20))
		return b
	case 7, 8:
		lengths(e.keyAt())
	case 9:
		if key, _, err := e.KeyValue(); err == nil {
			lengths(e.keyAt() + 4 + len(key))
		}
	case 10:
		if e.Magic() == 1 {
			be.PutUint64(b[legacyTimestampAt:], uint64(-1-g.r.Intn(3)))
		}
	case 11: // bytes behind the value
		b = append(b, make([]byte, 1+g.r.Intn(5))...)
		be.PutUint32(b[offLength:], uint32(len(b)-LogOverheadBytes))
	case 12: // shorter than its magic needs
		if len(b) > 28 {
			b = b[:26+g.r.Intn(len(b)-26)]
			be.PutUint32(b[offLength:], uint32(len(b)-LogOverheadBytes))
		}
	case 13:
		b[legacyAttributesAt] |= byte(g.r.Intn(256)) &^ 15
	}
	if len(b) < 17 {
		return b
	}
	be.PutUint32(b[legacyCRCAt:], LegacyBatch(b).ComputeCRC())
	return b
}

// damageWrapper breaks what is inside a wrapper.
func (g legacyGenerator) damageWrapper(b LegacyBatch) []byte {
	_, value, err := b.KeyValue()
	if err != nil || value == nil {
		return b
	}
	block, err := g.c.decompressLegacy(nil, b.Codec(), b.Magic(), value, 1<<20)
	if err != nil {
		return b
	}
	switch g.r.Intn(10) {
	case 0:
		block = block[:g.r.Intn(len(block))]
	case 1:
		block = append(block, make([]byte, g.r.Intn(20))...)
	case 2:
		block = nil
	case 3: // a wrapper in a wrapper
		block, _ = g.legacy(b.Magic(), Gzip, 0)
	case 4: // of the other magic
		block, _ = g.legacy(1-b.Magic(), None, 0)
	case 5: // the stream itself
		value = bytes.Clone(value)
		value[g.r.Intn(len(value))]++
		return g.wrap(b, value)
	case 6:
		return g.wrap(b, nil)
	default:
		var entries [][]byte
		for rest := block; len(rest) >= 26; {
			raw, _, behind, err := NextAny(rest)
			if err != nil {
				break
			}
			entries, rest = append(entries, bytes.Clone(raw)), behind
		}
		i := g.r.Intn(len(entries))
		entries[i] = g.damageEntry(entries[i], false)
		block = bytes.Join(entries, nil)
	}
	if value, err = g.c.compressLegacy([]byte{}, b.Codec(), b.Magic(), b.Codec().DefaultLevel(), block); err != nil {
		g.t.Fatal(err)
	}
	return g.wrap(b, value)
}

// wrap gives a wrapper another value.
func (g legacyGenerator) wrap(b LegacyBatch, value []byte) []byte {
	out := appendLegacyField(appendLegacyField(bytes.Clone(b[:b.keyAt()]), nil), value)
	if err := finishLegacyEntry(out); err != nil {
		g.t.Fatal(err)
	}
	return out
}
