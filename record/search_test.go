package record

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

// The first record at or above a time and an offset is found in batches of all magics and codecs, as by reading all of them.
func TestFindTimestamp(t *testing.T) {
	c := NewCodecs()
	var sets [][]byte
	for _, set := range legacySets(t) {
		sets = append(sets, set)
	}
	for _, b := range javaBatches(t) {
		sets = append(sets, b)
	}
	found := 0
	for _, set := range sets {
		for {
			raw, _, rest, err := NextAny(set)
			if err != nil {
				break
			}
			set = rest
			all := readSet(t, c, raw)
			for _, r := range all {
				for _, start := range []int64{0, r.offset, r.offset + 1} {
					for _, ts := range []int64{r.ts, r.ts + 1} {
						timestamp, offset, ok, err := c.FindTimestamp(raw, ts, start)
						if err != nil {
							t.Fatal(err)
						}
						want, has := rec{}, false
						for _, x := range all {
							if has = x.ts >= ts && x.offset >= start; has {
								want = x
								break
							}
						}
						if ok != has || ok && (timestamp != want.ts || offset != want.offset) {
							t.Fatalf("time %d from %d: %d at %d, %v; want %d at %d, %v", ts, start, timestamp, offset, ok, want.ts, want.offset, has)
						}
						found++
					}
				}
			}
		}
	}
	if found < 1000 {
		t.Fatal(found)
	}
}

// What does not unpack is an error, and a wrapper may not take the memory that it likes.
func TestFindTimestampRefuses(t *testing.T) {
	c := NewCodecs()
	bad := clientBatch(t, c, Gzip, 3, 10)
	bad[HeaderSizeBytes+3] ^= 0xff
	if _, _, _, err := c.FindTimestamp(bad, 0, 0); !errors.Is(err, kerr.InvalidRecord) {
		t.Error(err)
	}
	large := rawEntry(t, 1, 0, 0, genNow, nil, make([]byte, defaultMaxRebuildBytes+1))
	if _, _, _, err := c.FindTimestamp(wrapEntries(t, c, 1, Gzip, 0, large), 0, 0); !errors.Is(err, ErrTooLarge) {
		t.Error(err)
	}
}
