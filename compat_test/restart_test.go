package compat_test

import (
	"context"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/harness"
	"gokafka/compat_test/wire"
)

// TestFiveInFlightAtTheEnd is the case for which a producer's last five batches are remembered: five are appended, no
// answer arrives, the broker ends and starts, the client sends all five again. Each must be answered with the offset it
// has, and nothing appended twice.
//
// Apache 3.9.1 fails this, after SIGKILL and after SIGTERM alike: it loads a producer from the snapshot at the log end,
// which holds only the last batch, and answers OUT_OF_ORDER_SEQUENCE_NUMBER to the other four. What it answers is checked
// too, so that this comment stays true.
func TestFiveInFlightAtTheEnd(t *testing.T) {
	target := heavy(t)
	b := skips.Started(t, target, harness.Options{})
	for _, end := range []string{"SIGKILL", "SIGTERM"} {
		t.Run(end, func(t *testing.T) {
			topic := "five-" + end
			createTopic(t, b.Addr(), topic, 1)
			batches := fiveBatches()
			c := dial(t, b.Addr())
			for _, x := range batches {
				skips.Need(t, c.Send(wire.ProduceRequest(topic, 0, x), 9))
			}
			waitEnd(t, b.Addr(), topic, 10)
			if end == "SIGKILL" {
				b.Kill()
			} else {
				skips.Need(t, b.Stop(context.Background()))
			}
			skips.Need(t, b.Start(context.Background()))
			waitTopic(t, b.Addr(), topic, 1)
			c = dial(t, b.Addr())
			for i, x := range batches {
				resp, err := c.Ask(wire.ProduceRequest(topic, 0, x), 9)
				skips.Need(t, err)
				p := resp.(*kmsg.ProduceResponse).Topics[0].Partitions[0]
				wantCode, wantOffset := int16(0), int64(2*i)
				if i < 5-remembered(target, end == "SIGKILL") {
					wantCode, wantOffset = 45, -1
				}
				if p.ErrorCode != wantCode || p.BaseOffset != wantOffset {
					t.Errorf("batch %d again: error %d offset %d, want error %d offset %d", i, p.ErrorCode, p.BaseOffset, wantCode, wantOffset)
				}
			}
			waitEnd(t, b.Addr(), topic, 10)
		})
	}
}

// fiveBatches are the first five of a producer, two records each.
func fiveBatches() [][]byte {
	var out [][]byte
	for i := range int32(5) {
		b := wire.Batch{Records: wire.Values(2), ProducerID: 7_000_000, Sequence: 2 * i, BaseTimestamp: time.Now().UnixMilli()}
		out = append(out, b.Bytes())
	}
	return out
}

// waitEnd waits until the only partition of a topic ends at an offset; beyond it is an error at once.
func waitEnd(t *testing.T, addr, topic string, end int64) {
	t.Helper()
	c := dial(t, addr)
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		ends, err := endOffsets(c, topic, 1)
		skips.Need(t, err)
		if ends[0] == end {
			return
		}
		if ends[0] > end || time.Now().After(deadline) {
			t.Fatalf("%s ends at %d, want %d", topic, ends[0], end)
		}
	}
}
