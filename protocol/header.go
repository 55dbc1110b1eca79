package protocol

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// Keys of the API that framing must know by itself.
const (
	KeyProduce            int16 = 0
	KeyFetch              int16 = 1
	KeyStopReplica        int16 = 5
	KeyControlledShutdown int16 = 7
	KeyApiVersions        int16 = 18
)

// SizeBytes is the size of a frame's length field.
const SizeBytes = 4

// ErrMalformed says that bytes from a peer are not the request they announce. The connection is closed without an answer, as Apache does.
var ErrMalformed = errors.New("malformed request")

// Header is a request header, versions 0 to 2.
type Header struct {
	Key           int16
	Version       int16
	CorrelationID int32
	// ClientID aliases the frame; nil when null.
	ClientID []byte
}

// ParseHeader reads the fixed part and the client id of a request header from frame (without its length field) and returns what follows.
// The tagged fields of a flexible header are skipped by SkipHeaderTags, once the version is known to be served.
func ParseHeader(frame []byte) (h Header, rest []byte, err error) {
	if len(frame) < 8 {
		return h, nil, fmt.Errorf("%w: %d bytes are less than a header", ErrMalformed, len(frame))
	}
	h.Key = int16(binary.BigEndian.Uint16(frame))
	h.Version = int16(binary.BigEndian.Uint16(frame[2:]))
	h.CorrelationID = int32(binary.BigEndian.Uint32(frame[4:]))
	rest = frame[8:]
	if h.Key == KeyControlledShutdown && h.Version == 0 {
		return h, rest, nil // header version 0 ends here
	}
	if len(rest) < 2 {
		return h, nil, fmt.Errorf("%w: header of key %d without client id", ErrMalformed, h.Key)
	}
	n := int(int16(binary.BigEndian.Uint16(rest)))
	rest = rest[2:]
	switch {
	case n < 0: // null; Apache takes any negative length for it
	case n > len(rest):
		return h, nil, fmt.Errorf("%w: client id of %d bytes in a header of key %d", ErrMalformed, n, h.Key)
	default:
		h.ClientID, rest = rest[:n:n], rest[n:]
	}
	return h, rest, nil
}

// SkipTags skips a section of tagged fields (KIP-482) at the front of b.
func SkipTags(b []byte) (rest []byte, err error) {
	n, b, ok := uvarint(b)
	if !ok {
		return nil, fmt.Errorf("%w: tag count", ErrMalformed)
	}
	for ; n > 0; n-- {
		var size uint32
		if _, b, ok = uvarint(b); !ok {
			return nil, fmt.Errorf("%w: tag", ErrMalformed)
		}
		if size, b, ok = uvarint(b); !ok || uint64(size) > uint64(len(b)) {
			return nil, fmt.Errorf("%w: size of a tagged field", ErrMalformed)
		}
		b = b[size:]
	}
	return b, nil
}

// uvarint reads an unsigned 32-bit varint; ok is false when it is cut off or longer than five bytes.
func uvarint(b []byte) (v uint32, rest []byte, ok bool) {
	for i := 0; i < len(b) && i < 5; i++ {
		v |= uint32(b[i]&0x7f) << (7 * i)
		if b[i] < 0x80 {
			return v, b[i+1:], true
		}
	}
	return 0, nil, false
}

func appendUvarint(dst []byte, v uint32) []byte {
	for v >= 0x80 {
		dst = append(dst, byte(v)|0x80)
		v >>= 7
	}
	return append(dst, byte(v))
}

// Encoder is the body of an answer. Every kmsg.Response is one.
type Encoder interface {
	AppendTo([]byte) []byte
	IsFlexible() bool
}

// AppendResponse appends the frame of an answer: length, correlation id, the tag section of a flexible header, body.
// The header of ApiVersions never has tags (KIP-511).
func AppendResponse(dst []byte, key int16, correlationID int32, body Encoder) []byte {
	start := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, uint32(correlationID))
	if key != KeyApiVersions && body.IsFlexible() {
		dst = append(dst, 0)
	}
	dst = body.AppendTo(dst)
	binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start-SizeBytes))
	return dst
}

// Decode decodes a request whose key and version the caller has found to be served. body is what ParseHeader left. Byte fields alias body; strings do not.
func Decode(key, version int16, body []byte) (kmsg.Request, error) {
	q := kmsg.RequestForKey(key)
	if q == nil {
		return nil, fmt.Errorf("%w: unknown key %d", ErrMalformed, key)
	}
	q.SetVersion(version)
	if q.IsFlexible() {
		var err error
		if body, err = SkipTags(body); err != nil {
			return nil, err
		}
	}
	if key == KeyStopReplica && version >= 4 {
		fixed, err := FixStopReplicaV4(body)
		if err != nil {
			return nil, err
		}
		body = fixed
	}
	if err := q.ReadFrom(body); err != nil {
		return nil, fmt.Errorf("%w: %s v%d: %w", ErrMalformed, kmsg.NameForKey(key), version, err)
	}
	return q, nil
}
