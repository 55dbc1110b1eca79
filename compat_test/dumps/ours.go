package dumps

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"

	"gokafka/dumplog"
)

// Ours is what package dumplog makes of a run, in the working directory.
func Ours(ctx context.Context, args []string) (Outcome, error) {
	o, err := options(args)
	if err != nil {
		return Outcome{}, err
	}
	var stdout, stderr bytes.Buffer
	out := Outcome{Args: strings.Join(args, "\t"), Exit: "0"}
	if err := dumplog.Run(ctx, o, &stdout, &stderr); err != nil {
		out.Exit = "1 " + err.Error()
	}
	out.Stdout, out.Stderr = stdout.Bytes(), stderr.Bytes()
	return out, nil
}

func options(args []string) (dumplog.Options, error) {
	o := dumplog.Options{MaxMessageSize: dumplog.DefaultMaxMessageSize, MaxBytes: dumplog.NoMaxBytes}
	value := func(i int) string { return strings.Join(args[i+1:i+2], "") }
	for i := 0; i < len(args); i++ {
		var err error
		switch args[i] {
		case "--print-data-log":
			o.PrintDataLog = true
		case "--deep-iteration":
			o.DeepIteration = true
		case "--skip-record-metadata":
			o.SkipRecordMetadata = true
		case "--verify-index-only":
			o.VerifyIndexOnly = true
		case "--index-sanity-check":
			o.IndexSanityCheck = true
		case "--offsets-decoder":
			o.Records = dumplog.OffsetsDecoder
		case "--transaction-log-decoder":
			if o.Records == "" {
				o.Records = dumplog.TransactionsDecoder
			}
		case "--files":
			o.Files = dumplog.SplitFiles(value(i))
			i++
		case "--key-decoder-class":
			o.KeyDecoder = value(i)
			i++
		case "--value-decoder-class":
			o.ValueDecoder = value(i)
			i++
		case "--max-bytes":
			o.MaxBytes, err = number(value(i))
			i++
		case "--max-message-size":
			o.MaxMessageSize, err = number(value(i))
			i++
		default:
			err = fmt.Errorf("no option %s", args[i])
		}
		if err != nil {
			return o, err
		}
	}
	return o, nil
}

func number(s string) (int32, error) {
	n, err := strconv.ParseInt(s, 10, 32)
	return int32(n), err
}

// Differ says how two outcomes differ; empty if they do not. Exceptions are compared by whether there is one. Where Java's memory ran out,
// since Kafka's reader believes what a broken message declares, there is nothing to compare: a larger heap would go on as we do.
func Differ(apache, ours Outcome) string {
	switch {
	case strings.Contains(apache.Exit, "java.lang.OutOfMemoryError"):
		return ""
	case apache.Args != ours.Args:
		return fmt.Sprintf("the runs are not the same: Apache's is %s", apache.Args)
	case apache.Failed() != ours.Failed():
		return fmt.Sprintf("exit: Apache %s\n      ours   %s", apache.Exit, ours.Exit)
	case !bytes.Equal(apache.Stdout, ours.Stdout):
		return "stdout: " + firstDifference(apache.Stdout, ours.Stdout) + "\nexit of Apache: " + apache.Exit + "\nexit of ours: " + ours.Exit
	case !bytes.Equal(apache.Stderr, ours.Stderr):
		return "stderr: " + firstDifference(apache.Stderr, ours.Stderr)
	}
	return ""
}

func firstDifference(apache, ours []byte) string {
	a, o := bytes.SplitAfter(apache, []byte("\n")), bytes.SplitAfter(ours, []byte("\n"))
	for i := range max(len(a), len(o)) {
		var x, y []byte
		if i < len(a) {
			x = a[i]
		}
		if i < len(o) {
			y = o[i]
		}
		if !bytes.Equal(x, y) {
			return fmt.Sprintf("line %d\nApache %.700q\nours   %.700q", i+1, x, y)
		}
	}
	return ""
}
