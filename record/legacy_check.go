package record

import (
	"errors"
	"math"

	"github.com/twmb/franz-go/pkg/kerr"
)

// ErrNoMessages is returned for a payload of Produce 0 to 2 that does not hold one whole message. Kafka does not refuse it: nothing is
// appended, and the answer is a success with base offset -1 (Kafka 3.9 UnifiedLog.append with no valid bytes).
var ErrNoMessages = errors.New("message set holds no whole message")

// CheckLegacy is Check for Produce 0 to 2, which carry message sets: it makes one batch of magic 2 of a set of magic 0 or 1, plain
// messages or one wrapper, with consecutive offsets and the topic's codec, or the wrapper's. The result never aliases the payload, but
// for a batch of magic 2, which some clients send in the old requests; that is checked as by Check, with any codec. What is cut short
// at the end is dropped.
//
// The checks are those of Kafka 3.9 UnifiedLog.analyzeAndValidateRecords and LogValidator for records of magic 0 and 1 and a topic of
// magic 2, in Kafka's order. Errors are as of Check, or ErrNoMessages. Where Kafka answers UNKNOWN_SERVER_ERROR, for lengths that
// exceed a message, an unknown codec, a wrapper that does not decompress, a negative timestamp, the answer here is INVALID_RECORD.
func (c *Codecs) CheckLegacy(payload []byte, o *CheckOptions) (Checked, error) {
	set, err := analyzeSet(payload, o)
	if err != nil {
		return Checked{}, err
	}
	switch {
	case set.count == 0:
		return Checked{}, ErrNoMessages
	case set.count > 1 && (set.magic >= 2 || set.codec != None):
		return Checked{}, refuse(kerr.InvalidRecord, "Compressed outer record has more than one batch")
	case set.magic >= 2:
		v2 := *o
		v2.RefuseZstd = false // a check of later versions
		return c.Check(set.bytes, &v2)
	}
	k := Checked{c: c, timestampType: o.TimestampType}
	if err := k.upConvert(set, o); err != nil {
		k.Release()
		return Checked{}, err
	}
	return k, nil
}

// messageSet is the payload of a Produce request below version 3.
type messageSet struct {
	bytes []byte // whole batches
	count int    // of them
	magic int8   // of the first
	codec Codec  // of the last that has one
}

// analyzeSet makes the checks of UnifiedLog.analyzeAndValidateRecords.
func analyzeSet(payload []byte, o *CheckOptions) (set messageSet, err error) {
	for rest := payload; ; set.count++ {
		raw, magic, behind, err := NextAny(rest)
		if err == ErrShortBatch && LegacyBatch(rest).SizeBytes() > math.MaxInt32 {
			return set, refuse(kerr.InvalidRecord, "a message of %d bytes exceeds the format", LegacyBatch(rest).SizeBytes())
		}
		if err == ErrShortHeader || err == ErrShortBatch {
			set.bytes = payload[:len(payload)-len(rest)]
			return set, nil
		}
		if err != nil {
			return set, refuse(kerr.CorruptMessage, "%v", err)
		}
		codec, err := analyzeBatch(raw, magic, o)
		if err != nil {
			return set, err
		}
		if codec != None {
			set.codec = codec
		}
		if set.count == 0 {
			set.magic = magic
		}
		rest = behind
	}
}

func analyzeBatch(raw []byte, magic int8, o *CheckOptions) (codec Codec, err error) {
	b, old := Batch(raw), LegacyBatch(raw)
	if magic >= 2 && o.Origin == Client && b.BaseOffset() != 0 {
		return 0, refuse(kerr.InvalidRecord, "The baseOffset of the record batch in the append to %s should be 0, but it is %d", o.Label, b.BaseOffset())
	}
	if o.MaxMessageBytes > 0 && len(raw) > o.MaxMessageBytes {
		return 0, refuse(kerr.MessageTooLarge, "The record batch size in the append to %s is %d bytes which exceeds the maximum configured value of %d.",
			o.Label, len(raw), o.MaxMessageBytes)
	}
	var stored, computed uint32
	if magic >= 2 {
		stored, computed, codec = b.CRC(), b.ComputeCRC(), b.Codec()
	} else {
		stored, computed, codec = old.CRC(), old.ComputeCRC(), old.Codec()
	}
	if stored != computed {
		return 0, refuse(kerr.CorruptMessage, "Record is corrupt (stored crc = %d) in topic partition %s.", stored, o.Label)
	}
	if !codec.Known() {
		return 0, refuse(kerr.InvalidRecord, "Unknown compression type id: %d in topic partition %s", int8(codec), o.Label)
	}
	return codec, nil
}

// upConvert checks the messages, all of them before it builds the batch.
func (k *Checked) upConvert(set messageSet, o *CheckOptions) error {
	c := k.c
	c.enter()
	defer c.leave()
	it := LegacyIterator{rest: set.bytes}
	if set.codec != None {
		plain := c.buffer()
		defer c.recycle(plain)
		var err error
		if it, *plain, err = c.IterateLegacy(set.bytes, *plain, int(o.maxBytes(defaultMaxRebuildBytes))); err != nil {
			return o.legacyError(err)
		}
	}
	w := legacyCheck{set: set, it: it, recordCheck: recordCheck{o: o}}
	if err := w.run(); err != nil {
		return err
	}
	spec := NewBatchSpec()
	spec.Codec, spec.Level = o.Codec, o.Level
	if o.KeepCodec {
		spec.Codec, spec.Level = set.codec, set.codec.DefaultLevel()
	}
	spec.TimestampType, spec.AppendTimeMs = o.TimestampType, o.NowMs // until Assign
	builder := c.builder(spec)
	defer c.recycleBuilder(builder)
	for r := &w.r; it.Next(r); {
		if err := builder.Append(r.Timestamp, r.Key, r.Value); err != nil {
			return o.legacyError(err)
		}
	}
	if err := it.Err(); err != nil {
		return o.legacyError(err)
	}
	return k.finish(builder, o)
}

// legacyCheck makes the checks of LogValidator on messages of magic 0 and 1.
type legacyCheck struct {
	set messageSet
	it  LegacyIterator
	recordCheck
}

func (w *legacyCheck) run() error {
	for {
		m, ok := w.it.message()
		if !ok {
			break
		}
		if err := w.message(m); err != nil {
			return err
		}
		if w.it.wrapper != nil {
			continue
		}
		// Each plain message is a batch of its own to Kafka: the first that is at fault ends it, at index 0.
		if err := w.errs.result(); err != nil {
			return err
		}
		w.index = 0
	}
	if err := w.it.Err(); err != nil {
		return w.o.legacyError(err)
	}
	return w.errs.result()
}

// message checks one message; errors that it returns go before those of records.
func (w *legacyCheck) message(m LegacyBatch) error {
	o, outer := w.o, m
	if w.it.wrapper != nil {
		outer = w.it.wrapper
		if m.Magic() != outer.Magic() {
			w.errs.add(w.index, false, "Record with offset %d's magic does not match outer magic %d in topic partition %s", w.it.offset(m), outer.Magic(), o.Label)
			w.index++
			return nil
		}
		if stored, computed := m.CRC(), m.ComputeCRC(); stored != computed {
			return refuse(kerr.CorruptMessage, "Record is corrupt (stored crc = %d, computed crc = %d) in topic partition %s", stored, computed, o.Label)
		}
	} else if m.Magic() != w.set.magic {
		return refuse(kerr.InvalidRecord, "Batch magic %d is not the same as the first batch's magic byte %d in topic partition %s", m.Magic(), w.set.magic, o.Label)
	}
	w.r = Record{Offset: w.it.offset(m), Timestamp: w.it.timestamp(m)}
	has, ok := m.hasKey()
	if !ok {
		_, _, err := m.KeyValue()
		return o.legacyError(err)
	}
	if has {
		w.r.Key = skippedKey
	}
	w.timestampType = outer.TimestampType()
	w.check()
	return nil
}

// legacyError is structureError, but that a wrapper can be corrupt inside.
func (o *CheckOptions) legacyError(err error) error {
	if errors.Is(err, kerr.CorruptMessage) {
		return refuse(kerr.CorruptMessage, "%v in topic partition %s", err, o.Label)
	}
	return o.structureError(err)
}
