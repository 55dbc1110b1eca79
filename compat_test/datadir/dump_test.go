package datadir

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gokafka/compat_test/harness"
)

var skips harness.Skips

func TestMain(m *testing.M) { skips.Main(m) }

// apacheDir unpacks a directory that Apache Kafka 3.9.1 wrote and stopped cleanly.
func apacheDir(t *testing.T) Dir {
	t.Helper()
	f, err := os.Open("../../testdata/apache-3.9/apache-3.9-data-dir.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	to, top := t.TempDir(), ""
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return Dir(filepath.Join(to, top))
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(to, filepath.FromSlash(h.Name))
		if filepath.Base(path) == MetaProperties {
			top = filepath.Dir(h.Name)
		}
		if h.Typeflag == tar.TypeDir {
			continue
		}
		b, err := io.ReadAll(r)
		if err == nil {
			err = os.MkdirAll(filepath.Dir(path), 0o755)
		}
		if err == nil {
			err = os.WriteFile(path, b, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// TestDump: nothing is found in Apache's own directory, and what is broken in one is.
func TestDump(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes: not with -short")
	}
	d := apacheDir(t)
	gaps := func(partition string) bool {
		return strings.HasPrefix(partition, "compact") || strings.HasPrefix(partition, "__")
	}
	dump := func() Findings {
		t.Helper()
		f, err := d.Dump(context.Background(), gaps, nil)
		skips.Need(t, err)
		return f
	}
	f := dump()
	if len(f.Problems) > 0 || f.Logs < 10 || f.Indexes < 10 || f.Snapshots == 0 || f.Batches < 10 {
		t.Errorf("%d problems, %.300q; %d segments, %d indexes, %d snapshots, %d batches", len(f.Problems), f.Problems, f.Logs, f.Indexes, f.Snapshots, f.Batches)
	}
	for _, name := range []string{"00000000000000000000.log", "00000000000000000000.index"} {
		path := d.Path("idem-0", name)
		good, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		bad := append([]byte(nil), good...)
		bad[len(bad)-1] ^= 1
		if err := os.WriteFile(path, bad, 0o644); err != nil {
			t.Fatal(err)
		}
		if f := dump(); len(f.Problems) == 0 {
			t.Errorf("a flipped bit in the last byte of %s is not found", name)
		}
		if err := os.WriteFile(path, good, 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// TestSmallFiles reads what Apache wrote beside the logs.
func TestSmallFiles(t *testing.T) {
	d := apacheDir(t)
	meta, err := d.Meta()
	if err != nil || meta["version"] != "0" || len(meta["cluster.id"]) != 22 {
		t.Errorf("meta.properties %v, %v", meta, err)
	}
	offsets, err := d.Offsets(RecoveryPoints)
	if err != nil || offsets["idem-0"] == 0 {
		t.Errorf("recovery points %v, %v", offsets, err)
	}
	epochs, err := d.Epochs("idem-0")
	if err != nil || len(epochs) == 0 {
		t.Errorf("epochs %v, %v", epochs, err)
	}
	if id, err := d.TopicID("idem-0"); err != nil || len(id) != 22 {
		t.Errorf("topic id %q, %v", id, err)
	}
	if clean, err := d.Clean(); err != nil || !clean {
		t.Errorf("clean %v, %v", clean, err)
	}
	if err := os.WriteFile(d.Path(LogStarts), []byte("0\n2\na 0 5\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Offsets(LogStarts); err == nil {
		t.Error("a checkpoint with a wrong number of lines is read without an error")
	}
}
