package dumplog

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"

	"gokafka/producerstate"
	"gokafka/record"
)

const (
	snapshotHeadBytes  = 10 // int16 version, uint32 CRC, int32 number of entries
	snapshotEntryBytes = 46
	snapshotCoveredAt  = 6
)

// snapshot dumps a producer snapshot. A corrupt one is told about on standard error, and is no error of the run
// (DumpLogSegments.dumpProducerIdSnapshot).
func (d *dumper) snapshot(path string) error {
	f, err := d.open(path)
	if err != nil {
		return err
	}
	defer f.close()
	if f.size > int64(d.limit) {
		return fmt.Errorf("snapshot of %d bytes, at most %d can be read", f.size, d.limit)
	}
	b := make([]byte, f.size)
	if err := f.read(b, 0); err != nil {
		return err
	}
	b, reason := wholeSnapshot(b)
	if reason != "" {
		d.errorln(reason)
		return nil
	}
	entries, err := producerstate.DecodeSnapshot(b)
	if err != nil {
		return err
	}
	for _, e := range entries {
		d.producer(e)
	}
	return nil
}

func (d *dumper) producer(e producerstate.Entry) {
	d.printf("producerId: %d producerEpoch: %d coordinatorEpoch: %d currentTxnFirstOffset: %s lastTimestamp: %d ",
		e.ProducerID, e.ProducerEpoch, e.CoordinatorEpoch, optional(e.CurrentTxnFirstOffset, e.CurrentTxnFirstOffset >= 0), e.TimestampMs)
	if e.LastOffset >= 0 { // there is a batch
		d.printf("firstSequence: %d lastSequence: %d lastOffset: %d offsetDelta: %d timestamp: %d",
			record.DecrementSequence(e.LastSequence, e.OffsetDelta), e.LastSequence, e.LastOffset, e.OffsetDelta, e.TimestampMs)
	}
	d.println()
}

// wholeSnapshot checks a snapshot in the order of ProducerStateManager.readSnapshot, and says in its words why one cannot be used.
// Kafka accepts bytes behind the entries, as long as the checksum covers them; they are cut off.
func wholeSnapshot(b []byte) (whole []byte, reason string) {
	const schema = "Snapshot failed schema validation: "
	be := binary.BigEndian
	for _, f := range []struct {
		name string
		end  int
	}{{"version", 2}, {"crc", 6}, {"producer_entries", snapshotHeadBytes}} {
		if len(b) < f.end {
			return nil, schema + "Error reading field '" + f.name + "': java.nio.BufferUnderflowException"
		}
	}
	n, rest := int32(be.Uint32(b[snapshotCoveredAt:])), len(b)-snapshotHeadBytes
	switch {
	case n < 0:
		return nil, schema + fmt.Sprintf("Error reading field 'producer_entries': Array size %d cannot be negative", n)
	case int(n) > rest:
		return nil, schema + fmt.Sprintf("Error reading field 'producer_entries': Error reading array of size %d, only %d bytes available", n, rest)
	case int(n) > rest/snapshotEntryBytes:
		return nil, schema + "Error reading field 'producer_entries': Error reading field '" + cutField(rest%snapshotEntryBytes) +
			"': java.nio.BufferUnderflowException"
	}
	if v := int16(be.Uint16(b)); v != 1 {
		return nil, fmt.Sprintf("Snapshot contained an unknown file version %d", v)
	}
	stored, computed := be.Uint32(b[2:]), crc32.Checksum(b[snapshotCoveredAt:], crc32.MakeTable(crc32.Castagnoli))
	if stored != computed {
		return nil, fmt.Sprintf("Snapshot is corrupt (CRC is no longer valid). Stored crc: %d. Computed crc: %d", stored, computed)
	}
	if whole = b[:snapshotHeadBytes+int(n)*snapshotEntryBytes]; len(whole) < len(b) {
		be.PutUint32(whole[2:], crc32.Checksum(whole[snapshotCoveredAt:], crc32.MakeTable(crc32.Castagnoli)))
	}
	return whole, ""
}

// cutField is the field of an entry that the file ends in.
func cutField(bytes int) string {
	for _, f := range []struct {
		name string
		end  int
	}{
		{"producer_id", 8}, {"epoch", 10}, {"last_sequence", 14}, {"last_offset", 22}, {"offset_delta", 26}, {"timestamp", 34},
		{"coordinator_epoch", 38},
	} {
		if bytes < f.end {
			return f.name
		}
	}
	return "current_txn_first_offset"
}
