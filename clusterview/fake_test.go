package clusterview

import (
	"encoding/binary"
	"io"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fake is a broker of a made-up cluster. Its answers are fields.
type fake struct {
	t    *testing.T
	ln   net.Listener
	host string
	port int32

	mu            sync.Mutex
	metadata      kmsg.MetadataResponse
	configs       func(topic string) (value string, code int16)
	reassignments *kmsg.ListPartitionReassignmentsResponse // nil: not served
	asked         map[int16]int
}

func newFake(t *testing.T) *fake {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fake{t: t, ln: ln, asked: map[int16]int{}, configs: func(string) (string, int16) { return "1", 0 }}
	addr := ln.Addr().(*net.TCPAddr)
	f.host, f.port = "127.0.0.1", int32(addr.Port)
	f.metadata.Default()
	f.metadata.ControllerID = -1
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := ln.Accept()
			if err != nil {
				return
			}
			wg.Go(func() {
				defer conn.Close()
				for f.serve(conn) == nil {
				}
			})
		}
	})
	t.Cleanup(func() {
		ln.Close()
		wg.Wait()
	})
	return f
}

func (f *fake) addr() string { return net.JoinHostPort(f.host, strconv.Itoa(int(f.port))) }

func (f *fake) options() Options {
	return Options{Bootstrap: []string{f.addr()}, Timeout: 20 * time.Second, Note: func(line string) { f.t.Error("note:", line) }}
}

func (f *fake) broker(id int32, rack string) {
	b := kmsg.NewMetadataResponseBroker()
	b.NodeID, b.Host, b.Port = id, f.host, f.port
	if rack != "" {
		b.Rack = &rack
	}
	f.metadata.Brokers = append(f.metadata.Brokers, b)
}

// topic adds a topic with one partition for each leader.
func (f *fake) topic(name string, replicas, isr []int32, leaders ...int32) {
	t := kmsg.NewMetadataResponseTopic()
	t.Topic = &name
	for i, leader := range leaders {
		p := kmsg.NewMetadataResponseTopicPartition()
		p.Partition, p.Leader, p.LeaderEpoch, p.Replicas, p.ISR = int32(i), leader, 7, replicas, isr
		t.Partitions = append([]kmsg.MetadataResponseTopicPartition{p}, t.Partitions...) // not in order
	}
	f.metadata.Topics = append(f.metadata.Topics, t)
}

func (f *fake) serve(conn net.Conn) error {
	var size [4]byte
	if _, err := io.ReadFull(conn, size[:]); err != nil {
		return err
	}
	frame := make([]byte, binary.BigEndian.Uint32(size[:]))
	if _, err := io.ReadFull(conn, frame); err != nil {
		return err
	}
	key, version := int16(binary.BigEndian.Uint16(frame)), int16(binary.BigEndian.Uint16(frame[2:]))
	q := kmsg.RequestForKey(key)
	q.SetVersion(version)
	body := frame[10:]
	if n := int16(binary.BigEndian.Uint16(frame[8:])); n > 0 {
		body = body[n:]
	}
	if q.IsFlexible() {
		body = body[1:]
	}
	if err := q.ReadFrom(body); err != nil {
		f.t.Error(err)
		return err
	}
	out := binary.BigEndian.AppendUint32([]byte{0, 0, 0, 0}, binary.BigEndian.Uint32(frame[4:]))
	resp := f.answer(q)
	resp.SetVersion(version)
	if q.IsFlexible() && key != kmsg.ApiVersions.Int16() {
		out = append(out, 0)
	}
	out = resp.AppendTo(out)
	binary.BigEndian.PutUint32(out, uint32(len(out)-4))
	_, err := conn.Write(out)
	return err
}

func (f *fake) answer(q kmsg.Request) kmsg.Response {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked[q.Key()]++
	switch q := q.(type) {
	case *kmsg.ApiVersionsRequest:
		resp := q.ResponseKind().(*kmsg.ApiVersionsResponse)
		for _, k := range []kmsg.Key{kmsg.Metadata, kmsg.ApiVersions, kmsg.DescribeConfigs, kmsg.ListPartitionReassignments} {
			if k == kmsg.ListPartitionReassignments && f.reassignments == nil {
				continue
			}
			row := kmsg.NewApiVersionsResponseApiKey()
			row.ApiKey, row.MaxVersion = k.Int16(), kmsg.RequestForKey(k.Int16()).MaxVersion()
			resp.ApiKeys = append(resp.ApiKeys, row)
		}
		return resp
	case *kmsg.MetadataRequest:
		if q.Topics != nil || q.AllowAutoTopicCreation {
			f.t.Errorf("asked for %d topics, auto-creation %t", len(q.Topics), q.AllowAutoTopicCreation)
		}
		m := f.metadata
		return &m
	case *kmsg.DescribeConfigsRequest:
		resp := q.ResponseKind().(*kmsg.DescribeConfigsResponse)
		for _, r := range q.Resources {
			out := kmsg.NewDescribeConfigsResponseResource()
			out.ResourceType, out.ResourceName = r.ResourceType, r.ResourceName
			value, code := f.configs(r.ResourceName)
			out.ErrorCode = code
			if code == 0 {
				c := kmsg.NewDescribeConfigsResponseResourceConfig()
				c.Name, c.Value = r.ConfigNames[0], &value
				out.Configs = append(out.Configs, c)
			}
			resp.Resources = append(resp.Resources, out)
		}
		return resp
	case *kmsg.ListPartitionReassignmentsRequest:
		r := *f.reassignments
		return &r
	}
	f.t.Errorf("unexpected request %T", q)
	return q.ResponseKind()
}
