package compat_test

import (
	"context"
	"testing"
	"time"

	"gokafka/compat_test/crash"
	"gokafka/compat_test/harness"
)

// TestKills is the short form of `go run ./compat_test/torture`: SIGKILL at random moments of start and load, after which
// no producer id, broker epoch or topic id repeats or falls, and nothing acknowledged is missing.
func TestKills(t *testing.T) {
	target := heavy(t)
	torture(t, target, skips.Broker(t, target, harness.Options{}), 6)
}

// TestKillsOnRealZooKeeper is TestKills with the cluster state in ZooKeeper 3.8.4, which outlives the broker: a restarted
// one meets its own old session.
func TestKillsOnRealZooKeeper(t *testing.T) {
	target := heavy(t)
	if target == harness.Apache {
		t.Skip("TestKills runs Apache on a real ZooKeeper already")
	}
	zk, err := harness.NewZooKeeper(t.TempDir())
	skips.Need(t, err)
	skips.Need(t, zk.Start(context.Background()))
	defer zk.Kill()
	torture(t, target, skips.Broker(t, target, harness.Options{ZooKeeper: zk.Addr}), 3)
}

func torture(t *testing.T, target harness.Target, b *harness.Broker, kills int) {
	t.Helper()
	// A start takes some 10 ms: a kill within 60 ms hits it or the first requests.
	tt := &crash.Torture{Broker: b, Kills: kills, Seed: uint64(time.Now().UnixNano()), StartUp: 60 * time.Millisecond,
		Load: 500 * time.Millisecond, InFlight: remembered(target, true), Logf: t.Logf}
	if target == harness.Apache {
		tt.Kills, tt.StartUp = 2, 5*time.Second
	}
	t.Logf("seed %d", tt.Seed)
	res, err := tt.Run(context.Background())
	t.Logf("%d kills, %d in a start, %d acknowledged, broker epoch observed: %v", res.Kills, res.InStartUp, res.Acknowledged, res.BrokerEpochKnown)
	for _, p := range res.Problems {
		t.Error(p)
	}
	skips.Need(t, err)
	if res.Acknowledged == 0 {
		t.Error("nothing was acknowledged: the run shows nothing")
	}
}
