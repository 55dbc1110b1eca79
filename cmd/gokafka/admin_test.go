package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// three runs three brokers in one process and gives their addresses.
func three(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "server.properties")
	props := fmt.Sprintf("listeners=PLAINTEXT://127.0.0.1:0\nlog.dirs=%s\nauto.leader.rebalance.enable=false\nreplica.lag.time.max.ms=3000\n", filepath.ToSlash(filepath.Join(dir, "data")))
	if err := os.WriteFile(file, []byte(props), 0o600); err != nil {
		t.Fatal(err)
	}
	c := command("server", file, "--brokers", "3")
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
	var servers []string
	for started := 0; started < 3 && lines.Scan(); {
		if _, told, ok := strings.Cut(lines.Text(), "addresses=PLAINTEXT://"); ok {
			servers = append(servers, strings.Fields(told)[0])
		}
		if strings.HasSuffix(lines.Text(), "started (kafka.server.KafkaServer)") {
			started++
		}
	}
	go func() { // or the process could not write
		defer close(rest)
		for lines.Scan() {
		}
	}()
	return strings.Join(servers, ",")
}

// cli runs commands against a cluster.
type cli struct {
	t       *testing.T
	servers string
}

// run runs a command, whose words are separated by blanks, and gives what it printed, and its exit code.
func (c cli) run(line string) (stdout, stderr string, code int) {
	c.t.Helper()
	cmd := command(append(strings.Fields(line), "--bootstrap-server", c.servers)...)
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	_ = cmd.Run() // the code tells
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// ok wants success and these texts in the output.
func (c cli) ok(line string, want ...string) string {
	c.t.Helper()
	out, errs, code := c.run(line)
	if code != 0 {
		c.t.Errorf("%s: exit %d\n%s%s", line, code, out, errs)
	}
	for _, w := range want {
		if !strings.Contains(out, w) {
			c.t.Errorf("%s: no %q in\n%s", line, w, out)
		}
	}
	return out
}

// fails wants exit code 1 and these texts, in the output or on standard error.
func (c cli) fails(line string, want ...string) {
	c.t.Helper()
	out, errs, code := c.run(line)
	if code != 1 {
		c.t.Errorf("%s: exit %d", line, code)
	}
	if strings.Count(errs, "\n") != 1 {
		c.t.Errorf("%s: not one line on standard error: %q", line, errs)
	}
	for _, w := range want {
		if !strings.Contains(out+errs, w) {
			c.t.Errorf("%s: no %q in\n%s%s", line, w, out, errs)
		}
	}
}

func (c cli) eventually(what string, f func() bool) {
	c.t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !f(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			c.t.Fatalf("not within 30 s: %s", what)
		}
	}
}

func TestTopicCommands(t *testing.T) {
	c := cli{t, three(t)}
	c.ok("topic list", "TOPIC  ID  PARTITIONS  REPLICAS  CONFIGS\n")
	c.ok("topic create a b --partitions 2 --replication-factor 3 --config retention.ms=5000 --config cleanup.policy=compact", "a   created\n", "b   created\n")
	c.fails("topic create a c --partitions 1", "TOPIC_ALREADY_EXISTS", "c   created", "1 of 2 failed")
	c.ok("topic create a --if-not-exists", "exists")
	c.ok("topic create d --dry-run", "can be created")
	c.fails("topic create d --dry-run --replication-factor 4", "INVALID_REPLICATION_FACTOR")
	c.fails("topic create d --config no.such=1", "INVALID_CONFIG")
	c.fails("topic create d --config nonsense", "is not key=value")
	c.fails("topic create d --assignment 0:0", "twice")
	c.fails("topic create d --assignment 0:1,1", "1 replicas")
	c.fails("topic create d --assignment 0:1 --partitions 3", "--assignment says")
	c.ok("topic create d --assignment 2:1,0:2", "created")
	c.ok("topic describe d", "d      0          2       0      2,1", "d      1          0       0      0,2")
	c.ok("topic list --topic a,d --configs", "cleanup.policy=compact retention.ms=5000")
	c.ok("topic grow d --partitions 3 --assignment 1:0", "has 3 partitions")
	c.fails("topic grow d --partitions 3", "INVALID_PARTITIONS")
	c.ok("topic grow d --partitions 9 --dry-run", "can have 9 partitions")
	c.fails("topic describe none", "UNKNOWN_TOPIC_OR_PARTITION")
	var topics []struct {
		Name       string
		Partitions int
		Replicas   int `json:"replicationFactor"`
		Configs    map[string]string
	}
	if err := json.Unmarshal([]byte(c.ok("topic list --configs --topic a --json")), &topics); err != nil || len(topics) != 1 || topics[0].Name != "a" ||
		topics[0].Partitions != 2 || topics[0].Replicas != 3 || topics[0].Configs["retention.ms"] != "5000" {
		t.Errorf("%+v, %v", topics, err)
	}
	c.ok("topic delete a b", "a   deleted\n", "b   deleted\n")
	c.fails("topic delete a c", "UNKNOWN_TOPIC_OR_PARTITION", "c   deleted")
	c.ok("topic delete a --if-exists", "does not exist")
	c.fails("topic nonsense", "unknown command")
}

func TestClusterChanges(t *testing.T) {
	c := cli{t, three(t)}
	c.ok("topic create t --assignment 0:1,1:2 --config min.insync.replicas=1")
	c.ok("cluster log-dirs --topic t --broker 0", "BROKER  DIR ", "0       ", "t      0          0      0")
	c.ok("cluster log-dirs", "online")
	c.fails("cluster log-dirs --topic none", "UNKNOWN_TOPIC_OR_PARTITION")
	c.ok("cluster elect --topic t --partition 0,1", "t-0  needs none", "t-1  needs none")
	c.ok("cluster elect --all")
	c.ok("cluster features", "transaction.version  1 to 2     -")
	c.fails("cluster upgrade transaction.version=2", "cannot join")
	c.fails("cluster upgrade transaction.version", "want a feature and its level")
	c.fails("cluster upgrade transaction.version=3 --yes", "higher than the supported maxVersion:2")
	c.fails("cluster upgrade metadata.version=1 --yes", "is not supported")
	c.ok("cluster upgrade transaction.version=2 --dry-run", "could be done")
	c.ok("cluster upgrade transaction.version=2 --yes", "finalized at level 2")
	c.fails("cluster upgrade transaction.version=2 --yes", "to the same value")
	c.ok("cluster downgrade transaction.version", "taken back")
	c.fails("cluster downgrade transaction.version", "non-existing")
	c.fails("cluster elect --topic t --partition 7", "UNKNOWN_TOPIC_OR_PARTITION")
	c.fails("cluster elect --topic t", "either --all or")
	c.fails("cluster elect --all --topic t --partition 0", "either --all or")

	plan := filepath.Join(t.TempDir(), "plan.json")
	write := func(s string) {
		t.Helper()
		if err := os.WriteFile(plan, []byte(s), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(`{"version":1,"partitions":[{"topic":"t","partition":0,"replicas":[2,1]},{"topic":"t","partition":1,"replicas":[0,1,2]}]}`)
	c.ok("cluster reassign start "+plan+" --throttle 100000000", "t      0          0,1", "t-0  begun", "t-1  begun")
	c.eventually("the plan is done", func() bool { _, _, code := c.run("cluster reassign verify " + plan); return code == 0 })
	c.ok("cluster reassign verify "+plan, "t-0  done")
	c.ok("topic describe t", "2,1", "0,1,2")
	if out := c.ok("topic list --configs"); strings.Contains(out, "throttled") {
		t.Errorf("a throttle stays:\n%s", out)
	}
	c.ok("cluster reassign list", "TOPIC  PARTITION  REPLICAS  ADDING  REMOVING\n")
	c.ok("cluster reassign cancel "+plan, "not under way")
	for _, bad := range []struct{ plan, why string }{
		{`{"version":2,"partitions":[]}`, "version 2"}, {`{}`, "no partitions"}, {`[`, "not what it should be"},
		{`{"partitions":[{"topic":"t","partition":0,"replicas":[]}]}`, "no replicas"},
		{`{"partitions":[{"topic":"t","partition":0,"replicas":[1,1]}]}`, "there twice"},
		{`{"partitions":[{"topic":"t","partition":0,"replicas":[1]},{"topic":"t","partition":0,"replicas":[2]}]}`, "in the plan twice"},
		{`{"partitions":[{"topic":"t","partition":0,"replicas":[1],"log_dirs":["a","b"]}]}`, "2 log directories"},
		{`{"partitions":[{"topic":"t","partition":0,"replicas":[9]}]}`, "broker 9 is not there"},
		{`{"partitions":[{"topic":"t","partition":5,"replicas":[1]}]}`, "UNKNOWN_TOPIC_OR_PARTITION"},
		{`{"partitions":[{"topic":"t","partition":0,"replicas":[1],"log_dirs":["/nowhere"]}]}`, "LOG_DIR_NOT_FOUND"},
	} {
		write(bad.plan)
		c.fails("cluster reassign start "+plan, bad.why)
	}
	c.fails("cluster reassign start /no/such/file", "no such file")
	var proposal struct{ Current, Proposed json.RawMessage }
	c.eventually("nothing is under way", func() bool {
		out, _, _ := c.run("cluster reassign list -o json")
		return strings.TrimSpace(out) == "[]"
	})
	if err := json.Unmarshal([]byte(c.ok("cluster reassign propose --topic t --broker 0,1,2 -o json")), &proposal); err != nil {
		t.Fatal(err)
	}
	write(string(proposal.Proposed))
	c.ok("cluster reassign start "+plan, "begun")
	c.fails("cluster reassign propose --topic t --broker 7", "broker 7 is not there")
}
