package logstore

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"maps"
	"os"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"gokafka/config"
	"gokafka/internal/clock"
	"gokafka/internal/vfs"
	"gokafka/producerstate"
	"gokafka/record"
)

// goldenFiles reads the files of one partition of a directory that Apache Kafka 3.9.1 wrote.
func goldenFiles(t *testing.T, partition string) map[string][]byte {
	t.Helper()
	f, err := os.Open("../testdata/apache-3.9/apache-3.9-data-dir.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		if path.Base(path.Dir(h.Name)) == partition && h.Typeflag == tar.TypeReg {
			if out[path.Base(h.Name)], err = io.ReadAll(r); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestSameFilesAsApache appends the batches of an Apache log one by one, restarting where that broker was restarted, and expects the same
// bytes in all files: segments, both indexes, transaction indexes, producer snapshots, leader epochs.
func TestSameFilesAsApache(t *testing.T) {
	for _, c := range []struct {
		partition string
		restarts  []int64 // log ends at which the broker was shut down
		config    func(*config.Topic)
	}{
		{"idem-0", []int64{109, 159}, func(c *config.Topic) { c.IndexIntervalBytes, c.SegmentBytes = 256, 4096 }},
		{"txn-0", []int64{39, 45}, func(c *config.Topic) { c.SegmentBytes = 2048 }},
		{"plain-0", []int64{20, 24}, func(*config.Topic) {}},
		{"logappend-0", nil, func(*config.Topic) {}},
	} {
		t.Run(c.partition, func(t *testing.T) {
			want := goldenFiles(t, c.partition)
			mem := vfs.NewMem()
			o := testOptions(mem, with(c.config))
			o.Clock = clock.New()
			o.Clock.Move(time.UnixMilli(1795340000000).Sub(o.Clock.Now()))
			l := openLog(t, o)
			var all []byte
			for _, name := range slices.Sorted(maps.Keys(want)) {
				if strings.HasSuffix(name, ".log") {
					all = append(all, want[name]...)
				}
			}
			restarts := c.restarts
			for len(all) > 0 {
				b, rest, err := record.Next(all)
				if err != nil {
					t.Fatal(err)
				}
				all = rest
				if len(restarts) > 0 && restarts[0] == b.BaseOffset() {
					restarts = restarts[1:]
					must(t, l.Close())
					o.CleanShutdown, o.RecoveryPoint = true, l.RecoveryPoint()
					l = openLog(t, o)
				}
				if l.LatestEpoch() < b.LeaderEpoch() {
					must(t, l.AssignEpochStart(b.LeaderEpoch(), b.BaseOffset()))
				}
				if _, err := l.AppendAsFollower(b); err != nil {
					t.Fatal(err)
				}
			}
			must(t, l.Close())
			entries, err := mem.ReadDir(o.Dir)
			must(t, err)
			for _, e := range entries {
				name := e.Name()
				if name == metadataFile {
					continue
				}
				got, err := vfs.ReadFile(mem, o.Dir+"/"+name, 1<<20)
				must(t, err)
				if want[name] == nil {
					t.Errorf("%s is not in Apache's directory", name)
				} else if !bytes.Equal(normal(t, name, got), normal(t, name, want[name])) {
					t.Errorf("%s:\n%x, Apache has\n%x", name, got, want[name])
				}
				delete(want, name)
			}
			delete(want, metadataFile)
			for name := range want {
				t.Errorf("%s is only in Apache's directory", name)
			}
		})
	}
}

// normal sorts the producers of a snapshot, which Java writes in the order of its hash table.
func normal(t *testing.T, name string, b []byte) []byte {
	t.Helper()
	if !strings.HasSuffix(name, snapshotSuffix) {
		return b
	}
	entries, err := producerstate.DecodeSnapshot(b)
	must(t, err)
	slices.SortFunc(entries, func(a, b producerstate.Entry) int { return int(a.ProducerID - b.ProducerID) })
	return producerstate.AppendSnapshot(nil, entries)
}
