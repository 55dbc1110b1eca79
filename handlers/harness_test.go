package handlers_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"gokafka/broker"
	"gokafka/config"
	"gokafka/coordination/embedded"
	"gokafka/record"
	"gokafka/security"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what must happen at all. Nothing that is measured takes near as long, on any machine.
const patience = 30 * time.Second

// logBook is a log of which tests ask whether something was said.
type logBook struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBook) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBook) has(s string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.buf.String(), s)
}

// setup is how a broker is started.
type setup struct {
	dir          string // "" = a new one
	props        map[string]string
	authorizer   security.Authorizer
	coordination *embedded.Server
	unready      bool // do not wait until it serves clients
}

// node is a running broker.
type node struct {
	*broker.Broker
	t   testing.TB
	log *logBook
}

func start(t testing.TB, s setup) *node {
	t.Helper()
	if s.dir == "" {
		s.dir = t.TempDir()
	}
	props := map[string]string{
		"broker.id": "0", "listeners": "PLAINTEXT://127.0.0.1:0", "log.dirs": s.dir, "num.partitions": "1", "offsets.topic.replication.factor": "1",
		"transaction.state.log.replication.factor": "1", "auto.create.topics.enable": "false",
	}
	for k, v := range s.props {
		props[k] = v
	}
	cfg, err := config.NewBroker(props)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{t: t, log: &logBook{}}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	n.Broker, err = broker.Start(ctx, broker.Options{Config: cfg, Logger: slog.New(slog.NewTextHandler(n.log, nil)), Authorizer: s.authorizer, Coordination: s.coordination})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.stop() })
	if !s.unready {
		select {
		case <-n.Ready():
		case <-ctx.Done():
			t.Fatal("the broker does not get ready")
		}
	}
	return n
}

// stop stops the broker and says whether a handler panicked meanwhile.
func (n *node) stop() {
	n.t.Helper()
	if err := n.Stop(context.Background()); err != nil {
		n.t.Error(err)
	}
	if n.log.has("Panic") {
		n.t.Error("a handler panicked:\n" + n.log.buf.String())
	}
}

// until asks again and again until it is as it should be.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("it never comes: " + what)
		}
	}
}

// addr is the address of a listener.
func (n *node) addr(listener string) string {
	for _, l := range n.Listening() {
		if addr, ok := strings.CutPrefix(l, listener+"://"); ok {
			return addr
		}
	}
	n.t.Fatalf("no listener %s in %v", listener, n.Listening())
	return ""
}

// conn is a connection that speaks frames.
type conn struct {
	net.Conn
	t    testing.TB
	corr int32
	buf  []byte
}

func (n *node) dial() *conn { return n.dialTo("PLAINTEXT") }

func (n *node) dialTo(listener string) *conn {
	n.t.Helper()
	nc, err := net.Dial("tcp", n.addr(listener))
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(func() { nc.Close() })
	return &conn{Conn: nc, t: n.t}
}

var formatter = kmsg.NewRequestFormatter(kmsg.FormatterClientID("test"))

// send sends a request and returns its correlation id.
func (c *conn) send(q kmsg.Request) int32 {
	c.t.Helper()
	c.corr++
	c.write(frameOf(q, c.corr))
	return c.corr
}

// frameOf is the frame of a request.
func frameOf(q kmsg.Request, corr int32) []byte {
	frame := formatter.AppendRequest(nil, q, corr)
	if q.Key() == kmsg.ControlledShutdown.Int16() && q.GetVersion() == 0 { // of which kmsg makes half a header only
		frame = q.AppendTo(frame)
		binary.BigEndian.PutUint32(frame, uint32(len(frame)-4))
	}
	return frame
}

func (c *conn) write(frame []byte) {
	c.t.Helper()
	if _, err := c.Write(frame); err != nil {
		c.t.Fatal(err)
	}
}

// frame reads the next answer, or says that the connection was closed.
func (c *conn) frame() (corr int32, body []byte, err error) {
	c.SetReadDeadline(time.Now().Add(patience))
	var head [8]byte
	if _, err = io.ReadFull(c, head[:]); err != nil {
		return 0, nil, err
	}
	size := int(binary.BigEndian.Uint32(head[:]))
	if cap(c.buf) < size {
		c.buf = make([]byte, size)
	}
	body = c.buf[:size-4]
	_, err = io.ReadFull(c, body)
	return int32(binary.BigEndian.Uint32(head[4:])), body, err
}

// closed waits until the broker closes the connection. Answers that come before are an error.
func (c *conn) closed() bool {
	c.t.Helper()
	_, _, err := c.frame()
	if ne, ok := err.(net.Error); err == nil || ok && ne.Timeout() {
		return false
	}
	return true
}

// answer reads the answer to q, which must be the next one.
func (c *conn) answer(q kmsg.Request, want int32) kmsg.Response {
	c.t.Helper()
	corr, body, err := c.frame()
	if err != nil {
		c.t.Fatalf("%s v%d: %v", kmsg.NameForKey(q.Key()), q.GetVersion(), err)
	}
	if corr != want {
		c.t.Fatalf("%s v%d: the answer to request %d, want that to %d", kmsg.NameForKey(q.Key()), q.GetVersion(), corr, want)
	}
	return decode(c.t, q, body)
}

// decode decodes the answer to q, all of it.
func decode(t testing.TB, q kmsg.Request, body []byte) kmsg.Response {
	t.Helper()
	name := kmsg.NameForKey(q.Key())
	resp := q.ResponseKind()
	if resp.IsFlexible() && q.Key() != kmsg.ApiVersions.Int16() {
		if len(body) == 0 || body[0] != 0 {
			t.Fatalf("%s v%d: header tags", name, q.GetVersion())
		}
		body = body[1:]
	}
	if err := resp.ReadFrom(body); err != nil {
		t.Fatalf("%s v%d: the answer does not decode: %v\n%x", name, q.GetVersion(), err, body)
	}
	if again := resp.AppendTo(nil); !bytes.Equal(again, body) {
		t.Errorf("%s v%d: the answer\n%x\nis, decoded and encoded,\n%x", name, q.GetVersion(), body, again)
	}
	return resp
}

// ask sends a request, in the version that is set, and waits for its answer.
func ask[R kmsg.Response](c *conn, q kmsg.Request) R {
	c.t.Helper()
	return c.answer(q, c.send(q)).(R)
}

// once asks on a connection of its own.
func once[R kmsg.Response](n *node, q kmsg.Request) R {
	n.t.Helper()
	c := n.dial()
	defer c.Close()
	return ask[R](c, q)
}

// create makes a topic and returns its id.
func (n *node) create(topic string, partitions int32) [16]byte {
	n.t.Helper()
	q := kmsg.NewPtrCreateTopicsRequest()
	q.Version, q.TimeoutMillis = 7, int32(patience.Milliseconds())
	t := kmsg.NewCreateTopicsRequestTopic()
	t.Topic, t.NumPartitions, t.ReplicationFactor = topic, partitions, 1
	q.Topics = append(q.Topics, t)
	r := once[*kmsg.CreateTopicsResponse](n, q)
	if r.Topics[0].ErrorCode != 0 {
		n.t.Fatalf("topic %s: error %d", topic, r.Topics[0].ErrorCode)
	}
	return r.Topics[0].TopicID
}

// batch builds a batch of n records as a producer sends it now: producers whose batches are old are forgotten. A producer id of -1 is none.
func batch(t testing.TB, n int, pid int64, epoch int16, seq int32) []byte {
	t.Helper()
	spec := record.NewBatchSpec()
	if spec.ProducerID = pid; pid >= 0 {
		spec.ProducerEpoch, spec.BaseSequence = epoch, seq
	}
	b := record.NewBuilder(spec)
	for i := range n {
		if err := b.AppendAt(int64(i), time.Now().UnixMilli(), nil, []byte("value")); err != nil {
			t.Fatal(err)
		}
	}
	out, _, err := b.Build(nil, record.NewCodecs())
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func produceRequest(version, acks int16, topic string, records []byte) *kmsg.ProduceRequest {
	q := kmsg.NewPtrProduceRequest()
	q.Version, q.Acks, q.TimeoutMillis = version, acks, int32(patience.Milliseconds())
	p := kmsg.NewProduceRequestTopicPartition()
	p.Records = records
	t := kmsg.NewProduceRequestTopic()
	t.Topic = topic
	t.Partitions = append(t.Partitions, p)
	q.Topics = append(q.Topics, t)
	return q
}

func fetchRequest(topic string, offset int64, maxWait time.Duration) *kmsg.FetchRequest {
	q := kmsg.NewPtrFetchRequest()
	q.Version, q.MaxWaitMillis, q.MinBytes, q.MaxBytes, q.SessionEpoch = 12, int32(maxWait.Milliseconds()), 1, 1<<20, -1
	p := kmsg.NewFetchRequestTopicPartition()
	p.FetchOffset, p.PartitionMaxBytes = offset, 1<<20
	t := kmsg.NewFetchRequestTopic()
	t.Topic = topic
	t.Partitions = append(t.Partitions, p)
	q.Topics = append(q.Topics, t)
	return q
}

func apiVersions() *kmsg.ApiVersionsRequest {
	q := kmsg.NewPtrApiVersionsRequest()
	q.Version, q.ClientSoftwareName, q.ClientSoftwareVersion = 3, "test", "1"
	return q
}
