package probe

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/compat_test/wire"
)

// Env is the broker that a probe talks to.
type Env struct {
	Addr string
	Port int
	// Restart ends the broker, by SIGTERM if clean, else by SIGKILL, and starts it again. Cases that need it are left out
	// when it is nil.
	Restart func(ctx context.Context, clean bool) error
	// Rewrite is Restart with something done to the data directory in between.
	Rewrite func(ctx context.Context, clean bool, change func(dataDir string) error) error
	// Served says which versions of a key the broker advertises; nil means all.
	Served map[int16]Versions
}

// Versions is a range of versions, both ends included.
type Versions struct{ Min, Max int16 }

// NotServed is the answer of a step that was left out because the broker does not advertise the key or the version.
const NotServed = "not served"

// mutating keys change what later steps of a case see: the case ends at the first that is not served.
var mutating = []int16{0, 19, 20, 21, 22, 37}

func (e *Env) serves(req kmsg.Request, version int16) bool {
	if e.Served == nil || req.Key() == 18 {
		return true
	}
	v, ok := e.Served[req.Key()]
	return ok && version >= v.Min && version <= v.Max
}

// Ask fills Served from the broker's own table.
func (e *Env) Ask(ctx context.Context) error {
	c, err := wire.Dial(ctx, e.Addr)
	if err != nil {
		return err
	}
	defer c.Close()
	resp, err := c.Ask(kmsg.NewPtrApiVersionsRequest(), 0)
	if err != nil {
		return err
	}
	e.Served = make(map[int16]Versions)
	for _, k := range resp.(*kmsg.ApiVersionsResponse).ApiKeys {
		e.Served[k.ApiKey] = Versions{k.MinVersion, k.MaxVersion}
	}
	return nil
}

// Step is one request and what came of it.
type Step struct {
	Name   string `json:"step"`
	Answer any    `json:"answer"`
}

// Case is one series of requests.
type Case struct {
	Group, Name string
	Restarts    bool
	// Needs are keys without which the case makes no sense.
	Needs []int16
	Run   func(*Run)
}

// ID is group/name.
func (c Case) ID() string { return c.Group + "/" + c.Name }

// Run is one case being run.
type Run struct {
	ctx    context.Context
	env    *Env
	prefix string
	conn   *wire.Conn
	norm   *normaliser
	steps  []Step
}

// slug makes a part of a topic name.
func slug(s string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, strings.ToLower(s))
}

type failure struct{ err error }

// errUnserved ends a case early, without being a failure.
var errUnserved = errors.New("not served yet")

// Execute runs the case against the broker and returns its steps. An error means that the case could not be set up, not
// that an answer was unexpected.
func (c Case) Execute(ctx context.Context, env *Env) (steps []Step, err error) {
	r := &Run{ctx: ctx, env: env, prefix: "probe-" + slug(c.ID())}
	r.norm = newNormaliser(r.prefix, env.Port)
	defer func() {
		if r.conn != nil {
			_ = r.conn.Close()
		}
		switch f := recover().(type) {
		case nil:
		case failure:
			steps = r.steps
			if !errors.Is(f.err, errUnserved) {
				err = f.err
			}
		default:
			panic(f)
		}
	}()
	c.Run(r)
	return r.steps, nil
}

func (r *Run) fatalf(format string, args ...any) {
	panic(failure{fmt.Errorf(format, args...)})
}

func (r *Run) dial() *wire.Conn {
	c, err := wire.Dial(r.ctx, r.env.Addr)
	if err != nil {
		r.fatalf("dial: %w", err)
	}
	return c
}

func (r *Run) connection() *wire.Conn {
	if r.conn == nil {
		r.conn = r.dial()
	}
	return r.conn
}

func (r *Run) drop() {
	if r.conn != nil {
		_ = r.conn.Close()
		r.conn = nil
	}
}

func (r *Run) record(step string, answer any) { r.steps = append(r.steps, Step{step, answer}) }

// Do sends a request on the case's connection and records the answer under a name. It returns nil when the broker closes
// the connection, and ends the case when it does neither: each such wait takes long.
func (r *Run) Do(step string, req kmsg.Request, version int16) kmsg.Response {
	resp, err := r.do(step, req, version)
	if errors.Is(err, wire.ErrSilent) {
		r.fatalf("no answer to %q within %v; the rest of the case is left out", step, r.connection().Timeout)
	}
	return resp
}

func (r *Run) do(step string, req kmsg.Request, version int16) (kmsg.Response, error) {
	if !r.env.serves(req, version) {
		r.record(fmt.Sprintf("%s v%d: %s", kmsg.NameForKey(req.Key()), version, step), NotServed)
		if slices.Contains(mutating, req.Key()) {
			r.fatalf("%w", errUnserved)
		}
		return nil, nil
	}
	a, err := r.connection().Exchange(req, version)
	return r.note(fmt.Sprintf("%s v%d: %s", kmsg.NameForKey(req.Key()), version, step), a, err), err
}

func (r *Run) note(step string, a *wire.Answer, err error) kmsg.Response {
	switch {
	case errors.Is(err, wire.ErrClosed):
		r.drop()
		r.record(step, "connection closed")
		return nil
	case errors.Is(err, wire.ErrSilent):
		r.drop()
		r.record(step, "no answer")
		return nil
	case err != nil:
		r.drop()
		r.record(step, "unreadable: "+err.Error())
		return nil
	}
	v := r.norm.response(a.Resp)
	if !a.Canonical {
		v = map[string]any{"not the canonical encoding of": v}
	}
	r.record(step, v)
	return a.Resp
}

// DoUnanswered is Do for what Apache never answers: it waits only a short time.
func (r *Run) DoUnanswered(step string, req kmsg.Request, version int16) kmsg.Response {
	c := r.connection()
	before := c.Timeout
	c.Timeout = 1500 * time.Millisecond
	defer func() { c.Timeout = before }()
	resp, _ := r.do(step, req, version) // what came of it is recorded
	return resp
}

// Quiet sends a request whose answer is only wanted by the case itself.
func (r *Run) Quiet(req kmsg.Request, version int16) kmsg.Response {
	resp, err := r.connection().Ask(req, version)
	if err != nil {
		r.fatalf("set-up: %w", err)
	}
	return resp
}

// Name is a topic name of this case.
func (r *Run) Name(suffix string) string { return r.prefix + "-" + suffix }

// Topic creates a topic of this case and waits until its partitions can be written. Configs come in pairs.
func (r *Run) Topic(suffix string, partitions int32, configs ...string) string {
	name := r.Name(suffix)
	r.create(name, partitions, configs...)
	return name
}

func (r *Run) create(name string, partitions int32, configs ...string) {
	req := kmsg.NewPtrCreateTopicsRequest()
	req.TimeoutMillis = 20000
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = name, partitions, 1
	for i := 0; i+1 < len(configs); i += 2 {
		c := kmsg.NewCreateTopicsRequestTopicConfig()
		c.Name, c.Value = configs[i], kmsg.StringPtr(configs[i+1])
		t.Configs = append(t.Configs, c)
	}
	req.Topics = append(req.Topics, t)
	resp := r.Quiet(req, 4).(*kmsg.CreateTopicsResponse)
	if len(resp.Topics) != 1 || resp.Topics[0].ErrorCode != 0 && resp.Topics[0].ErrorCode != kerr.TopicAlreadyExists.Code {
		r.fatalf("create %s: %+v", name, resp.Topics)
	}
	r.AwaitTopic(name, partitions)
}

// AwaitTopic waits until each partition of the topic answers ListOffsets, and Metadata has it: in Apache the log is
// there some milliseconds earlier, and Produce looks at the latter.
func (r *Run) AwaitTopic(name string, partitions int32) {
	r.await("topic "+name, func() error {
		m := r.Quiet(metadataFor(name), 9).(*kmsg.MetadataResponse).Topics[0]
		if err := kerr.ErrorForCode(m.ErrorCode); err != nil || len(m.Partitions) != int(partitions) {
			return fmt.Errorf("metadata has %d partitions, error %v", len(m.Partitions), err)
		}
		for _, p := range m.Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("metadata of partition %d: %w", p.Partition, err)
			}
		}
		req := kmsg.NewPtrListOffsetsRequest()
		req.ReplicaID = -1
		for p := range partitions {
			addListOffset(req, name, p, -1, -1)
		}
		for _, p := range r.Quiet(req, 5).(*kmsg.ListOffsetsResponse).Topics[0].Partitions {
			if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
				return fmt.Errorf("partition %d: %w", p.Partition, err)
			}
		}
		return nil
	})
}

// codeError is the error of a code, nil for 0.
func codeError(code int16) error { return kerr.ErrorForCode(code) }

// await retries every 20 ms, for 20 s at most.
func (r *Run) await(what string, try func() error) {
	deadline := time.Now().Add(20 * time.Second)
	for {
		err := try()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			r.fatalf("%s: %w", what, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// Produce appends set-up batches and fails the case when the broker refuses one.
func (r *Run) Produce(topic string, partition int32, batches ...[]byte) {
	for _, b := range batches {
		p := r.Quiet(wire.ProduceRequest(topic, partition, b), 7).(*kmsg.ProduceResponse).Topics[0].Partitions[0]
		if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
			r.fatalf("set-up produce to %s-%d: %w", topic, partition, err)
		}
	}
}

// Raw writes bytes on a connection of their own and records what comes back: the frames, as hex, and the end.
func (r *Run) Raw(step string, bytes []byte) {
	c := r.dial()
	defer c.Close()
	c.Timeout = 5 * time.Second
	if err := c.Write(bytes); err != nil {
		r.record(step, "connection closed")
		return
	}
	var got []string
	for range 4 {
		frame, err := c.ReadFrame()
		c.Timeout = 300 * time.Millisecond // a second frame would be at hand
		switch {
		case errors.Is(err, wire.ErrClosed):
			got = append(got, "connection closed")
		case errors.Is(err, wire.ErrSilent):
			got = append(got, "silence")
		case err != nil:
			got = append(got, err.Error())
		case len(frame) > 80:
			got = append(got, fmt.Sprintf("%x.. (long)", frame[:6])) // correlation id and error code
			continue
		default:
			port := fmt.Sprintf("%08x", r.env.Port)
			got = append(got, strings.ReplaceAll(fmt.Sprintf("%x", frame), port, "<port>"))
			continue
		}
		break
	}
	r.record(step, strings.Join(got, ", "))
}
