package record

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kerr"
)

// checkRecords walks the records, and rebuilds the batch if the topic wants another codec.
func (k *Checked) checkRecords(o *CheckOptions) error {
	b := k.batch
	source, target := b.Codec(), o.Codec
	if o.KeepCodec {
		target = source
	}
	// Control records are not compressed unless they come compressed.
	rebuild := source != target && !(source == None && b.IsControl())
	w := recordCheck{o: o, timestampType: b.TimestampType(), maxTimestamp: NoTimestamp, consecutive: true}
	if err := k.walk(&w); err != nil {
		return err
	}
	k.maxTimestamp = w.maxTimestamp
	if rebuild {
		return k.rebuild(o, target)
	}
	if source != None && !w.consecutive {
		return refuse(kerr.InvalidRecord, "Offsets of the compressed records are not consecutive in topic partition %s", o.Label)
	}
	return nil
}

func (k *Checked) walk(w *recordCheck) error {
	b := k.batch
	if b.Codec() == None {
		it := b.Iterate(b.RecordsBlock())
		for it.Next(&w.r) {
			w.check()
		}
		return w.result(it.Err())
	}
	s, err := k.c.scan(b, w.o.maxBytes(defaultMaxWalkBytes))
	if err != nil {
		return w.result(err)
	}
	for s.Next(&w.r) {
		w.check()
	}
	err = s.Err()
	s.close()
	return w.result(err)
}

func (o *CheckOptions) maxBytes(def int) int64 {
	if o.MaxDecompressedBytes > 0 {
		return int64(o.MaxDecompressedBytes)
	}
	return int64(def)
}

// recordCheck makes the checks of LogValidator.validateRecord.
type recordCheck struct {
	o             *CheckOptions
	timestampType TimestampType // of the batch
	r             Record
	index         int32
	maxTimestamp  int64
	consecutive   bool // offsets are 0, 1, 2 …
	errs          recordErrors
}

func (w *recordCheck) check() {
	r, o := &w.r, w.o
	index := w.index
	w.index++
	if r.Offset != int64(index) {
		w.consecutive = false
	}
	w.maxTimestamp = max(w.maxTimestamp, r.Timestamp)
	if o.Compacted && r.Key == nil {
		w.errs.add(index, false, "Compacted topic cannot accept message without key in topic partition %s", o.Label)
		return
	}
	if o.TimestampType == CreateTime && r.Timestamp != NoTimestamp {
		age := o.NowMs - r.Timestamp
		if age > o.TimestampBeforeMaxMs || -age > o.TimestampAfterMaxMs {
			w.errs.add(index, true, "Timestamp %d of message with offset %d is out of range. The timestamp should be within [%d, %d]",
				r.Timestamp, r.Offset, o.NowMs-o.TimestampBeforeMaxMs, o.NowMs+o.TimestampAfterMaxMs)
		}
	} else if w.timestampType == LogAppendTime {
		w.errs.add(index, true, "Invalid timestamp type in message with offset %d. Producer should not set timestamp type to LogAppendTime.", r.Offset)
	}
}

// result is the error of the walk: one of structure overrides those of records.
func (w *recordCheck) result(err error) error {
	if err == nil {
		return w.errs.result()
	}
	return w.o.structureError(err)
}

func (o *CheckOptions) structureError(err error) error {
	kind := kerr.InvalidRecord
	if errors.Is(err, ErrTooLarge) {
		kind = kerr.MessageTooLarge
	}
	return refuse(kind, "%v in topic partition %s", err, o.Label)
}
