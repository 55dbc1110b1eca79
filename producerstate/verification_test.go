package producerstate

import (
	"errors"
	"testing"

	"gokafka/record"

	"github.com/twmb/franz-go/pkg/kerr"
)

func verifying() *Manager {
	o := testOptions()
	o.VerificationEnabled = true
	return New("t-0", o)
}

func TestTransactionalBatchNeedsGuard(t *testing.T) {
	m := verifying()
	b := data{pid: 1, txn: true}.batch()
	mustRefuse(t, m, record.Client, b, kerr.InvalidTxnState)
	mustRefuse(t, m, record.Coordinator, b, kerr.InvalidTxnState)
	mustAppend(t, m, record.Client, data{pid: 7}.batch()) // not transactional: no guard

	guard := m.StartVerification(1, 0, 0, testNow)
	if guard == 0 || m.StartVerification(1, 0, 0, testNow) != guard || m.VerificationGuard(1) != guard {
		t.Fatal("a verification under way is shared")
	}
	if _, _, err := appendOne(m, record.Client, guard+1, b); !errors.Is(err, kerr.InvalidTxnState) {
		t.Fatal(err)
	}
	if _, _, err := appendOne(m, record.Client, guard, b); err != nil {
		t.Fatal(err)
	}
	if m.VerificationGuard(1) != 0 || m.StartVerification(1, 1, 0, testNow) != 0 {
		t.Fatal("an open transaction needs no guard")
	}
	mustAppend(t, m, record.Client, data{pid: 1, seq: 1, offset: 1, txn: true}.batch())

	// After the marker: late batches are refused, also with the guard of the transaction before.
	mustAppend(t, m, record.Coordinator, marker{pid: 1, offset: 2}.batch())
	if _, _, err := appendOne(m, record.Client, guard, data{pid: 1, seq: 2, offset: 3, txn: true}.batch()); !errors.Is(err, kerr.InvalidTxnState) {
		t.Fatal(err)
	}
	// A duplicate of what was written is still a success.
	if v, _, err := appendOne(m, record.Client, 0, data{pid: 1, seq: 1, offset: 3, txn: true}.batch()); err != nil || !v.Duplicate {
		t.Fatal(v, err)
	}
	// Replication does not ask.
	mustAppend(t, m, record.Replication, data{pid: 5, offset: 3, txn: true}.batch())
}

// The coordinator says yes; meanwhile the transaction is aborted and the next one has begun to be verified (ABA).
func TestMarkerUsesUpGuard(t *testing.T) {
	m := verifying()
	stale := m.StartVerification(1, 0, 0, testNow)
	mustAppend(t, m, record.Coordinator, marker{pid: 1}.batch())
	if m.VerificationGuard(1) != 0 {
		t.Fatal("the marker ends the verification")
	}
	fresh := m.StartVerification(1, 0, 0, testNow)
	if fresh == stale {
		t.Fatal("guards are unique")
	}
	b := data{pid: 1, offset: 1, txn: true}.batch()
	if _, _, err := appendOne(m, record.Client, stale, b); !errors.Is(err, kerr.InvalidTxnState) {
		t.Fatal(err)
	}
	if _, _, err := appendOne(m, record.Client, fresh, b); err != nil {
		t.Fatal(err)
	}
}

// A batch whose verification failed for a moment is sent again; one with higher sequences must not be written before it.
func TestVerificationKeepsLowestSequence(t *testing.T) {
	m := verifying()
	guard := m.StartVerification(1, 5, 0, testNow)
	m.StartVerification(1, 8, 0, testNow)
	later := data{pid: 1, seq: 8, txn: true}.batch()
	if _, _, err := appendOne(m, record.Client, guard, later); !errors.Is(err, kerr.OutOfOrderSequenceNumber) {
		t.Fatal(err)
	}
	m.StartVerification(1, 3, 0, testNow)
	if _, _, err := appendOne(m, record.Client, guard, data{pid: 1, seq: 5, txn: true}.batch()); !errors.Is(err, kerr.OutOfOrderSequenceNumber) {
		t.Fatal(err)
	}
	m.StartVerification(1, 7, 1, testNow) // a new epoch forgets the old sequences
	m.StartVerification(1, 0, 0, testNow) // an old one is not heard
	if _, _, err := appendOne(m, record.Client, guard, data{pid: 1, epoch: 1, seq: 7, txn: true}.batch()); err != nil {
		t.Fatal(err)
	}
}

func TestVerificationExpires(t *testing.T) {
	m := verifying()
	m.StartVerification(1, 0, 0, testNow)
	m.RemoveExpired(testNow + 86_400_000 - 1)
	if m.VerificationGuard(1) == 0 {
		t.Fatal("too early")
	}
	m.RemoveExpired(testNow + 86_400_000)
	if m.VerificationGuard(1) != 0 {
		t.Fatal("not removed")
	}
}

func TestVerificationDisabled(t *testing.T) {
	m := verifying()
	m.SetOptions(testOptions())
	mustAppend(t, m, record.Client, data{pid: 1, txn: true}.batch())
}

// The client hears that its transaction is committed before the marker is here, and goes on with the next epoch (KIP-890): the transaction that is still open must not take in its
// records.
func TestNextEpochIsNotInTheOpenTransaction(t *testing.T) {
	m := verifying()
	if _, _, err := appendOne(m, record.Client, m.StartVerification(1, 0, 4, testNow), data{pid: 1, epoch: 4, txn: true}.batch()); err != nil {
		t.Fatal(err)
	}
	next := data{pid: 1, epoch: 5, offset: 1, txn: true}.batch()
	mustRefuse(t, m, record.Client, next, kerr.InvalidTxnState)
	guard := m.StartVerification(1, 0, 5, testNow)
	if guard == 0 {
		t.Fatal("the coordinator is not asked about the next transaction")
	}
	raised := func(epoch int16, offset int64) {
		t.Helper()
		a := m.Prepare(record.Coordinator, 0, true)
		if _, err := a.Check(marker{pid: 1, epoch: epoch, commit: true, offset: offset}.batch()); err != nil {
			t.Fatal(err)
		}
		a.Update()
		for _, done := range a.Completed() {
			if err := m.CompleteTxn(done); err != nil {
				t.Fatal(err)
			}
		}
		m.UpdateMapEndOffset(offset + 1)
	}
	raised(5, 1)
	if m.VerificationGuard(1) != guard {
		t.Fatal("the marker of the transaction before uses up the guard of the next")
	}
	raised(5, 2) // again, as its answer was lost
	if m.VerificationGuard(1) != guard {
		t.Fatal("a repeated marker uses up the guard")
	}
	late := data{pid: 1, epoch: 4, seq: 1, offset: 3, txn: true}.batch()
	if _, _, err := appendOne(m, record.Client, m.StartVerification(1, 1, 4, testNow), late); !errors.Is(err, kerr.InvalidProducerEpoch) {
		t.Fatal("a late batch:", err)
	}
	if _, _, err := appendOne(m, record.Client, guard, data{pid: 1, epoch: 5, offset: 3, txn: true}.batch()); err != nil {
		t.Fatal(err)
	}
	// The marker of the transaction before comes once more, after its answer was lost and a second one was answered: it must not end this transaction.
	again := m.Prepare(record.Coordinator, 0, true)
	if _, err := again.Check(marker{pid: 1, epoch: 5, commit: true, offset: 4}.batch()); !errors.Is(err, kerr.InvalidProducerEpoch) {
		t.Fatal("a late marker:", err)
	}
	own := m.Prepare(record.Coordinator, 0, true)
	if _, err := own.Check(marker{pid: 1, epoch: 6, commit: true, offset: 4}.batch()); err != nil {
		t.Fatal(err)
	}
	own.Update()
	// The coordinator said yes to a transaction that it then aborted: its marker uses the guard up.
	stale := m.StartVerification(1, 0, 6, testNow)
	raised(7, 5)
	if _, _, err := appendOne(m, record.Client, stale, data{pid: 1, epoch: 6, offset: 6, txn: true}.batch()); !errors.Is(err, kerr.InvalidTxnState) && !errors.Is(err, kerr.InvalidProducerEpoch) {
		t.Fatal("a guard outlives its transaction:", err)
	}
	if m.VerificationGuard(1) == stale {
		t.Fatal("a guard outlives its transaction")
	}
}
