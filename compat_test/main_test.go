package compat_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"gokafka/compat_test/harness"
	"gokafka/compat_test/history"
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

// remembered is how many of a producer's last batches a broker still knows after it was killed, or stopped cleanly, and started again: Apache 3.9.1
// only the last (see TestFiveInFlightAtTheEnd), gokafka after a kill all five that the protocol's clients may have in flight.
func remembered(target harness.Target, killed bool) int {
	if target == harness.Apache || !killed {
		return 1
	}
	return 5
}

func dial(t *testing.T, addr string) *wire.Conn {
	t.Helper()
	c, err := wire.Dial(context.Background(), addr)
	skips.Need(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// createTopic makes a topic of one replica and waits until its partitions can be used.
func createTopic(t *testing.T, addr, name string, partitions int32) {
	t.Helper()
	skips.Need(t, topic.Create(context.Background(), addr, name, partitions))
}

// waitTopic waits until Metadata shows every partition with a leader and each answers ListOffsets.
func waitTopic(t *testing.T, addr, name string, partitions int32) {
	t.Helper()
	skips.Need(t, topic.Await(dial(t, addr), name, partitions))
}

// endOffsets are the high watermarks of a topic.
func endOffsets(c *wire.Conn, name string, partitions int32) ([]int64, error) {
	return topic.Ends(c, name, partitions)
}

// readAll reads a topic from its start to the given ends with franz-go and no group: the reader that is independent of
// whoever wrote.
func readAll(t *testing.T, addr, topic string, ends []int64) []history.Record {
	t.Helper()
	from, left := map[int32]kgo.Offset{}, map[int32]bool{}
	for p, e := range ends {
		if e > 0 {
			from[int32(p)], left[int32(p)] = kgo.NewOffset().At(0), true
		}
	}
	if len(left) == 0 {
		return nil
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(addr), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: from}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()))
	skips.Need(t, err)
	defer cl.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	var out []history.Record
	for len(left) > 0 {
		fs := cl.PollFetches(ctx)
		if err := fs.Err(); err != nil {
			t.Errorf("read %s: %v", topic, err)
			return out
		}
		fs.EachRecord(func(r *kgo.Record) {
			out = append(out, history.Record{Partition: r.Partition, Offset: r.Offset, Value: string(r.Value)})
			if r.Offset+1 >= ends[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	return out
}

// serves says whether the broker advertises an API key.
func serves(t *testing.T, addr string, key int16) bool {
	t.Helper()
	ok, err := topic.Served(dial(t, addr), key)
	skips.Need(t, err)
	return ok
}
