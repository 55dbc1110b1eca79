package settings

import (
	"context"
	"errors"
	"maps"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"go.uber.org/goleak"

	"gokafka/config"
	"gokafka/coordination"
	"gokafka/coordination/zktest"
	"gokafka/coordination/znode"
	"gokafka/internal/clock"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// broker is one broker's settings, with a record of what it was told.
type broker struct {
	*Manager
	s     *coordination.Session
	l     *zktest.Link
	clock *clock.Clock

	mu     sync.Mutex
	topics map[string]*config.Topic
	before *config.Broker
	seen   map[Entity]map[string]string
}

func (b *broker) topic(name string) *config.Topic {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.topics[name]
}

func (b *broker) entity(e Entity) (map[string]string, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c, ok := b.seen[e]
	return c, ok
}

func start(t *testing.T, srv *zktest.Server, id string) *broker {
	t.Helper()
	s, l := srv.Open(t)
	if err := znode.CreatePersistentPaths(t.Context(), s.Current()); err != nil {
		t.Fatal(err)
	}
	if _, err := znode.Elect(t.Context(), s.Current(), 1, 1); err != nil && !errors.Is(err, znode.ErrControllerMoved) {
		t.Fatal(err)
	}
	conf, err := config.NewBroker(map[string]string{"zookeeper.connect": "x:1", "broker.id": id})
	if err != nil {
		t.Fatal(err)
	}
	b := &broker{s: s, l: l, clock: clock.New(), topics: map[string]*config.Topic{}, seen: map[Entity]map[string]string{}}
	b.Manager, err = Start(t.Context(), Options{Session: s, Broker: conf, Clock: b.clock,
		OnTopic: func(name string, c *config.Topic) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.topics[name] = c
		},
		OnBroker: func(before, _ *config.Broker) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.before = before
		},
		OnEntity: func(e Entity, c map[string]string) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.seen[e] = c
		},
		TopicExists: func(name string) bool { return name != "unknown" && name != "a/b" },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

func makeTopic(t *testing.T, b *broker, name string, conf map[string]string) {
	t.Helper()
	g := b.s.Current()
	if err := znode.WriteConfig(t.Context(), g, znode.TopicEntity, name, conf); err != nil {
		t.Fatal(err)
	}
	if err := znode.CreateTopic(t.Context(), g, znode.Topic{Name: name}); err != nil {
		t.Fatal(err)
	}
}

func str(s string) *string { return &s }

func TestTopicConfigReachesAllBrokers(t *testing.T) {
	srv := zktest.Start(t)
	a := start(t, srv, "1")
	makeTopic(t, a, "t", map[string]string{"retention.ms": "1000"})
	b := start(t, srv, "2") // finds it at start
	if c := b.Topic("t"); c.Retention != time.Second {
		t.Errorf("%v", c.Retention)
	}
	if c := a.Topic("t"); c != a.Broker().Topic() && c.Retention == time.Second {
		t.Error("the making of a topic sends no notification")
	}
	now, errs, err := a.TopicOverrides(t.Context(), []string{"none", "t"})
	if err != nil || errs[0] != nil || errs[1] != nil || len(now[0]) != 0 || now[1]["retention.ms"] != "1000" {
		t.Errorf("overrides as they stand: %v, %v, %v", now, errs, err)
	}
	if a.Snapshot().Overrides("t") != nil {
		t.Error("to read the overrides changed the snapshot, and with it hid the change from OnTopic")
	}
	snap, err := a.LoadTopics(t.Context(), []string{"t", "none"})
	if err != nil || snap.Topic("t").Retention != time.Second || snap.Overrides("t")["retention.ms"] != "1000" {
		t.Errorf("%v, %v", snap.Topic("t"), err)
	}
	if err := b.AlterTopic(t.Context(), "t", []Op{{"retention.ms", str("2000"), Set}}, false); err != nil {
		t.Fatal(err)
	}
	for _, x := range []*broker{a, b} {
		zktest.Eventually(t, "the change", func() bool { c := x.topic("t"); return c != nil && c.Retention == 2*time.Second })
		if x.Topic("t") != x.topic("t") {
			t.Error("the callback's config is not the published one")
		}
	}
	a.DropTopic("t")
	zktest.Eventually(t, "drop", func() bool { return a.Snapshot().Overrides("t") == nil })
}

func TestDynamicBrokerConfig(t *testing.T) {
	srv := zktest.Start(t)
	a, b := start(t, srv, "1"), start(t, srv, "2")
	makeTopic(t, a, "t", map[string]string{"segment.bytes": "2000000"})
	if _, err := a.LoadTopics(t.Context(), []string{"t"}); err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	if err := a.AlterBroker(ctx, "", []Op{{"log.retention.ms", str("5000"), Set}}, false); err != nil {
		t.Fatal(err)
	}
	for _, x := range []*broker{a, b} {
		zktest.Eventually(t, "cluster default", func() bool { return x.Topic("x").Retention == 5*time.Second })
	}
	zktest.Eventually(t, "topics follow", func() bool {
		c := a.topic("t")
		return c != nil && c.Retention == 5*time.Second && c.SegmentBytes == 2000000
	})
	if err := a.AlterBroker(ctx, "1", []Op{{"log.retention.ms", str("6000"), Set}}, false); err != nil {
		t.Fatal(err)
	}
	zktest.Eventually(t, "own config over the cluster's", func() bool { return a.Topic("x").Retention == 6*time.Second })
	if b.Topic("x").Retention != 5*time.Second {
		t.Error("another broker's config was taken")
	}
	if err := a.AlterBroker(ctx, "1", []Op{{"log.retention.ms", nil, Delete}}, false); err != nil {
		t.Fatal(err)
	}
	zktest.Eventually(t, "back to the cluster's", func() bool { return a.Topic("x").Retention == 5*time.Second })
	for _, c := range []struct {
		name string
		op   Op
		code *kerr.Error
		text string
	}{
		{"2", Op{"log.retention.ms", str("1"), Set}, kerr.InvalidRequest, "Unexpected broker id, expected 1, but received 2"},
		{"x", Op{"log.retention.ms", str("1"), Set}, kerr.InvalidRequest, "Node id must be an integer, but it is: x"},
		{"1", Op{"log.dirs", str("1"), Set}, kerr.InvalidRequest, "*"},
		{"1", Op{"log.retention.ms", str("x"), Set}, kerr.InvalidRequest, "*"},
		{"1", Op{"log.retention.ms", str("1"), Append}, kerr.InvalidConfig, "Config value append is not allowed for config key: log.retention.ms"},
	} {
		wantRefusal(t, a.AlterBroker(ctx, c.name, []Op{c.op}, false), c.code, c.text)
	}
}

// Passwords that an Apache broker encrypted cannot be read here, but they are not lost by altering something else.
func TestEncryptedPasswordsSurvive(t *testing.T) {
	srv := zktest.Start(t)
	a := start(t, srv, "1")
	ctx, g := t.Context(), a.s.Current()
	const key = "listener.name.x.ssl.keystore.password"
	if err := znode.WriteConfig(ctx, g, znode.BrokerEntity, "1", map[string]string{key: "encrypted:x"}); err != nil {
		t.Fatal(err)
	}
	if err := a.AlterBroker(ctx, "1", []Op{{"log.retention.ms", str("6000"), Set}}, false); err != nil {
		t.Fatal(err)
	}
	got, err := znode.ReadConfig(ctx, g, znode.BrokerEntity, "1")
	if err != nil || got[key] != "encrypted:x" || got["log.retention.ms"] != "6000" {
		t.Errorf("%v, %v", got, err)
	}
	zktest.Eventually(t, "effect", func() bool { return a.Topic("x").Retention == 6*time.Second })
	// And none is stored in clear, as there is no encoder.
	if err := a.AlterBroker(ctx, "1", []Op{{"listener.name.x.plain.sasl.jaas.config", str("secret"), Set}}, false); err == nil {
		t.Error("a password was stored")
	}
}

func wantRefusal(t *testing.T, err error, code *kerr.Error, text string) {
	t.Helper()
	var k *kerr.Error
	if !errors.As(err, &k) || k.Code != code.Code || text != "*" && err.Error() != text {
		t.Errorf("got %v (%v)\nwant %v %q", err, k, code.Message, text)
	}
}

func TestAlterTopic(t *testing.T) {
	srv := zktest.Start(t)
	a := start(t, srv, "1")
	makeTopic(t, a, "t", map[string]string{"retention.ms": "1000", "max.message.bytes": "5"})
	ctx := t.Context()
	stored := func() map[string]string {
		t.Helper()
		c, err := znode.ReadConfig(ctx, a.s.Current(), znode.TopicEntity, "t")
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	for _, c := range []struct {
		what string
		err  error
		want map[string]string
	}{
		{"validate only", a.AlterTopic(ctx, "t", []Op{{"retention.ms", str("1"), Set}}, true), map[string]string{"retention.ms": "1000", "max.message.bytes": "5"}},
		{"set and delete", a.AlterTopic(ctx, "t", []Op{{"retention.ms", str("2"), Set}, {"max.message.bytes", nil, Delete}}, false), map[string]string{"retention.ms": "2"}},
	} {
		if c.err != nil {
			t.Errorf("%s: %v", c.what, c.err)
		}
	}
	if got := stored(); !maps.Equal(got, map[string]string{"retention.ms": "2"}) {
		t.Errorf("%v", got)
	}
	for _, c := range []struct {
		op   Op
		want string
	}{
		{Op{"cleanup.policy", str("compact"), Append}, "delete,compact"},
		{Op{"cleanup.policy", str("compact"), Append}, "delete,compact"},
		{Op{"cleanup.policy", str("delete"), Subtract}, "compact"},
	} {
		if err := a.AlterTopic(ctx, "t", []Op{c.op}, false); err != nil {
			t.Error(err)
		}
		if got := stored()["cleanup.policy"]; got != c.want {
			t.Errorf("%v: %q", c.op.Kind, got)
		}
	}
	if err := a.ReplaceTopic(ctx, "t", []Op{{"segment.bytes", str("1000"), Set}}, false); err != nil {
		t.Error(err)
	}
	if got := stored(); !maps.Equal(got, map[string]string{"segment.bytes": "1000"}) {
		t.Errorf("%v", got)
	}
	set := func(name string, v *string) []Op { return []Op{{name, v, Set}} }
	for _, c := range []struct {
		topic string
		ops   []Op
		code  *kerr.Error
		text  string
	}{
		{"", set("retention.ms", str("1")), kerr.InvalidRequest, "Default topic resources are not allowed."},
		{"unknown", set("retention.ms", str("1")), kerr.UnknownTopicOrPartition, "The topic 'unknown' does not exist."},
		{"a/b", set("retention.ms", str("1")), kerr.UnknownTopicOrPartition, "The topic 'a/b' does not exist."},
		{"gone", set("retention.ms", str("1")), kerr.UnknownTopicOrPartition, "The topic 'gone' does not exist."},
		{"t", set("nonsense", str("1")), kerr.InvalidConfig, "Unknown topic config name: nonsense"},
		{"t", set("retention.ms", str("x")), kerr.InvalidConfig, "Invalid config value for resource ConfigResource(type=TOPIC, name='t'): " +
			"Invalid value x for configuration retention.ms: Not a number of type LONG"},
		{"t", set("retention.ms", nil), kerr.InvalidRequest, "Null value not supported for : retention.ms"},
		{"t", append(set("a", str("1")), set("a", str("2"))...), kerr.InvalidRequest, "Error due to duplicate config keys"},
		{"t", []Op{{"retention.ms", str("1"), Append}}, kerr.InvalidConfig, "Config value append is not allowed for config key: retention.ms"},
		{"t", []Op{{"retention.ms", str("1"), Subtract}}, kerr.InvalidConfig, "Config value subtract is not allowed for config key: retention.ms"},
		{"t", []Op{{"nonsense", str("1"), Append}}, kerr.InvalidConfig, "Unknown config name: nonsense"},
		{"t", []Op{{"retention.ms", str("1"), 9}}, kerr.InvalidRequest, "Unknown operations type 9"},
	} {
		wantRefusal(t, a.AlterTopic(ctx, c.topic, c.ops, false), c.code, c.text)
	}
}

// Two brokers that alter different configs of one topic at once: neither change is lost, and no lost reply loses one.
func TestConcurrentAlters(t *testing.T) {
	srv := zktest.Start(t)
	a, b := start(t, srv, "1"), start(t, srv, "2")
	makeTopic(t, a, "t", nil)
	a.l.DropReply(zktest.OpMulti)
	b.l.DropReply(zktest.OpMulti)
	var wg sync.WaitGroup
	for i, x := range []*broker{a, b, a, b} {
		name := []string{"retention.ms", "segment.ms", "retention.bytes", "max.message.bytes"}[i]
		wg.Go(func() {
			if err := x.AlterTopic(t.Context(), "t", []Op{{name, str("777777"), Set}}, false); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got, err := znode.ReadConfig(t.Context(), a.s.Current(), znode.TopicEntity, "t"); err != nil || len(got) != 4 {
		t.Errorf("%v, %v", got, err)
	}
}

// Changes that are made while the broker has no session are seen when it has one again.
func TestChangesDuringExpiry(t *testing.T) {
	srv := zktest.Start(t)
	a, b := start(t, srv, "1"), start(t, srv, "2")
	makeTopic(t, a, "t", nil)
	if _, err := b.LoadTopics(t.Context(), []string{"t"}); err != nil {
		t.Fatal(err)
	}
	b.l.CutAndExpire(t.Context())
	if err := a.AlterTopic(t.Context(), "t", []Op{{"retention.ms", str("3000"), Set}}, false); err != nil {
		t.Fatal(err)
	}
	user := Entity{Type: znode.UserEntity, Name: "u"}
	if err := a.WriteEntity(t.Context(), user, map[string]string{"producer_byte_rate": "10.0"}); err != nil {
		t.Fatal(err)
	}
	// Long enough away for the notifications to be purged: only the full load can show the changes.
	ns, err := znode.ListNotifications(t.Context(), a.s.Current(), znode.ConfigChangesPath, false)
	if err != nil || len(ns) != 2 {
		t.Fatalf("%v %v", ns, err)
	}
	for _, n := range ns {
		if err := znode.DeleteNotification(t.Context(), a.s.Current(), n); err != nil {
			t.Fatal(err)
		}
	}
	b.l.Restore()
	zktest.Eventually(t, "reload", func() bool { c := b.topic("t"); return c != nil && c.Retention == 3*time.Second })
	zktest.Eventually(t, "entities", func() bool { c, _ := b.entity(user); return c["producer_byte_rate"] == "10.0" })
	if err := a.AlterTopic(t.Context(), "t", []Op{{"retention.ms", str("4000"), Set}}, false); err != nil {
		t.Fatal(err)
	}
	zktest.Eventually(t, "watch of the new session", func() bool { return b.topic("t").Retention == 4*time.Second })
}

func TestEntities(t *testing.T) {
	srv := zktest.Start(t)
	a := start(t, srv, "1")
	ctx, g := t.Context(), a.s.Current()
	both := Entity{Type: znode.UserEntity, Name: "u/clients/c"}
	conf := map[string]string{"consumer_byte_rate": "1.0"}
	for _, e := range []Entity{both, {Type: znode.ClientEntity, Name: znode.DefaultEntity}, {Type: znode.IPEntity, Name: "10.0.0.1"}} {
		if err := a.WriteEntity(ctx, e, conf); err != nil {
			t.Fatal(err)
		}
		zktest.Eventually(t, e.String(), func() bool { c, _ := a.entity(e); return maps.Equal(c, conf) })
		if !maps.Equal(a.Snapshot().Entity(e), conf) {
			t.Errorf("%s: %v", e, a.Snapshot().Entity(e))
		}
	}
	if err := a.WriteEntity(ctx, both, nil); err != nil {
		t.Fatal(err)
	}
	zktest.Eventually(t, "deletion", func() bool { c, ok := a.entity(both); return ok && len(c) == 0 })
	for _, p := range []string{"u/clients/c", "u/clients", "u"} {
		if stat, err := g.Exists(ctx, znode.EntityPath(znode.UserEntity, p)); err != nil || stat != nil {
			t.Errorf("%s is left, %v", p, err)
		}
	}
	if err := a.WriteEntity(ctx, Entity{Type: znode.UserEntity, Name: "v"}, conf); err != nil {
		t.Fatal(err)
	}
	for _, c := range []string{"v/clients/c", "v/clients/d"} {
		if err := a.WriteEntity(ctx, Entity{Type: znode.UserEntity, Name: c}, conf); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.WriteEntity(ctx, Entity{Type: znode.UserEntity, Name: "v/clients/c"}, nil); err != nil {
		t.Fatal(err)
	}
	if err := a.WriteEntity(ctx, Entity{Type: znode.UserEntity, Name: "v"}, nil); err != nil { // has a child: stays, empty
		t.Fatal(err)
	}
	if c, v, err := znode.ReadConfigVersion(ctx, g, znode.UserEntity, "v"); err != nil || v == znode.Absent || len(c) != 0 {
		t.Errorf("%v %d %v", c, v, err)
	}
	if c, err := znode.ReadConfig(ctx, g, znode.UserEntity, "v/clients/d"); err != nil || !maps.Equal(c, conf) {
		t.Errorf("%v %v", c, err)
	}
}

// What is no notification or no config is passed over; what comes after is not held up.
func TestMalformed(t *testing.T) {
	srv := zktest.Start(t)
	a := start(t, srv, "1")
	ctx, g := t.Context(), a.s.Current()
	makeTopic(t, a, "t", nil)
	mk := func(path, data string, mode coordination.Mode) {
		t.Helper()
		if _, err := g.Create(ctx, path, []byte(data), mode); err != nil {
			t.Fatal(err)
		}
	}
	mk(znode.EntityPath(znode.TopicEntity, "bad"), `{"version":1,"config":{"retention.ms":5}}`, coordination.Persistent)
	mk(znode.EntityPath(znode.TopicEntity, "odd"), `{"version":1,"config":{"retention.ms":"x","new.in.4.x":"y"}}`, coordination.Persistent)
	for _, data := range []string{`garbage`, `{"version":2,"entity_path":"topics/bad"}`, `{"version":2,"entity_path":"topics/odd"}`} {
		mk(znode.ConfigChangesPath+"/config_change_", data, coordination.PersistentSequential)
	}
	if err := a.AlterTopic(ctx, "t", []Op{{"retention.ms", str("3000"), Set}}, false); err != nil {
		t.Fatal(err)
	}
	zktest.Eventually(t, "what follows", func() bool { c := a.topic("t"); return c != nil && c.Retention == 3*time.Second })
	if c := a.Topic("odd"); c.Retention != a.Broker().Topic().Retention {
		t.Errorf("%v", c.Retention)
	}
}

func TestPurge(t *testing.T) {
	srv := zktest.Start(t)
	a := start(t, srv, "1")
	makeTopic(t, a, "t", nil)
	alter := func(v string) {
		t.Helper()
		if err := a.AlterTopic(t.Context(), "t", []Op{{"retention.ms", &v, Set}}, false); err != nil {
			t.Fatal(err)
		}
	}
	count := func() int {
		ns, err := znode.ListNotifications(t.Context(), a.s.Current(), znode.ConfigChangesPath, false)
		if err != nil {
			t.Fatal(err)
		}
		return len(ns)
	}
	alter("1000")
	alter("2000")
	zktest.Eventually(t, "changes", func() bool { c := a.topic("t"); return c != nil && c.Retention == 2*time.Second })
	if n := count(); n != 2 {
		t.Errorf("%d notifications", n)
	}
	a.clock.Move(16 * time.Minute)
	alter("3000")
	zktest.Eventually(t, "purge", func() bool { return count() == 0 })
	if c := a.Topic("t"); c.Retention != 3*time.Second {
		t.Errorf("%v", c.Retention)
	}
}

func TestEndsWithItsContexts(t *testing.T) {
	srv := zktest.Start(t)
	a := start(t, srv, "1")
	a.l.Cut()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, err := a.LoadTopics(ctx, []string{"t"}); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	a.l.Restore()
	a.Close()
	if _, err := a.LoadTopics(t.Context(), []string{"t"}); !errors.Is(err, coordination.ErrClosed) {
		t.Errorf("%v", err)
	}
	a.DropTopic("t")
}
