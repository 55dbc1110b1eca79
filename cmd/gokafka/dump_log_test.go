package main

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"gokafka/record"
)

// dumpLog runs the command and gives what it printed and its exit code.
func dumpLog(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	c := command(append([]string{"dump-log"}, args...)...)
	var out, errs strings.Builder
	c.Stdout, c.Stderr = &out, &errs
	_ = c.Run() // the code tells
	return out.String(), errs.String(), c.ProcessState.ExitCode()
}

// segment is a file with a batch of one record and a byte of garbage; crc is the batch's.
func segment(t *testing.T, name string) (path, crc string) {
	t.Helper()
	b := record.NewBuilder(record.NewBatchSpec())
	if err := b.Append(1700000000000, []byte("key"), []byte("value")); err != nil {
		t.Fatal(err)
	}
	batch, _, err := b.Build(nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, append(batch, 0), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, strconv.FormatUint(uint64(record.Batch(batch).CRC()), 10)
}

// Each flag gets where it belongs. What is printed is tested against Apache's tool in package dumplog.
func TestDumpLog(t *testing.T) {
	path, crc := segment(t, "00000000000000000000.log")
	const (
		dumping = "Dumping "
		start   = "Log starting offset: 0\n"
		head    = "| offset: 0 CreateTime: 1700000000000 keySize: 3 valueSize: 5 sequence: -1 headerKeys: []"
		garbage = "Found 1 invalid bytes at the end of 00000000000000000000.log\n"
	)
	batch := "baseOffset: 0 lastOffset: 0 count: 1 baseSequence: -1 lastSequence: -1 producerId: -1 producerEpoch: -1 partitionLeaderEpoch: -1" +
		" isTransactional: false isControl: false deleteHorizonMs: OptionalLong.empty position: 0 CreateTime: 1700000000000 size: 76 magic: 2" +
		" compresscodec: none crc: " + crc + " isvalid: true\n"
	for _, c := range []struct {
		args []string
		want string
	}{
		{nil, batch + garbage},
		{[]string{"--deep-iteration"}, batch + head + "\n" + garbage},
		{[]string{"--print-data-log"}, batch + head + " key: key payload: value\n" + garbage},
		{[]string{"--print-data-log", "--skip-record-metadata"}, batch + "| key: key payload: value\n" + garbage},
		{[]string{"--max-bytes", "1000"}, batch},
		{[]string{"--max-bytes=20"}, ""},
		{[]string{"--offsets-decoder"}, batch + head + " key: Unknown record type 27493 at offset 0, skipping.\n" + garbage},
		{[]string{"--transaction-log-decoder"}, batch + head + " key: unknown::version=27493\n" + garbage},
		{[]string{"--value-decoder-class", "org.apache.kafka.tools.api.StringDecoder"}, batch + head + " key: key payload: value\n" + garbage},
		{[]string{"--key-decoder-class", "kafka.serializer.StringDecoder"}, "+" + batch + head + " key: key payload: value\n" + garbage},
	} {
		out, errs, code := dumpLog(t, append([]string{"--files", path}, c.args...)...)
		want := dumping + path + "\n" + start + c.want
		if rest, ok := strings.CutPrefix(c.want, "+"); ok {
			want = dumping + path + "\nkafka.serializer.StringDecoder is deprecated. Please use org.apache.kafka.tools.api.StringDecoder instead\n" + start + rest
		}
		if out != want || errs != "" || code != 0 {
			t.Errorf("%v: exit %d\n%s%swant\n%s", c.args, code, out, errs, want)
		}
	}
}

// Indexes have flags of their own.
func TestDumpLogIndex(t *testing.T) {
	log, _ := segment(t, "00000000000000000000.log")
	index := strings.TrimSuffix(log, ".log") + ".index"
	if err := os.WriteFile(index, []byte{0, 0, 0, 5, 0, 0, 0, 0}, 0o600); err != nil {
		t.Fatal(err)
	}
	mismatch := "Mismatches in :" + index + "\n  Index offset: 5, log offset: 0\n"
	for _, c := range []struct {
		flag, out, errs string
		code            int
	}{
		{"--deep-iteration", "offset: 5 position: 0\n", mismatch, 0},
		{"--verify-index-only", "", mismatch, 0},
		{"--index-sanity-check", index + " passed sanity check.\n", "", 0},
		{"--max-message-size=75", "", "gokafka: " + index + ": entry 0: no whole batch of at most 75 bytes at position 0 of " + log + "\n", 1},
	} {
		out, errs, code := dumpLog(t, "--files", index, c.flag)
		if out != "Dumping "+index+"\n"+c.out || errs != c.errs || code != c.code {
			t.Errorf("%s: exit %d\n%s%s", c.flag, code, out, errs)
		}
	}
}

// What is not served, or not there, is one line on stderr and exit 1.
func TestDumpLogRefuses(t *testing.T) {
	for _, c := range []struct {
		args []string
		says string
	}{
		{nil, `missing required argument "[files]"`},
		{[]string{"--files", "0.log", "--cluster-metadata-decoder"}, "--cluster-metadata-decoder is not served"},
		{[]string{"--files", "0.log", "--remote-log-metadata-decoder"}, "--remote-log-metadata-decoder is not served"},
		{[]string{"--files", "0.log", "--value-decoder-class", "com.example.Mine"}, "decoder class com.example.Mine: Java classes cannot be loaded"},
		{[]string{"--files", "0.log", "--key-decoder-class=com.example.Mine"}, "decoder class com.example.Mine: Java classes cannot be loaded"},
		{[]string{"--files", "0.log", "--max-bytes", "many"}, "many"},
		{[]string{"--files", "0.log", "--nonsense"}, "unknown flag"},
		{[]string{"--files", filepath.Join(t.TempDir(), "0.log")}, "no such file"},
	} {
		_, errs, code := dumpLog(t, c.args...)
		if code != 1 || strings.Count(errs, "\n") != 1 || !strings.Contains(errs, c.says) {
			t.Errorf("%v: exit %d, %q", c.args, code, errs)
		}
	}
}
