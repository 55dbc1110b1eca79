package main

import (
	"context"
	"testing"
	"time"

	"gokafka/compat_test/harness"
)

var skips harness.Skips

func TestMain(m *testing.M) { skips.Main(m) }

// TestTwoWay is one round of the command: gokafka, Apache on what it left, gokafka on what that left.
func TestTwoWay(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes: not with -short")
	}
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r, err := do(context.Background(), options{dir: t.TempDir(), rounds: 1, batches: 6, seed: seed, logf: t.Logf})
	skips.Need(t, err)
	t.Log(r)
	if r.read == 0 || r.files == 0 {
		t.Error("nothing was read: the run shows nothing")
	}
}
