package tools

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os/exec"
	"strings"

	"gokafka/compat_test/harness"
)

// JVM runs tools one after the other.
type JVM struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	err strings.Builder
}

// StartJVM starts it; Close ends it.
func StartJVM(ctx context.Context, dir string) (*JVM, error) {
	classes, err := harness.JavaClasses("Tools.java")
	if err != nil {
		return nil, err
	}
	j := &JVM{cmd: exec.CommandContext(ctx, "java", "-Xmx512m", "-XX:TieredStopAtLevel=1", "-Dorg.slf4j.simpleLogger.defaultLogLevel=off", "-cp", classes, "Tools")}
	j.cmd.Dir, j.cmd.Stderr = dir, &j.err
	if j.in, err = j.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := j.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	j.out = bufio.NewReader(out)
	return j, j.cmd.Start()
}

// Run runs the main method of a class and gives its exit code or exception, then its lines of standard output behind ">", and those of standard error
// behind "!".
func (j *JVM) Run(class string, args ...string) ([]string, error) {
	if _, err := fmt.Fprintln(j.in, strings.Join(append([]string{class}, args...), "\t")); err != nil {
		return nil, err
	}
	var lines []string
	for {
		line, err := j.out.ReadString('\n')
		if err != nil {
			return nil, fmt.Errorf("the JVM ended in %s: %w: %s", class, err, j.err.String())
		}
		if line = strings.TrimSuffix(line, "\n"); line == "." {
			return lines, nil
		}
		lines = append(lines, line)
	}
}

// Close ends the JVM.
func (j *JVM) Close() {
	j.in.Close()
	_ = j.cmd.Wait() // the tools' outcomes were all there is to know
}
