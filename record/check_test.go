package record

import (
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"math/rand"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"pgregory.net/rapid"
)

func checkOptions() *CheckOptions {
	return &CheckOptions{Label: "t-0", KeepCodec: true, TimestampBeforeMaxMs: math.MaxInt64, TimestampAfterMaxMs: math.MaxInt64, NowMs: genNow}
}

func clientBatch(t testing.TB, c *Codecs, codec Codec, n, valueBytes int) Batch {
	t.Helper()
	spec := NewBatchSpec()
	spec.Codec, spec.Level = codec, codec.DefaultLevel()
	spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence = 7, 0, 0
	b := NewBuilder(spec)
	r := rand.New(rand.NewSource(int64(n)))
	for i := range n {
		if err := b.Append(genNow-int64(i%7), []byte("key"), randomBlock(r, valueBytes)); err != nil {
			t.Fatal(err)
		}
	}
	_, batch, err := b.Build(nil, c)
	if err != nil {
		t.Fatal(err)
	}
	return batch
}

// What needs no change keeps every byte of the producer that the CRC covers.
func TestCheckPatchesInPlace(t *testing.T) {
	c := NewCodecs()
	for codec := None; codec <= Zstd; codec++ {
		payload := clientBatch(t, c, codec, 50, 100)
		payload.setAttributes(payload.Attributes() | 1<<9) // a bit that we do not know
		payload.UpdateCRC()
		sent := bytes.Clone(payload)
		k, a, err := c.Validate(payload, checkOptions(), 1234, 5)
		if err != nil || k.Rebuilt() || &a.Batch[0] != &payload[0] || k.Count() != 50 {
			t.Fatalf("%v: %v", codec, err)
		}
		if a.FirstOffset != 1234 || a.LastOffset != 1283 || a.Batch.BaseOffset() != 1234 || a.Batch.LeaderEpoch() != 5 ||
			a.MaxTimestampMs != genNow || a.AppendTimeMs != NoTimestamp {
			t.Fatalf("%v: %+v", codec, a)
		}
		if !bytes.Equal(a.Batch[offCRC:], sent[offCRC:]) {
			t.Fatalf("%v: bytes under the CRC changed", codec)
		}
		k.Release()
	}
}

func TestCheckCorrectsMaxTimestamp(t *testing.T) {
	c := NewCodecs()
	payload := clientBatch(t, c, LZ4, 3, 10)
	payload.SetMaxTimestamp(CreateTime, genNow+99)
	_, a, err := c.Validate(payload, checkOptions(), 0, 0)
	if err != nil || a.MaxTimestampMs != genNow || a.Batch.MaxTimestamp() != genNow || a.Batch.CRC() != a.Batch.ComputeCRC() {
		t.Fatal(a, err)
	}
}

func TestCheckLogAppendTime(t *testing.T) {
	c := NewCodecs()
	for codec := None; codec <= Zstd; codec++ {
		o := checkOptions()
		o.TimestampType = LogAppendTime
		k, err := c.Check(clientBatch(t, c, codec, 100, 50), o)
		if err != nil {
			t.Fatal(err)
		}
		for _, now := range []int64{genNow + 3, genNow + 3, genNow - 5} { // a retry under the lock, a clock set back
			a := k.Assign(10, 2, now)
			if a.AppendTimeMs != now || a.MaxTimestampMs != now || a.Batch.MaxTimestamp() != now || a.Batch.TimestampType() != LogAppendTime ||
				a.Batch.CRC() != a.Batch.ComputeCRC() {
				t.Fatalf("%v: %+v", codec, a)
			}
			for _, r := range readAll(t, c, a.Batch) {
				if r.ts != now {
					t.Fatalf("%v: record at %d", codec, r.ts)
				}
			}
		}
	}
}

func TestCheckRecompresses(t *testing.T) {
	c := NewCodecs()
	for source := None; source <= Zstd; source++ {
		for target := None; target <= Zstd; target++ {
			payload := clientBatch(t, c, source, 200, 100)
			want := readAll(t, c, payload)
			o := checkOptions()
			o.KeepCodec, o.Codec, o.Level = false, target, target.DefaultLevel()
			k, a, err := c.Validate(payload, o, 77, 3)
			if err != nil || k.Rebuilt() != (source != target) || a.Batch.Codec() != target {
				t.Fatalf("%v to %v: %v", source, target, err)
			}
			b := a.Batch
			if b.ProducerID() != 7 || b.BaseSequence() != 0 || b.LeaderEpoch() != 3 || b.BaseOffset() != 77 || b.LastOffset() != 276 || b.CRC() != b.ComputeCRC() {
				t.Fatalf("%v to %v: header", source, target)
			}
			for i := range want {
				want[i].offset += 77
			}
			checkRecords(t, readAll(t, c, b), want, false, 0)
			k.Release()
			k.Release()
		}
	}
}

func TestCheckSizes(t *testing.T) {
	c := NewCodecs()
	payload := clientBatch(t, c, Gzip, 200, 100)
	o := checkOptions()
	o.MaxMessageBytes = len(payload)
	if _, err := c.Check(bytes.Clone(payload), o); err != nil {
		t.Fatal(err)
	}
	o.KeepCodec, o.Codec = false, None // decompressed it is too large
	if _, err := c.Check(bytes.Clone(payload), o); !errors.Is(err, kerr.MessageTooLarge) {
		t.Fatal(err)
	}
	o.KeepCodec = true
	o.MaxMessageBytes--
	if _, err := c.Check(bytes.Clone(payload), o); !errors.Is(err, kerr.MessageTooLarge) {
		t.Fatal(err)
	}
	// The order is Kafka's: base offset, size, CRC.
	payload[len(payload)-1]++
	if _, err := c.Check(payload, o); !errors.Is(err, kerr.MessageTooLarge) {
		t.Fatal(err)
	}
	payload.SetBaseOffset(3)
	if _, err := c.Check(payload, o); !errors.Is(err, kerr.InvalidRecord) {
		t.Fatal(err)
	}
}

func TestCheckRefusesBombs(t *testing.T) {
	c := NewCodecs()
	spec := NewBatchSpec()
	for codec := Gzip; codec <= Zstd; codec++ {
		spec.Codec, spec.Level = codec, codec.DefaultLevel()
		b := NewBuilder(spec)
		for range 8 {
			if err := b.Append(genNow, nil, make([]byte, 4<<20)); err != nil {
				t.Fatal(err)
			}
		}
		_, batch, err := b.Build(nil, c)
		if err != nil {
			t.Fatal(err)
		}
		o := checkOptions()
		o.MaxDecompressedBytes = 16 << 20
		if _, err := c.Check(bytes.Clone(batch), o); !errors.Is(err, kerr.MessageTooLarge) {
			t.Fatalf("%v: %v", codec, err)
		}
		o.MaxDecompressedBytes = 64 << 20
		if k, err := c.Check(bytes.Clone(batch), o); err != nil || k.Count() != 8 {
			t.Fatalf("%v: %v", codec, err)
		}
	}
}

func TestCheckRecordErrors(t *testing.T) {
	c := NewCodecs()
	b := NewBuilder(NewBatchSpec())
	for i := range 3000 {
		key := []byte("k")
		if i%2 == 1 {
			key = nil
		}
		if err := b.Append(genNow, key, nil); err != nil {
			t.Fatal(err)
		}
	}
	_, batch, err := b.Build(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	o := checkOptions()
	o.Compacted = true
	var be *BatchError
	if _, err := c.Check(batch, o); !errors.As(err, &be) || be.Kind != kerr.InvalidRecord || len(be.Records) != maxRecordErrors ||
		be.Records[1] != (RecordError{3, "Compacted topic cannot accept message without key in topic partition t-0"}) {
		t.Fatal(err)
	}
	const want = "One or more records have been rejected due to 1500 record errors in total, and only showing the first three errors at most: " +
		"[RecordError(batchIndex=1, message='Compacted topic cannot accept message without key in topic partition t-0'), "
	if !strings.HasPrefix(be.Text, want) {
		t.Fatal(be.Text)
	}
}

func TestProduceBatchTails(t *testing.T) {
	b := smallBatch(t, "a")
	tail := func(p ...byte) []byte { return append(bytes.Clone(b), p...) }
	for name, c := range map[string]struct {
		payload []byte
		want    error
	}{
		"nothing":                    {nil, kerr.InvalidRecord},
		"cut":                        {b[:len(b)-1], kerr.InvalidRecord},
		"two garbage bytes":          {tail(1, 2), nil},
		"a cut second batch":         {tail(b[:len(b)-1]...), nil},
		"a second batch":             {tail(b...), kerr.InvalidRecord},
		"zeros, a header's worth":    {tail(make([]byte, 12)...), kerr.CorruptMessage},
		"second batch of no magic":   {tail(append(bytes.Clone(b[:16]), 9)...), kerr.CorruptMessage},
		"second batch, legacy magic": {tail(append(append(bytes.Clone(b[:16]), 1), b[17:]...)...), kerr.InvalidRecord},
	} {
		got, err := ProduceBatch(c.payload, false)
		if (err == nil) != (c.want == nil) || c.want != nil && !errors.Is(err, c.want) || err == nil && !bytes.Equal(got, b) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestCRCJoin(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := rapid.SliceOf(rapid.Byte()).Draw(t, "a"), rapid.SliceOf(rapid.Byte()).Draw(t, "b")
		whole := crc32.Checksum(append(bytes.Clone(a), b...), castagnoli)
		if got := crcJoin(crc32.Checksum(a, castagnoli), crc32.Checksum(b, castagnoli), crcShift(len(b))); got != whole {
			t.Fatalf("%08x, want %08x", got, whole)
		}
	})
}

// One Codecs serves all connections of a broker.
func TestCheckConcurrently(t *testing.T) {
	c := NewCodecs()
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := range 20 {
				source, target := Codec((g+i)%5), Codec((g*i)%5)
				payload := clientBatch(t, c, source, 20+i, 50)
				want := readAll(t, c, payload)
				o := checkOptions()
				o.KeepCodec, o.Codec, o.Level = false, target, target.DefaultLevel()
				k, a, err := c.Validate(payload, o, 0, 0)
				if err != nil {
					t.Error(err)
					return
				}
				checkRecords(t, readAll(t, c, a.Batch), want, false, 0)
				k.Release()
			}
		}()
	}
	wg.Wait()
}

func TestCheckHardlyAllocates(t *testing.T) {
	if raceEnabled {
		t.Skip("pools drop at random under the race detector")
	}
	c := NewCodecs()
	for codec := None; codec <= Zstd; codec++ {
		payload := clientBatch(t, c, codec, 64, 1000)
		o := checkOptions()
		allocs := testing.AllocsPerRun(50, func() {
			payload.SetBaseOffset(0)
			k, err := c.Check(payload, o)
			if err != nil {
				t.Fatal(err)
			}
			k.Assign(5, 1, genNow)
			k.Release()
		})
		if allocs >= 1 { // on average; a collection may empty the pools
			t.Errorf("%v: %v allocations", codec, allocs)
		}
	}
}

// FuzzCheck feeds bytes with a CRC that is right, so that the fuzzer gets behind it.
func FuzzCheck(f *testing.F) {
	for _, b := range javaBatches(f) {
		f.Add([]byte(b), uint16(0))
		f.Add([]byte(b), uint16(0xff))
	}
	c := NewCodecs()
	f.Fuzz(func(t *testing.T, payload []byte, settings uint16) {
		o := checkOptions()
		o.Compacted, o.KeepCodec = settings&1 != 0, settings&2 == 0
		o.Codec = Codec(settings >> 2 & 7 % 5)
		if settings&32 != 0 {
			o.TimestampType = LogAppendTime
		}
		if settings&64 != 0 {
			o.Origin = Coordinator
		}
		if settings&128 != 0 {
			o.TimestampBeforeMaxMs, o.TimestampAfterMaxMs = 1000, 1000
		}
		o.MaxDecompressedBytes = 1 << 20
		payload = bytes.Clone(payload)
		if b, _, err := Next(payload); err == nil {
			if o.Origin == Client {
				b.SetBaseOffset(0)
			}
			b.UpdateCRC()
		}
		k, a, err := c.Validate(payload, o, 100, 3)
		if err != nil {
			var be *BatchError
			if !errors.As(err, &be) && !errors.As(err, new(MagicError)) {
				t.Fatal(err)
			}
			return
		}
		defer k.Release()
		b := a.Batch
		if b.CRC() != b.ComputeCRC() || b.LeaderEpoch() != 3 || b.LastOffset() != a.LastOffset || b.MaxTimestamp() != a.MaxTimestampMs {
			t.Fatalf("%+v", a)
		}
		if b.Count() == 0 {
			return // only from the broker itself, and nobody looks at what lies behind an empty batch
		}
		it, _, err := c.Iterate(b, nil, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		var r Record
		n := 0
		for it.Next(&r) {
			n++
		}
		if it.Err() != nil || n != k.Count() || o.Origin == Client && a.LastOffset != 99+int64(n) {
			t.Fatalf("%d records, %v", n, it.Err())
		}
	})
}

func BenchmarkCheck(b *testing.B) {
	c := NewCodecs()
	for codec := None; codec <= Zstd; codec++ {
		for _, n := range []int{1, 64} {
			payload := clientBatch(b, c, codec, n, 1000)
			plain := n * 1010
			for _, tt := range []TimestampType{CreateTime, LogAppendTime} {
				o := checkOptions()
				o.TimestampType = tt
				if tt == LogAppendTime && codec != None {
					continue
				}
				b.Run(fmt.Sprintf("%v/%dx1000/%v", codec, n, tt), func(b *testing.B) {
					b.SetBytes(int64(plain))
					b.ReportAllocs()
					for b.Loop() {
						payload.SetBaseOffset(0)
						payload.SetMaxTimestamp(CreateTime, genNow)
						k, err := c.Check(payload, o)
						if err != nil {
							b.Fatal(err)
						}
						k.Assign(1, 1, genNow)
					}
				})
			}
		}
	}
}
