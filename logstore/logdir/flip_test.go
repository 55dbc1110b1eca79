package logdir

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"gokafka/internal/vfs"
	"gokafka/logstore"
)

// TestDamagedDirectoryFiles damages the files of a log directory itself: each bit, runs of zeros, cuts. The directory loads, or is refused; what is
// served is what was written.
func TestDamagedDirectoryFiles(t *testing.T) {
	step := 1
	if testing.Short() {
		step = 5
	}
	for _, base := range []string{clean, unclean} {
		s := golden(t, base).only("plain-0", "trimmed-0", "txn-0")
		plain := s.must(t, segFile("plain-0", 0, ".log"))
		for _, file := range []string{"meta.properties", ".kafka_cleanshutdown", recoveryPointFile, logStartFile, highWatermarkFile, cleanerFile} {
			content, ok := s["d0/"+file]
			if !ok {
				continue
			}
			content = content[:min(len(content), 260)] // the lines of the partitions that are not here
			if file != "meta.properties" && file != ".kafka_cleanshutdown" {
				content = "0\n2\nplain 0 20\ntrimmed 0 23\n"
			}
			for i := 0; i <= len(content); i += step {
				for kind := range 3 {
					b := []byte(content)
					switch {
					case kind == 0 && i < len(b):
						b[i] ^= 1 << (i % 8)
					case kind == 1:
						b = b[:i]
					case i < len(b):
						clear(b[i:min(len(b), i+7)])
					}
					what := fmt.Sprintf("%s of %s, damage %d at %d", file, base, kind, i)
					damaged := s.only("plain-0", "trimmed-0", "txn-0")
					damaged["d0/"+file] = string(b)
					loadDamaged(t, what, damaged, plain)
				}
			}
		}
	}
}

func loadDamaged(t *testing.T, what string, s state, plain string) {
	t.Helper()
	mem := vfs.NewMem()
	s.write(t, mem, "/")
	o := goldenOptions("/d0")
	o.FS, o.RecoveryThreads = mem, 1
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	m, err := Open(o, 0, goldenCluster)
	if runtime.ReadMemStats(&now); now.TotalAlloc-before.TotalAlloc > 64<<20 {
		t.Fatalf("%s: %d bytes were allocated", what, now.TotalAlloc-before.TotalAlloc)
	}
	if err != nil {
		return
	}
	if l, ok := m.Get(tpOf("plain", 0)); ok {
		var got []byte
		start := l.LogStartOffset()
		for _, b := range readBatches(t, l, start) {
			got = append(got, b...)
		}
		// Kafka deletes a log that ends below its checkpointed start, which a damaged digit may be.
		if !strings.HasSuffix(plain, string(got)) || len(got) == 0 && start < 28 {
			t.Fatalf("%s: %d bytes from offset %d are not the log's", what, len(got), start)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatalf("%s: %v", what, err)
	}
}

// TestDamagedGoldenIndexes damages the indexes that Apache wrote, of a directory that was shut down cleanly: all is found all the same. Undamaged, none
// of them is distrusted.
func TestDamagedGoldenIndexes(t *testing.T) {
	s := golden(t, clean).only("idem-0", "compacted-0")
	ask := func(s state) string {
		mem := vfs.NewMem()
		s.write(t, mem, "/")
		o := goldenOptions("/d0")
		o.FS = mem
		m, err := Open(o, 0, goldenCluster)
		must(t, err)
		defer m.Abandon()
		var out strings.Builder
		for _, topic := range []string{"idem", "compacted"} {
			l, _ := m.Get(tpOf(topic, 0))
			fmt.Fprintln(&out, l.LogEndOffset())
			for offset := int64(0); offset < l.LogEndOffset(); offset += 3 {
				res, err := l.Read(offset, 700, logstore.LogEnd, true)
				must(t, err)
				fmt.Fprintln(&out, res.StartOffset.SegmentBase, res.StartOffset.Position, res.Range.Len)
				res.Range.Release()
			}
			for _, ts := range []int64{logstore.MaxTimestamp, 0, 1795339517000, 1795339524426, 1795339524427, 1795339784082, 1795339784083} {
				fmt.Fprintln(&out, ts)
				found, ok, err := l.OffsetForTimestamp(ts)
				must(t, err)
				fmt.Fprintln(&out, found, ok)
			}
		}
		for path, content := range s { // none is made anew without need
			if b, err := vfs.ReadFile(mem, "/"+path, 1<<20); strings.HasSuffix(path, "index") && (err != nil || string(b) != content) {
				fmt.Fprint(&out, "changed\n")
			}
		}
		return out.String()
	}
	want := ask(s)
	if strings.Contains(want, "changed") {
		t.Error("an index that Apache wrote was taken for damaged")
	}
	for path, content := range s {
		if !strings.HasSuffix(path, "index") {
			continue
		}
		step := 1
		if testing.Short() {
			step = 9
		}
		for i := 0; i < len(content); i += step {
			damaged := s.only("idem-0", "compacted-0")
			b := []byte(content)
			b[i] ^= 1 << (i % 8)
			damaged[path] = string(b)
			if got := strings.ReplaceAll(ask(damaged), "changed\n", ""); got != want {
				t.Fatalf("%s, byte %d: %s", path, i, diff(got, want))
			}
		}
	}
}
