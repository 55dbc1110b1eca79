package clusterview

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// threeBrokers is a cluster of brokers 0 to 2, of which 2 is down.
func threeBrokers(t *testing.T) *fake {
	f := newFake(t)
	id := "cluster"
	f.metadata.ClusterID, f.metadata.ControllerID = &id, 1
	f.broker(1, "r1")
	f.broker(0, "")
	f.topic("whole", []int32{0, 1}, []int32{1, 0}, 0, 1)
	f.topic("short", []int32{0, 1, 2}, []int32{0, 1}, 0)
	f.topic("lost", []int32{2}, []int32{2}, -1)
	f.topic("orphan", []int32{2, 0}, []int32{2}, 2)
	f.configs = func(topic string) (string, int16) {
		if topic == "short" || topic == "orphan" {
			return "2", 0
		}
		return "1", 0
	}
	return f
}

func names(ps Partitions) string {
	var out []string
	for _, p := range ps {
		out = append(out, p.Topic+"-"+itoa(p.Partition))
	}
	return strings.Join(out, " ")
}

// The conditions are those of kafka-topics.sh: without a leader a partition is below its min ISR whatever that is.
func TestFilters(t *testing.T) {
	f := threeBrokers(t)
	for _, c := range []struct {
		filter Filter
		want   string
	}{
		{Filter{}, "lost-0 orphan-0 short-0 whole-0 whole-1"},
		{Filter{UnderReplicated: true}, "orphan-0 short-0"},
		{Filter{Offline: true}, "lost-0 orphan-0"},
		{Filter{UnderMinISR: true}, "lost-0 orphan-0"},
		{Filter{AtMinISR: true}, "lost-0 short-0"},
		{Filter{UnderReplicated: true, Offline: true}, "lost-0 orphan-0 short-0"},
		{Filter{Topics: "whole,short"}, "short-0 whole-0 whole-1"},
		{Filter{Topics: "wh.*", Offline: true}, ""},
		{Filter{Topics: "'s.*|l.*'", UnderReplicated: true}, "short-0"},
	} {
		ps, err := ReadPartitions(t.Context(), f.options(), c.filter)
		if err != nil || names(ps) != c.want {
			t.Errorf("%+v: %s, %v; want %s", c.filter, names(ps), err, c.want)
		}
	}
	for topics, says := range map[string]string{"who": `topic "who" does not exist`, "hole": "does not exist", "(": "regular expression"} {
		if _, err := ReadPartitions(t.Context(), f.options(), Filter{Topics: topics}); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", topics, err)
		}
	}
}

func TestInfoAndBrokers(t *testing.T) {
	f := threeBrokers(t)
	in, err := ReadInfo(t.Context(), f.options())
	want := &Info{
		ClusterID: "cluster", Controller: 1, ControllerAddr: f.addr(), Brokers: 2, BrokersDown: []int32{2}, Topics: 4, Partitions: 5,
		UnderReplicated: 2, Offline: 2, UnderMinISR: 2,
	}
	if err != nil || !reflect.DeepEqual(in, want) {
		t.Errorf("%+v, %v", in, err)
	}
	bs, err := ReadBrokers(t.Context(), f.options())
	wantBrokers := Brokers{
		{ID: 0, Live: true, Host: f.host, Port: f.port, Leaders: 2, Replicas: 4},
		{ID: 1, Live: true, Host: f.host, Port: f.port, Rack: "r1", Leaders: 1, Replicas: 3, Controller: true},
		{ID: 2, Leaders: 1, Replicas: 3},
	}
	if err != nil || !reflect.DeepEqual(bs, wantBrokers) {
		t.Errorf("%+v, %v", bs, err)
	}
}

// Replicas that a reassignment is only adding are not missing; who may not ask for them, or cannot, is told of all.
func TestReassignmentsDoNotCountAsMissing(t *testing.T) {
	f := threeBrokers(t)
	resp := kmsg.NewPtrListPartitionReassignmentsResponse()
	topic := kmsg.NewListPartitionReassignmentsResponseTopic()
	topic.Topic = "short"
	topic.Partitions = []kmsg.ListPartitionReassignmentsResponseTopicPartition{{Replicas: []int32{0, 1, 2}, AddingReplicas: []int32{2}}}
	resp.Topics = append(resp.Topics, topic)
	f.reassignments = resp
	under := func(o Options) string {
		ps, err := ReadPartitions(t.Context(), o, Filter{UnderReplicated: true})
		if err != nil {
			t.Error(err)
		}
		return names(ps)
	}
	if got := under(f.options()); got != "orphan-0" {
		t.Error(got)
	}
	resp.ErrorCode = kerr.ClusterAuthorizationFailed.Code
	if got := under(f.options()); got != "orphan-0 short-0" {
		t.Error("unauthorised:", got)
	}
	var notes []string
	o := f.options()
	o.Note = func(line string) { notes = append(notes, line) }
	resp.ErrorCode = kerr.NotController.Code
	if got := under(o); got != "orphan-0 short-0" || len(notes) != 1 || !strings.Contains(notes[0], "NOT_CONTROLLER") {
		t.Errorf("moved: %s, %q", got, notes)
	}
	f.metadata.ControllerID = -1
	notes = nil
	if got := under(o); got != "orphan-0 short-0" || len(notes) != 1 || !strings.Contains(notes[0], "no controller") {
		t.Errorf("none: %s, %q", got, notes)
	}
	f.reassignments, f.metadata.ControllerID = nil, 1
	if got := under(f.options()); got != "orphan-0 short-0" {
		t.Error("not served:", got)
	}
}

// What a broker refuses is an error; a topic that goes away meanwhile is none.
func TestRefusals(t *testing.T) {
	f := threeBrokers(t)
	f.configs = func(topic string) (string, int16) { return "", kerr.TopicAuthorizationFailed.Code }
	if _, err := ReadInfo(t.Context(), f.options()); !errors.Is(err, kerr.TopicAuthorizationFailed) || !strings.Contains(err.Error(), "min.insync.replicas of topic ") {
		t.Error(err)
	}
	if _, err := ReadPartitions(t.Context(), f.options(), Filter{UnderMinISR: true}); !errors.Is(err, kerr.TopicAuthorizationFailed) {
		t.Error(err)
	}
	if _, err := ReadPartitions(t.Context(), f.options(), Filter{Offline: true}); err != nil {
		t.Error("no configs are needed for this:", err)
	}
	f.configs = func(string) (string, int16) { return "", kerr.UnknownTopicOrPartition.Code }
	if in, err := ReadInfo(t.Context(), f.options()); err != nil || in.UnderMinISR != 0 {
		t.Error(in, err)
	}
	f.configs = func(string) (string, int16) { return "many", 0 }
	if _, err := ReadInfo(t.Context(), f.options()); err == nil || !strings.Contains(err.Error(), `"many"`) {
		t.Error(err)
	}
	f.metadata.Topics[0].ErrorCode = kerr.UnknownTopicOrPartition.Code
	if ps, err := ReadPartitions(t.Context(), f.options(), Filter{}); err != nil || names(ps) != "lost-0 orphan-0 short-0" {
		t.Error(ps, err)
	}
	f.metadata.Topics[0].ErrorCode = kerr.InvalidTopicException.Code
	if _, err := ReadPartitions(t.Context(), f.options(), Filter{}); !errors.Is(err, kerr.InvalidTopicException) {
		t.Error(err)
	}
}

// Settings of many topics are asked for in pieces.
func TestManyTopics(t *testing.T) {
	f := newFake(t)
	f.broker(0, "")
	const topics = 2*configsPerRequest + 1
	for i := range topics {
		f.topic("t"+strconv.Itoa(i), []int32{0}, []int32{0}, 0)
	}
	ps, err := ReadPartitions(t.Context(), f.options(), Filter{AtMinISR: true})
	if err != nil || len(ps) != topics {
		t.Errorf("%d, %v", len(ps), err)
	}
	if n := f.asked[kmsg.DescribeConfigs.Int16()]; n != 3 {
		t.Errorf("asked %d times", n)
	}
}

// listen serves each connection by f and closes it at the test's end.
func listen(t *testing.T, f func(net.Conn)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			defer c.Close()
			f(c)
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		<-done
	})
	return ln.Addr().String()
}

// unused is an address where nobody listens.
func unused(t *testing.T) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	return ln.Addr().String()
}

// Whoever does not answer as a broker is named with what is wrong, and the next address is tried. Silence costs its share of the time.
func TestNobodyAnswers(t *testing.T) {
	silent := listen(t, func(net.Conn) {})
	closing := listen(t, func(c net.Conn) { c.Close() })
	web := listen(t, func(c net.Conn) { c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n")); c.Close() })
	refused := unused(t)
	o := Options{Bootstrap: []string{silent, closing, web, refused}, Timeout: 2 * time.Second}
	_, err := ReadBrokers(t.Context(), o)
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"no broker answers: " + silent + ": no answer within 500ms; ", closing + ": ", web + ": ", refused + ": "} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%v lacks %q", err, want)
		}
	}
	f := threeBrokers(t)
	o = f.options()
	o.Bootstrap = []string{refused, closing, f.addr()}
	if bs, err := ReadBrokers(t.Context(), o); err != nil || len(bs) != 3 {
		t.Error(bs, err)
	}
	if _, err := ReadBrokers(t.Context(), Options{Timeout: time.Second}); err == nil {
		t.Error("no address: no error")
	}
	if _, err := ReadBrokers(t.Context(), Options{Bootstrap: []string{"host:port"}, Timeout: time.Second}); err == nil || !strings.Contains(err.Error(), "host:port") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ReadBrokers(ctx, f.options()); err == nil {
		t.Error("cancelled: no error")
	}
}

func TestControllerJournal(t *testing.T) {
	f := threeBrokers(t)
	var asked string
	answer, code := `{"brokerId":1,"active":true,"controllerEpoch":4,"total":9,"decisions":[{"controllerEpoch":4,"why":"elected as controller"}]}`, 200
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = r.URL.String()
		if code == http.StatusFound {
			w.Header().Set("Location", "/elsewhere")
		}
		w.WriteHeader(code)
		w.Write([]byte(answer))
	}))
	defer srv.Close()
	host := strings.TrimPrefix(srv.URL, "http://")
	c, err := ReadController(t.Context(), f.options(), JournalQuery{Partition: -1, Limit: 20})
	if err != nil || c.ID != 1 || c.Rack != "r1" || c.Address != f.addr() || c.Journal != nil || asked != "" {
		t.Fatal(c, err)
	}
	for _, addr := range []string{host, srv.URL, srv.URL + "/"} {
		c, err = ReadController(t.Context(), f.options(), JournalQuery{HTTP: addr, Topic: "a b", Partition: 0, Limit: 20})
		if err != nil || c.Journal == nil || c.Journal.Total != 9 || len(c.Journal.Decisions) != 1 {
			t.Fatal(c, err)
		}
		if asked != JournalPath+"?limit=20&partition=0&topic=a+b" {
			t.Error(asked)
		}
	}
	var note string
	o := f.options()
	o.Note = func(line string) { note = line }
	answer = `{"brokerId":0,"active":false,"controllerEpoch":-1,"decisions":[]}`
	if _, err := ReadController(t.Context(), o, JournalQuery{HTTP: host, Partition: -1, Limit: 1}); err != nil || !strings.Contains(note, "broker 0 is not the controller") {
		t.Error(note, err)
	}
	for _, bad := range []struct {
		code   int
		answer string
		says   string
	}{
		{403, "only localhost\n", "403 Forbidden: only localhost"},
		{302, "", "302 Found"},
		{200, "<html>", "not a journal"},
		{200, strings.Repeat(" ", maxJournalBytes) + "{}", "not a journal"},
	} {
		code, answer = bad.code, bad.answer
		if _, err := ReadController(t.Context(), f.options(), JournalQuery{HTTP: host, Partition: -1, Limit: 1}); err == nil || !strings.Contains(err.Error(), bad.says) || len(err.Error()) > 500 {
			t.Errorf("%d: %v", bad.code, err)
		}
	}
	f.metadata.ControllerID = -1
	if _, err := ReadController(t.Context(), f.options(), JournalQuery{}); !errors.Is(err, ErrNoController) {
		t.Error(err)
	}
}
