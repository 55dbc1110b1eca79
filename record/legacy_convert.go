package record

import (
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

// downConvertBatch appends to dst one whole batch, as NextAny cuts it off, as messages: a batch without a codec as one entry a record,
// others as one wrapper with the same codec. Offsets and timestamps stay. Headers, producers and transactions are lost; a control
// batch, and a batch without records, appends nothing. Batches whose magic is old enough are copied. Errors are as of NewDownConverter
// (Kafka 3.9 RecordsUtil.downConvert).
func (c *Codecs) downConvertBatch(dst, raw []byte, o *DownConversion) ([]byte, error) {
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
