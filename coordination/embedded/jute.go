package embedded

import (
	"encoding/binary"
	"unicode/utf8"
)

// decoder reads jute records: big-endian integers, buffers and strings with an int32 length (-1 is null), vectors with
// an int32 count (-1 is null). The first short or impossible field sets bad; later reads give zero values. It never
// allocates by a declared length: what it returns aliases the input.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) take(n int) []byte {
	if n < 0 || n > len(d.b) {
		d.bad, d.b = true, nil
		return nil
	}
	p := d.b[:n:n]
	d.b = d.b[n:]
	return p
}

func (d *decoder) u8() byte {
	if p := d.take(1); p != nil {
		return p[0]
	}
	return 0
}

func (d *decoder) bool() bool { return d.u8() != 0 }

func (d *decoder) i32() int32 {
	if p := d.take(4); p != nil {
		return int32(binary.BigEndian.Uint32(p))
	}
	return 0
}

func (d *decoder) i64() int64 {
	if p := d.take(8); p != nil {
		return int64(binary.BigEndian.Uint64(p))
	}
	return 0
}

// buffer returns nil for a null buffer and a non-nil empty slice for an empty one.
func (d *decoder) buffer() []byte {
	n := d.i32()
	if n == -1 || d.bad {
		return nil
	}
	return d.take(int(n))
}

// text is a ustring; null reads as the empty string. Java replaces malformed UTF-8 by U+FFFD, which no path may hold;
// we do the same, so that a malformed path is refused by the same check.
func (d *decoder) text() string {
	p := d.buffer()
	if !utf8.Valid(p) {
		return string([]rune(string(p)))
	}
	return string(p)
}

// count reads the length of a vector whose elements take at least minBytes each; null reads as empty.
func (d *decoder) count(minBytes int) int {
	n := d.i32()
	if n == -1 || d.bad {
		return 0
	}
	if n < 0 || int(n) > len(d.b)/minBytes {
		d.bad, d.b = true, nil
		return 0
	}
	return int(n)
}

func (d *decoder) texts() []string {
	n := d.count(4)
	out := make([]string, 0, n)
	for i := 0; i < n && !d.bad; i++ {
		out = append(out, d.text())
	}
	return out
}

func appendI32(b []byte, v int32) []byte { return binary.BigEndian.AppendUint32(b, uint32(v)) }
func appendI64(b []byte, v int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(v)) }

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

func appendBuffer(b, v []byte) []byte {
	if v == nil {
		return appendI32(b, -1)
	}
	return append(appendI32(b, int32(len(v))), v...)
}

func appendText(b []byte, v string) []byte { return append(appendI32(b, int32(len(v))), v...) }

func appendTexts(b []byte, v []string) []byte {
	b = appendI32(b, int32(len(v)))
	for _, s := range v {
		b = appendText(b, s)
	}
	return b
}
