package config

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/config.md")

// TestDocs keeps docs/config.md the picture of the table.
func TestDocs(t *testing.T) {
	const path = "../docs/config.md"
	want := docs()
	if *update {
		if err := os.WriteFile(path, want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(bytes.ReplaceAll(got, []byte("\r\n"), []byte("\n")), want) {
		t.Errorf("%s is stale; go test ./config -run TestDocs -update writes it", path)
	}
}

func docs() []byte {
	var b bytes.Buffer
	b.WriteString(`# Configs

Generated from the table in ` + "`config/table_*.go`" + ` by ` + "`go test ./config -run TestDocs -update`" + `; do not edit.

Names, types, defaults and ranges are those of Apache Kafka 3.9. The column *gokafka* says what happens with a key:
**used**; **no effect**, which is said at start when the value is not the default; **refused**, which stops the start when the
value is not the default. Sources, the weakest first: default, file, ` + "`KAFKA_*`" + ` environment, ` + "`--override`" + `,
dynamic config of the cluster, dynamic config of the broker. The column *change* says whether a running broker takes a
new value.

## Broker

| key | type | default | valid values | change | gokafka | meaning |
| --- | --- | --- | --- | --- | --- | --- |
`)
	for _, k := range byName(append(BrokerKeys(), quotaKeys...)) {
		b.WriteString(docRow(&k, k.Dynamic.String()))
	}
	b.WriteString(`
## Topic

Every topic config may be changed at any time. One that is not set falls back to the broker configs of the column
*falls back to*, the first that is set.

| key | type | default | valid values | falls back to | gokafka | meaning |
| --- | --- | --- | --- | --- | --- | --- |
`)
	for _, k := range byName(TopicKeys()) {
		var names []string
		for _, s := range k.Synonyms() {
			names = append(names, s.Name)
		}
		b.WriteString(docRow(&k, strings.Join(names, ", ")))
	}
	return b.Bytes()
}

func byName(keys []Key) []Key {
	slices.SortFunc(keys, func(a, b Key) int { return strings.Compare(a.Name, b.Name) })
	return keys
}

func docRow(k *Key, column string) string {
	def, valid, status := "`"+k.Default+"`", "", "used"
	switch {
	case k.Unset:
		def = "null"
	case k.Default == "":
		def = "empty"
	}
	if k.Valid != nil {
		valid = k.Valid.String()
	}
	switch k.Status.Effect {
	case NoEffect:
		status = "no effect: " + k.Status.Why
	case Refused:
		status = "refused: " + k.Status.Why
	}
	return fmt.Sprintf("| `%s` | %s | %s | %s | %s | %s | %s |\n",
		k.Name, strings.ToLower(k.Type.String()), def, valid, column, status, k.Doc)
}
