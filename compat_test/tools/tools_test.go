package tools

import (
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gokafka/compat_test/cluster"
	"gokafka/compat_test/harness"
)

var update = flag.Bool("update", false, "record what Apache's tools print about Apache; only with "+harness.TargetVar+"=apache")

var skips harness.Skips

func TestMain(m *testing.M) {
	flag.Parse()
	skips.Main(m)
}

// TestTools runs Apache's tools against three brokers of the target and compares what they print with what they printed about Apache.
func TestTools(t *testing.T) {
	if testing.Short() {
		t.Skip("starts brokers and a JVM: not with -short")
	}
	target, err := harness.TargetFromEnv()
	skips.Need(t, err)
	if *update && target != harness.Apache {
		t.Fatalf("-update records Apache: set %s=apache", harness.TargetVar)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	dir := t.TempDir()
	jvm, err := StartJVM(ctx, dir)
	skips.Need(t, err)
	defer jvm.Close()
	c, err := cluster.Start(ctx, dir, cluster.Options{Targets: []harness.Target{target, target, target}, Props: map[string]string{
		"log.dirs": "{dir}/d0,{dir}/d1", "default.replication.factor": "1", "min.insync.replicas": "1"}})
	skips.Need(t, err)
	defer c.Close()
	for _, ch := range Chapters() {
		t.Run(ch.Name, func(t *testing.T) {
			var got []string
			for i, s := range ch.Steps {
				if s.Do != nil {
					if err := s.Do(ctx, c); err != nil {
						t.Fatal(err)
					}
					continue
				}
				lines, err := s.run(ctx, jvm, dir, strings.Join(c.Seeds(), ","), i)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, lines...)
			}
			compare(t, filepath.Join("..", "testdata", "tools", strings.ReplaceAll(ch.Name, " ", "-")+".txt"), got)
		})
	}
}

// run gives what came of a step, its arguments first.
func (s Step) run(ctx context.Context, jvm *JVM, dir, servers string, n int) ([]string, error) {
	file := filepath.Join(dir, fmt.Sprintf("plan-%d.json", n))
	place := strings.NewReplacer("$FILE", file, "$DIR1", filepath.Join(dir, "1"))
	if s.File != "" {
		if err := os.WriteFile(file, []byte(place.Replace(s.File)), 0o600); err != nil {
			return nil, err
		}
	}
	var args []string
	for _, a := range strings.Fields(s.Args) {
		args = append(args, place.Replace(a))
	}
	if !slices.Contains(args, "--bootstrap-server") {
		args = append([]string{"--bootstrap-server", servers}, args...)
	}
	var lines []string
	for tries := 0; ; tries++ {
		var err error
		if lines, err = jvm.Run(s.Tool, args...); err != nil {
			return nil, err
		}
		if s.Until == "" || strings.Contains(strings.Join(lines, "\n"), s.Until) {
			break
		}
		if tries == 100 {
			return nil, fmt.Errorf("%s %s: %q does not come:\n%s", s.Tool, s.Args, s.Until, strings.Join(lines, "\n"))
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	out := []string{"== " + s.Tool[strings.LastIndexByte(s.Tool, '.')+1:] + " " + s.Args + " " + s.File}
	for _, l := range lines {
		if l = normal(l); !strings.HasPrefix(l, "!\tat ") && !strings.HasPrefix(l, ">\tat ") { // where in its source a tool threw
			out = append(out, l)
		}
	}
	return out, nil
}

func compare(t *testing.T, path string, got []string) {
	t.Helper()
	text := strings.Join(got, "\n") + "\n"
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	a, b := steps(string(want)), steps(text)
	for i := range max(len(a), len(b)) {
		var x, y string
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			t.Errorf("Apache:\n%s\nhere:\n%s", x, y)
		}
	}
}

func steps(text string) []string { return strings.Split(text, "\n== ") }
