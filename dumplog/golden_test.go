package dumplog_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gokafka/compat_test/dumps"
)

// What Apache's tool of 3.9.1 said of each file of the corpus, we say too: standard output and error byte for byte, and whether it ended
// with an exception. Package compat_test/dumps says how the outcomes are recorded.
func TestAsApache(t *testing.T) {
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	runs, err := dumps.Write(dir, dumps.RecordedSeed)
	if err != nil {
		t.Fatal(err)
	}
	packed, err := os.ReadFile("testdata/apache.txt.zst")
	if err != nil {
		t.Fatal(err)
	}
	apache, err := dumps.Parse(packed, dir)
	if err != nil {
		t.Fatal(err)
	}
	runs = dumps.Recorded(runs)
	if len(apache) != len(runs) {
		t.Fatalf("%d runs, %d recorded outcomes: record them anew", len(runs), len(apache))
	}
	t.Chdir(dir)
	bad := 0
	for i, r := range runs {
		ours, err := dumps.Ours(t.Context(), r.Args)
		if err != nil {
			t.Fatal(err)
		}
		if diff := dumps.Differ(apache[i], ours); diff != "" {
			if bad++; bad <= 10 {
				t.Errorf("%.300s\n%s", strings.Join(r.Args, " "), diff)
			}
		}
	}
	if bad > 0 {
		t.Errorf("%d of %d differ", bad, len(runs))
	}
}
