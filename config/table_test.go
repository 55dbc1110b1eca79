package config

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestTableAsApache compares every row with ConfigDef of Apache Kafka 3.9.1, in its order.
func TestTableAsApache(t *testing.T) {
	data, err := os.ReadFile("testdata/keys.tsv")
	if err != nil {
		t.Fatal(err)
	}
	var want [2][]string
	for line := range strings.Lines(string(data)) {
		kind, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), "\t")
		switch kind {
		case "broker":
			want[0] = append(want[0], rest)
		case "topic":
			want[1] = append(want[1], rest)
		}
	}
	compareRows(t, "broker", slices.DeleteFunc(BrokerKeys(), func(k Key) bool {
		own := strings.HasPrefix(k.Name, "gokafka.")
		if own && !k.Internal {
			t.Errorf("%s would be described to tools that do not know it", k.Name)
		}
		return own
	}), want[0])
	compareRows(t, "topic", TopicKeys(), want[1])
}

func compareRows(t *testing.T, kind string, keys []Key, want []string) {
	t.Helper()
	if len(keys) != len(want) {
		t.Fatalf("%d %s configs, Apache has %d", len(keys), kind, len(want))
	}
	for i := range keys {
		if got := rowText(&keys[i]); got != want[i] {
			t.Errorf("%s config %d:\n got %s\nwant %s", kind, i, got, want[i])
		}
	}
}

func rowText(k *Key) string {
	def, valid, internal, dynamic, synonym := "="+k.Default, "null", "", "", ""
	if k.Unset {
		def = "-"
	}
	switch k.Valid.(type) {
	case nil:
	case protocolVersion:
		valid = "MetadataVersion"
	case threadPoolSize:
		valid = "LambdaValidator"
	default:
		valid = k.Valid.String()
	}
	if k.Internal {
		internal = "internal"
	}
	if k.Dynamic != ReadOnly {
		dynamic = k.Dynamic.String()
	}
	if s := k.Synonyms(); len(s) > 0 {
		synonym = s[0].Name
	}
	importance := [...]string{"LOW", "MEDIUM", "HIGH"}[k.Importance]
	return strings.Join([]string{k.Name, k.Type.String(), def, valid, importance, internal, dynamic, synonym}, "\t")
}

// TestEveryKeyHasWords: a sentence, and a reason where the key does not do what Kafka's does.
func TestEveryKeyHasWords(t *testing.T) {
	for _, k := range append(BrokerKeys(), TopicKeys()...) {
		if !strings.HasSuffix(k.Doc, ".") && !strings.HasSuffix(k.Doc, "...") {
			t.Errorf("%s: no sentence: %q", k.Name, k.Doc)
		}
		if (k.Status.Effect == Used) != (k.Status.Why == "") {
			t.Errorf("%s: status %+v", k.Name, k.Status)
		}
		if !k.Unset {
			if _, err := k.Parse(k.Default); err != nil {
				t.Errorf("%s: its own default is refused: %v", k.Name, err)
			}
		}
		for _, s := range k.Synonyms() {
			if BrokerKey(s.Name) == nil {
				t.Errorf("%s: unknown synonym %s", k.Name, s.Name)
			}
		}
	}
	if got := len(Statuses()); got != len(BrokerKeys())+len(TopicKeys()) {
		t.Errorf("%d statuses", got)
	}
}

// TestSynonymUnits: what a topic inherits is the first synonym that is set, in its unit.
func TestSynonymUnits(t *testing.T) {
	for _, k := range TopicKeys() {
		synonyms := k.Synonyms()
		if len(synonyms) < 2 {
			continue
		}
		for i, s := range synonyms {
			props := map[string]string{"broker.id": "0"}
			for _, later := range synonyms[i:] {
				props[later.Name] = "3"
			}
			b := mustBroker(t, props)
			if got := b.topicValues().long(k.Name); got != 3*s.Millis {
				t.Errorf("%s from %s=3: got %d, want %d", k.Name, s.Name, got, 3*s.Millis)
			}
		}
	}
}
