package record

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"math/rand"
	"os"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

var update = flag.Bool("update", false, "write testdata/validate-inputs.txt anew; then run testdata/java/Validate.java")

const inputsFile, javaFile = "testdata/validate-inputs.txt.gz", "testdata/validate-java.txt.gz"

// input is a line of validate-inputs.txt.
type input struct {
	name, version, origin, compacted, target, timestampType string
	before, after, now, firstOffset                         int64
	leaderEpoch                                             int32
	payload                                                 []byte
}

func (in input) String() string {
	payload := hex.EncodeToString(in.payload)
	if payload == "" {
		payload = "-"
	}
	return fmt.Sprint(in.name, " ", in.version, " ", in.origin, " ", in.compacted, " ", in.target, " ", in.timestampType, " ",
		in.before, " ", in.after, " ", in.now, " ", in.firstOffset, " ", in.leaderEpoch, " ", payload)
}

func (in input) options(t testing.TB) *CheckOptions {
	t.Helper()
	o := &CheckOptions{
		Label: "t-0", Compacted: in.compacted == "true", KeepCodec: in.target == "producer", TimestampBeforeMaxMs: in.before,
		TimestampAfterMaxMs: in.after, NowMs: in.now,
	}
	if in.origin != "client" {
		o.Origin = Coordinator
	}
	if in.timestampType == "LogAppendTime" {
		o.TimestampType = LogAppendTime
	}
	if !o.KeepCodec {
		var err error
		if o.Codec, err = ParseCodec(in.target); err != nil {
			t.Fatal(err)
		}
		o.Level = o.Codec.DefaultLevel()
	}
	v, err := strconv.Atoi(in.version)
	if err != nil {
		t.Fatal(err)
	}
	o.RefuseZstd = v < 7 && o.Origin == Client
	return o
}

const genNow int64 = 1700000000000

// generate makes inputs: batches as clients send them, and broken ones, under all sorts of settings.
func generate(r *rand.Rand, n int) []input {
	c := NewCodecs()
	pick := func(s ...string) string { return s[r.Intn(len(s))] }
	var out []input
	for i := range n {
		in := input{
			name: fmt.Sprint("r", i), version: "9", origin: "client", compacted: "false", target: pick("producer", "producer", "none", "gzip", "snappy", "lz4", "zstd"),
			timestampType: pick("CreateTime", "CreateTime", "LogAppendTime"), before: math.MaxInt64, after: math.MaxInt64,
			now: genNow, firstOffset: int64(r.Intn(1000)), leaderEpoch: int32(r.Intn(10)),
		}
		if r.Intn(10) == 0 {
			in.version = "6"
		}
		if r.Intn(4) == 0 {
			in.compacted = "true"
		}
		if r.Intn(4) == 0 {
			in.before, in.after = 1000, 500
		}
		if r.Intn(8) == 0 {
			in.origin = "coordinator"
		}
		in.payload = generateBatch(r, c)
		if r.Intn(2) == 0 && in.origin == "client" { // our own coordinators break nothing
			in.payload = damage(r, c, in.payload)
		}
		out = append(out, in)
	}
	return out
}

func generateBatch(r *rand.Rand, c *Codecs) []byte {
	spec := NewBatchSpec()
	spec.Codec = Codec(r.Intn(5))
	spec.Level = spec.Codec.DefaultLevel()
	if r.Intn(2) == 0 {
		spec.ProducerID, spec.ProducerEpoch, spec.BaseSequence = int64(r.Intn(5)), int16(r.Intn(3)), int32(r.Intn(10))
		spec.Transactional = r.Intn(3) == 0
	}
	if r.Intn(8) == 0 {
		spec.TimestampType, spec.AppendTimeMs = LogAppendTime, genNow-int64(r.Intn(2000))
	}
	b := NewBuilder(spec)
	bytesOf := func(prefix string) []byte {
		switch r.Intn(4) {
		case 0:
			return nil
		case 1:
			return []byte{}
		}
		return []byte(prefix + strings.Repeat("z", r.Intn(40)))
	}
	for i := range 1 + r.Intn(5) {
		ts := genNow - int64(r.Intn(2000)) + 700
		if r.Intn(6) == 0 {
			ts = NoTimestamp
		}
		key := []byte(fmt.Sprint("k", i))
		if r.Intn(4) == 0 {
			key = bytesOf("key")
		}
		value := bytesOf("value")
		if r.Intn(200) == 0 {
			value = randomBlock(r, 70<<10) // larger than the window of a scanner; keep the corpus small
			value = bytes.Repeat(value[:50], 1400)
		}
		var headers []Header
		for range r.Intn(3) {
			headers = append(headers, Header{Key: []byte(fmt.Sprint("h", r.Intn(2))), Value: bytesOf("x")})
		}
		if err := b.Append(ts, key, value, headers...); err != nil {
			panic(err)
		}
	}
	_, batch, err := b.Build(nil, c)
	if err != nil {
		panic(err)
	}
	return batch
}

// damage breaks a batch; most breaks have a valid CRC, so that they get past it.
func damage(r *rand.Rand, c *Codecs, p []byte) []byte {
	b := Batch(p)
	be := binary.BigEndian
	switch r.Intn(22) {
	case 0:
		b[len(b)-1]++ // CRC
		return b
	case 1:
		b.SetBaseOffset(1)
	case 2:
		be.PutUint32(b[offLastOffsetDelta:], uint32(b.LastOffsetDelta()+int32(r.Intn(3))-1))
	case 3:
		be.PutUint32(b[offCount:], uint32(b.Count()+int32(r.Intn(3))-1))
	case 4: // both: records too many or too few
		d := int32(r.Intn(3)) - 1
		be.PutUint32(b[offCount:], uint32(b.Count()+d))
		be.PutUint32(b[offLastOffsetDelta:], uint32(b.LastOffsetDelta()+d))
	case 5:
		b.setAttributes(b.Attributes() | attrControl)
	case 6:
		be.PutUint64(b[offProducerID:], 5)
		be.PutUint32(b[offBaseSequence:], math.MaxUint32)
	case 7:
		b.setAttributes(b.Attributes() | 1<<6 | 1<<7 | 1<<9)
	case 8:
		be.PutUint64(b[offMaxTimestamp:], uint64(b.MaxTimestamp()+int64(r.Intn(3))-1))
	case 9:
		return append(b, make([]byte, r.Intn(20))...)
	case 10:
		return append(b, b...)
	case 11:
		return append(b, b[:min(len(b), 12+r.Intn(70))]...)
	case 12:
		return b[:r.Intn(len(b))]
	case 13:
		b[offMagic] = byte(r.Intn(5)) - 1
	case 14:
		be.PutUint32(b[offLength:], uint32(r.Intn(80)))
	case 15:
		b.setAttributes(b.Attributes()&^7 | int16(5+r.Intn(3)))
	case 16:
		be.PutUint32(b[offCount:], uint32(-r.Intn(3)))
	case 17:
		be.PutUint32(b[offLastOffsetDelta:], math.MaxUint32)
		be.PutUint32(b[offCount:], 0)
	case 18, 19, 20, 21: // inside the records
		return damageRecords(r, c, b)
	}
	b.UpdateCRC()
	return b
}

func damageRecords(r *rand.Rand, c *Codecs, b Batch) []byte {
	block := bytes.Clone(b.RecordsBlock())
	if b.Codec() != None && r.Intn(4) > 0 {
		var err error
		if block, err = c.Decompress(nil, b.Codec(), block, 1<<20); err != nil {
			panic(err)
		}
		block = damageBlock(r, block)
		if block, err = c.Compress(nil, b.Codec(), b.Codec().DefaultLevel(), block); err != nil {
			panic(err)
		}
	} else {
		block = damageBlock(r, block)
	}
	out := Batch(append(bytes.Clone(b[:HeaderSizeBytes]), block...))
	binary.BigEndian.PutUint32(out[offLength:], uint32(len(out)-LogOverheadBytes))
	out.UpdateCRC()
	return out
}

func damageBlock(r *rand.Rand, block []byte) []byte {
	switch r.Intn(5) {
	case 0:
		return block[:r.Intn(len(block))]
	case 1:
		return append(block, byte(r.Intn(256)))
	case 2: // offset delta of the first record, mostly
		if len(block) > 8 {
			block[3+r.Intn(5)] ^= 2
		}
	default:
		block[r.Intn(min(len(block), 60))] = byte(r.Intn(256))
	}
	return block
}

// What Kafka's own LogValidator says of thousands of batches, we say too. The exceptions are those that Check documents.
func TestCheckAgainstJava(t *testing.T) {
	if *update {
		var text strings.Builder
		for _, in := range generate(rand.New(rand.NewSource(7)), 3000) {
			fmt.Fprintln(&text, in)
		}
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		_, err := z.Write([]byte(text.String()))
		if err := errors.Join(err, z.Close(), os.WriteFile(inputsFile, packed.Bytes(), 0o644)); err != nil {
			t.Fatal(err)
		}
		t.Skip("inputs written")
	}
	inputs, outputs := readLines(t, inputsFile), readLines(t, javaFile)
	if len(inputs) != len(outputs) {
		t.Fatalf("%d inputs, %d outputs", len(inputs), len(outputs))
	}
	c := NewCodecs()
	codes := map[string]int{}
	for i := range inputs {
		in := parseInput(t, inputs[i])
		name, want, _ := strings.Cut(outputs[i], " ")
		if name != in.name {
			t.Fatalf("line %d: %s and %s", i, in.name, name)
		}
		code, _, _ := strings.Cut(want, " ")
		codes[code]++
		k, a, err := c.Validate(bytes.Clone(in.payload), in.options(t), in.firstOffset, in.leaderEpoch)
		if diff := compare(t, c, in, want, k, a, err); diff != "" && !tolerated(in, want) {
			t.Errorf("%s: %s\ninput %.400s\njava %.300s\nerr %v", in.name, diff, inputs[i], want, err)
		}
		k.Release()
	}
	t.Logf("codes: %v", codes)
	for _, code := range []string{"0", "2", "32", "76", "87", "-1"} {
		if codes[code] == 0 {
			t.Errorf("no input with code %s", code)
		}
	}
}

// tolerated: Kafka reads the codec of a batch before it finds it too short for a header, and stores a header key that is not UTF-8
// with U+FFFD in it when it compresses anew.
func tolerated(in input, want string) bool {
	short := len(in.payload) > 12 && binary.BigEndian.Uint32(in.payload[offLength:]) < HeaderSizeBytes-LogOverheadBytes
	return short && strings.HasPrefix(want, "76 ") || strings.HasPrefix(want, "0 ") && strings.Contains(want, "efbfbd")
}

func compare(t *testing.T, c *Codecs, in input, want string, k Checked, a Assigned, err error) string {
	t.Helper()
	f := strings.SplitN(want, " ", 4)
	if f[0] != "0" {
		return compareError(f, err)
	}
	if err != nil {
		return "java accepts it"
	}
	wantBatch := Batch(unhex(t, f[3]))
	switch {
	case f[1] != fmt.Sprint(a.MaxTimestampMs):
		return fmt.Sprintf("max timestamp %d", a.MaxTimestampMs)
	case f[2] != fmt.Sprint(k.Rebuilt()):
		return fmt.Sprintf("rebuilt %v", k.Rebuilt())
	case a.Batch.CRC() != a.Batch.ComputeCRC():
		return "the CRC is wrong"
	case a.LastOffset != a.Batch.LastOffset() || a.FirstOffset != in.firstOffset || a.Batch.MaxTimestamp() != a.MaxTimestampMs:
		return fmt.Sprintf("assigned %+v", a)
	case bytes.Equal(a.Batch, wantBatch):
		return ""
	case !k.Rebuilt() || a.Batch.Codec() == None:
		return fmt.Sprintf("bytes %x", []byte(a.Batch))
	}
	// Compressed anew: another compressor, the same content.
	got, theirs := bytes.Clone(a.Batch[:HeaderSizeBytes]), bytes.Clone(wantBatch[:HeaderSizeBytes])
	for _, h := range [][]byte{got, theirs} {
		clear(h[offLength:offLeaderEpoch])
		clear(h[offCRC:offAttributes])
	}
	if !bytes.Equal(got, theirs) {
		return fmt.Sprintf("header %x, want %x", got, theirs)
	}
	gotPlain, err1 := c.Decompress(nil, a.Batch.Codec(), a.Batch.RecordsBlock(), 1<<20)
	wantPlain, err2 := c.Decompress(nil, wantBatch.Codec(), wantBatch.RecordsBlock(), 1<<20)
	if err1 != nil || err2 != nil || !bytes.Equal(gotPlain, wantPlain) {
		return fmt.Sprint("content differs ", err1, err2)
	}
	return ""
}

func compareError(f []string, err error) string {
	if err == nil {
		return "java refuses it"
	}
	var magic MagicError
	if errors.As(err, &magic) {
		if magic.IsLegacy() != (f[0] == "87") {
			return "another error"
		}
		return ""
	}
	var be *BatchError
	if !errors.As(err, &be) {
		return "not a BatchError"
	}
	if f[0] == "-1" { // see Check
		if be.Kind != kerr.InvalidRecord && be.Kind != kerr.CorruptMessage {
			return "another error"
		}
		return ""
	}
	if f[0] != fmt.Sprint(be.Kind.Code) {
		return fmt.Sprintf("code %d", be.Kind.Code)
	}
	var indexes []string
	for _, r := range be.Records {
		indexes = append(indexes, fmt.Sprint(r.BatchIndex))
	}
	if f[1] == "-" {
		if len(indexes) > 0 {
			return fmt.Sprintf("record errors %v", indexes)
		}
		return ""
	}
	if f[1] != strings.Join(indexes, ",") {
		return fmt.Sprintf("record errors %v", indexes)
	}
	// "message DefaultRecord(offset=…)" names a Java object where we name the offset.
	if text := strings.Join(f[2:], " "); text != be.Text && !strings.Contains(text, "DefaultRecord(") && !strings.Contains(text, "LegacyRecordBatch(") {
		return fmt.Sprintf("text %q, want %q", be.Text, text)
	}
	return ""
}

func readLines(t testing.TB, file string) []string {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimRight(string(b), "\n"), "\n")
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parseInput(t *testing.T, line string) input {
	t.Helper()
	f := strings.Fields(line)
	num := func(i int) int64 {
		n, err := strconv.ParseInt(f[i], 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	in := input{name: f[0], version: f[1], origin: f[2], compacted: f[3], target: f[4], timestampType: f[5],
		before: num(6), after: num(7), now: num(8), firstOffset: num(9), leaderEpoch: int32(num(10))}
	if f[11] != "-" {
		in.payload = unhex(t, f[11])
	}
	return in
}
