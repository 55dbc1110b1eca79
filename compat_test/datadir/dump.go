package datadir

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"path"
	"slices"
	"strings"

	"gokafka/compat_test/harness"
)

// Findings are what kafka.tools.DumpLogSegments said of files.
type Findings struct {
	// Logs, Indexes, Snapshots count the files looked at; Batches those in the segments.
	Logs, Indexes, Snapshots, Batches int
	// Problems are lines that name something wrong.
	Problems []string
}

// maxFilesBytes bounds one argument of a command line (Linux allows 128 KiB).
const maxFilesBytes = 100 << 10

// Dump runs Apache's tool on all files of the directory: segments with --deep-iteration, indexes with
// --index-sanity-check and --verify-index-only, snapshots and transaction indexes. gaps names partitions whose logs may
// lack offsets. skip leaves files out.
func (d Dir) Dump(ctx context.Context, gaps func(partition string) bool, skip func(file string) bool) (Findings, error) {
	var f Findings
	all, err := d.Files()
	if err != nil {
		return f, err
	}
	var logs, indexes []string
	for _, name := range all {
		if skip != nil && skip(name) || path.Dir(name) == "." {
			continue
		}
		switch path.Ext(name) {
		case ".log":
			f.Logs++
			logs = append(logs, name)
		case ".snapshot", ".txnindex":
			f.Snapshots++
			logs = append(logs, name)
		case ".index", ".timeindex":
			f.Indexes++
			indexes = append(indexes, name)
		}
	}
	for _, run := range []struct {
		files []string
		flag  string
	}{{slices.Concat(logs, indexes), "--index-sanity-check"}, {indexes, "--verify-index-only"}} {
		for len(run.files) > 0 {
			n := chunk(run.files)
			if err := d.dump(ctx, run.files[:n], run.flag, gaps, &f); err != nil {
				return f, err
			}
			run.files = run.files[n:]
		}
	}
	return f, nil
}

func chunk(files []string) int {
	total := 0
	for i, f := range files {
		if total += len(f) + 1; total > maxFilesBytes {
			return i
		}
	}
	return len(files)
}

func (d Dir) dump(ctx context.Context, files []string, flag string, gaps func(string) bool, f *Findings) error {
	libs, err := harness.JavaLibs()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, "java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
		"-Dorg.slf4j.simpleLogger.defaultLogLevel=off", "-cp", libs, "kafka.tools.DumpLogSegments",
		"--deep-iteration", flag, "--files", strings.Join(files, ","))
	cmd.Dir = string(d)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	f.readDump(out)
	if err := cmd.Wait(); err != nil {
		f.Problems = append(f.Problems, fmt.Sprintf("DumpLogSegments %s: %v: %s", flag, err, stderr.String()))
		return nil
	}
	f.readErrors(stderr.String(), gaps)
	return nil
}

// readDump reads what the tool prints of whole files.
func (f *Findings) readDump(out io.Reader) {
	sc := bufio.NewScanner(out)
	sc.Buffer(nil, 16<<20)
	file := ""
	for sc.Scan() {
		line := sc.Text()
		switch {
		case strings.HasPrefix(line, "Dumping "):
			file = strings.TrimPrefix(line, "Dumping ")
		case strings.HasPrefix(line, "baseOffset: "), strings.HasPrefix(line, "offset: ") && strings.Contains(line, " magic: "):
			f.Batches++
			if !strings.Contains(line, "isvalid: true") {
				f.Problems = append(f.Problems, file+": "+line)
			}
		case strings.Contains(line, "invalid bytes at the end"), strings.Contains(line, "isValid: false"):
			f.Problems = append(f.Problems, file+": "+line)
		}
	}
	if err := sc.Err(); err != nil {
		f.Problems = append(f.Problems, fmt.Sprintf("%s: output: %v", file, err))
		_, _ = io.Copy(io.Discard, out) // or the tool would wait for its reader
	}
}

// readErrors reads what the tool prints of mismatches: a headline with the file, then indented lines.
func (f *Findings) readErrors(text string, gaps func(partition string) bool) {
	allowed := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if !strings.HasPrefix(line, " ") {
			at, ok := strings.CutPrefix(line, "Non-consecutive offsets in ")
			allowed = ok && gaps != nil && gaps(path.Base(path.Dir(at)))
		}
		if !allowed && strings.TrimSpace(line) != "" {
			f.Problems = append(f.Problems, line)
		}
	}
}
