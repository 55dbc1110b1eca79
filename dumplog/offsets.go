package dumplog

import (
	"encoding/binary"
	"fmt"
	"strconv"
)

// parseOffsets makes JSON of a record of __consumer_offsets. What cannot be read is told in the key's place, and the run goes on; a
// record without a key ends it (DumpLogSegments.OffsetsMessageParser, CoordinatorRecordSerde).
func parseOffsets(e *entry) (text, error) {
	if e.key.isNull() {
		return text{}, javaErrorf("Failed to decode message using offset topic decoder (message had a missing key)")
	}
	c, err := offsetsContent(e)
	if err != nil {
		message := fmt.Sprintf("Error at offset %d, skipping. %v", e.offset, err)
		if unknown, ok := err.(unknownRecordType); ok {
			message = fmt.Sprintf("Unknown record type %d at offset %d, skipping.", int16(unknown), e.offset)
		}
		return text{key: message, hasKey: true}, nil
	}
	return c, nil
}

// unknownRecordType is CoordinatorLoader.UnknownRecordTypeException.
type unknownRecordType int16

func (t unknownRecordType) Error() string {
	return fmt.Sprintf("Found an unknown record type %d", int16(t))
}

func offsetsContent(e *entry) (c text, err error) {
	key, err := e.key.get()
	if err != nil {
		return c, err
	}
	kind, key, err := versioned(key, "key")
	if err != nil {
		return c, err
	}
	if kind < 0 || int(kind) >= len(coordinatorRecords) {
		return c, unknownRecordType(kind)
	}
	spec := coordinatorRecords[kind]
	c = text{value: "<DELETE>", hasKey: true, hasValue: true}
	if c.key, err = coordinatorJSON("type", "key", spec.key, key, kind); err != nil || e.value.isNull() {
		return c, err
	}
	value, err := e.value.get()
	if err != nil {
		return c, err
	}
	version, value, err := versioned(value, "value")
	if err != nil {
		return c, err
	}
	c.value, err = coordinatorJSON("version", "value", spec.value, value, version)
	return c, err
}

// versioned cuts the int16 version off.
func versioned(b []byte, name string) (version int16, rest []byte, err error) {
	if len(b) < 2 {
		return 0, nil, javaErrorf("Could not read version from %s's buffer.", name)
	}
	return int16(binary.BigEndian.Uint16(b)), b[2:], nil
}

func coordinatorJSON(title, name string, s *schema, b []byte, version int16) (string, error) {
	dst := append([]byte(`{"`), title...)
	dst = strconv.AppendInt(append(dst, `":"`...), int64(version), 10)
	dst, err := s.json(append(dst, `","data":`...), b, version)
	if err != nil {
		return "", javaErrorf("Could not read record with version %d from %s's buffer due to: %w.", version, name, err)
	}
	return string(append(dst, '}')), nil
}
