package record

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"math/rand"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

const legacyInputsFile, legacyJavaFile = "testdata/legacy-inputs.txt.gz", "testdata/legacy-java.txt.gz"

// What Kafka's own classes make of thousands of message sets, we make of them too: reading, conversion up and down. With -update the
// inputs are written anew; then run testdata/java/Legacy.java.
func TestLegacyAgainstJava(t *testing.T) {
	c := NewCodecs()
	if *update {
		sets := legacySets(t)
		var text strings.Builder
		g := legacyGenerator{t, rand.New(rand.NewSource(11)), c}
		for _, in := range g.inputs(sets, slices.Sorted(maps.Keys(sets)), 6000) {
			fmt.Fprintln(&text, in)
		}
		var packed bytes.Buffer
		z := gzip.NewWriter(&packed)
		_, err := z.Write([]byte(text.String()))
		if err := errors.Join(err, z.Close(), os.WriteFile(legacyInputsFile, packed.Bytes(), 0o644)); err != nil {
			t.Fatal(err)
		}
		t.Skip("inputs written")
	}
	inputs, outputs := readLines(t, legacyInputsFile), readLines(t, legacyJavaFile)
	if len(inputs) != len(outputs) {
		t.Fatalf("%d inputs, %d outputs", len(inputs), len(outputs))
	}
	bad, seen := 0, map[string]int{}
	for i, line := range inputs {
		f, java := strings.Fields(line), strings.Fields(outputs[i])
		var set []byte
		if last := f[len(f)-1]; last != "-" {
			set = unhex(t, last)
		}
		var diff string
		switch f[1] {
		case "read":
			diff = compareRead(c, set, java[1:])
		case "up":
			seen["up "+java[1]]++
			diff = compareUp(t, c, f[2:], set, java[1:])
		case "down":
			diff = compareDown(t, c, f[2:], set, java[1:])
		}
		if diff == "" {
			continue
		}
		if bad++; bad <= 10 {
			t.Errorf("%.200s\n java %.600s\n %s", line, strings.Join(java[1:], " "), diff)
		}
	}
	if bad > 0 {
		t.Errorf("%d of %d differ", bad, len(inputs))
	}
	for _, code := range []string{"0", "2", "10", "32", "87", "-1", "empty"} { // the corpus reaches every answer
		if seen["up "+code] == 0 {
			t.Errorf("no conversion with code %s", code)
		}
	}
}

// codeOf is the Kafka error code of an error of ours.
func codeOf(err error) string {
	var ke *kerr.Error
	switch {
	case err == nil:
		return "0"
	case errors.Is(err, kerr.CorruptMessage):
		return "2"
	case errors.As(err, &ke):
		return fmt.Sprint(ke.Code)
	}
	return "none"
}

// sameError compares tokens; where Java has no definite error, ours may be any.
func sameError(ours, java string) bool {
	kind, code, ok := strings.Cut(java, ":-1")
	return ours == java || ok && code == "" && strings.HasPrefix(ours, kind+":")
}

func hexField(b []byte) string {
	switch {
	case b == nil:
		return "null"
	case len(b) == 0:
		return "-"
	}
	return hex.EncodeToString(b)
}

func compareRead(c *Codecs, set []byte, java []string) string {
	var ours []string
	for {
		raw, magic, rest, err := NextAny(set)
		if err == ErrShortHeader || err == ErrShortBatch {
			break
		}
		if err != nil {
			ours = append(ours, "end:"+codeOf(err))
			break
		}
		h := anyBatch(raw)
		codec, last, valid := fmt.Sprint(int8(h.codec)), h.offset, false
		if !h.codec.Known() {
			codec = "unknown"
		}
		if magic >= 2 {
			last, valid = Batch(raw).LastOffset(), Batch(raw).CRC() == Batch(raw).ComputeCRC()
		} else {
			valid = LegacyBatch(raw).CRC() == LegacyBatch(raw).ComputeCRC()
		}
		ours = append(ours, fmt.Sprintf("batch:%d:%s:%d:%d:%d:%t", magic, codec, h.timestampType, h.maxTimestamp, last, valid))
		it, _, err := c.IterateAny(raw, nil, 1<<20)
		if err == nil {
			for r := (Record{}); it.Next(&r); {
				ours = append(ours, fmt.Sprintf("record:%d:%d:%s:%s", r.Offset, r.Timestamp, hexField(r.Key), hexField(r.Value)))
			}
			err = it.Err()
		}
		if err != nil {
			ours = append(ours, "error:"+codeOf(err))
		}
		set = rest
	}
	if ours == nil {
		ours = []string{"-"}
	}
	if !slices.EqualFunc(ours, java, sameError) {
		return "ours " + strings.Join(ours, " ")
	}
	return ""
}

func compareUp(t *testing.T, c *Codecs, f []string, set []byte, java []string) string {
	in := parseInput(t, strings.Join([]string{"x", "2", "client", f[0], f[1], f[2], f[3], f[4], f[5], f[6], f[7], "-"}, " "))
	o := in.options(t)
	var err error
	if o.MaxMessageBytes, err = strconv.Atoi(f[8]); err != nil {
		t.Fatal(err)
	}
	k, err := c.CheckLegacy(set, o)
	defer k.Release()
	if java[0] == "empty" {
		if err != ErrNoMessages {
			return fmt.Sprint("java appends nothing; ours ", err)
		}
		return ""
	}
	if java[0] == "-1" && err != nil {
		return ""
	}
	if strings.Contains(strings.Join(java, " "), "base offset") && errors.Is(err, kerr.CorruptMessage) {
		return "" // shorter than a header of magic 2: Kafka finds that out later
	}
	if java[0] != "0" {
		return compareError(java, err)
	}
	if err != nil {
		return fmt.Sprint("java accepts it; ours ", err)
	}
	want := unhex(t, java[2])
	a := k.Assign(in.firstOffset, in.leaderEpoch, o.NowMs)
	if fmt.Sprint(a.MaxTimestampMs) != java[1] || a.FirstOffset != in.firstOffset || a.LastOffset != Batch(want).LastOffset() || a.Batch.CRC() != a.Batch.ComputeCRC() {
		return fmt.Sprintf("%+v", a)
	}
	return sameSet(c, a.Batch, want)
}

func compareDown(t *testing.T, c *Codecs, f []string, set []byte, java []string) string {
	magic, err1 := strconv.Atoi(f[0])
	first, err2 := strconv.ParseInt(f[1], 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	o := &DownConversion{Magic: int8(magic), FirstOffset: first}
	size, sent, wants := java[0], java[1], java[2:]
	var parts [][]byte // conversions of the batches, up to one that fails
	var failed error
	plain, dropped := true, false
	for rest := set; ; {
		raw, _, behind, err := NextAny(rest)
		if err != nil {
			break
		}
		if len(wants) == 0 {
			return "java has fewer batches"
		}
		part, err := c.downConvertBatch(nil, raw, o)
		if err == nil && len(part) == 0 && len(parts) == 0 {
			dropped = true
		}
		switch {
		case strings.HasPrefix(wants[0], "error:") || err != nil:
			if !sameError("error:"+codeOf(err), wants[0]) {
				return fmt.Sprintf("batch %d: %v", len(parts), err)
			}
		case wants[0] != "-":
			if diff := sameSet(c, part, unhex(t, wants[0])); diff != "" {
				return fmt.Sprintf("batch %d: %s", len(parts), diff)
			}
		case len(part) > 0:
			return fmt.Sprintf("batch %d: %x", len(parts), part)
		}
		if failed == nil {
			if failed = err; err == nil {
				parts = append(parts, part)
			}
		}
		plain = plain && anyBatch(raw).codec == None
		rest, wants = behind, wants[1:]
	}
	if len(wants) > 0 {
		return "java has more batches"
	}
	got, err := downConvert(c, set, o)
	if strings.HasPrefix(size, "error:") || err != nil {
		if !sameError("error:"+codeOf(err), size) {
			return fmt.Sprint(err)
		}
		return ""
	}
	if n, err := strconv.Atoi(size); err != nil || plain && n != len(got) {
		return fmt.Sprintf("%d bytes, java has %d", len(got), n)
	}
	if diff := checkRun(got, parts, failed); diff != "" {
		return diff
	}
	switch {
	case dropped: // see DownConverter
	case strings.HasPrefix(sent, "error:"):
		if failed == nil || codeOf(failed) == "76" {
			return "java cannot send it"
		}
	case plain:
		if want := strings.TrimPrefix(sent, "-"); hex.EncodeToString(got) != want {
			return fmt.Sprintf("sent %x", got)
		}
	}
	return ""
}

// checkRun says whether got is as much of parts as fits the size of what was converted, in whole messages, and an overflow message.
func checkRun(got []byte, parts [][]byte, failed error) string {
	all := bytes.Join(parts, nil)
	if len(all) == 0 {
		if want := "ffffffffffffffff0000003d"; len(parts) > 0 && hex.EncodeToString(got) != want || len(parts) == 0 && len(got) > 0 {
			return fmt.Sprintf("nothing converted: %x", got)
		}
		return ""
	}
	told := bytes.Clone(got[:wholeEntries(got)])
	if !bytes.HasPrefix(all, told) {
		return fmt.Sprintf("not a prefix: %x", got)
	}
	if rest := all[len(told):]; failed == nil && len(rest) > 0 && len(told)+LegacyBatch(rest).SizeBytes() <= len(got) {
		return fmt.Sprintf("one more entry had fitted: %x", got)
	}
	return ""
}

// wholeEntries is how much of a message set a consumer takes: up to the first message that is cut short.
func wholeEntries(set []byte) (n int) {
	for {
		raw, _, _, err := NextAny(set[n:])
		if err != nil {
			return n
		}
		n += len(raw)
	}
}

// downConvert reads all that a DownConverter gives, in pieces of several sizes.
func downConvert(c *Codecs, set []byte, o *DownConversion) ([]byte, error) {
	d, err := c.NewDownConverter(bytes.NewReader(set), int64(len(set)), *o)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	out := make([]byte, d.Len())
	for at, step := 0, 1; at < len(out); at, step = at+step, 2*step {
		step = min(step, len(out)-at)
		if _, err := d.ReadAt(out[at:at+step], int64(at)); err != nil {
			return nil, err
		}
	}
	return out, nil
}
