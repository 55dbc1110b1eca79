// Package contract is what the Go client programs have in common: options, pace and output, as ../clients.go describes.
package contract

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Options are the program's arguments.
type Options struct {
	Mode, Topic, Client string
	Group, Protocol     string
	To, TxnID           string
	Bootstrap           []string
	Codecs              []string
	Count, Partitions   int
	Duration            time.Duration
	Ends                []int64

	mu  sync.Mutex
	out *bufio.Writer
}

// Parse reads the arguments; a wrong one ends the program.
func Parse() *Options {
	o := &Options{out: bufio.NewWriter(os.Stdout)}
	for _, a := range os.Args[1:] {
		k, v, _ := strings.Cut(a, "=")
		switch k {
		case "mode":
			o.Mode = v
		case "bootstrap":
			o.Bootstrap = strings.Split(v, ",")
		case "topic":
			o.Topic = v
		case "client":
			o.Client = v
		case "group":
			o.Group = v
		case "protocol":
			o.Protocol = v
		case "to":
			o.To = v
		case "txnid":
			o.TxnID = v
		case "codecs":
			o.Codecs = strings.Split(v, ",")
		case "count":
			o.Count = number(v)
		case "partitions":
			o.Partitions = number(v)
		case "millis":
			o.Duration = time.Duration(number(v)) * time.Millisecond
		case "ends":
			for _, e := range strings.Split(v, ",") {
				o.Ends = append(o.Ends, int64(number(e)))
			}
		}
	}
	return o
}

func number(s string) int {
	n, err := strconv.Atoi(s)
	if err != nil {
		Fatal(err)
	}
	return n
}

// Fatal ends the program with a word that the suite looks for.
func Fatal(err error) {
	fmt.Fprintln(os.Stderr, "fatal", err)
	os.Exit(1)
}

func (o *Options) say(format string, args ...any) {
	o.mu.Lock()
	defer o.mu.Unlock()
	fmt.Fprintf(o.out, format, args...)
	if err := o.out.Flush(); err != nil {
		Fatal(err)
	}
}

// Ack tells that the broker acknowledged a record.
func (o *Options) Ack(codec string, partition int32, seq int, offset int64) {
	o.say("ack %s %d %d %d\n", codec, partition, seq, offset)
}

// Fail tells that the client gave a record up.
func (o *Options) Fail(codec string, partition int32, seq int, err error) {
	o.say("fail %s %d %d %s\n", codec, partition, seq, strings.Join(strings.Fields(err.Error()), " "))
}

// Rec tells of a record that was read.
func (o *Options) Rec(partition int32, offset int64, value []byte) {
	o.say("rec %d %d %s\n", partition, offset, value)
}

// Own tells that a member got partitions, Lose that it gave them up or lost them.
func (o *Options) Own(partitions []int32) { o.own("own", partitions) }

// Lose is the opposite of Own.
func (o *Options) Lose(partitions []int32) { o.own("lose", partitions) }

func (o *Options) own(kind string, partitions []int32) {
	for _, p := range partitions {
		o.say("%s %d %d\n", kind, time.Now().UnixMilli(), p)
	}
}

// Did tells that a member processed a record.
func (o *Options) Did(partition int32, offset int64) {
	o.say("did %d %d %d\n", time.Now().UnixMilli(), partition, offset)
}

// Committed tells that the broker acknowledged a commit: offset is the next to read.
func (o *Options) Committed(partition int32, offset int64) {
	o.say("commit %d %d %d\n", time.Now().UnixMilli(), partition, offset)
}

// Copied tells that a transaction with so many records of the source was committed.
func (o *Options) Copied(n int) { o.say("copied %d\n", n) }

// Fenced tells that another has the transactional id.
func (o *Options) Fenced() { o.say("fenced\n") }

// UntilTerminated ends with SIGTERM, by which a member is asked to leave.
func UntilTerminated() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), syscall.SIGTERM)
}

// End is the last line of a program that did all it should.
func (o *Options) End() { o.say("end\n") }

// Value is the value of a record.
func (o *Options) Value(codec string, partition int32, seq int) []byte {
	s := fmt.Sprintf("%s|%s|%d|%d|", o.Client, codec, partition, seq)
	return []byte(s + strings.Repeat("x", max(0, 100-len(s))))
}

// Pace calls send for each record, evenly over the duration, in bursts.
func (o *Options) Pace(send func(partition int32, seq int), burst func()) {
	start := time.Now()
	for sent := 0; sent < o.Count; {
		due := min(o.Count, max(1, int(int64(time.Since(start))*int64(o.Count)/int64(o.Duration))))
		for ; sent < due; sent++ {
			send(int32(sent%o.Partitions), sent/o.Partitions)
		}
		if burst != nil {
			burst()
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// Each runs produce for every codec at once and waits.
func (o *Options) Each(produce func(codec string)) {
	var wg sync.WaitGroup
	for _, c := range o.Codecs {
		wg.Add(1)
		go func() { defer wg.Done(); produce(c) }()
	}
	wg.Wait()
}
