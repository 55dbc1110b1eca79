package producerstate

import (
	"errors"
	"testing"

	"gokafka/record"

	"github.com/twmb/franz-go/pkg/kerr"
	"pgregory.net/rapid"
)

// item is a batch in the model's log.
type item struct {
	data
	isMarker bool
	marker
}

// model knows nothing but the list of all that was appended, and looks through it from the start for every question. After a
// reload from a snapshot, what the snapshot forgets is marked.
type model struct {
	log       []item
	end       int64
	forgotten map[int]bool // batches older than the last of their producer at the last reload
	hw        int64
}

// state replays one producer.
type state struct {
	known       bool
	epoch       int16
	coordinator int32
	batches     []item // of the epoch, remembered
	txn         int64
}

func (m *model) producer(pid int64) state {
	s := state{epoch: -1, coordinator: -1, txn: -1}
	for i, it := range m.log {
		if it.isMarker && it.marker.pid == pid {
			if s.epoch != it.marker.epoch {
				s.batches = nil
			}
			s.known, s.epoch, s.coordinator, s.txn = true, it.marker.epoch, it.marker.coordinator, -1
		}
		if !it.isMarker && it.data.pid == pid {
			if s.epoch != it.data.epoch {
				s.batches = nil
			}
			s.known, s.epoch = true, it.data.epoch
			if !m.forgotten[i] {
				s.batches = append(s.batches, it)
			}
			if it.txn && s.txn < 0 {
				s.txn = it.data.offset
			}
		}
	}
	if n := len(s.batches); n > 5 {
		s.batches = s.batches[n-5:]
	}
	return s
}

func (d data) lastSeq() int32 { return int32((int64(d.seq) + int64(d.n) - 1) % (1 << 31)) }

// verdict says what a client's batch deserves.
func (m *model) verdict(d data) (dup int64, err error) {
	s := m.producer(d.pid)
	for _, b := range s.batches {
		if s.epoch == d.epoch && b.seq == d.seq && b.data.lastSeq() == d.lastSeq() {
			return b.data.offset, nil
		}
	}
	last := int32(-1)
	if n := len(s.batches); n > 0 {
		last = s.batches[n-1].data.lastSeq()
	}
	switch {
	case d.epoch < s.epoch:
		return -1, kerr.InvalidProducerEpoch
	case s.known && d.epoch > s.epoch && d.seq != 0:
		return -1, kerr.OutOfOrderSequenceNumber
	case s.known && d.epoch == s.epoch && int64(d.seq) != (int64(last)+1)%(1<<31):
		return -1, kerr.OutOfOrderSequenceNumber
	case s.txn >= 0 && !d.txn:
		return -1, kerr.InvalidTxnState
	}
	return -1, nil
}

func (m *model) markerVerdict(k marker) error {
	s := m.producer(k.pid)
	switch {
	case k.epoch < s.epoch:
		return kerr.InvalidProducerEpoch
	case k.coordinator < s.coordinator:
		return kerr.TransactionCoordinatorFenced
	}
	return nil
}

// unstable is the first offset of the oldest transaction whose marker is not below the high watermark.
func (m *model) unstable(hw int64) int64 {
	open := map[int64]int64{}
	first := int64(-1)
	for _, it := range m.log {
		if it.isMarker {
			if o, ok := open[it.marker.pid]; ok && it.marker.offset >= hw && (first < 0 || o < first) {
				first = o
			}
			delete(open, it.marker.pid)
		} else if _, ok := open[it.data.pid]; it.txn && !ok {
			open[it.data.pid] = it.data.offset
		}
	}
	for _, o := range open {
		if first < 0 || o < first {
			first = o
		}
	}
	return first
}

func TestAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, mod := New("t-0", testOptions()), &model{forgotten: map[int]bool{}}
		seqs := rapid.OneOf(rapid.Int32Range(0, 12), rapid.Int32Range(1<<31-4, 1<<31-1))
		wantErr := func(got, want error) {
			if (got == nil) != (want == nil) || want != nil && !errors.Is(got, want) {
				t.Fatalf("got %v, want %v", got, want)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"data": func(t *rapid.T) {
				d := data{
					pid:    rapid.Int64Range(1, 3).Draw(t, "pid"),
					epoch:  rapid.Int16Range(0, 2).Draw(t, "epoch"),
					seq:    seqs.Draw(t, "seq"),
					n:      rapid.Int32Range(1, 3).Draw(t, "n"),
					txn:    rapid.Bool().Draw(t, "txn"),
					offset: mod.end,
				}
				if s := mod.producer(d.pid); rapid.IntRange(0, 3).Draw(t, "follow") > 0 && len(s.batches) > 0 {
					d.epoch = s.epoch
					prev := s.batches[rapid.IntRange(max(0, len(s.batches)-2), len(s.batches)-1).Draw(t, "after")]
					d.seq = int32((int64(prev.data.lastSeq()) + 1) % (1 << 31))
					d.txn = d.txn || s.txn >= 0
				}
				dup, want := mod.verdict(d)
				v, _, err := appendOne(m, record.Client, 0, d.batch())
				wantErr(err, want)
				if v.Duplicate != (dup >= 0) || v.Duplicate && v.FirstOffset != dup {
					t.Fatalf("%+v: %+v, want duplicate of %d", d, v, dup)
				}
				if err == nil && !v.Duplicate {
					mod.log = append(mod.log, item{data: d})
					mod.end += int64(d.n)
				}
			},
			"marker": func(t *rapid.T) {
				k := marker{
					pid:         rapid.Int64Range(1, 3).Draw(t, "pid"),
					epoch:       rapid.Int16Range(0, 3).Draw(t, "epoch"),
					coordinator: rapid.Int32Range(0, 2).Draw(t, "coordinator"),
					commit:      rapid.Bool().Draw(t, "commit"),
					offset:      mod.end,
				}
				txn := mod.producer(k.pid).txn
				want := mod.markerVerdict(k)
				_, done, err := appendOne(m, record.Coordinator, 0, k.batch())
				wantErr(err, want)
				if err != nil {
					return
				}
				if (len(done) == 1) != (txn >= 0) || len(done) == 1 && done[0] != (CompletedTxn{k.pid, txn, k.offset, !k.commit}) {
					t.Fatalf("completed %+v, want the transaction from %d", done, txn)
				}
				mod.log = append(mod.log, item{isMarker: true, marker: k})
				mod.end++
			},
			"high watermark": func(t *rapid.T) {
				mod.hw = rapid.Int64Range(mod.hw, mod.end).Draw(t, "hw")
				m.OnHighWatermarkUpdated(mod.hw)
			},
			"reload": func(t *rapid.T) {
				// A clean restart: everything is replicated, the snapshot is all there is.
				entries, err := DecodeSnapshot(m.EncodeSnapshot())
				if err != nil {
					t.Fatal(err)
				}
				m = New("t-0", testOptions())
				m.Load(entries, mod.end, testNow)
				mod.hw = mod.end
				for pid := range int64(4) {
					s := mod.producer(pid)
					for i, it := range mod.log {
						n := len(s.batches)
						if !it.isMarker && it.data.pid == pid && (n == 0 || it.data.offset != s.batches[n-1].data.offset) {
							mod.forgotten[i] = true
						}
					}
				}
			},
			"replay": func(t *rapid.T) {
				// A follower, or an unclean restart: all is read from the log, in appends of several batches.
				if len(mod.forgotten) > 0 {
					return
				}
				m = New("t-0", testOptions())
				for rest := mod.log; len(rest) > 0; {
					n := rapid.IntRange(1, len(rest)).Draw(t, "batches")
					var batches []record.Batch
					for _, it := range rest[:n] {
						if it.isMarker {
							batches = append(batches, it.marker.batch())
						} else {
							batches = append(batches, it.data.batch())
						}
					}
					if _, warnings, err := m.Replay(batches...); err != nil || len(warnings) > 0 {
						t.Fatal(warnings, err)
					}
					rest = rest[n:]
				}
				m.UpdateMapEndOffset(mod.end)
				m.OnHighWatermarkUpdated(mod.hw)
			},
			"": func(t *rapid.T) {
				got, ok := m.FirstUnstableOffset()
				if want := mod.unstable(mod.hw); ok != (want >= 0) || ok && got != want {
					t.Fatalf("first unstable offset %d %v, want %d", got, ok, want)
				}
				for pid := range int64(4) {
					p, ok := m.Producer(pid)
					s := mod.producer(pid)
					if ok != s.known || ok && (p.ProducerEpoch != s.epoch || p.CurrentTxnFirstOffset != s.txn || p.CoordinatorEpoch != s.coordinator) {
						t.Fatalf("producer %d: %+v %v, want %+v", pid, p, ok, s)
					}
				}
				if m.MapEndOffset() != mod.end {
					t.Fatalf("map end %d, want %d", m.MapEndOffset(), mod.end)
				}
			},
		})
	})
}
