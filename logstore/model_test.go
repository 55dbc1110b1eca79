package logstore

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"pgregory.net/rapid"

	"gokafka/config"
	"gokafka/internal/vfs"
	"gokafka/record"
)

// modelBatch is a batch as it must be in the log.
type modelBatch struct {
	base, last int64
	bytes      string
}

// logModel is a log as a list.
type logModel struct {
	t       *rapid.T
	fs      *vfs.Mem
	opts    Options
	log     *Log
	batches []modelBatch
	start   int64
	end     int64
	high    int64
	now     int64
	epoch   int32
}

func (m *logModel) reopen(clean bool) {
	m.opts.RecoveryPoint, m.opts.LogStartOffset, m.opts.CleanShutdown = m.log.RecoveryPoint(), m.start, clean
	// An end that no batch reaches, after a truncation into a gap, is forgotten.
	m.end = m.log.active().base
	if n := len(m.batches); n > 0 {
		m.end = max(m.end, m.batches[n-1].last+1)
	}
	m.end = max(m.end, m.start)
	m.high = min(m.high, m.end)
	if clean {
		if err := m.log.Close(); err != nil {
			m.t.Fatal(err)
		}
	} else {
		m.log.MarkOffline()
		m.log.Close()
	}
	var err error
	if m.log, err = Open(m.opts); err != nil {
		m.t.Fatal(err)
	}
	if m.log.HighWatermark() != m.start {
		m.t.Fatalf("high watermark %d after opening, want the log start %d", m.log.HighWatermark(), m.start)
	}
	m.log.UpdateHighWatermark(m.high)
}

func (m *logModel) appendLeader() {
	n := rapid.IntRange(1, 4).Draw(m.t, "records")
	m.now += int64(rapid.IntRange(-5, 30).Draw(m.t, "ms"))
	payload := batch(m.t, n, rapid.IntRange(0, 200).Draw(m.t, "size"), m.now)
	info, err := m.log.AppendAsLeader(payload, AppendOptions{LeaderEpoch: m.epoch})
	if err != nil || info.FirstOffset != m.end || info.LastOffset != m.end+int64(n)-1 {
		m.t.Fatalf("append at %d: %+v %v", m.end, info, err)
	}
	m.batches = append(m.batches, modelBatch{info.FirstOffset, info.LastOffset, string(payload)})
	m.end = info.LastOffset + 1
}

func (m *logModel) appendFollower() {
	var payload []byte
	var added []modelBatch
	end := m.end
	for range rapid.IntRange(1, 4).Draw(m.t, "batches") {
		spec := record.NewBatchSpec()
		spec.BaseOffset, spec.LeaderEpoch = end, m.epoch
		if m.opts.Config.CleanupCompact {
			spec.BaseOffset += int64(rapid.IntRange(0, 3).Draw(m.t, "gap"))
		}
		n := rapid.IntRange(1, 3).Draw(m.t, "records")
		m.now += int64(rapid.IntRange(-5, 30).Draw(m.t, "ms"))
		b := specBatch(m.t, spec, n, rapid.IntRange(0, 100).Draw(m.t, "size"), m.now)
		end = spec.BaseOffset + int64(n)
		added = append(added, modelBatch{spec.BaseOffset, end - 1, string(b)})
		payload = append(payload, b...)
	}
	if rapid.Bool().Draw(m.t, "torn") { // a batch cut short is left out
		spec := record.NewBatchSpec()
		spec.BaseOffset = end
		b := specBatch(m.t, spec, 1, 50, m.now)
		payload = append(payload, b[:rapid.IntRange(1, len(b)-1).Draw(m.t, "cut")]...)
	}
	info, err := m.log.AppendAsFollower(payload)
	if err != nil || info.LastOffset != end-1 {
		m.t.Fatalf("append to follower at %d: %+v %v", m.end, info, err)
	}
	m.batches, m.end = append(m.batches, added...), end
}

func (m *logModel) truncate() {
	to := rapid.Int64Range(max(0, m.start-2), m.end+2).Draw(m.t, "to")
	for _, b := range m.batches { // only a compacted log may have gaps
		if !m.opts.Config.CleanupCompact && b.base < to && to <= b.last {
			to = b.base
		}
	}
	if _, err := m.log.TruncateTo(to); err != nil {
		m.t.Fatal(err)
	}
	if to >= m.end {
		return
	}
	m.batches = slices.DeleteFunc(m.batches, func(b modelBatch) bool { return b.last >= to })
	m.end, m.start = to, min(m.start, to)
	m.high = min(m.high, m.end)
	m.epoch++
}

func (m *logModel) check() {
	l, t := m.log, m.t
	if l.LogStartOffset() != m.start || l.LogEndOffset() != m.end || l.HighWatermark() != m.high {
		t.Fatalf("start, end, hw %d %d %d, want %d %d %d", l.LogStartOffset(), l.LogEndOffset(), l.HighWatermark(), m.start, m.end, m.high)
	}
	for _, from := range []int64{m.start, rapid.Int64Range(m.start, m.end).Draw(t, "from")} {
		m.checkRead(from)
	}
	if _, err := l.Read(m.end+1, 1, LogEnd, true); !errors.Is(err, kerr.OffsetOutOfRange) {
		t.Fatalf("read beyond the end: %v", err)
	}
	if m.start > 0 {
		if _, err := l.Read(m.start-1, 1, LogEnd, true); !errors.Is(err, kerr.OffsetOutOfRange) {
			t.Fatalf("read before the start: %v", err)
		}
	}
	m.checkTimestamp()
}

// checkRead reads from an offset on and compares whole batches.
func (m *logModel) checkRead(from int64) {
	t := m.t
	var want []modelBatch
	for _, b := range m.batches {
		if b.last >= from {
			want = append(want, b)
		}
	}
	isolation, limit := LogEnd, m.end
	if rapid.Bool().Draw(t, "consumer") {
		isolation, limit = HighWatermark, m.high
		want = slices.DeleteFunc(want, func(b modelBatch) bool { return b.last >= limit })
	}
	maxBytes := rapid.IntRange(1, 2000).Draw(t, "maxBytes")
	for len(want) > 0 {
		res, err := m.log.Read(from, maxBytes, isolation, true)
		if err != nil || res.Range.Len == 0 {
			t.Fatalf("read from %d: %+v %v, want %d-%d", from, res, err, want[0].base, want[0].last)
		}
		buf := make([]byte, res.Range.Len)
		if err := res.Range.CopyTo(buf); err != nil {
			t.Fatal(err)
		}
		res.Range.Release()
		if len(buf) > maxBytes && len(buf) > len(want[0].bytes) {
			t.Fatalf("read of %d bytes returned %d, the first batch has %d", maxBytes, len(buf), len(want[0].bytes))
		}
		for len(buf) > 0 {
			if len(want) == 0 || !bytes.HasPrefix(buf, []byte(want[0].bytes)) {
				t.Fatalf("read from %d: got other bytes than batch %+v", from, want[:min(1, len(want))])
			}
			buf, from = buf[len(want[0].bytes):], want[0].last+1
			want = want[1:]
		}
	}
	res, err := m.log.Read(from, maxBytes, isolation, true)
	if from <= m.end && (err != nil || res.Range.Len != 0) {
		t.Fatalf("read from %d up to %d: %+v %v, want nothing", from, limit, res, err)
	}
}

func (m *logModel) checkTimestamp() {
	ts := m.now + int64(rapid.IntRange(-50, 5).Draw(m.t, "ts"))
	got, ok, err := m.log.OffsetForTimestamp(ts)
	if err != nil {
		m.t.Fatal(err)
	}
	var r record.Record
	for _, b := range m.batches {
		rb := record.Batch(b.bytes)
		it := rb.Iterate(rb.RecordsBlock())
		for it.Next(&r) {
			if r.Timestamp >= ts && r.Offset >= m.start {
				if !ok || got.Offset != r.Offset || got.Timestamp != r.Timestamp {
					m.t.Fatalf("timestamp %d: %+v %v, want offset %d", ts, got, ok, r.Offset)
				}
				return
			}
		}
	}
	if ok {
		m.t.Fatalf("timestamp %d: %+v, want none", ts, got)
	}
}

func TestLogAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fs := vfs.NewMem()
		m := &logModel{t: t, fs: fs, now: 1000}
		m.opts = testOptions(fs, with(func(c *config.Topic) {
			c.SegmentBytes = int32(rapid.IntRange(1000, 4000).Draw(t, "segment.bytes"))
			c.IndexIntervalBytes = int32(rapid.IntRange(0, 600).Draw(t, "index.interval.bytes"))
			c.SegmentIndexBytes = int32(rapid.IntRange(48, 400).Draw(t, "segment.index.bytes"))
			c.CleanupCompact = rapid.Bool().Draw(t, "compact")
			c.SegmentMaxAge = 500e6 // 500 ms of message time
		}))
		var err error
		if m.log, err = Open(m.opts); err != nil {
			t.Fatal(err)
		}
		defer func() { m.log.Close() }()
		t.Repeat(map[string]func(*rapid.T){
			"append":   func(t *rapid.T) { m.t = t; m.appendLeader() },
			"append2":  func(t *rapid.T) { m.t = t; m.appendLeader() },
			"follower": func(t *rapid.T) { m.t = t; m.appendFollower() },
			"truncate": func(t *rapid.T) { m.t = t; m.truncate() },
			"clean":    func(t *rapid.T) { m.t = t; m.reopen(true) },
			"kill":     func(t *rapid.T) { m.t = t; m.reopen(false) },
			"roll":     func(t *rapid.T) { must(t, m.log.Roll()) },
			"flush":    func(t *rapid.T) { must(t, m.log.Flush(rapid.Bool().Draw(t, "force"))) },
			"high": func(t *rapid.T) {
				m.high = rapid.Int64Range(m.start, m.end).Draw(t, "hw")
				if got := m.log.UpdateHighWatermark(m.high); got != m.high {
					t.Fatalf("high watermark %d, want %d", got, m.high)
				}
			},
			"delete records": func(t *rapid.T) {
				to := rapid.Int64Range(m.start, m.high).Draw(t, "to")
				_, err := m.log.IncrementLogStartOffset(to)
				must(t, err)
				_, err = m.log.DeleteOldSegments()
				must(t, err)
				m.start = to
			},
			"": func(t *rapid.T) { m.t = t; m.check() },
		})
	})
}

func must(t fataler, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

type fataler interface {
	Helper()
	Fatal(args ...any)
}
