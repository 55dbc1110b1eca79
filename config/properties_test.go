package config

import (
	"encoding/json"
	"maps"
	"os"
	"strings"
	"testing"
)

// TestPropertiesAsJava reads files as java.util.Properties read them.
func TestPropertiesAsJava(t *testing.T) {
	data, err := os.ReadFile("testdata/properties.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		var c struct {
			File, Error string
			Props       map[string]string
		}
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatal(err)
		}
		got, err := ParseProperties(latin1(c.File))
		if (err != nil) != (c.Error != "") || err == nil && !maps.Equal(got, c.Props) {
			t.Errorf("%q: got %q, %v; want %q, %q", c.File, got, err, c.Props, c.Error)
		}
	}
}

// latin1 is s in ISO 8859-1.
func latin1(s string) []byte {
	var out []byte
	for _, r := range s {
		out = append(out, byte(r))
	}
	return out
}
