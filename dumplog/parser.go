package dumplog

import (
	"encoding/binary"
	"fmt"
	"strconv"
)

// text is what is printed of a record's content.
type text struct {
	key, value       string
	hasKey, hasValue bool
}

// parser makes text of a record's key and value. An error ends the run.
type parser func(*entry) (text, error)

// parser makes the one that the options ask for. Apache's tool makes it anew for each segment, and so tells about deprecated names
// each time: of the value's first.
func (d *dumper) parser() (parser, error) {
	switch d.o.Records {
	case OffsetsDecoder:
		return parseOffsets, nil
	case TransactionsDecoder:
		return parseTransaction, nil
	}
	value, err := d.newDecoder(d.o.ValueDecoder)
	if err != nil {
		return nil, err
	}
	key, err := d.newDecoder(d.o.KeyDecoder)
	if err != nil {
		return nil, err
	}
	return func(e *entry) (c text, err error) {
		if c.key, c.hasKey, err = decodeField(key, &e.key); err != nil {
			return c, err
		}
		c.value, c.hasValue, err = decodeField(value, &e.value)
		return c, err
	}, nil
}

func (d *dumper) newDecoder(class string) (Decoder, error) {
	dec, notice, err := classDecoder(class)
	if notice != "" {
		d.println(notice)
	}
	return dec, err
}

func decodeField(dec Decoder, f *field) (s string, present bool, err error) {
	if f.isNull() {
		return "", false, nil
	}
	b, err := f.get()
	if err != nil {
		return "", true, err
	}
	s, err = dec.decode(b)
	return s, true, err
}

func (dec Decoder) decode(b []byte) (string, error) {
	switch {
	case dec == IntegerDecoder && len(b) >= 4:
		return strconv.Itoa(int(int32(binary.BigEndian.Uint32(b)))), nil
	case dec == LongDecoder && len(b) >= 8:
		return strconv.FormatInt(int64(binary.BigEndian.Uint64(b)), 10), nil
	case dec == StringDecoder:
		return javaText(b), nil
	}
	return "", fmt.Errorf("%s: %d bytes are too few", dec, len(b))
}
