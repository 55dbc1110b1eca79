package replication

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/metadata"
	"gokafka/purgatory"
)

// ToHighWatermark asks DeleteRecords to delete everything that is committed.
const ToHighWatermark int64 = -1

// DeleteRecords is one partition's part of a DeleteRecords: its input and, after Manager.DeleteRecords, its outcome.
type DeleteRecords struct {
	TopicPartition metadata.TopicPartition
	Offset         int64 // first offset to keep, or ToHighWatermark

	Err error // nil on success
	// LowWatermark is the lowest log start offset of the live replicas, or -1.
	LowWatermark int64

	partition *Partition
	required  int64 // the low watermark that is waited for; 0 when it is there
}

func (d *DeleteRecords) fail(err error) { d.Err, d.LowWatermark, d.required = err, -1, 0 }

// DeleteRecords raises the log start offsets, as leader. Followers follow with their next fetch; Deleted waits for them.
// Kafka 3.9 ReplicaManager.deleteRecordsOnLocalLog.
func (m *Manager) DeleteRecords(parts []DeleteRecords) {
	for i := range parts {
		d := &parts[i]
		d.LowWatermark = -1
		p, err := m.Lookup(d.TopicPartition)
		if err != nil {
			d.fail(err)
			continue
		}
		p.deleteRecords(d)
	}
}

// deleteRecords is Kafka 3.9 Partition.deleteRecordsOnLeader. The log start is on the disk with the next checkpoint of log starts,
// and the segments below it go with the next pass of retention.
func (p *Partition) deleteRecords(d *DeleteRecords) {
	rose, err := p.raiseLogStart(d)
	if err != nil {
		d.fail(err)
		return
	}
	d.partition = p
	if rose {
		// Followers and consumers with a fetch session hear of the new log start with its next answer.
		p.subscribers.notify()
		p.m.deletes.Check(p.tp)
	}
}

func (p *Partition) raiseLogStart(d *DeleteRecords) (rose bool, err error) {
	p.leadership.RLock()
	defer p.leadership.RUnlock()
	log, err := p.logFor(NoEpoch, true)
	if err != nil {
		return false, err
	}
	if !p.cfg.Load().CleanupDelete {
		return false, p.errorf(kerr.PolicyViolation, "records can not be deleted due to the configured cleanup.policy")
	}
	offset := d.Offset
	if offset == ToHighWatermark {
		offset = log.HighWatermark()
	}
	if offset < 0 {
		return false, p.errorf(kerr.OffsetOutOfRange, "the offset %d is not valid", offset)
	}
	if rose, err = log.IncrementLogStartOffset(offset); err != nil {
		return false, err
	}
	if d.LowWatermark = p.lowWatermark(); d.LowWatermark < offset {
		d.required = offset
	}
	return rose, nil
}

// lowWatermark is the lowest log start offset of this leader and the live followers; -1 while one of them has not told its own. Called with
// leadership held. Kafka 3.9 Partition.lowWatermarkIfLeader.
func (p *Partition) lowWatermark() int64 {
	low := p.log.LogStartOffset()
	if p.future != nil {
		low = min(low, p.future.LogStartOffset())
	}
	im := p.m.cache.Image()
	for _, f := range p.followers {
		if start, _ := f.ends(); start < low && im.Broker(f.id) != nil {
			low = start
		}
	}
	return low
}

// deleted says whether the part needs to wait no longer: the live replicas have deleted the records, or it failed. Kafka 3.9 DelayedDeleteRecords.tryComplete.
func (d *DeleteRecords) deleted() bool {
	if d.required == 0 {
		return true
	}
	p := d.partition
	p.leadership.RLock()
	defer p.leadership.RUnlock()
	if p.deleted {
		d.fail(p.m.unknown(p.tp))
		return true
	}
	if _, err := p.logFor(NoEpoch, true); err != nil {
		d.fail(err)
		return true
	}
	low := p.lowWatermark()
	if low < d.required {
		return false
	}
	d.LowWatermark, d.required = low, 0
	return true
}

func allDeleted(parts []DeleteRecords) bool {
	all := true
	for i := range parts {
		all = parts[i].deleted() && all
	}
	return all
}

// Deleted says whether all parts are deleted on all live replicas, or failed. If not, it calls done once they are, or after timeout, when
// what is missing has failed with REQUEST_TIMED_OUT, with the low watermark of the leader's deletion; parts must stay untouched until then.
func (m *Manager) Deleted(parts []DeleteRecords, timeout time.Duration, done func()) bool {
	if allDeleted(parts) {
		return true
	}
	op := &purgatory.Op{
		Try: func() bool { return allDeleted(parts) },
		Done: func(expired bool) {
			for i := range parts {
				if d := &parts[i]; expired && d.required != 0 {
					d.Err = d.partition.errorf(kerr.RequestTimedOut, "not every live replica deleted the records below %d within %v", d.required, timeout)
				}
			}
			done()
		},
	}
	keys := make([]metadata.TopicPartition, 0, len(parts))
	for i := range parts {
		if d := &parts[i]; d.required != 0 {
			keys = append(keys, d.TopicPartition)
		}
	}
	m.deletes.Add(op, timeout, keys...)
	return false
}
