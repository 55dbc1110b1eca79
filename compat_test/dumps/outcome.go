package dumps

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"

	"gokafka/compat_test/harness"
)

// Run is one run of the tool, in the directory of the corpus.
type Run struct {
	Args []string
	// Paths: standard error depends on where the corpus is, beyond the path itself, so that only a live comparison can be made.
	Paths bool
}

// Outcome is what came of a run.
type Outcome struct {
	Args   string // with tabs in between
	Exit   string // "0", or "1" and the exception
	Stdout []byte
	Stderr []byte
}

// Failed says whether the tool ended with 1.
func (o *Outcome) Failed() bool { return o.Exit != "0" }

// dirMark stands for the corpus's directory in recorded outcomes.
const dirMark = "$DIR"

// Apache lets Apache's tool make the runs in dir, in one JVM.
func Apache(dir string, runs []Run) ([]Outcome, error) {
	classes, err := harness.JavaClasses("DumpLog.java")
	if err != nil {
		return nil, err
	}
	plan, out := filepath.Join(dir, "plan.txt"), filepath.Join(dir, "outcomes.txt")
	var b strings.Builder
	for _, r := range runs {
		b.WriteString(strings.Join(r.Args, "\t") + "\n")
	}
	if err := os.WriteFile(plan, []byte(b.String()), 0o600); err != nil {
		return nil, err
	}
	c := exec.Command("java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=off", "-cp", classes, "DumpLog", plan, out)
	c.Dir = dir
	if text, err := c.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("java: %w: %s", err, text)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		return nil, err
	}
	return parse(text)
}

func parse(text []byte) (out []Outcome, err error) {
	for _, line := range bytes.SplitAfter(text, []byte("\n")) {
		if len(line) == 0 {
			continue
		}
		if rest, ok := bytes.CutPrefix(line, []byte("== ")); ok {
			out = append(out, Outcome{Args: strings.TrimSuffix(string(rest), "\n")})
			continue
		}
		if len(out) == 0 {
			return nil, errors.New("outcomes do not begin with a run")
		}
		o := &out[len(out)-1]
		switch line[0] {
		case 'e':
			o.Exit = strings.TrimSuffix(strings.TrimPrefix(string(line), "exit "), "\n")
		case '>':
			o.Stdout = append(o.Stdout, line[1:]...)
		case ')':
			o.Stdout = append(o.Stdout, line[1:len(line)-1]...)
		case '!':
			o.Stderr = append(o.Stderr, line[1:]...)
		default:
			return nil, fmt.Errorf("outcome of %s: line %q", o.Args, line)
		}
	}
	return out, nil
}

// Format is the recorded form of outcomes, compressed; dir is where the corpus was.
func Format(dir string, outcomes []Outcome) ([]byte, error) {
	var b bytes.Buffer
	for _, o := range outcomes {
		fmt.Fprintf(&b, "== %s\nexit %s\n", o.Args, o.Exit)
		for _, line := range bytes.SplitAfter(o.Stdout, []byte("\n")) {
			switch {
			case bytes.HasSuffix(line, []byte("\n")):
				b.WriteString(">" + string(line))
			case len(line) > 0:
				b.WriteString(")" + string(line) + "\n")
			}
		}
		for _, line := range bytes.SplitAfter(o.Stderr, []byte("\n")) {
			if len(line) > 0 {
				b.WriteString("!" + string(line))
			}
		}
	}
	text := bytes.ReplaceAll(b.Bytes(), []byte(dir), []byte(dirMark))
	w, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBestCompression), zstd.WithWindowSize(8<<20))
	if err != nil {
		return nil, err
	}
	return w.EncodeAll(text, nil), w.Close()
}

// Parse reads the recorded form, for a corpus in dir.
func Parse(packed []byte, dir string) ([]Outcome, error) {
	r, err := zstd.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		return nil, err
	}
	return parse(bytes.ReplaceAll(text, []byte(dirMark), []byte(dir)))
}

// RecordedSeed is the seed of the recorded corpus.
const RecordedSeed = 1

// Recorded are the runs that can be recorded: those whose outcome does not depend on where the corpus is.
func Recorded(runs []Run) (out []Run) {
	for _, r := range runs {
		if !r.Paths {
			out = append(out, r)
		}
	}
	return out
}
