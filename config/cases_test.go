package config

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// kafkaCase is one line of testdata/cases.jsonl.gz: what KafkaConfig and LogConfig of Apache Kafka 3.9.1 made of props.
type kafkaCase struct {
	Kind             string
	Props, Overrides map[string]string
	// A broker case has an error or a result.
	Error  string
	Result *struct {
		ID                                              int32
		Listeners, Advertised, InterBroker              string
		LogDirs, IBP, PerIP                             string
		ZKConnectionMs, ZKSessionMs, OffsetsRetentionMs int64
		Topic                                           map[string]any
	}
	// A topic case has the error of LogConfig.validate without (bare) and with the broker, and the fields.
	Bare       string
	Plain      bool
	Topic      map[string]any
	ParseError string
}

func kafkaCases(t *testing.T) []kafkaCase {
	t.Helper()
	f, err := os.Open("testdata/cases.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	var out []kafkaCase
	for s := bufio.NewScanner(z); s.Scan(); {
		var c kafkaCase
		d := json.NewDecoder(strings.NewReader(s.Text()))
		d.UseNumber()
		if err := d.Decode(&c); err != nil {
			t.Fatal(err)
		}
		out = append(out, c)
	}
	return out
}

// TestBrokerAsApache builds the brokers that Apache built and refuses those it refused.
func TestBrokerAsApache(t *testing.T) {
	n := 0
	for _, c := range kafkaCases(t) {
		if c.Kind != "broker" {
			continue
		}
		n++
		b, err := NewBroker(c.Props)
		if (err != nil) != (c.Error != "") {
			t.Errorf("%v: got error %v, Apache says %q", c.Props, err, c.Error)
			continue
		}
		if err != nil {
			checkErrorLine(t, c.Props, err)
			continue
		}
		r := c.Result
		eq(t, c.Props, "id", b.ID, r.ID)
		eq(t, c.Props, "listeners", listenerText(dataPlane(b)), r.Listeners)
		eq(t, c.Props, "advertised", listenerText(b.AdvertisedListeners), r.Advertised)
		eq(t, c.Props, "inter broker", b.InterBrokerListener+"|"+b.InterBrokerProtocol, r.InterBroker)
		eq(t, c.Props, "log dirs", strings.Join(b.LogDirs, "|"), r.LogDirs)
		eq(t, c.Props, "session", b.ZooKeeperSession.Milliseconds(), r.ZKSessionMs)
		eq(t, c.Props, "connection", b.ZooKeeperConnection.Milliseconds(), r.ZKConnectionMs)
		eq(t, c.Props, "version", b.InterBrokerVersion, r.IBP)
		eq(t, c.Props, "offsets retention", b.Groups.OffsetsRetention.Milliseconds(), r.OffsetsRetentionMs)
		eq(t, c.Props, "per ip", perIPText(b.MaxConnectionsPerIPHost), r.PerIP)
		checkTopicFields(t, c.Props, b.Topic(), r.Topic)
	}
	if n < 150 {
		t.Fatalf("only %d cases", n)
	}
}

// checkErrorLine holds the promise of one line that names the key.
func checkErrorLine(t *testing.T, props map[string]string, err error) {
	t.Helper()
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("%v: error of several lines: %v", props, err)
	}
	// What topics inherit is reported under the name topics have for it.
	inherited := strings.Contains(err.Error(), "min.compaction.lag.ms") || strings.Contains(err.Error(), "flush.ms")
	for name := range props {
		if name != "zookeeper.connect" && strings.Contains(err.Error(), name) || inherited {
			return
		}
	}
	for _, k := range brokerTable.keys {
		if strings.Contains(err.Error(), "configuration "+k.Name+": ") {
			return
		}
	}
	t.Errorf("%v: error names no config: %v", props, err)
}

func eq[T comparable](t *testing.T, props map[string]string, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%v: %s: got %v, want %v", props, what, got, want)
	}
}

// dataPlane is KafkaConfig.dataPlaneListeners.
func dataPlane(b *Broker) []Listener {
	return slices.DeleteFunc(slices.Clone(b.Listeners), func(l Listener) bool { return l.Name == b.ControlPlane })
}

func listenerText(in []Listener) string {
	var out []string
	for _, l := range in {
		out = append(out, fmt.Sprintf("%s|%s|%s|%d", l.Name, l.Protocol, l.Host, l.Port))
	}
	return strings.Join(out, ",")
}

func perIPText(m map[string]int32) string {
	var out []string
	for _, host := range slices.Sorted(maps.Keys(m)) {
		out = append(out, fmt.Sprintf("%s=%d", host, m[host]))
	}
	return "{" + strings.Join(out, ", ") + "}"
}

// TestTopicAsApache validates and parses topic configs under two brokers as Apache did.
func TestTopicAsApache(t *testing.T) {
	n := 0
	for _, c := range kafkaCases(t) {
		if c.Kind != "topic" {
			continue
		}
		n++
		b, err := NewBroker(c.Props)
		if err != nil {
			t.Fatal(err)
		}
		eq(t, c.Overrides, "bare", text(ValidateTopic(c.Overrides)), c.Bare)
		err = b.ValidateTopic(c.Overrides)
		eq(t, c.Overrides, "validate", text(err), c.Error)
		if e := (*Error)(nil); errors.As(err, &e) {
			eq(t, c.Overrides, "plain", e.Plain, c.Plain)
			if !errors.Is(err, kerr.InvalidConfig) {
				t.Errorf("%v: %v is no INVALID_CONFIG", c.Overrides, err)
			}
		}
		topic, err := ParseTopic(c.Overrides, b)
		eq(t, c.Overrides, "parse", text(err), c.ParseError)
		if err == nil {
			checkTopicFields(t, c.Overrides, topic, c.Topic)
		}
	}
	if n < 90 {
		t.Fatalf("only %d cases", n)
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// checkTopicFields compares a Topic with the fields of a LogConfig, whose durations are in milliseconds.
func checkTopicFields(t *testing.T, props map[string]string, topic *Topic, want map[string]any) {
	t.Helper()
	for name, got := range topicFields(topic) {
		w, ok := want[name]
		if !ok {
			if !strings.HasPrefix(name, "Compression") {
				t.Errorf("%v: golden has no %s", props, name)
			}
			continue
		}
		if n, isNumber := w.(json.Number); isNumber {
			switch got.(type) {
			case time.Duration:
				ms, err := n.Int64()
				if err != nil {
					t.Fatal(err)
				}
				w = millis(ms)
			case float64:
				f, err := n.Float64()
				if err != nil {
					t.Fatal(err)
				}
				w = f
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(w) {
			t.Errorf("%v: %s: got %v, want %v", props, name, got, w)
		}
	}
}
