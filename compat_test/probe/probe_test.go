package probe_test

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gokafka/compat_test/harness"
	"gokafka/compat_test/probe"
)

var update = flag.Bool("update", false, "record Apache's answers; only with "+harness.TargetVar+"=apache")

var skips harness.Skips

func TestMain(m *testing.M) {
	flag.Parse()
	skips.Main(m)
}

// props is the configuration under which the goldens were recorded. Retention is off because the probes' timestamps are
// old.
var props = map[string]string{
	"log.retention.ms":                "-1",
	"num.partitions":                  "1",
	"offsets.topic.num.partitions":    "3",
	"log.segment.delete.delay.ms":     "1000",
	"connections.max.idle.ms":         "600000",
	"controlled.shutdown.max.retries": "1",
}

// TestProbe compares the answers of the target with Apache's recorded ones.
func TestProbe(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a broker process: not with -short")
	}
	target, err := harness.TargetFromEnv()
	skips.Need(t, err)
	if *update && target != harness.Apache {
		t.Fatalf("-update records Apache's answers: set %s=apache", harness.TargetVar)
	}
	b := skips.Started(t, target, harness.Options{Props: props})
	rewrite := func(ctx context.Context, clean bool, change func(string) error) error {
		if clean {
			if err := b.Stop(ctx); err != nil {
				return err
			}
		} else {
			b.Kill()
		}
		if err := change(filepath.Join(b.Dir, "data")); err != nil {
			return err
		}
		return b.Start(ctx)
	}
	env := &probe.Env{Addr: b.Addr(), Port: b.Port, Rewrite: rewrite, Restart: func(ctx context.Context, clean bool) error {
		return rewrite(ctx, clean, func(string) error { return nil })
	}}
	skips.Need(t, env.Ask(context.Background()))
	for _, g := range probe.Groups() {
		t.Run(g, func(t *testing.T) { runGroup(t, target, env, g) })
	}
}

func runGroup(t *testing.T, target harness.Target, env *probe.Env, group string) {
	dir := filepath.Join("..", "testdata", "probe")
	golden, err := probe.LoadGolden(dir, group)
	if err != nil && !(*update && os.IsNotExist(err)) {
		t.Fatal(err)
	}
	recorded, whole := probe.Golden{}, true
	used := map[probe.Deviation]bool{}
	for _, c := range probe.Cases() {
		if c.Group != group {
			continue
		}
		ran := false
		t.Run(c.Name, func(t *testing.T) {
			ran = true
			for _, key := range c.Needs {
				if _, ok := env.Served[key]; !ok && target == harness.Gokafka {
					whole = false
					t.Skipf("needs key %d, which is not served yet", key)
				}
			}
			ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
			defer cancel()
			steps, err := c.Execute(ctx, env)
			if err != nil {
				whole = false
				t.Errorf("%s could not be run to its end: %v", c.ID(), err)
			}
			recorded[c.Name] = steps
			if !*update {
				compare(t, target, c, golden[c.Name], steps, used)
			}
		})
		if !ran { // filtered out by -run
			whole = false
			recorded[c.Name] = golden[c.Name]
		}
	}
	switch {
	case *update && !t.Failed():
		if err := recorded.Save(dir, group); err != nil {
			t.Error(err)
		}
	case target == harness.Gokafka && whole:
		for _, d := range probe.Deviations() {
			if strings.HasPrefix(d.Case, group+"/") && !used[d] {
				t.Errorf("the deviation of %s, %q, shows nowhere: take it off the list", d.Case, d.Step)
			}
		}
	}
}

// compare reports where the steps differ from Apache's, but for known deviations and what is not served yet.
func compare(t *testing.T, target harness.Target, c probe.Case, want, got []probe.Step, used map[probe.Deviation]bool) {
	left := 0
	for i, w := range want {
		if i >= len(got) {
			if n := len(got); n == 0 || got[n-1].Answer != probe.NotServed {
				t.Errorf("step %q and what follows: not reached", w.Name)
			} else {
				t.Logf("ends at %q, which is not served yet; %d steps left out", got[n-1].Name, len(want)-n)
			}
			return
		}
		if got[i].Answer == probe.NotServed {
			left++
			continue
		}
		diff := probe.Diff(w, got[i])
		if c.ID() == probe.KeyTable && target == harness.Gokafka {
			diff = probe.DiffKeyTable(t.Logf, w, got[i])
		}
		if len(diff) > 0 && !deviates(target, c, got[i], used) {
			t.Errorf("%s:\n  %s", w.Name, strings.Join(diff, "\n  "))
		}
	}
	if left > 0 {
		t.Logf("%d steps of versions not served yet", left)
	}
	if len(got) > len(want) {
		t.Errorf("%d steps have no recorded answer: record them with -update", len(got)-len(want))
	}
}

// deviates says whether gokafka answers a step otherwise on purpose.
func deviates(target harness.Target, c probe.Case, got probe.Step, used map[probe.Deviation]bool) bool {
	if target != harness.Gokafka {
		return false
	}
	for _, d := range probe.Deviations() {
		if d.Covers(c.ID(), got.Name, got.Answer) {
			used[d] = true
			return true
		}
	}
	return false
}
