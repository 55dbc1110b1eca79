package protocol

import (
	"encoding/binary"
	"fmt"
)

// ProduceHead is what precedes the topics of a Produce request, versions 0 to 13.
type ProduceHead struct {
	// TransactionalID aliases the request; nil when null or before version 3.
	TransactionalID []byte
	Acks            int16
	TimeoutMs       int32
}

// ProducePart is one partition of a Produce request. Topic and Records alias the request.
type ProducePart struct {
	Topic     []byte   // before version 13
	TopicID   [16]byte // from version 13 on
	Partition int32
	// Records is nil when the field is null, which no client may send.
	Records []byte
}

// ReadProduce walks the body of a Produce request (header tags included when flexible), appends its partitions to parts
// and returns them. It allocates nothing but room in parts, and no more of it than the body has partitions, whatever counts the
// body declares. It accepts exactly what kmsg accepts.
func ReadProduce(version int16, body []byte, parts []ProducePart) (h ProduceHead, _ []ProducePart, err error) {
	r := reader{b: body, flexible: version >= 9}
	r.tags() // of the header; none before version 9
	if version >= 3 {
		h.TransactionalID = r.str(true)
	}
	h.Acks = r.int16()
	h.TimeoutMs = r.int32()
	for topics := r.arrayLen(); topics > 0 && !r.bad; topics-- {
		var topic []byte
		var id [16]byte
		if version >= 13 {
			copy(id[:], r.span(len(id)))
		} else {
			topic = r.str(false)
		}
		for n := r.arrayLen(); n > 0 && !r.bad; n-- {
			p := ProducePart{Topic: topic, TopicID: id, Partition: r.int32(), Records: r.bytes()}
			r.tags()
			parts = append(parts, p)
		}
		r.tags()
	}
	r.tags()
	if r.bad {
		return h, parts, fmt.Errorf("%w: Produce v%d", ErrMalformed, version)
	}
	return h, parts, nil
}

// reader walks primitive fields; after the first field that does not fit, bad is set and every field reads as zero.
type reader struct {
	b        []byte
	flexible bool
	bad      bool
}

func (r *reader) fail() {
	r.bad = true
	r.b = nil
}

func (r *reader) int16() int16 {
	if len(r.b) < 2 {
		r.fail()
		return 0
	}
	v := int16(binary.BigEndian.Uint16(r.b))
	r.b = r.b[2:]
	return v
}

func (r *reader) int32() int32 {
	if len(r.b) < 4 {
		r.fail()
		return 0
	}
	v := int32(binary.BigEndian.Uint32(r.b))
	r.b = r.b[4:]
	return v
}

// compactLen reads a compact length: -1 for null.
func (r *reader) compactLen() int {
	v, rest, ok := uvarint(r.b)
	if !ok {
		r.fail()
		return 0
	}
	r.b = rest
	return int(v) - 1
}

// arrayLen reads the length of a non-nullable array. A null array, or one of negative length, reads as empty, as kmsg does.
func (r *reader) arrayLen() int {
	var n int
	if r.flexible {
		v, rest, ok := uvarint(r.b)
		if !ok {
			r.fail()
			return 0
		}
		r.b = rest
		n = int(int32(v) - 1) // wraps as kmsg's does
	} else {
		n = int(r.int32())
	}
	if n > len(r.b) { // an element has at least one byte
		r.fail()
		return 0
	}
	return max(n, 0)
}

func (r *reader) str(nullable bool) []byte {
	var n int
	if r.flexible {
		n = r.compactLen()
	} else {
		n = int(r.int16())
	}
	if n < 0 && nullable {
		return nil
	}
	return r.span(n)
}

// bytes reads nullable bytes.
func (r *reader) bytes() []byte {
	var n int
	if r.flexible {
		n = r.compactLen()
	} else {
		n = int(r.int32())
	}
	if n < 0 {
		return nil
	}
	return r.span(n)
}

func (r *reader) span(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.fail()
		return nil
	}
	s := r.b[:n:n]
	r.b = r.b[n:]
	return s
}

func (r *reader) tags() {
	if !r.flexible || r.bad {
		return
	}
	rest, err := SkipTags(r.b)
	if err != nil {
		r.fail()
		return
	}
	r.b = rest
}
