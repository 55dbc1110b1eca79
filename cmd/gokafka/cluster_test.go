package main

import (
	"bufio"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// runCluster runs a cluster command and gives what it printed and its exit code.
func runCluster(t *testing.T, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	c := command(append([]string{"cluster"}, args...)...)
	var out, errs strings.Builder
	c.Stdout, c.Stderr = &out, &errs
	_ = c.Run() // the code tells
	return out.String(), errs.String(), c.ProcessState.ExitCode()
}

// devBroker runs a dev broker and gives its addresses.
func devBroker(t *testing.T) (kafka, http string) {
	t.Helper()
	c := command("--port", "0", "--data", filepath.Join(t.TempDir(), "data"), "--http", "127.0.0.1:0")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	rest := make(chan struct{})
	t.Cleanup(func() {
		c.Process.Signal(syscall.SIGTERM)
		<-rest
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
	})
	lines := bufio.NewScanner(out)
	for started := false; lines.Scan() && !(started && kafka != ""); {
		started = started || strings.HasSuffix(lines.Text(), "started (kafka.server.KafkaServer)")
		if _, told, ok := strings.Cut(lines.Text(), "gokafka listens on PLAINTEXT://"); ok {
			kafka = strings.TrimSuffix(strings.Fields(told)[0], ",")
			_, told, _ = strings.Cut(told, "http://")
			http = strings.TrimSuffix(told, "/metrics")
		}
		if started && kafka != "" {
			break
		}
	}
	go func() { // or the process could not write
		defer close(rest)
		for lines.Scan() {
		}
	}()
	return kafka, http
}

// Each command asks the broker that it is told of, and each flag gets where it belongs.
func TestCluster(t *testing.T) {
	kafka, http := devBroker(t)
	for _, c := range []struct {
		args string
		want []string // in the output
	}{
		{"info", []string{"cluster id  ", "brokers           1\n", "controller        0 ("}},
		{"brokers", []string{"ID  STATE ", "0   controller  "}},
		{"partitions", []string{"TOPIC  PARTITION  LEADER  EPOCH  REPLICAS  ISR  OFFLINE\n"}},
		{"partitions --under-replicated --offline --under-min-isr --at-min-isr", []string{"TOPIC "}},
		{"controller", []string{"controller  0\n", "address "}},
		{"controller --limit 1 --http " + http, []string{"epoch       1\n", "1 of 1 decisions", "elected as controller"}},
		{"controller --topic none --partition 2 --http " + http, []string{"0 of 1 decisions"}},
	} {
		out, errs, code := runCluster(t, append(strings.Fields(c.args), "--bootstrap-server", kafka)...)
		if code != 0 || errs != "" {
			t.Errorf("%s: exit %d, %s", c.args, code, errs)
		}
		for _, w := range c.want {
			if !strings.Contains(out, w) {
				t.Errorf("%s: no %q in\n%s", c.args, w, out)
			}
		}
	}
	for _, flags := range [][]string{{"--json"}, {"-o", "json"}, {"--output=json"}} {
		out, _, code := runCluster(t, append([]string{"info", "--bootstrap-server", "127.0.0.1:1," + kafka}, flags...)...)
		var in struct {
			Brokers int `json:"brokers"`
		}
		if err := json.Unmarshal([]byte(out), &in); err != nil || in.Brokers != 1 || code != 0 {
			t.Errorf("%v: exit %d, %v, %s", flags, code, err, out)
		}
	}
	_, errs, code := runCluster(t, "partitions", "--topic", "none", "--bootstrap-server", kafka)
	if code != 1 || errs != "gokafka: topic \"none\" does not exist\n" {
		t.Errorf("exit %d, %q", code, errs)
	}
}

// What cannot be asked, or nobody answers, is one line on stderr and exit 1.
func TestClusterRefuses(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for _, c := range []struct {
		args string
		says string
	}{
		{"info --bootstrap-server 127.0.0.1:1", "no broker answers: 127.0.0.1:1: "},
		{"info --timeout 300ms --bootstrap-server " + silent.Addr().String(), "no answer within 300ms"},
		{"info --bootstrap-server ,", "no address"},
		{"info --output yaml", `output "yaml": must be table or json`},
		{"info --timeout 0s", "--timeout must be positive"},
		{"controller --limit 0", "--limit must be at least 1"},
		{"partitions --topic (", "not a regular expression"},
		{"info extra", "unknown command"},
		{"nonsense", "unknown command"},
		{"brokers --nonsense", "unknown flag"},
	} {
		out, errs, code := runCluster(t, strings.Fields(c.args)...)
		if code != 1 || strings.Count(errs, "\n") != 1 || !strings.HasPrefix(errs, "gokafka: ") || !strings.Contains(errs, c.says) || out != "" {
			t.Errorf("%s: exit %d, %q, %q", c.args, code, errs, out)
		}
	}
}
