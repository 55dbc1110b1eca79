package dumplog

import (
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
)

// kind is the type of a field.
type kind int8

const (
	int8Kind kind = iota
	int16Kind
	uint16Kind
	int32Kind
	int64Kind
	uuidKind
	stringKind
	bytesKind
	structKind
)

// fieldSpec is a field of a message, as in Kafka's message definitions. Versions below the first known one are read as any: a
// field that all known versions have is always there, as in the generated readers.
type fieldSpec struct {
	name     string
	kind     kind
	array    bool
	nullable bool
	// tagged: a structure with tag 0, the only one in use. Without the tag, or with this content, it is left out.
	tagged string
	since  int16 // first version that has it; 0 is all
	only   bool  // no version but since has it
	fields []fieldSpec
	// class is that of a structure that refuses versions above last. Others are read in any version.
	class string
	last  int16
	// embedded is what a bytes field holds in a group of the consumer protocol, behind an int16 version of its own.
	embedded *schema
}

// schema is a message.
type schema struct {
	flexibleSince int16 // first version with compact lengths and tagged fields; 0 is all, notFlexible none
	fields        []fieldSpec
}

const notFlexible = math.MaxInt16

// maxTextBytes bounds the text of a message before its last structure: small structures become some ten times their size.
const maxTextBytes = maxBatchBytes

func (f *fieldSpec) in(version int16) bool {
	return f.since == 0 || version == f.since || version > f.since && !f.only
}

// json appends the message in b to dst, as the generated converter and Jackson write it. What follows the message is not looked at.
func (s *schema) json(dst, b []byte, version int16) ([]byte, error) {
	r := &messageReader{b: b, version: version, flexible: s.flexibleSince == 0 || version >= s.flexibleSince}
	dst = r.structure(dst, s.fields)
	return dst, r.err
}

func (r *messageReader) structure(dst []byte, fields []fieldSpec) []byte {
	if len(dst) > maxTextBytes {
		r.fail(fmt.Errorf("text of more than %d bytes", maxTextBytes))
		return nil
	}
	dst = append(dst, '{')
	first := true
	name := func(f *fieldSpec) {
		if !first {
			dst = append(dst, ',')
		}
		first = false
		dst = append(append(append(dst, '"'), f.name...), `":`...)
	}
	var tagged *fieldSpec
	for i := range fields {
		f := &fields[i]
		switch {
		case r.err != nil:
			return dst
		case f.tagged != "":
			tagged = f
		case f.in(r.version):
			name(f)
			dst = r.field(dst, f)
		}
	}
	var value []byte // of the tagged field; the last one counts
	var known func()
	if tagged != nil {
		known = func() { value = r.taggedStruct(tagged) }
	}
	r.tags(known)
	if value != nil {
		name(tagged)
		dst = append(dst, value...)
	}
	return append(dst, '}')
}

// taggedStruct reads a nullable structure; nil for one that is left out. One with tagged fields that are not known is not left out.
func (r *messageReader) taggedStruct(f *fieldSpec) []byte {
	if r.uvarint() <= 0 {
		return []byte("null")
	}
	before := r.unknownTags
	text := r.checked(nil, f)
	if string(text) == f.tagged && r.unknownTags == before {
		return nil
	}
	return text
}

// checked reads a structure of a version that its class knows.
func (r *messageReader) checked(dst []byte, f *fieldSpec) []byte {
	if f.class != "" && r.version > f.last {
		r.fail(javaErrorf("Can't read version %d of %s", r.version, f.class))
		return dst
	}
	return r.structure(dst, f.fields)
}

func (r *messageReader) field(dst []byte, f *fieldSpec) []byte {
	if !f.array {
		return r.value(dst, f, f.name)
	}
	n, ok := r.arrayLength(f.name, f.nullable)
	if !ok {
		return append(dst, "null"...)
	}
	dst = append(dst, '[')
	element := *f
	element.nullable = false
	for i := range n {
		if i > 0 {
			dst = append(dst, ',')
		}
		if dst = r.value(dst, &element, f.name+" element"); r.err != nil {
			return dst
		}
	}
	return append(dst, ']')
}

// value reads one value; name is for errors.
func (r *messageReader) value(dst []byte, f *fieldSpec, name string) []byte {
	switch f.kind {
	case int8Kind:
		return strconv.AppendInt(dst, int64(r.int8()), 10)
	case int16Kind:
		return strconv.AppendInt(dst, int64(r.int16()), 10)
	case uint16Kind:
		return strconv.AppendInt(dst, int64(uint16(r.int16())), 10)
	case int32Kind:
		return strconv.AppendInt(dst, int64(r.int32()), 10)
	case int64Kind:
		return strconv.AppendInt(dst, r.int64(), 10)
	case uuidKind:
		dst = base64.RawURLEncoding.AppendEncode(append(dst, '"'), r.take(16))
		return append(dst, '"')
	case structKind:
		return r.checked(dst, f)
	}
	n, ok := r.sized(name, f.kind == stringKind, f.nullable)
	if !ok {
		return append(dst, "null"...)
	}
	b := r.bytes(n)
	if f.kind == stringKind {
		text := javaText(b)
		if f.name == "protocolType" {
			r.consumer = text == "consumer"
		}
		return appendJSON(dst, text)
	}
	return r.binary(dst, f, b)
}

// binary writes bytes as base64, or what is in them. Bytes that do not hold it stay as they are.
func (r *messageReader) binary(dst []byte, f *fieldSpec, b []byte) []byte {
	if f.embedded != nil && r.consumer && len(b) >= 2 {
		if inner, err := f.embedded.json(nil, b[2:], int16(binary.BigEndian.Uint16(b))); err == nil {
			return append(dst, inner...)
		}
	}
	dst = base64.StdEncoding.AppendEncode(append(dst, '"'), b)
	return append(dst, '"')
}
