package config

import (
	"encoding/json"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
)

// stricter are changes that Kafka accepts and then does not start with.
var stricter = []string{"log.flush.interval.ms", "log.cleaner.max.compaction.lag.ms"}

// TestAlterAsApache tries the changes that a live Apache Kafka 3.9.1 was asked for.
func TestAlterAsApache(t *testing.T) {
	data, err := os.ReadFile("testdata/alter.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	b := mustBroker(t, map[string]string{"broker.id": "0", "zookeeper.connect": "z:2181",
		"listeners": "PLAINTEXT://127.0.0.1:29092"})
	for line := range strings.Lines(string(data)) {
		var c struct {
			Level, Message string
			Props          map[string]string
			Code           int16
		}
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatal(err)
		}
		var got error
		switch c.Level {
		case "broker", "cluster":
			got = b.ValidateDynamic(c.Props, c.Level == "broker")
		default:
			got = b.ValidateTopic(c.Props)
		}
		if c.Code == 0 && got != nil && exempt(c.Props) {
			continue
		}
		checkAnswer(t, c.Level, c.Props, got, c.Code, c.Message)
	}
}

// exempt says whether gokafka may be stricter than Kafka.
func exempt(props map[string]string) bool {
	for name := range props {
		if s, _ := StatusOf(name); s.Effect == Refused || slices.Contains(stricter, name) {
			return true
		}
	}
	return false
}

func checkAnswer(t *testing.T, level string, props map[string]string, got error, code int16, message string) {
	t.Helper()
	var gotCode int16
	if k := (*kerr.Error)(nil); errors.As(got, &k) {
		gotCode = k.Code
	}
	if gotCode != code {
		t.Errorf("%s %v: got %v, Apache answers %d %q", level, props, got, code, message)
		return
	}
	if got == nil {
		return
	}
	text := got.Error()
	if e := (*Error)(nil); level == "topic" && errors.As(got, &e) && e.Plain {
		text = "Invalid config value for resource ConfigResource(type=TOPIC, name='alter'): " + text
	}
	// The rules between configs are told in our words, with key and value.
	ours := slices.ContainsFunc([]string{"requirement failed: ", "/ by zero", "max.connections.per.ip.", "For input",
		"Invalid value x.Y"}, func(p string) bool { return strings.HasPrefix(message, p) })
	if text != message && !ours {
		t.Errorf("%s %v:\n got %s\nwant %s", level, props, text, message)
	}
}

func mustBroker(t *testing.T, props map[string]string) *Broker {
	t.Helper()
	b, err := NewBroker(props)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestDynamicSynonym: a coarser unit on a stronger level beats a finer one below it.
func TestDynamicSynonym(t *testing.T) {
	b := mustBroker(t, map[string]string{"broker.id": "0", "log.retention.hours": "2"})
	for _, c := range []struct {
		cluster, own map[string]string
		want         int64
	}{
		{nil, nil, 2 * hour},
		{map[string]string{"log.retention.ms": "50"}, nil, 50},
		{map[string]string{"log.retention.ms": "50"}, map[string]string{"log.retention.ms": "60"}, 60},
		{map[string]string{"log.retention.ms": "50"}, map[string]string{"log.retention.bytes": "1"}, 50},
	} {
		d, err := b.WithDynamic(c.cluster, c.own)
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Topic().Retention.Milliseconds(); got != c.want {
			t.Errorf("cluster %v, broker %v: retention %d, want %d", c.cluster, c.own, got, c.want)
		}
	}
	props := map[string]string{"log.roll.ms": "5"}
	overlay(props, map[string]string{"log.roll.hours": "1"})
	if want := map[string]string{"log.roll.hours": "1"}; !maps.Equal(props, want) {
		t.Errorf("overlay left %v, want %v", props, want)
	}
}

// TestDynamicLeavesOthers: brokers made of one do not share what changes.
func TestDynamicLeavesOthers(t *testing.T) {
	b := mustBroker(t, map[string]string{"broker.id": "0"})
	cluster := map[string]string{"message.max.bytes": "5"}
	d, err := b.WithDynamic(cluster, nil)
	if err != nil {
		t.Fatal(err)
	}
	cluster["message.max.bytes"] = "6"
	if b.MessageMaxBytes != 1048588 || d.MessageMaxBytes != 5 || len(b.DescribeDefault()) != 0 {
		t.Errorf("before %d, after %d", b.MessageMaxBytes, d.MessageMaxBytes)
	}
	if got := d.DescribeDefault(); len(got) != 1 || *got[0].Value != "5" {
		t.Errorf("cluster configs %v follow the caller's map", got)
	}
	if d.WithID(7).ID != 7 || d.ID != 0 {
		t.Errorf("WithID changed the original")
	}
}

func TestFilterDynamic(t *testing.T) {
	in := map[string]string{
		"log.retention.ms": "5", "message.max.bytes": "x", "num.partitions": "3", "listeners": "PLAINTEXT://h:1",
		"ssl.keystore.location": "/k", "listener.name.a.ssl.keystore.location": "/k",
		"listener.name.a.max.connections": "5", "my.key": "v",
	}
	for _, c := range []struct {
		perBroker bool
		want      []string
	}{
		{true, []string{"listener.name.a.max.connections", "listener.name.a.ssl.keystore.location", "listeners",
			"log.retention.ms", "my.key"}},
		{false, []string{"listener.name.a.max.connections", "log.retention.ms", "my.key"}},
	} {
		valid, dropped := FilterDynamic(in, c.perBroker)
		if got := slices.Sorted(maps.Keys(valid)); !slices.Equal(got, c.want) {
			t.Errorf("per broker %t: kept %v, want %v", c.perBroker, got, c.want)
		}
		if len(valid)+len(dropped) != len(in) {
			t.Errorf("per broker %t: %d kept and %d reasons for %d configs", c.perBroker, len(valid), len(dropped), len(in))
		}
	}
}

func TestDynamicScope(t *testing.T) {
	for name, want := range map[string]Scope{
		"log.retention.ms": ClusterWide, "log.retention.hours": ReadOnly, "listeners": PerBroker,
		"ssl.keystore.location": ReadOnly, "listener.name.x.ssl.keystore.location": PerBroker,
		"listener.name.x.max.connections": ClusterWide, "leader.replication.throttled.rate": ClusterWide,
		"some.plugin.key": ClusterWide, "broker.id": ReadOnly,
	} {
		if got := DynamicScope(name); got != want {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	for name, want := range map[string]bool{
		"listener.name.x.ssl.key.password": true, "ssl.keystore.password": true, "sasl.jaas.config": true,
		"listener.name.x.plain.sasl.jaas.config": true, "log.dirs": false, "password.encoder.secret": false,
	} {
		if IsPassword(name) != want {
			t.Errorf("IsPassword(%s) = %t", name, !want)
		}
	}
}
