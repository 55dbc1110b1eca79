package groupruns

import (
	"context"
	"testing"

	"gokafka/compat_test/clients"
	"gokafka/compat_test/harness"
	"gokafka/compat_test/topic"
	"gokafka/compat_test/wire"
)

var skips harness.Skips

func TestMain(m *testing.M) { skips.Main(m) }

// heavy ends a test that -short must not run, and says which broker the others talk to.
func heavy(t *testing.T) harness.Target {
	t.Helper()
	if testing.Short() {
		t.Skip("starts processes: not with -short")
	}
	target, err := harness.TargetFromEnv()
	skips.Need(t, err)
	return target
}

func dial(t *testing.T, addr string) *wire.Conn {
	t.Helper()
	c, err := wire.Dial(context.Background(), addr)
	skips.Need(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

func createTopic(t *testing.T, addr, name string, partitions int32) {
	t.Helper()
	skips.Need(t, topic.Create(context.Background(), addr, name, partitions))
}

func serves(t *testing.T, addr string, key int16) bool {
	t.Helper()
	ok, err := topic.Served(dial(t, addr), key)
	skips.Need(t, err)
	return ok
}

// prepare fetches and builds what clients need, and gives those that could be had.
func prepare(t *testing.T, all []clients.Client) []clients.Client {
	var ready []clients.Client
	for _, c := range all {
		t.Run("prepare "+c.Name, func(t *testing.T) {
			skips.Need(t, c.Prepare())
			ready = append(ready, c)
		})
	}
	if len(ready) == 0 {
		t.Skip("no client could be had")
	}
	return ready
}
