package config

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
)

// golden is what AdminClient.describeConfigs of Apache Kafka 3.9.1 in ZooKeeper mode answered.
type golden struct {
	BrokerID                                              int32
	Static, DynamicDefault, DynamicBroker, TopicOverrides map[string]string
	Broker, Default, Topic                                []goldenEntry
}

type goldenEntry struct {
	Name                string
	Value               *string
	Source, Type        int8
	ReadOnly, Sensitive bool
	Synonyms            [][3]any
}

func (e goldenEntry) String() string {
	var s []string
	for _, y := range e.Synonyms {
		s = append(s, fmt.Sprint(y[0], "=", y[1], "@", y[2]))
	}
	return show(e.Name, e.Value, int(e.Source), int(e.Type), e.ReadOnly, e.Sensitive, s)
}

func entryString(e Entry) string {
	var s []string
	for _, y := range e.Synonyms {
		s = append(s, fmt.Sprint(y.Name, "=", orNil(y.Value), "@", y.Source))
	}
	return show(e.Name, e.Value, int(e.Source), int(e.Type), e.ReadOnly, e.Sensitive, s)
}

func show(name string, value *string, source, typ int, readOnly, sensitive bool, synonyms []string) string {
	return fmt.Sprintf("%s=%s source %d type %s readOnly %t sensitive %t synonyms [%s]",
		name, orNil(value), source, Type(typ), readOnly, sensitive, strings.Join(synonyms, " "))
}

func orNil(s *string) string {
	if s == nil {
		return "<nil>"
	}
	return *s
}

func TestDescribeAsApache(t *testing.T) {
	for _, name := range []string{"plain", "mixed"} {
		t.Run(name, func(t *testing.T) {
			g := readGolden(t, "testdata/describe-"+name+".json")
			b, err := NewBroker(g.Static)
			if err != nil {
				t.Fatal(err)
			}
			if b, err = b.WithDynamic(g.DynamicDefault, g.DynamicBroker); err != nil {
				t.Fatal(err)
			}
			compare(t, "broker", b.Describe(), g.Broker)
			compare(t, "cluster default", b.DescribeDefault(), g.Default)
			topic, err := b.DescribeTopic(g.TopicOverrides)
			if err != nil {
				t.Fatal(err)
			}
			compare(t, "topic", topic, g.Topic)
		})
	}
}

func readGolden(t *testing.T, path string) golden {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(data, &g); err != nil {
		t.Fatal(err)
	}
	if len(g.Broker) < 300 || len(g.Topic) != 36 {
		t.Fatalf("golden has %d broker and %d topic configs", len(g.Broker), len(g.Topic))
	}
	return g
}

func compare(t *testing.T, what string, got []Entry, want []goldenEntry) {
	t.Helper()
	ours := map[string]Entry{}
	for _, e := range got {
		ours[e.Name] = e
	}
	for _, w := range want {
		e, ok := ours[w.Name]
		if !ok {
			t.Errorf("%s: %s is missing", what, w.Name)
			continue
		}
		delete(ours, w.Name)
		if g := entryString(e); g != w.String() {
			t.Errorf("%s:\n got %s\nwant %s", what, g, w)
		}
	}
	for name := range ours {
		t.Errorf("%s: %s is too many", what, name)
	}
}
