package dumps

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gokafka/compat_test/harness"
)

var (
	anew = flag.Bool("record", false, "record the outcomes of Apache's tool in dumplog/testdata")
	seed = flag.Int64("seed", 2, "seed of the corpus that both tools are run over")
)

var skips harness.Skips

func TestMain(m *testing.M) { skips.Main(m) }

// Both tools say the same of thousands of files; the damaged ones are others than in the recorded outcomes.
func TestBesideApache(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a JVM: not with -short")
	}
	dir := realDir(t)
	runs, err := Write(dir, *seed)
	if err != nil {
		t.Fatal(err)
	}
	apache, err := Apache(dir, runs)
	skips.Need(t, err)
	if len(apache) != len(runs) {
		t.Fatalf("%d outcomes of %d runs", len(apache), len(runs))
	}
	t.Chdir(dir)
	bad, failed := 0, 0
	for i, r := range runs {
		ours, err := Ours(t.Context(), r.Args)
		if err != nil {
			t.Fatal(err)
		}
		if apache[i].Failed() {
			failed++
		}
		if diff := Differ(apache[i], ours); diff != "" {
			if bad++; bad <= 10 {
				t.Errorf("%.300s\n%s", strings.Join(r.Args, " "), diff)
			}
		}
	}
	t.Logf("%d runs, of which %d end with an exception; %d differ", len(runs), failed, bad)
}

// realDir is a temporary directory without symbolic links in its path: Java and Go must see the same one.
func realDir(t *testing.T) string {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestRecord writes dumplog/testdata/apache.txt.zst anew, with -record.
func TestRecord(t *testing.T) {
	if !*anew {
		t.Skip("records with -record only")
	}
	dir := realDir(t)
	runs, err := Write(dir, RecordedSeed)
	if err != nil {
		t.Fatal(err)
	}
	apache, err := Apache(dir, Recorded(runs))
	skips.Need(t, err)
	packed, err := Format(dir, apache)
	if err != nil {
		t.Fatal(err)
	}
	src, err := harness.SourceDir()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(src, "..", "dumplog", "testdata", "apache.txt.zst"), packed, 0o644); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d runs, %d bytes", len(apache), len(packed))
}
