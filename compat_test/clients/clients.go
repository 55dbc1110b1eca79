// Package clients runs the stock clients of the suite, each a program of its own in its own language, all with one
// contract:
//
//	arguments  key=value: mode (produce, consume, member, copy), bootstrap, topic, client, codecs, count, partitions, millis, ends
//	produce    for each codec one producer, all at once; each sends count records evenly over millis milliseconds:
//	           record i goes to partition i mod partitions with sequence i div partitions, its value as history.Value
//	output     "ack CODEC PARTITION SEQUENCE OFFSET" for each acknowledged record, "fail CODEC PARTITION SEQUENCE
//	           REASON" for each given up, and "end" last
//	consume    reads each partition, without a group, from 0 to its offset in ends; "rec PARTITION OFFSET VALUE", "end"
//	member     with group and protocol (eager, cooperative, consumer) also given: joins the group, processes and commits until it is
//	           sent SIGTERM, and prints "own MILLIS PARTITION", "lose MILLIS PARTITION", "did MILLIS PARTITION OFFSET" for each record
//	           and "commit MILLIS PARTITION OFFSET" when a commit was acknowledged, as far as the client can know; "end"
//	copy       with group, protocol (classic, consumer), to and txnid also given: copies each record of topic to the same partition of to, and, with a ' behind it, to the next one, in transactions with
//	           the group's offsets, of which it aborts one in five; "copied COUNT" for each that was committed, "fenced" and "end" when another took the transactional id
//	stderr     the client's own log; a line with "fatal" is a failure
//
// Central type: Client.
package clients

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"

	"gokafka/compat_test/harness"
	"gokafka/compat_test/history"
)

// Client is one stock client.
type Client struct {
	Name string
	// Idempotent is false for a client that has no idempotent producer; its records may be there twice.
	Idempotent bool
	// Consumes is false for a client that cannot read a partition without a group.
	Consumes bool
	// command finds or fetches what the client needs and returns the program and its first arguments.
	command func() (*exec.Cmd, error)
}

// codecs is never written.
var codecs = []string{"gzip", "snappy", "lz4", "zstd"}

// Codecs are the four compression codecs, which all six clients can write.
func Codecs() []string { return append([]string(nil), codecs...) }

// All are the clients of the suite.
func All() []Client {
	return []Client{
		{"java", true, true, func() (*exec.Cmd, error) {
			cp, err := harness.JavaClasses("Client.java")
			if err != nil {
				return nil, err
			}
			return exec.Command("java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", cp, "Client"), nil
		}},
		{"librdkafka", true, true, func() (*exec.Cmd, error) {
			py, err := harness.Python()
			if err != nil {
				return nil, err
			}
			src, err := harness.SourceDir()
			return exec.Command(py, filepath.Join(src, "python", "client.py")), err
		}},
		{"franz-go", true, true, goClient("franzgo")},
		{"sarama", true, true, goClient("sarama")},
		{"kafka-go", false, true, goClient("kafkago")},
		{"kafkajs", true, false, func() (*exec.Cmd, error) {
			modules, err := harness.NodeModules()
			if err != nil {
				return nil, err
			}
			src, err := harness.SourceDir()
			cmd := exec.Command("node", filepath.Join(src, "node", "client.js"))
			cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
			return cmd, err
		}},
	}
}

// newJavaClient is the release of Kafka 4 whose Java client takes part in groups.
const newJavaClient = "4.1.1"

// Members are the clients that take part in groups: All, and the Java client of Kafka 4.
func Members() []Client {
	return append(All(), Client{"java-" + newJavaClient, true, true, func() (*exec.Cmd, error) {
		cp, err := harness.JavaClient(newJavaClient, "Client.java")
		if err != nil {
			return nil, err
		}
		return exec.Command("java", "-Xmx256m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", cp, "Client"), nil
	}})
}

func goClient(name string) func() (*exec.Cmd, error) {
	built := sync.OnceValues(func() (string, error) { return harness.GoClient(name) })
	return func() (*exec.Cmd, error) {
		bin, err := built()
		if err != nil {
			return nil, err
		}
		return exec.Command(bin), nil
	}
}

// Prepare fetches and builds what the client needs, so that Start does not wait.
func (c Client) Prepare() error {
	_, err := c.command()
	return err
}

// Job is one run of a client.
type Job struct {
	Client  Client
	OutPath string
	Process *harness.Process
}

// Start runs the client with its output and log below dir.
func (c Client) Start(dir string, args map[string]string) (*Job, error) {
	cmd, err := c.command()
	if err != nil {
		return nil, err
	}
	args["client"] = c.Name
	for k, v := range args {
		cmd.Args = append(cmd.Args, k+"="+v)
	}
	name := c.Name + "-" + args["mode"] + args["member"]
	out, err := os.Create(filepath.Join(dir, name+".out"))
	if err != nil {
		return nil, err
	}
	defer out.Close() // the process has its own descriptor
	cmd.Stdout = out
	p, err := harness.StartProcess(name, cmd, filepath.Join(dir, name+".log"))
	return &Job{c, out.Name(), p}, err
}

// alarm finds lines in a client's log that no broker may cause.
var alarm = regexp.MustCompile(`(?i)fatal|out.?of.?order|unknown.?producer|data.?loss|invalid.?producer|fenced|panic|exception in thread|traceback`)

// Alarms are the lines of the client's log that no broker may cause, ten at most.
func (j *Job) Alarms() ([]string, error) {
	f, err := os.Open(j.Process.LogPath)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var out []string
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() && len(out) < 10 {
		if alarm.MatchString(s.Text()) {
			out = append(out, s.Text())
		}
	}
	return out, s.Err()
}

// Output is what a client printed.
type Output struct {
	Acks     []history.Ack
	Failures []history.Failure
	Records  []history.Record
	Ended    bool
}

// Output reads what the client printed.
func (j *Job) Output() (*Output, error) {
	f, err := os.Open(j.OutPath)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	o := &Output{}
	s := bufio.NewScanner(f)
	s.Buffer(nil, 1<<20)
	for s.Scan() {
		if err := o.line(j.Client.Name, s.Text()); err != nil {
			return nil, fmt.Errorf("%s printed %.120q: %w", j.Client.Name, s.Text(), err)
		}
	}
	return o, s.Err()
}

func (o *Output) line(client, text string) error {
	kind, rest, _ := strings.Cut(text, " ")
	switch kind {
	case "end":
		o.Ended = true
		return nil
	case "rec":
		f := strings.SplitN(rest, " ", 3)
		if len(f) != 3 {
			return fmt.Errorf("%d fields", len(f))
		}
		n, err := numbers(f[:2])
		if err != nil {
			return err
		}
		o.Records = append(o.Records, history.Record{Partition: int32(n[0]), Offset: n[1], Value: f[2]})
		return nil
	case "ack", "fail":
		f := strings.SplitN(rest, " ", 4)
		if len(f) != 4 {
			return fmt.Errorf("%d fields", len(f))
		}
		n, err := numbers(f[1:3])
		if err != nil {
			return err
		}
		st := history.Stream{Client: client, Codec: f[0], Partition: int32(n[0])}
		if kind == "fail" {
			o.Failures = append(o.Failures, history.Failure{Stream: st, Seq: int(n[1]), Reason: f[3]})
			return nil
		}
		off, err := numbers(f[3:])
		if err != nil {
			return err
		}
		o.Acks = append(o.Acks, history.Ack{Stream: st, Seq: int(n[1]), Offset: off[0]})
		return nil
	}
	return fmt.Errorf("unknown kind %q", kind)
}

func numbers(fields []string) ([]int64, error) {
	out := make([]int64, len(fields))
	for i, f := range fields {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return nil, err
		}
		out[i] = n
	}
	return out, nil
}
