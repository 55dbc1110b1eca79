package fetch

import (
	"fmt"
	"testing"
)

// An incremental fetch costs what changed, not what the session holds.
func BenchmarkIncremental(b *testing.B) {
	for _, n := range []int{100, 1000, 10000} {
		b.Run(fmt.Sprintf("%d partitions, 10 dirty", n), func(b *testing.B) {
			h := newHost(b, 1)
			h.lead("a", n)
			f := newFollowed(h, n)
			b.ReportAllocs()
			for b.Loop() {
				f.round(b)
			}
		})
	}
}

// followed is a session of n partitions of which 10 get a record before each fetch.
type followed struct {
	h      *host
	id     int32
	epoch  int32
	dirty  []int32
	next   []int64
	update []Part
}

func newFollowed(h *host, n int) *followed {
	f := &followed{h: h, epoch: 1, next: make([]int64, n)}
	parts := make([]Part, n)
	for p := range parts {
		parts[p] = part("a", int32(p), 0)
	}
	for i := range 10 {
		f.dirty = append(f.dirty, int32(i*n/10))
	}
	f.id = h.open(parts...)
	f.fetch(0)
	return f
}

func (f *followed) fetch(want int) {
	resp := f.h.m.Serve(f.h.tb.Context(), ask(f.update...).in(f.id, f.epoch))
	defer resp.Release()
	f.epoch++
	f.update = f.update[:0]
	if resp.ErrorCode != 0 || len(resp.Results) != want {
		f.h.tb.Fatalf("code %d, %d partitions, want %d", resp.ErrorCode, len(resp.Results), want)
	}
	for i := range resp.Results {
		p := resp.Results[i].Partition
		f.next[p]++
		f.update = append(f.update, part("a", p, f.next[p]))
	}
}

func (f *followed) round(tb testing.TB) {
	for _, p := range f.dirty {
		f.h.append("a", p, 1, 1)
	}
	f.fetch(len(f.dirty))
}

// The number of partitions that a fetch looks at, counted where each look asks for permission.
func TestIncrementalLooksAtWhatChanged(t *testing.T) {
	const n = 2000
	h := newHost(t, 1)
	h.lead("a", n)
	f := newFollowed(h, n)
	for range 3 {
		f.round(t)
	}
	for _, p := range f.dirty {
		h.append("a", p, 1, 1)
	}
	looks := 0
	q := ask(f.update...).in(f.id, f.epoch)
	q.Authorize = func(string) error { looks++; return nil }
	if a := h.do(q); len(a.parts) != 10 || looks > 20 {
		t.Errorf("%d partitions told, %d looked at, of %d", len(a.parts), looks, n)
	}
}
