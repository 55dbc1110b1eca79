package producerstate

import (
	"errors"
	"testing"

	"gokafka/record"

	"github.com/twmb/franz-go/pkg/kerr"
)

const testNow = 1_700_000_000_000

func testOptions() Options {
	return Options{ExpirationMs: 86_400_000, MaxTxnTimeoutMs: 900_000}
}

// data describes a batch of records.
type data struct {
	pid    int64
	epoch  int16
	seq    int32
	n      int32 // records, 1 if 0
	offset int64
	ts     int64 // testNow if 0
	txn    bool
}

func (d data) batch() record.Batch {
	spec := record.NewBatchSpec()
	spec.BaseOffset, spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence, spec.Transactional = d.offset, d.pid, d.epoch, d.seq, d.txn
	b := record.NewBuilder(spec)
	if d.ts == 0 {
		d.ts = testNow
	}
	for range max(d.n, 1) {
		if err := b.Append(d.ts, nil, nil); err != nil {
			panic(err)
		}
	}
	_, batch, err := b.Build(nil, nil)
	if err != nil {
		panic(err)
	}
	return batch
}

// marker describes the end of a transaction.
type marker struct {
	pid         int64
	epoch       int16
	commit      bool
	coordinator int32
	offset      int64
}

func (k marker) batch() record.Batch {
	spec := record.MarkerSpec{BaseOffset: k.offset, TimestampMs: testNow, ProducerID: k.pid, ProducerEpoch: k.epoch,
		Type: record.ControlAbort, CoordinatorEpoch: k.coordinator}
	if k.commit {
		spec.Type = record.ControlCommit
	}
	b, err := record.AppendEndTxnMarker(nil, spec)
	if err != nil {
		panic(err)
	}
	return record.Batch(b)
}

// appendOne goes all the way with one batch.
func appendOne(m *Manager, origin record.Origin, guard Guard, b record.Batch) (Verdict, []CompletedTxn, error) {
	a := m.Prepare(origin, guard, false)
	v, err := a.Check(b)
	if err != nil || v.Duplicate {
		return v, nil, err
	}
	a.Update()
	for _, t := range a.Completed() {
		if err := m.CompleteTxn(t); err != nil {
			return v, nil, err
		}
	}
	m.UpdateMapEndOffset(b.NextOffset())
	return v, a.Completed(), nil
}

func mustAppend(t *testing.T, m *Manager, origin record.Origin, b record.Batch) []CompletedTxn {
	t.Helper()
	v, done, err := appendOne(m, origin, 0, b)
	if err != nil || v.Duplicate {
		t.Fatalf("append at %d: %+v %v", b.BaseOffset(), v, err)
	}
	return done
}

func mustRefuse(t *testing.T, m *Manager, origin record.Origin, b record.Batch, want *kerr.Error) {
	t.Helper()
	v, _, err := appendOne(m, origin, 0, b)
	if !errors.Is(err, want) {
		t.Fatalf("append at %d: %+v %v, want %v", b.BaseOffset(), v, err, want)
	}
}
