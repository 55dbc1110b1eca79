package dumplog

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gokafka/record"
)

func defaults(files ...string) Options {
	return Options{Files: files, MaxMessageSize: DefaultMaxMessageSize, MaxBytes: NoMaxBytes}
}

func write(t testing.TB, name string, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// batchOf is a batch with one record.
func batchOf(t testing.TB, codec record.Codec, value []byte) record.Batch {
	t.Helper()
	spec := record.NewBatchSpec()
	spec.Codec = codec
	b := record.NewBuilder(spec)
	if err := b.Append(5, nil, value); err != nil {
		t.Fatal(err)
	}
	out, _, err := b.Build(nil, record.NewCodecs())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// Classes are refused before anything is printed, but for those that are served.
func TestClassesAreRefused(t *testing.T) {
	file := write(t, "0.log", nil)
	for _, class := range []string{"com.example.Decoder", "org.apache.kafka.tools.api.DefaultDecoder", "kafka.serializer.DefaultDecoder", "StringDecoder"} {
		for _, o := range []Options{{KeyDecoder: class}, {ValueDecoder: class}} {
			o.Files, o.MaxBytes = []string{file}, NoMaxBytes
			var out bytes.Buffer
			if err := Run(t.Context(), o, &out, io.Discard); !errors.Is(err, ErrNoClasses) || !strings.Contains(err.Error(), class) || out.Len() > 0 {
				t.Errorf("%s: %v, printed %q", class, err, out.String())
			}
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, o := range []Options{{}, {Files: []string{"0.log"}, Records: "cluster-metadata"}} {
		var out bytes.Buffer
		if err := Run(t.Context(), o, &out, io.Discard); err == nil || out.Len() > 0 {
			t.Errorf("%+v: %v, printed %q", o, err, out.String())
		}
	}
}

// A batch above the limit, as stored or decompressed, is an error; its line is printed first.
func TestLargeBatches(t *testing.T) {
	zeros := make([]byte, 1<<20)
	for _, codec := range []record.Codec{record.None, record.Gzip, record.Snappy, record.LZ4, record.Zstd} {
		for limit, fails := range map[int]bool{1 << 19: true, 1<<20 + 1000: false} {
			o := defaults(write(t, "0.log", batchOf(t, codec, zeros)))
			o.DeepIteration = true
			var out bytes.Buffer
			d := newDumper(t.Context(), o, &out, io.Discard)
			d.limit = limit
			if err := d.run(); (err != nil) != fails {
				t.Errorf("%v, limit %d: %v", codec, limit, err)
			}
			if !strings.Contains(out.String(), "isvalid: true\n") {
				t.Errorf("%v, limit %d: %q", codec, limit, out.String())
			}
		}
	}
}

// A length beyond the file makes nothing of its size.
func TestDeclaredLengthTakesNoMemory(t *testing.T) {
	b := batchOf(t, record.None, nil)
	binary.BigEndian.PutUint32(b[8:], 1<<31-1)
	o := defaults(write(t, "0.log", b))
	o.DeepIteration = true
	var out bytes.Buffer
	n := testing.AllocsPerRun(1, func() {
		if err := Run(t.Context(), o, &out, io.Discard); err != nil {
			t.Error(err)
		}
	})
	if !strings.Contains(out.String(), "invalid bytes at the end") || n > 1000 {
		t.Errorf("%v allocations, %q", n, out.String())
	}
}

type brokenWriter struct{}

var errBroken = errors.New("broken")

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }

// The end of the context ends the run before the next batch.
func TestCanceled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out bytes.Buffer
	if err := Run(ctx, defaults(write(t, "0.log", batchOf(t, record.None, nil))), &out, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if strings.Contains(out.String(), "baseOffset") {
		t.Errorf("%q", out.String())
	}
}

// What cannot be written is an error of the run.
func TestOutputFails(t *testing.T) {
	if err := Run(t.Context(), defaults(write(t, "0.log", nil)), brokenWriter{}, io.Discard); !errors.Is(err, errBroken) {
		t.Errorf("standard output: %v", err)
	}
	if err := Run(t.Context(), defaults(write(t, "0.txt", nil)), io.Discard, brokenWriter{}); !errors.Is(err, errBroken) {
		t.Errorf("standard error: %v", err)
	}
}

// Nothing is made or changed, not even the index that Apache's tool makes when it is missing.
func TestFilesAreOnlyRead(t *testing.T) {
	path := write(t, "0.log", batchOf(t, record.None, []byte("v")))
	dir := filepath.Dir(path)
	if err := os.WriteFile(filepath.Join(dir, "0.timeindex"), make([]byte, 12), 0o400); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"0.log", "0.timeindex", "0.index", "0.txnindex", "0.snapshot"} {
		_ = Run(t.Context(), defaults(filepath.Join(dir, name)), io.Discard, io.Discard)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("%v, %v", entries, err)
	}
}

func TestSplitFiles(t *testing.T) {
	for list, want := range map[string][]string{"": {""}, "a": {"a"}, "a,b": {"a", "b"}, "a,,b,,": {"a", "", "b"}, ",a": {"", "a"}} {
		if got := SplitFiles(list); !slices.Equal(got, want) {
			t.Errorf("%q: %q", list, got)
		}
	}
}

// The order of Scala's HashMap[String, _], as Scala 2.13.15 gave it.
func TestScalaOrder(t *testing.T) {
	keys := strings.Fields("alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron")
	var h scalaHash
	for i, k := range keys {
		h.grow()
		h.put(i, javaHash(k))
	}
	var got []string
	for _, i := range h.order() {
		got = append(got, keys[i])
	}
	const want = "zeta iota nu mu delta theta epsilon xi lambda omicron eta alpha kappa beta gamma"
	if s := strings.Join(got, " "); s != want {
		t.Errorf("%s\nScala: %s", s, want)
	}
}
