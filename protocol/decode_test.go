package protocol

import (
	"bytes"
	"runtime"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// eachRequest calls f for every request that kmsg knows of Kafka 3.9, in every version.
func eachRequest(f func(key, version int16)) {
	for key := int16(0); key <= 69; key++ {
		q := kmsg.RequestForKey(key)
		if q == nil {
			continue
		}
		for v := int16(0); v <= q.MaxVersion(); v++ {
			f(key, v)
		}
	}
}

// A body of hostile counts must not make the decoder take memory out of proportion to the bytes received.
func TestDecodeMemoryIsBounded(t *testing.T) {
	if testing.Short() {
		t.Skip("decodes some hundred megabytes")
	}
	const size = 256 << 10
	const factor = 64 // bytes of memory for a byte received
	hostile := [][]byte{
		bytes.Repeat([]byte{0}, size),
		bytes.Repeat([]byte{1}, size),
		bytes.Repeat([]byte{0xff, 0xff, 0x01}, size/3),
		bytes.Repeat([]byte{0x7f}, size),
	}
	for lead := range 24 { // a large count at each place near the front
		for _, count := range [][]byte{{0, 3, 0xff, 0xff}, {0xff, 0xff, 0x0f}} {
			b := make([]byte, size)
			copy(b[lead:], count)
			hostile = append(hostile, b)
		}
	}
	var before, after runtime.MemStats
	eachRequest(func(key, version int16) {
		for i, b := range hostile {
			runtime.ReadMemStats(&before)
			Decode(key, version, b)
			runtime.ReadMemStats(&after)
			if used := after.TotalAlloc - before.TotalAlloc; used > factor*size {
				t.Errorf("%s v%d, body %d: %d bytes for %d received", kmsg.NameForKey(key), version, i, used, size)
			}
		}
	})
}

func FuzzDecode(f *testing.F) {
	fm := kmsg.NewRequestFormatter(kmsg.FormatterClientID("client"))
	eachRequest(func(key, version int16) {
		if key == KeyControlledShutdown && version == 0 {
			return // kmsg writes no body for it
		}
		q := kmsg.RequestForKey(key)
		q.SetVersion(version)
		f.Add(fm.AppendRequest(nil, q, 1)[SizeBytes:])
	})
	f.Fuzz(func(t *testing.T, frame []byte) {
		h, body, err := ParseHeader(frame)
		if err != nil {
			return
		}
		q := kmsg.RequestForKey(h.Key)
		if q == nil || h.Version < 0 || h.Version > q.MaxVersion() {
			return
		}
		kept := bytes.Clone(frame)
		q, err = Decode(h.Key, h.Version, body)
		if !bytes.Equal(kept, frame) {
			t.Fatal("decoding changed the frame")
		}
		if err != nil {
			return
		}
		// What was decoded can be encoded, and that is decoded to the same.
		again := fm.AppendRequest(nil, q, h.CorrelationID)
		if h.Key == KeyStopReplica {
			return // its own codec has tests of its own
		}
		if h.Key == KeyControlledShutdown && h.Version == 0 {
			return
		}
		_, body, err = ParseHeader(again[SizeBytes:])
		if err != nil {
			t.Fatal(err)
		}
		q2, err := Decode(h.Key, h.Version, body)
		if err != nil {
			t.Fatalf("%s v%d: %v", kmsg.NameForKey(h.Key), h.Version, err)
		}
		if !bytes.Equal(q.AppendTo(nil), q2.AppendTo(nil)) {
			t.Fatal("not the same")
		}
	})
}
