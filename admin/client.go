package admin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"gokafka/internal/clock"
	"gokafka/internal/show"
)

// Options say which cluster is asked.
type Options struct {
	Bootstrap []string      // addresses of brokers, host:port
	Timeout   time.Duration // of the whole command
}

// clientID is how brokers see the commands in their logs.
const clientID = "gokafka-admin"

// conn is a client, for what kadm has a function for and for requests of one's own.
type conn struct {
	*kadm.Client
	requests *kgo.Client
}

// do calls f with a client that ends after it.
func do[V any](ctx context.Context, o Options, f func(ctx context.Context, c conn) (V, error)) (V, error) {
	var none V
	if len(o.Bootstrap) == 0 {
		return none, errors.New("no address of a broker is given")
	}
	cl, err := kgo.NewClient(kgo.SeedBrokers(o.Bootstrap...), kgo.ClientID(clientID), kgo.DialTimeout(o.Timeout), kgo.RetryTimeout(o.Timeout))
	if err != nil {
		return none, err
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(ctx, o.Timeout)
	defer cancel()
	c := conn{kadm.NewClient(cl), cl}
	c.SetTimeoutMillis(int32(o.Timeout.Milliseconds()))
	v, err := f(ctx, c)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		err = fmt.Errorf("no answer within %s: %w", o.Timeout, err)
	}
	return v, err
}

// coordinatorPause is between two tries to ask a coordinator.
const coordinatorPause = 100 * time.Millisecond

// doCoordinated is do for what asks coordinators: the first question of a cluster's life makes their topic, and after a failover the next coordinator
// loads. f is called again until they answer, so it must not matter that it began before.
func doCoordinated[V any](ctx context.Context, o Options, f func(ctx context.Context, c conn) (V, error)) (V, error) {
	return do(ctx, o, func(ctx context.Context, c conn) (V, error) {
		for {
			v, err := f(ctx, c)
			if !coordinatorComes(err) || clock.New().Sleep(ctx, coordinatorPause) != nil {
				return v, err
			}
		}
	})
}

func coordinatorComes(err error) bool {
	if all, ok := errors.AsType[*kadm.ShardErrors](err); ok {
		return slices.ContainsFunc(all.Errs, func(e kadm.ShardError) bool { return coordinatorComes(e.Err) })
	}
	return errors.Is(err, kerr.CoordinatorNotAvailable) || errors.Is(err, kerr.CoordinatorLoadInProgress) || errors.Is(err, kerr.NotCoordinator)
}

// Outcome is the view of a command that changes something. Err tells whether it succeeded in all.
type Outcome interface {
	show.View
	Err() error
}

// Result is what became of a topic, a partition or a replica.
type Result struct {
	Of    string `json:"of"`              // topic, topic-partition, or topic-partition on a broker
	Done  string `json:"done,omitempty"`  // what was done, if it was
	Error string `json:"error,omitempty"` // why it was not
}

// Results is an Outcome of several.
type Results []Result

// Err counts what failed.
func (rs Results) Err() error {
	failed := 0
	for _, r := range rs {
		if r.Error != "" {
			failed++
		}
	}
	if failed == 0 {
		return nil
	}
	return fmt.Errorf("%d of %d failed", failed, len(rs))
}

// Table is a show.View.
func (rs Results) Table() show.Table {
	t := show.Table{Header: []string{"OF", "RESULT"}}
	for _, r := range rs {
		if r.Error != "" {
			t.Add(r.Of, r.Error)
		} else {
			t.Add(r.Of, r.Done)
		}
	}
	return t
}

// result makes a Result of an answer.
func result(of, done string, err error, message string) Result {
	if err == nil {
		return Result{Of: of, Done: done}
	}
	r := Result{Of: of, Error: err.Error()}
	if message != "" && !strings.Contains(r.Error, message) {
		r.Error = name(err) + ": " + message
	}
	return r
}

// name is the name of a Kafka error alone, without its explanation.
func name(err error) string {
	before, _, _ := strings.Cut(err.Error(), ":")
	return before
}

func itoa[N ~int32 | ~int64 | ~int](n N) string { return strconv.FormatInt(int64(n), 10) }

func ids(list []int32) string {
	var b strings.Builder
	for i, id := range list {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(itoa(id))
	}
	return b.String()
}

// ParseIDs reads numbers that are separated by sep.
func ParseIDs(s, sep string) ([]int32, error) {
	var out []int32
	for _, part := range strings.Split(s, sep) {
		n, err := strconv.ParseInt(strings.TrimSpace(part), 10, 32)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%q is not the id of a broker", part)
		}
		out = append(out, int32(n))
	}
	return out, nil
}
