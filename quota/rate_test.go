package quota

import (
	"testing"
	"testing/synctest"
	"time"

	"gokafka/internal/clock"
)

// The rate is what came by the time since the oldest sample that counts; the first window counts whole.
func TestRate(t *testing.T) {
	r := NewRate(3, time.Second, 0)
	check := func(at time.Duration, want float64) {
		t.Helper()
		if got := r.PerSecond(at); got != want {
			t.Errorf("at %s: %v, want %v", at, got, want)
		}
	}
	r.Record(100, 0)
	check(0, 100) // not infinitely much
	check(500*time.Millisecond, 100)
	check(2*time.Second, 50)
	r.Record(100, 2*time.Second)
	check(2*time.Second, 100)
	check(3*time.Second, 100) // the first is too old
	r.Record(50, 3000*time.Millisecond)
	r.Record(50, 4000*time.Millisecond)
	r.Record(50, 5000*time.Millisecond) // takes the place of the one of 2 s
	check(5*time.Second, 75)
	check(time.Minute, 0)
}

func TestReplicationQuota(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := NewReplication(clock.New(), Windows{11, time.Second})
		q.Record(1 << 40)
		if q.Exceeded() {
			t.Error("without a limit")
		}
		q.SetLimit(1000)
		if !q.Exceeded() {
			t.Error("far above the limit")
		}
		time.Sleep(20 * time.Second)
		if q.Exceeded() {
			t.Error("long ago")
		}
		copied := 0
		began := time.Now()
		for time.Since(began) < time.Minute {
			for !q.Exceeded() {
				q.Record(300)
				copied += 300
			}
			time.Sleep(50 * time.Millisecond)
		}
		if copied < 55_000 || copied > 65_000 {
			t.Errorf("%d bytes in a minute at 1000 bytes a second", copied)
		}
	})
}
