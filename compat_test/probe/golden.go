package probe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// Golden is the recorded answers of one group: case name to steps.
type Golden map[string][]Step

// LoadGolden reads a group's file.
func LoadGolden(dir, group string) (Golden, error) {
	b, err := os.ReadFile(filepath.Join(dir, group+".json"))
	if err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	var g Golden
	if err := d.Decode(&g); err != nil {
		return nil, fmt.Errorf("%s: %w", group, err)
	}
	return g, nil
}

// Save writes a group's file, laid out for reading diffs: what fits on a line stays on one.
func (g Golden) Save(dir, group string) error {
	b, err := json.Marshal(g)
	if err != nil {
		return err
	}
	var v any
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber()
	if err := d.Decode(&v); err != nil {
		return err
	}
	var out strings.Builder
	layout(&out, v, "")
	out.WriteByte('\n')
	return os.WriteFile(filepath.Join(dir, group+".json"), []byte(out.String()), 0o644)
}

const lineWidth = 230

func layout(out *strings.Builder, v any, indent string) {
	flat := compact(v)
	if len(flat)+len(indent) <= lineWidth {
		out.WriteString(flat)
		return
	}
	inner := indent + " "
	switch x := v.(type) {
	case map[string]any:
		out.WriteString("{\n")
		for i, k := range keysOf(x) {
			if i > 0 {
				out.WriteString(",\n")
			}
			out.WriteString(inner + compact(k) + ": ")
			layout(out, x[k], inner)
		}
		out.WriteString("\n" + indent + "}")
	case []any:
		out.WriteString("[\n")
		for i, e := range x {
			if i > 0 {
				out.WriteString(",\n")
			}
			out.WriteString(inner)
			layout(out, e, inner)
		}
		out.WriteString("\n" + indent + "]")
	default:
		out.WriteString(flat)
	}
}

// compact is JSON on one line, objects in the order of keysOf.
func compact(v any) string {
	if m, ok := v.(map[string]any); ok {
		parts := make([]string, 0, len(m))
		for _, k := range keysOf(m) {
			parts = append(parts, compact(k)+":"+compact(m[k]))
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
	if l, ok := v.([]any); ok {
		parts := make([]string, 0, len(l))
		for _, e := range l {
			parts = append(parts, compact(e))
		}
		return "[" + strings.Join(parts, ",") + "]"
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return `"` + err.Error() + `"`
	}
	return strings.TrimSpace(b.String())
}
