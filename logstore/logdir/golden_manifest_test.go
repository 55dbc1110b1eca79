package logdir

import (
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gokafka/internal/vfs"
	"gokafka/logstore"
	"gokafka/record"
)

// goldenTopicIDs are those of MANIFEST.md.
var goldenTopicIDs = map[string]string{
	"plain": "i_AqGC_USIubVmlqtphkDg", "codecs": "aPpHwdyPTIGzip69LVZLMQ", "recompress": "MsoMHjRcRLWapuOz-wFXRA", "logappend": "4QfhMnqmQqeEgMlZNmfQSw",
	"idem": "JLvnpmNkQIeKUGp6lIDhyw", "txn": "QSf15bbfQDG8HFYWTMgqIQ", "txn-open": "K-o-TuAWROu6TI2dirrvpA", "compacted": "4z9EKWXPQcaIWinn1XtChw",
	"compact-txn": "EszREXoMTo6V8t5z8vxEFQ", "trimmed": "WAiay1ydTT6xWvcwB8cM5w", "empty": "rsdNTP8TTbSFlnT8hYnY-A", "my.topic_with-dashes-7": "WLapET92SdeQlGZpN3nQkQ",
	"__consumer_offsets": "XocNrY7VQh2Rss9NcTXJIA", "__transaction_state": "np91fhWKR5SYFjAgDYgLrA",
}

// goldenBatch is a line of the manifest's tables.
type goldenBatch struct {
	Seg, Base, Last, Pos int64
	N, Ple, Bs           int32
	Size                 int
	Crc                  uint32
	Pid                  int64
	Ep                   int16
	Tx, Ctl              bool
	Mark, Codec          string
	Dh                   *int64
	Ts                   int64
}

// compareManifest compares with the manifest what the log itself does not tell: ids, segments and their sizes, and each batch's place and header.
func compareManifest(t *testing.T, l *logstore.Log, w goldenPartition) {
	t.Helper()
	tp := l.TopicPartition()
	if got := l.TopicID().String(); got != goldenTopicIDs[tp.Topic] {
		t.Errorf("%s: topic id %s, want %s", tp, got, goldenTopicIDs[tp.Topic])
	}
	if got := l.EarliestEpoch(); got != w.EarliestEpoch {
		t.Errorf("%s: earliest epoch %d, want %d", tp, got, w.EarliestEpoch)
	}
	var segments [][2]int64
	var got []string
	logs, err := filepath.Glob(filepath.Join(l.Dir(), "*.log"))
	must(t, err)
	for _, name := range logs {
		var base int64
		_, err := fmt.Sscanf(filepath.Base(name), "%d.log", &base)
		must(t, err)
		rest, err := os.ReadFile(name)
		must(t, err)
		segments = append(segments, [2]int64{base, int64(len(rest))})
		for pos := int64(0); len(rest) > 0; {
			b, more, err := record.Next(rest)
			must(t, err)
			got = append(got, batchLine(t, base, pos, b))
			pos, rest = pos+int64(len(b)), more
		}
	}
	if fmt.Sprint(segments) != fmt.Sprint(w.Segments) {
		t.Errorf("%s: segments %v, want %v", tp, segments, w.Segments)
	}
	var want []string
	for _, b := range w.Batches {
		dh := ""
		if b.Dh != nil {
			dh = fmt.Sprint(*b.Dh)
		}
		want = append(want, fmt.Sprintln(b.Seg, b.Pos, b.Base, b.Last, b.N, b.Size, b.Crc, b.Pid, b.Ep, b.Bs, b.Ple, b.Tx, b.Ctl, b.Mark, b.Codec, dh, b.Ts))
	}
	if strings.Join(got, "") != strings.Join(want, "") {
		t.Errorf("%s: batches%s", tp, diff(strings.Join(got, ""), strings.Join(want, "")))
	}
}

func batchLine(t *testing.T, seg, pos int64, b record.Batch) string {
	t.Helper()
	mark, dh := "", ""
	if b.IsControl() && b.Count() > 0 {
		m, ok, err := b.EndTxnMarker()
		if err != nil || !ok {
			t.Fatalf("marker at %d: %v %v", b.BaseOffset(), ok, err)
		}
		mark = fmt.Sprintf("%s@ce%d", map[bool]string{true: "COMMIT", false: "ABORT"}[m.Type == record.ControlCommit], m.CoordinatorEpoch)
	}
	if b.HasDeleteHorizon() {
		dh = fmt.Sprint(b.BaseTimestamp())
	}
	return fmt.Sprintln(seg, pos, b.BaseOffset(), b.LastOffset(), b.Count(), len(b), b.CRC(), b.ProducerID(), b.ProducerEpoch(), b.BaseSequence(), b.LeaderEpoch(),
		b.IsTransactional(), b.IsControl(), mark, b.Codec().String(), dh, b.MaxTimestamp())
}

// headersOf are a record's headers as the expectations have them: names and values in hex, or nil.
func headersOf(r *record.Record) (list [][]any) {
	for h := range r.Headers() {
		var value any
		if h.Value != nil {
			value = hex.EncodeToString(h.Value)
		}
		list = append(list, []any{string(h.Key), value})
	}
	return list
}

// TestGoldenAbortedFromEachOffset asks for the aborted transactions from each offset of a log with all kinds of them: a client that filters by what it
// is told gets what is committed, wherever it begins.
func TestGoldenAbortedFromEachOffset(t *testing.T) {
	for _, name := range []string{clean, unclean} {
		mem := vfs.NewMem()
		golden(t, name).only("txn-0", "txn-1").write(t, mem, "/")
		o := goldenOptions("/d0")
		o.FS = mem
		m, err := Open(o, 0, goldenCluster)
		must(t, err)
		want := expectations(t, map[string]string{clean: "expected-clean.json.gz", unclean: "expected-unclean.json.gz"}[name])
		for _, p := range []int{0, 1} {
			l, _ := m.Get(tpOf("txn", p))
			l.UpdateHighWatermark(l.LogEndOffset())
			w := want[fmt.Sprintf("txn-%d", p)]
			for from := range l.LogEndOffset() {
				rest := w
				rest.LogStart, rest.Committed = from, nil
				for _, o := range w.Committed {
					if o >= from {
						rest.Committed = append(rest.Committed, o)
					}
				}
				compareCommitted(t, l, rest)
			}
		}
		must(t, m.Close())
	}
}
