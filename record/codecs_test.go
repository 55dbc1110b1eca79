package record

import (
	"bytes"
	"errors"
	"math/rand"
	"runtime"
	"testing"

	"github.com/klauspost/compress/snappy"
	"github.com/twmb/franz-go/pkg/kerr"
)

func TestCompressRoundTrip(t *testing.T) {
	c, r := NewCodecs(), rand.New(rand.NewSource(1))
	large := 3 << 20
	if testing.Short() || raceEnabled {
		large = 300 << 10
	}
	noise := make([]byte, 200_000)
	r.Read(noise)
	for _, src := range [][]byte{{}, []byte("x"), randomBlock(r, 100), randomBlock(r, 64<<10), randomBlock(r, 64<<10+1), randomBlock(r, large), noise} {
		for codec := None; codec <= Zstd; codec++ {
			lo, hi := codec.LevelRange()
			for _, level := range []int{codec.DefaultLevel(), lo, hi} {
				prefix := []byte("kept")
				packed, err := c.Compress(bytes.Clone(prefix), codec, level, src)
				if err != nil || !bytes.HasPrefix(packed, prefix) {
					t.Fatalf("%v level %d: %v", codec, level, err)
				}
				plain, err := c.Decompress(bytes.Clone(prefix), codec, packed[len(prefix):], len(src))
				if err != nil || !bytes.Equal(plain[len(prefix):], src) {
					t.Fatalf("%v level %d, %d bytes: differs, %v", codec, level, len(src), err)
				}
				if len(src) > 0 {
					if _, err := c.Decompress(nil, codec, packed[len(prefix):], len(src)-1); !errors.Is(err, ErrTooLarge) || !errors.Is(err, kerr.MessageTooLarge) {
						t.Fatalf("%v level %d: a bound one below the size gave %v", codec, level, err)
					}
				}
				if src = src[:min(len(src), 1<<20)]; level != codec.DefaultLevel() {
					src = src[:min(len(src), 100<<10)]
				}
			}
		}
	}
}

func TestSnappyReadsRawBlock(t *testing.T) {
	src := randomBlock(rand.New(rand.NewSource(2)), 300<<10)
	got, err := NewCodecs().Decompress(nil, Snappy, snappy.Encode(nil, src), len(src))
	if err != nil || !bytes.Equal(got, src) {
		t.Fatal(err)
	}
	// Two xerial streams, one behind the other.
	two := appendXerial(appendXerial(nil, src), src[:5])
	if got, err = NewCodecs().Decompress(nil, Snappy, two, 1<<20); err != nil || len(got) != len(src)+5 {
		t.Fatal(err)
	}
}

// A bomb must not get memory for what it declares or decodes to.
func TestDecompressBombs(t *testing.T) {
	c := NewCodecs()
	zeros := make([]byte, 16<<20)
	for codec := Gzip; codec <= Zstd; codec++ {
		level := codec.DefaultLevel()
		packed, err := c.Compress(nil, codec, level, zeros)
		if err != nil {
			t.Fatal(err)
		}
		got, err := c.Decompress(nil, codec, packed, 1<<20)
		if !errors.Is(err, ErrTooLarge) || len(got) != 0 || cap(got) > 4<<20 {
			t.Fatalf("%v: %v, cap %d", codec, err, cap(got))
		}
	}
	for name, in := range map[string][]byte{
		"raw snappy that declares 4 GB":   {0xff, 0xff, 0xff, 0xff, 0x0f, 0, 'x'},
		"zstd that declares 4 GB":         {0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0xff, 0xff, 0xff, 0xff, 0x01, 0, 0},
		"zstd with a window of 64 MiB":    {0x28, 0xb5, 0x2f, 0xfd, 0x00, 16 << 3, 0x01, 0, 0},
		"zstd that declares 4 MB in 1 KB": append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0xa0, 0, 0, 0x40, 0}, 0x01, 0, 0),
		"lz4 without blocks":              {0x04, 0x22, 0x4d, 0x18, 0x60, 0x70, 0x73},
	} {
		codec := map[byte]Codec{'r': Snappy, 'z': Zstd, 'l': LZ4}[name[0]]
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := NewCodecs().Decompress(nil, codec, in, 1<<30); err == nil && codec != Zstd {
			t.Errorf("%s: accepted", name)
		}
		runtime.ReadMemStats(&after)
		allocs := after.TotalAlloc - before.TotalAlloc
		if allocs > 20<<20 {
			t.Errorf("%s: %d bytes allocated", name, allocs)
		}
	}
}

func TestDecompressGarbage(t *testing.T) {
	c, r := NewCodecs(), rand.New(rand.NewSource(3))
	src := randomBlock(r, 5000)
	for codec := Gzip; codec <= Zstd; codec++ {
		packed, err := c.Compress(nil, codec, codec.DefaultLevel(), src)
		if err != nil {
			t.Fatal(err)
		}
		for cut := range packed[:len(packed)-1] {
			if _, err := c.Decompress(nil, codec, packed[:cut], 1<<20); err != nil && !errors.Is(err, kerr.InvalidRecord) {
				t.Fatalf("%v cut at %d: %v", codec, cut, err)
			} else if err == nil && cut > xerialHeaderBytes && codec != Snappy {
				t.Fatalf("%v cut at %d is accepted", codec, cut)
			}
		}
		if got, err := c.Decompress(nil, codec, packed, 1<<20); err != nil || !bytes.Equal(got, src) {
			t.Fatalf("%v: the pools were spoiled: %v", codec, err)
		}
	}
	if _, err := c.Decompress(nil, 5, src, 1<<20); !errors.Is(err, kerr.InvalidRecord) {
		t.Fatal(err)
	}
}

func TestXXH32(t *testing.T) {
	// Vectors of the reference implementation (xxhsum -H0).
	for in, want := range map[string]uint32{"": 0x02CC5D05, "a": 0x550D7456, "abc": 0x32D153FF,
		"Nobody inspects the spammish repetition": 0xE2293B2F} {
		if got := xxh32([]byte(in)); got != want {
			t.Errorf("xxh32(%q) = %08x, want %08x", in, got, want)
		}
	}
}

func TestParseCodec(t *testing.T) {
	for c := None; c <= Zstd; c++ {
		if got, err := ParseCodec(c.String()); err != nil || got != c {
			t.Errorf("%v: %v %v", c, got, err)
		}
	}
	if got, err := ParseCodec("uncompressed"); err != nil || got != None {
		t.Error(got, err)
	}
	for _, bad := range []string{"", "GZIP", "producer", "brotli"} {
		if _, err := ParseCodec(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func FuzzDecompress(f *testing.F) {
	c := NewCodecs()
	for _, b := range javaBatches(f) {
		f.Add(int8(b.Codec()), []byte(b.RecordsBlock()))
	}
	f.Fuzz(func(t *testing.T, codec int8, in []byte) {
		out, err := c.Decompress(nil, Codec(codec&7), in, 1<<20)
		if len(out) > 1<<20 || err != nil && len(out) != 0 {
			t.Fatalf("%d bytes, %v", len(out), err)
		}
		if err == nil && codec&7 > 0 {
			again, err := c.Compress(nil, Codec(codec&7), 1, out)
			if err != nil {
				t.Fatal(err)
			}
			if back, err := c.Decompress(nil, Codec(codec&7), again, len(out)); err != nil || !bytes.Equal(back, out) {
				t.Fatalf("round trip: %v", err)
			}
		}
	})
}
