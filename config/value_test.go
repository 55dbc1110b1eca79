package config

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"os"
	"testing"
)

// anyText stands in the golden for the text of an error that need not be Kafka's.
const anyText = "*"

// TestValuesAsApache feeds every key what ConfigDef of Apache Kafka 3.9.1 was fed, and expects the same value or the same
// error text.
func TestValuesAsApache(t *testing.T) {
	f, err := os.Open("testdata/values.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	tables := map[string]*table{"broker": brokerTable, "topic": topicTable, "quota": quotaTable}
	lines, wrong := 0, 0
	for s := bufio.NewScanner(z); s.Scan() && wrong < 20; lines++ {
		var row struct {
			Kind, Key, Value string
			OK               bool
			Result           string
		}
		if err := json.Unmarshal(s.Bytes(), &[]any{&row.Kind, &row.Key, &row.Value, &row.OK, &row.Result}); err != nil {
			t.Fatalf("line %d: %v", lines+1, err)
		}
		k := tables[row.Kind].byName[row.Key]
		if k == nil {
			t.Fatalf("no %s config %s", row.Kind, row.Key)
		}
		v, err := k.Parse(row.Value)
		got, _ := Format(v)
		if err != nil {
			got = err.Error()
		}
		if (err == nil) != row.OK || got != row.Result && row.Result != anyText {
			wrong++
			t.Errorf("%s %s=%q:\n got %q\nwant %q", row.Kind, row.Key, row.Value, got, row.Result)
		}
	}
	if lines < 10000 && wrong == 0 {
		t.Fatalf("golden has only %d lines", lines)
	}
}
