package record

import (
	"encoding/binary"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// DownConversion says how records become readable for consumers of an old Fetch version.
type DownConversion struct {
	Magic int8 // 0 for Fetch 0 and 1, 1 for 2 and 3
	// FirstOffset is the offset asked for. Records before it in a batch that is not compressed are left out: some versions of librdkafka
	// rely on it. A compressed batch is kept whole.
	FirstOffset int64
	// MaxDecompressedBytes bounds what one batch may decompress to; 0 is 64 MiB.
	MaxDecompressedBytes int
}

// DownConvert appends to dst the batches in records, of any magic, as a message set of at most o.Magic: what Kafka answers to Fetch 0
// to 3. A batch that is cut short at the end is left out.
//
// The result is no larger than records, so that it keeps the limits of the request, but holds at least the first batch that is not empty
// after conversion, whole; what exceeds that, because messages take more room than records, is left to the next fetch. If there are
// batches and all of them are dropped, the result is the head of a message that is larger than any answer: without it, consumers of
// these versions would ask for the same control batch for ever; with it they complain, or ask for more.
//
// A batch that cannot be converted ends the set. Only if nothing precedes it there is an error: kerr.UnsupportedCompressionType for zstd, else
// one of IterateAny, or of what the old format cannot hold. Source: Kafka 3.9 LazyDownConversionRecords, KIP-283. It pads the set to the
// size of records, since it must tell its size before it converts; and it repeats the first data batch when that follows batches that
// were dropped, which is not done here.
func (c *Codecs) DownConvert(dst, records []byte, o *DownConversion) ([]byte, error) {
	start, limit, found := len(dst), len(records), false
	for len(dst)-start < limit {
		raw, _, rest, err := NextAny(records)
		if err == ErrShortHeader || err == ErrShortBatch {
			break
		}
		before := len(dst)
		if err == nil {
			found = true
			dst, err = c.DownConvertBatch(dst, raw, o)
		}
		if err != nil {
			if before == start {
				return dst, err
			}
			break
		}
		if before == start {
			limit = max(limit, len(dst)-start)
		}
		if n := before + wholeEntries(dst[before:], limit-(before-start)); n < len(dst) {
			dst = dst[:n]
			break
		}
		records = rest
	}
	if found && len(dst) == start {
		dst = binary.BigEndian.AppendUint64(dst, 1<<64-1)
		dst = binary.BigEndian.AppendUint32(dst, HeaderSizeBytes)
	}
	return dst, nil
}

// wholeEntries is how much of a message set fits into maxBytes.
func wholeEntries(set []byte, maxBytes int) (n int) {
	if len(set) <= maxBytes {
		return len(set)
	}
	for n < len(set) {
		size := LegacyBatch(set[n:]).SizeBytes()
		if n+size > maxBytes {
			break
		}
		n += size
	}
	return n
}

// DownConvertBatch appends to dst one whole batch, as NextAny cuts it off, as messages: a batch without a codec as one entry a record,
// others as one wrapper with the same codec. Offsets and timestamps stay. Headers, producers and transactions are lost; a control
// batch, and a batch without records, appends nothing. Batches whose magic is old enough are copied. Errors are as of DownConvert
// (Kafka 3.9 RecordsUtil.downConvert).
func (c *Codecs) DownConvertBatch(dst, raw []byte, o *DownConversion) ([]byte, error) {
	b := anyBatch(raw)
	switch {
	case b.magic >= 2 && Batch(raw).IsControl():
		return dst, nil
	case b.codec == Zstd:
		return dst, fmt.Errorf("batch at offset %d: down-conversion of zstandard-compressed batches is not supported: %w", b.offset, kerr.UnsupportedCompressionType)
	case b.magic <= o.Magic:
		return append(dst, raw...), nil
	}
	plain := c.buffer()
	defer c.recycle(plain)
	maxBytes := o.MaxDecompressedBytes
	if maxBytes == 0 {
		maxBytes = defaultMaxRebuildBytes
	}
	it, block, err := c.IterateAny(raw, *plain, maxBytes)
	*plain = block
	if err != nil {
		return dst, fmt.Errorf("batch at offset %d: %w", b.offset, err)
	}
	entries := c.buffer()
	defer c.recycle(entries)
	builder := LegacyBuilder{block: *entries}
	builder.Reset(LegacySpec{Magic: o.Magic, Codec: b.codec, Level: b.codec.DefaultLevel(), TimestampType: b.timestampType, AppendTimeMs: b.maxTimestamp})
	for r := (Record{}); it.Next(&r); {
		if b.codec == None && r.Offset < o.FirstOffset {
			continue
		}
		if builder.Count() == 0 {
			builder.spec.BaseOffset = r.Offset
		}
		if err = builder.Append(r.Offset, r.Timestamp, r.Key, r.Value); err != nil {
			break
		}
	}
	*entries = builder.block
	if err == nil {
		err = it.Err()
	}
	if err == nil {
		dst, err = builder.Build(dst, c)
	}
	if err != nil {
		return dst, fmt.Errorf("batch at offset %d: %w", b.offset, err)
	}
	return dst, nil
}

// batchHead is what conversion needs of a batch, of any magic.
type batchHead struct {
	magic         int8
	codec         Codec
	offset        int64 // as stored
	timestampType TimestampType
	maxTimestamp  int64
}

func anyBatch(raw []byte) batchHead {
	if b := Batch(raw); b.Magic() >= 2 {
		return batchHead{b.Magic(), b.Codec(), b.BaseOffset(), b.TimestampType(), b.MaxTimestamp()}
	}
	b := LegacyBatch(raw)
	return batchHead{b.Magic(), b.Codec(), b.Offset(), b.TimestampType(), b.Timestamp()}
}
