package record

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

func TestCheckLegacyRefuses(t *testing.T) {
	c := NewCodecs()
	msg := func(magic int8, key []byte, ts int64) []byte { return rawEntry(t, magic, 0, 0, ts, key, []byte("v")) }
	k := []byte("k")
	badCRC := func(e []byte) []byte { e = bytes.Clone(e); e[len(e)-1]++; return e }
	good := msg(1, k, genNow)
	for name, x := range map[string]struct {
		set     []byte
		o       func(*CheckOptions)
		want    *kerr.Error
		records []int32 // at fault
	}{
		"CRC":                        {append(bytes.Clone(good), badCRC(good)...), nil, kerr.CorruptMessage, nil},
		"CRC inside a wrapper":       {wrapEntries(t, c, 1, LZ4, 0, good, badCRC(good)), nil, kerr.CorruptMessage, nil},
		"other magic behind":         {append(bytes.Clone(good), msg(0, k, 0)...), nil, kerr.InvalidRecord, nil},
		"other magic inside":         {wrapEntries(t, c, 1, LZ4, 0, msg(0, k, 0)), nil, kerr.InvalidRecord, []int32{0}},
		"a wrapper among messages":   {append(bytes.Clone(good), wrapEntries(t, c, 1, Gzip, 0, good)...), nil, kerr.InvalidRecord, nil},
		"two wrappers":               {bytes.Repeat(wrapEntries(t, c, 1, Gzip, 0, good), 2), nil, kerr.InvalidRecord, nil},
		"a batch of magic 2 behind":  {append(bytes.Clone(good), smallBatch(t, "x")...), nil, kerr.InvalidRecord, nil},
		"two batches of magic 2":     {bytes.Repeat(smallBatch(t, "x"), 2), nil, kerr.InvalidRecord, nil},
		"negative timestamp":         {msg(1, k, -2), nil, kerr.InvalidRecord, nil},
		"no key":                     {append(bytes.Clone(good), msg(1, nil, genNow)...), func(o *CheckOptions) { o.Compacted = true }, kerr.InvalidRecord, []int32{0}},
		"no keys inside":             {wrapEntries(t, c, 1, LZ4, 0, msg(1, nil, 1), good, msg(1, nil, 1)), func(o *CheckOptions) { o.Compacted = true }, kerr.InvalidRecord, []int32{0, 2}},
		"too old":                    {msg(1, k, genNow-1001), func(o *CheckOptions) { o.TimestampBeforeMaxMs = 1000 }, kerr.InvalidTimestamp, []int32{0}},
		"producer set LogAppendTime": {rawEntry(t, 1, attrLogAppendTime, 0, genNow, k, k), func(o *CheckOptions) { o.TimestampType = LogAppendTime }, kerr.InvalidTimestamp, []int32{0}},
		"too large":                  {good, func(o *CheckOptions) { o.MaxMessageBytes = len(good) - 1 }, kerr.MessageTooLarge, nil},
		"too large once converted":   {good, func(o *CheckOptions) { o.MaxMessageBytes = len(good) }, kerr.MessageTooLarge, nil},
		"length 0":                   {append(bytes.Clone(good), make([]byte, 20)...), nil, kerr.CorruptMessage, nil},
		"magic 3":                    {append(bytes.Clone(good[:offMagic]), append([]byte{3}, good[offMagic+1:]...)...), nil, kerr.CorruptMessage, nil},
	} {
		o := checkOptions()
		if x.o != nil {
			x.o(o)
		}
		_, err := c.CheckLegacy(x.set, o)
		var be *BatchError
		if !errors.As(err, &be) || be.Kind != x.want || len(be.Records) != len(x.records) {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for i, r := range be.Records {
			if r.BatchIndex != x.records[i] {
				t.Errorf("%s: record %d", name, r.BatchIndex)
			}
		}
	}
}

func TestCheckLegacyAccepts(t *testing.T) {
	c := NewCodecs()
	good := rawEntry(t, 1, 0, 0, genNow, []byte("k"), []byte("v"))
	v0 := rawEntry(t, 0, 0, 0, 0, []byte("k"), []byte("v"))
	zstd := clientBatch(t, c, Zstd, 3, 10)
	for name, x := range map[string]struct {
		set   []byte
		o     func(*CheckOptions)
		count int
		ts    int64
	}{
		"all at offset 0":            {bytes.Repeat(good, 3), nil, 3, genNow},
		"cut short":                  {append(bytes.Clone(good), good[:30]...), nil, 1, genNow},
		"magic 0":                    {bytes.Repeat(v0, 2), func(o *CheckOptions) { o.TimestampBeforeMaxMs = 5 }, 2, NoTimestamp},
		"LogAppendTime bit, cleared": {rawEntry(t, 1, attrLogAppendTime, 0, genNow, nil, nil), nil, 1, genNow},
		"magic 2, zstd":              {zstd, func(o *CheckOptions) { o.RefuseZstd = true }, 3, genNow},
		"wrong wrapper offset":       {wrapEntries(t, c, 1, Snappy, 0, good, good, good), nil, 3, genNow},
	} {
		o := checkOptions()
		if x.o != nil {
			x.o(o)
		}
		k, err := c.CheckLegacy(bytes.Clone(x.set), o)
		if err != nil || k.Count() != x.count {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if a := k.Assign(5, 1, genNow); a.MaxTimestampMs != x.ts || a.FirstOffset != 5 || a.Batch.TimestampType() != CreateTime {
			t.Errorf("%s: %+v", name, a)
		}
		k.Release()
	}
	for name, set := range map[string][]byte{"empty": nil, "less than a head": good[:16], "less than a message": good[:len(good)-1]} {
		if _, err := c.CheckLegacy(set, checkOptions()); err != ErrNoMessages {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A topic's own codec and level count, and those of the wrapper with compression.type=producer, where the level is the default.
func TestCheckLegacyTarget(t *testing.T) {
	c := NewCodecs()
	good := rawEntry(t, 1, 0, 0, genNow, []byte("k"), []byte("v"))
	for name, x := range map[string]struct {
		set    []byte
		keep   bool
		codec  Codec
		target Codec
	}{
		"plain, producer":   {good, true, Gzip, None},
		"wrapper, producer": {wrapEntries(t, c, 1, Snappy, 0, good), true, Gzip, Snappy},
		"plain, zstd":       {good, false, Zstd, Zstd},
		"wrapper, none":     {wrapEntries(t, c, 1, Snappy, 0, good), false, None, None},
		"wrapper, the same": {wrapEntries(t, c, 1, LZ4, 0, good), false, LZ4, LZ4},
	} {
		o := checkOptions()
		o.KeepCodec, o.Codec, o.Level = x.keep, x.codec, 1
		k, err := c.CheckLegacy(x.set, o)
		if err != nil || k.Assign(0, 0, genNow).Batch.Codec() != x.target {
			t.Errorf("%s: %v", name, err)
			continue
		}
		// A frame of LZ4 in magic 0 has another checksum than the batch's must have.
		if got := readAll(t, c, k.Assign(0, 0, genNow).Batch); len(got) != 1 || string(got[0].value) != "v" {
			t.Errorf("%s: %v", name, got)
		}
		k.Release()
	}
}

// With compression.type=producer the level is the codec's default, whatever the topic's levels are.
func TestCheckLegacyLevel(t *testing.T) {
	c := NewCodecs()
	set := wrapEntries(t, c, 1, Gzip, 0, rawEntry(t, 1, 0, 0, genNow, nil, randomBlock(rand.New(rand.NewSource(3)), 20000)))
	o := checkOptions()
	o.Level = 1
	k, err := c.CheckLegacy(set, o)
	if err != nil {
		t.Fatal(err)
	}
	got := k.Assign(0, 0, genNow).Batch.RecordsBlock()
	plain, err1 := c.Decompress(nil, Gzip, got, 1<<20)
	want, err2 := c.Compress(nil, Gzip, Gzip.DefaultLevel(), plain)
	if err := errors.Join(err1, err2); err != nil || !bytes.Equal(got, want) {
		t.Fatal("another level", len(got), len(want), err)
	}
	k.Release()
}

// The payload is a slice of a request's frame: appends to it must not touch what follows.
func TestCheckLegacyLeavesThePayload(t *testing.T) {
	c := NewCodecs()
	frame := append(rawEntry(t, 0, 0, 0, 0, nil, []byte("v")), "the next partition"...)
	payload := frame[:len(frame)-18]
	sent := bytes.Clone(frame)
	k, err := c.CheckLegacy(payload, checkOptions())
	if err != nil {
		t.Fatal(err)
	}
	b := k.Assign(1<<40, 9, genNow).Batch
	k.Release()
	if !bytes.Equal(frame, sent) || binary.BigEndian.Uint64(b) != 1<<40 {
		t.Fatal("the frame changed")
	}
}
