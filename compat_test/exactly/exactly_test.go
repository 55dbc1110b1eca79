package main

import (
	"context"
	"fmt"
	"testing"
	"time"

	"gokafka/compat_test/clients"
	"gokafka/compat_test/harness"
)

var skips harness.Skips

func TestMain(m *testing.M) { skips.Main(m) }

// TestExactly is a short run of each transaction version.
func TestExactly(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes: not with -short")
	}
	if target, err := harness.TargetFromEnv(); err != nil || target == harness.Apache {
		t.Skip("a cluster of gokafka alone")
	}
	_, err := harness.JavaLibs() // for ZooKeeper
	skips.Need(t, err)
	for _, cl := range clients.Members() {
		skips.Need(t, cl.Prepare())
	}
	for level, names := range map[int16][]string{0: {"java", "librdkafka"}, 2: {"franz-go", "java-4.1.1"}} {
		t.Run(fmt.Sprint("version ", level), func(t *testing.T) {
			o := options{length: 10 * time.Second, clients: names, level: level, seed: 1}
			if err := run(context.Background(), t.TempDir(), o, func(line string) { t.Log(line) }); err != nil {
				t.Error(err)
			}
		})
	}
}
