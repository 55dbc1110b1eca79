package record

import (
	"errors"
	"hash/crc32"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Bounds of CheckOptions.MaxDecompressedBytes when it is 0. Walking a batch takes time, not memory; Kafka has no bound there.
const (
	defaultMaxWalkBytes    = 1 << 30
	defaultMaxRebuildBytes = 64 << 20
)

// CheckOptions are the partition's settings that matter to what producers send.
type CheckOptions struct {
	Label  string // topic-partition, for errors that clients get to see
	Origin Origin // Client or Coordinator

	Compacted     bool // cleanup.policy contains compact: records need keys
	KeepCodec     bool // compression.type=producer; otherwise:
	Codec         Codec
	Level         int
	TimestampType TimestampType
	// NowMs minus and plus these bound CreateTime timestamps; MaxInt64 is no bound.
	TimestampBeforeMaxMs int64
	TimestampAfterMaxMs  int64
	NowMs                int64

	MaxMessageBytes int  // max.message.bytes, before and after recompression; 0: not checked here
	RefuseZstd      bool // Produce below version 7

	// MaxDecompressedBytes bounds what a batch may decompress to. 0 is 1 GiB, or 64 MiB if it has to be compressed again.
	MaxDecompressedBytes int
}

// ProduceBatch cuts the batch out of one partition's part of a Produce request of version 3 or later. There must be exactly one
// batch, of magic 2; what follows it and is not a whole batch is dropped. These checks do not depend on the partition, and come
// before those that do (Kafka 3.9 ProduceRequest.validateRecords).
//
// A legacy magic, which Produce 0-2 may carry, is a MagicError; other errors wrap kerr.InvalidRecord, kerr.CorruptMessage
// or kerr.UnsupportedCompressionType.
func ProduceBatch(payload []byte, refuseZstd bool) (Batch, error) {
	b, rest, err := Next(payload)
	if err != nil {
		return nil, noBatch(err)
	}
	if refuseZstd && b.Codec() == Zstd {
		return nil, refuse(kerr.UnsupportedCompressionType, "Produce requests below version 7 are not allowed to use ZStandard compression")
	}
	size, _, err := PeekHeader(rest)
	magic, ok := err.(MagicError)
	switch {
	case err == ErrShortHeader: // dropped
	case err != nil && !(ok && magic.IsLegacy()):
		return nil, refuse(kerr.CorruptMessage, "behind the record batch: %v", err)
	case size <= int64(len(rest)):
		return nil, refuse(kerr.InvalidRecord, "Produce requests are only allowed to contain exactly one record batch per partition")
	}
	return b, nil
}

// noBatch is the error for a payload that does not start with a whole batch of magic 2.
func noBatch(err error) error {
	switch {
	case err == ErrShortHeader, err == ErrShortBatch:
		return refuse(kerr.InvalidRecord, "Produce requests must have at least one record batch per partition")
	case errors.As(err, new(MagicError)):
		return err
	}
	return refuse(kerr.CorruptMessage, "%v", err)
}

// Checked is a batch that may be appended once it has offsets. Its bytes are those of the payload, patched in place, or, if the
// records had to be compressed again, others that are good until Release.
type Checked struct {
	batch         Batch
	timestampType TimestampType
	maxTimestamp  int64 // of the records; CreateTime
	c             *Codecs
	rebuilt       *[]byte

	tailCRC  uint32 // LogAppendTime: CRC of what follows the maximum timestamp
	crcShift uint32
}

// Check does to a batch from a producer all that a leader does before offsets are known: structure, CRC, header, records, and if
// need be compression. It needs no lock and allocates nothing in the usual case, where the batch stays as the producer made it.
//
// Of the checks that Kafka 3.9 makes in ProduceRequest.validateRecords, UnifiedLog.analyzeAndValidateRecords and
// LogValidator.validateMessagesAndAssignOffsets, all for batches of magic 2 are here, in Kafka's order: the errors wrap
// kerr.InvalidRecord, CorruptMessage, MessageTooLarge, InvalidTimestamp or UnsupportedCompressionType. Left to the log: the size
// against segment.bytes (RECORD_LIST_TOO_LARGE), monotonic offsets of replicated batches, producer state. Where Kafka answers
// UNKNOWN_SERVER_ERROR the answer here is INVALID_RECORD: for an unknown codec, a block that does not decompress, and compressed
// records whose offsets are not consecutive although the codec may stay.
func (c *Codecs) Check(payload []byte, o *CheckOptions) (Checked, error) {
	b, err := ProduceBatch(payload, o.RefuseZstd)
	if err != nil {
		return Checked{}, err
	}
	k := Checked{batch: b, c: c, timestampType: o.TimestampType}
	if err := k.checkFrame(o); err != nil {
		return Checked{}, err
	}
	if err := checkHeader(b, o); err != nil {
		return Checked{}, err
	}
	if err := k.checkRecords(o); err != nil {
		k.Release()
		return Checked{}, err
	}
	if o.TimestampType == CreateTime && k.rebuilt == nil {
		b.SetMaxTimestamp(CreateTime, k.maxTimestamp)
	}
	return k, nil
}

// checkFrame makes the checks of UnifiedLog.analyzeAndValidateRecords.
func (k *Checked) checkFrame(o *CheckOptions) error {
	b := k.batch
	if o.Origin == Client && b.BaseOffset() != 0 {
		return refuse(kerr.InvalidRecord, "The baseOffset of the record batch in the append to %s should be 0, but it is %d", o.Label, b.BaseOffset())
	}
	if o.MaxMessageBytes > 0 && len(b) > o.MaxMessageBytes {
		return refuse(kerr.MessageTooLarge, "The record batch size in the append to %s is %d bytes which exceeds the maximum configured value of %d.",
			o.Label, len(b), o.MaxMessageBytes)
	}
	if k.computeCRC() != b.CRC() {
		return refuse(kerr.CorruptMessage, "Record is corrupt (stored crc = %d) in topic partition %s.", b.CRC(), o.Label)
	}
	if !b.Codec().Known() {
		return refuse(kerr.InvalidRecord, "Unknown compression type id: %d in topic partition %s", int8(b.Codec()), o.Label)
	}
	return nil
}

// computeCRC reads the batch once; with LogAppendTime it remembers what a new maximum timestamp does not change.
func (k *Checked) computeCRC() uint32 {
	if k.timestampType != LogAppendTime {
		return k.batch.ComputeCRC()
	}
	k.tailCRC = crc32.Checksum(k.batch[offProducerID:], castagnoli)
	k.crcShift = crcShift(len(k.batch) - offProducerID)
	return k.joinCRC()
}

func (k *Checked) joinCRC() uint32 {
	return crcJoin(crc32.Checksum(k.batch[offAttributes:offProducerID], castagnoli), k.tailCRC, k.crcShift)
}

// checkHeader makes the checks of LogValidator.validateBatch.
func checkHeader(b Batch, o *CheckOptions) error {
	if o.Origin != Client {
		return nil
	}
	count, fromOffsets := int64(b.Count()), int64(b.LastOffsetDelta())+1
	switch {
	case fromOffsets <= 0:
		return refuse(kerr.InvalidRecord, "Batch has an invalid offset range: [%d, %d] in topic partition %s", b.BaseOffset(), b.LastOffset(), o.Label)
	case count <= 0:
		return refuse(kerr.InvalidRecord, "Invalid reported count for record batch: %d in topic partition %s", count, o.Label)
	case count != fromOffsets:
		return refuse(kerr.InvalidRecord, "Inconsistent batch offset range [%d, %d] and count of records %d in topic partition %s",
			b.BaseOffset(), b.LastOffset(), count, o.Label)
	case b.IsControl():
		return refuse(kerr.InvalidRecord, "Clients are not allowed to write control records in topic partition %s", o.Label)
	case b.HasProducerID() && b.BaseSequence() < 0:
		return refuse(kerr.InvalidRecord, "Invalid sequence number %d in record batch with producerId %d in topic partition %s",
			b.BaseSequence(), b.ProducerID(), o.Label)
	}
	return nil
}
