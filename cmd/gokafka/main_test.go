package main

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// The test binary is the command itself when this variable is set.
const asCommand = "GOKAFKA_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

func command(args ...string) *exec.Cmd {
	c := exec.Command(os.Args[0], args...)
	c.Env = append(os.Environ(), asCommand+"=1")
	return c
}

// A taken port is one line on stderr, nothing else, exit 1, and no data directory.
func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := strconv.Itoa(l.Addr().(*net.TCPAddr).Port)
	data := filepath.Join(t.TempDir(), "data")
	c := command("--port", port, "--data", data)
	var out, errs strings.Builder
	c.Stdout, c.Stderr = &out, &errs
	err = c.Run()
	if _, ok := err.(*exec.ExitError); !ok || c.ProcessState.ExitCode() != 1 {
		t.Fatalf("exit: %v", err)
	}
	line := errs.String()
	if strings.Count(line, "\n") != 1 || !strings.HasPrefix(line, "gokafka: cannot listen on PLAINTEXT://localhost:"+port+": ") {
		t.Errorf("stderr %q", line)
	}
	if out.Len() > 0 {
		t.Errorf("stdout %q", out.String())
	}
	if _, err := os.Stat(data); !os.IsNotExist(err) {
		t.Errorf("the data directory was made: %v", err)
	}
}

// A wrong value is one line with the key, the value and why, and exit 1.
func TestWrongValue(t *testing.T) {
	file := filepath.Join(t.TempDir(), "server.properties")
	if err := os.WriteFile(file, []byte("num.partitions=none\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := command("server", file)
	out, err := c.CombinedOutput()
	if _, ok := err.(*exec.ExitError); !ok || c.ProcessState.ExitCode() != 1 {
		t.Fatalf("exit: %v", err)
	}
	if s := string(out); strings.Count(s, "\n") != 1 || !strings.Contains(s, "num.partitions") || !strings.Contains(s, "none") {
		t.Errorf("output %q", s)
	}
}

// The dev broker says where it listens and where its data is, and ends with 0 on SIGTERM.
func TestDevBroker(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	c := command("--port", "0", "--data", data, "--http", "127.0.0.1:0")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	told, started := "", false
	lines := bufio.NewScanner(out)
	for !(told != "" && started) && lines.Scan() {
		if strings.HasPrefix(lines.Text(), "gokafka listens on ") {
			told = lines.Text()
		}
		started = started || strings.HasSuffix(lines.Text(), "[KafkaServer id=0] started (kafka.server.KafkaServer)")
	}
	if !strings.Contains(told, "localhost:") && !strings.Contains(told, "127.0.0.1:") || !strings.Contains(told, data) {
		t.Errorf("told %q", told)
	}
	if err := c.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for lines.Scan() { // to the end, or the process could not write
	}
	if err := c.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
	if !started {
		t.Error("the line that scripts wait for was not logged before SIGTERM")
	}
}
