package handlers_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

func producerIDRequest(version int16, txn *string, timeoutMs int32, id int64, epoch int16) *kmsg.InitProducerIDRequest {
	q := kmsg.NewPtrInitProducerIDRequest()
	q.Version, q.TransactionalID, q.TransactionTimeoutMillis, q.ProducerID, q.ProducerEpoch = version, txn, timeoutMs, id, epoch
	return q
}

// newProducerID gets an id; a broker that has just started may need a moment for its block.
func newProducerID(n *node, q *kmsg.InitProducerIDRequest) (r *kmsg.InitProducerIDResponse) {
	until(n.t, "a block of producer ids", func() bool {
		r = once[*kmsg.InitProducerIDResponse](n, q)
		return r.ErrorCode != kerr.CoordinatorLoadInProgress.Code
	})
	return r
}

// protocol.md §3.12, the table of InitProducerId, as far as there is no transaction coordinator.
func TestInitProducerID(t *testing.T) {
	n := start(t, setup{})
	name, empty := "txn", ""
	last := int64(-1)
	for version := int16(0); version <= 5; version++ {
		for _, c := range []struct {
			what  string
			q     *kmsg.InitProducerIDRequest
			since int16
			want  *kerr.Error // nil = a new id
		}{
			{"no transactional id", producerIDRequest(version, nil, 60000, -1, -1), 0, nil},
			{"a timeout that does not matter", producerIDRequest(version, nil, 0, -1, -1), 0, nil},
			{"another", producerIDRequest(version, nil, math.MaxInt32, -1, -1), 0, nil},
			{"id and epoch that do not matter", producerIDRequest(version, nil, 0, 12345, 7), 3, nil},
			{"id 0 and epoch 0", producerIDRequest(version, nil, 0, 0, 0), 3, nil},
			{"id without epoch", producerIDRequest(version, nil, 0, 12345, -1), 3, kerr.InvalidRequest},
			{"epoch without id", producerIDRequest(version, nil, 0, -1, 7), 3, kerr.InvalidRequest},
			{"empty transactional id", producerIDRequest(version, &empty, 60000, -1, -1), 0, kerr.InvalidRequest},
			{"transactional id, no timeout", producerIDRequest(version, &name, 0, -1, -1), 0, kerr.InvalidTransactionTimeout},
			{"transactional id, negative timeout", producerIDRequest(version, &name, -1, -1, -1), 0, kerr.InvalidTransactionTimeout},
			{"transactional id, timeout too long", producerIDRequest(version, &name, 900001, -1, -1), 0, kerr.InvalidTransactionTimeout},
			{"transactional id, id without epoch", producerIDRequest(version, &name, 60000, 5, -1), 3, kerr.InvalidRequest},
			{"transactional id", producerIDRequest(version, &name, 900000, -1, -1), 0, kerr.NotCoordinator},
		} {
			if version < c.since {
				continue
			}
			r := newProducerID(n, c.q)
			switch {
			case c.want != nil && (r.ErrorCode != c.want.Code || r.ProducerID != -1 || r.ProducerEpoch != -1):
				t.Errorf("v%d, %s: %+v, want code %d", version, c.what, r, c.want.Code)
			case c.want == nil && (r.ErrorCode != 0 || r.ProducerID <= last || r.ProducerEpoch != 0):
				t.Errorf("v%d, %s: %+v after id %d", version, c.what, r, last)
			case c.want == nil:
				last = r.ProducerID
			}
		}
	}
}

// Ids are never given twice, over the end of a block, over restarts, and by the brokers of a cluster.
func TestProducerIDsAreUnique(t *testing.T) {
	srv := coordinate(t)
	dir := t.TempDir()
	seen := map[int64]bool{}
	take := func(n *node, count int) {
		c := n.dial()
		defer c.Close()
		deadline := time.Now().Add(30 * time.Second)
		for got := 0; got < count; {
			r := ask[*kmsg.InitProducerIDResponse](c, producerIDRequest(4, nil, 0, -1, -1))
			if r.ErrorCode == kerr.CoordinatorLoadInProgress.Code && time.Now().Before(deadline) {
				continue // the next block is on its way; a client tries again
			}
			if r.ErrorCode != 0 || seen[r.ProducerID] {
				t.Fatalf("%+v: an error, or given before", r)
			}
			seen[r.ProducerID] = true
			got++
		}
	}
	other := start(t, setup{coordination: srv, props: map[string]string{"broker.id": "1"}})
	for range 3 {
		n := start(t, setup{coordination: srv, dir: dir})
		take(n, 1500)
		take(other, 700)
		n.stop()
	}
	if len(seen) != 3*(1500+700) {
		t.Errorf("%d ids", len(seen))
	}
}

// sequence is one append of a producer, and what it comes to.
type sequence struct {
	pid    int64
	epoch  int16
	seq    int32
	n      int
	want   *kerr.Error // nil = accepted, or a repeat of what was
	offset int64       // of the answer
	repeat bool
}

// storage.md §3.2, the live table, with more producers beside it. Offsets count the records that were accepted.
var sequences = []sequence{
	{1, 0, 7, 2, nil, 0, false}, // the first may be any
	{1, 0, 7, 2, nil, 0, true},
	{1, 0, 9, 1, nil, 2, false},
	{1, 0, 11, 1, kerr.OutOfOrderSequenceNumber, -1, false}, // a gap
	{1, 0, 8, 1, kerr.OutOfOrderSequenceNumber, -1, false},  // within an older one, with other bounds
	{1, 0, 7, 3, kerr.OutOfOrderSequenceNumber, -1, false},
	{1, 0, 10, 1, nil, 3, false},
	{1, 0, 11, 1, nil, 4, false},
	{1, 0, 12, 1, nil, 5, false},
	{1, 0, 13, 1, nil, 6, false},
	{1, 0, 14, 1, nil, 7, false},
	{1, 0, 10, 1, nil, 3, true}, // the fifth last
	{1, 0, 14, 1, nil, 7, true},
	{1, 0, 9, 1, kerr.OutOfOrderSequenceNumber, -1, false}, // the sixth last
	{2, 3, 0, 2, nil, 8, false},                            // another producer
	{2, 3, 2, 1, nil, 10, false},
	{1, 1, 3, 1, kerr.OutOfOrderSequenceNumber, -1, false}, // a new epoch begins at 0
	{1, 1, 0, 1, nil, 11, false},
	{1, 0, 15, 1, kerr.InvalidProducerEpoch, -1, false},
	{1, 0, 14, 1, kerr.InvalidProducerEpoch, -1, false}, // old epochs lose their repeats
	{1, 5, 0, 1, nil, 12, false},
	{1, 5, 0, 1, nil, 12, true},
	{2, 3, 2, 1, nil, 10, true},
	{3, 0, math.MaxInt32 - 1, 2, nil, 13, false}, // the last sequences
	{3, 0, 0, 1, nil, 15, false},                 // and around
	{4, 0, math.MaxInt32 - 1, 4, nil, 16, false}, // around within a batch
	{4, 0, math.MaxInt32 - 1, 4, nil, 16, true},
	{4, 0, 2, 1, nil, 20, false},
	{4, 0, 4, 1, kerr.OutOfOrderSequenceNumber, -1, false},
	{3, 0, 1, 1, nil, 21, false},
	{1, 5, 1, 1, nil, 22, false},
	{2, 3, 0, 2, nil, 8, true},
}

// originals finds, among the appends below end that precede append i and were accepted, that which i repeats and the last one of its producer; -1 for none.
func originals(i, end int) (original, last int) {
	original, last = -1, -1
	for j, s := range sequences[:min(i, end)] {
		if s.pid != sequences[i].pid || s.repeat || s.want != nil {
			continue
		}
		last = j
		if s.epoch == sequences[i].epoch && s.seq == sequences[i].seq && s.n == sequences[i].n {
			original = j
		}
	}
	return original, last
}

// forgotten says whether append i repeats one that a broker no longer knows to be a repeat: a clean stop at cut leaves a snapshot, which holds the last
// append of each producer only (Kafka 3.9 ProducerStateManager.writeSnapshot). A broker that was killed reads the log, and knows five.
func forgotten(i, cut int) bool {
	original, last := originals(i, cut)
	return sequences[i].repeat && original >= 0 && original < last
}

// play appends sequences from on, until to. If the broker was stopped cleanly at from, it has forgotten some.
func play(t *testing.T, n *node, what string, from, to int, stoppedAt ...int) {
	t.Helper()
	until(t, "the topic's leader", func() bool { // after a restart the controller tells of brokers first, then of partitions
		topic := once[*kmsg.MetadataResponse](n, metadataRequest("a")).Topics[0]
		return topic.ErrorCode == 0 && topic.Partitions[0].Leader == 0
	})
	c := n.dial()
	defer c.Close()
	for i, s := range sequences[from:to] {
		version := int16(3 + (from+i)%9)
		acks := []int16{-1, 1}[i%2]
		p := ask[*kmsg.ProduceResponse](c, produceRequest(version, acks, "a", batch(t, s.n, s.pid, s.epoch, s.seq))).Topics[0].Partitions[0]
		if slices.ContainsFunc(stoppedAt, func(cut int) bool { return forgotten(from+i, cut) }) {
			s.want, s.offset, s.repeat = kerr.OutOfOrderSequenceNumber, -1, false
		}
		code := int16(0)
		if s.want != nil {
			code = s.want.Code
		}
		if p.ErrorCode != code || p.BaseOffset != s.offset {
			t.Fatalf("%s: append %d (producer %d epoch %d, %d from sequence %d): code %d offset %d, want %d and %d",
				what, from+i, s.pid, s.epoch, s.n, s.seq, p.ErrorCode, p.BaseOffset, code, s.offset)
		}
		switch { // a repeat tells the time of the first; on a CreateTime topic that is the only way to tell it
		case s.repeat && p.LogAppendTime <= 0, !s.repeat && p.LogAppendTime != -1:
			t.Errorf("%s: append %d: log append time %d", what, from+i, p.LogAppendTime)
		}
	}
}

// copyDir copies the data of a running broker, as a process that is killed leaves it to its successor. To this the copy is the original: it may end
// the session of the dead.
func copyDir(t *testing.T, from string) string {
	t.Helper()
	to := t.TempDir()
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if os.IsNotExist(err) {
				return nil // a temporary file
			}
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, rel), 0o755)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			if os.IsNotExist(err) {
				return nil
			}
			return err
		}
		if filepath.Base(path) == ".gokafka-session" {
			data = bytes.ReplaceAll(data, []byte(from), []byte(to))
		}
		return os.WriteFile(filepath.Join(to, rel), data, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	return to
}

// A broker knows its producers' sequences however and wherever it was interrupted.
func TestSequences(t *testing.T) {
	step := 1
	if testing.Short() {
		step = 8
	}
	t.Run("without a break", func(t *testing.T) {
		n := start(t, setup{})
		n.create("a", 1)
		play(t, n, "without a break", 0, len(sequences))
	})
	for cut := 1; cut < len(sequences); cut += step {
		t.Run(fmt.Sprint("broken after ", cut), func(t *testing.T) {
			dir := t.TempDir()
			n := start(t, setup{dir: dir})
			n.create("a", 1)
			play(t, n, "before", 0, cut)
			crashed := copyDir(t, dir)
			n.stop()
			play(t, start(t, setup{dir: dir}), "after a clean stop", cut, len(sequences), cut)
			play(t, start(t, setup{dir: crashed}), "after a crash", cut, len(sequences))
		})
	}
}

// The same over many interruptions of one broker: crash, clean stop, crash, …
func TestSequencesOverManyBreaks(t *testing.T) {
	dir := t.TempDir()
	n := start(t, setup{dir: dir})
	n.create("a", 1)
	var stopped []int
	for at, crash := 0, false; at < len(sequences); crash = !crash {
		to := min(at+4, len(sequences))
		play(t, n, fmt.Sprint("from ", at), at, to, stopped...)
		if at = to; crash {
			dir = copyDir(t, dir)
		} else {
			stopped = append(stopped, at)
		}
		n.stop()
		n = start(t, setup{dir: dir})
	}
}
