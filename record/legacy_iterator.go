package record

import (
	"encoding/binary"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// LegacyIterator walks the messages of one LegacyBatch, with the checks of Kafka 3.9 AbstractLegacyRecordBatch.DeepRecordsIterator. The
// CRCs of messages inside a wrapper are not compared. Errors wrap kerr.InvalidRecord, or kerr.CorruptMessage for a length that is
// none. Use it as an Iterator.
type LegacyIterator struct {
	wrapper LegacyBatch // nil: rest are plain messages
	rest    []byte      // whole entries
	base    int64       // what the offsets inside a wrapper are relative to
	err     error
}

// IterateLegacy walks the messages of b, which it decompresses into buf[:0] if need be. The records alias the batch or block, which is
// buf, grown as needed, for use with the next batch. Errors are as of LegacyIterator and Decompress.
//
// Offsets in a wrapper of magic 1 are relative: the last one is the wrapper's, unless that is 0, as some versions of librdkafka send it.
// Offsets in a wrapper of magic 0 are absolute. Timestamps are those of the messages, or the wrapper's with LogAppendTime.
func (c *Codecs) IterateLegacy(b LegacyBatch, buf []byte, maxBytes int) (it LegacyIterator, block []byte, err error) {
	if b.Codec() == None {
		return LegacyIterator{rest: b}, buf, nil
	}
	if b.Codec() > LZ4 {
		return it, buf, invalidRecord("invalid compression %v in a message set of magic %d", b.Codec(), b.Magic())
	}
	_, value, err := b.KeyValue()
	if err != nil {
		return it, buf, err
	}
	if value == nil {
		return it, buf, invalidRecord("found invalid compressed record set with null value (magic = %d)", b.Magic())
	}
	block, err = c.decompressLegacy(buf[:0], b.Codec(), b.Magic(), value, maxBytes)
	if err != nil {
		return it, buf, err
	}
	it.wrapper = b
	err = it.open(block)
	return it, block, err
}

// open checks the entries' lengths and finds the base of their offsets. An entry that is cut short is left out, as in Kafka.
func (it *LegacyIterator) open(block []byte) error {
	end, last := 0, int64(0)
	for len(block)-end >= LogOverheadBytes {
		length := int32(binary.BigEndian.Uint32(block[end+offLength:]))
		if length < minLegacyLengthBytes {
			return fmt.Errorf("record size is less than the minimum record overhead (%d): %w", minLegacyLengthBytes, kerr.CorruptMessage)
		}
		if int(length) > len(block)-end-LogOverheadBytes {
			break
		}
		last = LegacyBatch(block[end:]).Offset()
		end += LogOverheadBytes + int(length)
	}
	if end == 0 {
		return invalidRecord("found invalid compressed record set with no inner records")
	}
	it.rest = block[:end]
	if outer := it.wrapper.Offset(); it.wrapper.Magic() == 1 && outer != 0 {
		if outer < last {
			return invalidRecord("found invalid wrapper offset in compressed v1 message set, wrapper offset '%d' is less than the last inner message offset '%d' and it is not zero",
				outer, last)
		}
		it.base = outer - last
	}
	return nil
}

// message cuts the next message off. Its own offset and timestamp are not those of the record.
func (it *LegacyIterator) message() (m LegacyBatch, ok bool) {
	if len(it.rest) == 0 || it.err != nil {
		return nil, false
	}
	size := LegacyBatch(it.rest).SizeBytes()
	m, it.rest = LegacyBatch(it.rest[:size:size]), it.rest[size:]
	if it.wrapper != nil && m.Codec() != None {
		it.err = invalidRecord("inner messages must not be compressed")
		return nil, false
	}
	return m, true
}

func (it *LegacyIterator) offset(m LegacyBatch) int64 { return it.base + m.Offset() }

func (it *LegacyIterator) timestamp(m LegacyBatch) int64 {
	if m.Magic() == 1 && it.wrapper != nil && it.wrapper.TimestampType() == LogAppendTime {
		return it.wrapper.Timestamp()
	}
	return m.Timestamp()
}

// Next reads the next message into r, which has no headers. It returns false at the end and on error.
func (it *LegacyIterator) Next(r *Record) bool {
	m, ok := it.message()
	if !ok {
		return false
	}
	key, value, err := m.KeyValue()
	if err != nil {
		it.err = err
		return false
	}
	*r = Record{SizeBytes: len(m), Attributes: m.Attributes(), Offset: it.offset(m), Timestamp: it.timestamp(m), Key: key, Value: value}
	return true
}

// NextMessage cuts the next message off without a look at its key and value: an alternative to Next for who wants to see what is
// stored. Offset and timestamp are the record's, not those in the message.
func (it *LegacyIterator) NextMessage() (m LegacyBatch, offset, timestampMs int64, ok bool) {
	if m, ok = it.message(); !ok {
		return nil, 0, 0, false
	}
	return m, it.offset(m), it.timestamp(m), true
}

// Err is the error that ended the walk, or nil.
func (it *LegacyIterator) Err() error { return it.err }

// AnyIterator walks the records of a batch of any magic.
type AnyIterator struct {
	legacy bool
	v2     Iterator
	old    LegacyIterator
}

// IterateAny is Iterate or IterateLegacy for a whole batch as NextAny cuts it off.
func (c *Codecs) IterateAny(raw, buf []byte, maxBytes int) (it AnyIterator, block []byte, err error) {
	if it.legacy = raw[offMagic] < 2; it.legacy {
		it.old, block, err = c.IterateLegacy(raw, buf, maxBytes)
	} else {
		it.v2, block, err = c.Iterate(raw, buf, maxBytes)
	}
	return it, block, err
}

// Next reads the next record into r. It returns false at the end and on error.
func (it *AnyIterator) Next(r *Record) bool {
	if it.legacy {
		return it.old.Next(r)
	}
	return it.v2.Next(r)
}

// Err is the error that ended the walk, or nil.
func (it *AnyIterator) Err() error {
	if it.legacy {
		return it.old.Err()
	}
	return it.v2.Err()
}
