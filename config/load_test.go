package config

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// stock is Apache's own config/server.properties of 3.9, less its comments.
const stock = `broker.id=0
#listeners=PLAINTEXT://:9092
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
log.dirs=/tmp/kafka-logs
num.partitions=1
num.recovery.threads.per.data.dir=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.retention.hours=168
#log.retention.bytes=1073741824
log.retention.check.interval.ms=300000
zookeeper.connect=localhost:2181
zookeeper.connection.timeout.ms=18000
`

func write(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "server.properties")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadStockFile(t *testing.T) {
	b, warnings, err := Load(Input{File: write(t, stock)})
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) > 0 {
		t.Errorf("the file every operator has gives warnings: %q", warnings)
	}
	if b.Embedded || b.ID != 0 || b.ZooKeeperConnect != "localhost:2181" || b.Listeners[0].String() != "PLAINTEXT://:9092" {
		t.Errorf("got %+v", b)
	}
}

// TestPrecedence: base < file < environment < override.
func TestPrecedence(t *testing.T) {
	in := Input{Base: map[string]string{"num.partitions": "1", "broker.id": "0"}}
	want := int32(1)
	check := func(what string) {
		t.Helper()
		b, _, err := Load(in)
		if err != nil {
			t.Fatal(err)
		}
		if b.NumPartitions != want {
			t.Errorf("with %s: num.partitions=%d, want %d", what, b.NumPartitions, want)
		}
	}
	check("base")
	in.File, want = write(t, "num.partitions=2\n"), 2
	check("file")
	in.Env, want = []string{"KAFKA_NUM_PARTITIONS=3", "PATH=/bin", "KAFKA_HEAP_OPTS=-Xmx1g"}, 3
	check("environment")
	in.Overrides, want = []string{"num.partitions=4", "num.partitions=5"}, 5
	check("override")
}

func TestFromEnv(t *testing.T) {
	got := FromEnv([]string{
		"KAFKA_LOG_RETENTION_MS=5", "KAFKA_A__B___C=x=y", "KAFKA_ZOOKEEPER_CLIENTCNXNSOCKET=c", "KAFKA_OPTS=-D", "KAFKA_=1",
		"KAFKA_LOG4J_ROOT_LOGLEVEL=INFO", "KAFKA_KAFKA_METRICS_REPORTERS=r", "KAFKAX=1", "kafka_x=1", "KAFKA_EMPTY=", "KAFKA_JMX_PORT=9",
		"KAFKA_LISTENER_NAME_CLIENT_SSL_KEY_PASSWORD=p",
	})
	want := map[string]string{
		"log.retention.ms": "5", "a_b-c": "x=y", "zookeeper.clientCnxnSocket": "c", "kafka.metrics.reporters": "r",
		"empty": "", "listener.name.client.ssl.key.password": "p",
	}
	if !maps.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestComposeFile is the environment of a stock KRaft compose file.
func TestComposeFile(t *testing.T) {
	b, warnings, err := Load(Input{Env: []string{
		"KAFKA_NODE_ID=1", "KAFKA_PROCESS_ROLES=broker,controller",
		"KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PLAINTEXT_HOST:PLAINTEXT",
		"KAFKA_ADVERTISED_LISTENERS=PLAINTEXT_HOST://localhost:9092,PLAINTEXT://broker:19092",
		"KAFKA_LISTENERS=CONTROLLER://:29093,PLAINTEXT_HOST://:9092,PLAINTEXT://:19092",
		"KAFKA_CONTROLLER_QUORUM_VOTERS=1@broker:29093", "KAFKA_INTER_BROKER_LISTENER_NAME=PLAINTEXT",
		"KAFKA_CONTROLLER_LISTENER_NAMES=CONTROLLER", "CLUSTER_ID=4L6g3nShT-eMCtK--X86sw",
		"KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR=1", "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR=1",
		"KAFKA_TRANSACTION_STATE_LOG_MIN_ISR=1", "KAFKA_LOG_DIRS=/tmp/kraft-combined-logs",
	}})
	if err != nil {
		t.Fatal(err)
	}
	if len(warnings) > 0 {
		t.Errorf("warnings %q", warnings)
	}
	if !b.Embedded || b.ID != 1 || b.GenerateID {
		t.Errorf("embedded %t, id %d", b.Embedded, b.ID)
	}
	if got := listenerText(b.Listeners); got != "PLAINTEXT_HOST|PLAINTEXT||9092,PLAINTEXT|PLAINTEXT||19092" {
		t.Errorf("opens %s", got)
	}
	if got := listenerText(b.AdvertisedListeners); got != "PLAINTEXT_HOST|PLAINTEXT|localhost|9092,PLAINTEXT|PLAINTEXT|broker|19092" {
		t.Errorf("advertises %s", got)
	}
	if b.InterBrokerListener != "PLAINTEXT" {
		t.Errorf("inter broker %s", b.InterBrokerListener)
	}
}

// TestControllerNeedsNoMap: KRaft's default security map covers controller listeners.
func TestControllerNeedsNoMap(t *testing.T) {
	_, _, err := Load(Input{Overrides: []string{"node.id=1", "process.roles=controller,broker",
		"listeners=PLAINTEXT://:9092,CTRL://:9093", "controller.listener.names=CTRL"}})
	if err != nil {
		t.Error(err)
	}
}

// TestAdvertisedAlone: as in the Apache image, listeners follow from advertised.listeners of the environment.
func TestAdvertisedAlone(t *testing.T) {
	const advertised = "KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://broker:9092,PLAINTEXT_HOST://[::1]:19092"
	b, _, err := Load(Input{Base: map[string]string{"broker.id": "0", "listeners": "PLAINTEXT://127.0.0.1:9092"},
		Env: []string{advertised, "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP=PLAINTEXT:PLAINTEXT,PLAINTEXT_HOST:PLAINTEXT"}})
	if err != nil || b.Listeners[0].Addr() != "0.0.0.0:9092" || b.Listeners[1].Addr() != "[::]:19092" {
		t.Errorf("got %v, %v", b, err)
	}
	b, _, err = Load(Input{Base: map[string]string{"broker.id": "0", "listeners": "PLAINTEXT://127.0.0.1:9092"},
		Env: []string{"KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://broker:9092"}})
	if err != nil || b.Listeners[0].String() != "PLAINTEXT://0.0.0.0:9092" {
		t.Errorf("got %v, %v", b, err)
	}
	b, _, err = Load(Input{File: write(t, "broker.id=0\nlisteners=PLAINTEXT://127.0.0.1:9092\n"),
		Env: []string{"KAFKA_ADVERTISED_LISTENERS=PLAINTEXT://broker:9092"}})
	if err != nil || b.Listeners[0].String() != "PLAINTEXT://127.0.0.1:9092" {
		t.Errorf("the file's listeners are lost: %v, %v", b, err)
	}
}

// TestRefused: one line with key, value and reason.
func TestRefused(t *testing.T) {
	for _, c := range []struct{ props, key, value string }{
		{"log.retention.hours=abc", "log.retention.hours", "abc"},
		{"num.partitions=0", "num.partitions", "0"},
		{"log.roll.ms=0", "log.roll.ms", "0"},
		{"replica.fetch.wait.max.ms=40000", "replica.fetch.wait.max.ms", "40000"},
		{"listeners=PLAINTEXT://h:70000", "listeners", "70000"},
		{"listeners=PLAINTEXT://h", "listeners", "PLAINTEXT://h"},
		{"listeners=SSL://:9093;security.inter.broker.protocol=SSL", "security.inter.broker.protocol", "SSL"},
		{"listeners=PLAINTEXT://:9092,SSL://:9093", "listeners", "SSL://:9093"},
		{"listeners=PLAINTEXT://:9092,X://:9093;listener.security.protocol.map=PLAINTEXT:PLAINTEXT,X:SASL_SSL", "listeners", "SASL_SSL"},
		{"ssl.keystore.location=/k", "ssl.keystore.location", "/k"},
		{"sasl.enabled.mechanisms=PLAIN", "sasl.enabled.mechanisms", "PLAIN"},
		{"listener.name.x.plain.sasl.jaas.config=secret", "listener.name.x.plain.sasl.jaas.config", "[hidden]"},
		{"authorizer.class.name=kafka.security.authorizer.AclAuthorizer", "authorizer.class.name", "AclAuthorizer"},
		{"super.users=User:a", "super.users", "User:a"},
		{"config.providers=file", "config.providers", "file"},
		{"zookeeper.set.acl=true", "zookeeper.set.acl", "true"},
		{"zookeeper.ssl.client.enable=true", "zookeeper.ssl.client.enable", "true"},
		{"remote.log.storage.system.enable=true", "remote.log.storage.system.enable", "true"},
		{"create.topic.policy.class.name=a.B", "create.topic.policy.class.name", "a.B"},
		{"replica.selector.class=a.B", "replica.selector.class", "a.B"},
		{"process.roles=broker;node.id=1", "process.roles", "broker"},
		{"process.roles=controller;node.id=1", "process.roles", "controller"},
		{"process.roles=broker,broker;node.id=1", "process.roles", "broker"},
		{"process.roles=broker,controller", "node.id", "-1"},
		{"process.roles=broker,controller;node.id=1;zookeeper.connect=z:2181", "process.roles", "broker, controller"},
		{"process.roles=broker,controller;node.id=1;controller.quorum.voters=1@a:1,2@b:1", "controller.quorum.voters", "2@b:1"},
		{"process.roles=broker,controller;node.id=1;controller.quorum.voters=1@a:1,1@b:1", "controller.quorum.voters", "1@b:1"},
		{"process.roles=broker,controller;node.id=1;controller.quorum.voters=2@b:1", "controller.quorum.voters", "2@b:1"},
		{"process.roles=broker,controller;node.id=1;controller.quorum.bootstrap.servers=a:1,b:1", "controller.quorum.bootstrap.servers", "b:1"},
		{"process.roles=broker,controller;node.id=1;controller.listener.names=PLAINTEXT", "listeners", "PLAINTEXT"},
		{"process.roles=chief;node.id=1", "process.roles", "chief"},
		{"broker.id=1;node.id=2", "node.id", "2"},
		{"zookeeper.connect=z:2181;controller.listener.names=X", "controller.listener.names", "X"},
		{"zookeeper.metadata.migration.enable=true", "zookeeper.metadata.migration.enable", "true"},
		{"listeners=PLAINTEXT://0.0.0.0:9092", "listeners", "0.0.0.0"},
		{"zookeeper.connect=", "zookeeper.connect", ""},
		{"zookeeper.connect=z:2181/a/", "zookeeper.connect", "z:2181/a/"},
	} {
		_, _, err := Load(Input{Overrides: strings.Split(c.props, ";")})
		if err == nil {
			t.Errorf("%s is accepted", c.props)
			continue
		}
		if s := err.Error(); strings.Contains(s, "\n") || !strings.Contains(s, c.key) || !strings.Contains(s, c.value) ||
			strings.Contains(s, "secret") {
			t.Errorf("%s: %s", c.props, s)
		}
	}
}

// TestDefaultsAreNotRefused: a file that spells out the defaults starts.
func TestDefaultsAreNotRefused(t *testing.T) {
	props := map[string]string{"broker.id": "0", "node.id": "0"}
	for _, k := range BrokerKeys() {
		if _, set := props[k.Name]; !set && !k.Unset && k.Name != "process.roles" {
			props[k.Name] = k.Default
		}
	}
	b, warnings, err := Load(Input{Base: props})
	if err != nil || len(warnings) > 0 {
		t.Errorf("%v, %v, %v", b, warnings, err)
	}
}

func TestWarnings(t *testing.T) {
	_, warnings, err := Load(Input{Overrides: []string{
		"num.io.threads=16", "num.network.threads=3", "no.such.key=1", "background.threads=10", "quota.window.num=12",
		"listener.name.plaintext.max.connections=5", "listener.name.plaintext.num.network.threads=5",
		"listener.name.plaintext.nonsense=1", "listener.name.PLAINTEXT.max.connections=5", "inter.broker.protocol.version=3.9",
		"leader.replication.throttled.rate=5",
	}})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"leader.replication.throttled.rate", "listener.name.PLAINTEXT.max.connections",
		"listener.name.plaintext.max.connections", "listener.name.plaintext.nonsense",
		"listener.name.plaintext.num.network.threads", "no.such.key", "num.io.threads", "quota.window.num"}
	if len(warnings) != len(want) {
		t.Fatalf("got %q, want one about each of %q", warnings, want)
	}
	for i, w := range warnings {
		if !strings.Contains(w, "config "+want[i]+" ") || strings.Contains(w, "\n") {
			t.Errorf("warning %q, want one about %s", w, want[i])
		}
	}
}

func TestFileErrors(t *testing.T) {
	for what, in := range map[string]Input{
		"missing":   {File: filepath.Join(t.TempDir(), "nope")},
		"directory": {File: t.TempDir()},
		"escape":    {File: write(t, "a=\\u12\n")},
		"override":  {Overrides: []string{"=5"}},
	} {
		if _, _, err := Load(in); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestListenerLimits: a listener has its own limit, or the broker's.
func TestListenerLimits(t *testing.T) {
	b := mustBroker(t, map[string]string{"broker.id": "0", "listeners": "PLAINTEXT://:1,B://:2",
		"listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,B:PLAINTEXT", "max.connections": "10",
		"listener.name.b.max.connections": "4", "listener.name.plaintext.max.connection.creation.rate": "3"})
	if b.Listeners[0].MaxConnections != 10 || b.Listeners[1].MaxConnections != 4 ||
		b.Listeners[0].MaxConnectionCreationRate != 3 || b.Listeners[1].MaxConnectionCreationRate != 1<<31-1 {
		t.Errorf("%+v", b.Listeners)
	}
}

// TestWith is what --brokers needs.
func TestWith(t *testing.T) {
	b := mustBroker(t, map[string]string{"node.id": "0", "log.dirs": "/d", "message.max.bytes": "9"})
	c, err := b.With(map[string]string{"broker.id": "2", "log.dirs": "/d/broker-2", "listeners": "PLAINTEXT://h:9094"})
	if err != nil {
		t.Fatal(err)
	}
	if c.ID != 2 || c.LogDirs[0] != "/d/broker-2" || c.MessageMaxBytes != 9 || b.ID != 0 || b.LogDirs[0] != "/d" {
		t.Errorf("got %d %v, left %d %v", c.ID, c.LogDirs, b.ID, b.LogDirs)
	}
}
