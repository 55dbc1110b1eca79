package producerid

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/internal/clock"
)

func TestIDsAreUniqueAcrossBrokersAndBlocks(t *testing.T) {
	var mu sync.Mutex
	var last int64
	take := func(context.Context) (Block, error) {
		mu.Lock()
		defer mu.Unlock()
		b := Block{Start: last, Len: 1000}
		last += 1000
		return b, nil
	}
	seen := make(map[int64]bool)
	var wg sync.WaitGroup
	for range 3 { // brokers
		m := New(take, clock.New(), slog.New(slog.DiscardHandler))
		for range 2 { // their clients
			wg.Go(func() {
				for n := 0; n < 2500; {
					id, err := m.Next()
					if errors.Is(err, kerr.CoordinatorLoadInProgress) {
						continue // as a client does
					}
					mu.Lock()
					if err != nil || seen[id] {
						t.Errorf("id %d given twice, or %v", id, err)
					}
					seen[id] = true
					mu.Unlock()
					n++
				}
			})
		}
		defer m.Close()
	}
	wg.Wait()
}

func TestNoBlockYetAndRetry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fail atomic.Bool
		fail.Store(true)
		var calls atomic.Int32
		m := New(func(context.Context) (Block, error) {
			calls.Add(1)
			if fail.Load() {
				return Block{}, errors.New("no connection")
			}
			return Block{Start: 5000, Len: 10}, nil
		}, clock.New(), slog.New(slog.DiscardHandler))
		synctest.Wait()
		if _, err := m.Next(); !errors.Is(err, kerr.CoordinatorLoadInProgress) {
			t.Fatalf("without a block: %v", err)
		}
		fail.Store(false)
		time.Sleep(time.Second)
		synctest.Wait()
		before := calls.Load()
		for i := range int64(8) {
			if id, err := m.Next(); err != nil || id != 5000+i {
				t.Fatalf("%d %v", id, err)
			}
		}
		synctest.Wait()
		if calls.Load() != before {
			t.Fatal("the next block was taken too early")
		}
		m.Next()
		synctest.Wait()
		if calls.Load() != before+1 {
			t.Fatalf("the next block was not taken at 90 %%: %d calls", calls.Load()-before)
		}
		m.Close()
	})
}

func TestCloseEndsATakeThatHangs(t *testing.T) {
	m := New(func(ctx context.Context) (Block, error) {
		<-ctx.Done()
		return Block{}, ctx.Err()
	}, clock.New(), slog.New(slog.DiscardHandler))
	m.Close()
}
