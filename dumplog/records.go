package dumplog

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"gokafka/record"
)

// field is a key or a value. A legacy message may declare more bytes than it has, which is an error only for those who look at them.
type field struct {
	size  int32 // as declared; negative is null
	bytes []byte
	bad   bool // fewer bytes than declared
}

func (f *field) isNull() bool { return f.size < 0 }

var errFieldSize = errors.New("key or value exceeds its message")

func (f *field) get() ([]byte, error) {
	if f.bad {
		return nil, errFieldSize
	}
	return f.bytes, nil
}

// entry is a record as the tool sees it.
type entry struct {
	offset, timestamp int64
	key, value        field
	sequence          int32
	record            *record.Record     // magic 2, for the headers
	message           record.LegacyBatch // magic 0 or 1
	isValid           bool               // of message
	noRoom            bool               // message is too short for the sizes of its key and value, which must not be looked at
}

var errNoRoom = errors.New("message is too short for the sizes of its key and value")

// records calls f for each record of b, until f returns an error.
func (d *dumper) records(b *batch, f func(*entry) error) error {
	raw, err := b.full(d.batch, d.limit)
	d.batch = raw
	if err != nil {
		return err
	}
	if b.isLegacy() {
		return d.legacyRecords(raw, f)
	}
	return d.currentRecords(raw, f)
}

// currentRecords walks a batch of magic 2. Without records, what follows the header is not looked at
// (Kafka 3.9 DefaultRecordBatch.iterator).
func (d *dumper) currentRecords(b record.Batch, f func(*entry) error) error {
	if len(b) < record.HeaderSizeBytes {
		return fmt.Errorf("batch of %d bytes is shorter than its header", len(b))
	}
	if b.Count() == 0 {
		return nil
	}
	it, block, err := d.codecs.Iterate(b, d.block, d.limit)
	d.block = block
	if err != nil {
		return err
	}
	all := it
	if b.Codec() != record.None { // Kafka reads all records of a compressed batch before it gives the first
		var r record.Record
		for all.Next(&r) {
		}
		if err := all.Err(); err != nil {
			return err
		}
	}
	var r record.Record
	for it.Next(&r) {
		e := entry{offset: r.Offset, timestamp: r.Timestamp, sequence: record.NoSequence, record: &r,
			key: present(r.Key), value: present(r.Value)}
		if base := b.BaseSequence(); base >= 0 {
			e.sequence = record.IncrementSequence(base, int32(r.Offset-b.BaseOffset()))
		}
		if err := f(&e); err != nil {
			return err
		}
	}
	return it.Err()
}

func present(b []byte) field {
	if b == nil {
		return field{size: -1}
	}
	return field{size: int32(len(b)), bytes: b}
}

// legacyRecords walks a message of magic 0 or 1, or what it wraps.
func (d *dumper) legacyRecords(b record.LegacyBatch, f func(*entry) error) error {
	it, block, err := d.codecs.IterateLegacy(b, d.block, d.limit)
	d.block = block
	if err != nil {
		return err
	}
	for {
		m, offset, timestamp, ok := it.NextMessage()
		if !ok {
			return it.Err()
		}
		e := entry{offset: offset, timestamp: timestamp, sequence: record.NoSequence, message: m, isValid: m.CRC() == m.ComputeCRC()}
		e.key, e.value, ok = messageFields(m)
		e.noRoom = !ok
		if err := f(&e); err != nil {
			return err
		}
	}
}

// messageFields finds key and value; ok is false if there is no room for their sizes.
func messageFields(m record.LegacyBatch) (key, value field, ok bool) {
	at := int64(legacyHeader0Bytes)
	if m.Magic() != 0 {
		at = legacyHeader1Bytes
	}
	if key, at, ok = messageField(m, at); ok {
		value, _, ok = messageField(m, at)
	}
	return key, value, ok
}

func messageField(m []byte, at int64) (f field, end int64, ok bool) {
	if at > math.MaxInt32 || at+4 > int64(len(m)) {
		return f, 0, false
	}
	f.size = int32(binary.BigEndian.Uint32(m[at:]))
	at += 4
	end = at + int64(max(0, f.size))
	if f.bad = end > int64(len(m)); !f.bad {
		f.bytes = m[at:end]
	}
	return f, end, true
}
