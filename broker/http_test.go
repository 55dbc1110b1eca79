package broker

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"gokafka/clusterview"
	"gokafka/config"
	"gokafka/security"
)

// On a port of this machine only, a request for another name is refused: in a browser it would be a foreign page's.
func TestHTTPRefusesForeignNames(t *testing.T) {
	b := startBroker(t, t.TempDir(), nil)
	cl := http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	_, port, err := net.SplitHostPort(b.HTTPAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	for host, want := range map[string]int{
		"": 200, "localhost": 200, "LOCALHOST:" + port: 200, "localhost.:" + port: 200, "127.0.0.1:" + port: 200, "127.1.2.3": 200, "[::1]:" + port: 200, "[::1]": 200,
		"evil.example": 403, "evil.example:" + port: 403, "localhost.evil.example": 403, "127.0.0.1.evil.example:" + port: 403, "10.0.0.1:" + port: 403, "[fe80::1]": 403,
	} {
		for _, path := range []string{"/healthz", "/metrics", clusterview.JournalPath} {
			q, err := http.NewRequest(http.MethodGet, "http://"+b.HTTPAddr().String()+path, nil)
			if err != nil {
				t.Fatal(err)
			}
			q.Host = host
			resp, err := cl.Do(q)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode != want {
				t.Errorf("%q %s: %d, want %d", host, path, resp.StatusCode, want)
			}
		}
	}
	if h := ownNames(&net.TCPAddr{IP: net.IPv4zero}, http.NotFoundHandler()); h == nil || serves(h, "kafka.example") != http.StatusNotFound {
		t.Error("a port that others reach has names that are not known here")
	}
	resp, err := cl.Post("http://"+b.HTTPAddr().String()+clusterview.JournalPath, "text/plain", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", resp.StatusCode)
	}
}

// serves gives the status of a request for host.
func serves(h http.Handler, host string) int {
	w := &status{}
	h.ServeHTTP(w, &http.Request{Method: http.MethodGet, Host: host})
	return w.code
}

type status struct{ code int }

func (*status) Header() http.Header         { return http.Header{} }
func (*status) Write(p []byte) (int, error) { return len(p), nil }
func (s *status) WriteHeader(code int)      { s.code = code }

// journal reads it strictly: nothing is answered that the command does not know.
func journal(t *testing.T, b *Broker, query string) clusterview.Journal {
	t.Helper()
	status, body := get(t, b, clusterview.JournalPath+query)
	if status != http.StatusOK {
		t.Fatalf("%s: %d %s", query, status, body)
	}
	d := json.NewDecoder(strings.NewReader(body))
	d.DisallowUnknownFields()
	var j clusterview.Journal
	if err := d.Decode(&j); err != nil {
		t.Fatal(err)
	}
	return j
}

func TestControllersClusterOverHTTP(t *testing.T) {
	b := startBroker(t, t.TempDir(), map[string]string{"num.partitions": "2"})
	produce(t, client(t, b, kgo.MetadataMinAge(50*time.Millisecond)), "one", 0, 1)
	code, body := get(t, b, clusterview.ClusterPath)
	d := json.NewDecoder(strings.NewReader(body))
	d.DisallowUnknownFields()
	var c clusterview.Cluster
	if err := d.Decode(&c); err != nil || code != http.StatusOK {
		t.Fatal(code, err, body)
	}
	if !c.Active || c.ControllerEpoch != 1 || len(c.Brokers) != 1 || c.Brokers[0].BrokerEpoch != b.epoch() || len(c.Topics) != 1 {
		t.Fatalf("%+v", c)
	}
	topic := c.Topics[0]
	if topic.Name != "one" || topic.ID != b.cache.Image().Topic("one").ID.String() || topic.Deleting || len(topic.PartitionStates) != 2 {
		t.Errorf("%+v", topic)
	}
	want := clusterview.ClusterPartition{Partition: 1, State: "OnlinePartition", Replicas: []int32{0}, AddingReplicas: []int32{}, RemovingReplicas: []int32{},
		ISR: []int32{0}, ControllerEpoch: 1, ReplicaStates: map[int32]string{0: "OnlineReplica"}}
	if !reflect.DeepEqual(topic.PartitionStates[1], want) {
		t.Errorf("%+v\nwant %+v", topic.PartitionStates[1], want)
	}
}

func TestJournalOverHTTP(t *testing.T) {
	b := startBroker(t, t.TempDir(), map[string]string{"num.partitions": "3"})
	produce(t, client(t, b, kgo.MetadataMinAge(50*time.Millisecond)), "one", 0, 1)
	produce(t, client(t, b, kgo.MetadataMinAge(50*time.Millisecond)), "two", 0, 1)
	j := journal(t, b, "")
	if !j.Active || j.BrokerID != 0 || j.ControllerID != 0 || j.ControllerEpoch != 1 || j.Total != 7 || len(j.Decisions) != 7 {
		t.Fatalf("%+v", j)
	}
	first, last := j.Decisions[6], j.Decisions[0]
	if first.Partition != nil || first.Why != "elected as controller" || first.Time.After(last.Time) {
		t.Errorf("first %+v", first)
	}
	if p := last.Partition; p == nil || p.Topic != "two" || p.PreviousLeader != -1 || p.Leader != 0 || p.LeaderEpoch != 0 || !slices.Equal(p.ISR, []int32{0}) || last.Why != "new partition" {
		t.Errorf("last %+v %+v", last, last.Partition)
	}
	for query, want := range map[string]int{"?limit=2": 2, "?topic=one": 3, "?topic=one&partition=1": 1, "?partition=1": 2, "?topic=three": 0, "?limit=4096": 7} {
		j := journal(t, b, query)
		if len(j.Decisions) != want || j.Decisions == nil {
			t.Errorf("%s: %d decisions, want %d", query, len(j.Decisions), want)
		}
		for _, d := range j.Decisions {
			if strings.Contains(query, "topic=one") && d.Partition.Topic != "one" {
				t.Errorf("%s: %+v", query, d.Partition)
			}
		}
	}
	for _, query := range []string{"?limit=0", "?limit=4097", "?limit=x", "?partition=-1", "?partition=x", "?partition=99999999999", "?since=1", "?limit=1&limit=2", "?%zz"} {
		if status, body := get(t, b, clusterview.JournalPath+query); status != http.StatusBadRequest || strings.Count(body, "\n") != 1 {
			t.Errorf("%s: %d %q", query, status, body)
		}
	}
	status, body := get(t, b, clusterview.ControllerPath)
	if status != http.StatusOK || body != `{"brokerId":0,"active":true,"controllerEpoch":1,"controllerId":0}`+"\n" {
		t.Errorf("%d %s", status, body)
	}
}

func viewOptions(addrs ...string) clusterview.Options {
	return clusterview.Options{Bootstrap: addrs, Timeout: 30 * time.Second}
}

// noConfigs lets nobody describe configs.
type noConfigs struct{}

func (noConfigs) Authorize(_ context.Context, _ security.Principal, _ string, op security.Operation, _ security.ResourceType, _ string) bool {
	return op != security.DescribeConfigs
}

// A broker is killed: the command tells which partitions lack it, which are lost, and who leads them now and why.
func TestClusterViewOfAFailure(t *testing.T) {
	c := startCluster(t, 3, nil)
	c.create("whole", 3, 3, nil)
	c.create("pair", 3, 2, map[string]string{"min.insync.replicas": "2"})
	c.create("single", 3, 1, nil)
	ctx := t.Context()
	o := viewOptions()
	for _, p := range c.ports {
		o.Bootstrap = append(o.Bootstrap, "127.0.0.1:"+strconv.Itoa(p))
	}
	for p := range int32(3) {
		c.awaitISR("whole", p, 0, 1, 2)
		c.eventually("pairs are in sync", func() bool { return len(c.state("pair", p).ISR) == 2 })
	}
	in, err := clusterview.ReadInfo(ctx, o)
	if err != nil || in.Brokers != 3 || in.Topics != 3 || in.Partitions != 9 || in.UnderReplicated+in.Offline+in.UnderMinISR+len(in.BrokersDown) != 3 {
		t.Fatalf("%+v, %v", in, err) // "single" has 1 replica where 2 must be in sync
	}
	if none, err := clusterview.ReadPartitions(ctx, o, clusterview.Filter{UnderReplicated: true, Offline: true}); err != nil || len(none) != 0 {
		t.Fatal(none, err)
	}
	bs, err := clusterview.ReadBrokers(ctx, o)
	if err != nil || len(bs) != 3 || bs[0].Replicas+bs[1].Replicas+bs[2].Replicas != 18 || bs[0].Leaders+bs[1].Leaders+bs[2].Leaders != 9 {
		t.Fatalf("%+v, %v", bs, err)
	}
	ctl := in.Controller
	dead := (ctl + 1) % 3
	before, err := clusterview.ReadPartitions(ctx, o, clusterview.Filter{})
	if err != nil {
		t.Fatal(err)
	}
	c.kill(int(dead))
	c.eventually("the controller knows", func() bool { return len(c.brokers[ctl].cache.Image().BrokerIDs()) == 2 })
	isOn := func(p clusterview.Partition) bool { return slices.Contains(p.Replicas, dead) }
	lost := func(p clusterview.Partition) bool { return len(p.Replicas) == 1 && isOn(p) }
	var under, offline int
	for _, p := range before {
		if lost(p) {
			offline++
		} else if isOn(p) {
			under++
		}
	}
	c.eventually("all that it held is under-replicated or offline", func() bool {
		ps, err := clusterview.ReadPartitions(ctx, o, clusterview.Filter{UnderReplicated: true})
		gone, err2 := clusterview.ReadPartitions(ctx, o, clusterview.Filter{Offline: true})
		if err := errors.Join(err, err2); err != nil {
			t.Fatal(err)
		}
		for _, p := range append(ps, gone...) {
			if !isOn(p) {
				t.Fatalf("%+v", p)
			}
		}
		return len(ps) == under && len(gone) == offline
	})
	in, err = clusterview.ReadInfo(ctx, o)
	if err != nil || in.Brokers != 2 || !slices.Equal(in.BrokersDown, []int32{dead}) || in.UnderReplicated != under || in.Offline != offline || in.UnderMinISR != 3+2 {
		t.Errorf("%+v, %v; want %d under-replicated, %d offline", in, err, under, offline)
	}
	bs, err = clusterview.ReadBrokers(ctx, o)
	if err != nil || len(bs) != 3 || bs[dead].Live || !bs[ctl].Controller {
		t.Errorf("%+v, %v", bs, err)
	}
	b := c.brokers[ctl]
	if err := b.serveHTTP("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	b.did(b.stopHTTP)
	seen, err := clusterview.ReadController(ctx, o, clusterview.JournalQuery{HTTP: b.HTTPAddr().String(), Topic: "whole", Partition: -1, Limit: 100})
	if err != nil || seen.ID != ctl || !seen.Journal.Active || seen.Journal.BrokerID != ctl {
		t.Fatalf("%+v, %v", seen, err)
	}
	gone := slices.ContainsFunc(journal(t, b, "").Decisions, func(d clusterview.Decision) bool {
		return d.Partition == nil && strings.HasPrefix(d.Why, "broker "+strconv.Itoa(int(dead))+" is gone")
	})
	if !gone {
		t.Error("the journal does not tell that the broker is gone")
	}
	moved := slices.ContainsFunc(seen.Journal.Decisions, func(d clusterview.Decision) bool {
		p := d.Partition
		return p.PreviousLeader == dead && p.Leader >= 0 && p.Leader != dead && p.LeaderEpoch > 0 && d.Why == "OfflinePartition election"
	})
	if !moved {
		t.Errorf("no move away from broker %d: %+v", dead, seen.Journal.Decisions)
	}
	if !slices.ContainsFunc(seen.Journal.Decisions, func(d clusterview.Decision) bool { return d.Why == "new partition" }) {
		t.Error("the beginnings are not told")
	}
}

// What the authorizer refuses is an error with its name.
func TestClusterViewRefused(t *testing.T) {
	cfg, err := config.NewBroker(map[string]string{"broker.id": "0", "listeners": "PLAINTEXT://127.0.0.1:0", "log.dirs": t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	b, err := Start(t.Context(), Options{Config: cfg, Authorizer: noConfigs{}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Stop(context.Background()) })
	produce(t, client(t, b, kgo.MetadataMinAge(50*time.Millisecond)), "secret", 0, 1)
	o := viewOptions(b.addr(0))
	if _, err := clusterview.ReadInfo(t.Context(), o); !errors.Is(err, kerr.TopicAuthorizationFailed) || !strings.Contains(err.Error(), "min.insync.replicas of topic secret") {
		t.Error(err)
	}
	if ps, err := clusterview.ReadPartitions(t.Context(), o, clusterview.Filter{}); err != nil || len(ps) != 1 || ps[0].Topic != "secret" {
		t.Error(ps, err)
	}
}
