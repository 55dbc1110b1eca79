package record

import "encoding/binary"

// Assigned is a batch ready to be written, at its place in the log.
type Assigned struct {
	Batch       Batch
	FirstOffset int64
	LastOffset  int64
	// MaxTimestampMs is the largest timestamp of the records, or the append time: what the batch's header has too. The time index
	// names the batch's last offset with it.
	MaxTimestampMs int64
	// AppendTimeMs is the append time with LogAppendTime, as a Produce response has it, else NoTimestamp.
	AppendTimeMs int64
}

// Count is the number of records.
func (k *Checked) Count() int { return int(k.batch.Count()) }

// SizeBytes is the size that will be written; Assign does not change it.
func (k *Checked) SizeBytes() int { return len(k.batch) }

// Rebuilt says whether the records were written anew, not kept as the producer made them.
func (k *Checked) Rebuilt() bool { return k.rebuilt != nil }

// Assign stores offsets, leader epoch and, with LogAppendTime, the time. It is cheap, whatever the batch's size, for a partition's
// lock is held around it. It may be called again with other values, as long as the batch was not written.
func (k *Checked) Assign(firstOffset int64, leaderEpoch int32, nowMs int64) Assigned {
	b := k.batch
	last := firstOffset + int64(b.Count()) - 1
	b.SetBaseOffset(last - int64(b.LastOffsetDelta()))
	b.SetLeaderEpoch(leaderEpoch)
	a := Assigned{
		Batch:          b,
		FirstOffset:    firstOffset,
		LastOffset:     last,
		MaxTimestampMs: k.maxTimestamp,
		AppendTimeMs:   NoTimestamp,
	}
	if k.timestampType == LogAppendTime {
		k.stamp(nowMs)
		a.MaxTimestampMs, a.AppendTimeMs = nowMs, nowMs
	}
	return a
}

// stamp is SetMaxTimestamp without reading the records.
func (k *Checked) stamp(nowMs int64) {
	b := k.batch
	if b.TimestampType() == LogAppendTime && b.MaxTimestamp() == nowMs {
		return
	}
	b.setAttributes(b.Attributes()&attrKnownMask | attrLogAppendTime)
	binary.BigEndian.PutUint64(b[offMaxTimestamp:], uint64(nowMs))
	binary.BigEndian.PutUint32(b[offCRC:], k.joinCRC())
}

// Release gives the bytes of a rebuilt batch back; nothing may use the batch afterwards. It is right to call it always, and twice.
func (k *Checked) Release() {
	if k.rebuilt != nil {
		k.c.recycle(k.rebuilt)
		k.rebuilt, k.batch = nil, nil
	}
}

// Validate is Check and Assign in one, for callers without a lock.
func (c *Codecs) Validate(payload []byte, o *CheckOptions, firstOffset int64, leaderEpoch int32) (Checked, Assigned, error) {
	k, err := c.Check(payload, o)
	if err != nil {
		return Checked{}, Assigned{}, err
	}
	return k, k.Assign(firstOffset, leaderEpoch, o.NowMs), nil
}
