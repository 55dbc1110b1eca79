package producerstate

import (
	"errors"
	"slices"
	"testing"

	"gokafka/record"

	"github.com/twmb/franz-go/pkg/kerr"
)

func wantUnstable(t *testing.T, m *Manager, want int64) {
	t.Helper()
	o, ok := m.FirstUnstableOffset()
	if ok != (want >= 0) || ok && o != want {
		t.Fatalf("first unstable offset %d %v, want %d", o, ok, want)
	}
}

func TestSequencesGoOnAfterMarkerOfSameEpoch(t *testing.T) {
	m := New("t-0", testOptions())
	mustAppend(t, m, record.Client, data{pid: 1, seq: 0, n: 2, txn: true}.batch())
	mustAppend(t, m, record.Coordinator, marker{pid: 1, offset: 2, commit: true}.batch())
	mustRefuse(t, m, record.Client, data{pid: 1, seq: 0, offset: 3, txn: true}.batch(), kerr.OutOfOrderSequenceNumber)
	// The first batch stays a duplicate.
	if v, _, err := appendOne(m, record.Client, 0, data{pid: 1, seq: 0, n: 2, offset: 3, txn: true}.batch()); err != nil || !v.Duplicate {
		t.Fatal(v, err)
	}
	mustAppend(t, m, record.Client, data{pid: 1, seq: 2, offset: 3, txn: true}.batch())
}

func TestSequencesStartAgainAfterMarkerOfHigherEpoch(t *testing.T) {
	m := New("t-0", testOptions())
	mustAppend(t, m, record.Client, data{pid: 1, seq: 0, n: 2, txn: true}.batch())
	done := mustAppend(t, m, record.Coordinator, marker{pid: 1, epoch: 1, offset: 2}.batch())
	if !slices.Equal(done, []CompletedTxn{{1, 0, 2, true}}) {
		t.Fatal(done)
	}
	mustRefuse(t, m, record.Client, data{pid: 1, seq: 2, offset: 3, txn: true}.batch(), kerr.InvalidProducerEpoch)
	mustRefuse(t, m, record.Client, data{pid: 1, epoch: 1, seq: 2, offset: 3, txn: true}.batch(), kerr.OutOfOrderSequenceNumber)
	mustAppend(t, m, record.Client, data{pid: 1, epoch: 1, seq: 0, offset: 3, txn: true}.batch())
}

// A producer of which only a marker was seen has an epoch but no sequence: it must start at 0.
func TestMarkerOnlyProducerStartsAtZero(t *testing.T) {
	m := New("t-0", testOptions())
	if done := mustAppend(t, m, record.Coordinator, marker{pid: 1, epoch: 4, commit: true}.batch()); len(done) != 0 {
		t.Fatal("a transaction without data here completes nothing", done)
	}
	wantUnstable(t, m, -1)
	mustRefuse(t, m, record.Client, data{pid: 1, epoch: 4, seq: 3, offset: 1}.batch(), kerr.OutOfOrderSequenceNumber)
	mustAppend(t, m, record.Client, data{pid: 1, epoch: 4, seq: 0, offset: 1}.batch())
}

func TestCoordinatorEpochFences(t *testing.T) {
	m := New("t-0", testOptions())
	mustAppend(t, m, record.Coordinator, marker{pid: 1, coordinator: 5, commit: true}.batch())
	mustRefuse(t, m, record.Coordinator, marker{pid: 1, coordinator: 4, offset: 1}.batch(), kerr.TransactionCoordinatorFenced)
	mustRefuse(t, m, record.Coordinator, marker{pid: 1, epoch: 0, coordinator: -1, offset: 1}.batch(), kerr.TransactionCoordinatorFenced)
	mustAppend(t, m, record.Coordinator, marker{pid: 1, coordinator: 5, offset: 1}.batch())
	mustAppend(t, m, record.Coordinator, marker{pid: 1, epoch: 2, coordinator: 6, offset: 2}.batch())
	mustRefuse(t, m, record.Coordinator, marker{pid: 1, epoch: 1, coordinator: 6, offset: 3}.batch(), kerr.InvalidProducerEpoch)
	a := m.Prepare(record.Replication, 0, false)
	if _, err := a.Check(marker{pid: 1, epoch: 2, coordinator: 1, offset: 3}.batch()); err != nil || len(a.Warnings()) != 1 {
		t.Fatal(err, a.Warnings())
	}
}

func TestNonTransactionalBatchInsideTransaction(t *testing.T) {
	m := New("t-0", testOptions())
	mustAppend(t, m, record.Client, data{pid: 1, txn: true}.batch())
	for _, o := range []record.Origin{record.Client, record.Coordinator, record.Replication} {
		mustRefuse(t, m, o, data{pid: 1, seq: 1, offset: 1}.batch(), kerr.InvalidTxnState)
	}
	mustAppend(t, m, record.Coordinator, marker{pid: 1, offset: 1}.batch())
	mustAppend(t, m, record.Client, data{pid: 1, seq: 1, offset: 2}.batch())
}

func TestUnstableUntilMarkerIsReplicated(t *testing.T) {
	m := New("t-0", testOptions())
	wantUnstable(t, m, -1)
	mustAppend(t, m, record.Client, data{pid: 1, offset: 10, txn: true}.batch())
	mustAppend(t, m, record.Client, data{pid: 2, offset: 11, txn: true}.batch())
	wantUnstable(t, m, 10)

	// pid 2 aborts first: its entry of the index must name pid 1's offset, which is below its own.
	a := m.Prepare(record.Coordinator, 0, false)
	if _, err := a.Check(marker{pid: 2, offset: 12}.batch()); err != nil {
		t.Fatal(err)
	}
	a.Update()
	done := a.Completed()
	if !slices.Equal(done, []CompletedTxn{{2, 11, 12, true}}) || m.LastStableOffset(done[0]) != 10 {
		t.Fatal(done, m.LastStableOffset(done[0]))
	}
	if err := m.CompleteTxn(done[0]); err != nil {
		t.Fatal(err)
	}
	if err := m.CompleteTxn(done[0]); err == nil {
		t.Fatal("a transaction completes once")
	}
	wantUnstable(t, m, 10)

	a = m.Prepare(record.Coordinator, 0, false)
	if _, err := a.Check(marker{pid: 1, offset: 13, commit: true}.batch()); err != nil {
		t.Fatal(err)
	}
	a.Update()
	if done = a.Completed(); m.LastStableOffset(done[0]) != 14 || done[0].Aborted {
		t.Fatal(done)
	}
	if err := m.CompleteTxn(done[0]); err != nil {
		t.Fatal(err)
	}
	if o, ok := m.FirstUndecidedOffset(); ok {
		t.Fatal(o)
	}
	wantUnstable(t, m, 10)
	m.OnHighWatermarkUpdated(13) // the marker at 13 is not below it
	wantUnstable(t, m, 10)
	m.OnHighWatermarkUpdated(14)
	wantUnstable(t, m, -1)
	if m.IsEmpty() {
		t.Fatal("producers are known")
	}
}

func TestLogStartLetsGoOfOldTransactions(t *testing.T) {
	m := New("t-0", testOptions())
	mustAppend(t, m, record.Client, data{pid: 1, offset: 0, txn: true}.batch())
	mustAppend(t, m, record.Coordinator, marker{pid: 1, offset: 1}.batch())
	m.OnLogStartOffsetIncremented(1, -1)
	wantUnstable(t, m, 0)
	m.OnLogStartOffsetIncremented(20, 15)
	wantUnstable(t, m, -1)
	if m.MapEndOffset() != 20 || m.LastSnapshotOffset() != 15 || m.Len() != 1 {
		t.Fatal(m.MapEndOffset(), m.LastSnapshotOffset(), m.Len())
	}
}

// A whole life in one follower append: two transactions of one producer, one of another that stays open.
func TestTransactionsInsideOneAppend(t *testing.T) {
	m := New("t-0", testOptions())
	done, warnings, err := m.Replay(
		data{pid: 1, seq: 0, offset: 0, txn: true}.batch(),
		data{pid: 2, seq: 0, offset: 1, txn: true}.batch(),
		marker{pid: 1, offset: 2}.batch(),
		data{pid: 1, seq: 1, offset: 3, txn: true}.batch(),
		marker{pid: 1, offset: 4, commit: true}.batch(),
		data{pid: 1, seq: 2, offset: 5}.batch(),
	)
	if err != nil || len(warnings) != 0 || !slices.Equal(done, []CompletedTxn{{1, 0, 2, true}, {1, 3, 4, false}}) {
		t.Fatal(done, warnings, err)
	}
	wantUnstable(t, m, 0)
	m.OnHighWatermarkUpdated(6)
	wantUnstable(t, m, 1)
	if p, _ := m.Producer(1); p != (Entry{1, 0, 2, 5, 0, testNow, 0, -1}) {
		t.Fatalf("%+v", p)
	}
	if p, _ := m.Producer(2); p.CurrentTxnFirstOffset != 1 || p.CoordinatorEpoch != -1 {
		t.Fatalf("%+v", p)
	}
	if m.MapEndOffset() != 6 {
		t.Fatal(m.MapEndOffset())
	}
}

func TestEmptiedControlBatchIsSkipped(t *testing.T) {
	m := New("t-0", testOptions())
	mustAppend(t, m, record.Client, data{pid: 1, txn: true}.batch())
	empty := record.Batch(record.AppendEmptyBatch(nil, marker{pid: 1, offset: 1, commit: true}.batch()))
	if done := mustAppend(t, m, record.Replication, empty); len(done) != 0 {
		t.Fatal(done)
	}
	wantUnstable(t, m, 0)
}

func TestBrokenMarkerIsRefusedByAll(t *testing.T) {
	b := marker{pid: 1}.batch()
	b[len(b)-13] = 9 // control type
	for _, o := range []record.Origin{record.Coordinator, record.Replication} {
		m := New("t-0", testOptions())
		if _, _, err := appendOne(m, o, 0, b); !errors.Is(err, kerr.InvalidRecord) {
			t.Fatal(err)
		}
	}
}

func TestLateTransaction(t *testing.T) {
	m := New("t-0", testOptions())
	if m.HasLateTransaction(1 << 50) {
		t.Fatal("late without a transaction")
	}
	mustAppend(t, m, record.Client, data{pid: 1, txn: true}.batch())
	limit := int64(testNow + 900_000 + 300_000)
	if m.HasLateTransaction(limit) || !m.HasLateTransaction(limit+1) {
		t.Fatal("late is after the largest timeout and five minutes")
	}
	mustAppend(t, m, record.Coordinator, marker{pid: 1, offset: 1}.batch())
	if m.HasLateTransaction(1 << 50) {
		t.Fatal("late after the end")
	}
}
