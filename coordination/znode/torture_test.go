package znode

import (
	"context"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"gokafka/coordination"
	"gokafka/coordination/zktest"
	"gokafka/metadata"
)

// The line breaks all the time, before and after requests are carried out. Every guarded write must still come out as
// done exactly once, with the right version.
func TestGuardedWritesUnderBrokenLine(t *testing.T) {
	srv := zktest.Start(t)
	ctx, s, l := open(t, srv)
	c := elect(t, s.Current(), 1)
	const writers = 8
	rounds := int32(40)
	if testing.Short() {
		rounds = 10
	}
	stop, cancel := context.WithCancel(ctx)
	var breaker sync.WaitGroup
	breaker.Go(func() {
		for stop.Err() == nil {
			if rand.IntN(2) == 0 {
				dropped := l.DropReply(zktest.OpMulti)
				select {
				case <-dropped:
				case <-time.After(50 * time.Millisecond):
				}
			} else {
				l.Break()
			}
			time.Sleep(time.Duration(rand.IntN(30)) * time.Millisecond)
		}
	})
	var wg sync.WaitGroup
	for w := range int32(writers) {
		wg.Go(func() {
			tp := metadata.TopicPartition{Topic: "t", Partition: w}
			if err := s.Current().EnsurePath(ctx, PartitionPath(tp)); err != nil {
				t.Error(err)
				return
			}
			st := metadata.PartitionState{ISR: []int32{1}}
			if _, err := c.Write(ctx, coordination.CreateOp(StatePath(tp), EncodeState(st), coordination.Persistent)); err != nil {
				t.Errorf("create: %v", err)
				return
			}
			for i := range rounds {
				st.LeaderEpoch = i + 1
				stat, err := c.Write(ctx, SetStateOp(tp, st))
				if err != nil || stat.Version != i+1 {
					t.Errorf("write %d of %s: %+v, %v", i, tp, stat, err)
					return
				}
				st.PartitionEpoch = stat.Version
			}
			got, err := ReadStates(ctx, s.Current(), []metadata.TopicPartition{tp})
			if err != nil || got[0].State.PartitionEpoch != rounds || got[0].State.LeaderEpoch != rounds {
				t.Errorf("%+v, %v", got, err)
			}
			if _, err := c.Write(ctx, coordination.DeleteOp(StatePath(tp), rounds)); err != nil {
				t.Errorf("delete: %v", err)
			}
		})
	}
	wg.Wait()
	cancel()
	breaker.Wait()
	if s.Current().Number() != 1 {
		t.Error("the session was lost")
	}
}
