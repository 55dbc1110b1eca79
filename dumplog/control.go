package dumplog

import (
	"encoding/binary"
	"fmt"

	"gokafka/record"
)

// Control types beside those that end a transaction; only KRaft writes them.
const (
	controlLeaderChange   record.ControlType = 2
	controlSnapshotHeader record.ControlType = 3
	controlSnapshotFooter record.ControlType = 4
	controlKRaftVersion   record.ControlType = 5
	controlKRaftVoters    record.ControlType = 6
)

// control prints what a control record says. Versions above what is known are read as the highest known.
func (d *dumper) control(e *entry) error {
	kind, err := record.ParseControlType(e.key.bytes)
	if err != nil {
		return err
	}
	switch kind {
	case record.ControlAbort, record.ControlCommit:
		return d.endTxnMarker(kind, e.value.bytes)
	case controlSnapshotHeader:
		return d.controlJSON("SnapshotHeader", &snapshotHeaderRecord, e)
	case controlSnapshotFooter:
		return d.controlJSON("SnapshotFooter", &snapshotFooterRecord, e)
	case controlKRaftVersion:
		return d.controlJSON("KRaftVersion", &kraftVersionRecord, e)
	case controlKRaftVoters:
		return d.controlJSON("KRaftVoters", &votersRecord, e)
	case controlLeaderChange:
		d.printf(" controlType: LEADER_CHANGE(%d)", kind)
	default:
		d.printf(" controlType: UNKNOWN(%d)", kind)
	}
	return nil
}

func (d *dumper) endTxnMarker(kind record.ControlType, value []byte) error {
	if len(value) < 6 {
		return javaErrorf("Invalid value size found for end transaction marker. Must have at least 6 bytes, but found only %d", len(value))
	}
	if v := int16(binary.BigEndian.Uint16(value)); v < 0 {
		return javaErrorf("Invalid version found for end transaction marker: %d. May indicate data corruption", v)
	}
	name := "ABORT"
	if kind == record.ControlCommit {
		name = "COMMIT"
	}
	d.printf(" endTxnMarker: %s coordinatorEpoch: %d", name, int32(binary.BigEndian.Uint32(value[2:])))
	return nil
}

func (d *dumper) controlJSON(title string, s *schema, e *entry) error {
	if e.value.isNull() {
		return fmt.Errorf("control record at offset %d has no value", e.offset)
	}
	text, err := s.json(nil, e.value.bytes, 0)
	if err != nil {
		return fmt.Errorf("control record at offset %d: %w", e.offset, err)
	}
	d.print(" ", title, " ", string(text))
	return nil
}
