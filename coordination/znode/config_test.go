package znode

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"

	"gokafka/coordination"
	"gokafka/coordination/zktest"
)

func TestWriteConfig(t *testing.T) {
	ctx, s, l := open(t, zktest.Start(t))
	g := s.Current()
	conf := map[string]string{"a": "1"}
	if err := WriteConfig(ctx, g, TopicEntity, "t", conf); !errors.Is(err, kerr.StaleControllerEpoch) {
		t.Errorf("without a controller: %v", err)
	}
	c := elect(t, g, 1)
	if err := WriteConfig(ctx, g, TopicEntity, "t", conf); err != nil {
		t.Fatal(err)
	}
	conf["b"] = "2"
	l.DropReply(zktest.OpMulti)
	if err := WriteConfig(ctx, g, TopicEntity, "t", conf); err != nil {
		t.Fatal(err)
	}
	if got, err := ReadConfig(ctx, g, TopicEntity, "t"); err != nil || !maps.Equal(got, conf) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := ReadConfig(ctx, g, TopicEntity, "absent"); err != nil || len(got) != 0 {
		t.Errorf("%v, %v", got, err)
	}
	// On condition of a version: a lost reply is no conflict, another's write is.
	_, version, err := ReadConfigVersion(ctx, g, TopicEntity, "t")
	if err != nil {
		t.Fatal(err)
	}
	l.DropReply(zktest.OpMulti)
	if err := WriteConfigIf(ctx, g, TopicEntity, "t", map[string]string{"c": "3"}, version); err != nil {
		t.Errorf("lost reply of a set: %v", err)
	}
	if err := WriteConfigIf(ctx, g, TopicEntity, "t", conf, version); !errors.Is(err, coordination.ErrBadVersion) {
		t.Errorf("stale set: %v", err)
	}
	l.DropReply(zktest.OpCreate)
	if err := WriteConfigIf(ctx, g, TopicEntity, "u", conf, Absent); err != nil {
		t.Errorf("lost reply of a create: %v", err)
	}
	if err := WriteConfigIf(ctx, g, TopicEntity, "u", map[string]string{"c": "3"}, Absent); !errors.Is(err, coordination.ErrBadVersion) {
		t.Errorf("create over another's: %v", err)
	}
	if err := WriteConfigIf(ctx, g, TopicEntity, "none", conf, 0); !errors.Is(err, coordination.ErrBadVersion) {
		t.Errorf("set of a deleted one: %v", err)
	}
	l.DropReply(zktest.OpCreate)
	if err := WriteConfig(ctx, g, UserEntity, "u/clients/c", conf); err != nil {
		t.Fatal(err)
	}
	mustCreate(t, g, EntityPath(UserEntity, "bad"), `{"version":1,"config":{"a":[]}}`)
	all, bad, err := ReadAllConfigs(ctx, g, UserEntity)
	if err != nil || len(bad) != 1 || !slices.Equal(slices.Sorted(maps.Keys(all)), []string{"u", "u/clients/c"}) ||
		!maps.Equal(all["u/clients/c"], conf) {
		t.Errorf("%v, bad %v, %v", all, bad, err)
	}
	if err := DeleteEntity(ctx, g, UserEntity, "u"); err != nil {
		t.Error(err)
	}
	if stat, _ := g.Exists(ctx, EntityPath(UserEntity, "u")); stat != nil {
		t.Error("the entity is still there")
	}
	if err := c.Resign(ctx); err != nil {
		t.Fatal(err)
	}
	mustCreate(t, g, ControllerPath, `{"version":2,"brokerid":3000,"timestamp":"1","kraftControllerEpoch":5}`)
	if err := WriteConfig(ctx, g, TopicEntity, "t", conf); !errors.Is(err, ErrKRaftController) {
		t.Errorf("under a KRaft controller: %v", err)
	}
}

func TestConfigNotifications(t *testing.T) {
	ctx, s, _ := open(t, zktest.Start(t))
	g := s.Current()
	if err := DeleteEntity(ctx, g, "changes", "none"); err != nil {
		t.Error(err)
	}
	want := []Entity{{TopicEntity, "a"}, {BrokerEntity, DefaultEntity}, {UserEntity, "u/clients/c"}}
	for _, e := range want {
		if err := NotifyConfigChange(ctx, g, e); err != nil {
			t.Fatal(err)
		}
	}
	mustCreate(t, g, ConfigChangesPath+"/stranger", "")
	ns, err := ListNotifications(ctx, g, ConfigChangesPath, true)
	if err == nil {
		ns, err = ReadNotifications(ctx, g, ns)
	}
	if err != nil || len(ns) != 3 {
		t.Fatalf("%+v, %v", ns, err)
	}
	for i, n := range ns {
		e, err := DecodeConfigChange(n.Path, n.Data)
		if err != nil || e != want[i] || n.Sequence != int64(i) || n.CtimeMs == 0 {
			t.Errorf("%+v: %v, %v", n, e, err)
		}
	}
	c := elect(t, g, 1)
	if err := c.DeleteNotifications(ctx, ns); err != nil {
		t.Error(err)
	}
	if ns, err := ListNotifications(ctx, g, ConfigChangesPath, false); err != nil || len(ns) != 0 {
		t.Errorf("%v, %v", ns, err)
	}
	if err := NotifyLogDirFailure(ctx, g, 4); err != nil {
		t.Error(err)
	}
	ns, _ = ListNotifications(ctx, g, LogDirEventPath, false)
	if ns, err = ReadNotifications(ctx, g, ns); err != nil || len(ns) != 1 {
		t.Fatalf("%v, %v", ns, err)
	}
	if id, ok, err := DecodeLogDirEvent(ns[0].Path, ns[0].Data); err != nil || !ok || id != 4 {
		t.Errorf("%d %v %v", id, ok, err)
	}
}

// No producer id is handed out twice, whoever takes blocks, and whatever replies are lost.
func TestTakeProducerIDBlock(t *testing.T) {
	srv := zktest.Start(t)
	ctx, s1, l := open(t, srv)
	s2, _ := srv.Open(t)
	l.DropReply(zktest.OpSet)
	var mu sync.Mutex
	var starts []int64
	var wg sync.WaitGroup
	for i, g := range []*coordination.Generation{s1.Current(), s2.Current()} {
		for range 5 {
			wg.Go(func() {
				for range 5 {
					b, err := TakeProducerIDBlock(ctx, g, int32(i))
					if err != nil || b.Len != ProducerIDBlockSize || b.BrokerID != int32(i) {
						t.Errorf("%+v, %v", b, err)
					}
					mu.Lock()
					starts = append(starts, b.Start)
					mu.Unlock()
				}
			})
		}
	}
	wg.Wait()
	slices.Sort(starts)
	if n := len(slices.Compact(starts)); n != 50 {
		t.Errorf("%d different blocks of 50", n)
	}
	if _, err := s1.Current().Set(ctx, ProducerIDBlockPath,
		[]byte(`{"version":1,"broker":1,"block_start":"9223372036854774000","block_end":"9223372036854774999"}`), -1); err != nil {
		t.Fatal(err)
	}
	if b, err := TakeProducerIDBlock(ctx, s1.Current(), 1); err == nil {
		t.Errorf("block beyond the last id: %+v", b)
	}
}

func TestFeatures(t *testing.T) {
	ctx, s, _ := open(t, zktest.Start(t))
	g := s.Current()
	if _, ok, err := ReadFeatures(ctx, g, true); ok || err != nil {
		t.Fatal(ok, err)
	}
	if err := CreateFeatures(ctx, g, Features{Enabled: true}); err != nil {
		t.Fatal(err)
	}
	f, ok, err := ReadFeatures(ctx, g, true)
	if err != nil || !ok || !f.Enabled || f.Version != 2 || f.ZkVersion != 0 {
		t.Fatalf("%+v %v %v", f, ok, err)
	}
	f.Finalized["x"] = 3
	if v, err := WriteFeatures(ctx, g, f); err != nil || v != 1 {
		t.Errorf("%d, %v", v, err)
	}
	if _, err := WriteFeatures(ctx, g, f); !errors.Is(err, coordination.ErrBadVersion) {
		t.Errorf("stale: %v", err)
	}
	if f, _, err = ReadFeatures(ctx, g, false); err != nil || f.Finalized["x"] != 3 || f.ZkVersion != 1 {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestCreateTopicWithLostReply(t *testing.T) {
	ctx, s, l := open(t, zktest.Start(t))
	g := s.Current()
	top := Topic{Name: "t", ID: [16]byte{1}, Partitions: map[int32]Assignment{0: {Replicas: []int32{1}}}}
	l.DropReply(zktest.OpCreate)
	if err := CreateTopic(ctx, g, top); err != nil {
		t.Errorf("own: %v", err)
	}
	top.ID[0] = 2
	l.DropReply(zktest.OpCreate)
	if err := CreateTopic(ctx, g, top); !errors.Is(err, coordination.ErrNodeExists) {
		t.Errorf("another's: %v", err)
	}
	got, ok, err := ReadTopic(ctx, g, "t")
	if err != nil || !ok || got.ID[0] != 1 {
		t.Errorf("%+v %v %v", got, ok, err)
	}
	if ts, err := ReadTopics(ctx, g, []string{"t", "none"}, true); err != nil || len(ts) != 1 {
		t.Errorf("%v %v", ts, err)
	}
	if names, err := ListTopics(ctx, g, true); err != nil || !slices.Equal(names, []string{"t"}) {
		t.Errorf("%v %v", names, err)
	}
}
