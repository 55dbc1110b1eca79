package dumps

import (
	"encoding/binary"
	"math/rand"
)

// writer makes messages of Kafka's generated classes, compact or not. It knows nothing of the reader that it tests.
type writer struct {
	b    []byte
	flex bool
}

func (w *writer) i8(v int8) *writer   { w.b = append(w.b, byte(v)); return w }
func (w *writer) i16(v int16) *writer { w.b = binary.BigEndian.AppendUint16(w.b, uint16(v)); return w }
func (w *writer) i32(v int32) *writer { w.b = binary.BigEndian.AppendUint32(w.b, uint32(v)); return w }
func (w *writer) i64(v int64) *writer { w.b = binary.BigEndian.AppendUint64(w.b, uint64(v)); return w }
func (w *writer) uv(v uint64) *writer { w.b = binary.AppendUvarint(w.b, v); return w }

func (w *writer) raw(b []byte) *writer { w.b = append(w.b, b...); return w }

func (w *writer) str(s string) *writer {
	if w.flex {
		w.uv(uint64(len(s)) + 1)
	} else {
		w.i16(int16(len(s)))
	}
	w.b = append(w.b, s...)
	return w
}

func (w *writer) nullStr() *writer {
	if w.flex {
		return w.uv(0)
	}
	return w.i16(-1)
}

func (w *writer) bytes(b []byte) *writer {
	w.count(len(b))
	w.b = append(w.b, b...)
	return w
}

func (w *writer) count(n int) *writer {
	if w.flex {
		return w.uv(uint64(n) + 1)
	}
	return w.i32(int32(n))
}

// end is the end of a structure: no tagged fields.
func (w *writer) end() *writer {
	if w.flex {
		w.uv(0)
	}
	return w
}

// message is a key with its value, nil for a tombstone.
type message struct{ key, value []byte }

func subscription(version int16) []byte {
	w := (&writer{}).i16(version).count(2).str("orders").str("päyments").bytes([]byte{1, 2, 3})
	if version >= 1 {
		w.count(2).str("orders").count(2).i32(0).i32(1).str("orders").count(0)
	}
	if version >= 2 {
		w.i32(7)
	}
	if version >= 3 {
		w.str("rack-a")
	}
	return w.b
}

func assignment(version int16) []byte {
	return (&writer{}).i16(version).count(1).str("orders").count(2).i32(0).i32(1).i32(-1).b
}

// groupMessages are messages of __consumer_offsets of all types and versions that Kafka 3.9 knows, and some that it does not.
func groupMessages() (out []message) {
	key := func(version int16, parts ...string) []byte {
		w := (&writer{}).i16(version)
		for _, p := range parts {
			w.str(p)
		}
		return w.b
	}
	offsetKey := func(version int16) []byte { return (&writer{b: key(version, "group-1", "orders")}).i32(3).b }
	for version := range int16(6) {
		w := &writer{flex: version >= 4}
		w.i16(version).i64(1 << 40)
		if version >= 3 {
			w.i32(5)
		}
		w.str("\"meta\"\\\t\x01\x7fü€😀/").i64(1700000000000)
		if version == 1 {
			w.i64(1700000360000)
		}
		out = append(out, message{offsetKey(version % 2), w.end().b})
	}
	for version := range int16(6) {
		for _, protocol := range []string{"consumer", "connect", ""} {
			w := &writer{flex: version >= 4}
			w.i16(version).str(protocol).i32(12)
			if protocol == "" {
				w.nullStr().nullStr()
			} else {
				w.str("range").str("member-1")
			}
			if version >= 2 {
				w.i64(1700000000001)
			}
			w.count(3)
			for i := range 3 {
				w.str("member-1")
				if version >= 3 && i == 0 {
					w.nullStr()
				} else if version >= 3 {
					w.str("static")
				}
				w.str("client").str("/10.0.0.1")
				if version >= 1 {
					w.i32(60000)
				}
				w.i32(10000)
				switch i {
				case 0:
					w.bytes(subscription(version - 1)).bytes(assignment(version - 1))
				case 1:
					w.bytes(nil).bytes([]byte{0, 1, 0, 0})
				case 2:
					w.bytes(subscription(3)[:20]).bytes(append(assignment(0), 9, 9))
				}
				w.end()
			}
			out = append(out, message{key(2, "group-2"), w.end().b})
		}
	}
	flexible := func() *writer { return (&writer{flex: true}).i16(0) }
	id := []byte{0, 1, 2, 3, 0xff, 0xfe, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}
	partitions := func(w *writer) {
		w.count(2).raw(id).count(2).i32(0).i32(7).end().raw(make([]byte, 16)).count(0).end()
	}
	topics := flexible().count(2).raw(id).str("orders").i32(2).count(2).i32(0).count(2).str("rack-a").str("rack-b").end().i32(1).count(0).end().end()
	topics.raw(id).str("other").i32(0).count(0).end().end()
	member := func() *writer {
		return flexible().nullStr().str("rack").str("client").str("/host").count(2).str("a").str("b").nullStr().i32(300000).str("uniform")
	}
	classic := (&writer{flex: true}).uv(1).i32(45000).count(1).str("range").bytes([]byte("metadata")).end().end().b
	target, current := flexible(), flexible().i32(5).i32(4).i8(2)
	partitions(target)
	partitions(current)
	partitions(current)
	out = append(out,
		message{key(3, "group-3"), flexible().i32(9).end().b},
		message{key(3, "group-3"), flexible().i32(9).uv(2).uv(0).uv(3).raw([]byte("tag")).uv(9).uv(0).b},
		message{key(4, "group-3"), topics.end().b},
		message{key(5, "group-3", "m1"), member().end().b},
		message{key(5, "group-3", "m1"), member().uv(1).uv(0).uv(uint64(len(classic))).raw(classic).b},
		message{key(5, "group-3", "m1"), member().uv(2).uv(0).uv(1).uv(0).uv(7).uv(2).raw([]byte{1, 2}).b},
		message{key(5, "group-3", "m1"), member().uv(1).uv(0).uv(0).uv(1).i32(0).count(0).end().b},
		message{key(5, "group-3", "m1"), member().uv(1).uv(0).uv(0).uv(1).i32(0).count(0).uv(1).uv(3).uv(1).i8(7).b},
		message{key(6, "group-3"), flexible().i32(5).end().b},
		message{key(7, "group-3", "m1"), target.end().b},
		message{key(8, "group-3", "m1"), current.end().b},
		message{key(9, "group-3"), flexible().i32(1).end().b},
		message{key(-1, "group-3"), nil},
		message{key(11, "group-3"), flexible().i32(1).end().b},
	)
	for _, m := range out[:len(out):len(out)] {
		out = append(out, message{key: m.key})
	}
	return append(out, message{[]byte{}, nil}, message{[]byte{1}, nil}, message{offsetKey(1), []byte{}}, message{offsetKey(1), []byte{0}},
		message{append(offsetKey(0), 1, 2, 3), nil})
}

// damagedMessages are messages cut short and with wrong bytes in them.
func damagedMessages(r *rand.Rand, from []message, n int) (out []message) {
	for range n {
		m := from[r.Intn(len(from))]
		part := &m.value
		if len(m.value) == 0 || r.Intn(4) == 0 {
			part = &m.key
		}
		b := append([]byte{}, *part...) // not nil: a record without a key ends the run
		switch {
		case len(b) == 0:
		case r.Intn(3) == 0:
			b = b[:r.Intn(len(b))]
		default:
			for range 1 + r.Intn(2) {
				b[r.Intn(len(b))] = []byte{0, 1, 0x7f, 0x80, 0xff, byte(r.Intn(256))}[r.Intn(6)]
			}
		}
		*part = b
		out = append(out, m)
	}
	return out
}

// transactionMessages are messages of __transaction_state.
func transactionMessages() (out []message) {
	key := func(version int16, id string) []byte { return (&writer{}).i16(version).str(id).b }
	topics := []string{"orders", "payments", "a", "audit-log", "zzz", "topic.with.dots"}
	for version := range int16(2) {
		for state := range int8(8) {
			w := &writer{flex: version == 1}
			w.i16(version).i64(4000 + int64(state)).i16(int16(state)).i32(60000).i8(state)
			w.count(int(state))
			for i := range int(state) {
				w.str(topics[i%len(topics)]).count(3 * i)
				for p := range 3 * i {
					w.i32(int32(p * 7 % 19))
				}
				w.end()
			}
			out = append(out, message{key(0, "tx-ü"), w.i64(1700000000000).i64(1700000000001).end().b})
		}
		w := &writer{flex: version == 1}
		w.i16(version).i64(1).i16(0).i32(60000).i8(0)
		if w.flex {
			w.uv(0)
		} else {
			w.i32(-1)
		}
		out = append(out, message{key(0, "tx"), w.i64(-1).i64(-1).end().b})
	}
	for n := 3; n <= 13; n++ { // sets around the sizes at which a hash table grows
		w := (&writer{}).i16(0).i64(1).i16(0).i32(60000).i8(1).count(6)
		for i := range 6 {
			w.str(topics[i/2]).count(n + i%2)
			for p := range n + i%2 {
				w.i32(int32(p * (i + 1)))
			}
		}
		out = append(out, message{key(0, "tx"), w.i64(1700000000000).i64(1).b})
	}
	return append(out, message{key(0, "gone"), nil}, message{key(1, "later"), nil}, message{key(-1, "x"), []byte{1}})
}
