package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
)

// skips counts the tests of this test binary that Need skipped; read by CountSkips.
type Skips struct{ n atomic.Int64 }

// Need ends the test unless err is nil: with a one-line skip if something is Unavailable, else with a failure.
func (s *Skips) Need(t testing.TB, err error) {
	t.Helper()
	var u *Unavailable
	switch {
	case err == nil:
	case errors.As(err, &u):
		s.n.Add(1)
		t.Skipf("skipped: %v", u)
	default:
		t.Fatal(err)
	}
}

// Main runs the tests of a package and counts what was skipped in the last line it prints.
func (s *Skips) Main(m *testing.M) {
	code := m.Run()
	fmt.Printf("compat: %d tests skipped for want of a runtime or registry\n", s.n.Load())
	os.Exit(code)
}

// Broker prepares a broker of the target for a test, with its logs in the test's directory, and ends it with the test.
// The end of its log is printed when the test failed.
func (s *Skips) Broker(t testing.TB, target Target, o Options) *Broker {
	t.Helper()
	b, err := NewBroker(target, t.TempDir(), o)
	s.Need(t, err)
	t.Cleanup(func() {
		b.Close()
		if t.Failed() {
			t.Logf("--- end of broker log %s", b.LogTail())
		}
	})
	return b
}

// Started is Broker and Start.
func (s *Skips) Started(t testing.TB, target Target, o Options) *Broker {
	t.Helper()
	b := s.Broker(t, target, o)
	s.Need(t, b.Start(context.Background()))
	return b
}
