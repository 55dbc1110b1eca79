package topics

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"go.uber.org/goleak"

	"gokafka/config"
	"gokafka/coordination"
	"gokafka/coordination/zktest"
	"gokafka/coordination/znode"
	"gokafka/metadata"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type world struct {
	ctx   context.Context
	m     *Manager
	s     *coordination.Session
	g     *coordination.Generation
	l     *zktest.Link
	cache *metadata.Cache
	conf  *config.Broker
}

// newWorld has brokers 1..len(racks), registered and known, and an elected controller.
func newWorld(t *testing.T, racks ...string) *world {
	t.Helper()
	s, l := zktest.Start(t).Open(t)
	w := &world{ctx: t.Context(), s: s, g: s.Current(), l: l, cache: metadata.NewCache()}
	if err := znode.CreatePersistentPaths(w.ctx, w.g); err != nil {
		t.Fatal(err)
	}
	if _, err := znode.Elect(w.ctx, w.g, 1, 1); err != nil {
		t.Fatal(err)
	}
	var u metadata.Update
	for i, rack := range racks {
		b := &metadata.Broker{ID: int32(i + 1), Rack: rack,
			Endpoints: []metadata.Endpoint{{Listener: "PLAINTEXT", Host: "h", Port: int32(i + 1)}}}
		u.Brokers = append(u.Brokers, b)
		if _, err := znode.RegisterBroker(w.ctx, w.g, znode.Registration{Broker: *b, JMXPort: -1}, znode.Registered{}); err != nil {
			t.Fatal(err)
		}
	}
	w.cache.Apply(u)
	conf, err := config.NewBroker(map[string]string{"zookeeper.connect": "x:1", "broker.id": "1", "num.partitions": "3",
		"default.replication.factor": "2", "offsets.topic.replication.factor": "1"})
	if err != nil {
		t.Fatal(err)
	}
	w.conf = conf
	w.m = New(Options{Session: s, Image: w.cache.Image, Config: func() *config.Broker { return conf }})
	return w
}

func (w *world) know(name string) {
	im := w.cache.Image()
	u := metadata.Update{ControllerID: im.ControllerID, Topics: []metadata.TopicUpdate{{Name: name,
		Partitions: []metadata.PartitionUpdate{{}}}}}
	for _, id := range im.BrokerIDs() {
		u.Brokers = append(u.Brokers, im.Broker(id))
	}
	w.cache.Apply(u)
}

func wantCode(t *testing.T, err error, code *kerr.Error, message string) {
	t.Helper()
	var k *kerr.Error
	if !errors.As(err, &k) || k.Code != code.Code || message != "*" && err.Error() != message {
		t.Errorf("got %v (%q)\nwant %v %q", k, err, code.Message, message)
	}
}

func spec(name string, partitions int32, rf int16) Spec {
	return Spec{Name: name, Partitions: partitions, ReplicationFactor: rf}
}

func str(s string) *string { return &s }

func TestCreate(t *testing.T) {
	w := newWorld(t, "", "", "")
	s := spec("demo", 4, 2)
	s.Configs = []ConfigEntry{{"retention.ms", str("1000")}}
	dry, err := w.m.Create(w.ctx, s, true)
	if err != nil || len(dry.Replicas) != 4 || dry.ReplicationFactor != 2 || !dry.ID.IsZero() {
		t.Fatalf("%+v, %v", dry, err)
	}
	if stat, _ := w.g.Exists(w.ctx, znode.TopicPath("demo")); stat != nil {
		t.Fatal("validate_only wrote")
	}
	c, err := w.m.Create(w.ctx, s, false)
	if err != nil {
		t.Fatal(err)
	}
	top, ok, err := znode.ReadTopic(w.ctx, w.g, "demo")
	if err != nil || !ok || top.ID != c.ID || len(top.Partitions) != 4 || !slices.Equal(top.Partitions[3].Replicas, c.Replicas[3]) {
		t.Errorf("%+v, %v", top, err)
	}
	if conf, err := znode.ReadConfig(w.ctx, w.g, znode.TopicEntity, "demo"); err != nil || conf["retention.ms"] != "1000" {
		t.Errorf("%v, %v", conf, err)
	}
	d, err := w.m.Create(w.ctx, spec("defaults", UseDefault, UseDefault), false)
	if err != nil || len(d.Replicas) != 3 || d.ReplicationFactor != 2 {
		t.Errorf("%+v, %v", d, err)
	}
	manual := spec("manual", UseDefault, UseDefault)
	manual.Assignments = []PartitionAssignment{{1, []int32{2, 99}}, {0, []int32{1, 2}}}
	if m, err := w.m.Create(w.ctx, manual, false); err != nil || !slices.Equal(m.Replicas[1], []int32{2, 99}) {
		t.Errorf("%+v, %v", m, err)
	}
}

// The refusals of CreateTopics, with Apache's codes and texts.
func TestCreateRefusals(t *testing.T) {
	w := newWorld(t, "", "", "")
	for _, n := range []string{"have", "a.b"} {
		if _, err := w.m.Create(w.ctx, spec(n, 1, 1), false); err != nil {
			t.Fatal(err)
		}
	}
	w.know("known")
	if err := znode.MarkForDeletion(w.ctx, w.g, "dying"); err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", 250)
	assigned := func(a ...PartitionAssignment) Spec {
		return Spec{Name: "new", Partitions: UseDefault, ReplicationFactor: UseDefault, Assignments: a}
	}
	configs := func(e ...ConfigEntry) Spec { return Spec{Name: "new", Partitions: 1, ReplicationFactor: 1, Configs: e} }
	both := assigned(PartitionAssignment{0, []int32{1}})
	both.Partitions = 1
	for _, c := range []struct {
		s       Spec
		code    *kerr.Error
		message string
	}{
		{spec("known", 1, 1), kerr.TopicAlreadyExists, "Topic 'known' already exists."},
		{spec("have", 1, 1), kerr.TopicAlreadyExists, "Topic 'have' already exists."},
		{spec("dying", 1, 1), kerr.TopicAlreadyExists, "Topic 'dying' is marked for deletion."},
		{spec("a_b", 1, 1), kerr.InvalidTopicException, "Topic 'a_b' collides with existing topics: a.b"},
		{spec("", 1, 1), kerr.InvalidTopicException, "Topic name is invalid: the empty string is not allowed"},
		{spec("..", 1, 1), kerr.InvalidTopicException, "Topic name is invalid: '..' is not allowed"},
		{spec("x/y", 1, 1), kerr.InvalidTopicException, "Topic name is invalid: 'x/y' contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'"},
		{spec(long, 1, 1), kerr.InvalidTopicException, "Topic name is invalid: the length of '" + long + "' is longer than the max allowed length 249"},
		{spec("new", 0, 1), kerr.InvalidPartitions, "Number of partitions must be larger than 0."},
		{spec("new", -2, 1), kerr.InvalidPartitions, "Number of partitions must be larger than 0."},
		{spec("new", 2000000000, 1), kerr.InvalidPartitions, "*"},
		{spec("new", 1, 0), kerr.InvalidReplicationFactor, "Replication factor must be larger than 0."},
		{spec("new", 1, 4), kerr.InvalidReplicationFactor, "Replication factor: 4 larger than available brokers: 3."},
		{configs(ConfigEntry{"nonsense", str("1")}), kerr.InvalidConfig, "Unknown topic config name: nonsense"},
		{configs(ConfigEntry{"retention.ms", str("x")}), kerr.InvalidConfig, "*"},
		{configs(ConfigEntry{"a", nil}, ConfigEntry{"b", nil}), kerr.InvalidConfig, "Null value not supported for topic configs: a,b"},
		{both, kerr.InvalidRequest, "Both numPartitions or replicationFactor and replicasAssignments were set. Both cannot be used at the same time."},
		{assigned(PartitionAssignment{0, []int32{1}}, PartitionAssignment{2, []int32{1}}), kerr.InvalidReplicaAssignment, "partitions should be a consecutive 0-based integer sequence"},
		{assigned(PartitionAssignment{-1, []int32{1}}, PartitionAssignment{0, []int32{1}}), kerr.InvalidReplicaAssignment, "partitions should be a consecutive 0-based integer sequence"},
		{assigned(PartitionAssignment{0, []int32{1, 1}}), kerr.InvalidReplicaAssignment, "Duplicate replica assignment found: HashMap(0 -> ArrayBuffer(1, 1))"},
		{assigned(PartitionAssignment{0, []int32{1}}, PartitionAssignment{1, []int32{1, 2}}), kerr.InvalidReplicaAssignment, "All partitions should have the same number of replicas"},
		{assigned(PartitionAssignment{0, nil}), kerr.InvalidReplicaAssignment, "*"},
	} {
		_, err := w.m.Create(w.ctx, c.s, false)
		if err == nil {
			t.Errorf("%+v was made", c.s)
			continue
		}
		wantCode(t, err, c.code, c.message)
	}
	refused := CheckRequest([]string{"a", ClusterMetadata, "b", "a"})
	wantCode(t, refused["a"], kerr.InvalidRequest, "Found multiple entries for this topic.")
	wantCode(t, refused[ClusterMetadata], kerr.InvalidRequest, "Creation of internal topic __cluster_metadata is prohibited.")
	if len(refused) != 2 {
		t.Errorf("%v", refused)
	}
}

func TestCreateOnMixedRacks(t *testing.T) {
	w := newWorld(t, "r1", "", "r2")
	_, err := w.m.Create(w.ctx, spec("t", 1, 1), false)
	var k *kerr.Error
	if err == nil || errors.As(err, &k) {
		t.Errorf("%v", err)
	}
	s := spec("t", UseDefault, UseDefault)
	s.Assignments = []PartitionAssignment{{0, []int32{1}}}
	if _, err := w.m.Create(w.ctx, s, false); err != nil {
		t.Errorf("an explicit assignment needs no racks: %v", err)
	}
}

// The answers to both writes are lost; the topic is made once and reported as made.
func TestCreateWithLostReplies(t *testing.T) {
	w := newWorld(t, "", "")
	dropped := w.l.DropReplyIf(func(op int32, body []byte) bool {
		return op == zktest.OpCreate && strings.Contains(string(body), "/config/topics/")
	})
	c, err := w.m.Create(w.ctx, spec("t", 2, 2), false)
	if err != nil {
		t.Fatal(err)
	}
	<-dropped
	dropped = w.l.DropReplyIf(func(op int32, body []byte) bool {
		return op == zktest.OpCreate && strings.Contains(string(body), "/brokers/topics/")
	})
	u, err := w.m.Create(w.ctx, spec("u", 2, 2), false)
	if err != nil {
		t.Fatal(err)
	}
	<-dropped
	for _, c := range []*Created{c, u} {
		if top, ok, err := znode.ReadTopic(w.ctx, w.g, c.Name); err != nil || !ok || top.ID != c.ID {
			t.Errorf("%+v %v", top, err)
		}
	}
}

// Of several creators of one topic exactly one makes it.
func TestCreateRace(t *testing.T) {
	w := newWorld(t, "", "")
	var wg sync.WaitGroup
	var mu sync.Mutex
	made := 0
	for range 8 {
		wg.Go(func() {
			_, err := w.m.Create(w.ctx, spec("t", 2, 1), false)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				made++
			} else if !isCode(err, kerr.TopicAlreadyExists) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if made != 1 {
		t.Errorf("made %d times", made)
	}
}

func TestAutoCreate(t *testing.T) {
	w := newWorld(t, "", "")
	for _, n := range []string{"auto", "auto", ConsumerOffsets} {
		if err := w.m.AutoCreate(w.ctx, n); !isCode(err, kerr.LeaderNotAvailable) {
			t.Errorf("%s: %v", n, err)
		}
	}
	wantCode(t, w.m.AutoCreate(w.ctx, "x y"), kerr.InvalidTopicException, "*")
	// transaction.state.log.replication.factor is 3, and there are two brokers.
	wantCode(t, w.m.AutoCreate(w.ctx, TransactionState), kerr.InvalidReplicationFactor, "*")
	top, _, err := znode.ReadTopic(w.ctx, w.g, ConsumerOffsets)
	if err != nil || len(top.Partitions) != 50 {
		t.Errorf("%d partitions, %v", len(top.Partitions), err)
	}
	conf, err := znode.ReadConfig(w.ctx, w.g, znode.TopicEntity, ConsumerOffsets)
	if err != nil || conf["cleanup.policy"] != "compact" || conf["segment.bytes"] != "104857600" || conf["compression.type"] != "producer" {
		t.Errorf("%v, %v", conf, err)
	}
}

func TestAddPartitions(t *testing.T) {
	w := newWorld(t, "", "", "")
	c, err := w.m.Create(w.ctx, spec("t", 2, 2), false)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := w.m.AddPartitions(w.ctx, Extension{Name: "t", Count: 5}, true); err != nil || n != 5 {
		t.Fatalf("%d, %v", n, err)
	}
	dropped := w.l.DropReply(zktest.OpSet)
	if _, err := w.m.AddPartitions(w.ctx, Extension{Name: "t", Count: 5}, false); err != nil {
		t.Fatal(err)
	}
	<-dropped
	top, _, err := znode.ReadTopic(w.ctx, w.g, "t")
	if err != nil || len(top.Partitions) != 5 || top.ID != c.ID || top.ZkVersion != 1 || !slices.Equal(top.Partitions[1].Replicas, c.Replicas[1]) {
		t.Errorf("%+v, %v", top, err)
	}
	// As Apache: from the broker that leads partition 0, at the place of the added partitions.
	want, _ := Assign(w.m.liveBrokers(), 3, 2, Start{Index: int(c.Replicas[0][0]) - 1, Fixed: true, Partition: 2}, nil)
	for i, r := range want {
		if !slices.Equal(top.Partitions[int32(i)+2].Replicas, r) {
			t.Errorf("partition %d: %v, want %v", i+2, top.Partitions[int32(i)+2].Replicas, r)
		}
	}
	if err := znode.MarkForDeletion(w.ctx, w.g, "dying"); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		e       Extension
		code    *kerr.Error
		message string
	}{
		{Extension{Name: "none", Count: 5}, kerr.UnknownTopicOrPartition, "The topic 'none' does not exist."},
		{Extension{Name: "t/partitions", Count: 5}, kerr.UnknownTopicOrPartition, "The topic 't/partitions' does not exist."},
		{Extension{Name: "dying", Count: 5}, kerr.InvalidTopicException, "The topic is queued for deletion."},
		{Extension{Name: "t", Count: 4}, kerr.InvalidPartitions, "Topic currently has 5 partitions, which is higher than the requested 4."},
		{Extension{Name: "t", Count: 5}, kerr.InvalidPartitions, "Topic already has 5 partitions."},
		{Extension{Name: "t", Count: 1 << 30}, kerr.InvalidPartitions, "*"},
		{Extension{Name: "t", Count: 6, Assignments: [][]int32{{1, 9}}}, kerr.InvalidReplicaAssignment, "Unknown broker(s) in replica assignment: 9."},
		{Extension{Name: "t", Count: 7, Assignments: [][]int32{{1, 2}}}, kerr.InvalidReplicaAssignment, "Increasing the number of partitions by 2 but 1 assignments provided."},
		{Extension{Name: "t", Count: 6, Assignments: [][]int32{}}, kerr.InvalidReplicaAssignment, "Increasing the number of partitions by 1 but 0 assignments provided."},
		{Extension{Name: "t", Count: 6, Assignments: [][]int32{{}}}, kerr.InvalidReplicaAssignment, "Cannot have replication factor of 0 for partition id 5."},
		{Extension{Name: "t", Count: 6, Assignments: [][]int32{{1, 1}}}, kerr.InvalidReplicaAssignment, "Duplicate brokers not allowed in replica assignment: 1, 1 for partition id 5."},
		{Extension{Name: "t", Count: 7, Assignments: [][]int32{{1}, {1, 2, 3}}}, kerr.InvalidReplicaAssignment, "Inconsistent replication factor between partitions, partition 0 has 2 while partitions [5, 6] have replication factors [1, 3], respectively."},
	} {
		if _, err := w.m.AddPartitions(w.ctx, c.e, false); err == nil {
			t.Errorf("%+v was done", c.e)
		} else {
			wantCode(t, err, c.code, c.message)
		}
	}
	if _, err := w.m.AddPartitions(w.ctx, Extension{Name: "t", Count: 6, Assignments: [][]int32{{3, 1}}}, false); err != nil {
		t.Error(err)
	}
	if top, _, err = znode.ReadTopic(w.ctx, w.g, "t"); err != nil || !slices.Equal(top.Partitions[5].Replicas, []int32{3, 1}) {
		t.Errorf("%+v, %v", top, err)
	}
	a := top.Partitions[0]
	a.Adding = []int32{3}
	top.Partitions[0] = a
	if err := znode.SetTopicUnchecked(w.ctx, w.g, top); err != nil {
		t.Fatal(err)
	}
	_, err = w.m.AddPartitions(w.ctx, Extension{Name: "t", Count: 9}, false)
	wantCode(t, err, kerr.ReassignmentInProgress, "A partition reassignment is in progress for the topic 't'.")
}

func TestDelete(t *testing.T) {
	w := newWorld(t, "")
	if _, err := w.m.Create(w.ctx, spec("t", 1, 1), false); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.m.Delete(w.ctx, "t"); err != nil {
			t.Error(err)
		}
	}
	if ok, err := znode.IsMarkedForDeletion(w.ctx, w.g, "t"); !ok || err != nil {
		t.Error(ok, err)
	}
	wantCode(t, w.m.Delete(w.ctx, "none"), kerr.UnknownTopicOrPartition, "Topic `none` to delete does not exist")
	wantCode(t, w.m.Delete(w.ctx, ""), kerr.UnknownTopicOrPartition, "*")
}

// A request waits out an expired session no longer than its own time, and works again under the next.
func TestAcrossExpiry(t *testing.T) {
	w := newWorld(t, "", "")
	w.l.CutAndExpire(w.ctx)
	ctx, cancel := context.WithCancel(w.ctx)
	cancel()
	if _, err := w.m.Create(ctx, spec("t", 1, 1), false); err == nil {
		t.Error("made while cut off")
	}
	w.l.Restore()
	<-w.g.Done()
	g, err := w.s.Await(w.ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := znode.Elect(w.ctx, g, 1, 1); err != nil {
		t.Fatal(err)
	}
	if _, err := w.m.Create(w.ctx, spec("t", 1, 1), false); err != nil {
		t.Error(err)
	}
}
