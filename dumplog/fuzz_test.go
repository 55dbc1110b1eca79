package dumplog

import (
	"bytes"
	"io"
	"testing"

	"gokafka/record"
)

// FuzzDump dumps what it is given as each kind of file, in each mode. Only a panic or a hang is wrong.
func FuzzDump(f *testing.F) {
	entry := []byte{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 9, 0, 0, 0, 70}
	f.Add([]byte(batchOf(f, record.None, []byte("value"))), entry)
	for _, codec := range []record.Codec{record.Gzip, record.Snappy, record.LZ4, record.Zstd} {
		f.Add([]byte(batchOf(f, codec, []byte("value value value"))), entry[:12])
	}
	for magic := range int8(2) {
		for _, codec := range []record.Codec{record.None, record.Gzip, record.Snappy, record.LZ4} {
			var b record.LegacyBuilder
			b.Reset(record.LegacySpec{Magic: magic, Codec: codec})
			if err := b.Append(0, 5, []byte("key"), []byte("value")); err != nil {
				f.Fatal(err)
			}
			set, err := b.Build(nil, record.NewCodecs())
			if err != nil {
				f.Fatal(err)
			}
			f.Add(set, entry)
		}
	}
	f.Add([]byte{0, 1, 0x48, 0x67, 0x4b, 0xc7, 0, 0, 0, 0}, make([]byte, 34))
	codecs := record.NewCodecs()
	modes := []Options{{}, {PrintDataLog: true}, {Records: OffsetsDecoder}, {Records: TransactionsDecoder, SkipRecordMetadata: true},
		{KeyDecoder: string(IntegerDecoder), VerifyIndexOnly: true}, {IndexSanityCheck: true, DeepIteration: true}}
	f.Fuzz(func(t *testing.T, log, index []byte) {
		disk := map[string][]byte{"0.log": log, "0.index": index, "0.timeindex": index, "0.txnindex": index, "0.snapshot": log, "bootstrap.checkpoint": log}
		for name := range disk {
			for _, o := range modes {
				o.Files, o.MaxBytes, o.MaxMessageSize = []string{name}, NoMaxBytes, DefaultMaxMessageSize
				d := newDumper(t.Context(), o, io.Discard, io.Discard)
				d.limit, d.codecs = 1<<20, codecs
				d.open = func(path string) (*file, error) {
					return newFile(memory{bytes.NewReader(disk[path])}, path, int64(len(disk[path]))), nil
				}
				_ = d.run() // an error is a fine answer
			}
		}
	})
}

// memory is a file in memory.
type memory struct{ *bytes.Reader }

func (memory) Close() error { return nil }

// FuzzMessage reads what it is given as the records of Kafka's internal topics.
func FuzzMessage(f *testing.F) {
	f.Add([]byte{0, 1, 0, 1, 'g', 0, 1, 't', 0, 0, 0, 0}, []byte{0, 3, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0, 2, 0, 1, 'g'}, []byte{0, 0, 0, 8, 'c', 'o', 'n', 's', 'u', 'm', 'e', 'r', 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 1})
	f.Add([]byte{0, 5, 0, 1, 'g', 0, 1, 'm'}, []byte{0, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 0, 2, 1, 0, 0, 0, 5, 1, 0})
	f.Add([]byte{0, 0, 0, 1, 't'}, append([]byte{0, 1}, make([]byte, 40)...))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		e := &entry{key: present(key), value: present(value)}
		for _, parse := range []parser{parseOffsets, parseTransaction} {
			c, err := parse(e)
			if limit := 1000 + 200*(len(key)+len(value)); err == nil && len(c.key)+len(c.value) > limit {
				t.Errorf("%d bytes of text from %d bytes", len(c.key)+len(c.value), len(key)+len(value))
			}
		}
	})
}
