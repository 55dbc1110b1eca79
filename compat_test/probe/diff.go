package probe

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

func keysOf(m map[string]any) []string {
	ks := slices.Sorted(maps.Keys(m))
	// "step" before "answer" reads better.
	if i := slices.Index(ks, "step"); i > 0 {
		ks = append([]string{"step"}, slices.Delete(ks, i, i+1)...)
	}
	return ks
}

// Diff lists where got differs from want, each line with its path. Part of a batch at the end of a partition's records
// does not count: Apache cuts by bytes, a broker may send whole batches only, and clients drop the part. Neither does it matter that
// Apache's errors of a fetched partition may come with null records: librdkafka takes them for a broken answer, gokafka sends empty ones.
func Diff(want, got any) []string {
	return diff("", withoutParts(plain(want)), withoutParts(plain(got)), nil)
}

func withoutParts(v any) any {
	switch x := v.(type) {
	case map[string]any:
		for k, e := range x {
			x[k] = withoutParts(e)
			if rows, ok := e.([]any); ok && k == "RecordBatches" {
				x[k] = wholeBatches(rows)
			}
		}
	case []any:
		for i := range x {
			x[i] = withoutParts(x[i])
		}
	}
	return v
}

// wholeBatches leaves out a partial batch at the end; nothing left is what no records are.
func wholeBatches(rows []any) any {
	if n := len(rows); n > 0 {
		last := fmt.Sprint(rows[n-1])
		if strings.HasPrefix(last, partialBatch) || strings.HasSuffix(last, partialHeader) {
			rows = rows[:n-1]
		}
	}
	if len(rows) == 0 {
		return ""
	}
	return rows
}

// plain brings a value into the form that reading a golden gives.
func plain(v any) any {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber() // int64 values stay exact
	var out any
	if err := d.Decode(&out); err != nil {
		return err.Error()
	}
	return out
}

func diff(path string, want, got any, out []string) []string {
	switch w := want.(type) {
	case map[string]any:
		if g, ok := got.(map[string]any); ok {
			return diffObjects(path, w, g, out)
		}
	case []any:
		if g, ok := got.([]any); ok && len(g) == len(w) {
			for i := range w {
				out = diff(fmt.Sprintf("%s[%d]", path, i), w[i], g[i], out)
			}
			return out
		}
	}
	if a, b := compact(want), compact(got); a != b {
		out = append(out, fmt.Sprintf("%s: Apache %s, here %s", path, short(a), short(b)))
	}
	return out
}

func diffObjects(path string, w, g map[string]any, out []string) []string {
	for _, k := range keysOf(w) {
		v, ok := g[k]
		if !ok {
			out = append(out, fmt.Sprintf("%s.%s: Apache %s, here missing", path, k, short(compact(w[k]))))
			continue
		}
		out = diff(path+"."+k, w[k], v, out)
	}
	for _, k := range keysOf(g) {
		if k == "RecordBatches" && g[k] == "" && compact(g["ErrorCode"]) != "0" {
			continue
		}
		if _, ok := w[k]; !ok {
			out = append(out, fmt.Sprintf("%s.%s: not in Apache's answer, here %s", path, k, short(compact(g[k]))))
		}
	}
	return out
}

func short(s string) string {
	const most = 600
	if len(s) > most {
		return s[:most] + "…"
	}
	return s
}
