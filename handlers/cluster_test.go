package handlers_test

import (
	"context"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"gokafka/coordination"
	"gokafka/coordination/embedded"
	"gokafka/coordination/znode"
)

// coordinate starts a coordination server that brokers of a test share.
func coordinate(t *testing.T) *embedded.Server {
	t.Helper()
	srv, err := embedded.Open(t.Context(), embedded.Options{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { srv.Close() })
	return srv
}

// occupy makes broker 99, which does not exist, the controller: nobody tells the brokers of the cluster what is in it. It returns the controller's epoch.
func occupy(t *testing.T, srv *embedded.Server) int32 {
	t.Helper()
	s, err := coordination.Open(t.Context(), coordination.Options{
		Servers: []string{"127.0.0.1:2181"}, Dial: func(ctx context.Context, _ string) (net.Conn, error) { return srv.DialContext(ctx) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	g, err := s.Await(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := znode.CreatePersistentPaths(t.Context(), g); err != nil {
		t.Fatal(err)
	}
	// The topic that tell tells of is there: what is not, a broker forgets.
	if err := znode.CreateTopic(t.Context(), g, znode.Topic{Name: "there", Partitions: map[int32]znode.Assignment{0: {Replicas: []int32{0}}}}); err != nil {
		t.Fatal(err)
	}
	c, err := znode.Elect(t.Context(), g, 99, time.Now().UnixMilli())
	if err != nil {
		t.Fatal(err)
	}
	return c.Epoch
}

// tell sends a picture of the cluster in which the broker is alive, and which has a topic of one partition that a broker leads.
func (n *node) tell(c *conn, controllerEpoch int32, topic string, leader int32) *kmsg.UpdateMetadataResponse {
	n.t.Helper()
	host, port, err := net.SplitHostPort(n.addr("PLAINTEXT"))
	if err != nil {
		n.t.Fatal(err)
	}
	number, err := strconv.Atoi(port)
	if err != nil {
		n.t.Fatal(err)
	}
	q := kmsg.NewPtrUpdateMetadataRequest()
	q.Version, q.ControllerID, q.ControllerEpoch, q.BrokerEpoch = 7, 99, controllerEpoch, -1
	b := kmsg.NewUpdateMetadataRequestLiveBroker()
	e := kmsg.NewUpdateMetadataRequestLiveBrokerEndpoint()
	e.Host, e.Port, e.ListenerName = host, int32(number), "PLAINTEXT"
	b.ID, b.Endpoints = n.ID(), append(b.Endpoints, e)
	q.LiveBrokers = append(q.LiveBrokers, b)
	if topic != "" {
		p := kmsg.NewUpdateMetadataRequestTopicPartition()
		p.Topic, p.Leader, p.ISR, p.Replicas = topic, leader, []int32{leader}, []int32{leader}
		ts := kmsg.NewUpdateMetadataRequestTopicState()
		ts.Topic, ts.TopicID, ts.PartitionStates = topic, [16]byte{5}, append(ts.PartitionStates, p)
		q.TopicStates = append(q.TopicStates, ts)
	}
	return ask[*kmsg.UpdateMetadataResponse](c, q)
}

// abrupt stops a broker without asking the controller, which does not exist.
var abrupt = map[string]string{"controlled.shutdown.enable": "false"}

// Until a broker knows the cluster, clients wait; what teaches it, and ApiVersions, is served.
func TestBeforeReadiness(t *testing.T) {
	srv := coordinate(t)
	epoch := occupy(t, srv)
	n := start(t, setup{coordination: srv, unready: true, props: abrupt})
	early := n.dial()
	first := early.send(metadataRequest())
	second := early.send(apiVersions()) // behind it on the same connection
	control := n.dial()
	if r := ask[*kmsg.ApiVersionsResponse](control, apiVersions()); r.ErrorCode != 0 || len(r.ApiKeys) == 0 {
		t.Error("api versions:", r)
	}
	li := kmsg.NewPtrLeaderAndISRRequest()
	li.Version, li.ControllerID, li.ControllerEpoch, li.BrokerEpoch = 5, 99, epoch, -1
	if r := ask[*kmsg.LeaderAndISRResponse](control, li); r.ErrorCode != 0 {
		t.Error("leader and isr:", r)
	}
	sr := kmsg.NewPtrStopReplicaRequest()
	sr.Version, sr.ControllerID, sr.ControllerEpoch, sr.BrokerEpoch = 3, 99, epoch, -1
	if r := ask[*kmsg.StopReplicaResponse](control, sr); r.ErrorCode != 0 {
		t.Error("stop replica:", r)
	}
	cs := kmsg.NewPtrControlledShutdownRequest()
	cs.Version, cs.BrokerID, cs.BrokerEpoch = 3, 0, -1
	if r := ask[*kmsg.ControlledShutdownResponse](control, cs); r.ErrorCode != kerr.StaleControllerEpoch.Code { // Apache's code for "not the controller"
		t.Error("controlled shutdown:", r)
	}
	// An old controller teaches nothing.
	if r := n.tell(control, epoch-1, "", 0); r.ErrorCode != kerr.StaleControllerEpoch.Code {
		t.Error("update of an old controller:", r)
	}
	select {
	case <-n.Ready():
		t.Error("ready without knowing the cluster")
	default:
	}
	early.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := early.Read(make([]byte, 1)); n != 0 || err == nil {
		t.Error("a client was served before the broker knows the cluster")
	}
	// A new controller tells the brokers first. There are topics, which this broker would deny if it served clients now.
	if r := n.tell(control, epoch, "", 0); r.ErrorCode != 0 {
		t.Error("update:", r)
	}
	select {
	case <-n.Ready():
		t.Error("ready without knowing the topics")
	default:
	}
	if r := n.tell(control, epoch, "there", 0); r.ErrorCode != 0 {
		t.Error("update:", r)
	}
	if r := early.answer(metadataRequest(), first).(*kmsg.MetadataResponse); len(r.Brokers) != 1 || r.ControllerID != 99 {
		t.Error("metadata:", r)
	}
	early.answer(apiVersions(), second)
	until(t, "the announcement of the start", func() bool { return n.log.has("Transitioning from RECOVERY to RUNNING") })
}

// A broker that is not the controller refuses to change topics, each of them.
func TestNotController(t *testing.T) {
	srv := coordinate(t)
	epoch := occupy(t, srv)
	n := start(t, setup{coordination: srv, unready: true, props: abrupt})
	n.tell(n.dial(), epoch, "there", 0)
	ct := kmsg.NewPtrCreateTopicsRequest()
	ct.Version = 7
	for _, name := range []string{"new", "there", "bad name"} {
		rt := kmsg.NewCreateTopicsRequestTopic()
		rt.Topic, rt.NumPartitions, rt.ReplicationFactor = name, 1, 1
		ct.Topics = append(ct.Topics, rt)
	}
	r := once[*kmsg.CreateTopicsResponse](n, ct)
	if len(r.Topics) != 3 {
		t.Fatal(r)
	}
	for _, rt := range r.Topics {
		if rt.ErrorCode != kerr.NotController.Code {
			t.Error("create:", rt)
		}
	}
	for _, version := range []int16{1, 5, 6} {
		dt := kmsg.NewPtrDeleteTopicsRequest()
		dt.Version, dt.TopicNames = version, []string{"there"}
		if rt := kmsg.NewDeleteTopicsRequestTopic(); version == 6 {
			rt.Topic = kmsg.StringPtr("there")
			dt.Topics = append(dt.Topics, rt)
		}
		if r := once[*kmsg.DeleteTopicsResponse](n, dt); len(r.Topics) != 1 || r.Topics[0].ErrorCode != kerr.NotController.Code {
			t.Errorf("delete v%d: %+v", version, r)
		}
	}
	cp := kmsg.NewPtrCreatePartitionsRequest()
	cp.Version = 3
	rt := kmsg.NewCreatePartitionsRequestTopic()
	rt.Topic, rt.Count = "there", 9
	cp.Topics = append(cp.Topics, rt)
	if r := once[*kmsg.CreatePartitionsResponse](n, cp); len(r.Topics) != 1 || r.Topics[0].ErrorCode != kerr.NotController.Code {
		t.Error("create partitions:", r)
	}
	ap := kmsg.NewPtrAlterPartitionRequest()
	ap.Version = 3
	if r := once[*kmsg.AlterPartitionResponse](n, ap); r.ErrorCode != kerr.NotController.Code {
		t.Error("alter partition:", r)
	}
	if r := once[*kmsg.AllocateProducerIDsResponse](n, kmsg.NewPtrAllocateProducerIDsRequest()); r.ErrorCode == 0 {
		t.Error("allocate producer ids:", r)
	}
	// A leader that is not alive is no leader for clients.
	md := once[*kmsg.MetadataResponse](n, metadataRequest("there"))
	if p := md.Topics[0].Partitions[0]; p.ErrorCode != 0 || p.Leader != 0 {
		t.Error("metadata:", p)
	}
	n.tell(n.dial(), epoch, "there", 7)
	md = once[*kmsg.MetadataResponse](n, metadataRequest("there"))
	if p := md.Topics[0].Partitions[0]; p.ErrorCode != kerr.LeaderNotAvailable.Code || p.Leader != -1 || len(p.Replicas) != 1 || p.Replicas[0] != 7 {
		t.Error("metadata, dead leader:", p)
	}
}

var twoListeners = map[string]string{
	"listeners":                      "INTERNAL://127.0.0.1:0,EXTERNAL://127.0.0.1:0",
	"listener.security.protocol.map": "INTERNAL:PLAINTEXT,EXTERNAL:PLAINTEXT", "inter.broker.listener.name": "INTERNAL",
}

// A client gets the addresses of the listener that it came in on, with the port that was bound.
func TestListeners(t *testing.T) {
	srv := coordinate(t)
	var nodes []*node
	for id := range 2 {
		props := map[string]string{"broker.id": strconv.Itoa(id)}
		for k, v := range twoListeners {
			props[k] = v
		}
		nodes = append(nodes, start(t, setup{coordination: srv, props: props}))
	}
	n := nodes[0]
	for _, listener := range []string{"INTERNAL", "EXTERNAL"} {
		c := n.dialTo(listener)
		want := map[int32]string{0: nodes[0].addr(listener), 1: nodes[1].addr(listener)}
		check := func(what string, got map[int32]string) {
			t.Helper()
			if len(got) != 2 || got[0] != want[0] || got[1] != want[1] {
				t.Errorf("%s on %s: %v, want %v", what, listener, got, want)
			}
		}
		got := map[int32]string{}
		until(t, "the second broker", func() bool {
			for _, b := range ask[*kmsg.MetadataResponse](c, metadataRequest()).Brokers {
				got[b.NodeID] = net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
			}
			return len(got) == 2
		})
		check("metadata", got)
		dc := kmsg.NewPtrDescribeClusterRequest()
		dc.Version = 1
		clear(got)
		for _, b := range ask[*kmsg.DescribeClusterResponse](c, dc).Brokers {
			got[b.NodeID] = net.JoinHostPort(b.Host, strconv.Itoa(int(b.Port)))
		}
		check("describe cluster", got)
	}
	leaderHints(t, nodes)
}

func (n *node) knowsOn(listener, topic string) bool {
	c := n.dialTo(listener)
	defer c.Close()
	return ask[*kmsg.MetadataResponse](c, metadataRequest(topic)).Topics[0].ErrorCode == 0
}

// leaderHints asks broker 0 for what broker 1 leads (KIP-951).
func leaderHints(t *testing.T, nodes []*node) {
	t.Helper()
	ct := kmsg.NewPtrCreateTopicsRequest()
	ct.Version, ct.TimeoutMillis = 7, int32(patience.Milliseconds())
	rt := kmsg.NewCreateTopicsRequestTopic()
	rt.Topic, rt.NumPartitions, rt.ReplicationFactor = "other", -1, -1
	a := kmsg.NewCreateTopicsRequestTopicReplicaAssignment()
	a.Replicas = []int32{1}
	rt.ReplicaAssignment = append(rt.ReplicaAssignment, a)
	ct.Topics = append(ct.Topics, rt)
	controller := nodes[ask[*kmsg.MetadataResponse](nodes[0].dialTo("INTERNAL"), metadataRequest()).ControllerID]
	if r := ask[*kmsg.CreateTopicsResponse](controller.dialTo("INTERNAL"), ct); r.Topics[0].ErrorCode != 0 {
		t.Fatal(r)
	}
	c := nodes[0].dialTo("EXTERNAL")
	until(t, "the topic on broker 0", func() bool { return nodes[0].knowsOn("EXTERNAL", "other") })
	want := nodes[1].addr("EXTERNAL")
	pr := ask[*kmsg.ProduceResponse](c, produceRequest(10, 1, "other", batch(t, 1, -1, 0, 0)))
	p := pr.Topics[0].Partitions[0]
	if p.ErrorCode != kerr.NotLeaderForPartition.Code || p.CurrentLeader.LeaderID != 1 || p.CurrentLeader.LeaderEpoch != 0 || len(pr.Brokers) != 1 ||
		net.JoinHostPort(pr.Brokers[0].Host, strconv.Itoa(int(pr.Brokers[0].Port))) != want {
		t.Errorf("produce: %+v %+v, want %s", p, pr.Brokers, want)
	}
	f := fetchRequest("", 0, patience)
	f.Version, f.Topics[0].TopicID = 16, ask[*kmsg.MetadataResponse](c, metadataRequest("other")).Topics[0].TopicID
	fr := ask[*kmsg.FetchResponse](c, f)
	fp := fr.Topics[0].Partitions[0]
	if fp.ErrorCode != kerr.NotLeaderForPartition.Code || fp.CurrentLeader.LeaderID != 1 || fp.CurrentLeader.LeaderEpoch != 0 || len(fr.Brokers) != 1 ||
		net.JoinHostPort(fr.Brokers[0].Host, strconv.Itoa(int(fr.Brokers[0].Port))) != want {
		t.Errorf("fetch: %+v %+v, want %s", fp, fr.Brokers, want)
	}
}
