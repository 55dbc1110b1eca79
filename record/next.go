package record

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kerr"
)

// HeaderSizeUpToMagicBytes is how much of a batch must be there to tell its size and its magic.
const HeaderSizeUpToMagicBytes = offMagic + 1

// minLegacyLengthBytes is the smallest length field of any magic: a record of magic 0 without key and value
// (Kafka 3.9 LegacyRecord.RECORD_OVERHEAD_V0).
const minLegacyLengthBytes = 14

var (
	// ErrShortHeader is returned for a buffer that ends before the magic byte: size and magic are not known.
	ErrShortHeader = errors.New("record batch header is cut short")
	// ErrShortBatch is returned for a buffer that ends before the batch does.
	ErrShortBatch = errors.New("record batch is cut short")
	// ErrBatchLength is returned for a length field below what the format can have. It wraps kerr.CorruptMessage.
	ErrBatchLength = fmt.Errorf("record batch length is below the minimum: %w", kerr.CorruptMessage)
)

// MagicError is the error for a batch whose magic is not 2. It wraps kerr.InvalidRecord for the legacy magics 0 and 1,
// and kerr.CorruptMessage for a value that no Kafka ever wrote.
type MagicError int8

func (e MagicError) Error() string {
	if e.IsLegacy() {
		return fmt.Sprintf("record batch of legacy magic %d", int8(e))
	}
	return fmt.Sprintf("invalid magic found in record: %d", int8(e))
}

// Unwrap gives the Kafka error.
func (e MagicError) Unwrap() error {
	if e.IsLegacy() {
		return kerr.InvalidRecord
	}
	return kerr.CorruptMessage
}

// IsLegacy says whether the magic is 0 or 1.
func (e MagicError) IsLegacy() bool { return e == 0 || e == 1 }

// PeekHeader reads size and magic of the batch, or legacy entry, at the start of buf, which may end before the batch does.
// The checks are those of Kafka 3.9 ByteBufferLogInputStream.nextBatchSize, and for magic 2 the length of a header besides.
// The size counts LogOverheadBytes; with a MagicError for a legacy magic it is valid too.
func PeekHeader(buf []byte) (sizeBytes int64, magic int8, err error) {
	if len(buf) < LogOverheadBytes {
		return 0, 0, ErrShortHeader
	}
	length := int32(binary.BigEndian.Uint32(buf[offLength:]))
	if length < minLegacyLengthBytes {
		return 0, 0, ErrBatchLength
	}
	if len(buf) < HeaderSizeUpToMagicBytes {
		return 0, 0, ErrShortHeader
	}
	magic = int8(buf[offMagic])
	sizeBytes = int64(length) + LogOverheadBytes
	if magic != 2 {
		return sizeBytes, magic, MagicError(magic)
	}
	if sizeBytes < HeaderSizeBytes {
		return 0, magic, ErrBatchLength
	}
	return sizeBytes, magic, nil
}

// Next cuts the first batch off buf. It looks at length and magic only, not at the CRC, copies nothing and allocates
// nothing. On error b is nil and rest is buf.
//
// ErrShortHeader and ErrShortBatch mean that more bytes are needed, ErrBatchLength and a MagicError that buf does not
// start with a batch of magic 2.
func Next(buf []byte) (b Batch, rest []byte, err error) {
	size, _, err := PeekHeader(buf)
	if err != nil {
		return nil, buf, err
	}
	if int64(len(buf)) < size {
		return nil, buf, ErrShortBatch
	}
	return Batch(buf[:size:size]), buf[size:], nil
}
