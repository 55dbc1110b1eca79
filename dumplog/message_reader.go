package dumplog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strconv"
)

// errUnderflow is java.nio.BufferUnderflowException, whose message is null.
var errUnderflow = errors.New("null")

// messageReader cuts fields off b. The first error stays, and all fields after it are zero. Its errors are worded as Java's, since
// they get into what is printed.
type messageReader struct {
	b        []byte
	version  int16
	flexible bool
	// consumer: what the group's members say is in the consumer protocol's form
	consumer    bool
	unknownTags int
	err         error
}

func (r *messageReader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.b = nil
}

func (r *messageReader) take(n int) []byte {
	if r.err == nil && len(r.b) < n {
		r.fail(errUnderflow)
	}
	if r.err != nil {
		return make([]byte, n)
	}
	v := r.b[:n]
	r.b = r.b[n:]
	return v
}

func (r *messageReader) int8() int8   { return int8(r.take(1)[0]) }
func (r *messageReader) int16() int16 { return int16(binary.BigEndian.Uint16(r.take(2))) }
func (r *messageReader) int32() int32 { return int32(binary.BigEndian.Uint32(r.take(4))) }
func (r *messageReader) int64() int64 { return int64(binary.BigEndian.Uint64(r.take(8))) }

// uvarint is ByteUtils.readUnsignedVarint: an int32, which may come out negative.
func (r *messageReader) uvarint() int32 {
	var v uint32
	for shift := 0; shift < 35; shift += 7 {
		c := r.take(1)[0]
		if shift == 28 {
			v |= uint32(c) << 28
		} else {
			v |= uint32(c&0x7f) << shift
		}
		if c < 0x80 {
			return int32(v)
		}
	}
	r.fail(javaErrorf("Varint is too long, the most significant bit in the 5th byte is set, converted value: %x", v))
	return 0
}

// length reads the length of a string, bytes or an array; negative is null.
func (r *messageReader) length(short bool) int32 {
	switch {
	case r.flexible:
		return r.uvarint() - 1
	case short:
		return int32(r.int16())
	}
	return r.int32()
}

// bytes reads n bytes.
func (r *messageReader) bytes(n int32) []byte {
	if r.err == nil && int64(n) > int64(len(r.b)) {
		r.fail(fmt.Errorf("Error reading byte array of %d byte(s): only %d byte(s) available", n, len(r.b)))
	}
	if r.err == nil && n < 0 { // java.lang.NegativeArraySizeException
		r.fail(errors.New(strconv.Itoa(int(n))))
	}
	if r.err != nil {
		return nil
	}
	return r.take(int(n))
}

// sized reads a string's or bytes' length and checks it; ok is false for null.
func (r *messageReader) sized(name string, isString, nullable bool) (n int32, ok bool) {
	n = r.length(isString)
	switch {
	case r.err != nil:
		return 0, false
	case n < 0:
		if !nullable {
			r.fail(errNull(name))
		}
		return 0, false
	case isString && n > math.MaxInt16:
		r.fail(fmt.Errorf("string field %s had invalid length %d", name, n))
		return 0, false
	}
	return n, true
}

func errNull(name string) error {
	return fmt.Errorf("non-nullable field %s was serialized as null", name)
}

// string reads a string that must be there.
func (r *messageReader) string(name string) string {
	n, ok := r.sized(name, true, false)
	if !ok {
		return ""
	}
	return javaText(r.bytes(n))
}

// arrayLength reads the length of an array; ok is false for null.
func (r *messageReader) arrayLength(name string, nullable bool) (n int32, ok bool) {
	n = r.length(false)
	switch {
	case r.err != nil:
		return 0, false
	case n < 0:
		if !nullable {
			r.fail(errNull(name))
		}
		return 0, false
	case int64(n) > int64(len(r.b)):
		r.fail(javaErrorf("Tried to allocate a collection of size %d, but there are only %d bytes remaining.", n, len(r.b)))
		return 0, false
	}
	return n, true
}

// tags reads the tagged fields. known is called for tag 0, and may be nil.
func (r *messageReader) tags(known func()) {
	if !r.flexible {
		return
	}
	for n := r.uvarint(); n > 0 && r.err == nil; n-- {
		tag, size := r.uvarint(), r.uvarint()
		switch {
		case r.err != nil:
		case tag == 0 && known != nil: // its size is not looked at
			known()
		default:
			r.bytes(size)
			r.unknownTags++
		}
	}
}
